"""Tracking data of another repository."""

from __future__ import annotations

import os
import shutil
import signal
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

import vstore
from tests.command import Outcome, git, start_vstore
from tests.project import LARGE, Project, share
from vstore.errors import ObjectMissingError


@pytest.fixture
def theirs(project: Project) -> Project:
    """The other repository: artifacts, and files that git keeps."""
    project.add_data()
    project.write("docs/a.md", b"# a\n")
    project.write("docs/run.sh", b"#!/bin/sh\n").chmod(0o755)
    project.git("add", "docs")
    project.commit("docs")
    return project


def make(path: Path, *options: str) -> Project:
    """Make a repository with a remote of its own."""
    path.mkdir()
    git("init", "--quiet", cwd=path)
    made = Project(path)
    made.ok("init", *options)
    made.ok("remote", "add", "-d", "own", f"../{path.name}-store")
    made.git("add", ".vstore")
    made.commit("start")
    return made


@pytest.fixture
def ours(tmp_path: Path) -> Project:
    """The repository that imports."""
    return make(tmp_path / "ours")


@pytest.fixture(params=["directory", "url"])
def place(request: pytest.FixtureRequest, theirs: Project) -> str:
    """The other repository, as a directory beside ours and as a URL."""
    return "../repo" if request.param == "directory" else share(theirs)


def source(project: Project, path: str) -> dict[str, Any]:
    """Return what a pointer says of its source."""
    found: dict[str, Any] = tomllib.loads((project.path / f"{path}.vstore").read_text())["source"]
    return found


def update(project: Project, *args: str) -> list[dict[str, Any]]:
    """Update imports, and return what became of them."""
    imports: list[dict[str, Any]] = project.ok("update", *args, "--json").json()["imports"]
    return imports


def change(theirs: Project) -> str:
    """Change the data of the other repository; returns the commit."""
    theirs.write("data/a.txt", b"new\n")
    theirs.write("data/more.txt", b"more\n")
    theirs.ok("add", "data")
    return theirs.commit("change")


def test_directory(place: str, theirs: Project, ours: Project) -> None:
    """The data is here, tracked, pushed like our own, and the pointer says where it came from."""
    result = ours.ok("import", place, "data", "--json").json()
    assert ours.read("data/large.bin") == LARGE and ours.read("data/sub/b.txt") == b"bb\n"
    head = theirs.git("rev-parse", "HEAD")
    assert source(ours, "data") == {"repo": place, "path": "data", "commit": head}
    assert result["commit"] == head and result["files"] == 3
    pointers = [tomllib.loads((p.path / "data.vstore").read_text()) for p in (theirs, ours)]
    assert pointers[0]["digest"] == pointers[1]["digest"]
    assert ours.ok("status", "--json", "--check").json()["artifacts"][0]["pointer"] == "new"
    assert ours.git("diff", "--cached", "--name-only") == ".gitignore\ndata.vstore"
    ours.commit()
    ours.ok("push")
    clone = ours.clone()
    for path in theirs.path, theirs.store, theirs.path.parent / "bare.git":
        if path.exists():
            path.rename(f"{path}-gone")
    clone.ok("pull")
    assert clone.read("data/large.bin") == LARGE


@pytest.mark.parametrize(
    ("path", "content"),
    [("model.bin", LARGE[::-1]), ("data/sub/b.txt", b"bb\n"), ("docs/a.md", b"# a\n")],
)
def test_file(place: str, ours: Project, path: str, content: bytes) -> None:
    """A tracked file, one inside a tracked directory, and one that git keeps, are tracked here."""
    ours.ok("import", place, path)
    name = Path(path).name
    assert ours.read(name) == content and source(ours, name)["path"] == path
    assert ours.ok("status", "--check").exit_code == 0


def test_directory_of_git(place: str, ours: Project) -> None:
    """A directory that git keeps there is tracked here, with its executable bits."""
    ours.ok("import", place, "docs", "-o", "guides")
    assert ours.read("guides/a.md") == b"# a\n" and os.access(ours.path / "guides/run.sh", os.X_OK)
    assert ours.ok("status", "--check").exit_code == 0


