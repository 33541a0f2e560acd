"""The history of artifacts, and of paths inside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.command import git
from tests.project import LARGE, Project
from vstore.api import open_repo
from vstore.errors import GitRepositoryNotFoundError, NotTrackedError, RevisionNotFoundError
from vstore.ops.log import log


def _log(project: Project, *arguments: str) -> list[dict[str, Any]]:
    versions: list[dict[str, Any]] = project.ok("log", "--json", *arguments).json()["versions"]
    return versions


def _told(project: Project, *arguments: str) -> list[tuple[str, str, str]]:
    return [(found["subject"], found["path"], found["change"]) for found in _log(project, *arguments)]


@pytest.fixture
def story(project: Project) -> Project:
    """A project with five commits, of which one concerns no data."""
    project.add_data()
    project.write("data/a.txt", b"changed\n")
    project.ok("add", "data")
    project.commit("second")
    project.write("readme", b"words\n")
    project.git("add", "readme")
    project.commit("words")
    project.write("data/sub/b.txt", b"also changed\n")
    project.write("more/table.csv", b"1,2\n")
    project.ok("add", "data", "more/table.csv")
    project.commit("third")
    project.git("rm", "--quiet", "model.bin.vstore")
    project.commit("gone")
    return project


def test_all_artifacts(story: Project) -> None:
    """Without a path every version of every artifact is told, newest first."""
    assert _told(story) == [
        ("gone", "model.bin", "deleted"),
        ("third", "data", "modified"),
        ("third", "more/table.csv", "added"),
        ("second", "data", "modified"),
        ("first", "data", "added"),
        ("first", "model.bin", "added"),
    ]


def test_facts_of_a_version(story: Project) -> None:
    """A version has commit, date, author, size, files, digest, and by how much it grew."""
    newest, second, first = _log(story, "data")
    assert newest["commit"] == story.git("rev-parse", "HEAD~1")
    assert newest["date"] == story.git("log", "-1", "--format=%aI", "HEAD~1")
    assert (newest["author"], newest["email"]) == ("Ada Tester", "ada@example.org")
    assert (newest["kind"], newest["files"], newest["size_bytes"]) == ("tree", 3, len(LARGE) + 8 + 13)
    assert (newest["growth_bytes"], second["growth_bytes"], first["growth_bytes"]) == (10, 6, None)
    assert newest["digest"].startswith("xxh128:") and newest["digest"] != second["digest"]
    (deleted, *_) = _log(story, "model.bin")
    assert (deleted["size_bytes"], deleted["digest"], deleted["growth_bytes"]) == (None, None, -len(LARGE))


def test_path_inside_a_tree(story: Project) -> None:
    """Of a path inside a tree only the versions are told in which it changed."""
    assert _told(story, "data/a.txt") == [
        ("second", "data/a.txt", "modified"),
        ("first", "data/a.txt", "added"),
    ]
    assert _told(story, "data/sub") == [("third", "data/sub", "modified"), ("first", "data/sub", "added")]
    newest = _log(story, "data/sub")[0]
    assert (newest["kind"], newest["files"], newest["size_bytes"], newest["growth_bytes"]) == ("directory", 1, 13, 10)
    newest = _log(story, "data/a.txt")[0]
    assert (newest["kind"], newest["size_bytes"], newest["growth_bytes"]) == ("file", 8, 6)
    assert newest["digest"].startswith("xxh128:")
    assert _told(story, "data/never") == []


def test_path_that_never_was(story: Project) -> None:
    """That no commit has a path inside a tree is said, beside the output."""
    outcome = story.ok("log", "data/never")
    assert outcome.stdout == "" and outcome.stderr == "No commit has a version of it.\n"


def test_revision_in_the_place_of_a_path(story: Project) -> None:
    """Whoever names a revision where paths are meant is told how to write it; no other verb offers to track it."""
    story.git("tag", "v1")
    for verb in ("log", "checkout", "ls"):
        assert "it is a revision, which stands behind --rev" in story.run(verb, "v1").stderr


def test_directory_with_artifacts_below(story: Project) -> None:
    """Of a directory the versions of all artifacts below it are told; standing in one, paths begin there."""
    assert _told(story, "more") == [("third", "more/table.csv", "added")]
    shown = story.run("log", "table.csv", inside="more").ok().stdout
    assert "third" in shown and "deleted" not in shown


def test_number_and_range(story: Project) -> None:
    """The number of commits can be limited, and the history cut at both ends."""
    assert [subject for subject, _, _ in _told(story, "-n", "2")] == ["gone", "third", "third"]
    assert _told(story, "--rev", "HEAD~3", "data") == [("second", "data", "modified"), ("first", "data", "added")]
    assert _told(story, "--rev", "HEAD~3..HEAD~1", "data") == [("third", "data", "modified")]
    assert _told(story, "--rev", "HEAD~1..") == [("gone", "model.bin", "deleted")]
    assert _told(story, "--rev", "HEAD...HEAD~4", "-n", "1") == [("gone", "model.bin", "deleted")]


def test_renamed_pointers_are_followed(story: Project) -> None:
    """The versions that an artifact had under former names are told, also of what is inside."""
    story.git("mv", "data.vstore", "images.vstore")
    story.commit("renamed")
    subjects = [subject for subject, _, _ in _told(story, "images")]
    assert subjects == ["renamed", "third", "second", "first"]
    newest = _log(story, "images")[0]
    assert (newest["change"], newest["old_path"], newest["growth_bytes"]) == ("renamed", "data", 0)
    assert _told(story, "images/a.txt") == [("second", "data/a.txt", "modified"), ("first", "data/a.txt", "added")]
    assert [subject for subject, _, _ in _told(story, "data")] == ["renamed", "third", "second", "first"]
    assert "data -> images" in story.ok("log", "images").stdout


def test_rename_into_a_directory_is_followed(story: Project) -> None:
    """The former versions of what came into a directory are told with it."""
    (story.path / "sets").mkdir()
    story.git("mv", "data.vstore", "sets/data.vstore")
    story.commit("renamed")
    assert [subject for subject, _, _ in _told(story, "sets")] == ["renamed", "third", "second", "first"]


def test_other_lives_of_a_name(story: Project) -> None:
    """What had the name before the artifact got it by being renamed is another artifact."""
    story.git("mv", "data.vstore", "model.bin.vstore")
    story.commit("renamed")
    assert [subject for subject, _, _ in _told(story, "model.bin")] == ["renamed", "third", "second", "first"]


def test_merges(story: Project) -> None:
    """What both branches did is told once; a merge is told only where it has what none of its parents had."""
    story.git("checkout", "--quiet", "-b", "side", "HEAD~1")
    story.write("data/side.txt", b"side\n")
    story.ok("add", "data")
    story.commit("on the side")
    story.git("mv", "data.vstore", "images.vstore")
    story.commit("renamed on the side")
    story.git("checkout", "--quiet", "main")
    story.git("merge", "--quiet", "--message", "merged", "side")
    assert [subject for subject, _, _ in _told(story, "images")] == [
        "renamed on the side",
        "on the side",
        "third",
        "second",
        "first",
    ]
    story.git("checkout", "--quiet", "-b", "other", "HEAD~1")
    story.write("more/table.csv", b"1,2\n3,4\n")
    story.ok("add", "more/table.csv")
    story.commit("other")
    story.git("checkout", "--quiet", "main")
    story.write("more/table.csv", b"1,2\n5,6\n")
    story.ok("add", "more/table.csv")
    story.commit("ours")
    story.git("merge", "--quiet", "--no-commit", "--strategy=ours", "other")
    story.write("more/table.csv", b"1,2\n3,4\n5,6\n")
    story.ok("add", "more/table.csv")
    story.commit("both")
    told = _log(story, "more/table.csv")
    assert [found["subject"] for found in told[:1]] == ["both"]
    assert {found["subject"] for found in told[1:3]} == {"ours", "other"}
    assert (told[0]["change"], told[0]["growth_bytes"]) == ("modified", 4)


def test_rename_on_one_branch_and_change_on_the_other(story: Project) -> None:
    """Where one branch renamed and the other changed an artifact, a history follows both names."""
    story.git("checkout", "--quiet", "-b", "side")
    story.git("mv", "data.vstore", "images.vstore")
    story.commit("renamed")
    story.git("checkout", "--quiet", "main")
    pointer = (story.path / "data.vstore").read_text()
    (story.path / "data.vstore").write_text(pointer + 'description = "what everybody should know"\n')
    story.git("add", "data.vstore")
    story.commit("described")
    story.git("merge", "--quiet", "--message", "merged", "side")
    assert {subject for subject, _, _ in _told(story, "images")} == {
        "described",
        "renamed",
        "third",
        "second",
        "first",
    }


def test_all_branches(story: Project) -> None:
    """With --all, branches that are not checked out are told, too."""
    story.git("checkout", "--quiet", "-b", "side")
    story.write("data/side.txt", b"side\n")
    story.ok("add", "data")
    story.commit("on the side")
    story.git("checkout", "--quiet", "main")
    assert "on the side" not in story.ok("log").stdout
    assert "on the side" in story.ok("log", "--all").stdout


def test_before_the_first_commit(project: Project) -> None:
    """Before the first commit nothing has a history, and what is not tracked is an error still."""
    assert project.ok("log", "--json").json() == {"versions": [], "is_shallow": False, "failed": []}
    project.write("new.csv")
    project.ok("add", "new.csv")
    assert project.ok("log", "new.csv").stdout == ""
    assert project.run("log", "other.csv").exit_code == 1


def test_shallow_clone(story: Project) -> None:
    """In a shallow clone the versions that are there are told, and that there were older ones."""
    git("clone", "--quiet", "--depth=2", f"file://{story.path}", "shallow", cwd=story.path.parent)
    clone = Project(story.path.parent / "shallow")
    assert ("gone", "model.bin", "deleted") in _told(clone)
    assert "older versions are not in it" in clone.ok("log").stdout


def test_partial_clone(story: Project) -> None:
    """In a clone that left out contents, the pointers are fetched, all at once."""
    story.git("config", "uploadpack.allowFilter", "true")
    git("clone", "--quiet", "--filter=blob:none", f"file://{story.path}", "partial", cwd=story.path.parent)
    clone = Project(story.path.parent / "partial")
    assert _told(clone) == _told(story)


def test_lists_of_files_come_from_the_remote(story: Project) -> None:
    """For a path inside a tree, trees that the cache lacks are fetched."""
    story.add_remote()
    story.ok("push", "--all-commits")
    told = _told(story, "data/a.txt")
    story.drop_cache()
    assert _told(story, "data/a.txt") == told


def test_what_cannot_be_told(story: Project) -> None:
    """A version that is broken, or whose list of files is nowhere, is named, and the rest is told."""
    story.write("more/table.csv.vstore", b"broken\n")
    story.git("add", "more/table.csv.vstore")
    story.commit("broken")
    outcome = story.run("log", "--json")
    assert outcome.exit_code == 3
    assert outcome.json()["versions"][0]["error"].startswith("more/table.csv.vstore, line 1")
    assert len(outcome.json()["versions"]) == 7
    assert "unknown" in story.run("log", "more").stdout
    assert story.ok("log", "data").stdout
    story.drop_cache()
    outcome = story.run("log", "data/a.txt", "--json")
    assert outcome.exit_code == 3 and "list of files" in outcome.stderr
    assert [found["subject"] for found in outcome.json()["versions"]] == ["third", "second", "first"]


def test_odd_names(project: Project) -> None:
    """Names and subjects that hurt careless programs come through."""
    project.write("commit x\n\ty/däta", b"1")
    project.ok("add", "commit x\n\ty/däta")
    project.commit(":100644 commit a\tb")
    assert _told(project) == [(":100644 commit a\tb", "commit x\n\ty/däta", "added")]


def test_settings_of_git_change_nothing(story: Project) -> None:
    """What a user's configuration says about showing commits and differences has no influence."""
    told = _told(story)
    for setting, value in (
        ("log.showSignature", "true"),
        ("log.follow", "true"),
        ("log.diffMerges", "first-parent"),
        ("diff.renames", "false"),
        ("diff.noprefix", "true"),
        ("diff.relative", "true"),
        ("color.ui", "always"),
        ("i18n.logOutputEncoding", "latin1"),
        ("format.pretty", "fuller"),
    ):
        story.git("config", setting, value)
    assert _told(story) == told


