"""Where settings come from: the layers of configuration, and the one typed Config that they make.

Later layers win: system, user, project, local, environment.  This is the lowest room that asks the environment
where a home is, and what it sets.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from vstore.config import settings as known
from vstore.config.settings import Definition, find_definition, is_secret
from vstore.config.syntax import canonical_name, parse
from vstore.durable import os_errors
from vstore.errors import SettingNotFoundError

Value = TypeVar("Value")

SYSTEM_CONFIG = Path("/etc/vstore/config")
_PREFIX = "VSTORE_"
_OF_STRANGERS = frozenset({known.PROJECT.name, known.HASH_ALGORITHM.name, known.DEFAULT_REMOTE.name})
_OF_OURS = ("VSTORE_REMOTE_", "VSTORE_CORE_PROJECT", "VSTORE_CORE_HASH", "VSTORE_CORE_REMOTE", "VSTORE_CORE_GIT")
_MASK = "***"
# Up to the last "@" of the authority; a slash in a password, which should be %2F, does not end it, as behind a port.
_PASSWORD = re.compile(r"(?<=://)(?!\[)([^/@:]*:)(?:[^/]*|(?!\d*/).*)(?=@)")
_SIGNATURE = re.compile(r"(?<=[?&])([^=&]*(?:sig|secret|token|key|credential|password)[^=&]*=)[^&]*", re.IGNORECASE)


class Layer(StrEnum):
    """Where a setting comes from, the weakest first."""

    DEFAULT = "default"
    SYSTEM = "system"
    USER = "user"
    PROJECT = "project"
    LOCAL = "local"
    ENVIRONMENT = "environment"


@dataclass(frozen=True, slots=True)
class Setting:
    """One value and its origin: ``path`` and ``line`` for files, the variable's name as ``path`` for the environment.

    ``value`` may be a secret; ``shown`` never is.
    """

    name: str
    value: str = field(repr=False)
    layer: Layer
    path: str | None = None
    line: int | None = None

    @property
    def shown(self) -> str:
        """The value as it may be printed: secrets, and those within a URL, are replaced by ``***``."""
        return _MASK if is_secret(self.name) else masked_url(self.value)


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """A remote that is configured; its URL is complete, relative directories are resolved.

    ``options`` are for the transport, as text, by names with underscores; they may be secret, and so may the URL.
    """

    name: str
    url: str = field(repr=False)
    read_only: bool = False
    listing: bool = False
    compact: bool = True
    retention_days: int = 30
    options: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Config:
    """All settings, typed.  Raises ConfigInvalidError when it is loaded, never later."""

    project: str
    hash: str
    no_git: bool
    autostage: bool
    default_remote: str | None
    lock_wait_s: float
    cache_dir: Path | None
    cache_type: tuple[str, ...]
    cache_type_is_set: bool
    cache_shared: bool
    elsewhere: Path
    """The user's own directory for what comes from other repositories; all of it may be deleted at any time."""
    elsewhere_limit_bytes: int
    jobs: int
    in_flight_bytes: int
    timeout_s: float
    fs_cache_bytes: int
    remotes: Mapping[str, RemoteSettings]
    _settings: Mapping[str, Setting] = field(repr=False)
    _all: tuple[Setting, ...] = field(repr=False)

    def placed_in(self, cache_dir: Path, *, shared: bool) -> Config:
        """Return these settings with another cache."""
        return dataclasses.replace(self, cache_dir=cache_dir, cache_shared=shared)

    def get(self, name: str) -> Setting:
        """Return a setting, or its default.  Raises SettingNotFoundError, ConfigInvalidError for an odd name."""
        canonical = canonical_name(name)
        if canonical in self._settings:
            return self._settings[canonical]
        definition = find_definition(canonical)
        remote = _remote_of(canonical)
        if definition is None or definition.default is None or (remote and remote not in self.remotes):
            raise SettingNotFoundError(f"{name} is not set", setting=name)
        return Setting(canonical, definition.default, Layer.DEFAULT)

    def entries(self, layer: Layer | None = None) -> list[Setting]:
        """Return the settings that are in force, or all that one layer sets, in the order of their origins."""
        if layer is None:
            return [setting for setting in self._all if self._settings[setting.name] is setting]
        return [setting for setting in self._all if setting.layer == layer]


