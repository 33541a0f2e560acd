"""Moving in from repositories that git-lfs made."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.ops.migrate.places import LfsProject, clone_with_pointers
from tests.project import LARGE
from tests.stateful.test_death import die_everywhere, pointers_are_good

FILES = ["img/1.png", "img/x/2.png", "model.bin", "sub/größe 1.bin"]


def status_of(project: LfsProject) -> dict[str, str]:
    """Return what ``vstore status`` says of each artifact."""
    return {artifact["path"]: artifact["data"] for artifact in project.ok("status", "--json").json()["artifacts"]}


def listed(project: LfsProject) -> list[str]:
    """Return what git's index holds."""
    return project.git("-c", "core.quotePath=false", "ls-files").splitlines()


def test_everything_moves(lfs: LfsProject) -> None:
    """Each file becomes an artifact and leaves git, but not the work tree, and git-lfs has nothing more to do."""
    inode = os.stat(lfs.path / "model.bin").st_ino
    result = lfs.ok("migrate", "lfs", "--json").json()
    assert [moved["path"] for moved in result["artifacts"]] == FILES
    assert status_of(lfs) == dict.fromkeys(FILES, "unchanged")
    assert os.stat(lfs.path / "model.bin").st_ino == inode and lfs.read("model.bin") == LARGE
    assert not set(FILES) & set(listed(lfs)) and {f"{path}.vstore" for path in FILES} <= set(listed(lfs))
    assert lfs.read(".gitattributes") == b"*.txt text\n"
    assert lfs.ok("ls", "-R", "--long", "img").stdout.startswith("executable")
    lfs.commit("Move from git-lfs")
    assert lfs.git("status", "--short") == "" and lfs.git("lfs", "ls-files") == ""
    assert lfs.git("show", "HEAD:model.bin.vstore").startswith("version = 1")
    assert "empty.bin" in listed(lfs)


def test_old_files_can_go(lfs: LfsProject) -> None:
    """Without the store of git-lfs every file comes back from our cache."""
    lfs.ok("migrate", "lfs")
    shutil.rmtree(lfs.path / ".git/lfs")
    for path in FILES:
        os.unlink(lfs.path / path)
    lfs.ok("checkout")
    assert lfs.read("img/x/2.png") == LARGE[::-1] and os.access(lfs.path / "img/1.png", os.X_OK)


def test_pointers_become_files(lfs: LfsProject) -> None:
    """Where only pointers of git-lfs are checked out, it fetches the contents, which take their place."""
    clone = clone_with_pointers(lfs)
    assert clone.read("model.bin").startswith(b"version https://git-lfs")
    clone.ok("migrate", "lfs")
    assert clone.read("model.bin") == LARGE and clone.read("img/1.png") == b"one\n"
    assert status_of(clone) == dict.fromkeys(FILES, "unchanged")


