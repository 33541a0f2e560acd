"""``vstore import-url``: from every kind of store, over bad lines, without downloading, and what it refuses."""

from __future__ import annotations

import functools
import http.server
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.command import start_vstore
from tests.ops.source import FOLDER, SOURCE, has_files, know, leftovers, plant, try_again_soon
from tests.project import LARGE, Project
from tests.servers.gcs import GcsServer
from tests.servers.http_proxy import HttpProxy, Rule
from tests.servers.nginx import FileServer
from tests.servers.place import Place
from tests.servers.s3 import S3Server

STORES = ["moto", "ceph", "azurite", "gcs", "sftp", "webdav", "webhdfs", "hdfs"]
BUCKETS = ["moto", "ceph", "azurite", "gcs"]


@pytest.fixture
def source(request: pytest.FixtureRequest, project: Project) -> Place:
    """An empty place on the server that the test names, known to the project."""
    server = request.getfixturevalue(request.param)
    place: Place = server.new_place()
    if request.param == "webdav":
        place = Place(place.url.replace("http://", "webdav://"), place.options, place.plant)
    if request.param == "sftp":
        place = Place(place.url, {**place.options, "known_hosts": server.known_hosts_file}, place.plant)
    know(project, place)
    return place


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    try_again_soon(monkeypatch)


@pytest.mark.parametrize("source", STORES, indirect=True)
class TestEveryStore:
    """The same from all of them."""

    def test_folder(self, project: Project, source: Place) -> None:
        """All files below a folder become a directory, whatever they are called, and nothing above it."""
        plant(source)
        source.plant("folder2/other", b"no\n")
        done = project.ok("import-url", f"{SOURCE}/folder", "data", "--json").json()
        assert has_files(project, "data", FOLDER)
        assert (done["kind"], done["files"]) == ("tree", len(FOLDER))
        assert done["lock"].startswith("list:xxh128:")
        assert "/data\n" in project.read(".gitignore").decode()
        assert project.git("status", "--porcelain", "data.vstore").startswith("A ")

    def test_file(self, project: Project, source: Place) -> None:
        """A file becomes a file of its own name, and the pointer says where from and which version."""
        source.plant("folder/Model 1.bin", LARGE)
        source.plant("folder/Model 1.bin.old", b"no")
        project.ok("import-url", f"{SOURCE}/folder/Model 1.bin")
        assert project.read("Model 1.bin") == LARGE
        pointer = project.read("Model 1.bin.vstore").decode()
        assert f'url = "{SOURCE}/folder/Model 1.bin"' in pointer
        assert "lock = " in pointer
        assert not any(secret in pointer for secret in source.options.values())

    def test_nothing_there(self, project: Project, source: Place) -> None:
        """Where nothing is, that is said, and nothing is left."""
        source.plant("other", b"x")
        refused = project.run("import-url", f"{SOURCE}/folder", "data")
        assert refused.exit_code == 1
        assert "there is nothing at" in refused.stderr
        assert not leftovers(project, "data")

    def test_whole_place(self, project: Project, source: Place) -> None:
        """The place itself is a folder, too."""
        source.plant("a/b", b"1")
        source.plant("c", b"2")
        project.ok("import-url", f"{SOURCE}/", "all")
        assert has_files(project, "all", {"a/b": b"1", "c": b"2"})


@pytest.mark.parametrize("source", ["sftp"], indirect=True)
def test_links_and_pipes_elsewhere(project: Project, source: Place) -> None:
    """Over SSH links to files are the files, and what is no file is left out and named, as on this machine."""
    source.plant("f/sub/a", b"a")
    folder = Path(urlsplit(source.url).path, "f")
    (folder / "link").symlink_to("sub/a")
    (folder / "circle").symlink_to(".")
    (folder / "lost").symlink_to("nothing")
    os.mkfifo(folder / "fifo")
    told = project.ok("import-url", f"{SOURCE}/f", "data").stderr
    assert "circle is a link to a directory, fifo is a named pipe, lost is a link to nothing" in told
    assert has_files(project, "data", {"sub/a": b"a", "link": b"a"})


