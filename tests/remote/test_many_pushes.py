"""A thousand small pushes: a fresh clone still needs few requests, and the bucket is hardly larger than what lives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.remote.bucket import Bucket
from tests.remote.world import noise
from vstore.objects.tree import FILE, Entry, Tree
from vstore.remote.content import Root

_FILES = 100
_FEW_DOZENS = 36
_WASTE = 1.3


def live_bytes(bucket_of: dict[str, int], roots: list[Root]) -> int:
    """How many bytes the records take that roots need."""
    return sum(bucket_of[digest] for digest in {content.digest for root in roots for content in root.contents})


@pytest.mark.parametrize("pushes", [200, 1000])
def test_many_pushes_of_one_small_change(tmp_path: Path, pushes: int, pytestconfig: pytest.Config) -> None:
    """After many pushes of one changed file each: requests per push, requests of a fresh clone, bytes in the bucket."""
    if pushes == 1000 and pytestconfig.getoption("--hypothesis-profile", None) != "thorough":
        pytest.skip("left to the nightly run, as pytest --hypothesis-profile=thorough: a thousand pushes")
    bucket = Bucket(tmp_path)
    ada, roots = bucket.machine(), []
    files = {f"d{i % 7}/f{i:04}": ada.shelf.put(noise(500 + i, i)) for i in range(_FILES)}
    sizes: dict[str, int] = {}
    for number in range(pushes):
        files[f"d{number % _FILES % 7}/f{number % _FILES:04}"] = ada.shelf.put(noise(800, 10_000 + number))
        tree = Tree([Entry(name, FILE, content.size_bytes, content.digest) for name, content in files.items()])
        own = ada.shelf.put(tree.to_bytes())
        root = Root(own.digest, "tree", [*(files[entry.path] for entry in tree.entries), own], f"v{number}")
        ada.push(root)
        roots.append(root)
        bucket.now_s += 60
        for content in root.contents:
            if content.digest not in sizes:
                found = ada.shelf.find_record(content.digest)
                assert found is not None
                sizes[content.digest] = found[0].record_bytes
    assert bucket.requests.total() / pushes < 20
    assert len(bucket.commits()) <= 32 and len(bucket.keys("index/")) <= 32

    for root in (roots[-1], roots[0], roots[pushes // 2]):
        bucket.requests.clear()
        assert bucket.lacks([root]) == []
        assert bucket.requests.total() <= _FEW_DOZENS, f"a fresh clone pulls {root.path}"

    bucket.end_holds(ada)
    assert bucket.size_bytes() < _WASTE * live_bytes(sizes, roots), "all versions live"
    assert bucket.lacks(roots[::97]) == []

    bucket.collect(ada, [root.digest for root in roots[:-10]])
    ada.remote.compact(ada.shelf)
    bucket.end_holds(ada)
    ada.remote.compact(ada.shelf)
    assert bucket.size_bytes() < _WASTE * live_bytes(sizes, roots[-10:]), "the last ten live"
    assert bucket.lacks(roots[-10:]) == []
