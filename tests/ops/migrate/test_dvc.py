"""Moving in from repositories that DVC 3 made."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.ops.migrate.places import CRLF, SCRIPT, DvcProject
from tests.ops.test_checkout import shape
from tests.project import LARGE, Project
from tests.stateful.test_death import die_everywhere, pointers_are_good

POINTERS = ["data.dvc", "models/model 1.bin.dvc", "models/tool.dvc"]


def hides_nothing(project: Project) -> bool:
    """Tell whether files, pointers and cache agree."""
    return project.ok("status", "--json", "--check").json()["artifacts"] is not None


def test_everything_moves(dvc: DvcProject) -> None:
    """Every file, bit and empty directory is tracked as it is, and nothing of it was touched."""
    before = shape(dvc.path / "data"), shape(dvc.path / "models/tool")
    inode = os.stat(dvc.path / "data/a.txt").st_ino
    result = dvc.ok("migrate", "dvc", "--json").json()
    assert [(moved["path"], moved["change"], moved["files"]) for moved in result["artifacts"]] == [
        ("data", "new", 5),
        ("models/model 1.bin", "new", 1),
        ("models/tool", "new", 1),
    ]
    assert result["superseded"] == POINTERS and not result["missing"] and not result["refused"]
    assert (shape(dvc.path / "data"), shape(dvc.path / "models/tool")) == before
    assert os.stat(dvc.path / "data/a.txt").st_ino == inode
    status = dvc.ok("status", "--json", "--check").json()
    assert {artifact["data"] for artifact in status["artifacts"]} == {"unchanged"}
    staged = dvc.git("-c", "core.quotePath=false", "status", "--short").splitlines()
    assert "A  data.vstore" in staged and 'A  "models/model 1.bin.vstore"' in staged
    assert not any(line.startswith("??") for line in staged)
    assert dvc.read(".gitignore") == b"/data\n"


def test_old_files_can_go(dvc: DvcProject) -> None:
    """Without anything of DVC's every file comes back from our cache, in a clone as well."""
    before = shape(dvc.path / "data"), shape(dvc.path / "models/tool")
    dvc.ok("migrate", "dvc", "--remove")
    dvc.save("Move from DVC")
    dvc.add_remote()
    dvc.save("Name a remote")
    dvc.ok("push")
    shutil.rmtree(dvc.path / ".dvc")
    shutil.rmtree(dvc.dvc_store)
    shutil.rmtree(dvc.path / "data")
    os.unlink(dvc.path / "models/tool")
    dvc.ok("checkout")
    assert (shape(dvc.path / "data"), shape(dvc.path / "models/tool")) == before
    clone = dvc.clone()
    clone.ok("pull")
    assert shape(clone.path / "data") == before[0]
    assert not [path for path in clone.git("ls-files").splitlines() if path.endswith(".dvc")]


@pytest.mark.parametrize("link_type", ["hardlink", "symlink"])
def test_links_become_ours(empty_dvc: DvcProject, link_type: str) -> None:
    """Links into DVC's cache are replaced by ours of the same kind, so that its cache can go."""
    project = empty_dvc
    project.dvc("config", "cache.type", link_type)
    project.write("data/sub/large.bin", LARGE)
    project.write("data/small", b"small\n")
    project.write("model.bin", LARGE[::-1])
    project.dvc("add", "-q", "data", "model.bin")
    project.save("Track with DVC")
    result = project.ok("migrate", "dvc", "--json").json()
    assert [moved["relinked"] for moved in result["artifacts"]] == [2, 1]
    theirs = {file.stat().st_ino for file in project.dvc_cache.rglob("*") if file.is_file()}
    project.drop_dvc_cache()
    assert project.read("data/sub/large.bin") == LARGE and project.read("model.bin") == LARGE[::-1]
    assert project.read("data/small") == b"small\n"
    assert os.stat(project.path / "model.bin").st_ino not in theirs
    assert (project.path / "model.bin").is_symlink() == (link_type == "symlink")
    assert hides_nothing(project)