class TestBuckets:
    """What only stores of objects have."""

    @pytest.mark.parametrize("source", BUCKETS, indirect=True)
    def test_lock_is_of_the_store(self, project: Project, source: Place) -> None:
        """The lock of an object is its tag or generation."""
        source.plant("x", b"1")
        lock = project.ok("import-url", f"{SOURCE}/x", "--json").json()["lock"]
        assert lock.startswith(("etag:", "generation:"))

    @pytest.mark.parametrize("source", BUCKETS, indirect=True)
    def test_file_that_is_a_folder_is_refused(self, project: Project, source: Place) -> None:
        """Objects whose names exclude each other on a disk are named before anything is read."""
        source.plant("f/a", b"1")
        source.plant("f/a/b", b"2")
        refused = project.run("import-url", f"{SOURCE}/f/", "data")
        assert refused.exit_code == 1
        assert "a: is a file or link and also a directory" in refused.stderr
        assert not leftovers(project, "data")

    @pytest.mark.parametrize("source", ["moto"], indirect=True)
    def test_hostile_names(self, project: Project, source: Place) -> None:
        """Names that lead out of the directory are refused; git's own are skipped, as add does."""
        source.plant("f/.git/hooks/post-checkout", b"1")
        source.plant("f/ok", b"1")
        done = project.ok("import-url", f"{SOURCE}/f", "data")
        assert "skipped" in done.stderr
        assert has_files(project, "data", {"ok": b"1"})
        source.plant("f/../../evil", b"1")
        refused = project.run("import-url", f"{SOURCE}/f", "other")
        assert "refuses to track" in refused.stderr
        assert not leftovers(project, "other")

    @pytest.mark.parametrize("name", ["moto", "azurite", "gcs"])
    @pytest.mark.parametrize("fault", ["truncate", "reset", "corrupt", "answer"])
    def test_bad_line(
        self,
        name: str,
        fault: str,
        request: pytest.FixtureRequest,
        project: Project,
        http_proxy: Callable[[int], HttpProxy],
    ) -> None:
        """Whatever a line does to the first reads, in the end every byte is right."""
        server = request.getfixturevalue(name)
        proxy = http_proxy(server.port)
        place = server.new_place(port=proxy.port)
        know(project, place)
        plant(place)
        reads = {"moto": "/folder/.*", "azurite": "/folder/.*", "gcs": "alt=media"}[name]
        times = 1 if fault == "corrupt" else 3
        # MD5 finds what the line did to a small file; of a large one the whole is thrown away.
        proxy.rules = [Rule(fault, method="GET", path=reads, times=times)]  # type: ignore[arg-type]
        if fault == "corrupt":
            proxy.rules[0].path = reads if name == "gcs" else "a%20b.txt"
        done = project.run("import-url", f"{SOURCE}/folder", "data")
        if done.exit_code and fault == "corrupt":
            assert "MD5 differ" in done.stderr
            done = project.ok("import-url", f"{SOURCE}/folder", "data")
        done.ok()
        assert has_files(project, "data", FOLDER)

    @pytest.mark.parametrize("name", ["moto", "azurite", "gcs"])
    def test_damaged_large_file_is_found_by_its_md5(
        self, name: str, request: pytest.FixtureRequest, project: Project, http_proxy: Callable[[int], HttpProxy]
    ) -> None:
        """A large file that arrived damaged is not taken, and the next attempt does not go on from it."""
        server = request.getfixturevalue(name)
        proxy = http_proxy(server.port)
        place = server.new_place(port=proxy.port)
        know(project, place)
        place.plant("x.bin", FOLDER["large.bin"])
        proxy.rules = [Rule("corrupt", method="GET", path=r"x\.bin.*", after=1 if name == "gcs" else 0, times=1)]
        refused = project.run("import-url", f"{SOURCE}/x.bin")
        assert refused.exit_code == 14
        assert "MD5 differ" in refused.stderr
        assert not leftovers(project, "x.bin")
        project.ok("import-url", f"{SOURCE}/x.bin")
        assert project.read("x.bin") == FOLDER["large.bin"]

    def test_tag_that_is_no_md5(self, moto: S3Server, project: Project) -> None:
        """The tag of what was uploaded in parts, or encrypted by keys that others manage, is no MD5 of it."""
        place = moto.new_place()
        know(project, place)
        client, bucket = moto.client(), place.url.removeprefix("s3://")
        upload = {"Bucket": bucket, "Key": "f/parts.bin"}
        upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
        parts = [FOLDER["large.bin"][: 5 * 1024 * 1024], b"the rest"]
        tags = [
            {"PartNumber": n, "ETag": client.upload_part(**upload, PartNumber=n, Body=part)["ETag"]}
            for n, part in enumerate(parts, 1)
        ]
        client.complete_multipart_upload(**upload, MultipartUpload={"Parts": tags})
        client.put_object(Bucket=bucket, Key="f/secret.bin", Body=LARGE, ServerSideEncryption="aws:kms")
        project.ok("import-url", f"{SOURCE}/f", "data")
        assert has_files(project, "data", {"parts.bin": b"".join(parts), "secret.bin": LARGE})

    @pytest.mark.parametrize("name", ["moto", "azurite", "gcs"])
    def test_change_while_reading(
        self, name: str, request: pytest.FixtureRequest, project: Project, http_proxy: Callable[[int], HttpProxy]
    ) -> None:
        """An object that is replaced between two parts of it is never mixed, and nothing is left behind."""
        server = request.getfixturevalue(name)
        proxy = http_proxy(server.port)
        place = server.new_place(port=proxy.port)
        know(project, place)
        old, new = FOLDER["large.bin"], FOLDER["large.bin"][::-1]
        place.plant("x.bin", old)
        first = "alt=media" if name == "gcs" else r"x\.bin"
        rule = Rule("delay", method="GET", path=first, after=1, delay_s=1.0)
        proxy.rules = [rule]
        with meanwhile(lambda: proxy.count("GET", first) >= 2, lambda: place.plant("x.bin", new)):
            refused = project.run("import-url", f"{SOURCE}/x.bin", "-j", "1")
        assert refused.exit_code == 11, refused.stderr
        assert "changed while it was read" in refused.stderr
        assert not leftovers(project, "x.bin")
        proxy.rules = []
        project.ok("import-url", f"{SOURCE}/x.bin")
        assert project.read("x.bin") == new

    def test_interrupted_download_goes_on(
        self, moto: S3Server, project: Project, http_proxy: Callable[[int], HttpProxy]
    ) -> None:
        """After Ctrl-C nothing is half done, and the same command reads only what is missing."""
        proxy = http_proxy(moto.port)
        place = moto.new_place(port=proxy.port)
        know(project, place)
        data = FOLDER["large.bin"] * 4
        place.plant("x.bin", data)
        proxy.rules = [Rule("delay", method="GET", path="x.bin", after=3, delay_s=2.0)]
        process = start_vstore("import-url", f"{SOURCE}/x.bin", "-j", "1", cwd=project.path)
        wait_until(lambda: proxy.count("GET", "x.bin") >= 4)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 130
        assert not leftovers(project, "x.bin")
        proxy.rules, proxy.received_bytes = [], 0
        project.ok("import-url", f"{SOURCE}/x.bin")
        assert project.read("x.bin") == data
        assert proxy.received_bytes < len(data) * 0.6

    def test_interrupted_download_of_an_older_version_does_not(
        self, moto: S3Server, project: Project, http_proxy: Callable[[int], HttpProxy]
    ) -> None:
        """What is left of one version never becomes a part of another."""
        proxy = http_proxy(moto.port)
        place = moto.new_place(port=proxy.port)
        know(project, place)
        old, new = FOLDER["large.bin"] * 2, FOLDER["large.bin"][::-1] * 2
        place.plant("x.bin", old)
        proxy.rules = [Rule("answer", method="GET", path="x.bin", after=1, status=403)]
        assert project.run("import-url", f"{SOURCE}/x.bin", "-j", "1").exit_code == 14
        place.plant("x.bin", new)
        proxy.rules = []
        project.ok("import-url", f"{SOURCE}/x.bin")
        assert project.read("x.bin") == new

    @pytest.mark.parametrize("after_s", [0.3, 0.6, 0.9, 1.2])
    def test_killed_at_any_moment(self, moto: S3Server, project: Project, after_s: float) -> None:
        """Killed, it leaves no pointer without its data; the same command, or a checkout, completes it."""
        place = moto.new_place()
        know(project, place)
        plant(place)
        process = start_vstore("import-url", f"{SOURCE}/folder", "data", cwd=project.path)
        time.sleep(after_s)
        process.kill()
        process.communicate()
        if project.has("data.vstore"):
            project.ok("checkout", "data")
        else:
            assert not project.has("data")
            project.ok("import-url", f"{SOURCE}/folder", "data")
        assert has_files(project, "data", FOLDER)
        assert "unchanged" in project.ok("status", "data").stdout


