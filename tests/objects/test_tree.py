"""Trees: one encoding for one set of entries, and nothing hostile gets in or out."""

from __future__ import annotations

import gc
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.objects.strategies import HURTFUL_NAMES, Damage, damages, digests, entry_lists, without_conflicts
from tests.objects.test_names import REFUSED_PATHS
from vstore.errors import CorruptError, NameRefusedError, NewerFormatError, VstoreError
from vstore.objects.diff import is_between
from vstore.objects.digest import Digest, hash_bytes
from vstore.objects.tree import (
    EMPTY_DIRECTORY,
    EXECUTABLE,
    FILE,
    SYMLINK,
    TREE_HEADER,
    Entry,
    Tree,
    TreeDiff,
    cut_below,
    diff_trees,
    find_contents,
    find_contents_in,
    find_digests,
    iter_entries,
    paused_collector,
)

_DIGEST = hash_bytes(b"", "xxh128")


def _file(path: str, size_bytes: int = 0) -> Entry:
    return Entry(path, FILE, size_bytes, _DIGEST)


def _link(path: str, target: str) -> Entry:
    return Entry(path, SYMLINK, 0, target=target)


def _encode(*rows: str) -> bytes:
    return (TREE_HEADER + "".join(row + "\n" for row in rows)).encode("utf-8", "surrogateescape")


@given(entry_lists)
def test_round_trip(entries: list[Entry]) -> None:
    """What goes into a tree comes out of its bytes, sorted by the bytes of the paths."""
    tree = Tree.from_bytes(Tree(entries).to_bytes())
    assert tree.entries == sorted(entries, key=lambda entry: entry.path.encode())
    assert tree.size_bytes == sum(entry.size_bytes for entry in entries)
    assert tree.files == sum(entry.is_file for entry in entries)


@given(entry_lists, st.randoms())
def test_one_encoding(entries: list[Entry], chance: random.Random) -> None:
    """The order in which entries are given leaves no trace."""
    encoding = Tree(entries).to_bytes()
    chance.shuffle(entries)
    assert Tree(entries).to_bytes() == encoding


@given(entry_lists, damages)
def test_what_is_read_is_canonical(entries: list[Entry], damage: Damage) -> None:
    """Spoilt bytes are refused by an error of ours, or are the one encoding of what they say."""
    data = damage.of(Tree(entries).to_bytes())
    try:
        tree = Tree.from_bytes(data)
    except VstoreError:
        return
    assert tree.to_bytes() == data


@given(st.binary(), st.booleans())
def test_noise(data: bytes, framed: bool) -> None:
    """Noise never raises anything but our errors."""
    for parse in (Tree.from_bytes, find_contents, lambda noise: diff_trees(noise, noise)):
        try:
            parse(TREE_HEADER.encode() + data if framed else data)
        except VstoreError:
            pass


@pytest.mark.parametrize("name", HURTFUL_NAMES)
def test_odd_names(name: str) -> None:
    """Odd names survive as files, directories, links and targets."""
    entries = [
        _file(f"a{name}/{name}"),
        Entry(f"b{name}", EMPTY_DIRECTORY, 0),
        _link(f"c{name}", f"a{name}/{name}"),
        Entry(name, EXECUTABLE, 1, _DIGEST),
    ]
    assert sorted(Tree.from_bytes(Tree(entries).to_bytes()).entries) == sorted(entries)


def test_blocks_fit_together() -> None:
    """A tree longer than the blocks in which it is coded, some with odd names, comes back whole."""
    entries = [_file(f"{i:06}\n" if i == 3 else f"{i:06}", i) for i in range(120_000)]
    entries.append(_link("z", "000001"))
    assert Tree.from_bytes(Tree(entries).to_bytes()).entries == entries


@pytest.mark.parametrize("path", REFUSED_PATHS)
def test_hostile_names(path: str) -> None:
    """A path that a tree must not hold is refused on writing, and on reading as a stranger may have written it."""
    with pytest.raises(NameRefusedError) as caught:
        Tree([_file(path)])
    assert path in dict(caught.value.fields["names"])
    with pytest.raises((NameRefusedError, CorruptError)):
        Tree.from_bytes(_encode(f"f\t0\t{_DIGEST}\t{path}"))


