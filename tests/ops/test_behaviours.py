"""What users of such tools rely on, from end to end: each test is a thing that people do, and what then has to hold."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import vstore
from tests.command import git
from tests.ops.test_checkout import shape
from tests.project import LARGE, Project

PARTLY, DIFFERENT, CONFLICT, MISSING, CORRUPT = 3, 4, 11, 12, 13


@pytest.fixture
def filled(project: Project) -> Project:
    """A project with data."""
    project.add_data()
    return project


def cache_of(project: Project) -> Path:
    """The cache of a project."""
    return project.path / ".git/vstore/cache"


def status_of(project: Project, path: str = "data") -> dict[str, object]:
    """What status says of one artifact."""
    found: list[dict[str, object]] = project.ok("status", path, "--json").json()["artifacts"]
    return found[0]


# Adding.


@pytest.mark.parametrize(
    "name", ["fo:o", "ärger", "data set", "-x", "a.vstore.b", "%41", "#1", "[a]", "file!with*weird#naming_[1].t?t"]
)
def test_names_of_every_kind_are_added_and_come_back(project: Project, name: str) -> None:
    """Colons, spaces, dashes, accents and brackets are names like any other."""
    project.write(name, b"content\n")
    project.ok("add", "--", name)
    project.commit()
    (project.path / name).unlink()
    project.ok("checkout", "--", name)
    assert project.read(name) == b"content\n"
    assert project.git("status", "--porcelain") == ""


def test_slash_at_the_end(project: Project) -> None:
    """A directory may be named with a slash, as shells complete it."""
    project.write("data/sub/file")
    project.ok("add", "data/")
    assert project.has("data.vstore") and not project.has("data/.vstore")
    project.ok("checkout", "data/")
    project.ok("status", "data/sub/")


def test_file_inside_a_plain_directory(project: Project) -> None:
    """The pointer and the ignore rule stand beside the data, wherever the command is run."""
    project.write("dir/sub/file")
    project.write("dir/sub/other")
    project.run("add", "sub/file", inside="dir").ok()
    assert project.has("dir/sub/file.vstore")
    assert project.read("dir/sub/.gitignore") == b"/file\n"
    assert project.git("ls-files", "--others", "--exclude-standard") == "dir/sub/other"


def test_patterns(project: Project) -> None:
    """A pattern that the shell did not expand takes every file that it means, each as an artifact."""
    for name in ("subdata", "subdata123", "esubdata", "isubdata"):
        project.write(f"dir/{name}", name.encode())
    added = project.ok("add", "dir/subdata*", "dir/[ei]subdata", "--json").json()["artifacts"]
    assert sorted(artifact["path"] for artifact in added) == [
        "dir/esubdata",
        "dir/isubdata",
        "dir/subdata",
        "dir/subdata123",
    ]
    assert project.run("add", "dir/nothing*").exit_code == 1


def test_refused_add_changes_nothing(filled: Project) -> None:
    """Where one of several paths is refused, none is added: no pointer, no ignore rule, nothing staged."""
    filled.write("good", b"good\n")
    filled.write("kept", b"kept\n")
    filled.git("add", "kept")
    before = filled.git("status", "--porcelain"), sorted(os.listdir(filled.path)), filled.read(".gitignore")
    assert filled.run("add", "good", "kept").exit_code == 1
    assert filled.run("add", "good", "nowhere").exit_code == 1
    assert (filled.git("status", "--porcelain"), sorted(os.listdir(filled.path)), filled.read(".gitignore")) == before


def test_broken_pointer_elsewhere_stops_no_add(filled: Project) -> None:
    """A pointer that cannot be read is its owner's trouble only."""
    filled.write("model.bin.vstore", b"- broken\n")
    filled.write("new", b"new\n")
    filled.ok("add", "new")
    filled.ok("add", "data")
    assert filled.run("add", "model.bin").exit_code != 0
    assert filled.read("model.bin.vstore") == b"- broken\n"


