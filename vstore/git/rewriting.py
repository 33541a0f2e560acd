"""Writing history anew, beside the one there is: no branch, tag, commit or file that exists is touched."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vstore.durable import os_errors, temporary_name
from vstore.errors import GitFailedError
from vstore.git.objects import iter_objects
from vstore.git.program import run_git

_REF = "refs/vstore/rewriting"
"""What fast-import writes to; nobody else looks at it, and it is deleted in the end."""
_STREAM_BYTES = 32 * 1024 * 1024
_KEPT_HEADERS = (b"author ", b"committer ", b"encoding ")
_SPECIAL = re.compile(rb'["\\\n]')
_ESCAPES = {b'"': b'\\"', b"\\": b"\\\\", b"\n": b"\\n"}


class OldCommit(NamedTuple):
    """A commit as it is: ``headers`` are the lines that say who, when and in which encoding."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    headers: tuple[bytes, ...]
    message: bytes


class Edit(NamedTuple):
    """What is different in a new commit: paths that it does not have, and files that it has with their content."""

    delete: tuple[str, ...]
    write: tuple[tuple[str, bytes], ...]


class Ref(NamedTuple):
    """A branch or tag: its full name, the object it names, and the commit that this is or stands for."""

    name: str
    oid: str
    commit: str


def list_refs(directory: Path, *prefixes: str) -> list[Ref]:
    """Return the refs below some prefixes that stand for commits, sorted by name; symbolic ones are left out."""
    layout = "%(refname)%00%(objectname)%00%(objecttype)%00%(*objectname)%00%(*objecttype)%00%(symref)"
    found = []
    for line in run_git(directory, "for-each-ref", f"--format={layout}", *prefixes).splitlines():
        name, oid, kind, inner, inner_kind, symref = os.fsdecode(line).split("\0")
        if not symref and "commit" in (kind, inner_kind):
            found.append(Ref(name, oid, oid if kind == "commit" else inner))
    return found


def list_commits(directory: Path, tips: Iterable[str]) -> list[OldCommit]:
    """Return every commit that is reachable from some, parents before children."""
    names = "".join(f"{tip}\n" for tip in tips).encode()
    output = run_git(directory, "rev-list", "--topo-order", "--reverse", "--parents", "--stdin", stdin=names)
    # Behind the edge of a shallow clone the objects still name parents, which are not there.
    parents = {line.split()[0]: tuple(line.split()[1:]) for line in output.decode().splitlines()}
    return [
        _parse_commit(found.oid, found.data)._replace(parents=parents[found.oid])
        for found in iter_objects(directory, parents)
    ]


def _parse_commit(oid: str, data: bytes) -> OldCommit:
    head, _, message = data.partition(b"\n\n")
    lines = head.split(b"\n")
    tree = next((line[5:].decode() for line in lines if line.startswith(b"tree ")), "")
    return OldCommit(oid, tree, (), tuple(line for line in lines if line.startswith(_KEPT_HEADERS)), message)


def rewrite(directory: Path, place: Path, commits: Sequence[OldCommit], edits: Mapping[str, Edit]) -> dict[str, str]:
    """Write commits anew with their edits; returns the new id of each old one.

    A commit that neither differs nor has a parent that does is the same as before.  Signatures, which would not be
    true any more, are left out.  ``place`` is a directory for a file of a moment.  Raises GitFailedError.
    """
    new: dict[str, str] = {}
    stream: list[bytes] = []
    marks: dict[str, int] = {}
    size_bytes = 0
    for commit in commits:
        edit = edits.get(commit.oid)
        if edit is None and all(new.get(parent) == parent for parent in commit.parents):
            new[commit.oid] = commit.oid
            continue
        marks[commit.oid] = len(marks) + 1
        parents = [f":{marks[parent]}" if parent in marks else new[parent] for parent in commit.parents]
        stream.append(_to_stream(commit, marks[commit.oid], parents, edit))
        size_bytes += len(stream[-1])
        if size_bytes > _STREAM_BYTES:
            new |= _import(directory, place, stream, marks)
            stream, marks, size_bytes = [], {}, 0
    if stream:
        new |= _import(directory, place, stream, marks)
    return new