@pytest.mark.parametrize(
    "entries",
    [
        [_file("a"), _file("a")],
        [_file("a", 1), _file("a", 2)],
        [_file("a"), Entry("a", EMPTY_DIRECTORY, 0)],
        [_file("a"), _file("a/b")],
        [_file("a"), _file("a-b"), _file("a/b/c/d")],
        [Entry("a", EMPTY_DIRECTORY, 0), _file("a/b")],
        [_link("a", "elsewhere"), _file("a/b")],
        [_link("a/b", "elsewhere"), Entry("a/b/c", EMPTY_DIRECTORY, 0)],
    ],
)
def test_entries_that_exclude_each_other(entries: list[Entry]) -> None:
    """Two entries for one path, or one below a file, a link or an empty directory, are refused."""
    with pytest.raises(NameRefusedError):
        Tree(entries)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("l", ""),
        ("l", "/etc/passwd"),
        ("l", ".."),
        ("l", "../x"),
        ("a/l", "../../x"),
        ("a/l", "./.././../x"),
        ("l", "a/../../x"),
        ("l", "C:\\x"),
        ("l", "C:/x"),
        ("l", "a\\b"),
        ("l", "a\0b"),
        ("l", "a\udcff"),
        # These climb out by way of another link: with s -> ".", "s/.." is the tree's parent.
        ("l", "s/.."),
        ("a/l", "../b/s/../../x"),
    ],
)
def test_hostile_targets(path: str, target: str) -> None:
    """A link that leads out of the tree, or may, is refused on writing and on reading."""
    with pytest.raises(NameRefusedError):
        Tree([_link(path, target)])
    with pytest.raises((NameRefusedError, CorruptError)):
        Tree.from_bytes(_encode(f"l\t0\t{target}\t{path}"))


@pytest.mark.parametrize(
    ("path", "target"),
    [("l", "a"), ("l", "."), ("a/l", ".."), ("a/b/l", "../../c//d/./e"), ("l", "missing/…"), ("l", "~"), ("l", "..a")],
)
def test_lawful_targets(path: str, target: str) -> None:
    """A relative link that stays inside the tree is kept as it is, also if nothing is there."""
    assert Tree.from_bytes(Tree([_link(path, target)]).to_bytes()).entries == [_link(path, target)]


def test_refusals_are_listed_together() -> None:
    """The error carries every refused name, its message the first three."""
    with pytest.raises(NameRefusedError, match="and 2 more") as caught:
        Tree([_file(f"a/../{i}") for i in range(5)])
    assert len(caught.value.fields["names"]) == 5


_GOOD = f"f\t0\t{_DIGEST}\tb"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"vstore-tree",
        b"vstore-tree 0\n",
        b"vstore-tree 01\n",
        b"vstore-tree 1\r\n",
        b"\xef\xbb\xbf" + _encode(),
        _encode(_GOOD)[:-1],
        _encode("", _GOOD),
        _encode(_GOOD, ""),
        _encode(_GOOD, f"f\t0\t{_DIGEST}\ta"),
        _encode(_GOOD, _GOOD),
        _encode(f"f\t00\t{_DIGEST}\ta"),
        _encode(f"f\t-1\t{_DIGEST}\ta"),
        _encode(f"f\t+1\t{_DIGEST}\ta"),
        _encode(f"f\t1_0\t{_DIGEST}\ta"),
        _encode(f"f\t٣\t{_DIGEST}\ta"),
        _encode(f"f\t{10**18}\t{_DIGEST}\ta"),
        _encode(f"f\t{'9' * 5000}\t{_DIGEST}\ta"),
        _encode("f\t0\txxh128:00\ta"),
        _encode(f"f\t0\t{_DIGEST.upper()}\ta"),
        _encode("f\t0\t\ta"),
        _encode(f"f\t0\t{_DIGEST}\t"),
        _encode(f"f\t0\t{_DIGEST}\ta\tb"),
        _encode(f"g\t0\t{_DIGEST}\ta"),
        _encode("d\t1\t\ta"),
        _encode("d\t0\tx\ta"),
        _encode("l\t1\tx\ta"),
        _encode("l\t0\t\ta"),
        _encode(f"f\t0\t{_DIGEST}\ta\udcff"),
    ],
)
def test_malformed(data: bytes) -> None:
    """What is not the encoding of a tree is refused."""
    with pytest.raises((CorruptError, NameRefusedError)) as caught:
        Tree.from_bytes(data)
    assert not isinstance(caught.value, NewerFormatError)


def test_newer_version() -> None:
    """A tree of a version to come is refused as such, with its number."""
    for parse in (Tree.from_bytes, find_contents):
        with pytest.raises(NewerFormatError) as caught:
            parse(b"vstore-tree 12\nwho knows")
        assert caught.value.fields["version"] == 12


