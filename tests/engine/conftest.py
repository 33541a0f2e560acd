"""A cluster of two workers for each module of tests; workers that a test killed are replaced."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.cluster import Cluster, running_cluster
from vstore.engine import dask_cluster, shards

pytest.importorskip("distributed", reason="Dask is not installed (pip install -e '.[test]')")


@pytest.fixture(scope="module")
def _cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards are short, and so is the patience with a cluster that does nothing."""
    monkeypatch.setattr(shards, "LEAST_BYTES", 2 * 1024 * 1024)
    monkeypatch.setattr(dask_cluster, "PATIENCE_S", 2.0)


@pytest.fixture
def cluster(_cluster: Cluster, short: None) -> Cluster:
    """A scheduler and two workers."""
    if len(_cluster.workers) < 2:
        _cluster.add_workers(2 - len(_cluster.workers))
    return _cluster


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A directory of small files, some larger ones, and the same content twice."""
    folder = tmp_path / "source"
    (folder / "sub").mkdir(parents=True)
    for number in range(6):
        (folder / f"large{number}.bin").write_bytes(random.Random(number).randbytes(1_500_000))
        (folder / "sub" / f"{number}.txt").write_bytes(b"%d\n" % number * 500)
    (folder / "zz.bin").write_bytes((folder / "large0.bin").read_bytes())
    (folder / "sub" / "empty").write_bytes(b"")
    return folder
