"""Collecting a remote: what somebody may need stays, the rest goes in steps and can be brought back."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable

import pytest

import vstore
from tests.buckets import (
    CONFLICT,
    USAGE,
    can_pull,
    collect,
    documents,
    everything,
    find_lost_commit,
    give_up,
    hook_requests,
    is_pushed,
    make_old,
    publish,
    push,
    reasons,
    refuse,
)
from tests.collecting import add_version, age, cache_of, forget_reflogs
from tests.command import git, start_vstore
from tests.ops import test_gc_scope as scope
from tests.project import Project
from tests.servers.s3 import MotoWithUsers, S3Server, make_bucket_old
from vstore.errors import NeedsUnknownError
from vstore.remote.commits import intent_to_bytes
from vstore.remote.sealed import seal


@pytest.fixture
def shared(project: Project) -> Project:
    """A project with data, pushed to its remote and to git, of which there are other clones."""
    project.add_data()
    publish(project)
    return project


# The story of a version that nobody needs.


def test_from_the_first_step_to_the_last(shared: Project) -> None:
    """A version is retired, after 14 days doomed, a day later deleted; then the bucket holds what is needed."""
    before = set(everything(shared))
    pointer = give_up(shared)
    make_old(shared)
    result = collect(shared)
    assert [version["path"] for version in result["retired"]] == ["data"] and result["trash_bytes"] > 0
    assert not is_pushed(shared, pointer) and is_pushed(shared, pointer, "trash")
    assert collect(shared)["retired"] == []
    make_old(shared, 13.9)
    waiting = collect(shared)
    assert (waiting["doomed_packs"], waiting["deleted_packs"]) == (0, 0) and waiting["next_due"] is not None
    make_old(shared, 0.2)
    doomed = collect(shared)
    assert (doomed["doomed_packs"], doomed["deleted_packs"]) == (1, 0) and not is_pushed(shared, pointer, "trash")
    assert collect(shared)["doomed_packs"] == 0
    make_old(shared, 0.9)
    assert collect(shared)["deleted_packs"] == 0
    make_old(shared, 0.2)
    deleted = collect(shared)
    assert deleted["deleted_packs"] == 1 and deleted["deleted_bytes"] > 900 and deleted["next_due"] is None
    assert {key for key in everything(shared) if not key.startswith("commits/")} == {
        key for key in before if not key.startswith("commits/")
    }
    assert collect(shared)["deleted_packs"] == 0
    assert can_pull(shared)
    shared.ok("fsck", "--remote", "--read-data")


def test_words(shared: Project) -> None:
    """People are told what stays and why, what goes, where it was, and when to come again."""
    give_up(shared)
    make_old(shared)
    planned = shared.ok("gc", "--remote", "--dry-run").stdout
    assert "would be retired  needed by nothing known here" in planned and "Next:" not in planned
    done = shared.ok("gc", "--remote").stdout
    assert "kept     files here and indexes        2 versions" in done
    assert "kept     the trash" in done
    assert "Retired:\n    data  xxh128:" in done
    assert "Next: vstore gc --remote store, after 20" in done
    assert "Nothing to remove from store" in shared.ok("gc", "--remote", "store").stdout
    assert shared.ok("-q", "gc", "--remote").stdout == ""
    status = shared.ok("gc", "--remote", "--status").stdout
    assert "retired  1 version" in status and "kept by the trash alone." in status
    make_old(shared, 15)
    assert "doomed  named by nothing" in shared.ok("gc", "--remote").stdout
    status = shared.ok("gc", "--status").stdout
    assert "doomed  packs/" in status and "may go after" in status and "1 pack doomed" in status
    make_old(shared, 2)
    done = shared.ok("gc", "--remote").stdout
    assert "deleted  doomed a day ago" in done and "freed at store" in done


def test_dry_run_changes_nothing(shared: Project) -> None:
    """A dry run tells what a collection would do, at each step, and touches nothing."""
    give_up(shared)
    for days in (40, 15, 2, 0):
        make_old(shared, days)
        before = everything(shared)
        planned = collect(shared, "--dry-run")
        assert everything(shared) == before
        done = collect(shared)
        assert planned.pop("dry_run") and not done.pop("dry_run")
        due = planned.pop("next_due"), done.pop("next_due")
        assert due[0] == due[1] or (due[0] or "")[:15] == (due[1] or "")[:15]
        assert planned == done


def test_dry_run_tells_what_compaction_would_do(shared: Project) -> None:
    """A dry run says how many packs would be written anew, what that takes and saves; then that is done."""
    shared.ok("remote", "set", "store", "compact", "false")
    for number in range(4):
        add_version(shared, number)
        shared.write("data/a", b"%d " % number * 5000)
        shared.ok("add", "-q", "data")
        shared.commit(f"version {number}")
        shared.ok("push", "-q")
    shared.git("push", "--quiet", "origin", "main")
    before = everything(shared)
    told = shared.ok("gc", "--remote", "--dry-run").stdout
    planned = collect(shared, "--dry-run")
    assert everything(shared) == before
    done = collect(shared)
    assert planned["compacted_packs"] == done["compacted_packs"] >= 4
    assert planned["written_packs"] == done["written_packs"] == 1
    for key in ("compacted_bytes", "read_bytes"):
        assert planned[key] == done[key] > 0
    assert abs(planned["written_bytes"] - done["written_bytes"]) < 0.1 * done["written_bytes"]
    assert f"{done['compacted_packs']} packs of " in told and " would be compacted into about 1 pack of " in told
    assert " would be read at most, of what is not in the cache." in told
    assert "compacted" not in shared.ok("gc", "--remote", "--dry-run").stdout
    status = shared.ok("gc", "--status", "--json").json()
    assert status["replaced"] >= 4 and status["replaced_bytes"] > 0 and status["trash"] == []
    told = shared.ok("gc", "--status").stdout
    assert f"merged  {status['replaced']} commits into others, which name the same versions; keep " in told


def test_who_may_only_read_can_look(shared: Project) -> None:
    """A dry run and the status need no permission to write; a collection says that it does."""
    give_up(shared)
    make_old(shared)
    shared.ok("remote", "set", "store", "read_only", "true")
    assert len(collect(shared, "--dry-run")["retired"]) == 1
    assert shared.ok("gc", "--status", "--json").json()["packs"] == 2
    refused = refuse(shared)
    assert refused.exit_code == 14 and "read-only" in refused.stderr


# What stays.


@pytest.mark.parametrize(
    ("keep", "reason"),
    [
        (scope.in_branch, "branch"),
        (scope.in_annotated_tag, "tag"),
        (scope.in_remote_branch, "remote-branch"),
        (scope.in_older_stash, "stash"),
        (scope.in_note, "ref"),
        (scope.in_todo, "operation"),
        (scope.in_reflog, "reflog"),
        (scope.in_index_of_worktree, "work-tree"),
        (scope.in_ignored_file, "work-tree"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_git_keeps_here_stays(
    project: Project, keep: Callable[[Project, str], Callable[[], object]], reason: str
) -> None:
    """A version stays as long as anything here leads to its pointer, with the reason, and goes with it."""
    project.add_remote()
    pointer = add_version(project, 1)
    project.commit("one")
    project.ok("push", "-q")
    add_version(project, 2)
    project.commit("two")
    project.ok("push", "-q")
    undo = keep(project, scope.drop_history(project))
    make_old(project)
    assert reasons(collect(project)).get(reason, 0) >= 1
    assert is_pushed(project, pointer)
    undo()
    assert [version["path"] for version in collect(project)["retired"]] == ["data"]
    assert not is_pushed(project, pointer) and is_pushed(project, project.read("data.vstore"))


def test_what_a_git_remote_has_stays(shared: Project) -> None:
    """What any ref of a git remote leads to stays, though nothing here knows of it, and goes when that is gone."""
    pointer = give_up(shared)
    make_old(shared)
    other = shared.clone("other")
    side = find_lost_commit(shared)
    shared.git("push", "--quiet", "origin", f"{side}:refs/pull/7/head")
    assert reasons(collect(shared))["git-remote"] == 1
    assert is_pushed(shared, pointer)
    shared.git("push", "--quiet", "origin", "--delete", "refs/pull/7/head")
    assert len(collect(shared)["retired"]) == 1
    assert other.has("data.vstore")


def test_what_was_pushed_not_long_ago_stays(shared: Project) -> None:
    """Within the retention everything stays; it is the setting's, or what is asked for, by the store's dates."""
    pointer = give_up(shared)
    make_old(shared, 29.9)
    assert reasons(collect(shared))["young"] == 1
    make_old(shared, 0.2)
    assert len(collect(shared, "--dry-run")["retired"]) == 1
    assert reasons(collect(shared, "--keep-newer-than", "5w"))["young"] == 1
    shared.ok("remote", "set", "store", "retention_days", "31")
    assert reasons(collect(shared))["young"] == 1
    assert len(collect(shared, "--keep-newer-than", "30d", "--dry-run")["retired"]) == 1
    assert is_pushed(shared, pointer)
    make_old(shared, 1)
    collect(shared)
    assert not is_pushed(shared, pointer)


def test_what_is_asked_for_stays(shared: Project) -> None:
    """A revision that is named stays, reachable or not."""
    pointer = give_up(shared)
    side = find_lost_commit(shared)
    make_old(shared)
    assert reasons(collect(shared, "--keep-rev", side))["keep-rev"] == 1
    assert is_pushed(shared, pointer)
    assert shared.run("gc", "--remote", "--keep-rev", "nothing").exit_code == 1
    collect(shared)
    assert not is_pushed(shared, pointer)


def test_whose_git_commit_is_not_known_here_stays(shared: Project) -> None:
    """What a colleague pushed, and never committed to git where we see it, stays at any age, and is listed."""
    bob = shared.clone("bob")
    bob.git("checkout", "--quiet", "-b", "bobs")
    pointer = add_version(bob, 7)
    bob.commit("bob's own")
    bob.ok("push", "-q")
    make_old(shared, 4000)
    result = collect(shared)
    assert [version["path"] for version in result["unknown"]] == ["data"] and result["retired"] == []
    assert "Not known here:\n    data" in shared.ok("gc", "--remote").stdout
    assert is_pushed(shared, pointer)
    # Once his commit is there, it is needed; once his branch is gone again, nobody needs it.
    bob.git("push", "--quiet", shared.path.parent / "origin.git", "bobs")
    known = collect(shared)
    assert known["unknown"] == [] and reasons(known)["git-remote"] == 1
    git("branch", "-D", "bobs", cwd=shared.path.parent / "origin.git")
    assert len(collect(shared)["retired"]) == 1


def test_merged_commits_keep_what_protects(shared: Project) -> None:
    """A version that was pushed for several git commits stays for one that is not known, whoever merged them."""
    pointer = give_up(shared)
    path, found = next((path, found) for path, found in documents(shared).items() if is_of(found, pointer))
    del found["checksum"], found["version"]
    (root,) = (each for each in found["roots"] if each["digest"].encode() in pointer)
    root |= {"author": "bob@host", "git_commits": ["f" * 40], "pushed": 1_700_000_000}
    path.write_bytes(seal(found))
    make_old(shared)
    [version] = collect(shared)["unknown"]
    assert (version["git_commit"], version["author"], version["pushed"][:4]) == ("f" * 40, "bob@host", "2023")
    root["git_commits"] = []
    path.write_bytes(seal(found))
    make_old(shared)
    [version] = collect(shared)["retired"]
    assert version["git_commit"] == root["git_commit"] != "f" * 40


def test_unknown_commits_are_retired_only_when_that_was_said(shared: Project) -> None:
    """Without a terminal it takes --force; what is young, or still being pushed, stays even then."""
    bob = shared.clone("bob")
    pointers = []
    for number in (7, 8):
        pointers.append(add_version(bob, number))
        bob.commit("bob's own")
        bob.ok("push", "-q")
        make_old(shared, 20)
    refused = refuse(shared, "--retire-unknown")
    assert refused.exit_code == USAGE and "--dry-run" in refused.stderr
    assert refuse(shared, "--retire-unknown", "--json").exit_code == USAGE
    planned = collect(shared, "--retire-unknown", "--dry-run")
    assert (len(planned["retired_unknown"]), len(planned["unknown"]), planned["retired"]) == (1, 1, [])
    assert all(is_pushed(shared, pointer) for pointer in pointers)
    assert "would be retired  git commits that are not" in shared.ok("gc", "-r", "--retire-unknown", "-n").stdout
    [version] = planned["retired_unknown"]
    other = vstore.gc_remote(directory=shared.path, retire_unknown=["xxh128:" + "0" * 32], dry_run=True)
    assert other.retired_unknown == [] and len(other.unknown) == 2
    done = vstore.gc_remote(directory=shared.path, retire_unknown=[version["digest"]])
    assert [version.path for version in done.retired_unknown] == ["data"]
    assert [is_pushed(shared, pointer) for pointer in pointers] == [False, True]
    make_old(shared, 20)
    assert len(collect(shared, "--retire-unknown", "--force")["retired_unknown"]) == 1


def test_a_question_on_a_terminal(shared: Project) -> None:
    """On a terminal what nobody here knows is listed, and retired only if the answer is yes."""
    bob = shared.clone("bob")
    pointer = add_version(bob, 7)
    bob.commit("bob's own")
    bob.ok("push", "-q")
    make_old(shared)
    for answer, stays in ((b"n\n", True), (b"y\n", False)):
        terminal, stdin = os.openpty()
        process = start_vstore("gc", "--remote", "--retire-unknown", cwd=shared.path, stdin=stdin)
        os.write(terminal, answer)
        stdout, stderr = process.communicate(timeout=120)
        os.close(terminal)
        os.close(stdin)
        assert process.returncode == 0
        assert b"    data  xxh128:" in stderr and b"of 1 version are not known here.  Retire them?" in stderr
        assert is_pushed(shared, pointer) is stays
        assert (b"retired" in stdout) is not stays


def test_what_was_pushed_without_a_commit_stays(shared: Project) -> None:
    """What was pushed for no git commit at all is nobody's that we could know."""
    shared.git("checkout", "--quiet", "--orphan", "empty")
    shared.git("update-ref", "-d", "refs/heads/empty")
    pointer = add_version(shared, 3)
    shared.ok("push", "-q")
    shared.git("checkout", "--quiet", "--force", "main")
    make_old(shared)
    assert [version["git_commit"] for version in collect(shared)["unknown"]] == [None]
    assert is_pushed(shared, pointer)


