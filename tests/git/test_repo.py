"""A repository as git made it: every question is checked against git itself, in every kind of work tree."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.command import git
from vstore.errors import GitFailedError, GitRepositoryNotFoundError, RevisionNotFoundError
from vstore.git import find_git_repo, get_git_repo

_NAMES = [
    "plain",
    "with space",
    "-dash",
    "#hash",
    'quo"te',
    "new\nline",
    "ünï",
    "e\u0301",
    "日本",
    "🙂",
    "a\\b",
    "[x]*?",
]


_KNOWS_REFTABLES = "ref-format" in subprocess.run(["git", "init", "-h"], capture_output=True, text=True).stdout
_FORMS = {"sha1": {}, "sha256": {"GIT_DEFAULT_HASH": "sha256"}, "reftable": {"GIT_DEFAULT_REF_FORMAT": "reftable"}}
_UNKNOWN = pytest.mark.skipif(not _KNOWS_REFTABLES, reason="this git knows no reftables: it is older than 2.45")


@pytest.fixture(params=["sha1", "sha256", pytest.param("reftable", marks=_UNKNOWN)])
def git_repo(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A fresh repository of every form; only the first can be read without the git program."""
    for name, value in _FORMS[request.param].items():
        monkeypatch.setenv(name, value)
    (tmp_path / "repo").mkdir()
    git("init", "--quiet", "--initial-branch=main", cwd=tmp_path / "repo")
    return tmp_path / "repo"


def write(root: Path, files: dict[str, str]) -> None:
    """Write files with their contents below a directory."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)


def commit(root: Path, files: dict[str, str], subject: str = "work", date_s: int = 1_700_000_000) -> str:
    """Commit files and return the commit's id."""
    write(root, files)
    git("add", "--all", cwd=root)
    git("-c", f"user.useConfigOnly={date_s > 0}", "commit", "-qm", subject, f"--date={date_s}", cwd=root)
    return git("rev-parse", "HEAD", cwd=root)


def test_found_from_below(git_repo: Path) -> None:
    """The repository is found from a directory deep inside it, and through a symbolic link."""
    deep = git_repo / "a/b"
    deep.mkdir(parents=True)
    (git_repo.parent / "link").symlink_to(deep)
    for start in (git_repo, deep, git_repo.parent / "link"):
        repo = get_git_repo(start)
        assert repo.work_tree == git_repo
        assert repo.git_dir == repo.common_dir == git_repo / ".git"


def test_no_repository(tmp_path: Path) -> None:
    """Outside of any repository, find returns None and get raises with the path."""
    assert find_git_repo(tmp_path) is None
    with pytest.raises(GitRepositoryNotFoundError) as caught:
        get_git_repo(tmp_path)
    assert caught.value.fields["path"] == str(tmp_path)


def test_bare_repository(tmp_path: Path) -> None:
    """A bare repository has no work tree, and the error says so."""
    git("init", "-q", "--bare", "x.git", cwd=tmp_path)
    assert find_git_repo(tmp_path / "x.git") is None
    with pytest.raises(GitRepositoryNotFoundError, match="bare"):
        get_git_repo(tmp_path / "x.git")


def test_unsupported_repository(git_repo: Path) -> None:
    """A repository of a form that nobody here knows is refused by the name of what is unknown."""
    git("config", "core.repositoryformatversion", "1", cwd=git_repo)
    git("config", "extensions.fromthefuture", "true", cwd=git_repo)
    with pytest.raises(GitFailedError, match="fromthefuture"):
        find_git_repo(git_repo)


def test_broken_repository(git_repo: Path) -> None:
    """A repository whose configuration is damaged is a clear error."""
    (git_repo / ".git/config").write_text("[core\n")
    with pytest.raises(GitFailedError):
        find_git_repo(git_repo)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to someone else")
def test_repository_of_someone_else(git_repo: Path) -> None:
    """A repository owned by another user is refused, as git refuses it, unless it is declared safe."""
    for path in (git_repo, git_repo / ".git"):
        os.chown(path, 12345, 12345)
    with pytest.raises(GitFailedError, match="owner"):
        find_git_repo(git_repo)
    git("config", "--global", "safe.directory", str(git_repo), cwd=git_repo.parent)
    assert find_git_repo(git_repo) is not None