def load_config(vstore_dir: Path | None, environ: Mapping[str, str], *, system_path: Path = SYSTEM_CONFIG) -> Config:
    """Return the configuration of the repository whose ``.vstore`` is ``vstore_dir``; None outside of any.

    Raises ConfigInvalidError naming file and line, PermissionDeniedError.
    """
    paths = config_paths(vstore_dir, environ, system_path=system_path)
    found = [setting for layer, path in paths.items() for setting in _read_layer(layer, path)]
    root = vstore_dir.parent if vstore_dir else Path()
    return _make_config(found, environ, root)


def load_foreign_config(
    text: bytes, place: str, environ: Mapping[str, str], *, root: Path | None, system_path: Path = SYSTEM_CONFIG
) -> Config:
    """Return the configuration with which a stranger's repository is read, of which only ``.vstore/config`` is here.

    ``text`` is that file, ``place`` names it in errors.  It says which project and which remotes there are, and
    nothing else; relative directories begin at ``root``, or stay relative if that is None.
    """
    decoded = text.decode(errors="surrogateescape")
    paths = config_paths(None, environ, system_path=system_path)
    found = [setting for layer, path in paths.items() for setting in _read_layer(layer, path)]
    found += [
        setting
        for setting in _settings_in(decoded, Layer.PROJECT, place)
        if _remote_of(setting.name) or setting.name in _OF_STRANGERS
    ]
    return _make_config(found, environ_elsewhere(environ), root)


