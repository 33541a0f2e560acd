"""Collecting garbage: what nobody needs goes, what is needed stays, and nothing goes where that is not sure."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import vstore
from tests.collecting import DAY_S, add_version, age, cache_of, collect, drop_history, forget_reflogs, holds
from tests.command import git
from tests.project import LARGE, Project
from vstore.objects.digest import Digest
from vstore.objects.pointer import pointer_from_bytes
from vstore.objects.tree import find_digests
from vstore.ops.liveness import iter_sides
from vstore.repo import open_repo


@pytest.fixture
def old(project: Project) -> bytes:
    """A version of ``data`` that only the commit HEAD~ has; returns its pointer."""
    pointer = add_version(project, 1)
    project.commit("one")
    add_version(project, 2)
    project.commit("two")
    return pointer


def test_what_nothing_needs_goes(project: Project, old: bytes) -> None:
    """A version that nothing keeps any more is removed, and what is needed stays."""
    drop_history(project)
    before = sum(path.stat().st_size for path in cache_of(project).rglob("*") if path.is_file())
    age(cache_of(project))
    result = project.ok("gc", "--json").json()
    assert not holds(project, old) and holds(project, project.read("data.vstore"))
    assert [(item["reason"], item["objects"]) for item in result["removed"]] == [("unused", 3)]
    after = sum(path.stat().st_size for path in cache_of(project).rglob("*") if path.is_file())
    assert len(LARGE) < before - after < len(LARGE) + 1500
    assert abs(result["freed_bytes"] - (before - after)) < 500
    project.ok("status", "--check")
    assert project.ok("gc", "--json").json()["removed"] == []


def test_conflict(project: Project, old: bytes) -> None:
    """All sides of a merge conflict stay, and a pointer in conflict stops nothing."""
    base = project.read("data.vstore")
    sides = []
    for number, branch in enumerate(("ours", "theirs"), 3):
        project.git("checkout", "--quiet", "-b", branch, "main")
        sides.append(add_version(project, number))
        project.commit(branch)
    with pytest.raises(AssertionError):
        project.git("merge", "ours")
    assert b"<<<<<<<" in project.read("data.vstore")
    for name in ("MERGE_HEAD", "ORIG_HEAD", "AUTO_MERGE"):
        (project.path / ".git" / name).unlink(missing_ok=True)
    for branch in ("ours", "main"):
        project.git("update-ref", "-d", f"refs/heads/{branch}")
    forget_reflogs(project)
    collect(project)
    assert all(holds(project, pointer) for pointer in (base, *sides))


def test_a_merge_that_is_tried_again(project: Project) -> None:
    """The list of files of a merge stays until git has written its pointer, though an old attempt left it there."""
    for name in "abc":
        project.write(f"data/{name}", name.encode())
    project.ok("add", "data")
    project.commit()
    project.git("branch", "other")
    for name, branch in (("a", "main"), ("b", "other")):
        project.git("checkout", "--quiet", branch)
        project.ok("checkout")
        project.write(f"data/{name}", b"changed")
        project.ok("add", "data")
        project.commit()
    project.ok("install")
    project.git("config", "core.hooksPath", project.path / "none")
    for attempt in range(2):
        project.git("merge", "--quiet", "--no-commit", "main")
        merged = project.read("data.vstore")
        project.git("reset", "--quiet", "--hard")
        forget_reflogs(project)
        if not attempt:
            age(cache_of(project))
    project.ok("gc")
    assert holds(project, merged)
    collect(project)
    assert not holds(project, merged)


def test_young_contents_stay(project: Project, old: bytes) -> None:
    """What was added within a day is not removed, whatever became of its pointer."""
    drop_history(project)
    result = project.ok("gc", "--json").json()
    assert holds(project, old) and result["removed"] == []
    assert [item["objects"] for item in result["kept"] if item["reason"] == "young"] == [3]
    age(cache_of(project), 0.9)
    project.ok("gc")
    assert holds(project, old)
    age(cache_of(project), 0.2)
    project.ok("gc")
    assert not holds(project, old)


def test_dry_run(project: Project, old: bytes) -> None:
    """A dry run says what would go, and why the rest stays, and touches nothing."""
    drop_history(project)
    project.git("tag", "v2")
    age(cache_of(project))
    before = sorted((path, path.stat().st_mtime_ns) for path in cache_of(project).rglob("*") if path.is_file())
    outcome = project.ok("gc", "--dry-run")
    planned = project.ok("gc", "--dry-run", "--json").json()
    after = sorted((path, path.stat().st_mtime_ns) for path in cache_of(project).rglob("*") if path.is_file())
    assert before == after and holds(project, old)
    assert "kept      files here and indexes  3 objects" in outcome.stdout
    assert "would go  needed by nothing       3 objects" in outcome.stdout and "would be freed." in outcome.stdout
    done = project.ok("gc", "--json").json()
    assert {**planned, "dry_run": False} == done


def test_reasons(project: Project) -> None:
    """Each content counts for the reason that tells most: files, branches, tags, then what only git remembers."""
    for number, place in enumerate(("tag", "stash", "reflog", "branch", "work-tree")):
        add_version(project, number)
        if place == "stash":
            project.git("stash", "--quiet")
            continue
        project.commit(place)
        if place == "tag":
            project.git("tag", "v1")
            project.git("update-ref", "refs/heads/main", project.git("commit-tree", "-m", "new", "HEAD^{tree}"))
        elif place == "reflog":
            project.git("reset", "--quiet", "--soft", "HEAD~")
            (project.path / ".git/ORIG_HEAD").unlink(missing_ok=True)
    kept = {item["reason"]: item["objects"] for item in project.ok("gc", "--json").json()["kept"]}
    assert kept == {"work-tree": 3, "branch": 6, "stash": 3, "reflog": 3}


# Links.


@pytest.mark.parametrize("link_type", ["symlink", "hardlink", "copy"])
def test_links(project: Project, link_type: str) -> None:
    """An object stays as long as a file is a symlink to it; hardlinks keep their bytes without the cache."""
    project.ok("config", "set", "cache.type", link_type)
    add_version(project, 1)
    project.git("rm", "--quiet", "--cached", "data.vstore")
    (project.path / "data.vstore").unlink()
    content = project.read("data/large")
    age(cache_of(project))
    planned = project.ok("gc", "--dry-run", "--json").json()
    assert (planned["freed_bytes"] > len(LARGE)) == (link_type == "copy")
    collect(project)
    assert project.read("data/large") == content
    linked = [item["reason"] for item in project.ok("gc", "--json").json()["kept"]]
    assert linked == (["linked"] if link_type == "symlink" else [])
    (project.path / "data/large").unlink()
    collect(project)
    assert not any(path.is_file() for path in (cache_of(project) / "objects").rglob("*"))


# Fail closed.


def refuse(project: Project, *words: str, args: tuple[str, ...] = ()) -> None:
    """Collecting refuses, naming some words, and removes nothing."""
    age(cache_of(project))
    before = {path: path.stat().st_size for path in cache_of(project).rglob("*") if path.is_file()}
    outcome = project.run("gc", *args)
    assert outcome.exit_code != 0 and outcome.stdout == ""
    for word in words:
        assert word in outcome.stderr, outcome.stderr
    assert {path: path.stat().st_size for path in cache_of(project).rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "content",
    [b"version = 2\n", b"<<<<<<< ours\nversion = 1\n", b"\xff", b"version = 1\nkind = 'file'\n", b"x" * 2_000_000],
    ids=["newer", "conflict", "binary", "short", "huge"],
)
def test_pointer_that_cannot_be_read(project: Project, old: bytes, content: bytes) -> None:
    """A pointer that cannot be read stops everything, in the files and in any commit, until it is to be forgotten."""
    drop_history(project)
    path = project.write("odd/one.vstore", content)
    refuse(project, str(path), "so nothing was removed", "vstore gc --forget")
    project.git("add", "odd")
    commit = project.commit("odd")
    project.git("rm", "--quiet", "-r", "odd")
    project.commit("gone")
    blob = project.git("rev-parse", f"{commit}:odd/one.vstore")
    refuse(project, "odd/one.vstore at ", blob, f"vstore gc --forget {blob}")
    collect(project, "--forget", blob)
    assert not holds(project, old)


def test_list_of_files_that_is_damaged(project: Project, old: bytes) -> None:
    """Where a list of files is damaged, what it names is not known, and nothing goes until it is forgotten."""
    tree = pointer_from_bytes(old, "old").digest
    add_version(project, 3)
    add_version(project, 2)  # so that something could go
    with open_repo(project.path) as repo:
        held = repo.cache.packs.find(tree)
        assert held is not None
        pack, location = held
    pack.path.chmod(0o644)
    with open(pack.path, "r+b") as file:
        file.seek(location.offset + location.record_bytes - 1)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    refuse(project, "data.vstore at ", tree, "is damaged in the cache", f"vstore gc --forget {tree}")
    refuse(project, tree, args=("--forget-missing",))
    collect(project, "--forget", tree)


def test_broken_ref(project: Project, old: bytes) -> None:
    """A ref that was torn by a crash keeps nobody knows what, so nothing goes."""
    commit = drop_history(project)
    for content in ("", "1" * 40 + "\n"):
        ref = project.path / ".git/refs/heads/torn"
        ref.write_text(content)
        refuse(project, "git failed")
        ref.unlink()
    project.git("branch", "kept", commit)
    (project.path / ".git/objects" / commit[:2] / commit[2:]).unlink()
    refuse(project, "git failed")


def test_grafts(project: Project, old: bytes) -> None:
    """A file that hides a part of the history stops everything: the data behind it is still needed."""
    path = project.path / ".git/info/grafts"
    path.write_text(project.git("rev-parse", "HEAD") + "\n")
    refuse(project, str(path))
    assert holds(project, old)


def test_unreadable_directory(project: Project, old: bytes) -> None:
    """A directory that cannot be looked into may hold pointers."""
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    path = project.write("closed/one.vstore", old)
    path.parent.chmod(0)
    try:
        refuse(project, "closed")
    finally:
        path.parent.chmod(0o755)


# What a remote holds.


def test_clone_that_never_brought_old_versions(project: Project, old: bytes) -> None:
    """A clone learns about versions that it never had only where something would go, and then by their lists alone."""
    project.add_remote()
    project.git("add", "--all")
    project.commit("remote")
    project.ok("push", "--all-commits")
    clone = project.clone()
    clone.ok("pull")
    collect(clone)
    assert not holds(clone, old)
    # An old file that another version needs is at work here, too, and would go.
    clone.write("alone", b"version 1\n")
    clone.write("other", b"nobody's\n")
    clone.ok("add", "alone", "other")
    for name in ("alone", "other"):
        clone.git("rm", "--quiet", "--cached", "--force", f"{name}.vstore")
        (clone.path / f"{name}.vstore").unlink()
    store = project.store.rename(project.store.with_name("away"))
    refuse(clone, "data.vstore at ", "does not exist")
    store.rename(project.store)
    collect(clone)
    clone.git("checkout", "--quiet", "HEAD~2")
    with open_repo(clone.path) as repo:
        digests = find_digests(repo.cache.read(pointer_from_bytes(old, "old").digest))
        assert [repo.cache.has(digest) for digest in digests] == [True, False]


def test_pushed(project: Project, old: bytes) -> None:
    """What a remote holds whole can be freed, of all versions; the rest stays, and so do lists of files and links."""
    project.ok("config", "set", "--local", "remote.store.url", project.store)
    project.store.mkdir()
    project.ok("push", "--all-commits")
    new = add_version(project, 3)
    project.commit("three")
    second = project.git("show", "HEAD~:data.vstore").encode() + b"\n"
    collect(project, "--pushed")
    assert not holds(project, old) and not holds(project, second) and holds(project, new)
    project.git("checkout", "--quiet", "HEAD~2")
    assert project.run("checkout").exit_code == 3
    project.ok("pull")
    assert project.read("data/a") == b"version 1\n"
    assert project.ok("gc", "--json").json()["removed"] == []


def test_revisions_asked_for(project: Project, old: bytes) -> None:
    """A revision that is named keeps its data, also if nothing leads to it, and if a remote holds it."""
    project.add_remote()
    project.ok("push", "--all-commits")
    commit = drop_history(project)
    collect(project, "--keep-rev", commit)
    assert holds(project, old)
    assert "revisions asked for" in project.ok("gc", "--dry-run", "--keep-rev", commit).stdout
    collect(project, "--pushed", "--keep-rev", commit)
    assert holds(project, old) and not holds(project, project.read("data.vstore"))
    collect(project)
    assert not holds(project, old)


def test_pushed_frees_what_is_at_work(project: Project) -> None:
    """The files of the work tree stay as they are, are known to be unchanged, and can be pushed and fetched again."""
    project.add_data()
    project.add_remote()
    refused = project.run("gc", "--pushed", "-r", "nowhere")
    assert refused.exit_code != 0 and "nowhere" in refused.stderr
    project.ok("push")
    age(cache_of(project))
    result = project.ok("gc", "--pushed", "--json").json()
    assert [(item["reason"], item["objects"]) for item in result["removed"]] == [("pushed", 4)]
    assert [(item["reason"], item["objects"]) for item in result["kept"]] == [("work-tree", 1)]
    assert project.read("data/large.bin") == LARGE
    project.ok("push", "--check")
    project.ok("fetch")
    assert holds(project, project.read("data.vstore"))


def test_pushed_believes_only_the_remote(project: Project) -> None:
    """A remote that lost a pack holds nothing of what needs it, whatever was pushed there."""
    project.add_data()
    project.add_remote()
    project.ok("push")
    for path in (project.store / "packs").iterdir():
        path.unlink()
    collect(project, "--pushed")
    assert holds(project, project.read("data.vstore")) and holds(project, project.read("model.bin.vstore"))


def test_pushed_to_another_remote(project: Project) -> None:
    """A pointer that belongs to one remote is not freed because another one holds it."""
    project.add_data()
    project.add_remote()
    project.ok("push")
    project.ok("remote", "add", "own", "../own")
    (project.path.parent / "own").mkdir()
    with open(project.path / "model.bin.vstore", "a") as file:
        file.write('remote = "own"\n')
    age(cache_of(project))
    project.ok("gc", "--pushed")
    assert not holds(project, project.read("data.vstore")) and holds(project, project.read("model.bin.vstore"))
    project.ok("push", "model.bin")
    project.ok("fetch")
    collect(project, "--pushed", "-r", "own")
    assert holds(project, project.read("data.vstore")) and not holds(project, project.read("model.bin.vstore"))


# Less than git keeps.


def test_tips_only(project: Project, old: bytes) -> None:
    """Older versions go where a remote holds them, or by force; tips, stashes and what is named stay."""
    pointers = [old, project.read("data.vstore")]
    for number in (3, 4, 5):
        pointers.append(add_version(project, number))
        project.commit(str(number))
    project.git("tag", "v2", "HEAD~3")
    project.git("restore", "--worktree", "--source=HEAD~2", "data.vstore")
    project.write("untracked.vstore", pointers[3])
    project.git("stash", "--quiet", "--include-untracked")
    collect(project, "--tips-only")
    assert all(holds(project, pointer) for pointer in pointers)
    kept = project.ok("gc", "--tips-only", "--json").json()["kept"]
    assert {"unpushed"} <= {item["reason"] for item in kept}
    collect(project, "--tips-only", "--force", "--keep-rev", "HEAD~4")
    assert all(holds(project, pointer) for pointer in pointers)
    collect(project, "--tips-only", "--force")
    assert [holds(project, pointer) for pointer in pointers] == [False, True, True, True, True]
    project.git("stash", "drop", "--quiet")
    project.add_remote()
    project.ok("push", "--rev", "HEAD~2")
    collect(project, "--tips-only")
    assert [holds(project, pointer) for pointer in pointers] == [False, True, False, True, True]
    collect(project)  # lists of files are still here


def test_keep_newer_than(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits that are not older than said keep their data, and so do tips, however old."""
    pointers = []
    for number, days in enumerate((100, 40, 10, 5)):
        then = f"{int(time.time() - days * DAY_S)} +0000"
        monkeypatch.setenv("GIT_COMMITTER_DATE", then)
        pointers.append(add_version(project, number))
        project.commit(str(number))
    project.git("branch", "old", "HEAD~3")
    collect(project, "--keep-newer-than", "4w", "--force")
    assert [holds(project, pointer) for pointer in pointers] == [True, False, True, True]
    collect(project, "--keep-newer-than", "1d", "--force")
    assert [holds(project, pointer) for pointer in pointers] == [True, False, False, True]


