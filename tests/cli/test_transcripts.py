"""What the verbs print: for people, and for programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.command import run_vstore, run_vstore_process
from tests.project import Project


def test_the_story_as_people_read_it(project: Project) -> None:
    """Each verb says in a line or two what happened, and the next command where one is likely."""
    project.write("data/a.txt", b"a\n")
    project.write("data/b.txt", b"bb\n")
    assert project.ok("status").stdout == "Nothing is tracked here yet.  Next: vstore add PATH\n"
    assert project.ok("add", "data").stdout == (
        "new  data  2 files  5 B\nIn the cache: 3 new objects, 119 B.  Next: git commit\n"
    )
    assert project.ok("status").stdout == (
        "unchanged  data  new pointer, not committed\n1 artifact with 2 files, 5 B: unchanged.\nNext: git commit\n"
    )
    project.commit()
    assert project.ok("status").stdout == "1 artifact with 2 files, 5 B: unchanged.\n"
    assert project.ok("add", "data").stdout == "unchanged  data  2 files  5 B\n"
    assert project.ok("checkout").stdout == "1 artifact: nothing to do.\n"
    assert project.ok("remote", "add", "-d", "store", "../store").stdout == f"store  {project.store}  default\n"
    assert project.ok("push", "--dry-run").stdout.endswith("Nothing was done: this was a dry run.\n")
    assert project.ok("push").stdout.startswith(f"store ({project.store}): 1 artifact pushed, 3 objects, ")
    assert project.ok("push").stdout == f"store ({project.store}): everything is there.\n"
    assert project.ok("push", "--check").stdout == f"store ({project.store}): 1 artifact whole.\n"
    assert project.ok("fetch").stdout == "The cache holds everything.\n"
    project.commit()

    clone = project.clone()
    assert clone.ok("status").stdout.splitlines()[-1] == "Next: vstore pull"
    pulled = clone.ok("pull").stdout.splitlines()
    assert pulled[0].startswith(f"store ({project.store}): ") and pulled[1] == "restored  data  2 files, 5 B"
    clone.write("data/a.txt", b"changed\n")
    (clone.path / "data/b.txt").unlink()
    clone.write("data/c.txt", b"c\n")
    assert clone.ok("status").stdout == (
        "modified  data  +1 ~1 -1\n"
        "    + c.txt\n"
        "    ~ a.txt\n"
        "    - b.txt\n"
        "1 artifact of 1 changed.\n"
        "Next: vstore add -u (keep the changes) or vstore checkout --force (drop them)\n"
    )
    assert clone.ok("diff").stdout == (
        "~ data          5 B -> 10 B  (+5 B)\n"
        "  ~ data/a.txt   2 B -> 8 B  (+6 B)\n"
        "  - data/b.txt          3 B\n"
        "  + data/c.txt          2 B\n"
        "1 artifact, 3 files changed (+1 ~1 -1), +5 B\n"
    )
    assert clone.ok("add", "-u").stdout.splitlines()[0] == "updated  data  2 files  10 B  +1 ~1 -1"
    assert clone.ok("checkout", "--rev", "HEAD").stdout == "restored  data  2 files, 5 B; 1 file deleted\n"
    assert clone.ok("mv", "data", "sets/data").stdout == "data -> sets/data\nNext: git commit\n"
    assert clone.ok("rm", "sets/data").stdout.splitlines()[0] == "sets/data: not tracked any more, 2 files kept"


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        (["init"], {"path", "cache", "hash", "git", "created"}),
        (["add", "data"], {"artifacts", "new_objects", "new_bytes", "dry_run"}),
        (["add", "-u"], {"artifacts", "new_objects", "new_bytes", "dry_run"}),
        (["status"], {"artifacts", "remote"}),
        (["diff"], {"old", "new", "artifacts"}),
        (["checkout"], {"artifacts", "missing", "damaged", "failed", "dry_run"}),
        (["push"], {"remotes", "broken", "lacking", "checked", "dry_run"}),
        (["fetch"], {"remotes", "broken", "missing", "dry_run"}),
        (["pull"], {"fetch", "checkout"}),
        (["ls"], {"entries"}),
        (["du"], {"artifacts", "size_bytes", "files", "unique_bytes", "cached_bytes"}),
        (["mv", "data", "other"], {"moved", "dry_run"}),
        (["rm", "model.bin"], {"removed", "dry_run"}),
        (["unlock", "data"], {"files", "size_bytes"}),
        (["remote", "list"], {"remotes"}),
        (["remote", "check"], {"name", "url", "steps", "ok"}),
        (["remote", "default", "store"], {"remotes"}),
        (["config", "list"], {"settings"}),
        (["config", "get", "core.hash"], {"settings"}),
        (["doctor"], {"versions", "platform", "repository", "remarks"}),
    ],
)
def test_json_has_stable_keys(project: Project, arguments: list[str], keys: set[str]) -> None:
    """With --json each verb prints one document, whose keys programs rely on, and nothing else."""
    project.add_data()
    project.add_remote()
    project.ok("push")
    outcome = project.ok(*arguments, "--json")
    assert keys <= set(outcome.json())


def test_quiet_says_nothing(project: Project) -> None:
    """With -q, before or behind the verb, only what was asked for is printed."""
    project.add_data()
    for arguments in (["-q", "add", "data"], ["add", "-q", "data"], ["checkout", "-q"], ["status", "-q"]):
        outcome = project.ok(*arguments)
        assert outcome.stdout == outcome.stderr == ""
    assert project.ok("ls", "-q").stdout == "data/\nmodel.bin\n"


def test_paths_are_seen_from_where_one_stands(project: Project) -> None:
    """Paths are given and shown relative to the directory one stands in, or that -C names."""
    project.add_data()
    notebooks = project.path / "notebooks"
    notebooks.mkdir()
    project.write("data/a.txt", b"changed\n")
    assert "modified  ../data" in project.run("status", inside="notebooks").ok().stdout
    assert "../data/a.txt" in project.run("diff", "--name-only", "../data", inside="notebooks").ok().stdout
    assert "modified  ../data" in run_vstore("-C", notebooks, "status", cwd=project.path.parent).ok().stdout


def test_without_git(tmp_path: Path) -> None:
    """With --no-git everything works, and nobody is told to commit."""
    project = Project(tmp_path)
    project.ok("init", "--no-git")
    project.write("data.csv", b"1\n")
    assert "git" not in project.ok("add", "data.csv").stdout
    project.write("data.csv", b"2\n")
    assert "data.csv" in project.ok("diff").stdout
    project.ok("checkout", "--force")
    assert project.read("data.csv") == b"1\n"
    assert project.ok("mv", "data.csv", "table.csv").stdout == "data.csv -> table.csv\n"
    assert project.ok("rm", "table.csv").stdout == "table.csv: not tracked any more, 1 file kept\n"
    assert not (tmp_path / ".gitignore").exists()


def test_check_tells_by_exit_code(project: Project) -> None:
    """status --check ends with 4 if anything differs."""
    project.add_data()
    assert project.run("status", "--check").exit_code == 0
    project.write("data/a.txt", b"changed\n")
    assert project.run("status", "--check").exit_code == 4


def test_status_knows_the_remote(project: Project) -> None:
    """status --remote names what the remote lacks."""
    project.add_data()
    project.add_remote()
    project.ok("push", "model.bin")
    text = project.ok("status", "--remote").stdout
    assert "data" in text and "not in the remote" in text and "Next: vstore push" in text
    by_path = {a["path"]: a["not_in_remote"] for a in project.ok("status", "-r", "--json").json()["artifacts"]}
    assert by_path == {"data": True, "model.bin": False}


def test_metadata_is_kept_in_the_pointer(project: Project) -> None:
    """What add is told about data stands in the pointer."""
    project.write("model.bin")
    project.ok(
        "add", "model.bin", "--type", "model", "--desc", "best", "--label", "a", "--label", "b", "--meta", "f1=0.9"
    )
    text = project.read("model.bin.vstore").decode()
    for line in ('type = "model"', 'description = "best"', 'labels = ["a", "b"]', "[meta]", 'f1 = "0.9"'):
        assert line in text


@pytest.mark.parametrize(
    "arguments", [["add"], ["add", "x", "--meta", "novalue"], ["cat"], ["mv", "x"], ["push", "-j", "0"]]
)
def test_wrong_use_is_exit_code_2(project: Project, arguments: list[str]) -> None:
    """Missing and malformed arguments are usage errors with a hint."""
    outcome = project.run(*arguments)
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("Error: ") and "--help" in outcome.stderr


def test_demo_tells_the_whole_story(tmp_path: Path) -> None:
    """The demo runs through on this machine, prints every command, and compares all bytes at its end."""
    outcome = run_vstore_process("demo", "place", cwd=tmp_path).ok()
    for line in ("project$ vstore push", "copy$ vstore pull", "copy$ vstore diff", "copy$ git checkout"):
        assert line in outcome.stdout
    assert "equal to the original" in outcome.stdout
    again = run_vstore_process("demo", "place", cwd=tmp_path)
    assert again.exit_code == 11 and "exists already" in again.stderr