def test_what_belongs_to_another_remote_stays_as_well(shared: Project) -> None:
    """A pointer that names another remote keeps the copy here, too."""
    with open(shared.path / "model.bin.vstore", "a") as file:
        file.write('remote = "own"\n')
    shared.git("commit", "--quiet", "--all", "--message", "own")
    make_old(shared)
    assert collect(shared)["retired"] == []
    assert is_pushed(shared, shared.read("model.bin.vstore").replace(b'remote = "own"\n', b""))


def test_a_push_under_way_keeps_what_it_wrote(shared: Project) -> None:
    """A commit whose intent is still there is left alone; when that expires, its packs are judged as all others."""
    pointer = give_up(shared)
    make_old(shared)
    [session] = [
        path.stem for path, found in documents(shared).items() if len(found["roots"]) and is_of(found, pointer)
    ]
    intents = shared.store / "intents"
    intents.mkdir(exist_ok=True)
    (intents / f"{session}.json").write_bytes(make_intent(shared, session))
    result = collect(shared)
    assert reasons(result)["intent"] == 1 and result["retired"] == []
    [running] = shared.ok("gc", "--remote", "--status", "--json").json()["pushes"]
    assert running["packs"] == 1
    make_old(shared, 7.1)
    collect(shared)
    assert len(collect(shared)["retired"]) == 1