def test_worktree(git_repo: Path) -> None:
    """A linked work tree has its own directory and index, and shares the common directory."""
    first = commit(git_repo, {"a": "1"})
    git("worktree", "add", "-q", "-b", "side", "../side", cwd=git_repo)
    repo = get_git_repo(git_repo.parent / "side")
    assert repo.work_tree == git_repo.parent / "side"
    assert repo.git_dir == git_repo / ".git/worktrees/side"
    assert repo.common_dir == git_repo / ".git"
    write(repo.work_tree, {"b": "2"})
    repo.stage(["b"], 0)
    assert list(repo.iter_tracked()) == ["a", "b"]
    assert list(get_git_repo(git_repo).iter_tracked()) == ["a"]
    assert repo.head() == first


def test_git_directory_elsewhere(git_repo: Path, tmp_path: Path) -> None:
    """A git directory that was put elsewhere leaves the work tree where it is, not beside it."""
    git("init", "--quiet", f"--separate-git-dir={tmp_path / 'away'}", cwd=git_repo)
    (git_repo / "below").mkdir()
    found = get_git_repo(git_repo / "below")
    assert found.work_tree == git_repo and found.git_dir == tmp_path / "away"


def test_submodule(git_repo: Path, tmp_path: Path) -> None:
    """A submodule is a repository of its own; its parent sees neither its files nor its staged changes."""
    git("init", "-q", "inner", cwd=tmp_path)
    commit(tmp_path / "inner", {"a.vstore": "1"})
    git("submodule", "--quiet", "add", str(tmp_path / "inner"), "sub", cwd=git_repo)
    git("commit", "-qm", "sub", cwd=git_repo)
    repo = get_git_repo(git_repo / "sub")
    assert repo.work_tree == git_repo / "sub"
    assert repo.git_dir == repo.common_dir == git_repo / ".git/modules/sub"
    write(repo.work_tree, {"b.vstore": "2"})
    repo.stage(["b.vstore"], 0)
    assert git("status", "--short", cwd=git_repo / "sub") == "A  b.vstore"
    assert list(get_git_repo(git_repo).iter_files("HEAD", ".vstore")) == []


def test_shallow_clone(git_repo: Path, tmp_path: Path) -> None:
    """A shallow clone says so, and its history ends where it was cut."""
    for number in range(3):
        last = commit(git_repo, {"a.vstore": str(number)})
    git("clone", "-q", "--depth=1", f"file://{git_repo}", "clone", cwd=tmp_path)
    repo = get_git_repo(tmp_path / "clone")
    assert repo.is_shallow
    assert not get_git_repo(git_repo).is_shallow
    assert [found.id for found in repo.iter_commits([last])] == [last]
    with pytest.raises(RevisionNotFoundError):
        repo.resolve("HEAD~1")
    assert repo.find_file("HEAD", "a.vstore") == b"2"


@pytest.mark.parametrize("filtered", ["blob:none", "tree:0"])
def test_partial_clone(git_repo: Path, tmp_path: Path, filtered: str) -> None:
    """What a partial clone lacks is fetched by git when it is asked for."""
    files = {f"d{number}/x.vstore": f"content {number}" for number in range(20)}
    commit(git_repo, files)
    git("config", "uploadpack.allowFilter", "true", cwd=git_repo)
    git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=git_repo)
    git("clone", "-q", f"--filter={filtered}", "--no-checkout", f"file://{git_repo}", "clone", cwd=tmp_path)
    repo = get_git_repo(tmp_path / "clone")
    assert repo.find_file("HEAD", "d7/x.vstore") == b"content 7"
    found = dict(repo.iter_files("HEAD", ".vstore"))
    assert found == {name: content.encode() for name, content in files.items()}
    git("config", "remote.origin.promisor", "true", cwd=tmp_path / "clone")
    packs = len(list((tmp_path / "clone/.git/objects/pack").glob("*.pack")))
    assert packs < 10, "the objects were fetched one at a time"


def test_partial_clone_offline(git_repo: Path, tmp_path: Path) -> None:
    """What a partial clone lacks while its remote is gone is an error in git's words."""
    commit(git_repo, {"x.vstore": "1"})
    git("config", "uploadpack.allowFilter", "true", cwd=git_repo)
    git("clone", "-q", "--filter=blob:none", "--no-checkout", f"file://{git_repo}", "clone", cwd=tmp_path)
    shutil.rmtree(git_repo)
    with pytest.raises(GitFailedError):
        get_git_repo(tmp_path / "clone").find_file("HEAD", "x.vstore")