class TestWeb:
    """Plain HTTP."""

    @pytest.fixture
    def site(self, static_site: FileServer) -> Place:
        """A folder that a web server shows."""
        return static_site.new_place()

    def test_file(self, project: Project, site: Place) -> None:
        """A URL needs no remote; what is quoted in it is not in the name."""
        site.plant("My Data.csv", FOLDER["large.bin"])
        done = project.ok("import-url", f"{site.url}/My%20Data.csv", "--json").json()
        assert done["lock"].startswith("etag:")
        assert project.read("My Data.csv") == FOLDER["large.bin"]
        assert f'url = "{site.url}/My%20Data.csv"' in project.read("My Data.csv.vstore").decode()

    def test_query_belongs_to_the_url(self, project: Project, site: Place) -> None:
        """A query is sent, and kept; it is no part of the name."""
        site.plant("data.csv", b"1\n")
        project.ok("import-url", f"{site.url}/data.csv?version=3")
        assert project.read("data.csv") == b"1\n"
        assert "data.csv?version=3" in project.read("data.csv.vstore").decode()

    def test_change_while_reading(
        self, project: Project, static_site: FileServer, http_proxy: Callable[[int], HttpProxy]
    ) -> None:
        """A file that is replaced between two parts of it is never mixed."""
        proxy = http_proxy(static_site.port)
        site = static_site.new_place(port=proxy.port)
        old = FOLDER["large.bin"]
        site.plant("x.bin", old)
        proxy.rules = [Rule("delay", method="GET", path="x.bin", after=2, delay_s=1.0)]
        with meanwhile(lambda: proxy.count("GET", "x.bin") >= 3, lambda: site.plant("x.bin", old[1:])):
            refused = project.run("import-url", f"{site.url}/x.bin", "-j", "1")
        assert refused.exit_code == 11, refused.stderr
        assert not leftovers(project, "x.bin")

    @pytest.mark.parametrize("fault", ["truncate", "reset"])
    def test_bad_line(
        self, fault: str, project: Project, static_site: FileServer, http_proxy: Callable[[int], HttpProxy]
    ) -> None:
        """A line that breaks costs only what was on its way."""
        proxy = http_proxy(static_site.port)
        site = static_site.new_place(port=proxy.port)
        site.plant("x.bin", FOLDER["large.bin"])
        proxy.rules = [Rule(fault, method="GET", path="x.bin", after=1, times=3)]  # type: ignore[arg-type]
        project.ok("import-url", f"{site.url}/x.bin")
        assert project.read("x.bin") == FOLDER["large.bin"]

    @pytest.mark.parametrize("with_length", [True, False])
    @pytest.mark.parametrize("breaks", [0, 2])
    def test_server_without_parts(self, project: Project, with_length: bool, breaks: int) -> None:
        """A server that knows no ranges, nor perhaps lengths, is read from the beginning as often as needed."""
        with simple_site(FOLDER["large.bin"], with_length=with_length, breaks=breaks) as url:
            project.ok("import-url", f"{url}/x.bin")
        assert project.read("x.bin") == FOLDER["large.bin"]

    @pytest.mark.parametrize("validator", ["ETag", "Last-Modified", None])
    def test_parts_that_do_not_say_of_what(self, project: Project, validator: str | None) -> None:
        """A server that was told of which version a part is wanted need not say it again."""
        with simple_site(FOLDER["large.bin"], with_length=True, breaks=0, parts=True, validator=validator) as url:
            done = project.ok("import-url", f"{url}/x.bin", "--json").json()
        kind = {"ETag": "etag:", "Last-Modified": "modified:", None: "size:"}[validator]
        assert done["lock"].startswith(kind)
        assert project.read("x.bin") == FOLDER["large.bin"]

    @pytest.mark.parametrize("kind", ["page", "page/", "json"])
    def test_folder_that_is_listed(self, project: Project, static_site: FileServer, site: Place, kind: str) -> None:
        """What a server lists becomes a directory, with all that is below, and an update follows it."""
        if kind == "json" and not static_site.label.startswith("nginx"):
            pytest.skip("only nginx lists in JSON")
        files = {"a b.txt": b"a\n", "Sub/ü%20#.bin": FOLDER["large.bin"], "empty": b""}
        plant(site, "folder", files)
        url = re.sub("(:[0-9]+/)", r"\1json/", site.url) if kind == "json" else site.url
        project.ok("import-url", f"{url}/folder{'/' if kind == 'page/' else ''}")
        assert has_files(project, "folder", files)
        assert "up to date" in project.ok("update").stdout
        site.plant("folder/a b.txt", b"new\n")
        assert "    ~ a b.txt" in project.ok("update").stdout
        assert has_files(project, "folder", {**files, "a b.txt": b"new\n"})

    def test_folder_with_a_page_of_its_own(self, project: Project, site: Place) -> None:
        """A page that only has links is a page; as a folder it has nothing, and that is said."""
        page = b"<html><title>Welcome</title><a href='other.html'>more</a></html>"
        site.plant("folder/index.html", page)
        project.ok("import-url", f"{site.url}/folder/", "page.html")
        assert project.read("page.html") == page
        refused = project.run("import-url", f"{site.url}/folder")
        assert refused.exit_code == 14 and "does not list what is in it" in refused.stderr

    def test_host_has_no_name(self, project: Project, static_site: FileServer) -> None:
        """The URL of a host says not what its data is called."""
        refused = project.run("import-url", f"http://127.0.0.1:{static_site.port}/")
        assert refused.exit_code == 1
        assert "import-url URL OUT" in refused.stderr


