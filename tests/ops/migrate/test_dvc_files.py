"""What files of DVC say, and hostile ones."""

from __future__ import annotations

import json

import pytest

from vstore.errors import CorruptError, InvalidError
from vstore.ops.migrate.dvc_files import Found, parse_dvc_file, parse_listing, parse_lock_file
from vstore.ops.migrate.foreign import MD5, MD5_OF_TEXT, ForeignName

A = "0123456789abcdef0123456789abcdef"


def parse(text: str, path: str = "sub/x.dvc") -> Found:
    """Parse a file of DVC in a directory."""
    return parse_dvc_file(text.encode(), path)


def test_a_file() -> None:
    """A file has a hash, and maybe an executable bit, a description and a remote."""
    found = parse(
        f"outs:\n- md5: {A}\n  size: 3\n  hash: md5\n  isexec: true\n  path: tool\n  remote: big\n"
        "  desc: 'no'\n  type: model\n  labels: [a, b]\n  meta: {epochs: 3, rate: 0.5, ok: true, none: null, who: no}\n"
    )
    (artifact,) = found.artifacts
    assert artifact.path == "sub/tool" and artifact.kind == "file" and artifact.remote == "big"
    assert artifact.files is not None
    assert artifact.files[0].name == ForeignName(MD5, A) and artifact.files[0].executable
    labels = artifact.labels
    assert (labels.description, labels.type, labels.labels) == ("no", "model", ("a", "b"))
    assert labels.meta == {"epochs": 3, "rate": 0.5, "ok": True, "who": "no"}


def test_a_directory() -> None:
    """A directory has a list of its files; without "hash", by the rules of DVC 2."""
    (artifact,) = parse(f"wdir: ..\nouts:\n- md5: {A}.dir\n  nfiles: 2\n  path: data\n").artifacts
    assert artifact.path == "data" and artifact.kind == "tree" and artifact.files is None
    assert artifact.listing == ForeignName(MD5_OF_TEXT, A, is_list=True)


def test_files_in_the_pointer() -> None:
    """Where a remote keeps versions, the list of files stands in the file of DVC itself."""
    text = f"outs:\n- path: d\n  hash: md5\n  files:\n  - relpath: a/b\n    md5: {A}\n    cloud: {{s: {{etag: x}}}}\n"
    (artifact,) = parse(text).artifacts
    assert artifact.files is not None and [file.path for file in artifact.files] == ["a/b"]


@pytest.mark.parametrize("name", ["no", "on", "12:30:45", "0x10", "1_000", "2020-01-01", "=", "yes"])
def test_names_stay_names(name: str) -> None:
    """A plain word is what YAML 1.2 says, as DVC writes it: names are not taken for numbers, dates or booleans."""
    (artifact,) = parse(f"outs:\n- md5: {A}\n  path: {name}\n").artifacts
    assert artifact.path == f"sub/{name}"


@pytest.mark.parametrize(
    "path",
    [
        "../../x",
        "/etc/passwd",
        "s3://bucket/x",
        "..",
        "../.git/config",
        "../.vstore/config",
        "a/../..",
        "'a\\b'",
        "''",
    ],
)
def test_paths_that_lead_out(path: str) -> None:
    """A path outside the repository, or inside what git or vstore keep, is passed over."""
    found = parse(f"outs:\n- md5: {A}\n  path: {path}\n")
    assert not found.artifacts and "outside the repository" in found.refused[0][1]


@pytest.mark.parametrize(
    "md5", ["../../../../etc/passwd", A[:-1], A + "0", A.upper(), "12", "{a: 1}", "[1]", f"../{A}.dir", "true"]
)
def test_hashes_that_are_none(md5: str) -> None:
    """What is no hash is never made a path of."""
    found = parse(f"outs:\n- md5: {md5}\n  path: x\n")
    assert not found.artifacts and "hash" in found.refused[0][1]


@pytest.mark.parametrize("more", ["cache: false", "etag: abc", "md5: null", "md5: ''"])
def test_what_dvc_does_not_hold(more: str) -> None:
    """What git keeps, what lies elsewhere and what was never downloaded is passed over with the reason."""
    found = parse(f"outs:\n- path: x\n  {more}\n")
    assert not found.artifacts and found.skipped[0][0] == "sub/x"