def test_what_was_changed_through_a_link_stays(empty_dvc: DvcProject) -> None:
    """A hardlinked file that somebody changed, and the object along with it, is neither imported nor replaced."""
    empty_dvc.dvc("config", "cache.type", "hardlink")
    empty_dvc.write("model.bin", LARGE)
    empty_dvc.dvc("add", "-q", "model.bin")
    os.chmod(empty_dvc.path / "model.bin", 0o644)
    with (empty_dvc.path / "model.bin").open("r+b") as file:
        file.write(b"precious")
    outcome = empty_dvc.run("migrate", "dvc")
    assert outcome.exit_code == 3 and "damaged in the cache of DVC" in outcome.stderr
    assert empty_dvc.read("model.bin").startswith(b"precious") and not empty_dvc.has("model.bin.vstore")


@pytest.mark.parametrize("has_files", [True, False])
def test_from_a_remote_alone(dvc: DvcProject, has_files: bool) -> None:
    """Where DVC's cache is empty its remote has what is needed, also where no file is checked out."""
    dvc.drop_dvc_cache()
    if not has_files:
        shutil.rmtree(dvc.path / "data")
        shutil.rmtree(dvc.path / "models/tool", ignore_errors=True)
        for name in ("models/tool", "models/model 1.bin"):
            os.unlink(dvc.path / name)
    dvc.ok("migrate", "dvc")
    assert dvc.has("data") == has_files
    dvc.ok("checkout")
    assert dvc.read("data/sub/deep/große Datei.bin") == LARGE
    assert dvc.read("models/model 1.bin") == LARGE[::-1]
    assert os.access(dvc.path / "models/tool", os.X_OK)
    assert hides_nothing(dvc)


def test_damage_is_named(dvc: DvcProject) -> None:
    """A damaged object is never imported: its path is named, the rest moves, and when it is mended so does it."""
    shutil.rmtree(dvc.dvc_store)
    broken = dvc.find_object("models/model 1.bin")
    os.unlink(dvc.path / "models/model 1.bin")
    os.chmod(broken, 0o644)
    broken.write_bytes(b"x" + LARGE[::-1][1:])
    outcome = dvc.run("migrate", "dvc", "--remove", "--json")
    assert outcome.exit_code == 3
    result = outcome.json()
    assert [path for path, _ in result["missing"]] == ["models/model 1.bin"]
    assert "is damaged in the cache of DVC" in result["missing"][0][1]
    assert [moved["path"] for moved in result["artifacts"]] == ["data", "models/tool"]
    assert dvc.has("models/model 1.bin.dvc") and not dvc.has("data.dvc")
    broken.write_bytes(LARGE[::-1])
    assert [moved["path"] for moved in dvc.ok("migrate", "dvc", "--json").json()["artifacts"]] == ["models/model 1.bin"]


def test_the_work_tree_has_it(dvc: DvcProject) -> None:
    """What is damaged in, or missing from, DVC's cache comes from the work tree, if nobody changed it there."""
    shutil.rmtree(dvc.dvc_store)
    broken = dvc.find_object("models/model 1.bin")
    os.chmod(broken, 0o644)
    broken.write_bytes(b"x")
    dvc.find_object("data/a.txt").unlink()
    dvc.ok("migrate", "dvc")
    assert dvc.ok("cat", "models/model 1.bin").stdout_bytes == LARGE[::-1]


def test_never_committed_to_the_cache(empty_dvc: DvcProject) -> None:
    """What was added without being put into DVC's cache comes from the work tree; a directory's list is nowhere."""
    empty_dvc.write("one.bin", LARGE)
    empty_dvc.write("data/a", b"a\n")
    empty_dvc.dvc("add", "-q", "--no-commit", "one.bin", "data")
    outcome = empty_dvc.run("migrate", "dvc", "--json")
    assert [moved["path"] for moved in outcome.json()["artifacts"]] == ["one.bin"]
    assert outcome.exit_code == 3 and outcome.json()["missing"][0][0] == "data"