def test_missing_object(git_repo: Path) -> None:
    """An object that should be there and is not is named."""
    commit(git_repo, {"x.vstore": "1"})
    oid = git("rev-parse", "HEAD:x.vstore", cwd=git_repo)
    (git_repo / ".git/objects" / oid[:2] / oid[2:]).unlink()
    repo = get_git_repo(git_repo)
    with pytest.raises(GitFailedError, match=oid):
        repo.find_file("HEAD", "x.vstore")
    with pytest.raises(GitFailedError, match=oid):
        list(repo.iter_files("HEAD", ".vstore"))


def test_damaged_object(git_repo: Path) -> None:
    """An object that is damaged is an error of ours."""
    commit(git_repo, {"x.vstore": "1"})
    oid = git("rev-parse", "HEAD:x.vstore", cwd=git_repo)
    path = git_repo / ".git/objects" / oid[:2] / oid[2:]
    path.chmod(0o644)
    path.write_bytes(b"rubbish")
    with pytest.raises(GitFailedError):
        get_git_repo(git_repo).find_file("HEAD", "x.vstore")


def test_tracked(git_repo: Path) -> None:
    """A path is tracked when the index holds it or anything below it, and by nothing that merely looks alike."""
    write(git_repo, {"data/x": "", "data.csv": "", "data-2/y": "", "z": "", "new": ""})
    git("add", "data", "data.csv", "data-2", "z", cwd=git_repo)
    repo = get_git_repo(git_repo)
    for path in ("data", "data/x", "data.csv", "data-2", "z", ""):
        assert repo.has_tracked(path), path
    for path in ("dat", "data/x/y", "data/y", "data.cs", "new", "zz"):
        assert not repo.has_tracked(path), path
    assert list(repo.iter_tracked()) == ["data-2/y", "data.csv", "data/x", "z"]
    assert list(repo.iter_tracked("data")) == ["data/x"]
    assert list(repo.iter_tracked("z")) == ["z"]
    assert list(repo.iter_tracked(suffix="x")) == ["data/x"]
    git("rm", "-q", "--cached", "z", cwd=git_repo)
    assert not repo.has_tracked("z"), "a change of the index by git was not seen"


def test_before_first_commit(git_repo: Path) -> None:
    """Before the first commit nothing is tracked, there is no head and no history, and nothing fails."""
    repo = get_git_repo(git_repo)
    assert repo.head() is None
    assert not repo.has_tracked("")
    assert repo.branch_tips() == repo.tag_tips() == {}
    assert list(repo.iter_commits([])) == []
    with pytest.raises(RevisionNotFoundError):
        repo.resolve("HEAD")


_RULES = [
    {"": "*.bin\nout/\n/top\n!keep.bin\nsub/**/deep\n"},
    {"": "*.bin\n", "sub": "local\n!x.bin\n"},
    {"": "out\n!out/*\n!/sub/out/x\n"},
    {"": "sub/**\n!out\n"},
    {"": "*\n!*/\n!*.bin\n", "sub": "x.bin\n"},
]


@pytest.mark.parametrize("rules", _RULES)
def test_ignored(git_repo: Path, rules: dict[str, str]) -> None:
    """Ignore rules, with their exceptions, mean for every file and directory what they mean to git."""
    names = ["a.bin", "x.bin", "keep.bin", "top", "local", "deep", "here"]
    write(git_repo, {f"{folder}{name}": "" for folder in ("", "sub/", "out/", "sub/out/", "sub/a/") for name in names})
    write(git_repo, {f"{folder}/.gitignore" if folder else ".gitignore": text for folder, text in rules.items()})
    (git_repo / ".git/info/exclude").write_text("here\n")
    paths = [path for path in git_repo.rglob("*") if ".git" not in path.parts]
    repo = get_git_repo(git_repo)
    told = {str(path.relative_to(git_repo)): path.is_dir() for path in paths}
    oracle = subprocess.run(["git", "check-ignore", "--no-index", *told], cwd=git_repo, capture_output=True, check=True)
    expected = oracle.stdout.decode().splitlines()
    assert [path for path, is_dir in told.items() if repo.is_ignored(path, directory=is_dir)] == expected


