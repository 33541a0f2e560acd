"""Every setting there is: its name, what values it takes, and what it does."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from vstore.config.syntax import canonical_name
from vstore.errors import ConfigInvalidError

Value = TypeVar("Value")

_TRUE, _FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0", ""}
_SIZE = re.compile(r"(\d+)([kmgt]?)", re.IGNORECASE)
_LINK_TYPES = ("reflink", "hardlink", "symlink", "copy")
_SECRET = re.compile("secret|password|token|key(?!_file|_id)|credential|connection_string|sas")


@dataclass(frozen=True, slots=True)
class Kind(Generic[Value]):
    """What values a setting takes: ``description`` completes "must be ...", ``parse`` raises ValueError."""

    description: str
    parse: Callable[[str], Value]


@dataclass(frozen=True, slots=True)
class Definition(Generic[Value]):
    """One setting.  NAME and OPTION in a name stand for any; ``default`` is None where there is none."""

    name: str
    kind: Kind[Value]
    default: str | None
    description: str

    def parse(self, text: str, *, name: str = "", place: str = "", line: int | None = None) -> Value:
        """Return the value that a text means.  Raises ConfigInvalidError naming the setting and where it is set."""
        try:
            return self.kind.parse(text)
        except ValueError as error:
            name = name or self.name
            where = f"{place}, line {line}: " if line else f"{place}: " if place else ""
            fact = f"{where}{name} must be {self.kind.description}, not {text!r}"
            raise ConfigInvalidError(fact, setting=name, path=place or None, line=line) from error


def _bool(text: str) -> bool:
    if text.lower() in _TRUE:
        return True
    if text.lower() in _FALSE:
        return False
    raise ValueError(text)


def _count(text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ValueError(text)
    return int(text)


def _seconds(text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]*)?", text):
        raise ValueError(text)
    return float(text)


def _size(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,15})([kmgt]?)(?:i?b)?", text.strip(), re.IGNORECASE)
    if match is None or not int(match[1]):
        raise ValueError(text)
    return int(match[1]) << 10 * " kmgt".index(match[2].lower() or " ")


def _hash(text: str) -> str:
    if text not in ("xxh128", "blake3"):
        raise ValueError(text)
    return text


def _project(text: str) -> str:
    if not re.fullmatch("[0-9a-f]{32}", text):
        raise ValueError(text)
    return text


def _link_types(text: str) -> tuple[str, ...]:
    types = tuple(each.strip() for each in text.split(","))
    if not set(types) <= set(_LINK_TYPES) or len(set(types)) < len(types):
        raise ValueError(text)
    return types


def _some(text: str) -> str:
    if not text:
        raise ValueError(text)
    return text


TEXT = Kind("some text", _some)
ANY = Kind("any text", str)
PATH = Kind("a path", _some)
BOOL = Kind("true or false", _bool)
COUNT = Kind("a whole number from 0", _count)
DAYS = Kind("a whole number of days, as 30", _count)
SECONDS = Kind("a number of seconds", _seconds)
SIZE = Kind("a number of bytes above 0, which may end in k, M, G or T", _size)
HASH = Kind("xxh128 or blake3", _hash)
PROJECT_ID = Kind("32 hexadecimal digits", _project)
LINK_TYPES = Kind("a list, separated by commas, of reflink, hardlink, symlink and copy", _link_types)

PROJECT = Definition("core.project", PROJECT_ID, None, "Names this project in buckets; `vstore init` writes it.")
HASH_ALGORITHM = Definition("core.hash", HASH, "xxh128", "The algorithm that names new contents.")
GIT = Definition("core.git", BOOL, "true", "Whether pointers are kept in a git repository.")
AUTOSTAGE = Definition("core.autostage", BOOL, "true", "Whether changed pointers are staged in git at once.")
DEFAULT_REMOTE = Definition("core.remote", TEXT, None, "The remote that is meant when none is named.")
LOCK_WAIT = Definition("core.lock_wait", SECONDS, "60", "How many seconds to wait for another command to finish.")
CACHE_DIR = Definition(
    "cache.dir",
    PATH,
    None,
    "Where the cache is, instead of inside the git directory; several repositories may share it.",
)
CACHE_TYPE = Definition(
    "cache.type", LINK_TYPES, "reflink,copy", "How large files get from the cache into the work tree: what works first."
)
CACHE_SHARED = Definition("cache.shared", BOOL, "false", "Whether the cache can be written by everybody in its group.")
ELSEWHERE_LIMIT = Definition(
    "cache.elsewhere_limit", SIZE, "10G", "How much is kept for you of what other repositories' remotes held."
)
JOBS = Definition("transfer.jobs", COUNT, "0", "How many transfers run at once; 0 chooses by the machine.")
TIMEOUT = Definition(
    "transfer.timeout", SECONDS, "30", "After how many seconds of silence a request counts as stalled."
)
IN_FLIGHT = Definition("transfer.in_flight", SIZE, "128M", "How much data transfers may hold in memory.")
FS_CACHE_SIZE = Definition(
    "fs.cache_size",
    SIZE,
    "4G",
    "How much of what is read from remotes without fetching it is kept on disk, beside the cache.",
)
REMOTE_URL = Definition("remote.NAME.url", TEXT, None, "Where the remote is: a URL, or the path of a directory.")
READ_ONLY = Definition("remote.NAME.read_only", BOOL, "false", "Whether pushing to the remote is refused.")
LISTING = Definition(
    "remote.NAME.listing",
    BOOL,
    "false",
    "Whether each push writes down what the remote holds, for readers over HTTP that cannot list.",
)
COMPACT = Definition(
    "remote.NAME.compact",
    BOOL,
    "true",
    "Whether a push merges what many small pushes left at the remote, once there is enough of it.",
)
RETENTION = Definition(
    "remote.NAME.retention_days",
    DAYS,
    "30",
    "For how many days the remote keeps what was pushed, though nothing names it any more.",
)
OPTION = Definition("remote.NAME.OPTION", ANY, None, "Any other option goes to the driver that the URL asks for.")

SETTINGS: tuple[Definition[Any], ...] = (
    PROJECT,
    HASH_ALGORITHM,
    GIT,
    AUTOSTAGE,
    DEFAULT_REMOTE,
    LOCK_WAIT,
    CACHE_DIR,
    CACHE_TYPE,
    CACHE_SHARED,
    ELSEWHERE_LIMIT,
    JOBS,
    IN_FLIGHT,
    TIMEOUT,
    FS_CACHE_SIZE,
    REMOTE_URL,
    READ_ONLY,
    LISTING,
    COMPACT,
    RETENTION,
    OPTION,
)
"""All settings, in the order of the reference."""

_BY_NAME = {definition.name: definition for definition in SETTINGS}


def find_definition(name: str) -> Definition[Any] | None:
    """Return what is known of a setting, by its canonical name; None where there is no such setting."""
    section, _, rest = name.partition(".")
    remote, _, key = rest.rpartition(".")
    if section == "remote" and remote:
        return _BY_NAME.get(f"remote.NAME.{key}", OPTION)
    return None if section == "remote" else _BY_NAME.get(name)


def check_setting(name: str, value: str) -> str:
    """Return the canonical name of a setting that may be set to ``value``.

    Raises ConfigInvalidError; where no such setting exists its field ``near`` is the likeliest name, or None.
    """
    import difflib  # only for those who mistype

    canonical = canonical_name(name)
    definition = find_definition(canonical)
    if definition is None:
        known = [each.name for each in SETTINGS]
        near = next(iter(difflib.get_close_matches(canonical, known, 1)), None)
        raise ConfigInvalidError(f"there is no setting {name}", setting=name, near=near)
    definition.parse(value, name=canonical)
    return canonical


def is_secret(name: str) -> bool:
    """Tell whether a setting, by its canonical name, holds a secret: judged by the words in a remote's option."""
    section, _, rest = name.partition(".")
    return section == "remote" and _SECRET.search(rest.rpartition(".")[2]) is not None
