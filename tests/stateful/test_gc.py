"""Any order of adds, commits, stashes, pushes and collections, against a slow and simple idea of what is needed.

What a pointer names that git keeps, or that lies in a work tree, is in the cache after every collection; what none
names, and is not young, is not.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.collecting import DAY_S, age, cache_of
from tests.command import git
from tests.project import LARGE, Project
from vstore.cache.cache import Cache
from vstore.cache.inventory import read_table, take_inventory
from vstore.durable import file_system_time_ns
from vstore.errors import VstoreError
from vstore.objects.digest import Digest
from vstore.objects.table import BLOB
from vstore.objects.tree import find_digests

WHERE = st.sampled_from(["first", "first", "second", "other"])
NAMES = st.sampled_from(["x", "y"])
CONTENTS = st.integers(0, 5)
_DIGEST = re.compile(r'^digest = "(\S+)"$', re.MULTILINE)


class Collections(RuleBasedStateMachine):
    """Two repositories that share a cache, one of them with a second worktree."""

    def __init__(self, place: Path, link_type: str) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(dir=place))
        self.projects = {name: Project(self.place / name) for name in ("first", "second", "other")}
        for name in ("first", "second"):
            project = self.projects[name]
            project.path.mkdir()
            project.git("init", "--quiet", "--initial-branch=main")
            project.ok("init", "--cache-dir", self.place / "cache")
            project.ok("config", "set", "cache.type", link_type)
            project.ok("remote", "add", "-d", "store", "../store")
            project.git("add", "--all")
            project.commit("init")
        self.cache = Cache(cache_of(self.projects["first"]))
        self.count = 0
        self.trees: dict[str, list[str]] = {}
        """What each tree names, remembered when it was added."""

    def teardown(self) -> None:
        """Leave no files."""
        shutil.rmtree(self.place)

    def project(self, where: str) -> Project:
        """A project; the first where the worktree is not there."""
        return self.projects[where if self.projects[where].path.exists() else "first"]

    # what people do

    @initialize(content=CONTENTS)
    def begin(self, content: int) -> None:
        """There is something to begin with."""
        self.add("first", "x", content)
        self.commit("first")

    @rule(where=WHERE, name=NAMES, content=CONTENTS)
    def add(self, where: str, name: str, content: int) -> None:
        """Add a version of an artifact: contents of several versions are partly the same."""
        project = self.project(where)
        shutil.rmtree(project.path / name, ignore_errors=True)
        for number in (content, content + 1, 17 if name == "x" else 18):
            project.write(f"{name}/{number}", b"small %d\n" % number)
            if number % 2:
                project.write(f"{name}/large-{number}", b"%d" % number + LARGE)
        project.ok("add", name)
        found = _DIGEST.search(project.read(f"{name}.vstore").decode())
        assert found is not None
        self.trees[found[1]] = [str(digest) for digest in find_digests(self.read(found[1]))]

    @rule(where=WHERE)
    def commit(self, where: str) -> None:
        """Commit what is staged."""
        project = self.project(where)
        self.count += 1
        project.git("commit", "--quiet", "--allow-empty", "--message", f"commit {self.count}")

    @rule(where=WHERE, what=st.sampled_from(["tag", "branch"]))
    def keep(self, where: str, what: str) -> None:
        """Make a branch or tag."""
        self.project(where).git(what, "--force", f"{what}-{self.count}")

    @rule(where=WHERE, which=st.integers(0, 100))
    def drop(self, where: str, which: int) -> None:
        """Delete a branch or tag."""
        project = self.project(where)
        refs = project.git("for-each-ref", "--format=%(refname)", "refs/heads/branch-*", "refs/tags").split()
        if refs:
            project.git("update-ref", "-d", refs[which % len(refs)])

    @rule(where=WHERE, which=st.integers(0, 100))
    def go_to(self, where: str, which: int) -> None:
        """Go to any commit, and lose what was not committed."""
        project = self.project(where)
        commits = project.git("rev-list", "--all", "--reflog").split()
        project.git("checkout", "--quiet", "--force", commits[which % len(commits)])

    @rule(where=WHERE)
    def go_back(self, where: str) -> None:
        """Take a commit back, or all that was changed."""
        project = self.project(where)
        parents = project.git("rev-list", "--parents", "-1", "HEAD").split()[1:]
        project.git("reset", "--quiet", "--hard", *parents[:1])

    @rule(where=WHERE, verb=st.sampled_from(["push", "push --include-untracked", "pop", "drop"]))
    def stash(self, where: str, verb: str) -> None:
        """Put changes aside, take them back, or throw them away."""
        project = self.project(where)
        if verb.startswith("push") or project.git("stash", "list"):
            if verb == "pop":
                project.git("reset", "--quiet", "--hard")
                for path in project.path.glob("[xy].vstore"):
                    if path.name in project.git("ls-files", "--others").split():
                        path.unlink()
            try:
                project.git("stash", *verb.split(), "--quiet")
            except AssertionError:
                project.git("reset", "--quiet", "--hard")  # in conflict: the stash stays

    @rule(where=WHERE, name=NAMES)
    def forget_pointer(self, where: str, name: str) -> None:
        """Let git forget a pointer that stays as a file, or delete the file that git still knows."""
        project = self.project(where)
        if project.has(f"{name}.vstore"):
            project.git("rm", "--quiet", "--cached", "--ignore-unmatch", "--force", f"{name}.vstore")
        else:
            project.git("checkout", "--quiet", "HEAD", "--", ".")

    @rule(name=NAMES, where=WHERE)
    def delete_pointer(self, name: str, where: str) -> None:
        """Delete a pointer file."""
        (self.project(where).path / f"{name}.vstore").unlink(missing_ok=True)

    @rule()
    def worktree(self) -> None:
        """Make the other worktree, or take it away."""
        first, other = self.projects["first"], self.projects["other"]
        if other.path.exists():
            first.git("worktree", "remove", "--force", "--force", other.path)
        else:
            first.git("worktree", "add", "--quiet", "--detach", other.path)

    @rule(where=WHERE, prune=st.booleans())
    def expire(self, where: str, prune: bool) -> None:
        """Let git forget, and perhaps throw away, what nothing leads to."""
        project = self.project(where)
        project.git("reflog", "expire", "--expire=now", "--all")
        for name in ("ORIG_HEAD", "AUTO_MERGE"):
            for path in (project.path.parent / where.replace("other", "first") / ".git").rglob(name):
                path.unlink()
        if prune:
            project.git("gc", "--quiet", "--prune=now")

    @rule()
    def restore(self) -> None:
        """Write files again that are gone; what the cache lacks cannot be."""
        self.projects["first"].run("checkout", "--force")

    # time passes, and somebody collects

    @rule(days=st.sampled_from([0.6, 2]))
    def wait(self, days: float) -> None:
        """Let everything grow older."""
        age(self.cache.path, days)

    @rule(where=WHERE, dry_run=st.booleans())
    def collect(self, where: str, dry_run: bool) -> None:
        """What is needed stays, all of it, and the rest goes as soon as it is old."""
        needed = {digest for project in self.projects.values() for digest in self.needed(project)}
        readable = {digest for digest in needed if self.is_readable(digest)}
        young, before = self.find_young(), self.list_held()
        linked = self.find_linked()
        self.project(where).ok("gc", *(["--dry-run"] if dry_run else []))
        assert all(map(self.is_readable, readable))
        after = self.list_held()
        assert after == (before if dry_run else before & (needed | young | linked))

    @rule(where=WHERE)
    def collect_all_but_tips(self, where: str) -> None:
        """What tips need stays, and all that other repositories need."""
        project = self.project(where)
        others = [other for other in self.projects.values() if self.is_other(other, project)]
        needed = {digest for other in others for digest in self.needed(other)}
        needed |= self.needed(project, history=False)
        readable = {digest for digest in needed if self.is_readable(digest)}
        project.ok("gc", "--tips-only", "--force")
        assert all(map(self.is_readable, readable))

    @rule(where=WHERE, pushes=st.booleans())
    def collect_what_was_pushed(self, where: str, pushes: bool) -> None:
        """What is freed the remote has, and others need none of it."""
        project = self.project(where)
        if pushes:
            project.run("push", "--all-commits")  # what older collections gave up is nowhere
        if not (self.place / "store").exists():
            return
        needed = {digest for each in self.projects.values() for digest in self.needed(each)}
        readable = {digest for digest in needed if self.is_readable(digest)}
        others = [other for other in self.projects.values() if self.is_other(other, project)]
        theirs = {digest for other in others for digest in self.needed(other)}
        project.ok("gc", "--pushed")
        lost = {digest for digest in readable if not self.is_readable(digest)}
        assert lost <= self.list_pushed() - theirs - self.find_linked()

    # the simple idea

    def is_other(self, one: Project, another: Project) -> bool:
        """Tell whether projects are different repositories."""
        return "second" in (one.path.name, another.path.name) and one is not another

    def needed(self, project: Project, *, history: bool = True) -> set[str]:
        """All that pointers name: commit by commit, file by file."""
        if not project.path.exists():
            return set()
        texts = [path.read_bytes().decode() for path in project.path.glob("[xy].vstore")]
        if history:
            commits = project.git("rev-list", "--all", "--reflog").split()
        else:
            commits = ["HEAD", *project.git("for-each-ref", "--format=%(objectname)").split()]
            if project.git("stash", "list"):
                commits += project.git("rev-list", "--walk-reflogs", "refs/stash").split()
            if project.path.name != "second" and self.projects["other"].path.exists():
                commits += [git("rev-parse", "HEAD", cwd=self.projects[name].path) for name in ("first", "other")]
                for name in ("first", "other"):
                    texts += [path.read_bytes().decode() for path in self.projects[name].path.glob("[xy].vstore")]
        for line in {line for commit in commits for line in project.git("ls-tree", "-r", commit).splitlines()}:
            if line.endswith(".vstore"):
                texts.append(project.git("cat-file", "blob", line.split()[2]))
        for line in project.git("ls-files", "--stage").splitlines():
            if line.endswith(".vstore"):
                texts.append(project.git("cat-file", "blob", line.split()[1]))
        roots = {digest for text in texts for digest in _DIGEST.findall(text)}
        return roots | {digest for root in roots for digest in self.trees[root]}

    def read(self, digest: str) -> bytes:
        """A content, as a reader that just came finds it."""
        cache = Cache(self.cache.path)
        try:
            return cache.read(Digest(digest))
        finally:
            cache.packs.close()

    def is_readable(self, digest: str) -> bool:
        """Tell whether a content comes out of the cache as it went in."""
        try:
            self.read(digest)
        except VstoreError:
            return False
        return True

    def list_held(self) -> set[str]:
        """What is in the cache."""
        inventory = take_inventory(self.cache)
        packed = (digest for pack in inventory.packs for digest in pack.table.digests(BLOB))
        return {*(held.digest for held in inventory.loose), *packed}

    def list_pushed(self) -> set[str]:
        """What packs of the remote hold, whole or as a list of chunks."""
        found: set[str] = set()
        for path in (self.place / "store/packs").glob("*.vpack"):
            with open(path, "rb") as file:
                found.update(location.digest for location in read_table(file.fileno(), path.stat().st_size).locations())
        return found

    def find_young(self) -> set[str]:
        """What was written within a day."""
        inventory = take_inventory(self.cache)
        oldest_ns = file_system_time_ns(self.place)[0] - int(DAY_S * 1e9)
        return {
            *(held.digest for held in inventory.loose if held.mtime_ns > oldest_ns),
            *(d for pack in inventory.packs if pack.mtime_ns > oldest_ns for d in pack.table.digests(BLOB)),
        }

    def find_linked(self) -> set[str]:
        """What files are symlinks to."""
        found = set()
        for project in self.projects.values():
            for above, _, names in os.walk(project.path):
                for name in names:
                    path = Path(above, name)
                    if path.is_symlink() and "objects" in str(path.readlink()):
                        *_, algorithm, first, rest = path.readlink().parts
                        found.add(f"{algorithm}:{first}{rest}")
        return found


SETTINGS = hypothesis.settings(
    max_examples=8, stateful_step_count=30, phases=[hypothesis.Phase.reuse, hypothesis.Phase.generate]
)


def test_copies(tmp_path: Path) -> None:
    """With copies, as by default."""
    run_state_machine_as_test(lambda: Collections(tmp_path, "copy"), settings=SETTINGS)


def test_symlinks(tmp_path: Path) -> None:
    """With large files as links into the cache."""
    run_state_machine_as_test(lambda: Collections(tmp_path, "symlink"), settings=SETTINGS)