def test_file_becomes_a_directory_and_back(project: Project) -> None:
    """What was tracked as a file is tracked as a directory when it is one, with the same pointer file."""
    project.write("thing", b"file\n")
    project.ok("add", "thing")
    project.commit("file")
    (project.path / "thing").unlink()
    project.write("thing/inside", b"inside\n")
    project.ok("add", "thing")
    project.commit("directory")
    project.git("checkout", "--quiet", "HEAD~")
    project.ok("checkout")
    assert project.read("thing") == b"file\n"
    project.git("checkout", "--quiet", "main")
    project.ok("checkout")
    assert project.read("thing/inside") == b"inside\n"
    project.ok("status", "--check")


def test_same_content_twice_is_kept_once(project: Project) -> None:
    """Equal files, large and small, in one directory and in others, take room once."""
    for name in ("data/a", "data/b", "more/c"):
        project.write(name + ".large", LARGE)
        project.write(name + ".small", b"same\n")
    project.ok("add", "data", "more")
    assert len([path for path in (cache_of(project) / "objects").rglob("*") if path.is_file()]) == 1
    records = project.ok("fsck", "--json").json()["cache"]["records"]
    assert records == 3  # one content and two lists of files


@pytest.mark.parametrize(("before", "after"), [("copy", "hardlink"), ("hardlink", "copy"), ("symlink", "hardlink")])
def test_another_link_type_takes_effect_when_asked(project: Project, before: str, after: str) -> None:
    """After the setting changed, checkout --relink makes files what it says, with the same bytes."""
    project.ok("config", "set", "cache.type", before)
    project.write("data/large", LARGE)
    project.ok("add", "data")
    project.ok("config", "set", "cache.type", after)
    project.ok("checkout", "--relink")
    file = project.path / "data/large"
    assert not file.is_symlink() and (file.stat().st_nlink > 1) == (after == "hardlink")
    assert file.read_bytes() == LARGE
    project.ok("status", "--check")


def test_moved_cache(project: Project) -> None:
    """Links into a cache that moved are made anew by a checkout, and nothing counts as changed."""
    project.ok("config", "set", "cache.type", "symlink")
    project.write("data/large", LARGE)
    project.ok("add", "data")
    cache_of(project).rename(project.path.parent / "moved")
    project.ok("config", "set", "--local", "cache.dir", project.path.parent / "moved")
    project.ok("checkout", "--force")
    assert os.readlink(project.path / "data/large").startswith(str(project.path.parent / "moved"))
    assert project.read("data/large") == LARGE
    project.ok("status", "--check")


def test_add_of_what_is_gone_leaves_the_pointer(filled: Project) -> None:
    """Adding data that is not here is an error, and the pointer that stands for it stays as it was."""
    before = filled.read("model.bin.vstore")
    (filled.path / "model.bin").unlink()
    assert filled.run("add", "model.bin").exit_code == 1
    assert filled.read("model.bin.vstore") == before
    filled.ok("checkout")
    assert filled.read("model.bin") == LARGE[::-1]


def test_unlocked_and_added_again_is_linked_again(project: Project) -> None:
    """After unlock, change or not, an add makes the file what the link type says."""
    project.ok("config", "set", "cache.type", "hardlink")
    project.write("big", LARGE)
    project.ok("add", "big")
    for content in (LARGE, LARGE + b"more"):
        project.ok("unlock", "big")
        (project.path / "big").write_bytes(content)
        project.ok("add", "big")
        status = (project.path / "big").stat()
        assert status.st_nlink == 2 and not status.st_mode & 0o222
        assert project.read("big") == content


# Parts of directories that are not here.


@pytest.fixture
def elsewhere(filled: Project) -> Project:
    """A clone of a pushed project without cache and without data."""
    filled.add_remote()
    filled.ok("push")
    clone = filled.clone()
    clone.add_remote()
    return clone


