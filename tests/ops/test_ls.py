"""Looking inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.command import git, run_vstore
from tests.project import Project, share


def _paths(outcome: Any) -> list[str]:
    return [entry["path"] for entry in outcome.ok().json()["entries"]]


@pytest.fixture
def filled(project: Project) -> Project:
    """A project with data."""
    project.add_data()
    return project


def test_artifacts_are_listed(filled: Project) -> None:
    """Without a path all artifacts are listed, directories with a slash."""
    assert filled.ok("ls").stdout == "data/\nmodel.bin\n"


def test_named_directory_is_opened(filled: Project) -> None:
    """A tracked directory that is named shows what is in it, directories with the sum of what is below."""
    entries = {entry["path"]: entry for entry in filled.ok("ls", "data", "--json").json()["entries"]}
    assert set(entries) == {"data/a.txt", "data/large.bin", "data/sub"}
    assert entries["data/sub"]["kind"] == "directory"
    assert (entries["data/sub"]["size_bytes"], entries["data/sub"]["files"]) == (3, 1)
    assert entries["data/a.txt"]["digest"].startswith("xxh128:")


def test_directory_inside_a_tree_is_opened(filled: Project) -> None:
    """A path inside a tree is opened too, seen from where one stands."""
    assert filled.run("ls", "sub", inside="data").ok().stdout == "sub/b.txt\n"


def test_recursive_goes_to_every_file(filled: Project) -> None:
    """With -R every file is listed."""
    assert _paths(filled.run("ls", "-R", "--json")) == ["data/a.txt", "data/large.bin", "data/sub/b.txt", "model.bin"]


def test_long_has_columns(filled: Project) -> None:
    """With -l kind, size and digest stand before the path."""
    line = filled.ok("ls", "-l", "data/a.txt").stdout
    assert line.split()[:3] == ["file", "2", "B"] and line.rstrip().endswith("data/a.txt")


def test_old_revision(filled: Project) -> None:
    """Another revision is listed without checking it out."""
    filled.write("extra.csv")
    filled.ok("add", "extra.csv")
    filled.commit()
    assert "extra.csv" in filled.ok("ls").stdout
    assert "extra.csv" not in filled.ok("ls", "--rev", "HEAD~1").stdout


def test_every_kind_of_entry(project: Project) -> None:
    """Executables, links and empty directories are told apart."""
    project.write("d/run").chmod(0o755)
    (project.path / "d/link").symlink_to("run")
    (project.path / "d/empty").mkdir()
    project.ok("add", "d")
    assert {entry["path"]: entry["kind"] for entry in project.ok("ls", "d", "--json").json()["entries"]} == {
        "d/empty": "directory",
        "d/link": "symlink",
        "d/run": "executable",
    }
    assert "d/link -> run" in project.ok("ls", "d").stdout


def test_nothing_tracked_is_an_empty_list(project: Project) -> None:
    """Where nothing is tracked, nothing is listed."""
    assert project.ok("ls").stdout == ""
    assert project.ok("ls", "--json").json() == {"entries": []}


def test_tree_comes_from_the_remote(filled: Project) -> None:
    """What the cache lacks is looked up in the remote."""
    filled.add_remote()
    filled.ok("push")
    filled.commit("remote")
    assert _paths(filled.clone().run("ls", "data", "--json")) == ["data/a.txt", "data/large.bin", "data/sub"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "there is no nowhere"),
        (["data/nowhere"], "there is no nowhere in data"),
        (["--rev", "v9"], "no commit is called 'v9'"),
    ],
)
def test_unknown_is_one_line(filled: Project, arguments: list[str], message: str) -> None:
    """Unknown paths and revisions are one line and a hint."""
    outcome = filled.run("ls", *arguments)
    assert outcome.exit_code == 1
    assert message in outcome.stderr and "Hint:" in outcome.stderr and "Traceback" not in outcome.stderr


def test_broken_pointer_hides_nothing_else(filled: Project) -> None:
    """A pointer that cannot be read is warned of; named itself it is an error."""
    filled.write("broken.vstore", b"no pointer")
    done = filled.ok("ls")
    assert done.stdout == "data/\nmodel.bin\n" and "broken was left out" in done.stderr
    assert filled.run("ls", "broken").exit_code == 1


def test_other_repository(filled: Project, tmp_path: Path) -> None:
    """Another repository is listed by its directory or URL, from inside a repository or from nowhere."""
    url = share(filled)
    ours = Project(tmp_path / "ours")
    ours.path.mkdir()
    git("init", "--quiet", cwd=ours.path)
    ours.ok("init")
    for place in ("../repo", str(filled.path), url, "../bare.git"):
        assert ours.ok("ls", place).stdout == "data/\nmodel.bin\n"
        assert _paths(ours.run("ls", place, "data/sub", "--json")) == ["data/sub/b.txt"]
    assert run_vstore("ls", "repo", cwd=tmp_path).ok().stdout == "data/\nmodel.bin\n"
    assert ours.run("ls", url, "--rev", "nope").exit_code == 1
    outcome = ours.run("ls", url, ".vstore")
    assert outcome.exit_code == 1


def test_what_git_keeps(filled: Project) -> None:
    """With --git what git keeps is listed, too: directories are opened when named."""
    filled.write("docs/deep/a.md", b"# a\n")
    filled.write("docs/b.md", b"# b\n")
    filled.git("add", "docs")
    filled.commit()
    url = share(filled)
    assert filled.ok("ls", "--git").stdout == "data/\ndocs/\nmodel.bin\n"
    assert filled.ok("ls", "--git", url).stdout == "data/\ndocs/\nmodel.bin\n"
    assert filled.ok("ls", "--git", url, "docs").stdout == "docs/b.md\ndocs/deep/\n"
    assert filled.ok("ls", "--git", "docs", "-R").stdout == "docs/b.md\ndocs/deep/a.md\n"
    assert filled.ok("ls", "--git", "docs", "--rev", "HEAD").stdout == "docs/b.md\ndocs/deep/\n"
    assert "in git" in filled.ok("ls", "--git", "-l", "docs").stdout
    outcome = filled.run("ls", url, "docs")
    assert outcome.exit_code == 1 and "vstore ls --git" in outcome.stderr
    assert filled.run("ls", "--git", "nothing").exit_code == 1
