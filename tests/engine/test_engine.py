"""Engines: cutting into shards, and clusters that cannot do what is asked."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.command import run_vstore_process
from tests.engine.cluster import Cluster, running_cluster
from tests.project import Project
from tests.servers.running import HOST, free_ports
from vstore import api, errors
from vstore.engine import shards
from vstore.engine.opening import open_engine
from vstore.errors import EngineUnavailableError, InvalidError, PartialError, VstoreError


@given(st.lists(st.integers(0, 3 * shards.MOST_BYTES), max_size=50), st.integers(1, 64))
def test_cut(sizes: list[int], places: int) -> None:
    """All items are in some shard, in their order, and only one that is too heavy alone makes a shard too heavy."""
    parts = shards.cut(sizes, lambda size: size, places=places)
    assert [size for part in parts for size in part] == sizes
    assert all(part for part in parts)
    assert all(sum(part) <= shards.MOST_BYTES or len(part) == 1 for part in parts)


def test_cut_keeps_all_busy() -> None:
    """A large job has several shards for each place, a small one only one."""
    assert len(shards.cut([100_000_000] * 100, int, places=10)) in range(40, 101)
    assert len(shards.cut([4096] * 100_000, int, places=2)) == 8
    assert len(shards.cut([4096] * 200, int, places=8)) == 1
    assert shards.cut([], int, places=1) == []


@pytest.mark.parametrize(
    "error",
    [
        PartialError("some", done=1, failed=[("a", "b")]),
        errors.RemoteUnavailableError("gone", cause=errors.Cause.DNS, url="u"),
        VstoreError("plain", number=1),
    ],
)
def test_errors_travel(error: VstoreError) -> None:
    """An error of a worker is the same error at the client."""
    found = pickle.loads(pickle.dumps(error))
    assert (type(found), found.message, str(found), vars(found)) == (
        type(error),
        error.message,
        str(error),
        vars(error),
    )


def test_no_engine() -> None:
    """Without an engine there is none; half a name, an unknown one and a strange address are refused."""
    assert open_engine(None, None) is None
    for name, scheduler in [("dask", None), (None, "tcp://a:1"), ("ray", "tcp://a:1"), ("dask", "a:1")]:
        with pytest.raises(InvalidError):
            open_engine(name, scheduler)


def test_options_go_together(project: Project) -> None:
    """On the command line half a cluster is a usage error, and an import by workers goes to a remote."""
    assert project.run("push", "--engine", "dask").exit_code == 2
    assert project.run("add", "x", "--scheduler", "tcp://a:1").exit_code == 2
    assert project.run("import-url", "/x", "--engine", "dask", "--scheduler", "tcp://a:1").exit_code == 2


def test_nobody_there(project: Project, data: Path, short: None) -> None:
    """Where no scheduler listens the command says so, and how to see more; nothing was done."""
    [port] = free_ports(1)
    shutil.copytree(data, project.path / "data")
    done = project.run("add", "data", "--engine", "dask", "--scheduler", f"tcp://{HOST}:{port}", "--json")
    assert done.exit_code == 14
    error = json.loads(done.stderr.splitlines()[-1])["error"]
    assert (error["code"], error["fields"]["reason"]) == ("engine-unavailable", "unreachable")
    assert not project.has("data.vstore")


def test_extra_is_missing(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package that the extra brings the command says what to install."""
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['distributed'] = None\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = run_vstore_process("push", "--engine", "dask", "--scheduler", "tcp://a:1", cwd=project.path)
    assert done.exit_code == 14
    assert "pip install 'vstore[dask]'" in done.stderr


def test_other_version(project: Project, data: Path, tmp_path: Path, short: None) -> None:
    """Workers of another version are refused before they do anything; one without vstore is, too."""
    other, none = tmp_path / "other", tmp_path / "none"
    for folder in (other, none):
        folder.mkdir()
    (other / "sitecustomize.py").write_text("import vstore\nvstore.__version__ = '0.0.1'\n")
    (none / "sitecustomize.py").write_text("import sys\nsys.modules['vstore'] = None\n")
    shutil.copytree(data, project.path / "data")
    with running_cluster(tmp_path / "cluster", workers=0) as cluster:
        for modules, words in ((other, "has vstore 0.0.1, and this is"), (none, "without vstore")):
            workers = cluster.add_workers(1, modules=str(modules))
            done = project.run("add", "data", *cluster.options)
            assert done.exit_code == 14
            assert words in done.stderr and "pip install 'vstore[dask]'" in done.stderr
            assert not project.has("data.vstore")
            assert workers[0].poll() is None  # others may need it
            cluster.kill(*workers)
        with pytest.raises(EngineUnavailableError, match="has no workers"):
            api.add("data", directory=project.path, engine="dask", scheduler=cluster.address)


def test_cache_is_not_shared(project: Project, data: Path, cluster: Cluster, tmp_path: Path) -> None:
    """A worker that sees another directory at the path of the cache is refused, and writes nothing there."""
    cache = project.path / ".git/vstore/cache"
    hidden = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {cache} && exec "$@"', "sh"]
    if subprocess.run([*hidden, "true"], capture_output=True, check=False).returncode:
        pytest.skip("only root can hide a directory from a process")
    shutil.copytree(data, project.path / "data")
    with running_cluster(tmp_path / "cluster", workers=0) as apart:
        apart.add_workers(1, before=hidden)
        done = project.run("add", "data", *apart.options)
    assert done.exit_code == 14
    assert "does not see the cache" in done.stderr and "cache.dir" in done.stderr
    assert not project.has("data.vstore")
    assert [path.name for path in cache.iterdir() if "tmp" in path.name] == []


def test_help_does_not_import_dask() -> None:
    """Whoever does not ask for a cluster does not wait for Dask to be imported."""
    program = "import sys; from vstore import api; import vstore.ops.push; print('distributed' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