@given(entry_lists, entry_lists, st.booleans())
def test_diff(one: list[Entry], other: list[Entry], blocks: bool) -> None:
    """The difference of two encodings is that of their entries, also where it is found a few lines at a time."""
    shared = [entry for entry in one if not entry.size_bytes % 2]
    old, new = without_conflicts(one), without_conflicts([*shared, *other])
    before, after = {entry.path: entry for entry in old}, {entry.path: entry for entry in new}
    with pytest.MonkeyPatch.context() as patch:
        if blocks:
            patch.setattr("vstore.objects.tree._COMPARED_BYTES", 100)
        diff = diff_trees(Tree(old).to_bytes(), memoryview(Tree(new).to_bytes()))
    assert diff == TreeDiff(
        added=[after[path] for path in sorted(after.keys() - before.keys())],
        deleted=[before[path] for path in sorted(before.keys() - after.keys())],
        modified=[
            (before[path], after[path]) for path in sorted(before.keys() & after.keys()) if before[path] != after[path]
        ],
    )


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ({"same": 1, "changed": 1, "gone": 1}, True),
        ({"same": 1, "changed": 2, "new": 2}, True),
        ({"same": 1, "changed": 2, "gone": 1}, True),
        ({"same": 1, "changed": 1}, True),
        ({"same": 1, "changed": 3}, False),
        ({"changed": 1}, False),
        ({"same": 1}, False),
        ({"same": 1, "changed": 1, "other": 1}, False),
    ],
)
def test_between_two(now: dict[str, int], expected: bool) -> None:
    """Each path is as in one tree or the other; what both have, and what neither has, decides as well."""
    encoded = [
        Tree(_file(path, size) for path, size in sizes.items()).to_bytes()
        for sizes in (now, {"same": 1, "changed": 1, "gone": 1}, {"same": 1, "changed": 2, "new": 2})
    ]
    assert is_between(*encoded) is expected


@given(entry_lists)
def test_contents_without_parsing(entries: list[Entry]) -> None:
    """The contents of a tree are found without parsing it, whatever its names look like."""
    tree = Tree(entries)
    contents = [(entry.digest, entry.size_bytes) for entry in tree.entries if entry.is_file]
    assert find_contents(tree.to_bytes()) == contents
    assert find_digests(tree.to_bytes()) == [digest for digest, _ in contents]
    lines = tree.to_bytes().split(b"\n")[1:-1]
    assert find_contents_in(lines) == contents
    with pytest.raises(CorruptError):
        find_contents_in([*lines, b"f\t1\tnonsense\tname"])


@given(digests)
def test_names_that_look_like_rows(digest: Digest) -> None:
    """A name that reads like a line of a tree stays a name."""
    entry = _file(f"x\nf\t1\t{digest}\ty")
    data = Tree([entry]).to_bytes()
    assert Tree.from_bytes(data).entries == [entry]
    assert find_contents(data) == [(_DIGEST, 0)]


def test_below() -> None:
    """A path selects itself and what is below, not what merely begins like it."""
    tree = Tree([_file("a"), _file("a-b"), _file("b/c"), _file("b/d/e"), _file("bb")])
    assert [entry.path for entry in tree.iter_below("b")] == ["b/c", "b/d/e"]
    assert [entry.path for entry in tree.iter_below("a")] == ["a"]
    assert [entry.path for entry in tree.iter_below("b/d")] == ["b/d/e"]
    assert list(tree.iter_below("")) == tree.entries


def test_collector_is_left_as_found() -> None:
    """Pausing the garbage collector ends with the block, also by an error, and does not start what was stopped."""
    with pytest.raises(KeyError), paused_collector():
        raise KeyError(gc.isenabled())
    assert gc.isenabled()
    with paused_collector():
        with paused_collector():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


@given(entry_lists, st.integers(0, 20))
def test_cut(entries: list[Entry], number: int) -> None:
    """What is at or below a path is cut out of an encoding as it is chosen from the entries."""
    tree = Tree(entries)
    paths = sorted({path for entry in entries for path in _and_above(entry.path)}) or ["nothing"]
    path = paths[number % len(paths)]
    for wanted in (path, path + "x", path[:-1]):
        if wanted:
            assert list(iter_entries(cut_below(tree.to_bytes(), wanted))) == list(tree.iter_below(wanted))


def _and_above(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[: number + 1]) for number in range(len(parts))]
