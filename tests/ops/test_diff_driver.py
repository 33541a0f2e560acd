"""Comparing pointers with the real git: diff, log -p and show tell files, in bounded time, and never fail."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.command import PROJECT, run_vstore
from tests.objects.strategies import HURTFUL_NAMES
from tests.project import LARGE, Project
from vstore.objects.digest import hash_bytes
from vstore.objects.tree import FILE, Entry, Tree
from vstore.ops.diff_driver import list_rows


@pytest.fixture(autouse=True)
def _git_finds_vstore(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the vstore that git runs be the one that is tested."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")])))


@pytest.fixture
def installed(project: Project) -> Project:
    """A project with two versions of data, in which git compares with vstore."""
    project.ok("install")
    project.git("config", "core.hooksPath", "none")
    project.add_data()
    project.write("data/a.txt", b"longer now\n")
    project.write("data/new.txt", LARGE[:1500])
    (project.path / "data/sub/b.txt").unlink()
    project.ok("add", "data")
    return project


def told(text: str) -> set[str]:
    """What a diff says of files: a sign, a size and a name."""
    rows = [line for line in text.splitlines() if line.startswith(("+ ", "- "))]
    return {" ".join([row[0], *row[1:].split()[:2], *row[1:].split()[3:]]) for row in rows}


@pytest.mark.parametrize(
    "command", [["diff", "--cached"], ["log", "-p", "-1"], ["show"], ["diff", "HEAD~", "HEAD"], ["stash", "list", "-p"]]
)
def test_git_shows_files(installed: Project, command: list[str]) -> None:
    """Added, removed and changed files of a directory are in every patch that git shows, with sizes."""
    if command[0] == "stash":
        installed.git("stash", "--quiet")
    elif "--cached" not in command:
        installed.commit("second")
    text = installed.git(*command)
    assert told(text) == {"- 2 B a.txt", "- 3 B sub/b.txt", "+ 11 B a.txt", "+ 1.5 kB new.txt", "+ empty sub/"}
    assert '-digest = "xxh128:' in text and " 512 kB" in text


def test_git_shows_files_of_the_work_tree(installed: Project) -> None:
    """What is not staged is compared, too; patches for programs stay patches of the pointer."""
    installed.git("reset", "--quiet")
    assert len(told(installed.git("diff"))) == 5
    assert told(installed.git("diff", "--no-textconv")) == told(installed.git("diff-files", "-p")) == set()
    patch = installed.path / "p.patch"
    patch.write_text(installed.git("diff", "--no-textconv") + "\n")
    installed.git("checkout", "--", "data.vstore")
    installed.git("apply", patch)


def test_missing_lists_of_files(installed: Project) -> None:
    """Where the cache lacks a version, or holds it damaged, the pointer is shown as it is."""
    installed.drop_cache()
    text = installed.git("diff", "--cached")
    assert told(text) == set() and '-digest = "xxh128:' in text


@pytest.mark.parametrize("content", [b"", b"\xff\0", b"version = 7\n", b"<<<<<<< a\nx\n=======\ny\n>>>>>>> b\n", b"x"])
def test_whatever_is_there_is_shown(installed: Project, content: bytes) -> None:
    """A file that is no pointer is shown as it is; git never fails for it."""
    installed.write("odd.vstore", content)
    outcome = installed.ok("diff-driver", "odd.vstore")
    assert outcome.stdout_bytes == content
    installed.git("add", "odd.vstore")
    installed.git("diff", "--cached")


def test_every_kind_of_entry(project: Project) -> None:
    """Executables, links, empty directories and names that hurt are told apart, one a line."""
    for name in HURTFUL_NAMES:
        project.write(f"data/{name}", b"x\n")
    project.write("data/run", b"#!/bin/sh\n").chmod(0o755)
    (project.path / "data/link").symlink_to("run")
    (project.path / "data/empty").mkdir()
    project.ok("add", "data")
    text = project.ok("diff-driver", "data.vstore").stdout
    rows = text.split("\n\n", 1)[1].splitlines()
    assert len(rows) == len(HURTFUL_NAMES) + 3
    words = [row.split() for row in rows]
    assert ["link", "link", "->", "run"] in words and ["empty", "empty/"] in words
    assert any(row.endswith("  run*") for row in rows) and any(row.endswith(r'  "line\nbreak"') for row in rows)


def test_outside_of_a_repository(tmp_path: Path) -> None:
    """Where there is no vstore repository the pointer is shown."""
    pointer = tmp_path / "a.vstore"
    pointer.write_text('version = 1\nkind = "tree"\ndigest = "xxh128:' + "0" * 32 + '"\nsize = 1\nfiles = 1\n')
    outcome = run_vstore("diff-driver", pointer, cwd=tmp_path).ok()
    assert outcome.stdout_bytes == pointer.read_bytes()


@given(st.lists(st.integers(0, 500), unique=True, min_size=1), st.integers(1, 50), st.sampled_from(["", "d/", "é/x"]))
def test_large_trees_are_told_in_few_rows(numbers: list[int], most: int, prefix: str) -> None:
    """Files whose paths begin alike share a row where there are too many; the rows add up, and tell every change."""
    entries = [Entry(f"{prefix}{n}", FILE, n, hash_bytes(b"%d" % n, "xxh128")) for n in numbers]
    rows = list_rows(Tree(entries).entries, "xxh128", most)
    assert 1 <= len(rows) <= most
    assert sum(row.files for row in rows) == len(entries) and sum(row.size_bytes for row in rows) == sum(numbers)
    changed = [entries[0]._replace(digest=hash_bytes(b"changed", "xxh128")), *entries[1:]]
    assert sum(a != b for a, b in zip(rows, list_rows(Tree(changed).entries, "xxh128", most), strict=True)) == 1