def test_older_versions_go_by_force(shared: Project) -> None:
    """With --tips-only what only older commits name is given up, if that is said twice."""
    pointer = shared.read("data.vstore")
    add_version(shared, 2)
    shared.commit("second")
    push(shared)
    make_old(shared)
    assert collect(shared)["retired"] == []
    assert refuse(shared, "--tips-only").exit_code == USAGE
    assert len(collect(shared, "--tips-only", "--dry-run")["retired"]) == 1
    assert is_pushed(shared, pointer)
    collect(shared, "--tips-only", "--force")
    assert not is_pushed(shared, pointer) and is_pushed(shared, shared.read("data.vstore"))
    assert can_pull(shared)


# Where it is not sure what is needed.


def test_repositories_that_see_only_a_part(shared: Project) -> None:
    """Shallow clones, those of one branch, unreachable git remotes and work trees without git are refused."""
    give_up(shared)
    make_old(shared)
    origin = f"file://{shared.path.parent / 'origin.git'}"
    for options, words, hint in (
        (["--depth=1", "--no-single-branch"], "is a shallow clone", "git fetch --unshallow"),
        (["--single-branch"], "follows only a part of the branches of origin", "git remote set-branches origin '*'"),
    ):
        path = shared.path.parent / options[0].strip("-")
        git("clone", "--quiet", "--branch", "main", *options, origin, path, cwd=shared.path.parent)
        refused = Project(path).run("gc", "--remote")
        assert refused.exit_code == CONFLICT and words in refused.stderr and hint in refused.stderr
    shared.git("remote", "add", "fork", f"{origin}-gone")
    refused = refuse(shared)
    assert refused.exit_code == CONFLICT and "the git remote fork cannot be fetched from" in refused.stderr
    assert "Hint: see what git itself says with `git ls-remote fork`" in refused.stderr
    with pytest.raises(NeedsUnknownError) as caught:
        vstore.gc_remote(directory=shared.path)
    assert caught.value.fields["refusal"] == "unfetchable"
    shared.git("remote", "remove", "fork")
    plain = Project(shared.path.parent / "plain")
    plain.path.mkdir()
    plain.ok("init", "--no-git")
    plain.ok("remote", "add", "-d", "store", shared.store)
    refused = plain.run("gc", "--remote")
    assert (
        refused.exit_code == CONFLICT
        and "is not in git" in refused.stderr
        and "Hint: collect from a clone" in refused.stderr
    )
    assert len(collect(shared, "--dry-run")["retired"]) == 1