def _import(directory: Path, place: Path, stream: list[bytes], marks: Mapping[str, int]) -> dict[str, str]:
    file = place / temporary_name()
    options = ["--quiet", "--force", "--date-format=raw-permissive", f"--export-marks={file}"]
    try:
        run_git(directory, "fast-import", *options, stdin=b"".join([*stream, b"done\n"]))
        with os_errors(file, "read"):
            lines = file.read_text("ascii").splitlines()
    finally:
        file.unlink(missing_ok=True)
        run_git(directory, "update-ref", "-d", _REF)
    written = dict(line.split() for line in lines)
    try:
        return {oid: written[f":{mark}"] for oid, mark in marks.items()}
    except KeyError as error:
        raise GitFailedError(f"git fast-import did not tell all commits in {directory}", path=str(directory)) from error


def _to_stream(commit: OldCommit, mark: int, parents: Sequence[str], edit: Edit | None) -> bytes:
    lines = [] if parents else [f"reset {_REF}\n".encode()]  # else it would follow what was written last
    lines += [f"commit {_REF}\nmark :{mark}\n".encode(), *(line + b"\n" for line in commit.headers)]
    lines += [_data(commit.message)]
    lines += [f"{'merge' if number else 'from'} {parent}\n".encode() for number, parent in enumerate(parents)]
    lines.append(f'M 040000 {commit.tree} ""\n'.encode())
    if edit is not None:
        lines += [b"D " + _quote(path) + b"\n" for path in edit.delete]
        for path, content in edit.write:
            lines += [b"M 100644 inline " + _quote(path) + b"\n", _data(content)]
    return b"".join(lines)


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


def _quote(path: str) -> bytes:
    return b'"' + _SPECIAL.sub(lambda found: _ESCAPES[found[0]], os.fsencode(path)) + b'"'


def copy_tag(directory: Path, tag: str, name: str, commit: str) -> str:
    """Write an annotated tag anew, with another name and for another commit, unsigned; returns its id."""
    (found,) = iter_objects(directory, [tag])
    head, _, message = found.data.partition(b"\n\n")
    message = re.split(rb"^-----BEGIN ", message, maxsplit=1, flags=re.MULTILINE)[0]
    tagger = [line for line in head.split(b"\n") if line.startswith(b"tagger ")]
    lines = [f"object {commit}".encode(), b"type commit", b"tag " + os.fsencode(name), *tagger]
    content = b"\n".join(lines) + b"\n\n" + message
    return run_git(directory, "hash-object", "-t", "tag", "-w", "--stdin", stdin=content).decode().strip()


def is_ancestor(directory: Path, old: str, new: str) -> bool:
    """Tell whether one commit is another, or reachable from it."""
    return old == new or not run_git(directory, "rev-list", "--max-count=1", old, f"^{new}")


def set_ref(directory: Path, name: str, oid: str, *, old: str | None) -> None:
    """Make a branch or tag name an object; ``old`` is what it names now, None if it is new.

    Raises GitFailedError, also where somebody else was quicker.
    """
    run_git(directory, "update-ref", name, oid, old if old is not None else "0" * len(oid))


def list_checked_out(directory: Path) -> set[str]:
    """Return the branches that are checked out in a work tree, by full name."""
    lines = os.fsdecode(run_git(directory, "worktree", "list", "--porcelain")).splitlines()
    return {line.removeprefix("branch ") for line in lines if line.startswith("branch ")}


def current_branch(directory: Path) -> str:
    """Return the name of the branch that is checked out; "" for none."""
    return os.fsdecode(run_git(directory, "branch", "--show-current")).rstrip("\n")
