"""Merging pointers: descriptions key by key, comments of both, and conflicts that can be read and taken apart."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.objects.strategies import damages, pointers
from vstore.errors import PointerInvalidError, VstoreError
from vstore.objects.digest import hash_bytes
from vstore.objects.merge import Sides, settle
from vstore.objects.pointer import Pointer, pointer_from_bytes, pointer_to_bytes
from vstore.objects.pointer_merge import (
    Contents,
    conflict_to_bytes,
    is_merged,
    merge_pointers,
    split_conflict,
    with_contents,
)

_DIGESTS = [hash_bytes(b"%d" % number, "xxh128") for number in range(3)]
_POINTER = Pointer("file", _DIGESTS[0], 5)


def merge(base: bytes | None, ours: bytes, theirs: bytes) -> Sides[bytes]:
    """Merge pointers; contents are files, so that they are merged as a whole."""
    before, our, their = (None if data is None else pointer_from_bytes(data, "p") for data in (base, ours, theirs))
    contents = settle(*map(Contents.of, (before, our, their)))
    if contents.base is None:
        contents = contents._replace(base=contents.ours)
    return merge_pointers(base, ours, theirs, contents)


def changed(**fields: Any) -> bytes:
    """A pointer that differs from the common one in some fields."""
    return pointer_to_bytes(dataclasses.replace(_POINTER, **fields))


def settled(base: bytes | None, ours: bytes, theirs: bytes) -> Pointer:
    """The merged pointer, which has no conflict."""
    merged = merge(base, ours, theirs)
    assert merged.is_settled
    return pointer_from_bytes(merged.ours, "p")


_KEYS = [
    ("description", "ours", "theirs"),
    ("type", "dataset", "model"),
    ("remote", "one", "two"),
    ("meta", {"a": 1}, {"a": 2}),
    ("meta", {"a": {"b": 1}}, {"a": {"b": 2}}),
    ("source", {"url": "x", "etag": "1"}, {"url": "x", "etag": "2"}),
    ("digest", _DIGESTS[1], _DIGESTS[2]),
]


@pytest.mark.parametrize(("name", "ours", "theirs"), _KEYS, ids=str)
def test_one_key_changed(name: str, ours: Any, theirs: Any) -> None:
    """What one side changed is taken; what both changed differently is in conflict, and only that."""
    base, left, right = changed(), changed(**{name: ours}), changed(**{name: theirs})
    assert getattr(settled(base, left, base), name) == ours
    assert getattr(settled(base, base, right), name) == theirs
    assert getattr(settled(base, left, left), name) == ours
    merged = merge(base, left, right)
    assert merged.ours == left
    for side, wanted in ((merged.theirs, right), (merged.base, base)):
        assert pointer_from_bytes(side, "p") == pointer_from_bytes(wanted, "p")


def test_different_keys_merge() -> None:
    """A new digest here and descriptions there make one pointer with all of it."""
    base = changed(labels=("a", "b"), meta={"rows": 1, "by": "Ada"})
    ours = changed(digest=_DIGESTS[1], size_bytes=9, labels=("a", "c"), meta={"rows": 2, "by": "Ada", "x": {"p": 1}})
    theirs = changed(executable=True, description="new", labels=("a", "b", "d"), meta={"rows": 1, "x": {"q": 2}})
    assert settled(base, ours, theirs) == dataclasses.replace(
        _POINTER,
        digest=_DIGESTS[1],
        size_bytes=9,
        executable=True,
        description="new",
        labels=("a", "c", "d"),
        meta={"rows": 2, "x": {"p": 1, "q": 2}},
    )


def test_without_an_ancestor_everything_stays() -> None:
    """Two pointers that came about by themselves are united where they do not differ."""
    ours, theirs = changed(description="d", meta={"a": 1}), changed(type="t", meta={"b": 2})
    assert settled(None, ours, theirs) == dataclasses.replace(
        _POINTER, description="d", type="t", meta={"a": 1, "b": 2}
    )
    assert not merge(None, ours, changed(description="e")).is_settled


_EDITED = b"# Ask Ada.\n" + changed(meta={"a": 1}).replace(b"size = 5", b"size = 5 # bytes")


def test_what_people_wrote_stays() -> None:
    """Comments and unknown keys of both sides are in the result, each once."""
    base = _EDITED
    ours = base.replace(b"# Ask Ada.", b"# Ask Bob.") + b'\n[team]\nname = "ours"\n'
    theirs = base.replace(b"a = 1", b"a = 1 # checked\n# by hand") + b"\n[team]\nsize = 3\n[tool.x]\ny = [1]\n"
    merged = merge(base, ours, theirs)
    assert merged.is_settled
    text = merged.ours.decode()
    for comment in ("# Ask Bob.", "# bytes", "# checked", "# by hand"):
        assert text.count(comment) == 1
    assert '[team]\nname = "ours"\nsize = 3\n' in text and "[tool.x]\ny = [1]" in text


def test_unknown_keys_conflict_like_known_ones() -> None:
    """A key that we do not know is in conflict where both sides changed it, and goes where one side removed it."""
    base = changed() + b"owner = 1\n"
    merged = merge(base, changed() + b"owner = 2\n", changed() + b"owner = 3\n")
    assert merged.ours.endswith(b"owner = 2\n") and merged.theirs.endswith(b"owner = 3\n")
    assert merge(base, changed() + b"owner = 1\nx = 1\n", changed()).ours == changed() + b"x = 1\n"


@given(pointers, pointers, pointers)
def test_any_pointers_merge(base: Pointer, ours: Pointer, theirs: Pointer) -> None:
    """Whatever three pointers say, each side of the result is a pointer, and sides that changed nothing win nothing."""
    one, left, right = (pointer_to_bytes(pointer) for pointer in (base, ours, theirs))
    merged = merge(one, left, right)
    for data, side in zip(merged[1:], (ours, theirs), strict=True):
        chosen = pointer_from_bytes(data, "p")
        assert chosen.digest in (side.digest, ours.digest, theirs.digest)
    assert pointer_from_bytes(merge(one, left, one).ours, "p").digest == ours.digest
    assert pointer_from_bytes(merge(one, one, right).ours, "p").digest == theirs.digest


# The form of conflicts.


def test_a_conflict_can_be_read() -> None:
    """A pointer in conflict names the files, shows what differs, and is refused as a pointer."""
    ours = pointer_to_bytes(Pointer("tree", _DIGESTS[0], 5, files=2))
    theirs = pointer_to_bytes(Pointer("tree", _DIGESTS[1], 7, files=2))
    data = conflict_to_bytes(ours, theirs, ["a.txt", "odd\nname"])
    assert (
        data.decode()
        == f"""\
