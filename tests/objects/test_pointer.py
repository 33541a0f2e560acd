"""Pointers: what is written is read, what a person wrote stays, and what is wrong is named by file and line."""

from __future__ import annotations

import dataclasses
import datetime
import tomllib
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from tests.objects.strategies import Damage, damages, digests, pointers
from vstore.errors import InvalidError, NewerFormatError, NotDownloadedError, PointerInvalidError, VstoreError
from vstore.objects.digest import Digest, hash_bytes
from vstore.objects.pointer import (
    MAX_POINTER_BYTES,
    Pointer,
    awaited_from_bytes,
    pointer_from_bytes,
    pointer_to_bytes,
)

_DIGEST = hash_bytes(b"", "xxh128")
_FILE = Pointer("file", _DIGEST, 5)
_TREE = Pointer("tree", _DIGEST, 5, files=2)
_WRITTEN = f'version = 1\nkind = "file"\ndigest = "{_DIGEST}"\nsize = 5\nexecutable = false\n'
_EDITED = f"""\
# Ask Ada before changing this.
version = 1
kind = 'file'   # not a directory
digest = "{_DIGEST}"
size = 5
executable = false
owner = "Ada"   # a key of our own

[meta] # about the data
rows = 10 # without the header
columns.names = ["a", "b"]

[ours]
z = 1
[source] # where it came from
url = "https://example.org/data.csv"
[[more]]
x = 1
"""


def _same(left: Pointer, right: Pointer) -> bool:
    # repr tells 1 from True and 0.0 from -0.0, sorted keys because their order is no part of the value.
    return repr(_sorted(dataclasses.asdict(left))) == repr(_sorted(dataclasses.asdict(right)))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


@given(pointers)
def test_round_trip(pointer: Pointer) -> None:
    """What is written is read."""
    assert _same(pointer_from_bytes(pointer_to_bytes(pointer), "p"), pointer)


@given(pointers, pointers)
def test_rewriting(old: Pointer, new: Pointer) -> None:
    """A rewritten pointer says the new, and rewriting it again changes nothing."""
    data = pointer_to_bytes(new, pointer_to_bytes(old))
    assert _same(pointer_from_bytes(data, "p"), new)
    assert pointer_to_bytes(new, data) == data


@given(pointers)
def test_rewriting_what_a_person_edited(new: Pointer) -> None:
    """Comments and unknown keys survive any change of the values that are vstore's."""
    data = pointer_to_bytes(new, _EDITED.encode())
    assert _same(pointer_from_bytes(data, "p"), new)
    values = tomllib.loads(data.decode())
    assert values["owner"] == "Ada"
    assert values["ours"] == {"z": 1}
    assert values["more"] == [{"x": 1}]
    for comment in (b"# Ask Ada before changing this.", b"# not a directory", b"# a key of our own"):
        assert comment in data


def test_one_changed_value_is_one_changed_line() -> None:
    """A new value replaces its line alone, comments on it included, also in a table."""
    old = pointer_from_bytes(_EDITED.encode(), "p")
    new = dataclasses.replace(old, size_bytes=6, meta={**old.meta, "rows": 11})
    expected = _EDITED.replace("size = 5", "size = 6").replace("rows = 10 #", "rows = 11 #")
    assert pointer_to_bytes(new, _EDITED.encode()).decode() == expected


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_unchanged_bytes_stay(newline: str) -> None:
    """Rewriting a pointer with the values that it has gives its bytes, however they were laid out."""
    data = _EDITED.replace("\n", newline).encode()
    assert pointer_to_bytes(pointer_from_bytes(data, "p"), data) == data


def test_numbers_and_booleans_differ() -> None:
    """A value that changes from 1 to true is rewritten, although Python holds the two equal."""
    old = dataclasses.replace(_FILE, meta={"a": 1})
    new = dataclasses.replace(_FILE, meta={"a": True})
    assert pointer_from_bytes(pointer_to_bytes(new, pointer_to_bytes(old)), "p").meta["a"] is True


def test_layout() -> None:
    """One value a line in a fixed order; tables last; nothing that is not set."""
    assert pointer_to_bytes(_FILE).decode() == _WRITTEN
    full = dataclasses.replace(
        _TREE, type="images", labels=("a", "b"), description="Größe", remote="store", meta={"n": 1}, source={"url": "u"}
    )
    assert pointer_to_bytes(full).decode() == (
        f'version = 1\nkind = "tree"\ndigest = "{_DIGEST}"\nsize = 5\nfiles = 2\n'
        'type = "images"\ndescription = "Größe"\nremote = "store"\nlabels = ["a", "b"]\n'
        '\n[meta]\nn = 1\n\n[source]\nurl = "u"\n'
    )