def test_options_that_make_no_sense(project: Project) -> None:
    """What would be ignored is refused."""
    for args in (
        ["--force"],
        ["-r", "x"],
        ["--tips-only", "--keep-newer-than", "3d"],
        ["--keep-newer-than", "soon"],
        ["--tips-only", "--keep-rev", "nothing"],
        ["--forget-repo", "../nowhere"],
    ):
        assert project.run("gc", *args).exit_code in (1, 2)


# Details.


def test_conflict_in_a_commit(project: Project, old: bytes) -> None:
    """Of a pointer that was committed with conflict markers each side stays, also a tree that only it names."""
    new = project.read("data.vstore")
    project.git("rm", "--quiet", "data.vstore")
    text = b"<<<<<<< ours\n" + old + b"||||||| base\n=======\n" + new + b">>>>>>> theirs\n"
    project.write("odd.vstore", text)
    collect(project)
    project.git("add", "odd.vstore")
    drop_history(project)
    collect(project)
    assert holds(project, old) and holds(project, new)
    project.write("odd.vstore", text.replace(b"files", b"phyles", 1))
    refuse(project, "odd.vstore")


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        (b"a\n", [b"a\n"]),
        (b"x = '''\n=======\n'''\n", [b"x = '''\n=======\n'''\n"]),
        (b"a\n<<<<<<< o\nb\n=======\nc\n>>>>>>> t\nd", [b"a\nb\nd", b"a\nc\nd"]),
        (
            b"<<<<<<< o\nb\n||||||| x\nm\n=======\n>>>>>>> t\nk\n<<<<<<<\r\nB\n=======\nC\n>>>>>>>",
            [b"b\nk\nB\n", b"k\nC\n", b"m\nk\n"],
        ),
    ],
)
def test_sides_of_a_conflict(text: bytes, sides: list[bytes]) -> None:
    """Each side is the text without the others, over all conflicts in it."""
    assert sorted(iter_sides(text)) == sorted(sides)