@pytest.mark.parametrize(
    "text",
    [
        "outs: 3",
        "outs: [1]",
        "- a",
        "outs:\n- {",
        "<<<<<<< HEAD\nouts: []",
        "\0",
        "a: !!python/object:os.system x",
        "&a [*a]",
    ],
)
def test_no_file_of_dvc(text: str) -> None:
    """What DVC would not write is one error that names the file."""
    with pytest.raises(InvalidError, match=r"sub/x\.dvc"):
        parse(text)


def test_deep_and_wide() -> None:
    """Neither nesting nor aliases that repeat each other can take all memory or the stack."""
    with pytest.raises(InvalidError):
        parse("a: " + "[" * 100_000)
    bomb = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    found = parse(bomb + f"outs:\n- md5: {A}\n  path: x\n  meta: {{m: *a11}}\n")
    assert not found.artifacts and found.refused


def test_sources() -> None:
    """Where an import came from is told in the words of our pointers."""
    found = parse(f"frozen: true\ndeps:\n- path: https://e.org/x.csv\n  etag: '\"e\"'\nouts:\n- md5: {A}\n  path: x\n")
    assert found.artifacts[0].source == {"url": "https://e.org/x.csv"}
    found = parse(
        f"frozen: true\ndeps:\n- path: data/x\n  repo:\n    url: https://e.org/r\n    rev: main\n    rev_lock: {A}\n"
        f"outs:\n- md5: {A}\n  path: x\n"
    )
    assert found.artifacts[0].source == {"repo": "https://e.org/r", "path": "data/x", "rev": "main", "commit": A}
    assert not parse(f"deps:\n- path: code.py\nouts:\n- md5: {A}\n  path: x\n").artifacts[0].source


@pytest.mark.parametrize(
    "place", ["https://u:secret@e.org/x", "https://e.org/x?sig=secret", "remote://r/x", "../beside", "s3://b/x#y"]
)
def test_sources_that_are_not_told(place: str) -> None:
    """A place that is secret, or means something only to DVC or to one machine, does not get into the pointer."""
    text = f"frozen: true\ndeps:\n- path: '{place}'\nouts:\n- md5: {A}\n  path: x\n"
    assert parse(text).artifacts[0].source == {}
    text = text.replace(f"- path: '{place}'", f"- path: x\n  repo: {{url: '{place}'}}")
    assert parse(text).artifacts[0].source == {}


def test_lock_files() -> None:
    """Of a pipeline the cached outputs count, also where templates make stages, and relative to where a stage works."""
    lock = f"""
schema: '2.0'
stages:
  one:
    cmd: x
    outs:
    - path: out.csv
      md5: {A}
    - path: metrics.json
      md5: {A}
  many@a:
    outs:
    - path: a/model
      hash: md5
      md5: {A}.dir
    - path: a/scores.json
      md5: {A}
"""
    pipeline = """
stages:
  one:
    wdir: work
    outs: [out.csv]
    metrics:
    - metrics.json: {cache: false}
  many:
    foreach: [a]
    do:
      outs: ["${item}/model"]
      plots:
      - ${item}/scores.json: {cache: false}
"""
    found = parse_lock_file(lock.encode(), "sub/dvc.lock", pipeline.encode())
    assert [artifact.path for artifact in found.artifacts] == ["sub/work/out.csv", "sub/a/model"]
    assert len(parse_lock_file(lock.encode(), "dvc.lock", None).artifacts) == 4


@pytest.mark.parametrize(
    "data",
    [b"", b"{}3", b"3", b"[3]", b'[{"md5": "x", "relpath": "a"}]', b'[{"relpath": "a"}]', b"[" * 100_000,
     json.dumps([{"md5": A, "relpath": ""}]).encode(), json.dumps([{"md5": A, "relpath": 3}]).encode()],
)  # fmt: skip
def test_lists_that_are_none(data: bytes) -> None:
    """A list of files that DVC would not write is damaged."""
    with pytest.raises(CorruptError):
        parse_listing(data, MD5)
