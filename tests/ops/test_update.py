"""``vstore update``: what changed at the sources of imports, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ops.source import FOLDER, SOURCE, has_files, know, plant, try_again_soon
from tests.project import LARGE, Project
from tests.servers.gcs import GcsServer
from tests.servers.http_proxy import HttpProxy, Rule
from tests.servers.nginx import FileServer
from tests.servers.place import Place
from tests.servers.s3 import S3Server


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    try_again_soon(monkeypatch)


@pytest.fixture
def proxy(gcs: GcsServer, http_proxy: Callable[[int], HttpProxy]) -> HttpProxy:
    """What counts requests."""
    return http_proxy(gcs.port)


@pytest.fixture
def place(project: Project, gcs: GcsServer, proxy: HttpProxy) -> Place:
    """A folder of a bucket that was imported as ``data``, and committed."""
    place = gcs.new_place(port=proxy.port)
    know(project, place)
    plant(place)
    project.ok("import-url", f"{SOURCE}/folder", "data", "--desc", "of old")
    project.commit()
    proxy.requests.clear()
    return place


def test_unchanged(project: Project, place: Place, proxy: HttpProxy) -> None:
    """One listing shows that nothing changed; the pointer stays as it is, to the byte."""
    before = project.read("data.vstore")
    assert "up to date  data" in project.ok("update").stdout
    assert project.read("data.vstore") == before
    assert len(proxy.requests) == 1
    assert project.git("status", "--porcelain") == ""


def test_only_what_changed_is_read(project: Project, place: Place, proxy: HttpProxy) -> None:
    """Files that were added and modified are read, those that are gone go, and the result says which these are."""
    place.plant("folder/new.txt", b"new")
    place.plant("folder/a b.txt", b"changed\n")
    done = project.ok("update", "data", "--json").json()
    [found] = done["imports"]
    assert [(each["path"], each["change"], each["old_bytes"], each["new_bytes"]) for each in found["changes"]] == [
        ("a b.txt", "modified", 2, 8),
        ("new.txt", "added", None, 3),
    ]
    assert proxy.count("GET", "alt=media") == 2
    assert has_files(project, "data", {**FOLDER, "new.txt": b"new", "a b.txt": b"changed\n"})
    assert project.git("status", "--porcelain") == "M  data.vstore"


def test_words(project: Project, place: Place) -> None:
    """The result names files and by how much they grew."""
    place.plant("folder/new.txt", b"new")
    shown = project.ok("update").stdout
    assert "updated  data  9.3 MB  (+3 B)" in shown
    assert "+ new.txt  3 B" in shown


def test_what_a_person_wrote_stays(project: Project, place: Place) -> None:
    """Comments and keys of their own stay, also beside the source."""
    pointer = project.path / "data.vstore"
    text = pointer.read_text()
    pointer.write_text("# mine\n" + text.replace("[source]\n", '[source]\nlicence = "CC-0" # asked\n'))
    place.plant("folder/new.txt", b"new")
    project.ok("update")
    changed = pointer.read_text()
    assert "# mine\n" in changed and 'licence = "CC-0" # asked' in changed and "of old" in changed
    assert changed != text


def test_dry_run(project: Project, place: Place, proxy: HttpProxy) -> None:
    """A dry run names what would change, by the locks, and reads and changes nothing."""
    before = project.read("data.vstore")
    place.plant("folder/a b.txt", b"changed\n")
    shown = project.ok("update", "--dry-run").stdout
    assert "~ a b.txt" in shown
    assert proxy.count("GET", "alt=media") == 0
    assert project.read("data.vstore") == before
    assert has_files(project, "data", FOLDER)


def test_another_machine(project: Project, place: Place) -> None:
    """Where nobody remembers the list of files all is read, and the result is the same."""
    project.add_remote()
    project.ok("push")
    project.git("add", "-A")
    project.commit()
    clone = project.clone()
    clone.ok("pull")
    assert "up to date" in clone.ok("update").stdout
    place.plant("folder/new.txt", b"new")
    done = clone.ok("update", "--json").json()
    assert [each["path"] for each in done["imports"][0]["changes"]] == ["new.txt"]
    assert has_files(clone, "data", {**FOLDER, "new.txt": b"new"})


def test_damaged_memory_is_no_matter(project: Project, place: Place, proxy: HttpProxy) -> None:
    """What is remembered of a folder is a hint: damaged, it costs time."""
    [memory] = (project.path / ".git/vstore/imports").iterdir()
    memory.write_bytes(memory.read_bytes()[:-30])
    place.plant("folder/new.txt", b"new")
    project.ok("update")
    assert has_files(project, "data", {**FOLDER, "new.txt": b"new"})


def test_changed_files_are_kept(project: Project, place: Place) -> None:
    """Files that somebody changed stop an update, before anything is read; --force gives them up."""
    before = project.read("data.vstore")
    project.write("data/a b.txt", b"mine")
    assert "up to date  data" in (told := project.ok("update").stdout) and "changed here" in told
    assert project.read("data/a b.txt") == b"mine"
    place.plant("folder/new.txt", b"new")
    assert "changed here" in project.ok("update", "--dry-run").stdout
    refused = project.run("update")
    assert refused.exit_code == 11
    assert "changed since it was imported" in refused.stderr
    assert project.read("data/a b.txt") == b"mine"
    assert project.read("data.vstore") == before
    project.ok("update", "--force")
    assert has_files(project, "data", {**FOLDER, "new.txt": b"new"})
    project.write("data/a b.txt", b"mine")
    assert "up to date" in project.ok("update", "--force").stdout
    assert has_files(project, "data", {**FOLDER, "new.txt": b"new"})


def test_data_that_is_not_here_comes(project: Project, place: Place) -> None:
    """An import whose files were deleted is there again, as its source is now, also without a cache."""
    project.ok("rm", "data", "--data")
    project.git("checkout", "-q", "HEAD", "--", "data.vstore", ".gitignore")
    project.drop_cache()
    place.plant("folder/new.txt", b"new")
    project.ok("update")
    assert has_files(project, "data", {**FOLDER, "new.txt": b"new"})


def test_several(project: Project, place: Place, tmp_path: Path) -> None:
    """Of several imports one that fails stops no other; the exit code tells that it was not all."""
    origin = tmp_path / "origin"
    origin.write_bytes(b"1")
    project.ok("import-url", origin, "gone")
    project.ok("import-url", origin, "other")
    origin.write_bytes(b"22")
    project.write("gone", b"mine")
    done = project.run("update")
    assert done.exit_code == 3
    assert "updated" in done.stdout and "failed" in done.stdout
    assert project.read("other") == b"22"
    assert project.read("gone") == b"mine"
    only = project.ok("update", "other").stdout
    assert "gone" not in only and "up to date" in only


def test_source_is_gone(project: Project, place: Place, tmp_path: Path) -> None:
    """Where the source is gone, that is said, and everything stays."""
    origin = tmp_path / "origin"
    origin.write_bytes(b"1")
    project.ok("import-url", origin, "x")
    origin.unlink()
    refused = project.run("update", "x")
    assert refused.exit_code == 1
    assert "there is nothing at" in refused.stderr
    assert project.read("x") == b"1"


def test_same_bytes(project: Project, tmp_path: Path) -> None:
    """A source that is only dated anew moves the lock, and no data."""
    origin = tmp_path / "origin"
    origin.write_bytes(LARGE)
    project.ok("import-url", origin, "x")
    before = project.read("x.vstore")
    origin.touch()
    assert "same data" in project.ok("update").stdout
    assert project.read("x.vstore") != before
    assert "up to date" in project.ok("update").stdout


@pytest.mark.parametrize(("start", "end"), [("file", "folder"), ("folder", "file")])
def test_file_becomes_folder(project: Project, tmp_path: Path, start: str, end: str) -> None:
    """A file that became a folder, and the other way, is followed."""

    def make(kind: str) -> Path:
        origin = tmp_path / "origin"
        if kind == "file":
            origin.write_bytes(b"file")
        else:
            origin.mkdir()
            (origin / "a").write_bytes(b"in it")
        return origin

    origin = make(start)
    project.ok("import-url", origin, "x")
    for path in [*origin.glob("*")] if origin.is_dir() else []:
        path.unlink()
    origin.rmdir() if origin.is_dir() else origin.unlink()
    make(end)
    project.ok("update")
    assert project.read("x" if end == "file" else "x/a") == (b"file" if end == "file" else b"in it")
    assert "unchanged" in project.ok("status").stdout


def test_web(project: Project, static_site: FileServer, http_proxy: Callable[[int], HttpProxy]) -> None:
    """A file of a web server is asked for its version by one request of one byte."""
    proxy = http_proxy(static_site.port)
    site = static_site.new_place(port=proxy.port)
    site.plant("x.bin", LARGE)
    project.ok("import-url", f"{site.url}/x.bin")
    proxy.requests.clear()
    proxy.received_bytes = 0
    assert "up to date" in project.ok("update").stdout
    assert len(proxy.requests) == 1
    assert proxy.received_bytes < 100
    site.plant("x.bin", LARGE + b"more")
    done = project.ok("update", "--json").json()["imports"][0]
    assert (done["change"], done["old_bytes"], done["size_bytes"]) == ("updated", len(LARGE), len(LARGE) + 4)
    assert project.read("x.bin") == LARGE + b"more"


def test_stopped_on_the_way(project: Project, moto: S3Server, http_proxy: Callable[[int], HttpProxy]) -> None:
    """An update that stops in the middle changes nothing, and the next completes."""
    proxy = http_proxy(moto.port)
    place = moto.new_place(port=proxy.port)
    know(project, place)
    plant(place)
    project.ok("import-url", f"{SOURCE}/folder", "data")
    before = project.read("data.vstore")
    new = {**FOLDER, "a b.txt": b"new\n", "large.bin": FOLDER["large.bin"][::-1]}
    plant(place, files=new)
    proxy.rules = [Rule("answer", method="GET", path="large.bin", status=403)]
    assert project.run("update").exit_code == 14
    assert project.read("data.vstore") == before
    assert has_files(project, "data", FOLDER)
    proxy.rules = []
    project.ok("update")
    assert has_files(project, "data", new)


def test_refusals(project: Project, place: Place) -> None:
    """What is no import, or only a part of one, has nothing to be updated from; URLs have no revisions."""
    project.write("own", b"x")
    project.ok("add", "own")
    assert "is no import" in project.run("update", "own").stderr
    assert "as a whole" in project.run("update", "data/empty").stderr
    assert "no revisions" in project.run("update", "data", "--rev", "HEAD").stderr
    assert "own" not in project.ok("update").stdout


def test_nothing_is_imported(project: Project) -> None:
    """Without imports there is nothing to do, and that is no failure."""
    assert "Nothing here was imported" in project.ok("update").stdout


def test_secrets_that_somebody_wrote(project: Project, tmp_path: Path) -> None:
    """A secret that was written into a pointer by hand is not told, also where nothing else is known."""
    (tmp_path / "origin").write_bytes(b"1")
    for name in ("a", "b"):
        project.ok("import-url", tmp_path / "origin", name)
        pointer = project.read(f"{name}.vstore").decode()
        project.write(f"{name}.vstore", re.sub("url = .*", 'url = "http://ada:secret@127.0.0.1:1/x"', pointer).encode())
    done = project.run("update", "a", "b", "--json")
    assert done.exit_code == 3 and "127.0.0.1:1/x" in done.stdout
    assert "secret" not in done.stdout + done.stderr
