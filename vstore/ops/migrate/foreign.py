"""What other tools call contents and artifacts, and proving that bytes are what a name says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vstore.errors import InvalidError
from vstore.objects.names import RelPath
from vstore.ops.add import Labels

MD5 = "md5"
MD5_OF_TEXT = "md5-dos2unix"
"""What DVC before 3.0 calls md5: of a text, that of its bytes with CRLF as LF."""
SHA256 = "sha256"
_DIGITS = {MD5: 32, MD5_OF_TEXT: 32, SHA256: 64}
PIECE_BYTES = 1024 * 1024
"""DVC reads so much at once, and looks for line ends in each piece alone: others would give another hash."""
_TEXT_BYTES = bytes(range(32, 127)) + b"\n\r\t\f\b"
_SAMPLE_BYTES = 512
_MOST_ODD = 0.3

Pieces = Callable[[], Iterator[bytes]]
"""Reads a content from its beginning, in pieces of ``PIECE_BYTES``; may be called again."""


class ForeignName(NamedTuple):
    """How another tool names a content; ``is_list``: the content lists the files of a directory."""

    algorithm: str
    hex: str
    is_list: bool = False

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}{'.dir' if self.is_list else ''}"

    @property
    def key(self) -> str:
        """Where it lies in a store of that tool, relative to the top."""
        if self.algorithm == SHA256:
            return f"{self.hex[:2]}/{self.hex[2:4]}/{self.hex}"
        folder = "files/md5/" if self.algorithm == MD5 else ""
        return f"{folder}{self.hex[:2]}/{self.hex[2:]}{'.dir' if self.is_list else ''}"


class ForeignVersion(NamedTuple):
    """Which version of an object, called as the file is, a remote holds."""

    remote: str
    id: str
    size_bytes: int


class ForeignFile(NamedTuple):
    """A file of an artifact; ``path`` is relative to the artifact, and "" if that is a file itself."""

    path: RelPath
    name: ForeignName
    executable: bool = False
    versions: tuple[ForeignVersion, ...] = ()


@dataclass(frozen=True, slots=True)
class ForeignArtifact:
    """What another tool tracks at ``path`` of the work tree, as the file ``written_in`` says.

    ``files`` is None while only the ``listing`` that names them is known.
    """

    path: RelPath
    written_in: RelPath
    kind: str
    """"file" or "tree"."""
    listing: ForeignName | None = None
    files: tuple[ForeignFile, ...] | None = None
    remote: str | None = None
    """Where alone it is pushed, if not everything is pushed there."""
    is_private: bool = False
    """Whether it was never to be pushed."""
    labels: Labels = field(default_factory=Labels)
    source: Mapping[str, Any] = field(default_factory=dict)
    home: RelPath = ""
    """The directory with the settings of the tool."""


def parse_name(algorithm: str, text: object, *, is_list: bool = False) -> ForeignName:
    """Return a name that was read somewhere.  Raises InvalidError for what is none."""
    if not isinstance(text, str) or not re.fullmatch(rf"[0-9a-f]{{{_DIGITS[algorithm]}}}", text):
        raise InvalidError(f"{text!r} is no {algorithm}")
    return ForeignName(algorithm, text, is_list)


def is_content(name: ForeignName, pieces: Pieces) -> bool:
    """Tell whether these bytes are what a name says."""
    if name.algorithm == SHA256:
        return _hash(hashlib.sha256(), pieces()) == name.hex
    if _hash(hashlib.md5(usedforsecurity=False), pieces()) == name.hex:
        return True
    # DVC 2 looks at the first bytes of a file, DVC 3 at those of each piece, to tell whether it is text.
    return name.algorithm == MD5_OF_TEXT and any(
        _hash(hashlib.md5(usedforsecurity=False), _unix_lines(pieces(), each=each)) == name.hex
        for each in (False, True)
    )


def _hash(state: Any, pieces: Iterator[bytes]) -> str:
    for piece in pieces:
        state.update(piece)
    digest: str = state.hexdigest()
    return digest


def _unix_lines(pieces: Iterator[bytes], *, each: bool) -> Iterator[bytes]:
    is_text = None
    for piece in pieces:
        if is_text is None or each:
            is_text = _is_text(piece[:_SAMPLE_BYTES])
        yield piece.replace(b"\r\n", b"\n") if is_text else piece


def _is_text(sample: bytes) -> bool:
    return b"\0" not in sample and len(sample.translate(None, _TEXT_BYTES)) <= _MOST_ODD * len(sample)
