"""Copying data out of another repository."""

from __future__ import annotations

import os
import signal
import stat
import time
from pathlib import Path

import pytest

from tests.command import Outcome, git, run_vstore, run_vstore_process, start_vstore
from tests.project import LARGE, Project, share


@pytest.fixture
def filled(project: Project) -> Project:
    """A project with artifacts of every kind, and files that git keeps."""
    project.write("data/a.txt", b"a\n")
    project.write("data/sub/b.txt", b"bb\n")
    project.write("data/large.bin", LARGE)
    project.write("data/run.sh", b"#!/bin/sh\n").chmod(0o755)
    (project.path / "data/link").symlink_to("sub/b.txt")
    (project.path / "data/empty").mkdir()
    project.write("models/one.bin", LARGE[::-1])
    project.write("models/two/x", b"x")
    project.write("models/README.md", b"# models\n")
    project.write("models/train.sh", b"#!/bin/sh\n").chmod(0o755)
    (project.path / "models/LATEST").symlink_to("one.bin")
    project.ok("add", "data", "models/one.bin", "models/two")
    project.git("add", "models")
    project.commit("first")
    return project


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory in no repository."""
    path = tmp_path / "outside"
    path.mkdir()
    return path


@pytest.fixture(params=["directory", "url"])
def place(request: pytest.FixtureRequest, filled: Project) -> str:
    """The project, as a directory on this machine and as a URL."""
    return str(filled.path) if request.param == "directory" else share(filled)


def get(outside: Path, *args: str | Path) -> Outcome:
    """Run ``vstore get``."""
    return run_vstore("get", *args, cwd=outside)


def listing(directory: Path) -> dict[str, object]:
    """Return what is below a directory: contents, targets, or None for directories."""
    found: dict[str, object] = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory).as_posix()
        found[name] = os.readlink(path) if path.is_symlink() else None if path.is_dir() else path.read_bytes()
    return found


def test_directory(place: str, filled: Project, outside: Path) -> None:
    """A directory comes with executable bits, links and empty directories, and files can be written."""
    result = get(outside, place, "data", "--json").ok().json()
    assert (result["kind"], result["files"], result["size_bytes"]) == ("tree", 4, 15 + len(LARGE))
    assert listing(outside / "data") == listing(filled.path / "data")
    assert (outside / "data/run.sh").stat().st_mode & stat.S_IXUSR
    assert (outside / "data/large.bin").stat().st_mode & stat.S_IWUSR
    assert os.listdir(outside) == ["data"]
    get(outside, place, "data/empty").ok()
    assert os.listdir(outside / "empty") == []


@pytest.mark.parametrize(
    ("path", "content"), [("models/one.bin", LARGE[::-1]), ("data/a.txt", b"a\n"), ("models/README.md", b"# models\n")]
)
def test_file(place: str, outside: Path, path: str, content: bytes) -> None:
    """A tracked file, a file inside a tracked directory, and one that git keeps, come under their names."""
    get(outside, place, path).ok()
    assert (outside / Path(path).name).read_bytes() == content


def test_part_of_a_directory(place: str, outside: Path) -> None:
    """Of a tracked directory a part can be had, and no more than that is downloaded."""
    result = get(outside, place, "data/sub", "--json").ok().json()
    assert listing(outside / "sub") == {"b.txt": b"bb\n"}
    assert result["fetched_bytes"] < 500


def test_directory_of_artifacts_and_files(place: str, filled: Project, outside: Path) -> None:
    """A directory that holds artifacts and files of git comes as a user sees it, without pointers and ignore rules."""
    get(outside, place, "models").ok()
    expected = listing(filled.path / "models")
    for name in (".gitignore", "one.bin.vstore", "two.vstore"):
        del expected[name]
    assert listing(outside / "models") == expected
    assert (outside / "models/train.sh").stat().st_mode & stat.S_IXUSR


def test_everything(place: str, outside: Path) -> None:
    """The whole repository is called like it."""
    get(outside, place, ".").ok()
    name = "repo" if not place.startswith("file:") else "bare"
    assert (outside / name / "data/a.txt").read_bytes() == b"a\n"
    assert not (outside / name / ".vstore").exists()


def test_revisions(filled: Project, outside: Path) -> None:
    """Any revision can be had; of a directory on this machine also what is not committed yet."""
    filled.git("tag", "v1")
    share(filled)
    filled.write("data/a.txt", b"new\n")
    filled.ok("add", "data")
    get(outside, filled.path, "data/a.txt").ok()
    assert (outside / "a.txt").read_bytes() == b"new\n"
    filled.commit()
    for place in (str(filled.path), share(filled)):
        get(outside, place, "data/a.txt", "--rev", "v1", "--force").ok()
        assert (outside / "a.txt").read_bytes() == b"a\n"


def test_nothing_is_overwritten(place: str, outside: Path) -> None:
    """What is there stays, file or directory; with --force files are replaced, and others stay."""
    (outside / "data").mkdir()
    (outside / "data/mine").write_bytes(b"mine")
    (outside / "data/a.txt").write_bytes(b"mine")
    (outside / "one.bin").write_bytes(b"mine")
    for path in ("data", "models/one.bin"):
        outcome = get(outside, place, path)
        assert outcome.exit_code == 11 and "exists already" in outcome.stderr
    assert (outside / "data/a.txt").read_bytes() == (outside / "one.bin").read_bytes() == b"mine"
    for path in ("data", "models/one.bin"):
        get(outside, place, path, "--force").ok()
    assert (outside / "data/a.txt").read_bytes() == b"a\n" and (outside / "one.bin").read_bytes() == LARGE[::-1]
    assert (outside / "data/mine").read_bytes() == b"mine"
    assert sorted(os.listdir(outside)) == ["data", "one.bin"]


def test_force_never_replaces_a_directory_by_a_file(filled: Project, outside: Path) -> None:
    """A directory in the place of a file is nothing that --force may take away, at the top or below."""
    (outside / "one.bin/x").mkdir(parents=True)
    (outside / "data/a.txt/x").mkdir(parents=True)
    (outside / "data/run.sh").write_bytes(b"mine")
    assert get(outside, filled.path, "models/one.bin", "--force").exit_code == 11
    assert get(outside, filled.path, "data", "--force").exit_code == 1
    assert (outside / "one.bin/x").is_dir() and (outside / "data/a.txt/x").is_dir()
    assert (outside / "data/run.sh").read_bytes() == b"mine"


def test_where_it_goes(filled: Project, outside: Path) -> None:
    """-o names the result, a directory to put a file into, or with a slash one for everything."""
    place = filled.path
    get(outside, place, "data", "-o", "some/where").ok()
    assert (outside / "some/where/a.txt").exists()
    assert get(outside, place, "data", "-o", "some/where").exit_code == 11
    get(outside, place, "data", "-o", "some/").ok()
    assert (outside / "some/data/a.txt").exists()
    get(outside, place, "data/a.txt", "-o", "some").ok()
    get(outside, place, "data/a.txt", "-o", "b.txt").ok()
    assert (outside / "some/a.txt").read_bytes() == (outside / "b.txt").read_bytes() == b"a\n"


def test_dry_run(place: str, outside: Path) -> None:
    """A dry run says how much it would be, and writes nothing."""
    result = get(outside, place, "data", "--dry-run", "--json").ok().json()
    assert result["dry_run"] and result["files"] == 4
    assert result["fetched_bytes"] == (0 if not place.startswith("file:") else result["size_bytes"])
    assert not os.listdir(outside)


def test_repository_on_this_machine_is_left_alone(filled: Project, outside: Path) -> None:
    """What another's directory lacks is fetched, but not into it."""
    share(filled)
    filled.drop_cache()
    before = sorted(filled.path.rglob("*"))
    get(outside, filled.path, "data").ok()
    assert (outside / "data/large.bin").read_bytes() == LARGE
    assert sorted(filled.path.rglob("*")) == before


