"""Trees: the manifest of a directory.

A tree is text: one line an entry, sorted by path, and one set of entries has exactly one encoding, so two
trees are equal when their digests are and differ in the lines that differ.

    vstore-tree 1
    f⇥1024⇥xxh128:...⇥data/a.bin        a file: size, digest, path
    x⇥812⇥xxh128:...⇥run.sh             an executable file
    l⇥0⇥../a.bin⇥links/a                a symlink: its target in the digest's place
    d⇥0⇥⇥empty                          an empty directory
"""

from __future__ import annotations

import bisect
import contextlib
import functools
import gc
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from vstore.errors import CorruptError, NameRefusedError, NewerFormatError
from vstore.objects.digest import DIGEST_PATTERN, Buffer, Digest
from vstore.objects.names import RelPath, find_refused_names

FILE = "f"
EXECUTABLE = "x"
SYMLINK = "l"
EMPTY_DIRECTORY = "d"

TREE_HEADER = "vstore-tree 1\n"
_NO_DIGEST = Digest("")
_SIZE_PATTERN = r"(0|[1-9][0-9]{0,17})"  # always fits a signed 64-bit integer
_ROW = re.compile(r"^([fxld])\t" + _SIZE_PATTERN + r"\t([^\t\n]*)\t([^\t\n]+)$", re.MULTILINE)
_FILE_ROW = re.compile(r"^([fx])\t" + _SIZE_PATTERN + r"\t(" + DIGEST_PATTERN + r")\t([^\t\n]+)$", re.MULTILINE)
_DIGEST = re.compile(DIGEST_PATTERN)
# Every entry stands below another line: its end is found faster than the beginning of a line.
_DIGEST_OF_FILE = re.compile(rb"\n[fx]\t[0-9]{1,18}\t(" + DIGEST_PATTERN.encode() + rb")\t")
_CONTENT = re.compile(rb"\n[fx]\t([0-9]{1,18})\t(" + DIGEST_PATTERN.encode() + rb")\t")
_OTHER_KINDS = (b"l\t", b"d\t")
# Text with one emoji in it takes four bytes a character: only a block at a time is held as text.
_BLOCK_BYTES = 4 * 1024 * 1024
_BLOCK_ENTRIES = 50_000
_COMPARED_BYTES = 256 * 1024


class Entry(NamedTuple):
    """One line of a tree.  About 280 bytes with its strings.

    ``digest`` is empty for symlinks and directories, ``target`` for all but symlinks.
    """

    path: RelPath
    kind: str
    size_bytes: int
    digest: Digest = _NO_DIGEST
    target: str = ""

    @property
    def is_file(self) -> bool:
        """Whether there is content."""
        return self.kind in "fx"


class Tree:
    """The entries of a directory, sorted by path.  Immutable."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Take entries in any order.  Raises NameRefusedError naming everything that a tree must not hold."""
        self.entries: list[Entry] = sorted(entries)
        refused = _find_refused(self.entries)
        if refused:
            names = ", ".join(f"{path!r} {reason}" for path, reason in refused[:3])
            more = f" and {len(refused) - 3} more" if len(refused) > 3 else ""
            raise NameRefusedError(f"names that vstore refuses to track: {names}{more}", names=refused)

    @property
    def size_bytes(self) -> int:
        """The sizes of all files, added up."""
        return sum([entry.size_bytes for entry in self.entries])

    @property
    def files(self) -> int:
        """How many files there are."""
        return sum([entry.kind in "fx" for entry in self.entries])

    def to_bytes(self) -> bytes:
        """Return the one encoding; 0.6 us an entry."""
        blocks = range(0, len(self.entries), _BLOCK_ENTRIES)
        return b"".join(
            [TREE_HEADER.encode(), *(_format(self.entries[start : start + _BLOCK_ENTRIES]) for start in blocks)]
        )

    @classmethod
    def from_bytes(cls, data: Buffer) -> Tree:
        """Parse and check a tree; 1.5 us an entry.  Raises CorruptError, NewerFormatError, NameRefusedError."""
        with paused_collector():
            entries = _parse(check_frame(data))
            paths = [entry[0] for entry in entries]
            if not all(map(operator.lt, paths, itertools.islice(paths, 1, None))):
                raise CorruptError("a tree is not sorted")
            return cls(entries)

    def iter_below(self, path: RelPath) -> Iterator[Entry]:
        """Yield the entry at ``path`` or all those below it; "" stands for the whole."""
        for entry in self.entries:
            if not path or entry.path == path or entry.path.startswith(path + "/"):
                yield entry


