"""Clones of other repositories, from real servers."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.command import git, run_vstore_process
from tests.servers.git_http import PASSWORD, USERNAME, GitServer, count_objects, running_git_http
from tests.servers.running import HOST
from tests.servers.sftp import SftpServer
from vstore.errors import (
    Cause,
    GitFailedError,
    InvalidError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    SourceUnavailableError,
    VstoreError,
)
from vstore.git import check_git_url, get_git_repo, is_git_url, open_clone, remove_clones


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A bare repository with a history of large files."""
    return make_bare(tmp_path)


def make_bare(tmp_path: Path, object_format: str = "sha1") -> Path:
    """Make a bare repository in a folder ``served``: 20 commits with a megabyte each, a tag and two branches."""
    work = tmp_path / "work"
    git("init", "--quiet", f"--object-format={object_format}", "-b", "main", work, cwd=tmp_path)
    for number in range(20):
        (work / "pointer").write_text(f"version {number}\n")
        (work / "big").write_bytes(os.urandom(1_000_000))
        git("add", ".", cwd=work)
        git("commit", "--quiet", "-m", f"commit {number}", cwd=work)
        if number == 10:
            git("tag", "-a", "-m", "a tag", "v1", cwd=work)
    git("branch", "dev/next", "HEAD~1", cwd=work)
    bare = tmp_path / "served/bare.git"
    git("clone", "--quiet", "--bare", work, bare, cwd=tmp_path)
    git("config", "uploadpack.allowFilter", "true", cwd=bare)
    return bare


@pytest.fixture
def server(bare: Path) -> Iterator[GitServer]:
    """A web server that gives it to git."""
    with running_git_http(bare.parent) as running:
        yield running


def configure(home: Path, text: str) -> None:
    """Add to the user's configuration of git."""
    with (home / ".gitconfig").open("a") as file:
        file.write(text)


def read(directory: Path, url: str, rev: str | None = None) -> str:
    """Return what a file says at a revision."""
    with open_clone(directory, url, rev=rev) as clone:
        data = get_git_repo(clone.path).find_file(clone.commit, "pointer")
        assert data is not None and os.listdir(clone.path) == [".git"]
        return data.decode().strip()


def caught(directory: Path, url: str, rev: str | None = None) -> VstoreError:
    """Return the error of a clone that cannot be opened; nothing of it is left."""
    with pytest.raises(VstoreError) as info, open_clone(directory, url, rev=rev):
        pass
    assert not [path for path in directory.iterdir() if path.is_dir()]
    return info.value


def test_as_little_as_possible(server: GitServer, tmp_path: Path) -> None:
    """Of 20 commits with a megabyte each, one commit comes, and only the file that is read."""
    assert read(tmp_path / "clones", server.url("bare.git")) == "version 19"
    [clone] = [path for path in (tmp_path / "clones").iterdir() if path.is_dir()]
    assert count_objects(clone) == {"commit": 1, "tree": 1, "blob": 1}
    assert server.sent_bytes < 5000


def test_again_is_cheap(server: GitServer, bare: Path, tmp_path: Path) -> None:
    """Asked again, a clone transfers next to nothing, and what is new is seen."""
    url = server.url("bare.git")
    read(tmp_path / "clones", url)
    server.sent_bytes = 0
    assert read(tmp_path / "clones", url) == "version 19" and server.sent_bytes < 2000
    git("branch", "-f", "main", "main~3", cwd=bare)
    assert read(tmp_path / "clones", url) == "version 16"


def test_full_id_that_is_here_needs_no_server(server: GitServer, bare: Path, tmp_path: Path) -> None:
    """A commit that is locked is read without asking anybody."""
    commit = git("rev-parse", "main~5", cwd=bare)
    assert read(tmp_path / "clones", server.url("bare.git"), commit) == "version 14"
    server.failure = 500
    assert read(tmp_path / "clones", server.url("bare.git"), commit) == "version 14"


@pytest.mark.parametrize(
    ("rev", "version"),
    [("main", 19), ("v1", 10), ("dev/next", 18), ("refs/heads/main", 19), ("main~2", 17), ("v1^", 9), ("HEAD~4", 15)],
)
def test_revisions(server: GitServer, tmp_path: Path, rev: str, version: int) -> None:
    """Branches, tags and expressions lead where git would; expressions cost the commits, but no files."""
    assert read(tmp_path / "clones", server.url("bare.git"), rev) == f"version {version}"
    assert server.sent_bytes < 20_000


def test_ids_and_descriptions(server: GitServer, bare: Path, tmp_path: Path) -> None:
    """A short id, and what `git describe` says, are found in the history."""
    url, clones = server.url("bare.git"), tmp_path / "clones"
    assert read(clones, url, git("rev-parse", "--short=9", "main~7", cwd=bare)) == "version 12"
    assert read(clones, url, git("describe", "main", cwd=bare)) == "version 19"


