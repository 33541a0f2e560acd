"""Commits: parsed from the bytes that git stores."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vstore.errors import GitFailedError

_HEADER = re.compile(rb"(tree|parent|author|committer) (.*)\n")
# The last "<" and ">": a name may hold either, for git only ever writes, and some programs write what they please.
_PERSON = re.compile(rb"(?P<name>.*?) ?<(?P<email>[^<>]*)>(?: *(?P<time>-?\d+))?[^<>]*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit; ``time_s`` is when it was committed, in seconds since 1970, ``subject`` its first paragraph."""

    id: str
    parents: tuple[str, ...]
    author: str
    email: str
    time_s: int
    subject: str


def tree_of(oid: str, content: bytes) -> str:
    """Return the id of the top folder of the commit that has this id and content.  Raises GitFailedError."""
    return _parse(oid, content)[0]["tree"][0].decode(errors="replace")


def commit_from_bytes(oid: str, content: bytes) -> Commit:
    """Return what a commit says; text in any encoding but UTF-8 suffers.  Raises GitFailedError."""
    headers, message = _parse(oid, content)
    author = _PERSON.fullmatch(headers["author"][0])
    committer = _PERSON.fullmatch(headers["committer"][0])
    paragraph = message.decode(errors="replace").lstrip("\n").partition("\n\n")[0]
    return Commit(
        id=oid,
        parents=tuple(parent.decode(errors="replace") for parent in headers["parent"]),
        author=author["name"].decode(errors="replace") if author else "",
        email=author["email"].decode(errors="replace") if author else "",
        time_s=int(committer["time"] or 0) if committer else 0,
        subject=" ".join(paragraph.split()),
    )


def _parse(oid: str, content: bytes) -> tuple[dict[str, list[bytes]], bytes]:
    headers: dict[str, list[bytes]] = {"tree": [], "parent": [], "author": [], "committer": []}
    end = 0
    while (match := _HEADER.match(content, end)) is not None:
        headers[match[1].decode()].append(match[2])
        end = match.end()
    if not (headers["tree"] and headers["author"] and headers["committer"]):
        raise GitFailedError(f"the commit {oid} is damaged")
    # Headers of other kinds follow (encoding, a signature), and then an empty line.
    return headers, content[end:].partition(b"\n\n")[2] if content[end : end + 1] != b"\n" else content[end + 1 :]
