"""Going on with what a remote holds, where its repository, or all that it knew of itself, is gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import vstore
from tests.command import git
from tests.project import LARGE, Project
from tests.remote.line import clone, use
from tests.servers.place import Place
from vstore.objects.digest import Digest, hash_bytes
from vstore.remote.commits import Commit, CommittedRoot, commit_from_bytes
from vstore.remote.layout import commit_key, new_session
from vstore.remote.opening import open_transport
from vstore.remote.transport import Transport

FAILED, PARTLY, CONFLICT = 1, 3, 11


@pytest.fixture(params=["directory", "moto"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """An empty place: a directory, and a bucket."""
    if request.param == "directory":
        return Place(str(tmp_path / "place"), {}, lambda key, data: None)
    server = request.getfixturevalue(request.param)
    found: Place = server.new_place()
    return found


@pytest.fixture
def bucket(place: Place, tmp_path: Path) -> Iterator[Transport]:
    """What lies in the place."""
    with open_transport(place.url, place.options, root=tmp_path) as transport:
        yield transport


@pytest.fixture
def pushed(project: Project, place: Place) -> Project:
    """A project with two versions of a directory, and a file, all pushed."""
    use(project, place)
    project.add_data()
    project.ok("push")
    project.write("data/a.txt", b"changed\n")
    project.ok("add", "-u")
    project.commit("second")
    project.ok("push")
    return project


def keys(bucket: Transport) -> set[str]:
    """All keys."""
    return {found.key for found in bucket.list("")}


def lose(bucket: Transport) -> None:
    """Lose everything but packs."""
    for key in keys(bucket):
        if not key.startswith("packs/"):
            bucket.delete(key)


def new_repository(tmp_path: Path, place: Place, *options: str, name: str = "new") -> Project:
    """A repository that knows the place, and nothing of what is there."""
    path = tmp_path / name
    path.mkdir()
    git("init", "--quiet", "--initial-branch=main", cwd=path)
    project = Project(path)
    project.ok("init", *options)
    use(project, place)
    return project


def plant(bucket: Transport, project: str, *roots: CommittedRoot, author: str = "eve@host") -> None:
    """Write a commit of a project."""
    commit = Commit(project, new_session(), author, "2026-01-01T00:00:00+00:00", roots)
    bucket.write(commit_key(project, commit.session), commit.to_bytes())


def test_nothing_but_packs_is_mended(pushed: Project, place: Place, bucket: Transport) -> None:
    """Where only packs are left, that is found, and a repair writes commit and index anew without uploading packs."""
    before = keys(bucket)
    lose(bucket)
    project = clone(pushed, place)
    found = project.run("fsck", "--remote", "--json")
    assert found.exit_code == 12
    (damage,) = found.json()["damages"]
    assert damage["reason"] == "no commit at the remote names it"
    assert {need["path"] for need in damage["needed_by"]} == {"data", "model.bin"}
    packs = {key for key in before if key.startswith("packs/")}
    mended = project.ok("fsck", "--remote", "--repair", "--json").json()
    assert {key for key in keys(bucket) if key.startswith("packs/")} == packs
    assert mended["remotes"][0]["uploaded_bytes"] == 0
    assert any("no commit named" in remark and "on the word" in remark for _, remark in mended["remarks"])
    assert {key.partition("/")[0] for key in keys(bucket)} == {key.partition("/")[0] for key in before}
    assert project.ok("fsck", "--remote", "--read-data", "--json").json()["damages"] == []
    project.ok("fetch", "--all-commits")
    project.ok("pull")
    assert project.read("data/large.bin") == LARGE and project.read("data/a.txt") == b"changed\n"


def test_repair_of_a_lost_commit_leaves_others_alone(pushed: Project, place: Place, bucket: Transport) -> None:
    """Where another project still has commits, versions are named to be mended, and its packs are left alone."""
    other = new_repository(pushed.path.parent, place)
    other.write("theirs.txt", b"theirs\n")
    other.ok("add", "theirs.txt")
    other.ok("push")
    (theirs,) = (key for key in keys(bucket) if key.startswith("commits/") and bucket.read(key).find(b"theirs") > 0)
    for key in keys(bucket):
        if key.startswith("commits/") and key != theirs:
            bucket.delete(key)
    project = clone(pushed, place)
    project.ok("fsck", "--remote", "--repair", "--all-commits")
    (commit,) = (key for key in keys(bucket) if key.startswith("commits/") and key != theirs)
    own = commit_from_bytes(bucket.read(commit), commit).packs()
    assert own.keys().isdisjoint(commit_from_bytes(bucket.read(theirs), theirs).packs())
    project.ok("pull")


def test_new_repository_goes_on(pushed: Project, place: Place, bucket: Transport, tmp_path: Path) -> None:
    """A new repository takes over the only project that there is, pulls its data, and its push adds to it."""
    project = new_repository(tmp_path, place)
    project.write("model.bin", b"mine, and in the way\n")
    before = {key: bucket.read(key) for key in keys(bucket)}
    planned = project.ok("remote", "adopt", "--dry-run", "--json").json()
    assert not project.has("data.vstore")
    done = project.ok("remote", "adopt", "--json").json()
    assert planned | {"dry_run": False} == done
    (found,) = done["projects"]
    assert (found["commits"], found["unreadable"], found["is_ours"]) == (2, 0, False)
    assert [each["path"] for each in found["paths"]] == ["data", "model.bin"]
    assert found["paths"][0]["git_commit"] == pushed.git("rev-parse", "HEAD")
    assert [(each["path"], each["change"]) for each in done["pointers"]] == [("data", "new"), ("model.bin", "new")]
    assert project.read("data.vstore") == pushed.read("data.vstore")
    project.ok("pull", "data")
    assert project.read("data/a.txt") == b"changed\n"
    assert project.run("pull").exit_code == CONFLICT
    assert project.read("model.bin") == b"mine, and in the way\n"
    assert {key: bucket.read(key) for key in keys(bucket)} == before
    project.ok("checkout", "--force")
    project.commit("adopted")
    assert project.ok("status", "--json").json()["artifacts"][0]["data"] == "unchanged"
    assert project.ok("push", "--json").json()["remotes"][0]["roots"] == []
    again = project.ok("remote", "adopt", "--json").json()
    assert [each["change"] for each in again["pointers"]] == ["unchanged", "unchanged"]
    assert again["projects"][0]["is_ours"]


def test_what_is_there_stays(pushed: Project, place: Place, tmp_path: Path) -> None:
    """A pointer that says something else stays, a path inside a tracked one is refused, and one path can be named."""
    project = new_repository(tmp_path, place)
    project.write("data", b"a file of ours\n")
    project.ok("add", "data")
    before = project.read("data.vstore")
    (only,) = project.ok("remote", "adopt", "--path", "model.bin", "--json").json()["pointers"]
    assert only["path"] == "model.bin"
    kept = project.ok("remote", "adopt", "--path", "data", "--json").json()["pointers"]
    assert [each["change"] for each in kept] == ["kept"]
    assert project.read("data.vstore") == before
    unknown = project.run("remote", "adopt", "--path", "nowhere")
    assert unknown.exit_code == FAILED and "with `vstore remote adopt store --dry-run`" in unknown.stderr


def test_several_projects(pushed: Project, place: Place, tmp_path: Path) -> None:
    """Where several have pushed they are listed, and one has to be chosen; who has pushed stays what it is."""
    other = new_repository(tmp_path, place, "--hash", "blake3", name="other")
    other.write("theirs.txt", b"theirs\n")
    other.ok("add", "theirs.txt")
    other.ok("push")
    project = new_repository(tmp_path, place)
    asked = project.run("remote", "adopt")
    assert asked.exit_code == FAILED and "data " in asked.stdout and "theirs.txt" in asked.stdout
    assert "Hint: say which one is meant, as in `vstore remote adopt" in asked.stderr
    assert project.ok("remote", "adopt", "--dry-run", "--json").json()["adopted"] is None
    name = other.ok("config", "get", "core.project", "--json").json()["settings"][0]["value"]
    for nobody, fact in (("nobody", "is not the id of a project"), ("0" * 32, "has commits there")):
        unknown = project.run("remote", "adopt", "--project", nobody)
        assert unknown.exit_code == FAILED and fact in unknown.stderr
        assert "Hint: see which projects have pushed there with `vstore remote adopt store --dry-run`" in unknown.stderr
    done = project.ok("remote", "adopt", "--project", name, "--json").json()
    assert done["adopted"] == name and [each["path"] for each in done["pointers"]] == ["theirs.txt"]
    assert b"blake3" in project.read(".vstore/config")
    project.ok("pull")
    refused = pushed.run("remote", "adopt", "--project", name)
    assert refused.exit_code == CONFLICT and "--force" in refused.stderr
    assert not pushed.has("theirs.txt.vstore")
    pushed.ok("remote", "adopt", "--project", name, "--force")
    assert name.encode() in pushed.read(".vstore/config") and pushed.has("theirs.txt.vstore")


def test_nothing_but_packs_and_no_repository(pushed: Project, place: Place, bucket: Transport, tmp_path: Path) -> None:
    """Where the repository is gone as well, what packs hold whole gets pointers, and comes back after a repair."""
    lose(bucket)
    project = new_repository(tmp_path, place)
    assert project.run("remote", "adopt").exit_code == FAILED
    done = project.ok("remote", "adopt", "--from-packs", "--json").json()
    assert [each["kind"] for each in done["pointers"]].count("tree") == 2
    assert len(done["pointers"]) == 3 and all(each["path"].startswith("recovered/") for each in done["pointers"])
    again = project.ok("remote", "adopt", "--from-packs", "--json").json()
    assert {each["change"] for each in again["pointers"]} == {"unchanged"}
    project.ok("fsck", "--remote", "--repair")
    project.ok("pull")
    found = sorted(path.read_bytes() for path in (project.path / "recovered").glob("*/a.txt"))
    assert found == [b"a\n", b"changed\n"]
    assert project.run("remote", "adopt", "--from-packs", "--path", "data").exit_code == 2


_DIGEST = hash_bytes(b"x", "xxh128")


@pytest.mark.parametrize(
    "path",
    [
        "../outside",
        "/etc/passwd",
        "",
        ".git/hooks/post-checkout",
        ".vstore/config",
        "a//b",
        "a\\b",
        "C:/x",
        "\x1b[31mred\x1b[0m",
        "line\nbreak",
        "\ud800",
        "x" * 300,
        "deep/" * 2000 + "x",
        "tracked.py",
        "link/x",
    ],
    ids=range(15),
)
def test_hostile_paths_are_refused_by_name(project: Project, tmp_path: Path, path: str) -> None:
    """A path that leads elsewhere, that git keeps, or that would play with the terminal, gets no pointer."""
    store = Place(str(tmp_path / "place"), {}, lambda key, data: None)
    use(project, store)
    project.write("tracked.py")
    (project.path / "link").symlink_to(tmp_path)
    project.git("add", ".")
    project.commit()
    with open_transport(store.url, {}, root=tmp_path) as bucket:
        root = CommittedRoot(_DIGEST, "file", path, 1, "\x1b]0;title\x07", ())
        good = CommittedRoot(Digest("xxh128:" + "2" * 32), "file", "good.txt", 1, "HEAD", ())
        plant(bucket, "2" * 32, root, good, author="\x1b[2J\neve")
    before = sorted(path.name for path in tmp_path.iterdir())
    done = project.run("remote", "adopt")
    assert done.exit_code == PARTLY
    assert "\x1b" not in done.stdout + done.stderr and "\neve" not in done.stdout
    assert "good.txt" in done.stdout
    assert project.has("good.txt.vstore")
    assert project.git("status", "--porcelain").split() == [
        "A",
        ".gitignore",
        "M",
        ".vstore/config",
        "A",
        "good.txt.vstore",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_id_that_no_repository_can_have_is_passed_over(pushed: Project, place: Place, bucket: Transport) -> None:
    """A project whose id the configuration would not take is listed, and is not adopted."""
    plant(bucket, "not-hex", CommittedRoot(_DIGEST, "file", "x", 1, None, ()))
    project = new_repository(pushed.path.parent, place)
    before = project.read(".vstore/config")
    assert project.run("remote", "adopt", "--project", "not-hex").exit_code == FAILED
    assert project.run("remote", "adopt", "--project", "../x").exit_code == FAILED
    assert project.read(".vstore/config") == before
    assert [each["path"] for each in project.ok("remote", "adopt", "--json").json()["pointers"]] == [
        "data",
        "model.bin",
    ]


def test_unreadable_commits_are_counted(pushed: Project, place: Place, bucket: Transport, tmp_path: Path) -> None:
    """What cannot be read is named, and the rest is taken over."""
    (key, *_) = (key for key in keys(bucket) if key.startswith("commits/"))
    folder = key.rpartition("/")[0]
    bucket.write(f"{folder}/{new_session()}.json", b"[" * 100_000)
    bucket.write("commits/readme.txt", b"hello")
    project = new_repository(tmp_path, place)
    done = project.run("remote", "adopt")
    assert done.exit_code == 0 and "1 commit unreadable" in done.stdout and "passed over" in done.stderr


def test_python(pushed: Project, place: Place, tmp_path: Path) -> None:
    """The same from Python; without git, too."""
    path = tmp_path / "plain"
    path.mkdir()
    project = Project(path)
    project.ok("init", "--no-git")
    use(project, place)
    result = vstore.remote_adopt(directory=path)
    assert [each.path for each in result.pointers] == ["data", "model.bin"]
    vstore.pull(directory=path)
    assert project.read("model.bin") == LARGE[::-1]