class TestPaths:
    """Files of this machine."""

    def test_folder(self, project: Project, tmp_path: Path) -> None:
        """A directory elsewhere is copied with its executable bits; links are the files that they lead to."""
        source = tmp_path / "source"
        (source / "sub").mkdir(parents=True)
        (source / "run.sh").write_bytes(b"#!/bin/sh\n")
        (source / "run.sh").chmod(0o755)
        (source / "sub/a").write_bytes(b"a")
        (source / "link").symlink_to("sub/a")
        (source / "circle").symlink_to(".")
        os.mkfifo(source / "fifo")
        (source / "lost").symlink_to("nothing")
        told = project.ok("import-url", "../source", "data").stderr
        assert "circle is a link to a directory, fifo is a named pipe, lost is a link to nothing" in told
        assert has_files(project, "data", {"run.sh": b"#!/bin/sh\n", "sub/a": b"a", "link": b"a"})
        assert (project.path / "data/run.sh").stat().st_mode & 0o100
        assert not (project.path / "data/link").is_symlink()
        assert f'url = "{source}"' in project.read("data.vstore").decode()

    def test_what_is_no_file(self, project: Project, tmp_path: Path) -> None:
        """A pipe by itself is named as what it is."""
        os.mkfifo(tmp_path / "fifo")
        refused = project.run("import-url", "../fifo", "data")
        assert refused.exit_code == 1 and "fifo is a named pipe" in refused.stderr
        assert not leftovers(project, "data")

    def test_any_driver_of_fsspec(self, project: Project) -> None:
        """What fsspec has a driver for is read as well, with a warning."""
        fsspec = pytest.importorskip("fsspec")
        memory = fsspec.filesystem("memory")
        memory.pipe("/lake/Sub/a b", FOLDER["large.bin"])
        memory.pipe("/lake/c", b"c")
        done = project.ok("import-url", "memory://lake", "lake")
        assert "none that vstore is tested with" in done.stderr
        assert has_files(project, "lake", {"Sub/a b": FOLDER["large.bin"], "c": b"c"})
        assert "up to date" in project.ok("update").stdout
        memory.rm("/lake", recursive=True)