def test_damage_in_the_other_cache(filled: Project, outside: Path) -> None:
    """A damaged object is not copied: the remote's is."""
    share(filled)
    for path in (filled.path / ".git/vstore/cache/objects").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"x" * len(LARGE))
    get(outside, filled.path, "data").ok()
    assert (outside / "data/large.bin").read_bytes() == LARGE


def test_lost_everywhere(filled: Project, outside: Path) -> None:
    """What is nowhere is exit code 12, names the files, and nothing appears."""
    for path in (filled.path / ".git/vstore/cache/objects").rglob("*"):
        if path.is_file():
            path.unlink()
    outcome = get(outside, filled.path, "data")
    assert outcome.exit_code == 12 and "data/large.bin" in outcome.stderr
    assert not os.listdir(outside)


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("none", "data"), 10, "there is no repository at"),
        (("REPO", "nothing"), 1, "there is no nothing in"),
        (("REPO", "data/nothing"), 1, "there is no data/nothing in"),
        (("REPO", "../x"), 1, "outside the repository"),
        (("REPO", ".git/config"), 1, "belongs to git or vstore"),
        (("REPO", "data", "--rev", "nope"), 1, "no commit"),
        (("REPO", "data/link"), 1, "is a symlink"),
    ],
)
def test_what_cannot_be(filled: Project, outside: Path, args: tuple[str, ...], code: int, words: str) -> None:
    """Each mistake is one sentence, and leaves nothing."""
    outcome = get(outside, *(str(filled.path) if arg == "REPO" else arg for arg in args))
    assert outcome.exit_code == code and words in outcome.stderr
    assert not os.listdir(outside)