def test_partial_clone(shared: Project) -> None:
    """A clone that lacks pointers gets them, and collects as any other; where it cannot get them, it is refused."""
    pointer = give_up(shared)
    lost = find_lost_commit(shared)
    make_old(shared)
    origin = shared.path.parent / "origin.git"
    for key in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
        git("config", key, "true", cwd=origin)
    path = shared.path.parent / "partial"
    git("clone", "--quiet", "--filter=blob:none", f"file://{origin}", path, cwd=shared.path.parent)
    partial = Project(path)
    assert [version["git_commit"] for version in collect(partial)["unknown"]] == [lost]
    partial.git("remote", "set-url", "origin", f"file://{origin}-gone")
    refuse(partial)
    assert is_pushed(shared, pointer)


def newer(data: bytes) -> bytes:
    """A document of a version that only a newer vstore knows."""
    return seal({"version": 9}).replace(b'"version":1', b'"version":9')


DAMAGE = {"damaged": lambda data: data[:-9], "newer": newer}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("folder", ["commits", "trash", "intents", "commits of another project"])
def test_what_cannot_be_read_stops_everything(shared: Project, folder: str, damage: str) -> None:
    """A single commit, trash entry or intent that cannot be read stops a collection, unless it is named."""
    pointer = give_up(shared)
    make_old(shared)
    owner = shared.ok("config", "get", "core.project").stdout.strip()
    if folder == "trash":
        collect(shared)
        path = next(iter(documents(shared, "trash")))
    else:
        session = "ab" * 16
        path = shared.store / f"{folder.split()[0]}/{'' if folder == 'intents' else owner + '/'}{session}.json"
        if "another" in folder:
            path = shared.store / f"commits/another/{session}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(next(iter(documents(shared))).read_bytes())
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    key = path.relative_to(shared.store).as_posix()
    refused = refuse(shared)
    assert refused.exit_code == CONFLICT and key in refused.stderr
    assert (
        f"Hint: see to it that it can be read, or do without: `vstore gc --remote store --forget {key}`"
        in refused.stderr
    )
    mistyped = refuse(shared, "--forget", f"{key}n")
    assert mistyped.exit_code == 1 and f"nothing at {shared.store} is called {key}n" in mistyped.stderr
    assert f"Hint: perhaps what is meant is in `--forget {key}`\n" in mistyped.stderr
    forgotten = collect(shared, "--forget", key)
    assert len(forgotten["retired"]) == (folder != "trash") and not is_pushed(shared, pointer, "commits")