class TestPlaces:
    """Where it goes, and what is refused before anything is read."""

    @pytest.fixture
    def origin(self, tmp_path: Path) -> Path:
        """A file outside of the project."""
        path = tmp_path / "origin.bin"
        path.write_bytes(LARGE)
        return path

    def test_into_a_directory(self, project: Project, origin: Path) -> None:
        """A directory that is there, or a slash at the end, means a place in it."""
        project.write("raw/README", b"")
        project.ok("import-url", origin, "raw")
        project.ok("import-url", origin, "new/")
        assert project.read("raw/origin.bin") == project.read("new/origin.bin") == LARGE

    def test_what_is_there_is_kept(self, project: Project, origin: Path) -> None:
        """A file that is there is not overwritten without --force."""
        project.write("out", b"mine")
        refused = project.run("import-url", origin, "out")
        assert refused.exit_code == 11
        assert "is there already" in refused.stderr
        assert project.read("out") == b"mine"
        project.ok("import-url", origin, "out", "--force")
        assert project.read("out") == LARGE

    def test_what_is_tracked_is_kept(self, project: Project, origin: Path) -> None:
        """With --force a tracked file gets other data, and its pointer keeps what a person wrote."""
        project.write("out", b"mine")
        project.ok("add", "out", "--desc", "old words")
        pointer = project.path / "out.vstore"
        pointer.write_text("# a comment\n" + pointer.read_text())
        refused = project.run("import-url", origin, "out")
        assert refused.exit_code == 11
        assert "vstore update out" in refused.stderr
        project.ok("import-url", origin, "out", "--force")
        assert project.read("out") == LARGE
        assert "# a comment" in pointer.read_text() and "old words" in pointer.read_text()

    @pytest.mark.parametrize(
        ("out", "reason"),
        [("data/x", "is in data"), ("README", "tracked by git"), ("../x", "outside"), (".vstore/x", "belongs to")],
    )
    def test_refusals(self, project: Project, origin: Path, out: str, reason: str) -> None:
        """What add refuses is refused here, too, also with --force."""
        project.write("data/a", b"a")
        project.ok("add", "data")
        project.write("README", b"read")
        project.git("add", "README")
        for force in ([], ["--force"]):
            refused = project.run("import-url", origin, out, *force)
            assert refused.exit_code != 0
        assert reason in refused.stderr
        assert project.read("README") == b"read"

    @pytest.mark.parametrize(
        "url",
        [
            "https://ada:hunter2@example.org/x",
            "sftp://ada:hunter2@example.org/x",
            "https://hunter2@example.org/x",
            "https://example.org/x?X-Amz-Signature=hunter2",
            "https://account.blob.core.windows.net/c/x?sv=1&sig=hunter2",
        ],
    )
    def test_secrets_are_refused(self, project: Project, url: str) -> None:
        """A URL with a secret in it is not taken, nor repeated, and the hint says where secrets belong."""
        refused = project.run("import-url", url)
        assert refused.exit_code == 1
        assert "hunter2" not in refused.stderr + refused.stdout
        assert "remote://NAME/PATH" in refused.stderr

    @pytest.mark.parametrize("url", ["", ".", "..", "{}", "file://{}"])
    def test_nothing_is_imported_into_itself(self, project: Project, url: str) -> None:
        """A directory that holds its own import would grow for ever; no URL at all is not where one stands."""
        project.write("a.txt")
        refused = project.run("import-url", url.format(project.path), "copy")
        assert refused.exit_code == 1 and ("is a part of it" if url else "the URL is empty") in refused.stderr
        assert not leftovers(project, "copy")

    def test_dry_run(self, project: Project, origin: Path) -> None:
        """A dry run says what there is and does nothing."""
        done = project.ok("import-url", origin, "--dry-run")
        assert "512 kB" in done.stdout
        assert not leftovers(project, "origin.bin")

    def test_labels(self, project: Project, origin: Path) -> None:
        """What one says of data is kept, as by add."""
        project.ok("import-url", origin, "--type", "model", "--label", "a", "--meta", "k=v", "--desc", "words")
        pointer = project.read("origin.bin.vstore").decode()
        assert all(text in pointer for text in ('type = "model"', 'labels = ["a"]', 'k = "v"', '"words"'))