class TreeDiff(NamedTuple):
    """What turns one tree into another."""

    added: list[Entry]
    deleted: list[Entry]
    modified: list[tuple[Entry, Entry]]


def parse_entries(lines: bytes) -> list[Entry]:
    """Parse and check some whole lines of an encoded tree; 2 us an entry.  Raises CorruptError, NameRefusedError.

    What only the whole tree shows, such as its order, is not checked.
    """
    entries = _parse_block(lines)
    refused = find_refused_names([entry.path for entry in entries])
    refused += [(e.path, reason) for e in entries if e.kind == SYMLINK and (reason := find_target_refusal(e))]
    if refused:
        raise NameRefusedError(f"{refused[0][0]!r} {refused[0][1]}", names=refused)
    return entries


def diff_trees(old: Buffer, new: Buffer) -> TreeDiff:
    """Compare the encodings of two trees by their lines; only those that differ are parsed.

    Raises CorruptError, NewerFormatError.  Names are not checked: what acts on a stranger's tree reads it
    whole, by ``Tree.from_bytes``.
    """
    result = TreeDiff([], [], [])
    for old_lines, new_lines in iter_differing(old, new):
        before = {entry.path: entry for entry in parse_lines(old_lines)}
        after = {entry.path: entry for entry in parse_lines(new_lines)}
        result.added.extend([entry for path, entry in after.items() if path not in before])
        result.deleted.extend([entry for path, entry in before.items() if path not in after])
        result.modified.extend([(before[path], entry) for path, entry in after.items() if path in before])
    return result


def iter_differing(old: Buffer, new: Buffer) -> Iterator[tuple[list[bytes], list[bytes]]]:
    """Yield the lines that only the old and only the new tree has, a block at a time, sorted by path.

    Both lines of a path are in the same block.  Takes the memory of a block, 0.4 us a line where something near
    it differs, and next to nothing where nothing does.  Raises as ``diff_trees``.
    """
    before, after = check_frame(old), check_frame(new)
    start, other = len(TREE_HEADER), len(TREE_HEADER)
    while start < len(before) or other < len(after):
        same = before[start : start + _COMPARED_BYTES]
        if same == after[other : other + _COMPARED_BYTES]:
            length = same.rfind(b"\n") + 1
            if length:
                start, other = start + length, other + length
                continue
        mine = before[start : _end_of_block(before, start)].split(b"\n")[:-1]
        others = after[other : _end_of_block(after, other)].split(b"\n")[:-1]
        # Both blocks end where the one does that ends first.
        if mine and others:
            last, other_last = path_of(mine[-1]), path_of(others[-1])
            if last < other_last:
                del others[bisect.bisect_right(others, last, key=path_of) :]
            elif other_last < last:
                del mine[bisect.bisect_right(mine, other_last, key=path_of) :]
        start += sum(map(len, mine)) + len(mine)
        other += sum(map(len, others)) + len(others)
        known, wanted = set(mine), set(others)
        if known != wanted:
            yield [line for line in mine if line not in wanted], [line for line in others if line not in known]


def cut_below(tree: Buffer, path: RelPath) -> bytes:
    """Return the lines of a tree that are ``path`` or below it, without reading the others; as for ``iter_entries``.

    Raises CorruptError, NewerFormatError.
    """
    whole, key = check_frame(tree), path.encode(errors="surrogateescape")
    start = _find_line(whole, key)
    end = whole.find(b"\n", start) + 1
    itself = whole[start:end] if end and path_of(whole[start : end - 1]) == key else b""
    # Between "data" and "data/x" may stand "data.csv".
    return itself + whole[_find_line(whole, key + b"/") : _find_line(whole, key + b"0")]


