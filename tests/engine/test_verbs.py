"""The verbs on a cluster come to the same as here: files, pointers, remotes."""

from __future__ import annotations

import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.cluster import Cluster
from tests.ops.source import cached_bytes, know
from tests.project import Project
from tests.servers.http_proxy import HttpProxy
from tests.servers.s3 import S3Server
from vstore import api
from vstore.ops import streaming
from vstore.progress import Reporter
from vstore.repo import open_repo


class Counting(Reporter):
    """Adds up what it hears."""

    def __init__(self) -> None:
        self.totals: list[int | None] = []
        self.done = 0

    def begin(self, task: str, *, total: int | None = None, unit: str = "files") -> None:
        """Note how much there is."""
        self.totals.append(total)

    def advance(self, amount: int = 1) -> None:
        """Note how much was done."""
        self.done += amount


def stored_bytes(remote: Path) -> int:
    """Return how long the packs of a remote are together."""
    return sum(pack.stat().st_size for pack in remote.glob("packs/*"))


def files_of(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_import(project: Project, cluster: Cluster, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An import by workers has the digest of one by this machine; one commit; nothing passes through this process."""
    project.add_remote()

    def read_here(*args: object, **kwargs: object) -> None:
        raise AssertionError("the client read data")

    watching = Counting()
    with monkeypatch.context() as patch:
        patch.setattr(streaming, "iter_pieces", read_here)
        done = api.import_url(
            str(data), "far", directory=project.path, to_remote=True, engine="dask", scheduler=cluster.address,
            reporter=watching,
        )  # fmt: skip
    assert cached_bytes(project) < 10_000
    with open_repo(project.path) as repo:
        list_bytes = len(repo.cache.read(done.digest))  # which this machine uploads
    assert watching.done == done.size_bytes + list_bytes and watching.totals == [done.size_bytes]
    assert len(list(project.store.glob("commits/*/*"))) == 1
    assert list(project.store.glob("intents/*")) == []
    assert len(list(project.store.glob("packs/*"))) > 3
    project.ok("push", "--check")
    project.ok("fsck", "--remote", "--read-data")
    project.ok("remote", "add", "other", "../other")
    project.ok("import-url", data, "near", "--to-remote", "-r", "other")
    by_workers, by_one = (stored_bytes(project.path.parent / name) for name in ("store", "other"))
    # Of what is in two shards each stores its own copy.
    assert 0 <= by_workers - by_one - 1_500_000 < 20_000
    project.ok("rm", "near")
    near = project.ok("import-url", data, "near", "--json").json()
    assert near["digest"] == done.digest
    project.drop_cache()
    shutil.rmtree(project.path / "near")
    project.ok("pull", *cluster.options)
    assert files_of(project.path / "far") == files_of(data) == files_of(project.path / "near")


def test_workers_keep_nothing(project: Project, cluster: Cluster, data: Path) -> None:
    """What workers noted of a remote goes with the command."""
    project.add_remote()
    project.ok("import-url", data, "far", "--to-remote", *cluster.options)
    deadline_s = time.monotonic() + 60
    while cluster.find_scratch():
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_one_file(project: Project, cluster: Cluster, data: Path) -> None:
    """A single file, too, goes from its source to the remote by way of a worker."""
    project.add_remote()
    done = project.ok("import-url", data / "large1.bin", "--to-remote", *cluster.options, "--json").json()
    project.ok("pull", "large1.bin")
    assert project.read("large1.bin") == (data / "large1.bin").read_bytes()
    assert done["size_bytes"] == len(project.read("large1.bin"))


def test_again(project: Project, cluster: Cluster, data: Path) -> None:
    """What the remote has already is not uploaded by workers either."""
    project.add_remote()
    project.ok("import-url", data, "one", "--to-remote", *cluster.options)
    before = stored_bytes(project.store)
    (data / "new.txt").write_bytes(b"new")
    project.ok("import-url", data, "two", "--to-remote", *cluster.options)
    after = stored_bytes(project.store)
    assert after - before < 20_000
    project.ok("push", "--check")


def test_add_push_fetch(project: Project, cluster: Cluster, data: Path) -> None:
    """Adding, pushing and fetching by workers makes the same pointer, and the next status reads nothing."""
    project.add_remote()
    shutil.copytree(data, project.path / "data")
    shutil.copytree(data, project.path / "local")
    (project.path / "data/link").symlink_to("zz.bin")
    (project.path / "local/link").symlink_to("zz.bin")
    time.sleep(0.05)  # younger files would be read once more
    added = project.ok("add", "data", *cluster.options, "--json").json()
    again = project.ok("add", "local", "--json").json()
    # With the list of files; what two workers add at the same moment may count twice.
    assert added["new_objects"] in (14, 15) and again["new_objects"] == 0
    assert project.read("data.vstore") == project.read("local.vstore")
    with open_repo(project.path) as repo:
        known = repo.state.find_root("data")
    assert known is not None and known.digest == again["artifacts"][0]["digest"]
    assert "unchanged" in project.ok("status", "data").stdout
    pushed = project.ok("push", *cluster.options, "--json").json()
    assert pushed["remotes"][0]["objects"] > 13
    assert len(list(project.store.glob("commits/*/*"))) == 1
    project.ok("fsck", "--remote", "--read-data")
    assert "everything is there" in project.ok("push", *cluster.options).stdout
    project.drop_cache()
    watching = Counting()
    fetched = api.fetch(directory=project.path, engine="dask", scheduler=cluster.address, reporter=watching)
    assert fetched.remotes[0].objects == 13 and not fetched.missing
    assert watching.done == watching.totals[-1]
    project.ok("fsck")


def test_change_of_a_large_file(project: Project, cluster: Cluster) -> None:
    """Of a large file that changed a little, workers upload and fetch only the chunks that are new."""
    project.add_remote()
    content = bytearray(b"".join(b"%d\n" % number for number in range(1_500_000)))
    project.write("big/a.bin", bytes(content))
    project.ok("add", "big")
    project.ok("push")
    content[5_000_000:5_000_000] = b"an insertion"
    project.write("big/a.bin", bytes(content))
    project.ok("add", "-u", *cluster.options)
    pushed = project.ok("push", *cluster.options, "--json").json()
    assert 0 < pushed["remotes"][0]["size_bytes"] < 1_000_000


def test_missing_object(project: Project, cluster: Cluster) -> None:
    """What neither the cache nor the remote has fails the push as ever, and nothing is committed."""
    project.add_remote()
    project.add_data()
    [gone, _] = sorted(project.path.glob(".git/vstore/cache/objects/*/*/*"))
    gone.unlink()
    done = project.run("push", *cluster.options)
    assert done.exit_code == 12 and "nothing was pushed" in done.stderr
    assert list(project.store.glob("commits/*/*")) == []


def test_damaged_at_the_remote(project: Project, cluster: Cluster) -> None:
    """What a worker finds damaged is named, and this machine's next push does not rely on it."""
    project.add_remote()
    project.add_data()
    project.ok("push")
    [pack] = project.store.glob("packs/*")
    pack.chmod(0o644)
    damaged = bytearray(pack.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    pack.write_bytes(damaged)
    clone = project.clone()
    (clone.path / ".vstore/config").write_bytes((project.path / ".vstore/config").read_bytes())
    assert clone.run("fetch", *cluster.options).exit_code == 3
    [distrusted] = clone.path.glob(".git/vstore/remotes/*/distrusted.json")
    assert pack.name in distrusted.read_text()


def test_secrets_stay_here(
    project: Project, cluster: Cluster, moto: S3Server, http_proxy: Callable[[int], HttpProxy], data: Path
) -> None:
    """Workers use credentials of their own environment; those of the configuration are not sent to them."""
    proxy = http_proxy(moto.port)
    know(project, moto.new_place(port=proxy.port), "store")
    project.ok("remote", "set", "store", "secret", "secret-of-the-client")
    project.ok("remote", "default", "store")
    with open_repo(project.path) as repo:
        sent = pickle.dumps(repo.remote_terms("store"))
    assert b"endpoint_url" in sent and b"secret" not in sent
    project.ok("import-url", data, "far", "--to-remote", *cluster.options)
    assert proxy.count("PUT", "commits/") == 1
    assert "secret" not in cluster.log + cluster.logs_of_workers()