def test_without_git(tmp_path: Path) -> None:
    """Without git there is no history."""
    project = Project(tmp_path / "plain")
    project.path.mkdir()
    project.ok("init", "--no-git")
    assert project.run("log").exit_code == 10


def test_python_face(story: Project) -> None:
    """The op takes an opened repository and raises our errors."""
    with open_repo(story.path) as repo:
        assert [version.subject for version in log(repo, ["data"], limit=1).versions] == ["third"]
        with pytest.raises(NotTrackedError):
            log(repo, ["nothing"])
        with pytest.raises(RevisionNotFoundError):
            log(repo, rev="v99")
        with pytest.raises(RevisionNotFoundError):
            log(repo, rev="HEAD..v99")
        repo.git = None
        with pytest.raises(GitRepositoryNotFoundError):
            log(repo)


def test_formats_of_git_that_libgit2_cannot_open(tmp_path: Path) -> None:
    """History, differences and status are told of a repository with SHA-256, too."""
    project = Project(tmp_path / "other")
    project.path.mkdir()
    project.git("init", "--quiet", "--object-format=sha256")
    project.ok("init")
    project.add_data()
    project.write("data/a.txt", b"changed\n")
    assert project.ok("diff", "--name-only").stdout == "data/a.txt\n"
    project.ok("add", "data")
    project.commit("second")
    project.ok("status", "--check")
    assert _told(project, "data/a.txt") == [("second", "data/a.txt", "modified"), ("first", "data/a.txt", "added")]
    assert project.ok("diff", "HEAD~1", "HEAD", "--name-only").stdout == "data/a.txt\n"