def test_unsaved_changes_survive(dvc: DvcProject) -> None:
    """The pointer says what DVC recorded; what was changed and added since is still there, as a change."""
    dvc.write("data/a.txt", b"precious\n")
    dvc.write("data/new", b"new\n")
    os.unlink(dvc.path / "data/crlf.txt")
    dvc.ok("migrate", "dvc")
    assert dvc.read("data/a.txt") == b"precious\n" and not dvc.has("data/crlf.txt")
    data = next(a for a in dvc.ok("status", "--json").json()["artifacts"] if a["path"] == "data")
    # Whether the third was deleted, or never pulled, nobody can tell.
    assert (data["modified"], data["added"], data["deleted"]) == (["a.txt"], ["new"], [])
    assert dvc.ok("cat", "data/a.txt").stdout == "a\n" and dvc.ok("cat", "data/crlf.txt").stdout_bytes == CRLF


def test_missing_contents(dvc: DvcProject) -> None:
    """A directory of which a content is nowhere stays with DVC, unless that may be left out."""
    shutil.rmtree(dvc.dvc_store)
    dvc.find_object("data/a.txt").unlink()
    dvc.write("data/a.txt", b"other\n")
    outcome = dvc.run("migrate", "dvc")
    assert outcome.exit_code == 3 and "data/a.txt: is not in the cache of DVC" in outcome.stderr
    assert "Hint: bring what is missing with `dvc fetch`" in outcome.stderr
    assert not dvc.has("data.vstore") and dvc.has("models/tool.vstore")
    assert dvc.run("migrate", "dvc", "--allow-missing", "--json").json()["artifacts"][0]["files"] == 4
    assert "a.txt" not in dvc.ok("ls", "data").stdout


def test_only_some_paths(dvc: DvcProject) -> None:
    """Only what was named moves, be it by the path of the data, of DVC's file, or of a directory above."""
    outcome = dvc.ok("migrate", "dvc", "--remove", "data.dvc")
    assert dvc.has("data.vstore") and not dvc.has("models/tool.vstore")
    assert "rm -rf" not in outcome.stdout
    outcome = dvc.ok("migrate", "dvc", "--remove", "models")
    assert dvc.has("models/tool.vstore") and "rm -rf .dvc" in outcome.stdout
    assert dvc.run("migrate", "dvc", "nowhere").exit_code == 1


def test_dry_run_changes_nothing(dvc: DvcProject) -> None:
    """--dry-run names what would move and what would be missing, and makes nothing, not even a repository."""
    result = dvc.ok("migrate", "dvc", "--dry-run", "--json").json()
    assert [moved["path"] for moved in result["artifacts"]] == ["data", "models/model 1.bin", "models/tool"]
    shutil.rmtree(dvc.dvc_store)
    dvc.find_object("data/a.txt").unlink()
    dvc.write("data/a.txt", b"other\n")
    outcome = dvc.run("migrate", "dvc", "--dry-run", "--json")
    assert outcome.exit_code == 3 and [path for path, _ in outcome.json()["missing"]] == ["data/a.txt"]
    assert not dvc.has(".vstore") and dvc.git("status", "--short") == "" and not dvc.has(".git/vstore")


def test_again_is_harmless(dvc: DvcProject) -> None:
    """A second run reads nothing anew, and what vstore tracks in a newer version stays."""
    dvc.ok("migrate", "dvc")
    again = dvc.ok("migrate", "dvc", "--json").json()
    assert {moved["change"] for moved in again["artifacts"]} == {"unchanged"} and again["new_objects"] == 0
    dvc.write("data/a.txt", b"newer\n")
    dvc.ok("add", "data")
    pointer = dvc.read("data.vstore")
    dvc.drop_dvc_cache()
    last = dvc.ok("migrate", "dvc", "--remove", "--json").json()
    assert [moved["change"] for moved in last["artifacts"]] == ["kept", "unchanged", "unchanged"]
    assert dvc.read("data.vstore") == pointer and last["removed"] == POINTERS