def test_kinds() -> None:
    """A tree has a number of files, a file may be executable."""
    tree = pointer_from_bytes(pointer_to_bytes(_TREE), "p")
    assert tree.is_tree
    assert tree.files == 2
    file = pointer_from_bytes(pointer_to_bytes(dataclasses.replace(_FILE, executable=True)), "p")
    assert not file.is_tree
    assert file.executable
    assert file.files == 1


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "no version"),
        (_WRITTEN.replace("version = 1\n", ""), 1, "no version"),
        (_WRITTEN.replace("kind", "kin"), 1, "no kind"),
        (_WRITTEN.replace("version = 1", "version = '1'"), 1, "version must be a whole number"),
        (_WRITTEN.replace("version = 1", "version = true"), 1, "version must be a whole number"),
        (_WRITTEN.replace("version = 1", "version = 0"), 1, "version is not a format version"),
        (_WRITTEN.replace('"file"', '"link"'), 2, "kind must be"),
        (_WRITTEN.replace('"file"', "5"), 2, "kind must be a string"),
        (_WRITTEN.replace('"file"', '"tree"'), 1, "no files"),
        (_WRITTEN.replace("xxh128", "md5"), 3, "digest is not a digest"),
        (_WRITTEN.replace(_DIGEST, f"{_DIGEST}0"), 3, "digest is not a digest"),
        (_WRITTEN.replace("= 5", "= -5"), 4, "size is out of range"),
        (_WRITTEN.replace("= 5", f"= {2**63}"), 4, "size is out of range"),
        (_WRITTEN.replace("= 5", "= 5.0"), 4, "size must be a whole number"),
        (_WRITTEN.replace("= 5", "= true"), 4, "size must be a whole number"),
        (_WRITTEN.replace("= false", "= 0"), 5, "executable must be true or false"),
        (_WRITTEN + "\nlabels = 'a'\n", 7, "labels must be a list of strings"),
        (_WRITTEN + "\nlabels = ['a', 1]\n", 7, "labels must be a list of strings"),
        (_WRITTEN + "remote = 1\n", 6, "remote must be a string"),
        (_WRITTEN + "meta = 1\n", 6, "meta must be a table"),
        (_WRITTEN + "source = []\n", 6, "source must be a table"),
        (_WRITTEN + "size = 6\n", 6, "overwrite"),
        (_WRITTEN + "what is this\n", 6, "after"),
        (_WRITTEN + f"n = {'9' * 5000}\n", 7, "limit"),
        (_WRITTEN + f"n = {'[' * 5000}\n", 7, "recursion"),
        ("<<<<<<< HEAD\n" + _WRITTEN, 1, "merge conflict"),
        (_WRITTEN.replace("size", "<<<<<<< HEAD\nsize = 4\n=======\nsize") + ">>>>>>> theirs\n", 4, "merge conflict"),
        (_WRITTEN.replace("size", "||||||| base\nsize"), 4, "merge conflict"),
        (_WRITTEN.replace("size", "<<<<<<<\r\nsize"), 4, "merge conflict"),
        (_WRITTEN.replace("size", "=======\nsize"), 4, ""),
    ],
)
def test_errors_name_file_and_line(text: str, line: int, says: str) -> None:
    """Whatever is wrong with a pointer is one error that names the file, the line and the fault."""
    with pytest.raises(PointerInvalidError) as caught:
        pointer_from_bytes(text.encode(), "data/images.vstore")
    assert says in str(caught.value)
    assert str(caught.value).startswith("data/images.vstore")
    conflict = {"conflict": True} if says == "merge conflict" else {}
    assert caught.value.fields == {"path": "data/images.vstore", "line": line, **conflict}


def test_bytes_that_are_no_text() -> None:
    """A pointer that is not UTF-8 is refused with the line."""
    with pytest.raises(PointerInvalidError, match="line 6: not UTF-8"):
        pointer_from_bytes(_WRITTEN.encode() + b"x = '\xff'\n", "p")


def test_too_large() -> None:
    """A file that is no small pointer is refused without parsing it."""
    with pytest.raises(PointerInvalidError, match="too large"):
        pointer_from_bytes(b"#" * (MAX_POINTER_BYTES + 1), "p")


def test_newer_version() -> None:
    """A pointer of a version to come is refused as such, whatever else stands in it, and never rewritten."""
    data = b"version = 2\nkind = 'cloud'\n"
    with pytest.raises(NewerFormatError) as caught:
        pointer_from_bytes(data, "p.vstore")
    assert caught.value.fields == {"path": "p.vstore", "version": 2}
    with pytest.raises(NewerFormatError):
        pointer_to_bytes(_FILE, data)


def test_underlined_heading_is_no_conflict() -> None:
    """A description may underline its heading."""
    data = _WRITTEN + 'description = """\nHeading\n=======\ntext"""\n'
    assert pointer_from_bytes(data.encode(), "p").description == "Heading\n=======\ntext"