def _find_line(data: bytes, key: bytes) -> int:
    """Return where the first line begins whose path is not before ``key``."""
    low, high = len(TREE_HEADER), len(data)
    while low < high:
        middle = (low + high) // 2
        start = data.rfind(b"\n", low, middle) + 1 or low
        end = data.find(b"\n", middle) + 1
        if path_of(data[start : end - 1]) < key:
            low = end
        else:
            high = start
    return low


def path_of(line: bytes) -> bytes:
    """Return the path on a line, as UTF-8; paths are sorted by these bytes.  Raises CorruptError."""
    try:
        path = line.split(b"\t", 3)[3]
    except IndexError as error:
        raise CorruptError("a tree has a line that is not an entry") from error
    return path.replace(b"\\t", b"\t").replace(b"\\n", b"\n") if b"\\" in path else path


def _end_of_block(data: bytes, start: int) -> int:
    return data.find(b"\n", start + _COMPARED_BYTES) + 1 or len(data)


def find_contents(tree: Buffer) -> list[tuple[Digest, int]]:
    """Return digest and size of every file in the encoding of a tree, in its order, without parsing the rest.

    0.6 us each.  Raises CorruptError, NewerFormatError.
    """
    return _take_contents(_CONTENT.findall(check_frame(tree)))


def find_contents_in(lines: list[bytes]) -> list[tuple[Digest, int]]:
    """Return the same of some lines.  Raises CorruptError where one of them is no entry."""
    found = _CONTENT.findall(b"".join([b"\n" + line for line in lines]))
    others = sum(line[:2] in _OTHER_KINDS for line in lines) if len(found) < len(lines) else 0
    if len(found) + others != len(lines):
        raise CorruptError("a tree has a line that is not an entry")
    return _take_contents(found)


def _take_contents(found: list[tuple[bytes, bytes]]) -> list[tuple[Digest, int]]:
    digests = b"\n".join([digest for _, digest in found]).decode().split("\n") if found else []
    return list(zip(map(Digest, digests), [int(size) for size, _ in found], strict=True))


def find_digests(tree: Buffer) -> list[Digest]:
    """Return the digest of every file in the encoding of a tree, in its order; 0.4 us each.

    Raises CorruptError, NewerFormatError.
    """
    found: list[bytes] = _DIGEST_OF_FILE.findall(check_frame(tree))
    # Decoding them together is four times as fast as one by one.
    return [Digest(text) for text in b"\n".join(found).decode().split("\n")] if found else []


def count_entries(tree: bytes) -> int:
    """Return how many entries an encoded tree has."""
    return sum(tree.count(f"\n{kind}\t".encode()) for kind in (FILE, EXECUTABLE, SYMLINK, EMPTY_DIRECTORY))