def test_everything(place: str, ours: Project) -> None:
    """A whole repository can be imported, artifacts and files together."""
    ours.ok("import", place, ".", "-o", "whole")
    assert ours.read("whole/data/a.txt") == b"a\n" and ours.read("whole/docs/a.md") == b"# a\n"


def test_nothing_is_overwritten(theirs: Project, ours: Project) -> None:
    """What is there stays, unless --force; what git keeps, and what lies in a tracked directory, stays anyway."""
    ours.write("data", b"mine")
    assert ours.run("import", "../repo", "data").exit_code == 11
    assert ours.read("data") == b"mine" and not ours.has("data.vstore")
    ours.ok("import", "../repo", "data", "--force")
    assert ours.read("data/a.txt") == b"a\n"
    assert ours.run("import", "../repo", "model.bin", "-o", "data").exit_code == 11
    assert ours.run("import", "../repo", "model.bin", "-o", "data/model.bin").exit_code == 1
    ours.write("kept", b"kept")
    ours.git("add", "kept")
    assert ours.run("import", "../repo", "model.bin", "-o", "kept", "--force").exit_code == 1
    ours.ok("import", "../repo", "model.bin", "-o", "data", "--force")
    assert ours.read("data") == LARGE[::-1] and source(ours, "data")["path"] == "model.bin"


def test_what_is_not_committed_is_not_imported(theirs: Project, ours: Project) -> None:
    """Only what can be had again is imported: the commit, not what lies in the work tree."""
    theirs.write("data/a.txt", b"new\n")
    theirs.ok("add", "data")
    ours.ok("import", "../repo", "data")
    assert ours.read("data/a.txt") == b"a\n"


def test_revision(theirs: Project, ours: Project) -> None:
    """A pointer remembers what was asked for, and which commit that was."""
    theirs.git("tag", "v1")
    old = theirs.git("rev-parse", "HEAD")
    change(theirs)
    ours.ok("import", "../repo", "data", "--rev", "v1")
    assert ours.read("data/a.txt") == b"a\n"
    assert source(ours, "data") == {"repo": "../repo", "path": "data", "rev": "v1", "commit": old}


def test_own_older_version(theirs: Project) -> None:
    """A repository may import from itself: an older version beside the new one."""
    theirs.git("tag", "v1")
    change(theirs)
    theirs.ok("import", ".", "data", "--rev", "v1", "-o", "before")
    assert theirs.read("before/a.txt") == b"a\n" and theirs.read("data/a.txt") == b"new\n"


def test_relative_repository_from_a_directory(theirs: Project, ours: Project) -> None:
    """A relative path begins where one stands, and is remembered relative to the work tree."""
    ours.write("deep/er/x")
    outcome: Outcome = ours.run("import", "../../../repo", "model.bin", inside="deep/er")
    outcome.ok()
    assert ours.read("deep/er/model.bin") == LARGE[::-1]
    assert source(ours, "deep/er/model.bin")["repo"] == "../repo"
    assert update(ours)[0]["change"] == "up-to-date"


def test_dry_run(place: str, ours: Project) -> None:
    """A dry run says what it would be, and writes nothing."""
    result = ours.ok("import", place, "data", "--dry-run", "--json").json()
    assert result["dry_run"] and result["size_bytes"] == 5 + len(LARGE) == result["fetched_bytes"]
    assert not ours.has("data") and not ours.has("data.vstore")


def test_not_downloaded(place: str, ours: Project) -> None:
    """Without data the pointer is whole; status says absent, push passes it over, and pull brings it."""
    ours.ok("import", place, "data", "--no-download")
    assert not ours.has("data") and source(ours, "data")["path"] == "data"
    assert ours.ok("status", "--json").json()["artifacts"][0]["data"] == "absent"
    assert [entry["path"] for entry in ours.ok("ls", "data", "--json").json()["entries"]] == [
        "data/a.txt",
        "data/large.bin",
        "data/sub",
    ]
    assert "was passed over" in ours.ok("push").stderr
    ours.ok("pull", "data/sub")
    assert ours.read("data/sub/b.txt") == b"bb\n" and not ours.has("data/large.bin")
    ours.ok("pull")
    assert ours.read("data/large.bin") == LARGE
    assert ours.ok("push", "--json").json()["remotes"][0]["roots"] == ["data"]