def test_format_that_cannot_be_read(shared: Project) -> None:
    """A remote that may be of a newer version is left alone."""
    give_up(shared)
    make_old(shared)
    path = shared.store / "format.json"
    for data in (newer(b""), b"{}"):
        path.write_bytes(data)
        assert refuse(shared).exit_code == 13
    path.unlink()
    refused = refuse(shared)
    assert refused.exit_code == 13
    assert "Hint: write it anew with `vstore fsck --remote store --repair`" in refused.stderr
    shared.ok("fsck", "--remote", "store", "--repair")
    assert len(collect(shared)["retired"]) == 1


def test_several_objects_that_cannot_be_read(shared: Project) -> None:
    """What is told to forget names them all, once each, and asks for nothing but what was asked for."""
    keys = [f"intents/{digit * 32}.json" for digit in "ab"]
    for key in keys:
        shared.write(shared.store / key, b"nonsense")
    options = " ".join(f"--forget {key}" for key in keys)
    for verb in ("", " --status", " --undo"):
        refused = shared.run("gc", "--remote", *verb.split())
        assert refused.exit_code == CONFLICT and f"  {keys[0]}: is damaged" in refused.stderr
        command = f"vstore gc --remote store{verb} {options}"
        assert f"Hint: see to it that each of them can be read, or do without: `{command}`" in refused.stderr
        shared.ok(*command.split()[1:])