@pytest.mark.parametrize("rev", ["nothing", "nothing^", "refs/heads/*", "abcdef0", "0" * 40, "@{-1}", "a..b", ""])
def test_no_such_revision(server: GitServer, tmp_path: Path, rev: str) -> None:
    """What is no commit there is an error with the revision; an empty one is no word for the newest."""
    error = caught(tmp_path / "clones", server.url("bare.git"), rev)
    assert isinstance(error, RevisionNotFoundError) and error.fields["revision"] == rev


def test_repository_without_commits(tmp_path: Path) -> None:
    """A repository that is empty has no revision."""
    git("init", "--quiet", "--bare", tmp_path / "empty.git", cwd=tmp_path)
    error = caught(tmp_path / "clones", f"file://{tmp_path}/empty.git")
    assert isinstance(error, RevisionNotFoundError) and "has no commits" in error.message


@pytest.mark.parametrize("setting", ["uploadpack.allowFilter", "uploadpackfilter.allow"])
def test_server_without_filters(server: GitServer, bare: Path, tmp_path: Path, setting: str) -> None:
    """A server that knows no filters, or refuses them, gives more than needed, and all works."""
    git("config", setting, "false", cwd=bare)
    assert read(tmp_path / "clones", server.url("bare.git")) == "version 19"
    assert read(tmp_path / "clones", server.url("bare.git"), "main~3") == "version 16"


def test_old_server(server: GitServer, bare: Path, tmp_path: Path) -> None:
    """Where only branches and tags are given, and no filters are known, an id is found in their history."""
    server.is_old = True
    git("config", "uploadpack.allowFilter", "false", cwd=bare)
    for back in (5, 6):
        commit = git("rev-parse", f"main~{back}", cwd=bare)
        assert read(tmp_path / "clones", server.url("bare.git"), commit) == f"version {19 - back}"
    assert read(tmp_path / "clones", server.url("bare.git"), "v1") == "version 10"


def test_server_that_keeps_back_what_it_left_out(server: GitServer, bare: Path, tmp_path: Path) -> None:
    """A server that leaves out contents and does not give them later is noticed, and asked for all from then on."""
    server.is_old = True
    for attempt in (1, 2, 3):
        try:
            assert read(tmp_path / "clones", server.url("bare.git")) == "version 19"
        except GitFailedError:
            assert attempt == 1


def test_dumb_server(bare: Path, tmp_path: Path, static_site: object) -> None:
    """A web server that knows nothing of git gives everything, and all works."""
    git("update-server-info", cwd=bare)
    site = static_site
    folder = Path(site.folder)  # type: ignore[attr-defined]
    shutil.copytree(bare, folder / "dumb.git")
    url = f"http://{HOST}:{site.port}/dumb.git"  # type: ignore[attr-defined]
    assert read(tmp_path / "clones", url) == "version 19"
    assert read(tmp_path / "clones", url, "v1") == "version 10"


def test_sha256(tmp_path: Path) -> None:
    """A repository with ids of SHA-256 is cloned as one."""
    bare = make_bare(tmp_path, "sha256")
    commit = git("rev-parse", "main~5", cwd=bare)
    url = f"file://{bare}"
    assert len(commit) == 64 and read(tmp_path / "clones", url, commit) == "version 14"
    for rev, version in ((None, 19), ("v1", 10), ("main~2", 17), (commit[:10], 14)):
        assert read(tmp_path / "clones", url, rev) == f"version {version}"


def test_server_that_changes_its_ids(tmp_path: Path) -> None:
    """A clone of a repository that was made anew with other ids is made anew, too."""
    bare = make_bare(tmp_path)
    assert read(tmp_path / "clones", f"file://{bare}") == "version 19"
    shutil.rmtree(tmp_path / "work")
    shutil.rmtree(bare)
    make_bare(tmp_path, "sha256")
    assert read(tmp_path / "clones", f"file://{bare}") == "version 19"


def test_partial_and_shallow_clone_as_a_source(server: GitServer, tmp_path: Path) -> None:
    """A clone that is itself shallow and partial gives what it has."""
    partial = tmp_path / "partial"
    git("clone", "--quiet", "--depth=3", "--filter=blob:none", server.url("bare.git"), partial, cwd=tmp_path)
    assert read(tmp_path / "clones", f"file://{partial}") == "version 19"
    # Without filters it would have to give the contents that it lacks itself.
    git("config", "uploadpack.allowFilter", "true", cwd=partial)
    error = caught(tmp_path / "other", f"file://{partial}", "main~5")
    assert isinstance(error, RevisionNotFoundError)