def test_not_copied(place: str, theirs: Project, ours: Project) -> None:
    """With --no-copy nothing is pushed; a clone of ours gets the data from where it came from, at that commit."""
    ours.ok("import", place, "data", "--no-copy")
    ours.ok("import", place, "model.bin", "--no-copy")
    ours.commit()
    assert source(ours, "data")["copy"] is False
    outcome = ours.ok("push", "--json")
    assert outcome.json()["remotes"] == [] and outcome.stderr.count("was passed over") == 2
    found = ours.ok("status", "--remote", "--json").json()["artifacts"]
    assert [(artifact["remote"], artifact["not_in_remote"]) for artifact in found] == [(None, None)] * 2
    change(theirs)
    if place != "../repo":
        share(theirs)
    clone = ours.clone()
    assert clone.ok("cat", "data/sub/b.txt").stdout == "bb\n"
    clone.ok("pull")
    assert clone.read("data/a.txt") == b"a\n" and clone.read("model.bin") == LARGE[::-1]
    assert clone.ok("status", "--check").exit_code == 0


def test_not_copied_is_read_from_python(place: str, theirs: Project, ours: Project, tmp_path: Path) -> None:
    """What stays where it came from is read there, through any number of repositories, and no whole file of it."""
    for path in ("data", "model.bin", "docs"):
        ours.ok("import", place, path, "--no-copy", "--no-download")
    ours.commit()
    last = make(tmp_path / "last")
    for path in ("data", "model.bin", "docs"):
        last.ok("import", "../ours", path, "--no-copy", "--no-download")
    for repo in (ours.path, last.path):
        assert vstore.read("data/sub/b.txt", repo=repo) == b"bb\n"
        assert vstore.read("docs/a.md", repo=repo) == b"# a\n"
        with vstore.open("data/large.bin", "rb", directory=repo) as file:
            file.seek(-5, os.SEEK_END)
            assert file.read() == LARGE[-5:]
        assert vstore.read("model.bin", directory=repo) == LARGE[::-1]
        assert vstore.path("data/sub/b.txt", directory=repo).read_bytes() == b"bb\n"
    theirs.drop_cache()
    if place == "../repo":
        with pytest.raises(ObjectMissingError, match="data"):
            vstore.read("data/large.bin", directory=last.path)


def test_source_is_gone(theirs: Project, ours: Project) -> None:
    """Where the repository of an import is gone, that is what is said."""
    ours.ok("import", "../repo", "data", "--no-copy", "--no-download")
    theirs.path.rename(theirs.path.parent / "elsewhere")
    outcome = ours.run("pull")
    assert outcome.exit_code == 10 and "there is no repository at" in outcome.stderr


def test_source_that_is_gone_stops_nothing_else(theirs: Project, ours: Project) -> None:
    """Beside an import whose repository is gone everything else is pulled, and what is missing is named with why."""
    ours.write("own", b"own\n")
    ours.ok("add", "own")
    ours.ok("import", "../repo", "data", "--no-copy")
    ours.ok("import", "../repo", "docs/a.md", "--no-copy")
    ours.ok("push")
    ours.drop_cache()
    shutil.rmtree(ours.path / "data")
    for name in ("own", "a.md"):
        (ours.path / name).unlink()
    theirs.path.rename(theirs.path.parent / "elsewhere")
    outcome = ours.run("pull")
    assert outcome.exit_code == 3 and ours.read("own") == b"own\n"
    assert outcome.stderr.count("there is no repository at") == 2
    assert "the contents of 2 files" in outcome.stderr and "data" in outcome.stderr and "a.md" in outcome.stderr