def test_parts_are_added_to_what_is_not_here(elsewhere: Project) -> None:
    """New, changed and equal files are taken into a directory of which nothing else is here, and pushed."""
    before = elsewhere.read("data.vstore")
    elsewhere.write("data/a.txt", b"a\n")
    elsewhere.ok("add", "data/a.txt")
    assert elsewhere.read("data.vstore") == before
    elsewhere.write("data/sub/b.txt", b"changed\n")
    elsewhere.write("data/sub/new/c.txt", b"c\n")
    elsewhere.ok("add", "data/sub")
    elsewhere.ok("push")
    files = elsewhere.ok("ls", "-R", "data", "--json").json()["entries"]
    assert sorted(file["path"] for file in files if file["kind"] == "file") == [
        "data/a.txt",
        "data/large.bin",
        "data/sub/b.txt",
        "data/sub/new/c.txt",
    ]
    elsewhere.ok("rm", "data/large.bin")
    elsewhere.ok("push")
    shutil.rmtree(elsewhere.path / "data")
    elsewhere.drop_cache()
    elsewhere.ok("pull")
    assert shape(elsewhere.path / "data") == {
        "a.txt": ("f", b"a\n"),
        "sub": {"b.txt": ("f", b"changed\n"), "new": {"c.txt": ("f", b"c\n")}},
    }


def test_parts_come_one_after_the_other(filled: Project) -> None:
    """File after file is checked out; what is there already is not touched, and at last all is there."""
    (filled.path / "data/none").mkdir()
    filled.ok("add", "data")
    whole = shape(filled.path / "data")
    shutil.rmtree(filled.path / "data")
    filled.ok("checkout", "data/a.txt")
    assert shape(filled.path / "data") == {"a.txt": ("f", b"a\n")}
    inode = (filled.path / "data/a.txt").stat().st_ino
    for part in ("data/none", "data/sub/b.txt", "data/a.txt", "data/large.bin"):
        filled.ok("checkout", part)
    assert shape(filled.path / "data") == whole
    assert (filled.path / "data/a.txt").stat().st_ino == inode
    filled.ok("checkout", "data")
    filled.ok("status", "--check")


def test_what_a_checkout_may_be_asked_for(filled: Project) -> None:
    """An artifact, its pointer, a directory that holds artifacts, a pattern: each brings what it means, no more."""
    for name in ("sets/one", "sets/deep/two", "three"):
        filled.write(name, name.encode())
        filled.ok("add", name)
    for asked, back in (
        ("three.vstore", ["three"]),
        ("sets", ["sets/one", "sets/deep/two"]),
        ("sets/o*", ["sets/one"]),
        ("sets/deep/", ["sets/deep/two"]),
    ):
        for name in ("sets/one", "sets/deep/two", "three"):
            (filled.path / name).unlink(missing_ok=True)
        filled.ok("checkout", asked)
        assert [name for name in ("sets/one", "sets/deep/two", "three") if filled.has(name)] == back
    assert filled.run("checkout", "README").exit_code == 1


def test_executable_bit_of_a_pointer(filled: Project) -> None:
    """A pointer that says executable makes the file so, also where the content is the same."""
    filled.path.joinpath("model.bin").chmod(0o755)
    filled.ok("add", "model.bin")
    filled.commit("executable")
    filled.git("checkout", "--quiet", "HEAD~")
    filled.ok("checkout")
    assert not os.access(filled.path / "model.bin", os.X_OK)
    filled.git("checkout", "--quiet", "main")
    filled.ok("checkout")
    assert os.access(filled.path / "model.bin", os.X_OK)


def test_branches_with_other_artifacts(filled: Project) -> None:
    """What only one branch tracks goes and comes with it, and so does git's ignore rule."""
    filled.git("checkout", "--quiet", "-b", "branch")
    filled.write("only/here.txt", b"here\n")
    filled.ok("add", "only")
    filled.commit("branch")
    filled.git("checkout", "--quiet", "main")
    filled.ok("checkout")
    assert not filled.has("only") and b"/only" not in filled.read(".gitignore")
    filled.git("checkout", "--quiet", "branch")
    filled.ok("checkout")
    assert filled.read("only/here.txt") == b"here\n"
    assert filled.git("status", "--porcelain") == ""


