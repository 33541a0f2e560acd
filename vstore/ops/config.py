"""``config``: read and change settings, in the layer where they belong.

No repository is opened: a configuration that is broken can be mended.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vstore import config
from vstore.config import Config, Layer, Setting, is_secret, load_config, masked_url
from vstore.errors import ConfigInvalidError, SettingNotFoundError
from vstore.git import find_git_repo
from vstore.progress import SILENT, Reporter
from vstore.repo import VSTORE_DIRECTORY, find_root, no_repository

_CHOSEN_ONCE = {"core.hash", "core.project"}


@dataclass(frozen=True, slots=True)
class SettingShown:
    """One setting and where it is set; secrets are ``***``."""

    name: str
    value: str
    layer: str
    """"default", "system", "user", "project", "local" or "environment"."""
    path: str | None
    line: int | None


@dataclass(frozen=True, slots=True)
class ConfigResult:
    """The settings asked for, or changed; those that were removed are not in it."""

    settings: list[SettingShown]


def get_setting(start: Path, environ: Mapping[str, str], name: str) -> ConfigResult:
    """Return the value that is in force, perhaps the default.  Raises SettingNotFoundError, ConfigInvalidError."""
    return ConfigResult([_shown(_load(start, environ).get(name))])


def list_settings(start: Path, environ: Mapping[str, str], layer: Layer | None = None) -> ConfigResult:
    """Return the settings in force, or all that one layer sets.  Raises ConfigInvalidError."""
    return ConfigResult([_shown(setting) for setting in _load(start, environ).entries(layer)])


def set_setting(
    start: Path,
    environ: Mapping[str, str],
    name: str,
    value: str,
    *,
    layer: Layer | None = None,
    reporter: Reporter = SILENT,
) -> ConfigResult:
    """Set a value, in the project's layer unless another one is named or it is a secret, which stays local.

    Raises ConfigInvalidError for unknown settings and values, and for those that only ``init`` chooses;
    RepositoryNotFoundError.
    """
    chosen = layer or choose_layer(name, value)
    path = find_file(start, environ, chosen)
    config.check_setting(name, value)
    _check_changeable(start, environ, name, chosen)
    config.set_value(path, name, value)
    if chosen is Layer.PROJECT:
        stage_config(start, environ, reporter)
    shown = "***" if is_secret(name) else masked_url(value)
    return ConfigResult([SettingShown(name, shown, str(chosen), str(path), None)])


def unset_setting(
    start: Path,
    environ: Mapping[str, str],
    name: str,
    *,
    layer: Layer | None = None,
    reporter: Reporter = SILENT,
) -> ConfigResult:
    """Remove a value from a layer: from that which is in force, unless one is named.

    Raises SettingNotFoundError, RepositoryNotFoundError, ConfigInvalidError for what only ``init`` chooses.
    """
    chosen = layer or _load(start, environ).get(name).layer
    if chosen not in (Layer.USER, Layer.PROJECT, Layer.LOCAL):
        chosen = Layer.PROJECT
    _check_changeable(start, environ, name, chosen)
    config.unset_value(find_file(start, environ, chosen), name)
    if chosen is Layer.PROJECT:
        stage_config(start, environ, reporter)
    return ConfigResult([])


def choose_layer(name: str, value: str) -> Layer:
    """Return the layer where a setting belongs: secrets must not be committed."""
    return Layer.LOCAL if is_secret(name) or masked_url(value) != value else Layer.PROJECT


def find_file(start: Path, environ: Mapping[str, str], layer: Layer) -> Path:
    """Return the file of a layer.  Raises RepositoryNotFoundError for those of a repository, outside of one."""
    root = find_root(start)
    paths = config.config_paths(root and root / VSTORE_DIRECTORY, environ)
    if layer not in paths:
        raise no_repository(start)
    return paths[layer]


def stage_config(start: Path, environ: Mapping[str, str], reporter: Reporter) -> None:
    """Stage the project's configuration in git, unless the configuration says not to."""
    root = find_root(start)
    if root is None:
        return
    try:
        settings = load_config(root / VSTORE_DIRECTORY, environ)
    except ConfigInvalidError:
        return  # half mended: there is more to do first
    git = None if settings.no_git or not settings.autostage else find_git_repo(root)
    if git is not None and Path(os.path.realpath(git.work_tree)) == root:
        git.stage([f"{VSTORE_DIRECTORY}/config"], settings.lock_wait_s, reporter.note)


def _check_changeable(start: Path, environ: Mapping[str, str], name: str, layer: Layer) -> None:
    """Raise ConfigInvalidError for a setting that what is already stored depends upon, unless it is broken."""
    if name.lower() not in _CHOSEN_ONCE or layer is Layer.USER:
        return
    try:
        setting = _load(start, environ).get(name)
    except (ConfigInvalidError, SettingNotFoundError):
        return  # to be mended
    if setting.layer in (Layer.PROJECT, Layer.LOCAL):
        message = f"{setting.name} is chosen once, when a repository is made: its data and remotes depend on it"
        raise ConfigInvalidError(message, path=setting.path, line=setting.line)


def _load(start: Path, environ: Mapping[str, str]) -> Config:
    root = find_root(start)
    return load_config(root and root / VSTORE_DIRECTORY, environ)


def _shown(setting: Setting) -> SettingShown:
    return SettingShown(setting.name, setting.shown, str(setting.layer), setting.path, setting.line)
