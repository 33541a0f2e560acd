"""What git-lfs keeps in git: pointers in the place of files, and the attributes that say which files those are."""

from __future__ import annotations

import re
from collections.abc import Set
from typing import NamedTuple

from vstore.errors import InvalidError
from vstore.ops.migrate.foreign import SHA256, ForeignName, parse_name

MAX_POINTER_BYTES = 1024
"""By the specification of git-lfs: what is larger is no pointer."""

_VERSIONS = (
    b"version https://git-lfs.github.com/spec/v1",
    b"version https://hawser.github.com/spec/v1",
    b"version http://git-media.io/v/2",
)
_LINE = re.compile(rb"""(?P<pattern>\s*(?:"(?:[^"\\]|\\.)*"|\S+))(?P<rest>.*?)(?P<end>\r?\n?)""", re.DOTALL)
_MACRO, _FILTER = b"[attr]", b"filter=lfs"
_OF_LFS = {_FILTER, b"diff=lfs", b"merge=lfs", b"-text", b"lockable"}
_EXCEPTIONS = b"*.vstore !filter !diff !merge !text\n.gitattributes !filter !diff !merge !text\n"
_EXCEPTIONS += b".gitignore !filter !diff !merge !text\n"


def parse_lfs_pointer(data: bytes) -> ForeignName | None:
    """Return what content a pointer of git-lfs stands for; None for what is none.

    Neither is one that says how an extension changed the content, for that cannot be undone here.
    """
    if len(data) > MAX_POINTER_BYTES or not data.startswith(_VERSIONS):
        return None
    lines = data.decode(errors="replace").splitlines()
    fields = dict(line.split(" ", 1) for line in lines if " " in line)
    if any(key.startswith("ext-") for key in fields):
        return None
    kind, _, text = fields.get("oid", "").partition(":")
    try:
        return parse_name(SHA256, text) if kind == SHA256 else None
    except InvalidError:
        return None


def find_macros(attributes: bytes) -> Set[bytes]:
    """Return the macros of the topmost ``.gitattributes`` that hand files to git-lfs and say nothing else."""
    lines = map(_split, attributes.splitlines(keepends=True))
    return {
        line.pattern.strip().removeprefix(_MACRO)
        for line in lines
        if line.pattern.strip().startswith(_MACRO) and _FILTER in line.words and _OF_LFS.issuperset(line.words)
    }


def without_lfs(attributes: bytes, macros: Set[bytes] = frozenset()) -> bytes:
    """Return the content of a ``.gitattributes`` without what hands files to git-lfs, be it by one of some macros.

    Other lines stay as they are.
    """
    kept = []
    for line in attributes.splitlines(keepends=True):
        if line in _EXCEPTIONS.splitlines(keepends=True):
            continue
        pattern, words, end = _split(line)
        if macros.isdisjoint(words) and _FILTER not in words:
            kept.append(line)
        elif others := [word for word in words if word not in _OF_LFS and word not in macros]:
            kept.append(b" ".join([pattern, *others]) + end)
    return b"".join(kept)


class _Line(NamedTuple):
    pattern: bytes
    words: list[bytes]
    end: bytes


def _split(line: bytes) -> _Line:
    """Return the parts of a line of attributes; one that gives none has no words."""
    match = _LINE.fullmatch(line)
    if match is None or match["pattern"].lstrip().startswith(b"#"):
        return _Line(b"", [], b"")
    return _Line(match["pattern"], match["rest"].split(), match["end"])


def with_exceptions(attributes: bytes) -> bytes:
    """Return the content of a ``.gitattributes`` that keeps our own files from git-lfs, whatever it says above."""
    if attributes.endswith(_EXCEPTIONS):
        return attributes
    return attributes + b"\n" * bool(attributes and not attributes.endswith(b"\n")) + _EXCEPTIONS