def test_what_is_to_be_forgotten_and_is_not_there(shared: Project) -> None:
    """A mistyped key is an error that names the closest, also where everything can be read."""
    key = next(iter(documents(shared))).relative_to(shared.store).as_posix()
    for verb in ("", " --status", " --undo"):
        refused = shared.run("gc", "--remote", *verb.split(), "--forget", key.replace("commits/", "comits/"))
        assert (
            refused.exit_code == 1 and "is called comits/" in refused.stderr and f"`--forget {key}`" in refused.stderr
        )
    shared.ok("gc", "--remote", "--forget", "0" * 40)  # a blob, or a list of files


def test_pointer_that_cannot_be_read(shared: Project) -> None:
    """A pointer that cannot be read stops a collection, wherever it is, unless it is named."""
    give_up(shared)
    make_old(shared)
    other = shared.clone("other")
    other.write("strange.vstore", b"version = 9\n")
    other.git("add", ".")
    other.commit("strange")
    other.git("push", "--quiet", shared.path.parent / "origin.git", "HEAD:refs/heads/other")
    refused = refuse(shared)
    assert refused.exit_code == CONFLICT and "strange.vstore" in refused.stderr
    blob = other.git("rev-parse", "HEAD:strange.vstore")
    assert f"`vstore gc --remote store --forget {blob}`" in refused.stderr
    assert len(collect(shared, "--forget", blob)["retired"]) == 1


def test_lost_git_objects(shared: Project) -> None:
    """Where git lacks a commit that it should have, nothing is removed."""
    give_up(shared)
    make_old(shared)
    oid = shared.git("rev-parse", "HEAD~")
    (shared.path / ".git/objects" / oid[:2] / oid[2:]).unlink()
    refuse(shared)


# One bucket, many projects.


def test_projects_do_each_other_no_harm(shared: Project) -> None:
    """Two projects in one bucket retire only what is their own, and keep each other's packs, whoever collects."""
    place = shared.path.parent / "neighbour"
    place.mkdir()
    git("init", "--quiet", place, cwd=place)
    neighbour = Project(place)
    neighbour.ok("init")
    neighbour.ok("remote", "add", "-d", "store", shared.store)
    theirs = add_version(neighbour, 5)
    neighbour.git("add", ".")
    neighbour.commit()
    neighbour.ok("push")
    lost = [give_up(shared), give_up(neighbour)]
    make_old(shared)
    assert len(collect(shared)["retired"]) == 1
    assert [is_pushed(shared, pointer) for pointer in lost] == [False, True]
    assert {kept["reason"] for kept in collect(shared)["kept"]} >= {"other-project", "trash"}
    for days in (0, 15, 2, 15, 2):
        make_old(shared, days)
        for project in (shared, neighbour):
            collect(project)
    assert not any(is_pushed(shared, pointer, folder) for pointer in lost for folder in ("commits", "trash"))
    assert can_pull(shared) and can_pull(neighbour, name="fresh-neighbour") and is_pushed(neighbour, theirs)
    assert len(list((shared.store / "packs").iterdir())) == 2


def test_no_git_remote(project: Project) -> None:
    """A repository without a git remote is the only one that there can be, and may be collected for."""
    project.add_remote()
    project.add_data()
    project.ok("push")
    give_up(project)
    make_old(project)
    result = collect(project)
    assert len(result["retired"]) == 1 and result["git_remotes"] == []
    assert "No git remote was asked" in project.ok("gc", "--remote").stdout


