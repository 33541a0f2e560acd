"""Any version of a repository as a file system for fsspec."""

from __future__ import annotations

import datetime
import errno
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import pytest

from tests.command import PROJECT
from tests.project import LARGE, Project
from vstore.errors import ConfigInvalidError, ObjectMissingError, RemoteNotFoundError
from vstore.fs import VstoreFileSystem


@pytest.fixture(autouse=True)
def known() -> None:
    """The protocol, also where the package is not installed."""
    fsspec.register_implementation("vstore", VstoreFileSystem, clobber=True)


@pytest.fixture
def filled(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with two versions of data, the first tagged ``v1``, and code; all is pushed, and one stands in it."""
    project.write("src/code.py", b"print()\n")
    project.write("src/data.csv", b"1\n")
    (project.path / "src/link.py").symlink_to("code.py")
    project.git("add", "src/code.py", "src/link.py")
    project.ok("add", "src/data.csv")
    project.add_remote()
    project.write("data/run.sh", b"#!").chmod(0o755)
    (project.path / "data/empty").mkdir(parents=True)
    (project.path / "data/link.txt").symlink_to("a.txt")
    (project.path / "data/far").symlink_to("sub")
    project.add_data()
    project.git("tag", "v1")
    project.write("data/a.txt", b"second\n")
    project.ok("add", "data")
    project.commit("second")
    project.ok("push", "--all-commits")
    monkeypatch.chdir(project.path)
    return project


@pytest.mark.parametrize("rev", [None, "v1"])
def test_listing(filled: Project, rev: str | None) -> None:
    """Data stands in its place, beside what git tracks; what belongs to vstore itself is not shown."""
    fs = VstoreFileSystem(rev=rev)
    assert fs.ls("", detail=False) == [".gitignore", "data", "data.vstore", "model.bin", "model.bin.vstore", "src"]
    assert fs.ls("src", detail=False) == ["src/.gitignore", "src/code.py", "src/data.csv", "src/data.csv.vstore"]
    inside = ["data/a.txt", "data/empty", "data/large.bin", "data/link.txt", "data/run.sh", "data/sub"]
    assert fs.ls("data", detail=False) == inside
    assert fs.ls("data/a.txt", detail=False) == ["data/a.txt"]
    files = ["data/a.txt", "data/large.bin", "data/link.txt", "data/run.sh", "data/sub/b.txt"]
    assert fs.find("data") == files
    assert fs.find("data", withdirs=True) == sorted([*files, "data", "data/empty", "data/sub"])
    assert set(files) < set(fs.find(""))
    assert fs.find("nothing") == [] and fs.find("data/a.txt") == ["data/a.txt"]
    assert fs.glob("data/**/*.txt") == ["data/a.txt", "data/link.txt", "data/sub/b.txt"]
    assert fs.glob("**/*.csv") == ["src/data.csv"]
    assert [name for name, _, _ in fs.walk("data")] == ["data", "data/empty", "data/sub"]


def test_information(filled: Project) -> None:
    """Of each path it is known what it is, how large, by which digest, and since when."""
    fs = VstoreFileSystem(rev="v1")
    info = fs.info("data/large.bin")
    assert info["type"] == "file" and info["size"] == len(LARGE) and info["ETag"] == info["digest"]
    assert info["digest"].startswith("xxh128:") and info["tracked"] == "vstore" and not info["isexec"]
    assert fs.info("data/run.sh")["isexec"]
    assert fs.info("data/sub")["type"] == fs.info("")["type"] == "directory"
    code = fs.info("src/code.py")
    assert code["size"] == 8 and code["tracked"] == "git"
    assert code["ETag"] == filled.git("rev-parse", "v1:src/code.py")
    link = fs.info("data/link.txt")
    assert link["type"] == "file" and link["size"] == 2 and link["destination"] == "a.txt"
    assert fs.info("data/far")["type"] == "other"
    assert fs.isfile("data/a.txt") and not fs.isfile("data") and not fs.isfile("data/x")
    assert fs.isdir("data/sub") and fs.isdir("src") and not fs.isdir("data/a.txt")
    assert fs.exists("data") and not fs.exists("data/a.txt/b") and not fs.exists("data/su")
    assert fs.size("data/a.txt") == 2 and fs.du("data") == sum(fs.size(path) for path in fs.find("data"))


def test_what_changes_with_the_content(filled: Project) -> None:
    """Keys of caches change when the content does, and only then."""
    old, new = VstoreFileSystem(rev="v1"), VstoreFileSystem(rev="HEAD")
    assert old.ukey("data/a.txt") != new.ukey("data/a.txt")
    assert old.ukey("data/large.bin") == new.ukey("data/large.bin")
    assert old.checksum("data/a.txt") != new.checksum("data/a.txt")
    assert old.checksum("src/code.py") == new.checksum("src/code.py")
    when = int(filled.git("log", "-1", "--format=%ct", "v1"))
    assert old.modified("data/a.txt") == datetime.datetime.fromtimestamp(when, datetime.UTC)
    here = VstoreFileSystem()
    pointer = (filled.path / "data.vstore").stat()
    assert here.modified("data/sub/b.txt").timestamp() == pytest.approx(pointer.st_mtime)
    assert here.info("data")["mtime"] == pytest.approx(pointer.st_mtime) and old.info("")["mtime"] == when
    assert here.created("src/code.py").timestamp() == pytest.approx((filled.path / "src/code.py").stat().st_mtime)


def test_reading(filled: Project) -> None:
    """Files, stretches and lines are read; negative numbers count from the end."""
    fs = VstoreFileSystem(rev="v1", repo=filled.clone().path)
    assert fs.cat_file("data/large.bin", 300_000, 300_010) == LARGE[300_000:300_010]
    assert fs.cat_file("data/large.bin", -10) == LARGE[-10:]
    assert fs.cat_file("data/a.txt", 0, -1) == b"a"
    assert fs.head("data/large.bin", 5) == LARGE[:5] and fs.tail("data/large.bin", 5) == LARGE[-5:]
    assert fs.cat("data/link.txt") == b"a\n" and fs.read_text("src/code.py") == "print()\n"
    assert fs.cat(["data/a.txt", "data/sub/b.txt"]) == {"data/a.txt": b"a\n", "data/sub/b.txt": b"bb\n"}
    assert fs.cat("data/*.txt") == {"data/a.txt": b"a\n", "data/link.txt": b"a\n"}
    with fs.open("data/sub/b.txt", "r") as file:
        assert list(file) == ["bb\n"]
    parts = fs.cat_ranges(["data/large.bin", "data/a.txt", "model.bin", "data/x"], [5, None, -3, 0], [9, 1, None, 1])
    assert parts[:3] == [LARGE[5:9], b"a", LARGE[::-1][-3:]]
    assert isinstance(parts[3], FileNotFoundError)
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges(["data/x"], 0, 1, on_error="raise")


def test_getting(filled: Project, tmp_path: Path) -> None:
    """A directory is copied out, as it was."""
    VstoreFileSystem(rev="v1").get("data", str(tmp_path / "out"), recursive=True)
    assert (tmp_path / "out/a.txt").read_bytes() == b"a\n"
    assert (tmp_path / "out/sub/b.txt").read_bytes() == b"bb\n"


def test_addresses(filled: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL alone says which repository and revision; what it leaves out the file system says."""
    fs = VstoreFileSystem(repo=filled.path)
    assert fs.cat_file("@v1:/data/a.txt") == b"a\n" and fs.cat_file("data/a.txt") == b"second\n"
    assert fs.ls("@v1:/data/sub", detail=False) == ["@v1:/data/sub/b.txt"]
    assert fs.glob("@v1:/data/*.txt") == ["@v1:/data/a.txt", "@v1:/data/link.txt"]
    assert fs._parent("@v1:/data/a.txt") == "@v1:/data"
    assert fs._parent("@v1:/data") == fs._parent("@v1:") == "@v1:"
    assert fs.cat_file("./data//a.txt") == b"second\n"
    assert "@v1:/data" in fs.ls("@v1:", detail=False)
    monkeypatch.chdir(tmp_path)
    for repo in (filled.path, "repo", f"file://{filled.path}"):
        with fsspec.open(f"vstore://{repo}@v1:/data/a.txt") as file:
            assert file.read() == b"a\n"
    url = VstoreFileSystem(repo=filled.path, rev="v1").url("data/a.txt")
    assert fsspec.open(url).open().read() == b"a\n"
    assert fs.unstrip_protocol("@v1:/data/a.txt") == "vstore://@v1:/data/a.txt"


def test_work_tree_is_as_it_is_now(filled: Project) -> None:
    """Without a revision, what is added is there at once, and what is not added is not."""
    fs = VstoreFileSystem()
    filled.write("data/new.txt")
    filled.write("stray.txt")
    assert not fs.exists("data/new.txt") and not fs.exists("stray.txt")
    filled.ok("add", "data")
    assert fs.cat_file("data/new.txt") == b"small\n"
    filled.write("src/code.py", b"changed\n")
    assert fs.cat_file("src/code.py") == b"changed\n" and fs.size("src/code.py") == 8
    (filled.path / "src/code.py").unlink()
    assert not fs.exists("src/code.py")


def test_branch_that_moves(filled: Project) -> None:
    """A revision is what it was when first used, until it is asked for anew."""
    fs = VstoreFileSystem(rev="main")
    assert fs.cat_file("data/a.txt") == b"second\n"
    filled.write("data/a.txt", b"third\n")
    filled.ok("add", "data")
    filled.commit("third")
    assert fs.cat_file("data/a.txt") == b"second\n"
    fs.invalidate_cache()
    assert fs.cat_file("data/a.txt") == b"third\n"


def test_without_git(tmp_path: Path) -> None:
    """Without git, there is the data."""
    project = Project(tmp_path)
    project.ok("init", "--no-git")
    project.write("data/a.txt", b"a\n")
    project.ok("add", "data")
    project.write("data/a.txt", b"changed\n")
    fs = VstoreFileSystem(repo=tmp_path)
    assert fs.find("") == ["data/a.txt"] and fs.cat_file("data/a.txt") == b"a\n"


def test_errors(filled: Project, tmp_path: Path) -> None:
    """What is not there, is a directory, or would be written, is an error that every program knows."""
    fs = VstoreFileSystem(repo=filled.path)
    for path in ("data/x", "@v9:/data", "../outside", ".git/config", ".vstore/config", f"{tmp_path}/none:/x"):
        with pytest.raises(FileNotFoundError):
            fs.info(path)
    with pytest.raises(IsADirectoryError):
        fs.open("data")
    with pytest.raises(IsADirectoryError):
        fs.cat_file("data/sub")
    with pytest.raises(FileNotFoundError, match="link to sub, which is no file"):
        VstoreFileSystem(repo=filled.path, rev="v1").open("data/far")
    for write in (fs.mkdir, fs.touch, fs.rm_file, fs.makedirs, fs.rmdir, lambda path: fs.open(path, "wb")):
        with pytest.raises(OSError, match="changed by its own verbs") as caught:
            write("data/new")
        assert caught.value.errno == errno.EROFS
    with pytest.raises(OSError, match="changed by"):
        fs.pipe_file("data/new", b"")
    with pytest.raises(OSError, match="changed by"):
        fs.rm("data/a.txt")
    with pytest.raises(OSError, match="changed by"):
        fs.copy("data/a.txt", "data/b.txt")
    with pytest.raises(ValueError, match="different lengths"):
        fs.cat_ranges(["data/a.txt"], [0, 1], [1])


def test_errors_keep_secrets(filled: Project) -> None:
    """The address in an error has no name or password."""
    with pytest.raises(OSError, match="changed by its own verbs") as caught:
        VstoreFileSystem(repo=filled.path).touch("https://ada:s@cret@example.org/r.git@v1:/data")
    assert caught.value.filename == "https://example.org/r.git@v1:/data"
    assert repr(VstoreFileSystem("https://ada:secret@example.org/r.git", rev="v1")) == (
        "VstoreFileSystem(repo='https://example.org/r.git', rev='v1')"
    )


def test_mistyped_names_mean_nothing_else(filled: Project) -> None:
    """An option or a repository that is none is an error, and not today's version or the repository around."""
    with pytest.raises(TypeError, match="no option 'revision'; its options are repo, rev and remote"):
        VstoreFileSystem(revision="v1")
    for path in ("nowhere@v1:/data/a.txt", "src/nowhere:/data/a.txt"):
        with pytest.raises(FileNotFoundError, match="there is no"):
            VstoreFileSystem().cat_file(path)
    assert VstoreFileSystem(use_listings_cache=False, skip_instance_cache=True).exists("src")


def test_broken_settings_are_no_directory(filled: Project) -> None:
    """What is wrong with a repository is said as it is, and not taken for something about a path."""
    filled.write(".vstore/config", b"nonsense")
    with pytest.raises(ConfigInvalidError):
        VstoreFileSystem(repo=filled.path, skip_instance_cache=True).isfile("data/a.txt")


def test_missing_contents(filled: Project) -> None:
    """What nobody holds is missing, which is not the same as not being there."""
    clone = filled.clone()
    for pack in filled.store.rglob("*.vpack"):
        pack.unlink()
    fs = VstoreFileSystem(repo=clone.path)
    assert fs.exists("model.bin")
    with pytest.raises(ObjectMissingError):
        fs.cat_file("model.bin")
    with pytest.raises(RemoteNotFoundError):
        VstoreFileSystem(repo=clone.path, remote="other").cat_file("model.bin")


# Processes and threads


def _read(fs: VstoreFileSystem, path: str) -> bytes:
    return bytes(fs.cat_file(path))


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # it forks beside our threads, on purpose
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers(filled: Project, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes, forked or fresh, read what they got from a parent that is reading itself."""
    fs = VstoreFileSystem(repo=filled.clone().path, rev="v1")
    assert _read(fs, "data/large.bin") == LARGE
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    with multiprocessing.get_context(method).Pool(2) as pool:
        parts = pool.starmap(_read, [(fs, "data/large.bin"), (fs, "model.bin"), (fs, "src/code.py")] * 4)
    assert parts == [LARGE, LARGE[::-1], b"print()\n"] * 4
    assert _read(fs, "data/a.txt") == b"a\n"


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_open_in_a_fork(filled: Project) -> None:
    """A child uses what was open when it was born, by opening it again."""
    fs = VstoreFileSystem(repo=filled.clone().path, rev="v1")
    assert _read(fs, "data/a.txt") == b"a\n"
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put(_read(fs, "model.bin")))
    child.start()
    assert queue.get() == LARGE[::-1]
    child.join()
    assert child.exitcode == 0


def test_pickles_mean_the_same_elsewhere(filled: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickled file system is that of the same repository, also for who stands elsewhere."""
    data = pickle.dumps(VstoreFileSystem(rev="v1"))
    monkeypatch.chdir(tmp_path)
    assert _read(pickle.loads(data), "data/a.txt") == b"a\n"
    assert pickle.loads(data) is pickle.loads(data)


def test_instances_follow_the_working_directory(
    filled: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a repository it is that where the process stands now."""
    assert _read(fsspec.filesystem("vstore"), "data/a.txt") == b"second\n"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError):
        _read(fsspec.filesystem("vstore"), "data/a.txt")


def test_eight_threads(filled: Project) -> None:
    """Eight threads look and read at once, each gets what it asked for."""
    fs = VstoreFileSystem(repo=filled.clone().path, rev="v1")
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        barrier.wait()
        for _ in range(5):
            assert fs.cat_file("data/large.bin", 1000 * number, 400_000) == LARGE[1000 * number : 400_000]
            assert len(fs.find("data")) == 5
            assert fs.cat(["data/a.txt", "src/code.py"])["src/code.py"] == b"print()\n"
            fs.invalidate_cache() if number == 3 else None

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))


def test_threads_share_what_is_open(filled: Project) -> None:
    """Threads that each get a file system of their own from fsspec read with one and the same library."""
    found = []

    def look() -> None:
        found.append((fs := fsspec.filesystem("vstore", rev="v1"), fs._find("data")[0]))

    threads = [threading.Thread(target=look) for _ in range(3)]
    look()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(library) for _, library in found}) == 1 < len({id(fs) for fs, _ in found})


def test_reading_needs_no_fsspec(filled: Project) -> None:
    """Who reads without fsspec does not pay for importing it."""
    program = "import sys, vstore; vstore.read('data/a.txt'); assert 'fsspec' not in sys.modules"
    environ = {**os.environ, "PYTHONPATH": str(PROJECT)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environ)


# Large trees


def test_a_million_files(project: Project) -> None:
    """In a directory of a million files, one is found and read without taking the memory of a million."""
    program = """
from vstore.cache.cache import Cache
from vstore.cache.writer import open_writer
from vstore.objects.digest import hash_bytes
from vstore.objects.pointer import Pointer, pointer_to_bytes
from pathlib import Path
cache = Cache(Path(".git/vstore/cache")); cache.create()
with open_writer(cache) as writer:
    digest = writer.add_bytes(b"x", "xxh128")
    lines = "".join(f"f\\t1\\t{digest}\\td{n // 1000:04}/{n % 1000:03}.bin\\n" for n in range(1_000_000))
    tree = writer.add_bytes(("vstore-tree 1\\n" + lines).encode(), "xxh128")
Path("many.vstore").write_bytes(pointer_to_bytes(Pointer("tree", tree, 1_000_000, 1_000_000)))
"""
    look = """
import resource
from vstore.fs import VstoreFileSystem
fs = VstoreFileSystem()
fs.ls("")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert fs.cat_file("many/d0500/500.bin") == b"x"
assert len(fs.ls("many")) == 1000 and len(fs.ls("many/d0999")) == 1000
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    environ = {**os.environ, "PYTHONPATH": str(PROJECT)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environ, cwd=project.path)
    done = subprocess.run(
        [sys.executable, "-c", look], check=True, env=environ, cwd=project.path, capture_output=True, text=True
    )
    assert int(done.stdout) < 200  # MB; the text of the tree alone is 60