class TestNoDownload:
    """Imports whose data comes later."""

    @pytest.fixture
    def proxy(self, gcs: GcsServer, http_proxy: Callable[[int], HttpProxy]) -> HttpProxy:
        """What counts requests."""
        return http_proxy(gcs.port)

    @pytest.fixture
    def place(self, project: Project, gcs: GcsServer, proxy: HttpProxy) -> Place:
        """A folder of a bucket, of which nothing was downloaded."""
        place = gcs.new_place(port=proxy.port)
        know(project, place)
        plant(place)
        project.ok("import-url", f"{SOURCE}/folder", "data", "--no-download", "--desc", "later")
        project.commit()
        return place

    def test_nothing_is_read(self, project: Project, place: Place, proxy: HttpProxy) -> None:
        """The pointer says what there is, without a digest; no byte was read."""
        assert proxy.count("GET", "alt=media") == 0
        pointer = project.read("data.vstore").decode()
        assert "digest" not in pointer
        assert f"files = {len(FOLDER)}" in pointer
        assert not project.has("data")

    def test_every_verb_passes_it_over(self, project: Project, place: Place) -> None:
        """It is a fact that other verbs tell, and that stops none of them."""
        project.write("other", b"x")
        project.ok("add", "other")
        project.commit()
        project.add_remote()
        assert "not-downloaded  data" in project.ok("status").stdout
        project.ok("status", "--check")
        for verb in (["push"], ["fetch"], ["pull"], ["checkout"], ["add", "-u"], ["update"]):
            done = project.ok(*verb)
            assert "data was passed over" in done.stderr, verb
        for verb in (["ls"], ["du"], ["diff"], ["push", "--all-commits"]):
            project.ok(*verb)
        assert not project.has("data")

    @pytest.mark.parametrize("verb", ["pull", "update"])
    def test_named_it_comes(self, project: Project, place: Place, verb: str) -> None:
        """Naming it brings it, at the version of the pointer, which keeps what a person wrote."""
        project.ok(verb, "data")
        assert has_files(project, "data", FOLDER)
        pointer = project.read("data.vstore").decode()
        assert 'description = "later"' in pointer
        assert pointer.index("digest") < pointer.index("size")
        assert "unchanged" in project.ok("status").stdout

    def test_fetch_brings_it_into_the_cache(self, project: Project, place: Place) -> None:
        """A fetch does not write files."""
        assert project.ok("fetch", "data", "--json").json()["imported"] == ["data"]
        assert not project.has("data")
        project.ok("checkout", "data")
        assert has_files(project, "data", FOLDER)

    def test_source_moved_on(self, project: Project, place: Place) -> None:
        """A pull refuses another version than the pointer names, and an update takes it."""
        place.plant("folder/new", b"new")
        before = project.read("data.vstore")
        refused = project.run("pull", "data")
        assert refused.exit_code == 11
        assert "vstore update data" in refused.stderr
        assert project.read("data.vstore") == before
        project.ok("update", "data")
        assert has_files(project, "data", {**FOLDER, "new": b"new"})

    def test_something_is_in_its_place(self, project: Project, place: Place) -> None:
        """A file that is where the import will be is never overwritten."""
        project.write("data", b"mine")
        assert project.run("update", "data").exit_code == 11
        assert project.run("pull", "data").exit_code == 11
        assert project.read("data") == b"mine"