def test_leftovers(project: Project) -> None:
    """What dead commands left goes when it is a day old, but for what a fetch or, for a week, an import uses."""
    pointer = add_version(project, 1)
    needed = next(digest for digest in list_objects(project, pointer) if holds_loose(project, digest))
    cache = cache_of(project)
    useless = [
        cache / ".vstore-tmp-0123456789abcdef",
        cache / "packs/.vstore-tmp-0123456789abcdef",
        cache / "objects/.vstore-tmp-0123456789abcdef",
        cache / "repositories/.vstore-tmp-0123456789abcdef",
        cache / "partial/.vstore-tmp-0123456789abcdef",
        cache / "partial" / ("xxh128-" + "0" * 32),
        cache / "partial" / needed.replace(":", "-"),
    ]
    imports = [cache / "partial" / f"import-{'0' * 32}{end}" for end in ("", "-held")]
    strange = [cache / "README", cache / "objects/README", cache / "objects/xxh128/README", cache / "partial/README"]
    for path in (*useless, *imports, *strange):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"12345")
    project.ok("gc")
    assert all(path.exists() for path in useless)
    object_path = next(path for path in (cache / "objects").rglob("*") if path.name == needed[9:])
    age(cache)
    kept = object_path.rename(cache / "aside")
    planned = project.ok("gc", "--dry-run")
    assert "would go  left by commands that died    6 files   30 B" in planned.stdout
    project.ok("gc")
    assert [path for path in useless if path.exists()] == useless[-1:] and all(path.exists() for path in strange)
    kept.rename(object_path)
    assert project.ok("gc", "--json").json()["leftovers"] == 1
    assert not any(path.exists() for path in useless) and all(path.exists() for path in imports)
    age(cache, 7)
    assert project.ok("gc", "--json").json()["leftovers"] == 2