def environ_elsewhere(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return an environment without what is meant for our own repository: its remotes have secrets of their own."""
    return {name: value for name, value in environ.items() if not name.startswith(_OF_OURS)}


def _make_config(found: list[Setting], environ: Mapping[str, str], root: Path | None) -> Config:
    found += _read_environment(environ, {_remote_of(setting.name) for setting in found} - {""})
    reader = _Reader({setting.name: setting for setting in found}, root, _home(environ))
    names = {_remote_of(name) for name in reader.settings if name.endswith(".url")} - {""}
    cache_dir = reader.find(known.CACHE_DIR)
    return Config(
        project=reader.find(known.PROJECT) or "",
        hash=reader.get(known.HASH_ALGORITHM),
        no_git=not reader.get(known.GIT),
        autostage=reader.get(known.AUTOSTAGE),
        default_remote=reader.find(known.DEFAULT_REMOTE),
        lock_wait_s=reader.get(known.LOCK_WAIT),
        cache_dir=None if cache_dir is None else Path(reader.resolved(known.CACHE_DIR.name)),
        cache_type=reader.get(known.CACHE_TYPE),
        cache_type_is_set=known.CACHE_TYPE.name in reader.settings,
        cache_shared=reader.get(known.CACHE_SHARED),
        elsewhere=_user_cache(environ),
        elsewhere_limit_bytes=reader.get(known.ELSEWHERE_LIMIT),
        jobs=reader.get(known.JOBS),
        in_flight_bytes=reader.get(known.IN_FLIGHT),
        timeout_s=reader.get(known.TIMEOUT),
        fs_cache_bytes=reader.get(known.FS_CACHE_SIZE),
        remotes=MappingProxyType({name: reader.remote(name) for name in sorted(names)}),
        _settings=MappingProxyType(reader.settings),
        _all=tuple(found),
    )


def config_paths(
    vstore_dir: Path | None, environ: Mapping[str, str], *, system_path: Path = SYSTEM_CONFIG
) -> dict[Layer, Path]:
    """Return the file of each layer that is one, the weakest first; a file need not exist."""
    if environ.get("VSTORE_CONFIG"):
        user = Path(environ["VSTORE_CONFIG"])
    elif environ.get("VSTORE_HOME"):
        user = Path(environ["VSTORE_HOME"], "config")
    else:
        user = Path(environ.get("XDG_CONFIG_HOME") or _home(environ) / ".config", "vstore/config")
    paths = {Layer.SYSTEM: system_path, Layer.USER: user}
    if vstore_dir is not None:
        paths |= {Layer.PROJECT: vstore_dir / "config", Layer.LOCAL: vstore_dir / "config.local"}
    return paths


def masked_url(url: str) -> str:
    """Return a URL without the passwords and signatures that it may hold."""
    return _SIGNATURE.sub(rf"\1{_MASK}", _PASSWORD.sub(rf"\1{_MASK}", url))


class _Reader:
    """Turns texts into values."""

    def __init__(self, settings: Mapping[str, Setting], root: Path | None, home: Path) -> None:
        self.settings = settings
        self._root = root
        self._home = home

    def find(self, definition: Definition[Value], remote: str = "") -> Value | None:
        name = definition.name.replace("NAME", remote)
        setting = self.settings.get(name)
        if setting is None:
            return None if definition.default is None else definition.parse(definition.default)
        return definition.parse(setting.value, name=name, place=setting.path or "", line=setting.line)

    def get(self, definition: Definition[Value], remote: str = "") -> Value:
        value = self.find(definition, remote)
        assert value is not None, f"{definition.name} has a default"
        return value

    def resolved(self, name: str) -> str:
        """A URL as it is; a path made absolute, from the repository or from the file outside of it that sets it."""
        setting = self.settings[name]
        if "://" in setting.value:
            return setting.value
        path = self._home / setting.value[2:] if re.match(r"~(/|\Z)", setting.value) else Path(setting.value)
        if setting.layer in (Layer.PROJECT, Layer.LOCAL):
            if self._root is None:
                return os.fspath(path)
            path = self._root / path
        elif setting.layer != Layer.ENVIRONMENT and setting.path:
            path = Path(setting.path).parent / path
        return os.path.abspath(path)

    def remote(self, remote: str) -> RemoteSettings:
        prefix = f"remote.{remote}."
        ours = (known.REMOTE_URL, known.READ_ONLY, known.LISTING, known.COMPACT, known.RETENTION)
        of_ours = {each.name.replace("NAME", remote) for each in ours}
        options = {
            name.removeprefix(prefix): setting.value
            for name, setting in self.settings.items()
            if _remote_of(name) == remote and name not in of_ours
        }
        self.get(known.REMOTE_URL, remote)
        return RemoteSettings(
            name=remote,
            url=self.resolved(f"{prefix}url"),
            read_only=self.get(known.READ_ONLY, remote),
            listing=self.get(known.LISTING, remote),
            compact=self.get(known.COMPACT, remote),
            retention_days=self.get(known.RETENTION, remote),
            options=MappingProxyType(options),
        )


def _read_layer(layer: Layer, path: Path) -> list[Setting]:
    return _settings_in(_read_text(path), layer, str(path))


def _settings_in(text: str, layer: Layer, path: str) -> list[Setting]:
    entries = [entry for section in parse(text, path) for entry in section.entries]
    return [Setting(entry.name, entry.value, layer, path, entry.line) for entry in entries]


def _read_text(path: Path) -> str:
    with os_errors(path, "read"):
        try:
            return path.read_bytes().decode(errors="surrogateescape")
        except (FileNotFoundError, NotADirectoryError):
            return ""


def _read_environment(environ: Mapping[str, str], remotes: set[str]) -> list[Setting]:
    by_variable = {_variable(each.name): each.name for each in known.SETTINGS if "NAME" not in each.name}
    names = {_variable(remote): remote for remote in remotes}
    found = []
    # The shortest first: VSTORE_REMOTE_X_URL makes a remote of which VSTORE_REMOTE_X_ENDPOINT_URL is an option.
    for variable in sorted((each for each in environ if each.startswith(_PREFIX) and environ[each]), key=len):
        name = by_variable.get(variable.removeprefix(_PREFIX))
        if variable.startswith(_PREFIX + "REMOTE_"):
            name = _remote_setting(variable.removeprefix(_PREFIX + "REMOTE_"), names)
        if name is not None:
            found.append(Setting(name, environ[variable], Layer.ENVIRONMENT, variable))
    return found


def _remote_setting(variable: str, names: dict[str, str]) -> str | None:
    """Return the setting that the end of a variable's name means; a URL of an unknown remote is added to ``names``."""
    for known_name in sorted(names, key=len, reverse=True):
        if variable.startswith(known_name + "_"):
            return f"remote.{names[known_name]}.{variable.removeprefix(known_name + '_').lower()}"
    new, _, key = variable.rpartition("_")
    if key != "URL" or not new:
        return None
    names[new] = new.lower()
    return f"remote.{new.lower()}.url"


def _variable(name: str) -> str:
    return re.sub("[^A-Z0-9]", "_", name.upper())


def _remote_of(name: str) -> str:
    section, _, rest = name.partition(".")
    return rest.rpartition(".")[0] if section == "remote" else ""


def _user_cache(environ: Mapping[str, str]) -> Path:
    if environ.get("VSTORE_HOME"):
        return Path(os.path.abspath(environ["VSTORE_HOME"]), "cache")
    return Path(os.path.abspath(environ.get("XDG_CACHE_HOME") or _home(environ) / ".cache"), "vstore")


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or os.path.expanduser("~"))
