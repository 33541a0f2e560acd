"""Trees are read in place, and say the same as parsed ones."""

from __future__ import annotations

import time

import pytest
from hypothesis import given

from tests.objects.strategies import entry_lists
from vstore.errors import CorruptError, NameRefusedError
from vstore.objects.digest import hash_bytes
from vstore.objects.tree import TREE_HEADER, Entry, Tree
from vstore.objects.tree_text import TreeText

_DIGEST = hash_bytes(b"", "xxh128")


def _text(*paths: str) -> TreeText:
    return TreeText(Tree([Entry(path, "f", 1, _DIGEST) for path in paths]).to_bytes())


@given(entry_lists)
def test_same_as_parsed(entries: list[Entry]) -> None:
    """Finding, listing and going down give what a search through all entries gives."""
    tree = Tree(entries)
    text = TreeText(tree.to_bytes())
    assert list(text.iter_below("")) == tree.entries
    for entry in tree.entries:
        assert text.find(entry.path) == entry
        assert text.find(entry.path + "/x") is None
        assert list(text.iter_after(entry.path)) == [other for other in tree.entries if other.path > entry.path]
        directory = entry.path.rpartition("/")[0]
        below = [other for other in tree.entries if not directory or other.path.startswith(directory + "/")]
        assert list(text.iter_below(directory)) == below
        assert text.has_below(directory)
        start = len(directory) + 1 if directory else 0
        names = {other.path[start:].partition("/")[0] for other in below}
        found = [child if isinstance(child, str) else child.path for child in text.iter_children(directory)]
        assert sorted(name[start:] for name in found) == sorted(names)


def test_names_that_sort_around_a_slash() -> None:
    """A name that goes on with a character before or after the slash is not taken for what is inside."""
    text = _text("a-b", "a/x", "a/y/z", "a0", "ab")
    assert [child if isinstance(child, str) else child.path for child in text.iter_children("")] == [
        "a-b",
        "a",
        "a0",
        "ab",
    ]
    assert [entry.path for entry in text.iter_below("a")] == ["a/x", "a/y/z"]
    assert not text.has_below("a-b")
    assert text.find("a") is None


def test_empty_tree() -> None:
    """An empty tree is a directory with nothing in it."""
    text = TreeText(TREE_HEADER.encode())
    assert text.has_below("") and list(text.iter_children("")) == [] and text.find("x") is None


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (f"f\t1\t{_DIGEST}\t../evil", NameRefusedError),
        ("l\t0\t/etc/passwd\tlink", NameRefusedError),
        ("f\t1\tno digest\tname", CorruptError),
        ("no tree", CorruptError),
    ],
)
def test_hostile_lines(line: str, error: type[Exception]) -> None:
    """A line that no tree may hold is refused when it is read."""
    text = TreeText(f"{TREE_HEADER}{line}\n".encode())
    with pytest.raises(error):
        list(text.iter_below(""))
    with pytest.raises(error):
        list(text.iter_children(""))


def test_unsorted_tree_ends() -> None:
    """An encoding in the wrong order neither loops nor answers with what is elsewhere."""
    lines = "".join(f"f\t1\t{_DIGEST}\t{path}\n" for path in ("c/x", "a/x", "b/x", "a/y", "c/a"))
    text = TreeText((TREE_HEADER + lines).encode())
    for directory in ("", "a", "b", "c"):
        try:
            list(text.iter_children(directory))
            list(text.iter_below(directory))
        except CorruptError:
            pass


def test_million_entries_are_found_at_once() -> None:
    """A path among a million, and what is beside it, is found without reading the rest."""
    lines = "".join(f"f\t1\t{_DIGEST}\td{number // 1000:04}/{number % 1000:03}.bin\n" for number in range(1_000_000))
    text = TreeText((TREE_HEADER + lines).encode())
    started = time.process_time()
    assert text.find("d0500/500.bin") is not None
    assert sum(1 for _ in text.iter_children("d0500")) == 1000
    assert sum(1 for _ in text.iter_children("")) == 1000
    assert time.process_time() - started < 1