@pytest.mark.parametrize("value", [None, object(), "\udcff", {"a": None}, [b"x"]])
def test_values_that_toml_cannot_hold(value: object) -> None:
    """A value that TOML cannot hold is refused, fresh or rewritten."""
    pointer = dataclasses.replace(_FILE, meta={"a": value})
    for old in (None, _EDITED.encode()):
        with pytest.raises(InvalidError):
            pointer_to_bytes(pointer, old)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), 1e300, -0.0, 10**30, datetime.time(1, 2, 3, 4)])
def test_values_that_json_cannot_hold(value: object) -> None:
    """Numbers and times that TOML knows and JSON does not are kept."""
    data = pointer_to_bytes(dataclasses.replace(_FILE, meta={"a": value}))
    assert repr(pointer_from_bytes(data, "p").meta["a"]) == repr(value)
    assert repr(tomlkit.parse(data).unwrap()["meta"]["a"]) == repr(value)


@given(pointers, damages)
def test_spoilt(pointer: Pointer, damage: Damage) -> None:
    """Spoilt pointers raise our errors or say something sound, and can then be rewritten."""
    data = damage.of(pointer_to_bytes(pointer))
    try:
        found = pointer_from_bytes(data, "p")
    except VstoreError:
        return
    assert pointer_to_bytes(found, data) == data
    assert _same(pointer_from_bytes(pointer_to_bytes(found), "p"), found)


@given(st.binary())
def test_noise(data: bytes) -> None:
    """Noise never raises anything but our errors."""
    try:
        pointer_from_bytes(data, "p")
    except VstoreError:
        pass


AWAITED = b"""version = 1
# mine
kind = "tree"
size = 10
files = 2

[source]
url = "s3://bucket/x"
lock = "list:1"
"""


def test_import_that_was_not_downloaded_yet() -> None:
    """Without a digest an import is none that can be used, but what its pointer says can be read."""
    with pytest.raises(NotDownloadedError) as error:
        pointer_from_bytes(AWAITED, "x.vstore")
    assert error.value.fields == {"path": "x.vstore", "url": "s3://bucket/x"}
    pointer = awaited_from_bytes(AWAITED, "x.vstore")
    assert pointer.is_awaited
    assert (pointer.kind, pointer.size_bytes, pointer.files) == ("tree", 10, 2)
    assert pointer_to_bytes(pointer) == AWAITED.replace(b"# mine\n", b"")
    assert pointer_to_bytes(pointer, AWAITED) == AWAITED


def test_downloading_keeps_what_a_person_wrote() -> None:
    """When the data came, the digest gets its place in the file, and the rest stays."""
    pointer = awaited_from_bytes(AWAITED, "x.vstore")
    done = dataclasses.replace(pointer, digest=Digest("xxh128:" + 32 * "a"), size_bytes=11)
    assert pointer_to_bytes(done, AWAITED) == AWAITED.replace(
        b"size = 10\n", b'digest = "xxh128:%s"\nsize = 11\n' % (32 * b"a")
    )


def test_digest_behind_an_odd_kind() -> None:
    """Where the place for the digest is not found it stands somewhere else, but never in a table of people."""
    text = b'version = 1\n"kind" = "file"\n\n[meta]\nkind = "camera"\n\n[source]\nurl = "s3://bucket/x"\n'
    done = dataclasses.replace(awaited_from_bytes(text, "x.vstore"), digest=Digest("xxh128:" + 32 * "a"))
    assert pointer_from_bytes(pointer_to_bytes(done, text), "x.vstore") == done


@pytest.mark.parametrize("source", [b"", b"[source]\n", b"[source]\nurl = 1\n", b'[source]\nrepo = "x"\n'])
def test_digest_is_missing(source: bytes) -> None:
    """A pointer without a digest is broken unless a URL says where the data is."""
    with pytest.raises(PointerInvalidError):
        awaited_from_bytes(b'version = 1\nkind = "file"\nsize = 1\n' + source, "x.vstore")


_plain = st.one_of(
    st.builds(Pointer, st.just("file"), digests, st.integers(0, 2**63 - 1), executable=st.booleans()),
    st.builds(Pointer, st.just("tree"), digests, st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1)),
)
_small_damages = st.builds(
    Damage,
    st.integers(0, 200),
    st.integers(0, 2),
    st.sampled_from([b"", b"0", b"1", b"9", b"_", b"-", b"\n", b"\r\n", b" ", b'"', b"'", b"#", b"f", b"size = 1\n"]),
)


@given(_plain, st.none() | _small_damages)
def test_short_way_reads_what_toml_says(pointer: Pointer, damage: Damage | None) -> None:
    """Pointers that hold nothing but what vstore wrote are read in a shorter way, with the same outcome."""
    data = pointer_to_bytes(pointer)
    data = data if damage is None else damage.of(data)
    # A comment at the end says nothing, and takes the long way.
    assert repr(_outcome(data)) == repr(_outcome(data + b"#\n"))


def _outcome(data: bytes) -> Pointer | type[VstoreError]:
    try:
        return pointer_from_bytes(data, "p")
    except VstoreError as error:
        return type(error)