def test_nothing_was_ever_pushed(project: Project) -> None:
    """An empty remote, or one that does not exist yet, has nothing to collect."""
    project.add_remote()
    assert collect(project)["kept"] == []
    assert project.ok("gc", "--status", "--json").json()["doomed"] == []
    assert "Nothing to bring back" in project.ok("gc", "--undo").stdout


def test_options_that_make_no_sense(shared: Project) -> None:
    """What would be ignored is refused."""
    for args in (
        ["data"],
        ["--remote", "store", "data"],
        ["--retire-unknown"],
        ["--status", "--undo"],
        ["--status", "--remote", "--tips-only"],
        ["--undo", "--keep-newer-than", "3d"],
        ["--pushed", "--status"],
    ):
        assert shared.run("gc", *args).exit_code == USAGE
    assert shared.run("gc", "--remote", "nowhere").exit_code == 1
    age(cache_of(shared))
    assert shared.ok("gc", "--pushed", "--remote", "store", "--json").json()["removed"]


def test_clones_that_share_a_cache_are_asked_as_well(shared: Project) -> None:
    """What a pointer names that another clone on this machine has never committed stays; so does all, if it is gone."""
    cache = shared.path.parent / "cache"
    bob = shared.clone("bob")
    for project in (shared, bob):
        project.ok("config", "set", "--local", "cache.dir", cache)
    shared.ok("fetch")
    pointer = add_version(bob, 7)
    bob.ok("push", "-q")  # for the commit that both know
    make_old(shared)
    assert collect(shared)["retired"] == [] and is_pushed(shared, pointer)
    bob.path.rename(shared.path.parent / "away")
    refused = refuse(shared)
    assert f"do without its needs: `vstore gc --remote store --forget-repo {bob.path}`" in refused.stderr
    assert len(collect(shared, "--forget-repo", str(bob.path))["retired"]) == 1


def test_what_strangers_wrote_does_no_harm_to_a_terminal(shared: Project) -> None:
    """Names that another program wrote into a commit are shown without their control characters."""
    path, found = next(iter(documents(shared).items()))
    del found["checksum"], found["version"]
    found["author"] = "eve\x1b[31m@host"
    for root in found["roots"]:
        root["git_commit"], root["path"] = "HEAD\n\x1b]0;x\x07", "../\x1b[2J"
        root["digest"] = root["digest"].replace(root["digest"][7:15], "0" * 8)
    path.write_bytes(seal(found))
    shutil.rmtree(shared.path / ".git/vstore/remotes")
    (shared.store / "packs/strange\x1b[2J").write_bytes(b"")
    make_old(shared)
    told = shared.ok("gc", "--remote").stdout
    assert "git commits that are not known here" in told and "\x1b" not in told and "eve" in told
    told = shared.ok("gc", "--remote", "--retire-unknown", "--force").stdout + shared.ok("gc", "--status").stdout
    assert "\x1b" not in told and "retired" in told


# What it costs.