# Merged by vstore, but for what differs below.
# Files that both sides changed, each in its own way:
#   a.txt
#   "odd\\nname"
version = 1
kind = "tree"
<<<<<<< ours
digest = "{_DIGESTS[0]}"
size = 5
=======
digest = "{_DIGESTS[1]}"
size = 7
>>>>>>> theirs
files = 2
"""
    )
    with pytest.raises(PointerInvalidError) as raised:
        pointer_from_bytes(data, "p")
    assert raised.value.fields == {"path": "p", "line": 7, "conflict": True}
    assert split_conflict(data) == Sides(ours, ours, theirs) and is_merged(data)
    assert len(conflict_to_bytes(ours, theirs, [f"{n}" for n in range(10**5)])) < 2000
    for paths, merged in (([], True), (None, False)):
        data = conflict_to_bytes(ours, theirs, paths)
        assert split_conflict(data) == Sides(ours, ours, theirs) and is_merged(data) == merged


@pytest.mark.parametrize("marker_characters", [7, 9, 40])
@given(ours=pointers, theirs=pointers)
def test_conflicts_are_taken_apart(marker_characters: int, ours: Pointer, theirs: Pointer) -> None:
    """Either side of a conflict is the whole pointer that went in, whatever it says, with markers of any length."""
    left, right = pointer_to_bytes(ours), pointer_to_bytes(theirs)
    data = conflict_to_bytes(left, right, ["a"], marker_characters)
    sides = split_conflict(data)
    if left == right:
        assert sides is None
    else:
        assert sides is not None and (sides.ours, sides.theirs) == (left, right)


def test_long_pointers_are_compared_in_no_time() -> None:
    """However many equal lines a pointer has, and wherever they differ, its conflict costs one look at each."""
    ours = b"#\n" * 400_000 + changed() + b"#\n" * 100_000
    theirs = ours.replace(b"size = 5", b"#\n#\nsize = 6")
    data = conflict_to_bytes(ours, theirs, None)
    assert split_conflict(data) == Sides(ours, ours, theirs)
    assert len(data) < len(ours) + 200


@pytest.mark.parametrize("base", [b"", b"||||||| 1a2b3c\ndigest = 3\n"])
def test_conflicts_that_git_wrote(base: bytes) -> None:
    """What git leaves where the merge driver is not installed is taken apart, too, with the ancestor or without."""
    data = b"a = 1\n<<<<<<< HEAD\ndigest = 1\n" + base + b"=======\ndigest = 2\n>>>>>>> a branch\nb = 2\n"
    sides = split_conflict(data)
    assert sides is not None and not is_merged(data)
    assert sides.ours == b"a = 1\ndigest = 1\nb = 2\n" and sides.theirs == b"a = 1\ndigest = 2\nb = 2\n"
    assert sides.base == (b"a = 1\ndigest = 3\nb = 2\n" if base else sides.ours)


@pytest.mark.parametrize(
    "data", [b"", changed(), b"<<<<<<< a\nx = 1\n", b">>>>>>> a\n", b"x\n=======\ny\n", b"<<<<<<< a\n=======\n"]
)
def test_what_is_no_conflict_has_no_sides(data: bytes) -> None:
    """A sound pointer, or half a conflict, is not taken apart."""
    assert split_conflict(data) is None


@given(st.sampled_from([_EDITED, conflict_to_bytes(changed(), changed(size_bytes=6), ["a"])]), damages)
def test_damaged_conflicts(data: bytes, damage: Any) -> None:
    """Whatever a file in conflict holds, taking it apart and reading it ends well or with one of our errors."""
    sides = split_conflict(damage.of(data))
    for side in sides or ():
        try:
            pointer_from_bytes(side, "p")
        except VstoreError:
            pass


def test_other_contents() -> None:
    """A pointer that stands for other contents keeps all that was said about the old ones."""
    fresh = with_contents(_EDITED, Contents("tree", _DIGESTS[2], 8, 3))
    pointer = pointer_from_bytes(fresh, "p")
    assert (pointer.kind, pointer.digest, pointer.files, pointer.meta) == ("tree", _DIGESTS[2], 3, {"a": 1})
    assert b"# Ask Ada." in fresh