@pytest.mark.parametrize("middle_options", [(), ("--no-copy",), ("--no-download",), ("--no-copy", "--no-download")])
def test_chain(theirs: Project, ours: Project, tmp_path: Path, middle_options: tuple[str, ...]) -> None:
    """An import of an import is brought from where the data is, whatever the one in the middle kept."""
    url = share(theirs)
    for path in ("data", "docs"):
        ours.ok("import", url, path, *middle_options)
    ours.commit()
    ours.ok("push")
    git("clone", "--quiet", "--bare", ours.path, tmp_path / "middle.git", cwd=tmp_path)
    last = make(tmp_path / "last")
    last.ok("import", f"file://{tmp_path}/middle.git", "data")
    last.ok("import", "../middle.git", "docs", "-o", "guides")
    last.ok("import", "../ours", "data/sub")
    assert last.read("data/large.bin") == LARGE and last.read("guides/a.md") == b"# a\n"
    assert last.read("sub/b.txt") == b"bb\n"
    assert source(last, "guides")["repo"] == "../middle.git"


def test_ring(ours: Project, theirs: Project) -> None:
    """Two repositories that import from each other what nobody has end with an error, not for ever."""
    ours.ok("import", "../repo", "data", "--no-copy", "--no-download")
    ours.commit()
    pointer = (ours.path / "data.vstore").read_text().replace("../repo", "../ours")
    pointer = "\n".join(line for line in pointer.splitlines() if not line.startswith("commit"))
    (theirs.path / "data.vstore").write_text(pointer + "\n")
    theirs.git("commit", "-qam", "ring")
    theirs.drop_cache()
    text = (ours.path / "data.vstore").read_text()
    (ours.path / "data.vstore").write_text(
        "\n".join(line for line in text.splitlines() if not line.startswith("commit")) + "\n"
    )
    ours.drop_cache()
    outcome = ours.run("pull")
    assert outcome.exit_code not in (0, 255) and "repositories" in outcome.stderr


@pytest.mark.parametrize("kind", ["data", "model.bin"])
def test_other_algorithm(theirs: Project, tmp_path: Path, kind: str) -> None:
    """Contents that are named by another algorithm there get names of ours, and are fetched by them again."""
    ours = make(tmp_path / "safe", "--hash", "blake3")
    assert ours.run("import", "../repo", kind, "--no-download").exit_code == 1
    ours.ok("import", "../repo", kind, "--no-copy")
    assert "blake3:" in (ours.path / f"{kind}.vstore").read_text()
    assert ours.ok("status", "--check").exit_code == 0
    ours.commit()
    clone = ours.clone()
    clone.ok("pull")
    assert clone.ok("status", "--check").exit_code == 0 and clone.has(kind)


def test_update(place: str, theirs: Project, ours: Project) -> None:
    """An update moves on to what is there now, says which files changed, and keeps what people wrote."""
    ours.ok("import", place, "data")
    pointer = ours.path / "data.vstore"
    text = pointer.read_text().replace("[source]", '[meta]\nwhy = "tests"\n\n[source]\n# from next door')
    pointer.write_text(text)
    ours.git("add", ".")
    ours.commit()
    assert update(ours)[0]["change"] == "up-to-date" and pointer.read_text() == text
    new = change(theirs)
    if place != "../repo":
        share(theirs)
    planned = update(ours, "--dry-run")[0]
    done = update(ours)[0]
    assert planned["changes"] == done["changes"] and pointer.read_text() != text
    assert [(each["path"], each["change"]) for each in done["changes"]] == [
        ("a.txt", "modified"),
        ("more.txt", "added"),
    ]
    assert (done["change"], done["new"]) == ("updated", new)
    assert ours.read("data/a.txt") == b"new\n" and ours.read("data/more.txt") == b"more\n"
    assert 'why = "tests"' in pointer.read_text() and "# from next door" in pointer.read_text()
    assert source(ours, "data")["commit"] == new