def test_plain_git_repository(git_repo: Path, outside: Path) -> None:
    """A repository that knows nothing of vstore has files, too."""
    (git_repo / "docs").mkdir()
    (git_repo / "docs/x").write_bytes(b"x\n")
    git("add", ".", cwd=git_repo)
    git("commit", "--quiet", "--message", "x", cwd=git_repo)
    get(outside, git_repo, "docs").ok()
    assert listing(outside / "docs") == {"x": b"x\n"}


def test_links_that_lead_outside_are_left_out(filled: Project, outside: Path) -> None:
    """Of a part, a link that would lead out of it is left out, and that is said."""
    (filled.path / "data/sub/up").symlink_to("../a.txt")
    filled.ok("add", "data")
    outcome = get(outside, filled.path, "data/sub").ok()
    assert listing(outside / "sub") == {"b.txt": b"bb\n"} and "was left out" in outcome.stderr


def test_concurrently(filled: Project, outside: Path) -> None:
    """Several at once share clone and cache; two of the same do not get into each other's way."""
    url = share(filled)
    names = ["one", "two", "three"]
    processes = [start_vstore("get", url, "data", "-o", name, cwd=outside) for name in names]
    for process in processes:
        assert process.communicate()[1] is not None and process.returncode == 0
    for name in names:
        assert listing(outside / name) == listing(filled.path / "data")


def test_killed(filled: Project, outside: Path) -> None:
    """Killed at any moment, nothing half-done has the final name, and the next one succeeds and cleans up."""
    for number in range(30):
        filled.write(f"many/{number}.bin", os.urandom(300_000))
    filled.ok("add", "many")
    filled.commit()
    url = share(filled)
    for delay_s in (0.3, 0.5, 0.7, 0.9):
        process = start_vstore("get", url, "many", cwd=outside)
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not (outside / "many").exists() or len(os.listdir(outside / "many")) == 30
    if not (outside / "many").exists():
        run_vstore_process("get", url, "many", cwd=outside).ok()
    run_vstore_process("get", url, "many", "--force", cwd=outside).ok()
    assert os.listdir(outside) == ["many"]


def test_bare_repository_in_a_repository(filled: Project, outside: Path) -> None:
    """A bare repository that lies in the work tree of ours is another one."""
    filled.write("kept.txt", b"kept\n")
    filled.git("add", "kept.txt")
    filled.commit()
    git("clone", "--quiet", "--bare", filled.path, "mirror.git", cwd=filled.path)
    get(outside, filled.path / "mirror.git", "kept.txt").ok()
    assert (outside / "kept.txt").read_bytes() == b"kept\n"
    assert filled.ok("ls", "mirror.git").stdout == run_vstore("ls", filled.path / "mirror.git", cwd=outside).stdout


@pytest.mark.parametrize("password", ["secret", "s@secret", "s/secret"])
def test_credentials_are_not_shown(outside: Path, password: str) -> None:
    """A password in a URL is never printed, also one that should have been quoted."""
    outcome = get(outside, f"http://ada:{password}@127.0.0.1:1/x", "data")
    assert outcome.exit_code in (1, 14) and "secret" not in outcome.stderr + outcome.stdout


def test_hint_names_who_logs_in_by_ssh(outside: Path) -> None:
    """The user of a URL for SSH is a part of the address."""
    outcome = get(outside, "ssh://git:secret@127.0.0.1:1/x", "data")
    assert "`git ls-remote ssh://git@127.0.0.1:1/x`" in outcome.stderr and "secret" not in outcome.stderr


def test_hints_are_about_the_other_repository(filled: Project, outside: Path) -> None:
    """What a hint says may be typed where one stands."""
    clone = f"file://{filled.path}"
    assert f"`git -C {filled.path} log --oneline --all`" in get(outside, filled.path, "data", "--rev", "nope").stderr
    assert f"outside the repository {clone}" in get(outside, clone, "../x").stderr
    assert f"`vstore ls --git {clone}`" in run_vstore("ls", clone, "nothing", cwd=outside).stderr


@pytest.mark.parametrize("url", [False, True])
def test_empty_revision_is_none(filled: Project, outside: Path, url: bool) -> None:
    """An empty revision, of a variable that was never set, is not the newest."""
    outcome = get(outside, f"file://{filled.path}" if url else filled.path, "data", "--rev", "")
    assert outcome.exit_code == 1 and "''" in outcome.stderr and not os.listdir(outside)