@pytest.mark.parametrize("place", ["elsewhere", "deep/new/place"])
def test_move_and_go_back(filled: Project, place: str) -> None:
    """A moved directory has its history: going back to before the move and forth again brings each place."""
    (filled.path / place).parent.mkdir(parents=True, exist_ok=True)
    filled.ok("mv", "data", place)
    filled.commit("moved")
    assert filled.read(f"{place}/a.txt") == b"a\n" and not filled.has("data")
    filled.ok("status", "--check")
    assert filled.git("status", "--porcelain") == ""
    filled.git("checkout", "--quiet", "HEAD~")
    filled.ok("checkout")
    assert filled.read("data/a.txt") == b"a\n" and not filled.has(f"{place}/a.txt")
    filled.git("checkout", "--quiet", "main")
    filled.ok("checkout")
    assert filled.read(f"{place}/a.txt") == b"a\n" and not filled.has("data")


def test_moves_that_are_refused(filled: Project) -> None:
    """Onto something that is there, from what is not tracked, or into itself: nothing moves."""
    filled.write("other", b"other\n")
    before = shape(filled.path / "data"), filled.git("status", "--porcelain")
    for source, target in (("data", "other"), ("other", "new"), ("nowhere", "new"), ("data", "data/sub/new")):
        assert filled.run("mv", source, target).exit_code != 0
    assert (shape(filled.path / "data"), filled.git("status", "--porcelain")) == before


# Status.


def test_status_before_the_first_commit(project: Project) -> None:
    """Before anything was committed status, diff, checkout and fsck work, and pointers are new."""
    assert project.ok("status", "--json").json()["artifacts"] == []
    project.write("data/a", b"a\n")
    project.ok("add", "data")
    assert (status_of(project)["data"], status_of(project)["pointer"]) == ("unchanged", "new")
    project.write("data/b", b"b\n")
    assert status_of(project)["added"] == ["b"]
    project.ok("checkout")
    project.ok("fsck")
    project.run("diff").ok()


def test_status_of_pointers(filled: Project) -> None:
    """A pointer is committed, changed or new, whatever the data is."""
    assert status_of(filled)["pointer"] == "committed"
    filled.write("data/a.txt", b"changed\n")
    assert (status_of(filled)["data"], status_of(filled)["pointer"]) == ("modified", "committed")
    filled.ok("add", "data")
    assert (status_of(filled)["data"], status_of(filled)["pointer"]) == ("unchanged", "changed")
    filled.git("rm", "--quiet", "--cached", "model.bin.vstore")
    filled.commit("second")
    assert status_of(filled, "model.bin")["pointer"] == "new"


def test_status_names_files(filled: Project) -> None:
    """Of a directory the files that came, changed and went are named, also executables and links."""
    filled.write("data/new.txt", b"new\n")
    filled.write("data/a.txt", b"changed\n")
    (filled.path / "data/sub/b.txt").unlink()
    filled.path.joinpath("data/large.bin").chmod(0o755)
    found = status_of(filled)
    assert found["added"] == ["new.txt", "sub"]
    assert found["modified"] == ["a.txt", "large.bin"] and found["deleted"] == ["sub/b.txt"]
    assert filled.run("status", "--check").exit_code == DIFFERENT


def test_status_of_what_is_not_in_the_cache(filled: Project) -> None:
    """Contents that the cache lost are counted, whether the files are here or not."""
    filled.drop_cache()
    assert (status_of(filled)["data"], status_of(filled)["not_in_cache"]) == ("unchanged", 4)
    shutil.rmtree(filled.path / "data")
    assert (status_of(filled)["data"], status_of(filled)["not_in_cache"]) == ("deleted", 4)
    filled.ok("add", "model.bin")
    assert status_of(filled, "model.bin")["not_in_cache"] == 0


# Checkout of parts, and of what is missing.