def test_history_rewritten(bare: Path, tmp_path: Path) -> None:
    """A branch that was rewritten, and one that took the place of a folder of branches, are followed."""
    url = f"file://{bare}"
    for rev in ("dev/next", "dev/next~1"):
        read(tmp_path / "clones", url, rev)
    git("branch", "-D", "dev/next", cwd=bare)
    git("branch", "dev", "v1", cwd=bare)
    git("branch", "-f", "main", "v1", cwd=bare)
    assert read(tmp_path / "clones", url, "dev") == read(tmp_path / "clones", url, "main") == "version 10"
    assert read(tmp_path / "clones", url, "dev~1") == "version 9"


@pytest.mark.parametrize("damage", ["empty", "config", "head"])
def test_broken_clone_is_made_anew(bare: Path, tmp_path: Path, damage: str) -> None:
    """Whatever happened to a clone, the next command does not suffer from it."""
    url, clones = f"file://{bare}", tmp_path / "clones"
    read(clones, url)
    [clone] = [path for path in clones.iterdir() if path.is_dir()]
    if damage == "empty":
        shutil.rmtree(clone / ".git")
    elif damage == "config":
        (clone / ".git/config").write_bytes(b"[remote\n")
    else:
        (clone / ".git/HEAD").unlink()
    assert read(clones, url) == "version 19"
    assert read(clones, url, "v1") == "version 10"


def test_damaged_packs(bare: Path, tmp_path: Path, home: Path) -> None:
    """A clone with damaged packs fails once at most: libgit2 remembers a bad pack for as long as the process lives."""
    command = ("ls", "--git", f"file://{bare}")
    run_vstore_process(*command, cwd=tmp_path).ok()
    for pack in (home / ".cache/vstore/clones").glob("*/.git/objects/pack/*"):
        pack.chmod(0o644)
        pack.write_bytes(b"damaged")
    run_vstore_process(*command, cwd=tmp_path)
    assert run_vstore_process(*command, cwd=tmp_path).ok().stdout == "big\npointer\n"


def test_several_at_once(server: GitServer, tmp_path: Path) -> None:
    """Several readers share a clone: it is made once, and each gets its revision."""
    revs = ["main", "v1", "dev/next", "main~1", "HEAD", "v1~1"] * 2
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda rev: read(tmp_path / "clones", server.url("bare.git"), rev), revs))
    assert found == [f"version {number}" for number in (19, 10, 18, 18, 19, 9)] * 2
    assert len([path for path in (tmp_path / "clones").iterdir() if path.is_dir()]) == 2


def test_old_ones_go(bare: Path, tmp_path: Path) -> None:
    """What was not opened for long goes, with what died while it was made; what is open stays."""
    clones = tmp_path / "clones"
    with open_clone(clones, f"file://{bare}") as clone:
        (clones / ".vstore-tmp-0123456789abcdef/.git").mkdir(parents=True)
        remove_clones(clones, unused_s=3600)
        assert len([path for path in clones.iterdir() if path.is_dir()]) == 2
        for path in clones.iterdir():
            os.utime(path, (0, 0))
        remove_clones(clones, unused_s=3600)
        assert [path for path in clones.iterdir() if path.is_dir()] == [clone.path]
    os.utime(clone.path, (0, 0))
    remove_clones(clones, unused_s=3600)
    assert not clone.path.exists()


def test_hooks_and_submodules_stay_off(bare: Path, tmp_path: Path, home: Path) -> None:
    """Neither what a stranger planted nor the user's own hooks and templates run or arrive in a clone."""
    hooks = home / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (hooks / name).chmod(0o755)
    configure(home, f"[core]\n\thooksPath = {hooks}\n[init]\n\ttemplateDir = {home}\n")
    work = tmp_path / "work"
    (work / ".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "touch ran"\n')
    git("add", ".", cwd=work)
    git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},x", cwd=work)
    git("-c", "core.hooksPath=/dev/null", "commit", "--quiet", "-m", "submodule", cwd=work)
    git("-c", "core.hooksPath=/dev/null", "push", "--quiet", bare, "main", cwd=work)
    (tmp_path / "ran").unlink(missing_ok=True)
    assert read(tmp_path / "clones", f"file://{bare}") == "version 19"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("status", "kind", "cause"),
    [
        (404, RepositoryNotFoundError, None),
        (403, SourceUnavailableError, Cause.DENIED),
        (500, SourceUnavailableError, Cause.SERVER_FAILED),
        (429, SourceUnavailableError, Cause.BUSY),
    ],
)
def test_what_a_server_answers(
    server: GitServer, tmp_path: Path, status: int, kind: type[VstoreError], cause: Cause | None
) -> None:
    """What a server says is told as what it means."""
    server.failure = status
    error = caught(tmp_path / "clones", server.url("bare.git"))
    assert type(error) is kind and getattr(error, "cause", None) == cause