@pytest.mark.parametrize("name", ["moto", "ceph", "gcs"])
class TestKeptVersions:
    """Buckets that keep what is replaced."""

    @pytest.fixture
    def place(self, name: str, project: Project, request: pytest.FixtureRequest) -> Place:
        """A bucket with a large file that was replaced, imported before."""
        server: S3Server | GcsServer = request.getfixturevalue(name)
        place = server.new_place()
        server.keep_versions(place.url.partition("://")[2])
        know(project, place)
        place.plant("x", LARGE)
        return place

    @pytest.mark.parametrize("verb", ["pull", "fetch"])
    def test_older_version(self, project: Project, place: Place, verb: str) -> None:
        """A pull brings the version of the pointer, also where there is another now; an update the other."""
        project.ok("import-url", f"{SOURCE}/x", "--no-download")
        before = project.read("x.vstore")
        place.plant("x", b"new")
        project.ok(verb, "x")
        project.ok("checkout", "x")
        assert project.read("x") == LARGE
        source = before.decode().partition("[source]")[2]
        assert project.read("x.vstore").decode().partition("[source]")[2] == source
        assert "updated" in project.ok("update").stdout
        assert project.read("x") == b"new" and source not in project.read("x.vstore").decode()

    def test_deleted(self, project: Project, place: Place, name: str, request: pytest.FixtureRequest) -> None:
        """What was deleted since is still kept."""
        project.ok("import-url", f"{SOURCE}/x", "--no-download")
        bucket = place.url.partition("://")[2]
        if name == "gcs":
            request.getfixturevalue(name).delete(bucket, "x")
        else:
            request.getfixturevalue(name).client().delete_object(Bucket=bucket, Key="x")
        project.ok("pull", "x")
        assert project.read("x") == LARGE


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds; 20 seconds at most."""
    for _ in range(2000):
        if holds():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


class meanwhile:  # noqa: N801 - it reads as a word of the sentence
    """Do something in another thread once a condition holds."""

    def __init__(self, holds: Callable[[], bool], do: Callable[[], object]) -> None:
        self._thread = threading.Thread(target=lambda: (wait_until(holds), do()))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()


class simple_site:  # noqa: N801 - as above
    """A web server that knows neither parts nor lengths, unless it should, and breaks off some answers."""

    def __init__(
        self, data: bytes, *, with_length: bool, breaks: int, parts: bool = False, validator: str | None = "ETag"
    ) -> None:
        left = [breaks]
        values = {"ETag": '"one"', "Last-Modified": "Fri, 27 Nov 2026 10:00:00 GMT"}

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
                if parts and found:
                    start, end = int(found[1]), int(found[2]) + 1
                    self.send_response(206)
                    self.send_header("Content-Length", str(end - start))
                    self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(data)}")
                    if validator and "If-Range" not in self.headers:
                        self.send_header(validator, values[validator])
                    self.end_headers()
                    self.wfile.write(data[start:end])
                    return
                self.send_response(200)
                if validator:
                    self.send_header(validator, values[validator])
                if with_length:
                    self.send_header("Content-Length", str(len(data)))
                else:
                    self.send_header("Transfer-Encoding", "chunked")
                self.send_header("Connection", "close")
                self.close_connection = True
                self.end_headers()
                is_cut = left[0] > 0 and self.headers.get("Range") is None
                left[0] -= is_cut
                try:
                    for start in range(0, len(data) // 2 if is_cut else len(data), 100_000):
                        piece = data[start : start + 100_000]
                        self.wfile.write(piece if with_length else b"%x\r\n%s\r\n" % (len(piece), piece))
                    if not with_length and not is_cut:
                        self.wfile.write(b"0\r\n\r\n")
                except OSError:
                    pass  # the first look wants only the head

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=functools.partial(self._server.serve_forever, 0.01))

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def test_place_as_for_other_imports(project: Project, tmp_path: Path) -> None:
    """The place may stand behind -o, as for ``import`` and ``get``; twice it is refused."""
    (tmp_path / "elsewhere.txt").write_bytes(b"one\n")
    project.ok("import-url", tmp_path / "elsewhere.txt", "-o", "sub/")
    assert project.read("sub/elsewhere.txt") == b"one\n"
    assert project.run("import-url", tmp_path / "elsewhere.txt", "a", "-o", "b").exit_code == 2