def test_pipelines(empty_dvc: DvcProject) -> None:
    """What stages made is tracked where DVC caches it; what git keeps stays git's, and so do the stages."""
    empty_dvc.write("in.txt", b"in\n")
    command = "mkdir -p sub/out && cp in.txt sub/out/x && cp in.txt metrics.json"
    empty_dvc.dvc("stage", "add", "-q", "-n", "prepare", "-d", "in.txt", "-o", "sub/out", "-M", "metrics.json", command)
    empty_dvc.dvc("repro", "-q")
    outcome = empty_dvc.ok("migrate", "dvc", "--json")
    assert [moved["path"] for moved in outcome.json()["artifacts"]] == ["sub/out"]
    assert "pipelines stay with DVC" in outcome.stderr
    assert empty_dvc.ok("cat", "sub/out/x").stdout == "in\n" and empty_dvc.has("dvc.lock")
    assert "rm -rf" not in empty_dvc.ok("migrate", "dvc", "--remove").stdout


def test_imports_tell_their_source(empty_dvc: DvcProject, tmp_path: Path) -> None:
    """Where imported data came from stands in the pointer."""
    other = DvcProject(tmp_path / "other", empty_dvc.program)
    other.path.mkdir()
    other.git("init", "--quiet")
    other.write("plain.txt", b"plain\n")
    revision = other.save("A file of git's")
    origin = tmp_path / "origin.csv"
    origin.write_bytes(b"1\n")
    empty_dvc.dvc("import-url", "-q", origin, "fetched.csv")
    empty_dvc.dvc("import", "-q", other.path, "plain.txt")
    empty_dvc.ok("migrate", "dvc")
    assert f'url = "{origin}"' in empty_dvc.read("fetched.csv.vstore").decode()
    pointer = empty_dvc.read("plain.txt.vstore").decode()
    assert f'repo = "{other.path}"\npath = "plain.txt"\ncommit = "{revision}"\n' in pointer


def test_project_in_a_directory(dvc_program: Path, git_repo: Path) -> None:
    """A DVC project may lie in a directory of the git repository, its cache elsewhere."""
    project = DvcProject(git_repo / "inner", dvc_program)
    project.path.mkdir()
    project.dvc("init", "-q", "--subdir")
    project.dvc("cache", "dir", "-q", "../../elsewhere")
    project.write("data/a", SCRIPT)
    project.dvc("add", "-q", "data")
    project.save("Track with DVC")
    os.unlink(project.path / "data/a")
    assert project.run("migrate", "dvc").exit_code == 0
    assert (git_repo / ".vstore/config").is_file()
    assert project.ok("cat", "data/a").stdout_bytes == SCRIPT


def test_death_at_every_step(empty_dvc: DvcProject) -> None:
    """Whenever the command dies, no pointer names what is not there, no file is lost, and the same command goes on."""
    empty_dvc.dvc("config", "cache.type", "hardlink")
    empty_dvc.write("data/small", b"small\n")
    empty_dvc.write("data/large", LARGE)
    empty_dvc.dvc("add", "-q", "data")
    empty_dvc.save("Track with DVC")
    before = shape(empty_dvc.path / "data")

    def check(is_over: bool) -> None:
        if (empty_dvc.path / ".vstore/config").exists():
            pointers_are_good(empty_dvc)
        assert empty_dvc.read("data/small") == b"small\n" and empty_dvc.read("data/large") == LARGE
        if is_over:
            assert hides_nothing(empty_dvc) and not empty_dvc.has("data.dvc")
            assert "D  data.dvc" in empty_dvc.git("status", "--short")

    assert die_everywhere(empty_dvc, ["migrate", "dvc", "--remove"], check, step=5) > 20
    assert shape(empty_dvc.path / "data") == before