def test_without_git_lfs(lfs: LfsProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where git-lfs is not installed, what its store holds moves all the same, and what it lacks is named."""
    shutil.rmtree(lfs.path.parent / "origin.git/lfs")
    lacking = lfs.find_object("model.bin")
    lfs.write("model.bin", b"somebody changed it")
    lacking.unlink()
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "git").symlink_to(shutil.which("git") or "")
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("GIT_EXEC_PATH", _exec_path_without_lfs(lfs, tmp_path))
    os.utime(lfs.path / ".git/index", (1, 1))  # as if every file were written just now: git compares their contents
    outcome = lfs.run("migrate", "lfs", "--json")
    assert outcome.exit_code == 3 and [path for path, _ in outcome.json()["missing"]] == ["model.bin"]
    assert [moved["path"] for moved in outcome.json()["artifacts"]] == [path for path in FILES if path != "model.bin"]
    assert "git-lfs could not fetch" in outcome.stderr
    assert lfs.read("model.bin") == b"somebody changed it" and "model.bin" in listed(lfs)


def _exec_path_without_lfs(lfs: LfsProject, tmp_path: Path) -> str:
    folder = tmp_path / "exec"
    folder.mkdir()
    for program in Path(lfs.git("--exec-path")).iterdir():
        if program.name != "git-lfs":
            (folder / program.name).symlink_to(program)
    return str(folder)


def test_damage_is_named(lfs: LfsProject) -> None:
    """An object that is not what its name says is never imported; when it is mended the rest moves."""
    shutil.rmtree(lfs.path.parent / "origin.git/lfs")
    broken = lfs.find_object("model.bin")
    lfs.write("model.bin", b"changed")
    os.chmod(broken, 0o644)
    broken.write_bytes(b"x" + LARGE[1:])
    outcome = lfs.run("migrate", "lfs")
    assert outcome.exit_code == 3 and "model.bin: is damaged in the store of git-lfs" in outcome.stderr
    # What stays with git-lfs is still handed to it, and our pointers are not.
    assert b"filter=lfs" in lfs.read(".gitattributes")
    lfs.commit("Some of it moved")
    assert lfs.git("show", "HEAD:img/1.png.vstore").startswith("version = 1")
    assert lfs.git("show", "HEAD:img/.gitignore") == "/1.png"
    assert lfs.git("lfs", "ls-files", "--name-only") == "model.bin"
    broken.write_bytes(LARGE)
    lfs.ok("migrate", "lfs")
    assert status_of(lfs) == {**dict.fromkeys(FILES, "unchanged"), "model.bin": "modified"}
    assert lfs.read("model.bin") == b"changed" and lfs.read(".gitattributes") == b"*.txt text\n"


def test_the_work_tree_has_it(lfs: LfsProject) -> None:
    """What the store lacks is taken from the work tree, if nobody changed it there."""
    shutil.rmtree(lfs.path.parent / "origin.git/lfs")
    shutil.rmtree(lfs.objects)
    lfs.ok("migrate", "lfs")
    assert lfs.ok("cat", "model.bin").stdout_bytes == LARGE


def test_a_directory_as_one_tree(lfs: LfsProject) -> None:
    """Many files become one artifact where that was asked for; pointers among them become files."""
    clone = clone_with_pointers(lfs)
    clone.ok("migrate", "lfs", "--as-tree", "img")
    assert clone.read("img/x/2.png") == LARGE[::-1] and os.access(clone.path / "img/1.png", os.X_OK)
    assert status_of(clone) == dict.fromkeys(["img", "model.bin", "sub/größe 1.bin"], "unchanged")
    assert clone.read(".gitignore") == b"/img\n/model.bin\n"


def test_trees_that_cannot_be(lfs: LfsProject) -> None:
    """A directory that holds something else of git's, or nothing of git-lfs, is no tree."""
    lfs.write("img/readme.md", b"text\n")
    with (lfs.path / ".gitattributes").open("ab") as attributes:
        attributes.write(b"*.md !filter\n")
    lfs.git("add", "img/readme.md")
    outcome = lfs.run("migrate", "lfs", "--as-tree", "img", "--json")
    assert outcome.exit_code == 3 and outcome.json()["refused"] == [
        ["img", "holds img/readme.md, which git keeps itself"]
    ]
    assert lfs.run("migrate", "lfs", "--as-tree", "nowhere").exit_code == 1
    assert lfs.run("migrate", "lfs", "--as-tree", ".").exit_code == 1


def test_only_some_paths(lfs: LfsProject) -> None:
    """Only what was named moves, and the pointers of it are safe from the pattern that stays."""
    assert "rm -rf" not in lfs.ok("migrate", "lfs", "img").stdout
    assert "model.bin" in listed(lfs) and "img/1.png" not in listed(lfs)
    lfs.write("img/3.png", b"three\n")
    lfs.ok("add", "img/3.png")
    lfs.commit("Some of it moved")
    assert lfs.git("show", "HEAD:img/3.png.vstore").startswith("version = 1")
    assert lfs.git("show", "HEAD:img/x/2.png.vstore").startswith("version = 1")


def test_dry_run_changes_nothing(lfs: LfsProject) -> None:
    """--dry-run names what would move, and makes nothing."""
    clone = clone_with_pointers(lfs)
    outcome = clone.ok("migrate", "lfs", "--dry-run", "--json")
    assert [moved["path"] for moved in outcome.json()["artifacts"]] == FILES
    assert "would be asked to fetch 4" in outcome.stderr
    assert not clone.has(".vstore") and clone.read("model.bin").startswith(b"version https://git-lfs")


def test_files_that_are_locked(lfs: LfsProject) -> None:
    """What git-lfs keeps read-only until it is locked can be written afterwards; macros of its are understood."""
    lfs.write(
        ".gitattributes", b"[attr]locked lockable filter=lfs diff=lfs merge=lfs -text\n*.bin locked\nimg/** locked\n"
    )
    lfs.git("add", "--all")
    lfs.commit("Lock everything")
    lfs.git("lfs", "post-merge", "0")
    assert not os.stat(lfs.path / "model.bin").st_mode & 0o200
    lfs.ok("migrate", "lfs")
    assert all(os.stat(lfs.path / path).st_mode & 0o200 for path in FILES)
    assert status_of(lfs) == dict.fromkeys(FILES, "unchanged") and not lfs.has(".gitattributes")


def test_in_the_middle_of_a_merge(lfs: LfsProject) -> None:
    """A file in conflict stays with git-lfs, and so do the attributes that it needs."""
    lfs.git("switch", "--quiet", "--create", "other")
    for content, branch in ((b"theirs\n", "main"), (b"ours\n", "")):
        lfs.write("model.bin", content)
        lfs.git("commit", "--quiet", "--all", "--message", "Another model")
        if branch:
            lfs.git("switch", "--quiet", branch)
    with pytest.raises(AssertionError):
        lfs.git("merge", "other")
    outcome = lfs.run("migrate", "lfs", "--json")
    assert outcome.exit_code == 3 and outcome.json()["refused"] == [["model.bin", "is in conflict in git"]]
    assert outcome.json()["left"] == 1 and b"filter=lfs" in lfs.read(".gitattributes")
    assert "UU model.bin" in lfs.git("status", "--short")


def test_nothing_to_do(lfs: LfsProject) -> None:
    """When everything has moved there is nothing to do."""
    lfs.ok("migrate", "lfs")
    assert "Nothing was found" in lfs.ok("migrate", "lfs").stdout
    assert lfs.ok("migrate", "lfs", "--json").json()["left"] == 0


def test_death_at_every_step(lfs: LfsProject) -> None:
    """Whenever the command dies, no pointer names what is not there, no file is lost, and the same command goes on."""
    shutil.rmtree(lfs.path / "sub")
    lfs.write("img/1.png", b"precious\n")

    def check(is_over: bool) -> None:
        if lfs.has(".vstore/config"):
            pointers_are_good(lfs)
        assert lfs.read("model.bin") == LARGE and lfs.read("img/1.png") == b"precious\n"
        if is_over:
            assert status_of(lfs)["img/x/2.png"] == "unchanged" and status_of(lfs)["img/1.png"] == "modified"
            assert not set(FILES) & set(listed(lfs)) and lfs.read(".gitattributes") == b"*.txt text\n"
            assert {f"{path}.vstore" for path in FILES} <= set(listed(lfs))

    assert die_everywhere(lfs, ["migrate", "lfs"], check, step=9) > 20
