"""Commits, intents and the format document: round trips, and everything a stranger may write in their place."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from vstore.errors import CorruptError, NewerFormatError, VstoreError
from vstore.objects.digest import Digest
from vstore.remote.commits import (
    Commit,
    CommittedRoot,
    check_format,
    commit_from_bytes,
    format_to_bytes,
    intent_from_bytes,
    intent_to_bytes,
)
from vstore.remote.layout import PackRef, commit_key, pack_key

_SESSION, _OTHER = "ab" * 16, "cd" * 16
_KEY = commit_key("project", _SESSION)
_A = PackRef(pack_key(_SESSION, 0), 1000, "0" * 32)
_B = PackRef(pack_key(_OTHER, 7), 2000, "f" * 32)
_COMMIT = Commit(
    "project",
    _SESSION,
    "ada@host",
    "2026-11-21T05:42:17+00:00",
    (
        CommittedRoot(Digest("xxh128:" + "1" * 32), "tree", "data/ä\n", 123, "c" * 40, (_A, _B)),
        CommittedRoot(Digest("blake3:" + "2" * 64), "file", "model", 0, None, (_B,)),
        CommittedRoot(Digest("xxh128:" + "3" * 32), "tree", "empty", 0, None, ()),
        CommittedRoot(Digest("xxh128:" + "4" * 32), "file", "merged", 1, None, (), 5, "eve", ("a" * 40, None)),
    ),
    (commit_key("project", _OTHER),),
)


def sealed(document: dict[str, Any]) -> bytes:
    """A document with a checksum that fits, whatever is in it."""
    document.pop("checksum", None)
    text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    return json.dumps({**document, "checksum": "xxh128:" + xxhash.xxh3_128_hexdigest(text)}).encode()


def test_commit_round_trip() -> None:
    """What is written is read, and the same commit has the same bytes."""
    data = _COMMIT.to_bytes()
    assert sorted(_COMMIT.packs()) == sorted([_A.key, _B.key])
    read = commit_from_bytes(data, _KEY)
    assert read == _COMMIT
    assert read.to_bytes() == data


def test_intent_round_trip() -> None:
    """An intent gives back the packs it relies upon."""
    data = intent_to_bytes(_SESSION, "project", "ada@host", "2026-11-21", [_A.key, _B.key])
    assert intent_from_bytes(data, "intents/x") == {_A.key, _B.key}


def test_format_round_trip() -> None:
    """The format document is accepted."""
    check_format(format_to_bytes("vstore 1.0"))


def test_every_torn_or_altered_commit_is_recognised() -> None:
    """A commit that was cut short or changed anywhere is damaged, never another commit."""
    data = _COMMIT.to_bytes()
    for end in range(len(data) - 1):
        with pytest.raises(CorruptError):
            commit_from_bytes(data[:end], _KEY)
    for at in range(len(data) - 1):
        changed = bytearray(data)
        changed[at] ^= 1
        with pytest.raises(CorruptError):
            commit_from_bytes(bytes(changed), _KEY)


@pytest.mark.parametrize("version", [2, 10**9])
def test_newer_versions_are_named(version: int) -> None:
    """A document of a newer version is an error that names the key."""
    for parse in (lambda data: commit_from_bytes(data, _KEY), lambda data: intent_from_bytes(data, _KEY)):
        with pytest.raises(NewerFormatError, match=_KEY):
            parse(json.dumps({"version": version}).encode())
    with pytest.raises(NewerFormatError, match=r"format\.json"):
        check_format(json.dumps({"version": version}).encode())


def test_commit_under_another_key_is_refused() -> None:
    """A commit that was copied to another project's folder is not a commit of that project."""
    with pytest.raises(CorruptError, match="another project"):
        commit_from_bytes(_COMMIT.to_bytes(), commit_key("other", _SESSION))


_FORGERIES: dict[str, Callable[[dict[str, Any]], object]] = {
    "pack outside": lambda d: d["packs"][0].update(key="packs/../../x"),
    "pack is a number": lambda d: d["packs"][0].update(key=7),
    "pack twice": lambda d: d["packs"][1].update(key=d["packs"][0]["key"]),
    "negative size": lambda d: d["packs"][0].update(size=-1),
    "huge size": lambda d: d["packs"][0].update(size=10**30),
    "fractional size": lambda d: d["packs"][0].update(size=1.5),
    "size is true": lambda d: d["packs"][0].update(size=True),
    "strange checksum": lambda d: d["packs"][0].update(checksum="zz"),
    "packs is an object": lambda d: d.update(packs={}),
    "no packs": lambda d: d.pop("packs"),
    "pin at nothing": lambda d: d["roots"][0].update(pins=[2]),
    "negative pin": lambda d: d["roots"][0].update(pins=[-1]),
    "pin is text": lambda d: d["roots"][0].update(pins=["0"]),
    "root is a list": lambda d: d.update(roots=[[]]),
    "strange digest": lambda d: d["roots"][0].update(digest="md5:00"),
    "strange kind": lambda d: d["roots"][0].update(kind="device"),
    "path is a number": lambda d: d["roots"][0].update(path=1),
    "git commit is a number": lambda d: d["roots"][0].update(git_commit=1),
    "git commits are a text": lambda d: d["roots"][3].update(git_commits="abc"),
    "one of the git commits is a number": lambda d: d["roots"][3].update(git_commits=[1]),
    "author is a list": lambda d: d["roots"][3].update(author=[]),
    "supersedes outside": lambda d: d.update(supersedes=["../x"]),
    "supersedes numbers": lambda d: d.update(supersedes=[1]),
    "session is a list": lambda d: d.update(session=[]),
    "old version": lambda d: d.update(version=0),
    "version is text": lambda d: d.update(version="1"),
    "no version": lambda d: d.pop("version"),
}


@pytest.mark.parametrize("forgery", _FORGERIES)
def test_forged_commits_are_refused(forgery: str) -> None:
    """A commit whose checksum fits but whose fields make no sense is damaged, and nothing else goes wrong."""
    document = json.loads(_COMMIT.to_bytes())
    _FORGERIES[forgery](document)
    with pytest.raises(CorruptError) as caught:
        commit_from_bytes(sealed(document), _KEY)
    assert caught.value.fields["key"] == _KEY


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b'"x"', b"{", b"\xff", b"[" * 100_000, b'{"version":1}', b"NaN"])
def test_what_is_no_document_is_refused(data: bytes) -> None:
    """Anything that is not a sealed JSON object is damaged."""
    for parse in (lambda d: commit_from_bytes(d, _KEY), lambda d: intent_from_bytes(d, _KEY), check_format):
        with pytest.raises(CorruptError):
            parse(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(field=st.sampled_from(["packs", "roots", "supersedes", "project", "author", "version"]), value=_JSON)
def test_any_json_in_a_field_raises_only_ours(field: str, value: object) -> None:
    """Whatever stands in a field, no foreign exception escapes."""
    document = json.loads(_COMMIT.to_bytes())
    document[field] = value
    try:
        commit_from_bytes(sealed(document), _KEY)
    except VstoreError:
        pass