def test_ignored_before_it_exists(git_repo: Path) -> None:
    """What does not exist yet is judged by its name, and by what it is going to be."""
    write(git_repo, {".gitignore": "out/\n"})
    repo = get_git_repo(git_repo)
    assert repo.is_ignored("out", directory=True)
    assert repo.is_ignored("a/out/b")
    assert not repo.is_ignored("out")
    assert not repo.is_ignored("out-\udcff")
    write(git_repo, {".gitignore": ""})
    assert not repo.is_ignored("out", directory=True), "a change of the rules was not seen"


def test_resolve(git_repo: Path) -> None:
    """Branches, tags of both kinds, ancestors and short ids mean what they mean to git."""
    first = commit(git_repo, {"a": "1"})
    git("tag", "light", cwd=git_repo)
    git("tag", "-a", "-m", "annotated", "full", cwd=git_repo)
    git("branch", "feature/x", cwd=git_repo)
    second = commit(git_repo, {"a": "2"})
    repo = get_git_repo(git_repo)
    for revision in ("light", "full", "feature/x", "HEAD~1", "HEAD^", first, first[:8], "main@{1}"):
        assert repo.resolve(revision) == first, revision
    for revision in ("HEAD", "main", "@", second):
        assert repo.resolve(revision) == second
    assert repo.head() == second


@pytest.mark.parametrize(
    "revision", ["", " ", "nope", "-x", "HEAD~9", "HEAD:a", "HEAD^{tree}", "HEAD..main", "HEAD\0x", "a" * 40, "\udcff"]
)
def test_unknown_revision(git_repo: Path, revision: str) -> None:
    """What means no commit is refused with its name."""
    commit(git_repo, {"a": "1"})
    with pytest.raises(RevisionNotFoundError) as caught:
        get_git_repo(git_repo).resolve(revision)
    assert caught.value.fields["revision"] == revision


def test_files_of_revisions(git_repo: Path) -> None:
    """The files of any revision come sorted, with their contents, without links and submodules."""
    files = {f"{name}/{name}.vstore": name for name in _NAMES} | {"top.vstore": "top", "a/b/c.vstore": "c", "a/x": ""}
    write(git_repo, files)
    (git_repo / "link.vstore").symlink_to("top.vstore")
    (git_repo / "top.vstore").chmod(0o755)
    old = commit(git_repo, {})
    commit(git_repo, {"top.vstore": "newer"})
    repo = get_git_repo(git_repo)
    expected = {name: content.encode() for name, content in files.items() if name.endswith(".vstore")}
    found = list(repo.iter_files(old, ".vstore"))
    assert dict(found) == expected
    assert found == sorted(found)
    assert repo.find_file("HEAD", "top.vstore") == b"newer"
    assert repo.find_file("HEAD~1", "top.vstore") == b"top"
    for name, content in expected.items():
        assert repo.find_file(old, name) == content
    for nothing in ("a", "a/b", "top.vstore/x", "no", "link.vstore", ""):
        assert repo.find_file(old, nothing) is None, nothing
    assert list(repo.iter_files(old, ".vstore", "a")) == [("a/b/c.vstore", b"c")]
    assert list(repo.iter_files(old, ".vstore", "a/b/c.vstore")) == [("a/b/c.vstore", b"c")]
    assert list(repo.iter_files(old, ".vstore", "a/x")) == list(repo.iter_files(old, "", "no")) == []


def test_files_of_index(git_repo: Path) -> None:
    """The files of the index are what is staged, not what was committed or lies in the work tree."""
    commit(git_repo, {"a.vstore": "1", "b.vstore": "1"})
    write(git_repo, {"a.vstore": "2", "intended.vstore": "x"})
    git("add", "a.vstore", cwd=git_repo)
    git("add", "--intent-to-add", "intended.vstore", cwd=git_repo)
    write(git_repo, {"a.vstore": "3"})
    found = dict(get_git_repo(git_repo).iter_index_files(".vstore"))
    assert found == {"a.vstore": b"2", "b.vstore": b"1", "intended.vstore": b""}


