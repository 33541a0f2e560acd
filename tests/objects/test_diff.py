"""Differences by file: applied to the old side they give the new one, and renames lose nothing."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.objects.strategies import digests, entry_lists, without_conflicts
from vstore.errors import CorruptError
from vstore.objects.diff import NO_ENTRIES, Change, FileChanges, encode_file, find_renames
from vstore.objects.digest import hash_bytes
from vstore.objects.pointer import Pointer
from vstore.objects.tree import EXECUTABLE, FILE, SYMLINK, Entry, Tree

_DIGESTS = [hash_bytes(bytes([number]), "xxh128") for number in range(4)]
_PLACES = ("data", "tab\tand\nline", "data2")

_files = st.builds(
    Entry,
    st.sampled_from([f"{directory}{name}" for directory in ("", "a/", "b/c/", "\t/") for name in ("x", "y", "z\n")]),
    st.sampled_from([FILE, EXECUTABLE]),
    st.sampled_from([0, 7]),
    st.sampled_from(_DIGESTS),
    st.just(""),
)
_few = st.lists(_files, max_size=9).map(without_conflicts)
"""Lists of files of few names and contents, so that they move about."""


def _files_of(path: str, entries: list[Entry]) -> dict[str, Entry]:
    return {f"{path}/{entry.path}": entry._replace(path=f"{path}/{entry.path}") for entry in entries}


def _compare(sides: list[tuple[list[Entry], list[Entry]]]) -> list[FileChanges]:
    found = []
    for place, (old, new) in zip(_PLACES, sides, strict=False):
        changes = FileChanges()
        changes.compare(place, Tree(old).to_bytes(), Tree(new).to_bytes())
        found.append(changes)
    return found


@given(st.lists(st.tuples(_few, _few) | st.tuples(entry_lists, entry_lists), max_size=3))
def test_changes_applied_to_the_old_give_the_new(sides: list[tuple[list[Entry], list[Entry]]]) -> None:
    """What differs, with its renames, turns all old files into all new ones, each used once."""
    before: dict[str, Entry] = {}
    after: dict[str, Entry] = {}
    for place, (old, new) in zip(_PLACES, sides, strict=False):
        before |= _files_of(place, old)
        after |= _files_of(place, new)
    found = _compare(sides)
    find_renames(found)
    files = dict(before)
    changes = [change for one in found for change in one]
    for old, _ in changes:
        if old is not None:
            assert files.pop(old.path) == old
    for _, new in changes:
        if new is not None:
            assert files.setdefault(new.path, new) is new
    assert files == after
    for one in found:
        listed = list(one)
        paths = [(new or old).path for old, new in listed if (new or old) is not None]  # type: ignore[union-attr]
        assert paths == sorted(paths) and len(paths) == len(set(paths))
        kinds = Counter(_kind(change) for change in listed)
        assert len(one) == len(listed)
        assert (one.added, one.deleted, one.modified, one.renamed) == tuple(
            kinds[kind] for kind in ("added", "deleted", "modified", "renamed")
        )
    growth = sum(entry.size_bytes for entry in after.values()) - sum(entry.size_bytes for entry in before.values())
    assert sum(one.growth_bytes for one in found) == growth


def _kind(change: Change) -> str:
    if change.old is None:
        return "added"
    if change.new is None:
        return "deleted"
    return "modified" if change.old.path == change.new.path else "renamed"


@given(st.lists(st.tuples(_few, _few), max_size=3))
def test_everything_that_moved_is_found(sides: list[tuple[list[Entry], list[Entry]]]) -> None:
    """No content, unless it is empty, is both told as deleted and as added; and renamed is only what is the same."""
    found = _compare(sides)
    find_renames(found)
    changes = [change for one in found for change in one]
    gone = {old.digest for old, new in changes if new is None and old is not None and old.size_bytes}
    came = {new.digest for old, new in changes if old is None and new is not None and new.size_bytes}
    assert not gone & came
    for old, new in changes:
        if old is not None and new is not None and old.path != new.path:
            assert old.digest == new.digest
            assert new.size_bytes or old.path.rpartition("/")[2] == new.path.rpartition("/")[2]


def test_same_name_goes_first() -> None:
    """Of several files of one content, those that kept their last names belong together."""
    names = ("x", "y", "z")
    old = [Entry(f"old/{name}", FILE, 7, _DIGESTS[0]) for name in names]
    new = [Entry(f"{number}/{name}", FILE, 7, _DIGESTS[0]) for number, name in enumerate(reversed(names))]
    (changes,) = _compare([(old, new)])
    find_renames([changes])
    assert {(old.path, new.path) for old, new in changes if old and new} == {
        ("data/old/z", "data/0/z"),
        ("data/old/y", "data/1/y"),
        ("data/old/x", "data/2/x"),
    }


def test_many_of_one_content_take_no_longer() -> None:
    """A hundred thousand files of one content are matched in one pass, not each with each."""
    old = [Entry(f"old/{number:06}", FILE, 7, _DIGESTS[0]) for number in range(100_000)]
    new = [Entry(f"new/{number:06}x", FILE, 7, _DIGESTS[0]) for number in range(100_000)]
    (changes,) = _compare([(old, new)])
    find_renames([changes])
    assert changes.renamed == 100_000 and next(iter(changes)).old == old[0]._replace(path="data/old/000000")


@given(digests, st.booleans())
def test_file_that_became_a_directory(digest: str, executable: bool) -> None:
    """A file stands at the artifact's own path, and may be found again inside of what took its place."""
    pointer = Pointer("file", digest, 7, executable=executable)  # type: ignore[arg-type]
    tree = Tree([Entry("part", FILE, 7, pointer.digest), Entry("link", SYMLINK, 0, target="part")])
    changes = FileChanges()
    changes.compare("model", encode_file(pointer), tree.to_bytes())
    find_renames([changes])
    assert [(old and old.path, new and new.path) for old, new in changes] == [
        (None, "model/link"),
        ("model", "model/part"),
    ]


def test_parts_are_chosen() -> None:
    """Only what is wanted is looked at, and what is to be left out is not."""
    old = [Entry(name, FILE, 7, _DIGESTS[0]) for name in ("a", "a.txt", "b/x", "b/y", "c")]
    changes = FileChanges(wanted=["data/a", "data/b"], without=["data/b/y"])
    changes.compare("data", Tree(old).to_bytes(), NO_ENTRIES)
    assert [old.path for old, _ in changes if old] == ["data/a", "data/b/x"]
    assert changes.growth_bytes == -14


@pytest.mark.parametrize("line", [b"f\t7\tnothing\tx", b"nothing", b"f\t7\t\t", b"f\t7\txxh128:\xff\tx"])
def test_lines_that_are_none(line: bytes) -> None:
    """A stranger's tree that is malformed where it differs is refused at once, before anything is told."""
    with pytest.raises(CorruptError):
        FileChanges().compare("data", NO_ENTRIES, NO_ENTRIES + line + b"\n")
