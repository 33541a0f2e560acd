"""The settings of a DVC project: where its cache and its remotes are, and how our transports open those."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from vstore.durable import os_errors
from vstore.errors import InvalidError

_SECTION = re.compile(r"""\[\s*(?P<quote>['"]?)(?P<kind>[\w-]+)(?:\s+"(?P<name>[^"]*)")?(?P=quote)\s*\]""")
_VALUE = re.compile(r"""(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^#]*))\s*(?:#.*)?""")
_CLOUD = {"allow_anonymous_login": "anon", "endpointurl": "endpoint_url"}
_WEB = {"user": "user", "password": "password"}
_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "s3": {
        **_CLOUD,
        "access_key_id": "key",
        "secret_access_key": "secret",
        "session_token": "token",
        "profile": "profile",
        "region": "region",
    },
    "gs": {**_CLOUD, "credentialpath": "token", "projectname": "project"},
    "azure": {
        "allow_anonymous_login": "anon",
        **{
            name: name
            for name in (
                "account_key",
                "account_name",
                "client_id",
                "client_secret",
                "connection_string",
                "sas_token",
                "tenant_id",
            )
        },
    },
    "ssh": {"keyfile": "key_filename", "password": "password", "port": "port", "user": "username"},
    "http": _WEB,
    "https": _WEB,
    "webdav": {**_WEB, "token": "token"},
    "webdavs": {**_WEB, "token": "token"},
    "hdfs": {},
    "webhdfs": {},
}
"""Protocol in a URL of DVC's → its options → ours; others (how many jobs, checksums ...) have no effect on reading."""
_NEEDED = {"configpath", "custom_auth_header", "sse_customer_key", "cert_path", "gss_auth", "ask_password", "auth"}
"""Options without which a remote cannot be read, and that have no counterpart here."""


class RemotePlace(NamedTuple):
    """A remote of DVC's as our transports open it."""

    url: str
    options: Mapping[str, str]
    has_versions: bool = False
    """Whether files lie there under their own names, in the versions that the bucket remembers."""


@dataclass(frozen=True, slots=True)
class DvcSettings:
    """What matters here of a project's settings: the directory of its cache, and its remotes with their options."""

    cache: Path
    cache_type: str = ""
    default_remote: str | None = None
    remotes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def load_settings(home: Path, environ: Mapping[str, str]) -> DvcSettings:
    """Return the settings of the project whose ``.dvc`` lies in ``home``: the user's, the project's, the local ones.

    Raises InvalidError for a file that cannot be understood.
    """
    users = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/"), ".config"), "dvc/config")
    cache: dict[str, str] = {}
    core: dict[str, str] = {}
    remotes: dict[str, dict[str, str]] = {}
    for file in (users, home / ".dvc/config", home / ".dvc/config.local"):
        for kind, name, settings in _read(file):
            if kind == "remote":
                _absolute(settings, "url", file)
                remotes.setdefault(name, {}).update(settings)
            elif kind == "cache":
                _absolute(settings, "dir", file)
                cache.update(settings)
            elif kind == "core":
                core.update(settings)
    directory = Path(cache.get("dir") or home / ".dvc/cache")
    return DvcSettings(directory, cache.get("type", ""), core.get("remote") or None, remotes)


def translate(settings: DvcSettings, name: str) -> RemotePlace:
    """Return a remote as our transports open it.

    Raises InvalidError where nothing here speaks to it: of another protocol, or opened by settings that are unknown
    here.
    """
    options = dict(settings.remotes.get(name, {}))
    url = options.pop("url", "")
    seen = {name}
    while url.startswith("remote://"):  # a place inside another remote
        parts = urlsplit(url)
        if parts.netloc in seen:
            raise InvalidError(f"the remote {name} of DVC is described by itself")
        seen.add(parts.netloc)
        above = dict(settings.remotes.get(parts.netloc, {}))
        base = above.pop("url", "")
        url = base and base.rstrip("/") + parts.path
        options = {**above, **options}
    if not url:
        raise InvalidError(f"DVC has no remote {name!r}")
    scheme = url.partition("://")[0] if "://" in url else ""
    if not scheme:
        return RemotePlace(url, {})
    if scheme not in _OPTIONS:
        raise InvalidError(f"the remote {name} of DVC is at {scheme}://, which cannot be read here")
    has_versions = not {"true", "True"}.isdisjoint((options.get("version_aware"), options.get("worktree")))
    return RemotePlace(_our_url(url, options), _our_options(scheme, name, options), has_versions)


def _our_url(url: str, options: Mapping[str, str]) -> str:
    scheme, _, rest = url.partition("://")
    if scheme in ("hdfs", "webhdfs") and "user" in options and "@" not in rest.partition("/")[0]:
        rest = f"{options['user']}@{rest}"
    if scheme == "webhdfs" and options.get("use_https") in ("true", "True"):
        scheme = "swebhdfs"
    return f"{'az' if scheme == 'azure' else scheme}://{rest}"


def _our_options(scheme: str, name: str, options: Mapping[str, str]) -> dict[str, str]:
    known = _OPTIONS[scheme]
    unknown = sorted(_NEEDED & options.keys() - known.keys())
    if options.get("auth") == "basic" and scheme in ("http", "https"):
        unknown.remove("auth")
    if unknown:
        raise InvalidError(f"the remote {name} of DVC is opened with {unknown[0]}, which is not known here")
    ours = {known[key]: value for key, value in options.items() if key in known}
    verify = options.get("ssl_verify", "")
    if verify and verify.lower() not in ("true", "false") and scheme not in ("gs", "azure", "ssh", "hdfs", "webhdfs"):
        ours["ca_bundle"] = verify
    return ours


def _absolute(settings: dict[str, str], key: str, file: Path) -> None:
    """Make a path of a configuration file absolute: relative ones begin where the file lies."""
    path = settings.get(key)
    if path and "://" not in path:
        settings[key] = os.path.normpath(file.parent / Path(path).expanduser())


def _read(file: Path) -> Iterable[tuple[str, str, dict[str, str]]]:
    """Return the sections of a configuration file: kind, name, settings."""
    sections: list[tuple[str, str, dict[str, str]]] = []
    with os_errors(file, "read"):
        try:
            lines: Sequence[str] = file.read_text("utf-8", errors="surrogateescape").splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return sections
    for number, raw in enumerate(lines, 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        section = _SECTION.fullmatch(line)
        if section is not None:
            sections.append((section["kind"].lower(), section["name"] or "", {}))
            continue
        key, equals, text = line.partition("=")
        value = _VALUE.fullmatch(text.strip())
        if not equals or value is None or not sections:
            raise InvalidError(f"{file}, line {number}: not a setting of DVC", path=str(file), line=number)
        found = value["double"] or value["single"] or (value["bare"] or "").strip()
        sections[-1][2][key.strip().lower()] = found
    return sections