def test_passwords(server: GitServer, tmp_path: Path, home: Path) -> None:
    """A private server lets in who has the password in the URL or in git's store; nobody is asked."""
    server.is_private = True
    error = caught(tmp_path / "clones", server.url("bare.git"))
    assert isinstance(error, SourceUnavailableError) and error.cause == Cause.CREDENTIALS_MISSING
    error = caught(tmp_path / "clones", server.url("bare.git", f"{USERNAME}:wrong"))
    assert isinstance(error, SourceUnavailableError) and error.cause == Cause.CREDENTIALS_WRONG
    assert "wrong" not in error.message
    password = PASSWORD.replace(" ", "%20")
    assert read(tmp_path / "clones", server.url("bare.git", f"{USERNAME}:{password}")) == "version 19"
    (home / ".git-credentials").write_text(server.url("", f"{USERNAME}:{password}") + "\n")
    configure(home, "[credential]\n\thelper = store\n")
    assert read(tmp_path / "clones", server.url("bare.git")) == "version 19"
    login = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
    assert login not in str(error.fields)


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        (f"http://{HOST}:1/x.git", Cause.REFUSED),
        (f"ssh://{HOST}:1/x.git", Cause.REFUSED),
        (f"git://{HOST}:1/x.git", Cause.REFUSED),
        ("https://nowhere.invalid/x.git", Cause.DNS),
        ("git@nowhere.invalid:x.git", Cause.DNS),
    ],
)
def test_nobody_answers(tmp_path: Path, url: str, cause: Cause) -> None:
    """Where nobody answers, it is said why."""
    error = caught(tmp_path / "clones", url)
    assert isinstance(error, SourceUnavailableError) and error.cause == cause


def test_ssh(sftp: SftpServer, bare: Path, tmp_path: Path, home: Path) -> None:
    """A clone comes over SSH, by a URL and as scp writes it; a key that is not known is told."""
    if "asyncssh" in sftp.label:
        pytest.skip("OpenSSH runs the commands of git; asyncssh is not set up to")
    git("config", "uploadpack.allowFilter", "false", cwd=bare)  # as it is unless somebody changes it
    options = f"-p {sftp.port} -o UserKnownHostsFile={sftp.known_hosts_file} -o IdentitiesOnly=yes -F none"
    command = f"[core]\n\tsshCommand = ssh {options} -o BatchMode=yes -i "
    before = (home / ".gitconfig").read_text()
    (home / ".gitconfig").write_text(before + command + sftp.key_file + "\n")
    assert read(tmp_path / "clones", f"ssh://{sftp.username}@{HOST}:{sftp.port}{bare}") == "version 19"
    assert read(tmp_path / "clones", f"{sftp.username}@{HOST}:{bare}", "v1") == "version 10"
    error = caught(tmp_path / "none", f"{sftp.username}@{HOST}:{bare}-not")
    assert isinstance(error, RepositoryNotFoundError)
    (home / ".gitconfig").write_text(before + command + sftp.stranger_key_file + "\n")
    error = caught(tmp_path / "none", f"{sftp.username}@{HOST}:{bare}")
    assert isinstance(error, SourceUnavailableError) and error.cause == Cause.CREDENTIALS_WRONG
    options = options.replace(sftp.known_hosts_file, "/dev/null")
    (home / ".gitconfig").write_text(before + f"[core]\n\tsshCommand = ssh {options} -o BatchMode=yes\n")
    error = caught(tmp_path / "none", f"{sftp.username}@{HOST}:{bare}")
    assert isinstance(error, SourceUnavailableError) and error.cause == Cause.HOST_KEY


@pytest.mark.parametrize("url", ["ext::sh -c true", "ftp://h/x", "s3://b/x", "-oProxyCommand=x:y", "https://h/\nx"])
def test_urls_that_are_refused(url: str) -> None:
    """What is no URL of git's own transports is refused before git sees it."""
    with pytest.raises(InvalidError):
        check_git_url(url)


@pytest.mark.parametrize(
    ("location", "is_url"),
    [
        ("https://h/x.git", True),
        ("git@h:x/y.git", True),
        ("h:x", True),
        ("ext::sh", False),
        ("./a:b", False),
        ("/a/b", False),
        ("../x", False),
        ("x", False),
        ("-x:y", False),
    ],
)
def test_urls_and_paths(location: str, is_url: bool) -> None:
    """A URL is told from a path as git does it."""
    assert is_git_url(location) is is_url