def test_import_of_what_nobody_downloaded(theirs: Project, ours: Project, tmp_path: Path) -> None:
    """What the other repository only refers to is said to be elsewhere, with the way to get it."""
    origin = tmp_path / "origin"
    origin.write_bytes(b"1")
    theirs.ok("import-url", origin, "later", "--no-download")
    theirs.commit()
    for verb in ("get", "import"):
        outcome = ours.run(verb, "../repo", "later")
        assert outcome.exit_code == 1 and f"`vstore import-url {origin}`" in outcome.stderr
    assert "`vstore update later`" in theirs.run("cat", "later").stderr


def test_import_of_an_empty_directory(theirs: Project, ours: Project) -> None:
    """A directory inside of a tracked one may be empty, for now."""
    (theirs.path / "data/empty").mkdir()
    theirs.ok("add", "data")
    theirs.commit()
    ours.ok("import", "../repo", "data/empty")
    assert (ours.path / "empty").is_dir() and "up to date" in ours.ok("update").stdout
    theirs.write("data/empty/x", b"x")
    theirs.ok("add", "data")
    theirs.commit()
    assert "+ x" in ours.ok("update").stdout and ours.read("empty/x") == b"x"


def test_update_to_a_revision(theirs: Project, ours: Project) -> None:
    """--rev lets an import follow another branch or tag from then on."""
    theirs.git("tag", "v1")
    theirs.git("branch", "next")
    ours.ok("import", "../repo", "data", "--rev", "v1")
    change(theirs)
    assert update(ours)[0]["change"] == "up-to-date"
    assert update(ours, "--rev", "main")[0]["change"] == "updated"
    assert source(ours, "data")["rev"] == "main" and ours.read("data/a.txt") == b"new\n"
    assert update(ours, "--rev", "v1")[0]["change"] == "updated"
    assert ours.read("data/a.txt") == b"a\n" and not ours.has("data/more.txt")
    assert update(ours, "--rev", "HEAD")[0]["change"] == "updated"
    assert "rev" not in source(ours, "data") and ours.read("data/a.txt") == b"new\n"


def test_update_that_cannot_be(theirs: Project, ours: Project) -> None:
    """What cannot be updated is told with what can: another revision of theirs, and the import as a whole."""
    ours.ok("import", "../repo", "data")
    outcome = ours.run("update", "data", "--rev", "nope")
    assert f"{theirs.path} has no commit 'nope'" in outcome.stderr and f"git -C {theirs.path}" in outcome.stderr
    outcome = ours.run("update", "data/a.txt")
    assert "a part of data, an import" in outcome.stderr and "`vstore update data`" in outcome.stderr
    ours.write("own/a.txt")
    ours.ok("add", "own")
    assert "own is no import" in ours.run("update", "own/a.txt").stderr


def test_commits_that_change_nothing(theirs: Project, ours: Project) -> None:
    """A commit that does not touch the data leaves a pointer alone, unless the data is only there."""
    ours.ok("import", "../repo", "data")
    ours.ok("import", "../repo", "model.bin", "--no-copy")
    before = (ours.path / "data.vstore").read_bytes()
    theirs.write("other", b"other")
    theirs.git("add", "other")
    new = theirs.commit()
    assert [found["change"] for found in update(ours)] == ["up-to-date", "same-data"]
    assert (ours.path / "data.vstore").read_bytes() == before and source(ours, "model.bin")["commit"] == new


