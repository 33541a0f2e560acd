"""Keys at a remote: where each kind of object lies, and what a key says about it.

Every key that is read out of a document goes through here, so nothing a stranger wrote is ever used as a path.
"""

from __future__ import annotations

import re
import secrets
from typing import NamedTuple

from vstore.errors import InvalidError
from vstore.remote.transport import Key

FORMAT = "format.json"
LISTING = "listing.json"
PACKS = "packs/"
INDEX = "index/"
INTENTS = "intents/"
COMMITS = "commits/"
TRASH = "trash/"
DOOMED = "doomed/"
PROBES = "probe/"

_SESSION = r"[0-9a-f]{32}"
_PROJECT = r"[0-9a-z][0-9a-z-]{0,63}"
_NUMBER = r"(?:0|[1-9][0-9]{0,8})"
_PACK = re.compile(rf"packs/(?P<session>{_SESSION})-(?P<number>{_NUMBER})\.vpack")
_INDEX = re.compile(rf"index/(?P<session>{_SESSION})-(?P<number>{_NUMBER})\.vidx")
_COMMIT = re.compile(rf"(?:commits|trash)/(?P<project>{_PROJECT})/(?P<session>{_SESSION})\.json")
_INTENT = re.compile(rf"intents/(?P<session>{_SESSION})\.json")
_TOMBSTONE = re.compile(rf"doomed/(?P<pack>{_SESSION}-{_NUMBER})")
_PROJECT_ID = re.compile(_PROJECT)


class PackRef(NamedTuple):
    """A pack as a commit or an index names it: its key, its length, the checksum in its footer (32 hex)."""

    key: Key
    size_bytes: int
    checksum: str


class CommitName(NamedTuple):
    """What the key of a commit or trash entry says."""

    project: str
    session: str


def new_session() -> str:
    """Return a fresh random session id: no key that is made of it was ever used, nor will be."""
    return secrets.token_hex(16)


def check_project(project: str) -> str:
    """Return a project id that may stand in keys.  Raises InvalidError."""
    if not _PROJECT_ID.fullmatch(project):
        raise InvalidError(f"not a project id: {project!r}", project=project)
    return project


def pack_key(session: str, number: int) -> Key:
    """Return the key of a session's pack."""
    return f"{PACKS}{session}-{number}.vpack"


def session_prefix(session: str) -> str:
    """Return what the keys of a session's packs begin with."""
    return f"{PACKS}{session}-"


def index_key(session: str, number: int) -> Key:
    """Return the key of a session's index object."""
    return f"{INDEX}{session}-{number}.vidx"


def intent_key(session: str) -> Key:
    """Return the key of a session's intent."""
    return f"{INTENTS}{session}.json"


def commits_prefix(project: str) -> str:
    """Return what the keys of a project's commits begin with."""
    return f"{COMMITS}{project}/"


def trash_prefix(project: str) -> str:
    """Return what the keys of a project's retired commits begin with."""
    return f"{TRASH}{project}/"


def commit_key(project: str, session: str) -> Key:
    """Return the key of the commit that a session makes."""
    return f"{commits_prefix(project)}{session}.json"


def trash_key(commit: Key) -> Key:
    """Return the key of a commit's copy in the trash."""
    return f"{TRASH}{commit.removeprefix(COMMITS)}"


def tombstone_key(pack: Key) -> Key:
    """Return the key of a pack's tombstone."""
    return f"{DOOMED}{pack.removeprefix(PACKS).removesuffix('.vpack')}"


def find_doomed_pack(tombstone: Key) -> Key | None:
    """Return the pack that a tombstone dooms, or None if the key is no tombstone."""
    match = _TOMBSTONE.fullmatch(tombstone)
    return f"{PACKS}{match['pack']}.vpack" if match else None


def find_commit_name(key: Key) -> CommitName | None:
    """Return what the key of a commit or trash entry says, or None if it is neither."""
    match = _COMMIT.fullmatch(key)
    return CommitName(match["project"], match["session"]) if match else None


def find_intent_session(key: Key) -> str | None:
    """Return the session whose intent lies at a key, or None if the key is no intent's."""
    match = _INTENT.fullmatch(key)
    return match["session"] if match else None


def find_session(key: Key) -> str | None:
    """Return the session that made a pack or an index object, or None if the key is neither."""
    match = _PACK.fullmatch(key) or _INDEX.fullmatch(key)
    return match["session"] if match else None


def is_pack(key: object) -> bool:
    """Tell whether something is the key of a pack."""
    return isinstance(key, str) and _PACK.fullmatch(key) is not None


def is_index(key: object) -> bool:
    """Tell whether something is the key of an index object."""
    return isinstance(key, str) and _INDEX.fullmatch(key) is not None


def number_of(pack: Key) -> int:
    """Return the number of a pack within its session."""
    match = _PACK.fullmatch(pack)
    assert match is not None
    return int(match["number"])
