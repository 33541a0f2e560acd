"""Reading a little of much that is at a remote takes few requests and few bytes."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.project import Project
from tests.servers.http_proxy import HttpProxy
from tests.servers.s3 import S3Server
from vstore.errors import ObjectMissingError
from vstore.ops.reading.library import Library, open_library

_MB = 1_000_000
_CONTENT = random.Random(1).randbytes(40 * _MB)


@pytest.fixture
def bucket(
    project: Project,
    moto: S3Server,
    http_proxy: Callable[[int], HttpProxy],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Project, HttpProxy]:
    """A clone of a project with a large file and many small ones, all in a bucket only, and what counts requests."""
    place = moto.new_place()
    project.ok("remote", "add", "-d", "bucket", place.url)
    for name, value in place.options.items():
        monkeypatch.setenv(f"VSTORE_REMOTE_BUCKET_{name.upper()}", value)
    project.write("data/large.bin", _CONTENT)
    for number in range(300):
        project.write(f"data/small/{number:03}.txt", f"{number}".encode() * 100)
    project.ok("add", "data")
    project.commit()
    project.ok("push")
    proxy = http_proxy(moto.port)
    monkeypatch.setenv("VSTORE_REMOTE_BUCKET_ENDPOINT_URL", moto.through(proxy.port))
    clone = project.clone()
    monkeypatch.chdir(clone.path)
    return clone, proxy


def _spend(proxy: HttpProxy, work: Callable[[], object]) -> tuple[int, float]:
    """Return how many requests and megabytes some work takes."""
    requests, received = len(proxy.requests), proxy.received_bytes
    work()
    return len(proxy.requests) - requests, (proxy.received_bytes - received) / _MB


def _read(library: Library, start: int, length: int) -> bytes:
    with library.open("data/large.bin") as file:
        file.seek(start)
        return file.read(length)


def test_a_stretch_of_a_large_file(bucket: tuple[Project, HttpProxy]) -> None:
    """A megabyte out of a large file takes a few requests, and little more than a megabyte; again, it takes nothing."""
    _, proxy = bucket
    with open_library(None) as library:
        _read(library, 0, 1)  # what there is at the remote is learnt once
        requests, megabytes = _spend(proxy, lambda: _read(library, 20 * _MB, _MB))
        assert requests <= 2 and megabytes < 3
        assert _read(library, 20 * _MB, _MB) == _CONTENT[20 * _MB : 21 * _MB]
        assert _spend(proxy, lambda: _read(library, 20 * _MB + 500, _MB // 2)) == (0, 0)
        node = library.view.get_file("data/large.bin")
        requests, megabytes = _spend(proxy, lambda: library.read(node, 10 * _MB, _MB))
        assert requests <= 2 and megabytes < 3  # two where it goes over the end of a pack
    with open_library(None) as library:  # another process asks what there is, and has the rest on disk
        requests, megabytes = _spend(proxy, lambda: _read(library, 20 * _MB, _MB))
        assert requests <= 4 and megabytes < 0.1


def test_from_the_first_byte_to_the_last(bucket: tuple[Project, HttpProxy]) -> None:
    """Who reads on in small steps gets ever more with each request, and no byte twice."""
    _, proxy = bucket
    with open_library(None) as library, library.open("data/large.bin") as file:
        parts: list[bytes] = []
        requests, megabytes = _spend(proxy, lambda: parts.extend(iter(lambda: file.read(100_000), b"")))
        assert b"".join(parts) == _CONTENT
        assert requests < 25 and megabytes < 42


def test_many_small_files(bucket: tuple[Project, HttpProxy]) -> None:
    """Small files that are wanted together are read together."""
    _, proxy = bucket
    with open_library(None) as library:
        nodes = list(library.view.iter_below("data/small"))
        requests, _ = _spend(proxy, lambda: library.load([(node, 0, node.size_bytes or 0) for node in nodes]))
        assert len(nodes) == 300 and requests <= 5
        requests, _ = _spend(proxy, lambda: [library.open_node(node).read() for node in nodes])
        assert requests == 0


def test_one_small_file_after_the_other(bucket: tuple[Project, HttpProxy]) -> None:
    """Who reads a directory file by file gets ever more with each request; who jumps gets only what was meant."""
    _, proxy = bucket
    with open_library(None) as library:
        nodes = list(library.view.iter_below("data/small"))
        library.open_node(nodes[250]).close()
        requests, _ = _spend(proxy, lambda: [library.open_node(node).close() for node in nodes])
        assert requests <= 9
        assert [library.open_node(node).read()[:3] for node in (nodes[0], nodes[299])] == [b"000", b"299"]
    shutil.rmtree(".git/vstore/blocks")
    with open_library(None) as library:
        library.open_node(nodes[0]).close()
        requests, _ = _spend(proxy, lambda: [library.open_node(nodes[row]).close() for row in range(290, 0, -29)])
        assert requests == 10


def test_nothing_is_left_in_the_cache(bucket: tuple[Project, HttpProxy]) -> None:
    """What is only read is not fetched: the cache has the list of files, and blocks are bounded."""
    clone, _ = bucket
    clone.ok("config", "set", "--local", "fs.cache_size", "8M")
    with open_library(None) as library, library.open("data/large.bin") as file:
        assert file.read() == _CONTENT
    kept = [path.stat().st_size for path in (clone.path / ".git/vstore/blocks").rglob("*") if path.is_file()]
    assert 0 < sum(kept) <= 8 << 20
    assert not [path for path in (clone.path / ".git/vstore/cache/objects").rglob("*") if path.is_file()]


def test_pushed_later(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was missing is found as soon as somebody has pushed it."""
    project.add_remote()
    project.add_data()
    project.ok("push")
    project.write("model.bin", _CONTENT[:_MB])
    project.ok("add", "model.bin")
    project.commit("not pushed yet")
    clone = project.clone()
    monkeypatch.chdir(clone.path)
    with open_library(None) as library:
        with pytest.raises(ObjectMissingError):
            library.open("model.bin")
        project.ok("push")
        with library.open("model.bin") as file:
            assert file.read() == project.read("model.bin")
