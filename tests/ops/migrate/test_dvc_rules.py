"""What people told DVC beside its pointers moves as well: what to ignore, what data is, and where it may go."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.ops.migrate.hand_made import HandMade, md5
from tests.project import Project

REMARK = b"""\
# Add patterns of files dvc should ignore, which could improve
# the performance. Learn more at
# https://dvc.org/doc/user-guide/dvcignore
"""


@pytest.fixture
def made(git_repo: Path) -> HandMade:
    """A repository with settings of DVC and nothing else."""
    return HandMade(git_repo)


def test_ignore_rules(made: HandMade) -> None:
    """What DVC ignored vstore ignores, so that it is no change; a file of rules that is there stays."""
    made.track("data", {"a": b"a\n"})
    made.point(made.keep_list([{"md5": made.keep(b"b\n"), "relpath": "b"}]), "deep", "sub/deep")
    made.write(".dvcignore", REMARK + b"*.tmp\n!keep.tmp\n")
    made.write("sub/.dvcignore", b"*.log\n")
    made.write("sub/.vstoreignore", b"*.log\n# mine\n")
    for path in ("data/x.tmp", "sub/deep/y.log"):
        made.write(path)
    made.write("data/a", b"a\n")
    made.write("sub/deep/b", b"b\n")
    assert made.migrate(0, "--dry-run")["rules"] == [".vstoreignore"] and not made.has(".vstoreignore")
    result = made.migrate()
    assert result["rules"] == [".vstoreignore"] and result["settings"] == [".dvc", ".dvcignore", "sub/.dvcignore"]
    assert made.read(".vstoreignore") == b"*.tmp\n!keep.tmp\n" and made.read("sub/.vstoreignore").endswith(b"# mine\n")
    assert made.ok("status", "--json", "--check").json()["artifacts"]
    assert "A  .vstoreignore" in made.git("status", "--short")
    assert made.migrate()["rules"] == []


def test_rules_that_say_nothing(made: HandMade, tmp_path: Path) -> None:
    """What ``dvc init`` writes has no rule in it; what is reached through a link is not git's."""
    made.point(made.keep(b"1"), "x")
    made.write(".dvcignore", REMARK + b"\n  # *.tmp\n")
    made.write("folder/.dvcignore", b"*\n")
    made.git("add", "folder")
    shutil.move(made.path / "folder", tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", made.path / "folder")
    made.migrate()
    assert not made.has(".vstoreignore") and os.listdir(tmp_path / "elsewhere") == [".dvcignore"]


def test_rules_of_old_versions(made: HandMade) -> None:
    """A commit that is written anew has the rules that it had."""
    made.write(".dvcignore", b"*.tmp\n")
    made.point(made.keep(b"1"), "x")
    made.git("add", "--all")
    made.commit("first")
    made.write(".dvcignore", b"*.log\n")
    made.git("commit", "--quiet", "--all", "--message", "second")
    made.migrate(0, "--all-commits")
    assert [made.git("show", f"vstore/main{at}:.vstoreignore") for at in ("~1", "")] == ["*.tmp", "*.log"]


PIPELINE = """\
artifacts:
  best: {path: model.bin, type: model, desc: Best, labels: [good], meta: {framework: torch}}
  other: {path: said.bin, type: model}
  odd: {path: ../../out}
  none: 3
"""


def test_what_is_said_in_a_pipeline(made: HandMade) -> None:
    """The artifacts of a ``dvc.yaml`` describe data, in old versions, too, unless its own file says something."""
    made.write("sub/dvc.yaml", PIPELINE.encode())
    made.point(made.keep(b"1"), "model.bin", "sub/model.bin", "  remote: far\n")
    made.point(made.keep(b"2"), "said.bin", "sub/said.bin", "  type: data\n")
    made.git("add", "--all")
    made.commit("first")
    made.migrate(0, "--all-commits")
    made.migrate()
    pointer = made.read("sub/model.bin.vstore").decode()
    assert 'type = "model"\ndescription = "Best"\nremote = "far"\nlabels = ["good"]' in pointer
    assert 'framework = "torch"' in pointer and 'type = "data"' in made.read("sub/said.bin.vstore").decode()
    assert made.git("show", "vstore/main:sub/model.bin.vstore") == pointer.rstrip("\n")


def test_where_data_may_go(made: HandMade) -> None:
    """What DVC pushed to another remote than usual is not pushed to ours by mistake; of the rest one is told."""
    made.write(".dvc/config", b"[core]\nremote = usual\n")
    for name, more in (("far", "remote: far"), ("near", "remote: usual"), ("secret", "push: false")):
        made.point(made.keep(name.encode()), name, more=f"  {more}\n")
    outcome = made.ok("migrate", "dvc")
    assert "far will be pushed to a remote called 'far' alone" in outcome.stderr
    assert "not to push secret, but vstore push will" in outcome.stderr
    assert 'remote = "far"' in made.read("far.vstore").decode() and b"remote" not in made.read("near.vstore")
    made.add_remote()
    assert "no remote named 'far'" in made.run("push").stderr


def test_dry_run_foresees(made: HandMade) -> None:
    """--dry-run names what cannot be tracked for its name, and what --remove would delete."""
    made.point(made.keep_list([{"md5": made.keep(b"1"), "relpath": "a\\b"}]), "data")
    made.point(made.keep(b"1"), "x")
    planned = made.migrate(3, "--dry-run", "--remove")
    assert "Would be deleted: 1 .dvc file." in made.run("migrate", "dvc", "--dry-run", "--remove").stdout
    assert made.has("x.dvc")
    done = made.migrate(3, "--remove")
    assert planned["refused"] == done["refused"] and done["refused"][0][0] == "data"
    assert planned["removed"] == done["removed"] == ["x.dvc"] and planned["left"] == done["left"] == 1


def test_without_git(tmp_path: Path) -> None:
    """What DVC tracked without git is tracked so, once there is a repository; others inside are not entered."""
    made = HandMade(tmp_path)
    made.point(made.keep(b"1"), "x", "sub/x")
    made.write("inner/.git/config", b"")
    made.point(md5(b"2"), "inner/y")
    made.ok("init", "--no-git")
    result = made.migrate(0, "--remove")
    assert [moved["path"] for moved in result["artifacts"]] == ["sub/x"] and not made.has("sub/x.dvc")
    assert made.has("inner/y.dvc") and "git rm" not in made.ok("migrate", "dvc").stdout
    assert Project(tmp_path).run("migrate", "dvc", "--all-commits").exit_code == 10


def test_the_last_command(made: HandMade) -> None:
    """When all has moved one is told what removes DVC, wherever its projects are."""
    made.write("sub/.dvc/config", b"")
    made.point(made.keep(b"1"), "x")
    outcome = made.ok("migrate", "dvc", "--remove")
    assert "git rm -rq --ignore-unmatch .dvc sub/.dvc && rm -rf .dvc sub/.dvc\n" in outcome.stdout


@pytest.mark.parametrize("has_git", [True, False])
def test_the_last_command_names_nothing_else(git_repo: Path, has_git: bool) -> None:
    """What is only called much like a file of DVC's is the user's, and so is the directory in which it lies."""
    if not has_git:
        shutil.rmtree(git_repo / ".git")
    made = HandMade(git_repo)
    made.ok("init", *([] if has_git else ["--no-git"]))
    made.point(made.keep(b"1"), "x")
    for path in ("one/mydvc.yaml", "two/my.dvcignore", "three/.dvc", "four/my.dvc/config", "five/mydvc.lock"):
        made.write(path)
    assert made.migrate(0, "--remove")["settings"] == [".dvc"]