@pytest.mark.parametrize(
    ("git_repo", "has_git"), [("sha1", True), ("sha1", False), ("sha256", True)], indirect=["git_repo"]
)
def test_files_in_conflict(git_repo: Path, has_git: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three sides of a conflict are read by their stage, where libgit2 can also without the git program."""
    commit(git_repo, {"a.vstore": "base", "b": ""})
    git("checkout", "-qb", "side", cwd=git_repo)
    commit(git_repo, {"a.vstore": "theirs"})
    git("checkout", "-q", "main", cwd=git_repo)
    commit(git_repo, {"a.vstore": "ours"})
    git("-c", "alias.try=!git merge -q side >/dev/null || :", "try", cwd=git_repo)
    repo = get_git_repo(git_repo)
    if not has_git:
        monkeypatch.setenv("PATH", "/nowhere")
    sides = [list(repo.iter_index_files(".vstore", stage)) for stage in range(4)]
    assert sides == [[], [("a.vstore", b"base")], [("a.vstore", b"ours")], [("a.vstore", b"theirs")]]
    assert list(repo.iter_tracked()) == ["a.vstore", "b"]


def test_tips(git_repo: Path, tmp_path: Path) -> None:
    """Branches, remote-tracking branches and tags of commits are listed by full name; symbolic ones are not."""
    first = commit(git_repo, {"a": "1"})
    git("tag", "-a", "-m", "x", "v1", cwd=git_repo)
    git("tag", "of-a-tree", "HEAD^{tree}", cwd=git_repo)
    git("branch", "old", cwd=git_repo)
    git("clone", "-q", str(git_repo), "clone", cwd=tmp_path)
    second = commit(tmp_path / "clone", {"a": "2"})
    git("branch", "-q", "-m", "origin/main", cwd=tmp_path / "clone")
    repo = get_git_repo(tmp_path / "clone")
    assert repo.branch_tips() == {
        "refs/heads/origin/main": second,
        "refs/remotes/origin/main": first,
        "refs/remotes/origin/old": first,
    }
    git("pack-refs", "--all", cwd=tmp_path / "clone")
    assert repo.branch_tips()["refs/heads/origin/main"] == second
    assert repo.tag_tips() == {"refs/tags/v1": first}


def test_commits(git_repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each commit of several tips comes once, newest first, with who, when and what."""
    ids = []
    for number in range(3):
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"{1_700_000_000 + number} +0100")
        ids.append(commit(git_repo, {"a": str(number)}, f"Change {number}\nover two lines\n\nBody."))
    git("checkout", "-q", "-b", "side", ids[1], cwd=git_repo)
    monkeypatch.setenv("GIT_COMMITTER_DATE", "1700000009 +0000")
    side = commit(git_repo, {"b": ""}, "Sïde")
    repo = get_git_repo(git_repo)
    found = list(repo.iter_commits([ids[2], side, ids[0]]))
    assert [each.id for each in found] == [side, ids[2], ids[1], ids[0]]
    assert found[0] == repo.commit("side")
    assert found[0].parents == (ids[1],)
    assert (found[0].author, found[0].email, found[0].time_s) == ("Ada Tester", "ada@example.org", 1_700_000_009)
    assert [each.subject for each in found[:2]] == ["Sïde", "Change 2 over two lines"]


def test_commit_in_another_encoding(git_repo: Path) -> None:
    """A message that is no UTF-8 does no harm."""
    git("config", "i18n.commitEncoding", "latin1", cwd=git_repo)
    (git_repo / "message").write_bytes("für".encode("latin1"))
    git("commit", "-q", "--allow-empty", "-F", "message", cwd=git_repo)
    assert get_git_repo(git_repo).commit("HEAD").subject.startswith("f")


def test_reading_writes_nothing(git_repo: Path) -> None:
    """Reading works while git holds its lock, and leaves every file of the repository as it was."""
    commit(git_repo, {"a.vstore": "1"})
    write(git_repo, {"a.vstore": "2"})
    (git_repo / ".git/index.lock").touch()

    def state() -> dict[str, tuple[int, bytes]]:
        files = [path for path in (git_repo / ".git").rglob("*") if path.is_file()]
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    before = state()
    repo = get_git_repo(git_repo)
    assert repo.has_tracked("a.vstore")
    assert list(repo.iter_index_files(".vstore")) == list(repo.iter_files("HEAD", "")) == [("a.vstore", b"1")]
    assert len(list(repo.iter_commits(repo.branch_tips().values()))) == 1
    repo.is_ignored("x")
    assert state() == before
