"""Merging trees: what only one side did is taken, what both did differently is named, and nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.errors import CorruptError, NameRefusedError
from vstore.objects.digest import hash_bytes
from vstore.objects.merge import find_conflict_paths, merge_trees, take_entries
from vstore.objects.tree import EMPTY_DIRECTORY, EXECUTABLE, FILE, SYMLINK, Entry, Tree


def entry(path: str, what: str) -> Entry:
    """An entry by a short word: a content, "x:" and one, "->" and a target, or "/" for an empty directory."""
    if what == "/":
        return Entry(path, EMPTY_DIRECTORY, 0)
    if what.startswith("->"):
        return Entry(path, SYMLINK, 0, target=what[2:])
    content = what.removeprefix("x:").encode()
    return Entry(path, EXECUTABLE if what.startswith("x:") else FILE, len(content), hash_bytes(content, "xxh128"))


def encode(**entries: str) -> bytes:
    """The encoding of a tree; "_" in a name stands for a slash."""
    return Tree(entry(path.replace("_", "/"), what) for path, what in entries.items()).to_bytes()


def merge(base: bytes, ours: bytes, theirs: bytes) -> bytes:
    """The merged tree, which has no conflicts."""
    merged = merge_trees(base, ours, theirs)
    assert not merged.conflicts
    return merged.trees.ours.to_bytes()


def conflicts(base: bytes, ours: bytes, theirs: bytes) -> list[str]:
    """The paths in conflict."""
    return [conflict.path for conflict in merge_trees(base, ours, theirs).conflicts]


# Small worlds, in which the sides meet all the time.
_names = st.sampled_from(["a", "b", "s", "s/x", "s/y", "s/x/z", "t/u"])
_contents = st.sampled_from(["one", "two", "three", "x:one", "x:two", "/", "->b", ""])


@st.composite
def trees(draw: st.DrawFn) -> bytes:
    """The encoding of a tree."""
    found: dict[str, Entry] = {}
    for path, what in draw(st.dictionaries(_names, _contents, max_size=7)).items():
        made = entry(path, what)
        try:
            Tree([*found.values(), made])
        except NameRefusedError:
            continue
        found[path] = made
    return Tree(found.values()).to_bytes()


@given(trees(), trees())
def test_what_one_side_did_is_taken(base: bytes, changed: bytes) -> None:
    """Where the other side changed nothing, or the same, the result is what a side has."""
    assert merge(base, changed, base) == changed
    assert merge(base, base, changed) == changed
    assert merge(base, changed, changed) == changed


@given(trees(), trees(), trees())
def test_sides_are_alike(base: bytes, ours: bytes, theirs: bytes) -> None:
    """Exchanged sides give the exchanged result."""
    merged, mirrored = merge_trees(base, ours, theirs), merge_trees(base, theirs, ours)
    assert [(c.path, c.entries.ours, c.entries.theirs) for c in merged.conflicts] == [
        (c.path, c.entries.theirs, c.entries.ours) for c in mirrored.conflicts
    ]
    assert merged.trees.ours.entries == mirrored.trees.theirs.entries
    assert merged.trees.base.entries == mirrored.trees.base.entries


@given(trees(), trees(), trees())
def test_no_content_is_lost(base: bytes, ours: bytes, theirs: bytes) -> None:
    """A content that a side brought in is in the result, however conflicts are decided for that side."""
    merged = merge_trees(base, ours, theirs)
    before = {entry.digest for entry in Tree.from_bytes(base).entries}
    for side, tree in ((ours, merged.trees.ours), (theirs, merged.trees.theirs)):
        brought = {entry.digest for entry in Tree.from_bytes(side).entries if entry.is_file and entry.size_bytes}
        assert brought - before <= {entry.digest for entry in tree.entries}


@given(trees(), trees(), trees())
def test_decided_trees_differ_only_in_conflicts(base: bytes, ours: bytes, theirs: bytes) -> None:
    """Our decision and theirs differ at the paths in conflict and nowhere else, and each is a tree."""
    merged = merge_trees(base, ours, theirs)
    left, right = merged.trees.ours.to_bytes(), merged.trees.theirs.to_bytes()
    assert (left == right) == (not merged.conflicts)
    named = [conflict.path for conflict in merged.conflicts]
    for path in find_conflict_paths(left, right):
        assert any(path == name or name.startswith(path + "/") for name in named)
    for path in find_conflict_paths(left, right):
        # Decided one by one, in whatever order, the sides become equal.
        right = take_entries(right, left, [path]).to_bytes()
    assert right == left
    for tree in merged.trees:
        assert Tree.from_bytes(tree.to_bytes()).entries == tree.entries


def below(directory: str, tree: bytes) -> list[Entry]:
    """The entries of a tree, moved below a directory."""
    return [entry._replace(path=f"{directory}/{entry.path}") for entry in Tree.from_bytes(tree).entries]


@given(trees(), trees(), trees(), trees())
def test_changes_at_different_paths_never_conflict(old: bytes, new: bytes, other_old: bytes, other_new: bytes) -> None:
    """Where each side changed another directory, the result has both changes, whatever they were."""
    base = Tree([*below("l", old), *below("r", other_old)]).to_bytes()
    ours = Tree([*below("l", new), *below("r", other_old)]).to_bytes()
    theirs = Tree([*below("l", old), *below("r", other_new)]).to_bytes()
    assert merge(base, ours, theirs) == Tree([*below("l", new), *below("r", other_new)]).to_bytes()


def test_added_changed_and_deleted_files_merge() -> None:
    """Different files may be added, changed and deleted on both sides."""
    base = encode(a="1", b="2", c="3", d="4")
    ours = encode(a="1!", b="2", c="3", e="5")
    theirs = encode(a="1", b="2!", d="4", f="6")
    assert merge(base, ours, theirs) == encode(a="1!", b="2!", e="5", f="6")


def test_same_deletion_on_both_sides() -> None:
    """What both deleted is gone, without a conflict."""
    assert merge(encode(a="1", b="2"), encode(b="2"), encode(b="2", c="3")) == encode(b="2", c="3")


def test_directories_added_on_both_sides_are_united() -> None:
    """Without an ancestor everything stays, and only a file that differs is in conflict."""
    empty = encode()
    assert merge(empty, encode(a="1", b="2"), encode(b="2", c="3")) == encode(a="1", b="2", c="3")
    assert conflicts(empty, encode(a="1", b="2"), encode(b="3")) == ["b"]


@pytest.mark.parametrize(
    ("base", "ours", "theirs"),
    [
        ({"a": "1"}, {"a": "2"}, {"a": "3"}),
        ({"a": "1"}, {"a": "2"}, {}),
        ({"a": "1"}, {"a": "->b"}, {"a": "2"}),
        ({"a": "->b"}, {"a": "->c"}, {"a": "->d"}),
        ({}, {"a": "1"}, {"a": "x:1"}),
        ({}, {"a": "/"}, {"a": "1"}),
        ({"a": "1"}, {"a": "/"}, {"a": "2"}),
        ({"a": "1"}, {"a": "2"}, {"a_x": "3"}),
        ({"a_x": "1"}, {"a_x": "2"}, {"a": "3"}),
        ({}, {"a_x_y": "1", "a_z": "2"}, {"a": "3"}),
        ({}, {"a_x": "1"}, {"a": "->b"}),
    ],
    ids=str,
)
def test_what_both_changed_is_in_conflict(base: dict[str, str], ours: dict[str, str], theirs: dict[str, str]) -> None:
    """What cannot be had both is named once, by its outermost path, and every version of it is kept."""
    merged = merge_trees(encode(**base, k="kept"), encode(**ours, k="kept"), encode(**theirs, k="kept", n="new"))
    assert [conflict.path for conflict in merged.conflicts] == ["a"]
    assert merged.trees.ours.to_bytes() == encode(**ours, k="kept", n="new")
    assert merged.trees.theirs.to_bytes() == encode(**theirs, k="kept", n="new")
    assert merged.trees.base.to_bytes() == encode(**base, k="kept", n="new")


def test_executable_bit_and_content_are_merged_apart() -> None:
    """One side may make a file executable while the other changes it."""
    assert merge(encode(a="1"), encode(a="x:1"), encode(a="2")) == encode(a="x:2")
    assert merge(encode(a="x:1"), encode(a="x:2"), encode(a="1")) == encode(a="2")


def test_empty_directories_give_way() -> None:
    """A directory that is empty on one side and filled on the other is filled, whoever did what."""
    assert merge(encode(d="/"), encode(d_a="1"), encode(d_b="2")) == encode(d_a="1", d_b="2")
    assert merge(encode(d_a="1"), encode(d="/"), encode(d_a="1", d_b="2")) == encode(d_b="2")
    assert merge(encode(), encode(d="/"), encode(d_b="2")) == encode(d_b="2")
    assert merge(encode(d="/", e="1"), encode(e="1"), encode(d_b="2", e="1")) == encode(d_b="2", e="1")
    assert merge(encode(d="1"), encode(d="/"), encode(d_b="2")) == encode(d_b="2")


def test_moved_and_changed() -> None:
    """What one side moved and the other changed is at its new place, changed; also a whole directory of it."""
    base = encode(old_a="1", old_b="2", c="3")
    ours = encode(new_a="1", new_b="2", c="3")
    theirs = encode(old_a="1!", old_b="x:2", c="3!")
    assert merge(base, ours, theirs) == encode(new_a="1!", new_b="x:2", c="3!")
    assert merge(base, theirs, ours) == encode(new_a="1!", new_b="x:2", c="3!")


@pytest.mark.parametrize(
    ("base", "ours", "theirs"),
    [
        ({"a": "1", "b": "1"}, {"c": "1", "b": "1"}, {"a": "2", "b": "1", "c": "3"}),
        ({"a": "1"}, {"c_x": "1"}, {"a": "2", "c": "3"}),
        ({"a": "1", "b": "1"}, {"c": "1", "d": "1"}, {"a": "2", "b": "1"}),
        ({"a": ""}, {"b": ""}, {"a": "2"}),
    ],
    ids=str,
)
def test_uncertain_moves_are_conflicts(base: dict[str, str], ours: dict[str, str], theirs: dict[str, str]) -> None:
    """Where it is not clear what was moved, or its new place is taken, the deleted and changed file is in conflict."""
    assert "a" in conflicts(encode(**base), encode(**ours), encode(**theirs))


def test_broken_trees_are_refused() -> None:
    """A side that is no tree, or holds what no tree may hold, stops the merge."""
    good = encode(a="1")
    with pytest.raises(CorruptError):
        merge_trees(good, good, b"what\n")
    digest = hash_bytes(b"", "xxh128")
    with pytest.raises(NameRefusedError):
        merge_trees(good, good, good + f"f\t0\t{digest}\t../b\n".encode())


def test_many_files() -> None:
    """A change on each side of a large directory costs little more than reading it."""
    lines = [Entry(f"d{i // 100:03}/{i:06}", FILE, i, hash_bytes(b"%d" % i, "xxh128")) for i in range(20_000)]
    base = Tree(lines).to_bytes()
    ours = Tree([*lines[1:], entry("n", "ours")]).to_bytes()
    theirs = Tree([*lines[:-1], entry("m", "theirs")]).to_bytes()
    assert merge(base, ours, theirs) == Tree([*lines[1:-1], entry("n", "ours"), entry("m", "theirs")]).to_bytes()
