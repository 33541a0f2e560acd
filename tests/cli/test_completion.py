"""What a shell completes."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from tests.project import Project


@pytest.fixture
def filled(project: Project) -> Project:
    """A project with data, a remote and a branch."""
    project.add_data()
    project.add_remote()
    project.git("branch", "release-1")
    return project


def _complete(project: Project, monkeypatch: pytest.MonkeyPatch, words: str) -> list[str]:
    """Return what bash is told when the cursor stands behind ``words``."""
    monkeypatch.setenv("_VSTORE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    outcome = project.run()
    assert outcome.stderr == ""
    return [line.partition(",")[2] for line in outcome.stdout.splitlines() if line.startswith("plain,")]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("vstore sta", ["status"]),
        ("vstore checkout mo", ["model.bin"]),
        ("vstore rm d", ["data/"]),
        ("vstore checkout data/", ["data/a.txt", "data/large.bin", "data/sub/"]),
        ("vstore cat data/sub/", ["data/sub/b.txt"]),
        ("vstore log data/la", ["data/large.bin"]),
        ("vstore log --rev main..rel", ["main..release-1"]),
        ("vstore log --rev main...rel", ["main...release-1"]),
        ("vstore push -r st", ["store"]),
        ("vstore remote check s", ["store"]),
        ("vstore checkout --rev rel", ["release-1"]),
        ("vstore diff rel", ["release-1"]),
        ("vstore remote re", ["remove", "rename"]),
        ("vstore push --all-b", ["--all-branches"]),
    ],
)
def test_words_are_completed(filled: Project, monkeypatch: pytest.MonkeyPatch, words: str, expected: list[str]) -> None:
    """Verbs, options, tracked paths, remotes and revisions are completed."""
    assert sorted(_complete(filled, monkeypatch, words)) == expected


def test_what_is_not_here_is_completed(filled: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of files is enough; without it nothing is completed, and nothing is fetched."""
    shutil.rmtree(filled.path / "data")
    assert _complete(filled, monkeypatch, "vstore checkout data/s") == ["data/sub/"]
    assert _complete(filled, monkeypatch, "vstore checkout model.bin/") == []
    assert _complete(filled, monkeypatch, "vstore checkout ../") == []
    filled.drop_cache()
    assert _complete(filled, monkeypatch, "vstore checkout data/s") == []


def test_inside_a_directory(filled: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever stands in a directory is told paths from there."""
    standing = Project(filled.path / "data")
    assert _complete(standing, monkeypatch, "vstore checkout su") == []
    assert _complete(standing, monkeypatch, "vstore checkout sub/") == ["sub/b.txt"]
    assert _complete(standing, monkeypatch, "vstore checkout ../mo") == ["../model.bin"]


@pytest.mark.parametrize("verb", ["get", "import"])
def test_other_repository(filled: Project, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """Of another repository on this machine paths and revisions are completed, and of one behind a URL nothing is."""
    elsewhere = Project(filled.path.parent)
    assert _complete(elsewhere, monkeypatch, f"vstore {verb} repo data/s") == ["data/sub/"]
    assert _complete(elsewhere, monkeypatch, f"vstore {verb} repo data --rev rel") == ["release-1"]
    assert _complete(elsewhere, monkeypatch, f"vstore {verb} https://git.example.org/repo.git d") == []


def test_no_space_behind_a_directory(filled: Project) -> None:
    """In bash one goes on typing behind a directory, and not behind a file."""
    program = f"{sys.executable} -m vstore"
    lines = [
        f'vstore() {{ {program} "$@"; }}',
        'eval "$(vstore completion bash)"',
        'compopt() { echo "$1 $2"; }',
        "env() { local COMP_WORDS=${1#*=} COMP_CWORD=${2#*=} _VSTORE_COMPLETE=${3#*=}; export COMP_WORDS COMP_CWORD; ",
        f'  command env "$1" "$2" "$3" {program}; }}',
        "complete_it() { COMP_WORDS=(vstore checkout $1); COMP_CWORD=2; COMPREPLY=(); ",
        '  _vstore_completion vstore; echo "${COMPREPLY[*]}"; }',
        "complete_it data/s; complete_it data/l",
    ]
    done = subprocess.run(["bash", "-c", "\n".join(lines)], cwd=filled.path, capture_output=True, text=True, check=True)
    assert done.stdout == "-o nospace\ndata/sub/\ndata/large.bin\n"


def test_directory_option_is_heeded(filled: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """With -C the paths of that repository are completed."""
    inner = filled.path / "notebooks"
    inner.mkdir()
    monkeypatch.chdir(inner)
    assert _complete(filled, monkeypatch, f"vstore -C {filled.path} rm mo") == ["model.bin"]


def test_no_repository_no_complaint(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of a repository nothing is completed, and nothing is said."""
    elsewhere = Project(project.path.parent)
    assert _complete(elsewhere, monkeypatch, "vstore push -r st") == []
