"""The documents of the protocol: commits (also in trash), intents, and the format of the whole remote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vstore.errors import CorruptError
from vstore.objects.digest import DIGEST_PATTERN, Digest
from vstore.remote.layout import FORMAT, PackRef, find_commit_name, is_pack
from vstore.remote.sealed import Fields, seal, unseal
from vstore.remote.transport import Key

_CHECKSUM = "[0-9a-f]{32}"


class CommittedRoot(NamedTuple):
    """A root as a commit holds it: ``size_bytes`` is all it needs, ``pins`` are the packs that hold all of that.

    Where it was taken over from older commits, ``pushed_s`` is the store's own date of the last push (seconds since
    1970) and ``author`` who pushed then; else None, and the commit's own count.  ``git_commits`` are others that it was
    pushed for (None: for none), the last first.
    """

    digest: Digest
    kind: str
    path: str
    size_bytes: int
    git_commit: str | None
    pins: tuple[PackRef, ...]
    pushed_s: int | None = None
    author: str | None = None
    git_commits: tuple[str | None, ...] = ()

    def all_git_commits(self) -> tuple[str | None, ...]:
        """Return every git commit that it was pushed for, as far as that was kept; None among them for none."""
        return self.git_commit, *self.git_commits


@dataclass(frozen=True, slots=True)
class Commit:
    """What one push made safe.  ``created`` (ISO 8601) and ``author`` inform people: nothing is lost by them."""

    project: str
    session: str
    author: str
    created: str
    roots: tuple[CommittedRoot, ...]
    supersedes: tuple[Key, ...] = ()

    def packs(self) -> dict[Key, PackRef]:
        """Return every pack that a root is pinned to, by key."""
        return {pack.key: pack for root in self.roots for pack in root.pins}

    def to_bytes(self) -> bytes:
        """Return the one encoding of a commit."""
        packs = sorted(self.packs().values())
        numbers = {pack.key: number for number, pack in enumerate(packs)}
        return seal(
            {
                "project": self.project,
                "session": self.session,
                "author": self.author,
                "created": self.created,
                "packs": [{"key": key, "size": size, "checksum": checksum} for key, size, checksum in packs],
                "roots": [
                    {
                        "digest": root.digest,
                        "kind": root.kind,
                        "path": root.path,
                        "size": root.size_bytes,
                        "git_commit": root.git_commit,
                        "pins": sorted(numbers[pack.key] for pack in root.pins),
                    }
                    | ({} if root.pushed_s is None else {"pushed": root.pushed_s})
                    | ({} if root.author is None else {"author": root.author})
                    | ({"git_commits": root.git_commits} if root.git_commits else {})
                    for root in self.roots
                ],
                "supersedes": sorted(self.supersedes),
            }
        )


def commit_from_bytes(data: bytes, key: Key) -> Commit:
    """Parse the commit or trash entry at ``key``.  Raises CorruptError, NewerFormatError."""
    fields = unseal(data, key)
    name = find_commit_name(key)
    commit = (fields.text("project"), fields.text("session"))
    if name != commit:
        raise CorruptError(f"{key} is damaged: it is a commit of another project or session", key=key)
    packs = [_pack(pack, key) for pack in fields.objects("packs")]
    if len({pack.key for pack in packs}) != len(packs):
        raise CorruptError(f"{key} is damaged: it names a pack twice", key=key)
    supersedes = fields.texts("supersedes")
    if not all(find_commit_name(old) for old in supersedes):
        raise CorruptError(f"{key} is damaged: it supersedes what is no commit", key=key)
    return Commit(
        *commit,
        author=fields.text("author"),
        created=fields.text("created"),
        roots=tuple(_root(root, packs) for root in fields.objects("roots")),
        supersedes=tuple(supersedes),
    )


def _pack(fields: Fields, key: Key) -> PackRef:
    pack = PackRef(fields.text("key"), fields.count("size"), fields.text("checksum", _CHECKSUM))
    if not is_pack(pack.key):
        raise CorruptError(f"{key} is damaged: {pack.key!r} is not the key of a pack", key=key)
    return pack


def _root(fields: Fields, packs: Sequence[PackRef]) -> CommittedRoot:
    return CommittedRoot(
        digest=Digest(fields.text("digest", DIGEST_PATTERN)),
        kind=fields.text("kind", "file|tree"),
        path=fields.text("path"),
        size_bytes=fields.count("size"),
        git_commit=fields.optional_text("git_commit"),
        pins=tuple(packs[number] for number in fields.counts("pins", below=len(packs))),
        pushed_s=fields.optional_count("pushed"),
        author=fields.optional_text("author"),
        git_commits=tuple(fields.optional_texts("git_commits")),
    )


def intent_to_bytes(session: str, project: str, author: str, created: str, relied: Iterable[Key]) -> bytes:
    """Return the intent of a session: what it relies upon, besides everything that bears its own name."""
    return seal({"session": session, "project": project, "author": author, "created": created, "packs": sorted(relied)})


def intent_from_bytes(data: bytes, key: Key) -> frozenset[Key]:
    """Return the packs that the intent at ``key`` relies upon.  Raises CorruptError, NewerFormatError."""
    packs = unseal(data, key).texts("packs")
    if not all(map(is_pack, packs)):
        raise CorruptError(f"{key} is damaged: it relies on what is no pack", key=key)
    return frozenset(packs)


def tombstone_to_bytes(project: str, author: str, created: str) -> bytes:
    """Return a tombstone: its content informs people, and dooms nothing less where it is lost."""
    return seal({"project": project, "author": author, "created": created})


def author_of_tombstone(data: bytes, key: Key) -> str:
    """Return who wrote the tombstone at ``key``; empty where it does not tell."""
    try:
        return unseal(data, key).text("author")
    except CorruptError:
        return ""


def format_to_bytes(writer: str) -> bytes:
    """Return the document that says in which format a remote is kept; ``writer`` is what began it."""
    return seal({"format": "vstore-remote", "writer": writer})


def check_format(data: bytes) -> None:
    """Accept the format document of a remote that we can work with.  Raises CorruptError, NewerFormatError."""
    unseal(data, FORMAT).text("format", "vstore-remote")