@pytest.mark.parametrize("target", ["data/sub", "data/sub/b.txt"])
def test_partial_checkout(filled: Project, target: str) -> None:
    """Of a directory that is not here only what is named comes, and the rest does not count as deleted."""
    filled.add_remote()
    filled.ok("push")
    clone = filled.clone()
    clone.add_remote()
    clone.ok("pull", target)
    assert shape(clone.path / "data") == {"sub": {"b.txt": ("f", b"bb\n")}}
    assert (status_of(clone)["data"], status_of(clone)["partial"]) == ("unchanged", [target.removeprefix("data/")])
    clone.ok("fsck")
    clone.write("data/sub/b.txt", b"changed\n")
    clone.ok("add", "-u")
    clone.ok("pull", "data")
    assert clone.read("data/sub/b.txt") == b"changed\n" and clone.read("data/large.bin") == LARGE


def test_missing_manifest(filled: Project) -> None:
    """Where the list of files is lost, every verb says so and does the rest; add makes it anew from the files."""
    for path in (cache_of(filled) / "packs").iterdir():
        path.unlink()
    tree = filled.run("ls", "-R", "data")
    assert tree.exit_code == MISSING and "the list of files of data" in tree.stderr
    assert status_of(filled)["data"] == "unchanged"
    (filled.path / "model.bin").unlink()
    filled.ok("checkout")
    assert filled.read("model.bin") == LARGE[::-1]
    shutil.copytree(filled.path / "data", filled.path / "kept")
    shutil.rmtree(filled.path / "data")
    failed = filled.run("checkout")
    assert failed.exit_code == PARTLY and "data" in failed.stderr
    filled.path.joinpath("kept").rename(filled.path / "data")
    filled.ok("fsck", "--repair")
    assert filled.ok("ls", "-R", "data").stdout.count("\n") >= 3
    filled.ok("status", "--check")


@pytest.mark.parametrize("rev", ["nowhere", "HEAD~9", "v1:", "", "0" * 40])
@pytest.mark.parametrize("verb", ["checkout", "ls", "cat", "fetch", "fsck"])
def test_unreadable_revisions(filled: Project, verb: str, rev: str) -> None:
    """A revision that git does not know is one line, and nothing was done."""
    before = shape(filled.path / "data")
    paths = ["data/a.txt"] if verb == "cat" else []
    outcome = filled.run(verb, *paths, "--rev", rev)
    assert outcome.exit_code == 1 and "no commit is called" in outcome.stderr
    assert outcome.stderr.count("\n") == 2 and "Hint:" in outcome.stderr
    assert shape(filled.path / "data") == before


def test_revisions_with_broken_pointers(filled: Project) -> None:
    """A commit whose pointer cannot be read is passed over with a word, and the others are served."""
    good = filled.git("rev-parse", "HEAD")
    filled.write("model.bin.vstore", b"nonsense")
    filled.git("add", "model.bin.vstore")
    filled.commit("broken")
    filled.write("model.bin", b"new\n")
    assert filled.run("fsck", "--all-commits", "--json").json()["broken"][0][0] == "model.bin.vstore"
    shutil.rmtree(filled.path / "data")
    assert filled.run("checkout", "--rev", "HEAD").exit_code == PARTLY
    assert filled.read("data/a.txt") == b"a\n"
    filled.ok("checkout", "--rev", good, "data")


def test_shallow_clone(filled: Project) -> None:
    """Behind the edge of a shallow clone there is nothing; what is before it works."""
    filled.add_remote()
    filled.ok("push")
    filled.write("data/a.txt", b"second\n")
    filled.ok("add", "-u")
    filled.commit("second")
    filled.ok("push")
    git("clone", "--quiet", "--depth", "1", filled.path.as_uri(), "shallow", cwd=filled.path.parent)
    shallow = Project(filled.path.parent / "shallow")
    shallow.ok("config", "set", "--local", "remote.store.url", filled.store)
    shallow.ok("pull")
    shallow.ok("fetch", "--all-commits")
    shallow.ok("fsck", "--all-commits")
    assert shallow.run("checkout", "--rev", "HEAD~").exit_code == 1
    assert shallow.read("data/a.txt") == b"second\n"