def test_update_never_overwrites_changes(theirs: Project, ours: Project) -> None:
    """Files that somebody changed here stop an update of them, unless --force; if nothing is new they are no matter."""
    ours.ok("import", "../repo", "data")
    ours.write("data/a.txt", b"mine")
    before = (ours.path / "data.vstore").read_bytes()
    assert update(ours)[0]["change"] == "up-to-date" and ours.read("data/a.txt") == b"mine"
    theirs.git("commit", "-q", "--allow-empty", "-m", "of something else")
    assert update(ours)[0]["changed_here"] and ours.read("data/a.txt") == b"mine"
    assert update(ours, "--force")[0]["change"] == "up-to-date" and ours.read("data/a.txt") == b"a\n"
    ours.write("data/a.txt", b"mine")
    change(theirs)
    found = update(ours, "--dry-run")[0]
    assert found["changed_here"] and found["change"] == "updated"
    assert ours.run("update", "data").exit_code == 11
    assert ours.read("data/a.txt") == b"mine" and (ours.path / "data.vstore").read_bytes() == before
    assert update(ours, "--force")[0]["change"] == "updated"
    assert ours.read("data/a.txt") == b"new\n"


def test_update_of_what_was_not_downloaded(theirs: Project, ours: Project) -> None:
    """Who did not want the data gets only a new pointer."""
    ours.ok("import", "../repo", "data", "--no-download")
    change(theirs)
    assert update(ours)[0]["change"] == "updated"
    assert not ours.has("data") and not (ours.path / ".git/vstore/cache/objects/xxh128").exists()


@pytest.mark.parametrize("login", ["ada:secret", "ada:s@secret", "ada:s/secret", "ghp_secret0123456789abcdef"])
def test_passwords_are_not_committed(ours: Project, login: str) -> None:
    """A URL with a password, or a token in a user's place, is refused, and not repeated."""
    outcome = ours.run("import", f"https://{login}@127.0.0.1:1/x.git", "data")
    assert outcome.exit_code == 1 and "password" in outcome.stderr and "secret" not in outcome.stderr
    assert "credential.helper" in outcome.stderr
    assert ours.run("import", "https://ada@127.0.0.1:1/x.git", "data").exit_code == 14


def test_import_again(theirs: Project, ours: Project) -> None:
    """The same import again is refused, and the way to go on is told."""
    ours.ok("import", "../repo", "data")
    outcome = ours.run("import", "../repo", "data")
    assert outcome.exit_code == 11 and "vstore update data" in outcome.stderr


def test_without_git(theirs: Project, tmp_path: Path) -> None:
    """Repositories without git can be imported from, and can import."""
    (tmp_path / "plain").mkdir()
    plain = Project(tmp_path / "plain")
    plain.ok("init", "--no-git")
    plain.write("set/x", b"x\n")
    plain.ok("add", "set")
    (tmp_path / "second").mkdir()
    second = Project(tmp_path / "second")
    second.ok("init", "--no-git")
    second.ok("import", "../plain", "set")
    second.ok("import", "../repo", "model.bin")
    assert second.read("set/x") == b"x\n" and "commit" not in source(second, "set")
    plain.write("set/x", b"y\n")
    plain.ok("add", "set")
    assert update(second, "set")[0]["change"] == "updated" and second.read("set/x") == b"y\n"


def test_killed(theirs: Project, ours: Project) -> None:
    """Killed at any moment, a pointer is there whole or not at all, and the same command with --force completes it."""
    for number in range(20):
        theirs.write(f"many/{number}.bin", os.urandom(300_000))
    theirs.ok("add", "many")
    theirs.commit()
    url = share(theirs)
    for delay_s in (0.4, 0.7, 1.0):
        process = start_vstore("import", url, "many", "--force", cwd=ours.path)
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if ours.has("many.vstore"):
            assert source(ours, "many")["repo"] == url
    ours.ok("import", url, "many", "--force")
    assert ours.ok("status", "--check").exit_code == 0 and len(os.listdir(ours.path / "many")) == 20


def test_from_python(theirs: Project, ours: Project, tmp_path: Path) -> None:
    """Python says the same with the same names."""
    assert vstore.import_("../repo", "data", directory=ours.path).files == 3
    found = vstore.get(ours.path, "data/a.txt", out="copy.txt", directory=tmp_path)
    assert (tmp_path / "copy.txt").read_bytes() == b"a\n" and found.kind == "file"
    assert [entry.path for entry in vstore.ls(repo=theirs.path, rev="HEAD").entries] == ["data", "model.bin"]
