"""What a shell completes."""

from __future__ import annotations

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
        ("vstore rm d", ["data"]),
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