# One cache for several repositories.


@pytest.fixture
def sharing(filled: Project) -> tuple[Project, Project]:
    """Two repositories with one cache."""
    other = Project(filled.path.parent / "other")
    other.path.mkdir()
    git("init", "--quiet", cwd=other.path)
    other.ok("init", "--cache-dir", cache_of(filled))
    return filled, other


def test_two_repositories_share_a_cache(sharing: tuple[Project, Project]) -> None:
    """What one added the other has for nothing, and neither sees the other's artifacts."""
    filled, other = sharing
    other.write("copy/large.bin", LARGE)
    other.write("copy/own.txt", b"own\n")
    added = other.ok("add", "copy", "--json").json()
    assert added["new_objects"] == 2  # its own file and its list of files
    assert [artifact["path"] for artifact in other.ok("status", "--json").json()["artifacts"]] == ["copy"]
    shutil.rmtree(other.path / "copy")
    other.ok("checkout")
    assert other.read("copy/large.bin") == LARGE
    other.ok("rm", "--data", "copy")
    filled.ok("fsck")
    shutil.rmtree(filled.path / "data")
    filled.ok("checkout")
    assert filled.read("data/large.bin") == LARGE


def test_linked_file_of_two_repositories(sharing: tuple[Project, Project]) -> None:
    """Hardlinks of two repositories to one object: unlocking, changing and adding in one leaves the other."""
    for project in sharing:
        project.ok("config", "set", "cache.type", "hardlink")
        project.write("big", LARGE)
        project.ok("add", "big")
    filled, other = sharing
    assert os.path.samefile(filled.path / "big", other.path / "big")
    filled.ok("unlock", "big")
    filled.write("big", b"changed\n")
    filled.ok("add", "big")
    assert other.read("big") == LARGE
    other.ok("status", "--check")
    other.ok("fsck")


# A whole round trip.


def test_modes_links_and_empty_directories_travel(project: Project) -> None:
    """Executables, symlinks, empty files and directories go through add, push, clone and pull as they were."""
    data = project.path / "data"
    project.write("data/run.sh", b"#!/bin/sh\n").chmod(0o755)
    project.write("data/big.run", LARGE).chmod(0o755)
    project.write("data/plain", b"plain\n").chmod(0o644)
    project.write("data/empty", b"")
    project.write("data/deep/er/file", LARGE[::-1])
    (data / "none/at/all").mkdir(parents=True)
    (data / "link").symlink_to("deep/er/file")
    (data / "deep/up").symlink_to("../run.sh")
    (data / "dangling").symlink_to("nowhere")
    (data / "to-directory").symlink_to("deep")
    project.write("tool", b"#!/bin/sh\n").chmod(0o755)
    project.write("only/.keep", b"")
    (project.path / "only/.keep").unlink()
    project.ok("add", "data", "tool", "only")
    project.add_remote()
    project.commit()
    project.ok("push")
    clone = project.clone()
    clone.ok("pull")
    assert shape(clone.path / "data") == shape(data)
    for name in ("data", "only"):
        assert shape(clone.path / name) == shape(project.path / name)
    for name in ("data/run.sh", "data/big.run", "tool"):
        assert os.access(clone.path / name, os.X_OK)
    assert not os.access(clone.path / "data/plain", os.X_OK)
    clone.ok("status", "--check")
    (clone.path / "data/run.sh").chmod(0o644)
    assert status_of(clone)["modified"] == ["run.sh"]
    clone.ok("add", "-u")
    clone.ok("checkout", "--rev", "HEAD")
    assert os.access(clone.path / "data/run.sh", os.X_OK)


def test_library_says_the_same(filled: Project) -> None:
    """What the commands did is what the functions return."""
    assert vstore.status(directory=filled.path).is_clean
    assert vstore.fsck(directory=filled.path).damages == []
