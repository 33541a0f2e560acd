"""Other repositories, read where they are or as clones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.project import LARGE, Project, share
from vstore import elsewhere
from vstore.elsewhere import open_elsewhere, resolve_location
from vstore.errors import (
    InvalidError,
    RemoteUnavailableError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    SourceUnavailableError,
)
from vstore.ops.cat import cat
from vstore.ops.ls import ls


@pytest.fixture
def shared(project: Project) -> str:
    """The URL of a bare repository; its data is in a remote beside it."""
    project.add_data()
    return share(project)


def read(location: str | Path, path: str, **options: str) -> bytes:
    """Return the content of a file of another repository."""
    pieces: list[bytes] = []
    with open_elsewhere(location, **options) as repo:  # type: ignore[arg-type]
        cat(repo, path, pieces.append)
    return b"".join(pieces)


def test_url_is_read_without_files(shared: str, home: Path) -> None:
    """Verbs read a clone that has no files, at the commit of its branch."""
    with open_elsewhere(shared) as repo:
        assert [entry.path for entry in ls(repo).entries] == ["data", "model.bin"]
        assert repo.rev is not None and len(repo.rev) == 40
        assert os.listdir(repo.work_tree) == [".git"]
        assert repo.work_tree.is_relative_to(home / ".cache/vstore/clones")
    assert read(shared, "data/large.bin") == LARGE


@pytest.mark.parametrize("rev", ["v1", "main~1", "full", "short", "refs/tags/v1"])
def test_every_kind_of_revision(project: Project, shared: str, rev: str) -> None:
    """A tag, an expression and ids, whole and short, lead to an older version."""
    old = project.git("rev-parse", "HEAD")
    project.git("tag", "v1", old)
    project.write("data/a.txt", b"new\n")
    project.ok("add", "data")
    project.commit()
    project.ok("push")
    project.git("push", "--quiet", shared, "main", "v1")
    named = {"full": old, "short": old[:9]}.get(rev, rev)
    assert read(shared, "data/a.txt", rev=named) == b"a\n"
    assert read(shared, "data/a.txt") == b"new\n"


@pytest.mark.parametrize("rev", ["nothing", "nothing~1", "0" * 40, "abcdef1", "-x", "a b"])
def test_unknown_revision(shared: str, rev: str) -> None:
    """A revision that is not there is said so, whatever kind it is of."""
    with pytest.raises(RevisionNotFoundError), open_elsewhere(shared, rev=rev):
        pass


def test_directory_is_read_where_it_is(project: Project) -> None:
    """A directory on this machine needs no remote, and without a revision it is read as it is now."""
    project.add_data()
    assert read(project.path, "model.bin") == LARGE[::-1]
    project.write("data/a.txt", b"new\n")
    project.ok("add", "data")
    assert read(project.path, "data/a.txt") == b"new\n"
    assert read(project.path, "data/a.txt", rev="HEAD") == b"a\n"


def test_bare_directory(shared: str) -> None:
    """The path of a bare repository is as good as its URL, also without its ending."""
    path = shared.removeprefix("file://")
    assert read(path, "data/a.txt") == read(path.removesuffix(".git"), "data/a.txt") == b"a\n"


def test_nothing_there(project: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where no repository is, that is what is said, also below one."""
    empty = tmp_path_factory.mktemp("empty")
    for location in (empty, empty / "none", f"file://{empty}/none", project.path / "none"):
        with pytest.raises(RepositoryNotFoundError), open_elsewhere(location):
            pass


@pytest.mark.parametrize("url", ["ext::sh -c true", "ftp://host/x", "fd::17", "s3://bucket/x"])
def test_transports_that_could_run_programs(url: str) -> None:
    """Only what git speaks itself is spoken."""
    with pytest.raises((InvalidError, RepositoryNotFoundError)), open_elsewhere(url):
        pass


def test_nobody_listens() -> None:
    """A server that is not there is a fact with its cause, and no secret of the URL is told."""
    with pytest.raises(SourceUnavailableError) as caught, open_elsewhere("http://ada:secret@127.0.0.1:1/x.git"):
        pass
    assert caught.value.fields["cause"] == "refused"
    assert "secret" not in str(caught.value.fields) + caught.value.message


def test_settings_of_ours_do_not_reach_it(shared: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says of our remote of the same name is not told to a stranger's."""
    monkeypatch.setenv("VSTORE_REMOTE_STORE_URL", "/nowhere")
    monkeypatch.setenv("VSTORE_CACHE_DIR", "/nowhere")
    monkeypatch.setenv("VSTORE_TRANSFER_JOBS", "3")
    with open_elsewhere(shared) as repo:
        assert repo.config.remotes["store"].url.endswith("/store") and repo.jobs == 3
        assert repo.cache.path.parts[-3:] == (".cache", "vstore", "contents")


def test_stranger_configures_nothing_but_remotes(project: Project, shared: str) -> None:
    """A stranger's configuration moves no cache of ours."""
    project.ok("config", "set", "cache.dir", "/nowhere")
    project.ok("config", "set", "transfer.jobs", "7")
    project.git("commit", "-qam", "settings")
    project.git("push", "--quiet", shared, "main")
    with open_elsewhere(shared) as repo:
        assert repo.jobs != 7 and "nowhere" not in str(repo.cache.path)


def test_cache_of_all_clones_is_bounded(shared: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is beyond the limit goes, the oldest first, when a clone is closed."""
    contents = home / ".cache/vstore/contents"
    assert read(shared, "model.bin") and list(contents.glob("objects/*/*/*"))
    monkeypatch.setenv("VSTORE_CACHE_ELSEWHERE_LIMIT", "1k")
    assert read(shared, "data/large.bin") == LARGE
    assert not list(contents.glob("objects/*/*/*"))


def test_unused_clones_go(shared: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone that nobody opened for long is removed, one in use is not."""
    monkeypatch.setattr(elsewhere, "UNUSED_S", -1.0)
    with open_elsewhere(shared) as repo:
        with open_elsewhere(shared, rev="HEAD~1"):
            pass
        assert repo.work_tree.exists()
    assert not [path for path in (home / ".cache/vstore/clones").iterdir() if path.is_dir()]


def test_relative_locations(project: Project, shared: str, tmp_path: Path) -> None:
    """What a repository names begins at it, wherever it is itself; a stranger names no directory of this machine."""
    with open_elsewhere(project.path) as repo:
        assert resolve_location(repo, "../other") == str(tmp_path / "other")
        (tmp_path / "other.git").mkdir()
        assert resolve_location(repo, "../other") == str(tmp_path / "other.git")
    with open_elsewhere(shared) as repo:
        assert resolve_location(repo, "../repo") == str(project.path)
        assert resolve_location(repo, "git@host:x") == "git@host:x"
        repo.url = "https://host/team/b.git"
        assert resolve_location(repo, "../a") == "https://host/team/a"
        repo.url = "git@host:team/b.git"
        assert resolve_location(repo, "../a") == "git@host:team/a"
        for location in ("/home/ada", "../../../a"):
            with pytest.raises(InvalidError):
                resolve_location(repo, location)


def test_remote_beside_a_repository_on_another_machine(shared: str) -> None:
    """A relative remote of a repository that is not on this machine cannot be reached, and it is said why."""
    with open_elsewhere(shared) as repo:
        repo.url = "https://host/x.git"
        object.__setattr__(repo.config.remotes["store"], "url", "../store")
        with pytest.raises(RemoteUnavailableError, match="another machine"), repo.open_remote():
            pass