def list_objects(project: Project, pointer: bytes) -> list[str]:
    """What a pointer's tree names."""
    with open_repo(project.path) as repo:
        return list(find_digests(repo.cache.read(pointer_from_bytes(pointer, "pointer").digest)))


def holds_loose(project: Project, digest: str) -> bool:
    """Tell whether a content is a file of its own in the cache."""
    with open_repo(project.path) as repo:
        return repo.cache.loose_path(Digest(digest)).is_file()


def test_large_packs_wait_until_it_is_worth_it(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large pack little that is not needed is left there, and reported so."""
    monkeypatch.setattr("vstore.cache.compaction.SMALL_PACK_BYTES", 100)
    for number in range(10):
        project.write(f"many/{number}", os.urandom(1000))
    project.ok("add", "many")
    (project.path / "many/0").unlink()
    project.ok("add", "many")
    collect(project)
    kept = {item["reason"]: item["objects"] for item in project.ok("gc", "--json").json()["kept"]}
    assert kept["packed"] == 2  # the file, and the list of files before
    for number in range(1, 4):
        (project.path / f"many/{number}").unlink()
    project.ok("add", "many")
    collect(project)
    kept = {item["reason"]: item["objects"] for item in project.ok("gc", "--json").json()["kept"]}
    assert kept == {"work-tree": 7}


def test_long_ids(tmp_path: Path) -> None:
    """A repository of git's longer ids is collected like any other."""
    path = tmp_path / "long"
    git("init", "--quiet", "--object-format=sha256", path, cwd=tmp_path)
    project = Project(path)
    project.ok("init")
    pointers = [add_version(project, 1)]
    project.commit()
    pointers.append(add_version(project, 2))
    project.git("stash", "--quiet")
    pointers.append(add_version(project, 3))
    pointers.append(add_version(project, 4))
    collect(project)
    assert [holds(project, pointer) for pointer in pointers] == [True, True, False, True]


def test_from_python(project: Project, old: bytes) -> None:
    """The same is a function."""
    drop_history(project)
    age(cache_of(project))
    assert vstore.gc(directory=project.path, dry_run=True).dry_run and holds(project, old)
    result = vstore.gc(directory=project.path)
    assert [collected.objects for collected in result.removed] == [3] and not holds(project, old)


def test_leftovers_beside_the_cache(project: Project) -> None:
    """So does what they left beside settings, state and lists of imports."""
    places = [project.path / ".vstore", project.path / ".git/vstore", project.path / ".git/vstore/imports"]
    left = [place / ".vstore-tmp-0123456789abcdef" for place in places]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"12345")
    project.ok("gc")
    assert all(path.exists() for path in left)
    for path in left:
        os.utime(path, (0, 0))
    assert project.ok("gc", "--json").json()["leftovers"] == 3
    assert not any(path.exists() for path in left)
