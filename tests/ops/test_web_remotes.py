"""Whole stories with web servers, on the command line: pulling from a static site, and WebDAV."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.project import LARGE, Project
from tests.servers.nginx import FileServer
from tests.servers.place import Place


@pytest.fixture
def site(static_site: FileServer) -> Place:
    """An empty folder that a web server shows."""
    return static_site.new_place()


@pytest.fixture
def folder(static_site: FileServer, site: Place) -> Path:
    """Where that folder is."""
    return Path(static_site.folder, site.url.rpartition("/")[2])


@pytest.fixture
def shown(project: Project, folder: Path) -> Project:
    """A project whose data is pushed into the folder, with a listing."""
    project.ok("remote", "add", "-d", "store", folder)
    project.ok("remote", "set", "store", "listing", "true")
    project.add_data()
    project.ok("push")
    return project


def read_by_http(project: Project, site: Place, name: str = "clone") -> Project:
    """Clone a project; the clone has the web server as its remote."""
    clone = project.clone(name)
    clone.ok("remote", "add", "--local", "-d", "web", site.url)
    return clone


@pytest.mark.parametrize("listing", [True, False])
def test_pull_from_a_static_site(shown: Project, site: Place, folder: Path, listing: bool) -> None:
    """What was pushed into a directory is pulled by HTTP, with the listing or by the server's own pages."""
    if not listing:
        (folder / "listing.json").unlink()
    clone = read_by_http(shown, site)
    clone.ok("pull")
    assert clone.read("data/large.bin") == LARGE
    assert clone.read("data/sub/b.txt") == b"bb\n"
    assert "everything is there" in clone.ok("push").stdout
    assert "unchanged" in clone.ok("status", "--remote").stdout


def test_pushing_is_refused_in_one_line(shown: Project, site: Place, folder: Path) -> None:
    """A push to a static site says that it is read-only, before it sends or cuts anything, and so does a check."""
    clone = read_by_http(shown, site)
    before = sorted(folder.rglob("*"))
    clone.write("new.bin", LARGE * 2)
    clone.ok("add", "new.bin")
    refused = clone.run("push")
    assert refused.exit_code == 14
    [error] = [line for line in refused.stderr.splitlines() if line.startswith("Error:")]
    assert "is plain HTTP, which is read-only" in error
    checked = clone.run("remote", "check")
    assert "read-only" in checked.stdout
    assert "list: works" in checked.stdout
    assert sorted(folder.rglob("*")) == before


def test_old_listing_hides_only_what_is_new(shown: Project, site: Place) -> None:
    """With an old listing older versions are pulled, newer ones are not in the remote; the next push mends that."""
    shown.ok("remote", "set", "store", "listing", "false")
    shown.write("model.bin", LARGE * 2)
    shown.ok("add", "model.bin")
    shown.commit("second")
    shown.ok("push")
    clone = read_by_http(shown, site)
    clone.ok("pull", "data")
    missing = clone.run("pull", "model.bin")
    assert missing.exit_code == 12
    assert "model.bin are neither in the cache nor in the remote" in missing.stderr
    assert "damaged" not in missing.stderr
    clone.git("checkout", "--quiet", "HEAD~1")
    clone.ok("pull", "model.bin")
    shown.ok("remote", "set", "store", "listing", "true")
    assert "everything is there" in shown.ok("push").stdout
    clone.git("checkout", "--quiet", "main")
    clone.ok("pull", "model.bin")
    assert clone.read("model.bin") == LARGE * 2


def test_repair_writes_the_listing(shown: Project, site: Place, folder: Path) -> None:
    """What a repair pushed anew is in the listing as well."""
    [pack] = folder.glob("packs/*")
    pack.unlink()
    shown.run("fsck", "--remote", "--repair")
    clone = read_by_http(shown, site)
    clone.ok("pull")
    assert clone.read("data/large.bin") == LARGE


def test_damaged_site_is_caught(shown: Project, site: Place, folder: Path) -> None:
    """A site that shows other bytes is caught: nothing of them gets into the cache."""
    [pack] = folder.glob("packs/*")
    data = bytearray(pack.read_bytes())
    data[100:-100] = bytes(len(data) - 200)
    pack.chmod(0o644)
    pack.write_bytes(data)
    clone = read_by_http(shown, site)
    assert clone.run("pull").exit_code in (3, 12)
    assert not clone.has("data/large.bin")


def test_listing_that_cannot_be_written_is_a_warning(shown: Project, folder: Path) -> None:
    """The listing is a hint: that it could not be written does not undo a push, and is said."""
    (folder / "listing.json").unlink()
    (folder / "listing.json").mkdir()
    shown.write("more.bin")
    shown.ok("add", "more.bin")
    pushed = shown.ok("push")
    assert "1 artifact pushed" in pushed.stdout
    assert "the listing could not be written" in pushed.stderr


def test_push_and_pull_by_webdav(project: Project, webdav: FileServer) -> None:
    """What is pushed to a WebDAV server is pulled from it; the password stays in the local layer."""
    url = f"{webdav.new_place().url.replace('http://', 'webdav://')}/new"
    project.ok("remote", "add", "-d", "dav", url)
    project.ok("remote", "set", "dav", "user", webdav.username)
    project.ok("remote", "set", "dav", "password", webdav.password)
    project.ok("remote", "set", "dav", "listing", "true")
    project.add_data()
    project.ok("push")
    assert "everything is there" in project.ok("push").stdout
    assert "whole" in project.ok("push", "--check").stdout
    assert webdav.password not in (project.path / ".vstore/config").read_text()
    clone = project.clone()
    denied = clone.run("pull")
    assert denied.exit_code == 14
    clone.ok("remote", "set", "dav", "password", webdav.password)
    clone.ok("pull")
    assert clone.read("data/large.bin") == LARGE
    assert "works" in clone.ok("remote", "check").stdout


@pytest.mark.parametrize("url", ["http://host/x", "https://host/x", "webdav://host/x", "webdavs://host/x"])
def test_named_without_warning(project: Project, url: str) -> None:
    """Web servers are remotes like any other: to name one connects to nothing and finds nothing wrong."""
    added = project.ok("remote", "add", "web", url)
    assert not added.stderr