def test_requests(shared: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection takes at most three requests for each pack, five more and some listings, whatever there is to do."""
    for number in range(1, 13):
        give_up(shared, number)
    hooks = hook_requests(monkeypatch)
    asked: list[str] = []
    hooks["before"] = lambda operation, key: asked.append(operation + " " + key[:9])
    packs = len(list((shared.store / "packs").iterdir()))
    assert packs == 13
    told = []
    for days in (40, 15, 2, 0):
        make_old(shared, days)
        asked.clear()
        result = collect(shared)
        told.append((len(result["retired"]), result["doomed_packs"], result["deleted_packs"]))
        listings = sum(each.startswith("list") for each in asked)
        assert listings <= 20 and len(asked) <= 3 * packs + listings + 5, "\n".join(asked)
    assert told == [(12, 0, 0), (0, 12, 0), (0, 0, 12), (0, 0, 0)]
    assert len(asked) <= 20


def test_bucket(shared: Project, moto: S3Server) -> None:
    """The whole story on an S3 server, with its own dates: retired, shown, brought back, retired, doomed, deleted."""
    place = moto.new_place()
    shared.ok("remote", "add", "bucket", place.url)
    for key, value in place.options.items():
        shared.ok("remote", "set", "bucket", key, value)
    shared.git("commit", "--quiet", "--all", "--message", "bucket")
    shared.ok("push", "-q", "-r", "bucket")
    shared.git("checkout", "--quiet", "-b", "side")
    pointer = add_version(shared, 1)
    shared.commit("side")
    shared.ok("push", "-q", "-r", "bucket")
    shared.git("checkout", "--quiet", "main")
    shared.git("branch", "--quiet", "-D", "side")
    forget_reflogs(shared)
    assert reasons(collect(shared, remote="bucket"))["young"] == 1

    make_bucket_old(place, 40)
    assert len(collect(shared, remote="bucket")["retired"]) == 1
    assert len(shared.ok("gc", "--remote", "bucket", "--status", "--json").json()["trash"]) == 1
    assert shared.ok("gc", "--remote", "bucket", "--undo", "--json").json()["uploaded_bytes"] == 0
    make_bucket_old(place, 40)
    told = []
    for days in (0, 15, 2):
        make_bucket_old(place, days)
        result = collect(shared, remote="bucket")
        told.append((len(result["retired"]), result["doomed_packs"], result["deleted_packs"]))
    assert told == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    shared.ok("push", "--check", "-r", "bucket")
    shared.ok("fsck", "--remote", "bucket", "--read-data")
    assert pointer


def test_permissions(shared: Project, moto_with_users: MotoWithUsers) -> None:
    """Who may read can look; who may not delete is refused, loses nothing, and leaves nothing that is in the way."""
    place = moto_with_users.as_user("admin").new_place()
    shared.ok("remote", "add", "bucket", place.url)
    for key in ("endpoint_url", "region"):
        shared.ok("remote", "set", "bucket", key, place.options[key])
    shared.git("commit", "--quiet", "--all", "--message", "bucket")

    def become(name: str) -> None:
        for key, value in zip(("key", "secret"), moto_with_users.credentials[name], strict=True):
            shared.ok("remote", "set", "bucket", key, value)

    become("admin")
    shared.ok("push", "-q", "-r", "bucket")
    shared.git("checkout", "--quiet", "-b", "side")
    add_version(shared, 1)
    shared.commit("side")
    shared.ok("push", "-q", "-r", "bucket")
    shared.git("checkout", "--quiet", "main")
    shared.git("branch", "--quiet", "-D", "side")
    forget_reflogs(shared)
    time.sleep(1.1)  # moto dates to the second
    become("reader")
    assert len(collect(shared, "--dry-run", "--keep-newer-than", "0h", remote="bucket")["retired"]) == 1
    assert shared.ok("gc", "-r", "bucket", "--status", "--json").json()["packs"] == 2
    become("hoarder")
    refused = shared.run("gc", "--remote", "bucket", "--keep-newer-than", "0h")
    assert refused.exit_code == 14 and "could not be withdrawn" in refused.stderr
    become("admin")
    shared.ok("push", "--check", "-r", "bucket")
    time.sleep(1.1)
    assert len(collect(shared, "--keep-newer-than", "0h", remote="bucket")["retired"]) == 1
    shared.ok("push", "--check", "-r", "bucket")


def is_of(commit: object, pointer: bytes) -> bool:
    """Tell whether a commit names what a pointer names."""
    return any(root["digest"].encode() in pointer for root in commit["roots"])  # type: ignore[index]


def make_intent(project: Project, session: str) -> bytes:
    """The intent of a session that relies upon nothing."""
    owner = next(iter(documents(project).values()))["project"]
    return intent_to_bytes(session, owner, "eve@host", "2026-11-28T00:00:00+00:00", ())


def test_commits_that_were_deleted(shared: Project) -> None:
    """Packs that no commit names any more are doomed, but not without a word where git keeps what they may hold."""
    shutil.rmtree(shared.store / "commits")
    add_version(shared, 1)
    shared.commit("one more")
    shared.ok("push", "-q")
    told = shared.ok("gc", "--remote", "--dry-run").stdout
    assert "remark  versions that git keeps and no commit there names: 1; packs that are doomed may hold" in told
    assert "If it was pushed: vstore fsck --remote store --all-commits --repair\n" in told
    result = collect(shared)
    assert result["doomed_packs"] == 1 and "no commit there names" in result["remarks"][0]
    shared.ok("push", "-q", "--all-commits")
    assert not collect(shared)["remarks"]