@contextlib.contextmanager
def paused_collector() -> Iterator[None]:
    """Pause the garbage collector: it costs up to 3.6 times while a million objects that stay are made."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def check_frame(data: Buffer) -> bytes:
    """Return the bytes of an encoded tree, if it begins and ends as one.  Raises CorruptError, NewerFormatError."""
    whole = bytes(data)
    if not whole.startswith(TREE_HEADER.encode()):
        version = re.match(rb"vstore-tree ([1-9][0-9]{0,8})\n", whole)
        if version:
            number = int(version[1])
            raise NewerFormatError(f"a tree has format version {number}", version=number)
        raise CorruptError("not a tree")
    if not whole.endswith(b"\n"):
        raise CorruptError("a tree ends inside a line")
    return whole


def parse_lines(lines: list[bytes]) -> list[Entry]:
    """Return the entries of some lines.  Raises CorruptError; names are not checked."""
    return list(iter_entries(b"".join([line + b"\n" for line in lines])))


def iter_entries(lines: bytes | bytearray) -> Iterator[Entry]:
    """Yield the entries of lines that stand one below the other, a block at a time.  Raises as ``parse_lines``."""
    for start, end in _iter_blocks(lines, 0):
        yield from _parse_block(lines[start:end])


def _parse(data: bytes) -> list[Entry]:
    entries: list[Entry] = []
    for start, end in _iter_blocks(data, len(TREE_HEADER)):
        entries += _parse_block(data[start:end])
    return entries


def _iter_blocks(data: bytes | bytearray, start: int) -> Iterator[tuple[int, int]]:
    while start < len(data):
        end = data.find(b"\n", start + _BLOCK_BYTES) + 1 or len(data)
        yield start, end
        start = end


def _parse_block(data: bytes | bytearray) -> list[Entry]:
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise CorruptError("a tree is not UTF-8") from error
    lines = text.count("\n")
    # Entry._make, without its Python frame.
    make_entry: Callable[[tuple[str, str, int, str, str]], Entry] = functools.partial(tuple.__new__, Entry)
    if "\\" not in text:
        files = _FILE_ROW.findall(text)
        if len(files) == lines:
            kinds, sizes, digests, paths = zip(*files, strict=True)
            columns = zip(paths, kinds, map(int, sizes), digests, itertools.repeat(""), strict=False)
            return list(map(make_entry, columns))
    rows: list[tuple[str, str, str, str]] = _ROW.findall(text)
    if len(rows) != lines:
        raise CorruptError("a tree has a line that is not an entry")
    entries = []
    for kind, size, content, path in rows:
        if kind in "fx":
            if _DIGEST.fullmatch(content) is None:
                raise CorruptError(f"a tree has no digest for {path!r}")
            entries.append(Entry(unescape(path), kind, int(size), Digest(content)))
        elif size != "0" or bool(content) != (kind == SYMLINK):
            raise CorruptError(f"a tree has a malformed entry for {path!r}")
        else:
            entries.append(Entry(unescape(path), kind, 0, _NO_DIGEST, unescape(content)))
    return entries


def _format(entries: list[Entry]) -> bytes:
    """Return the lines of entries."""
    text = "".join([f"{kind}\t{size}\t{digest or target}\t{path}\n" for path, kind, size, digest, target in entries])
    if text.count("\n") != len(entries) or text.count("\t") != 3 * len(entries):
        text = "".join(
            [
                f"{kind}\t{size}\t{digest or escape(target)}\t{escape(path)}\n"
                for path, kind, size, digest, target in entries
            ]
        )
    return text.encode()


def escape(text: str) -> str:
    """Return a path or target as it stands on a line."""
    # Backslashes are refused in names, so these two are unambiguous.
    return text.replace("\t", "\\t").replace("\n", "\\n")


def unescape(text: str) -> str:
    """Return a path or target that stands on a line."""
    return text.replace("\\t", "\t").replace("\\n", "\n")


def _find_refused(entries: list[Entry]) -> list[tuple[RelPath, str]]:
    paths = [entry[0] for entry in entries]
    refused = find_refused_names(paths)
    refused += [(a, "stands twice") for a, b in itertools.pairwise(paths) if a == b]
    parents = {path.rpartition("/")[0] for path in paths}
    ancestors = set(parents)
    for parent in parents:
        while parent := parent.rpartition("/")[0]:
            ancestors.add(parent)
    refused += [(path, "is a file or link and also a directory") for path in paths if path in ancestors]
    links = [entry for entry in entries if entry[1] == SYMLINK]
    return refused + [(link.path, reason) for link in links if (reason := find_target_refusal(link))]


def find_target_refusal(link: Entry) -> str | None:
    """Return why a tree must not hold a symlink, or None: its target must be relative and stay inside the tree."""
    target = link.target
    if not target or target.startswith("/") or re.match("[A-Za-z]:", target):
        return f"is a link to {target!r}, which is not relative"
    if re.search(r"[\\\0\ud800-\udfff]", target):
        return "is a link whose target holds a backslash, a NUL or bytes that are not UTF-8"
    components = [component for component in target.split("/") if component not in ("", ".")]
    climbs = len(list(itertools.takewhile("..".__eq__, components)))
    if climbs > link.path.count("/"):
        return f"is a link to {target!r}, outside the tracked directory"
    if ".." in components[climbs:]:
        # Below another link, ".." leads elsewhere than it reads: "s/.." leaves the tree where s links to ".".
        return f"is a link to {target!r}, where '..' stands after a name and may lead outside the tracked directory"
    return None
