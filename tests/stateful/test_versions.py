"""Any order of changes, adds, checkouts, pushes and losses against a model in memory.

What was added and pushed comes back byte for byte; what was never saved does not go without force.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.project import Project
from vstore.cache.cache import Cache
from vstore.errors import VstoreError
from vstore.objects.digest import algorithm_of, hash_bytes
from vstore.objects.pointer import pointer_from_bytes

Files = dict[str, tuple[bool, bytes]]
"""What lies below ``data``: executable or not, and content."""

UNSAVED, PARTLY, NOWHERE, CORRUPT = 11, 3, 12, 13
PATHS = st.sampled_from(["a", "b", "d", "d/a", "d/b", "d/e", "d/e/c", "ü #1"])
CONTENTS = st.sampled_from([b"", b"1\n", b"2\n", b"3\n", b"4" * 300_000, b"5" * 300_000])


def read(root: Path) -> Files:
    """Return the files below a directory."""
    found: Files = {}
    for above, _, names in os.walk(root):
        for name in names:
            path = Path(above, name)
            found[str(path.relative_to(root))] = (bool(path.stat().st_mode & stat.S_IXUSR), path.read_bytes())
    return found


class Versions(RuleBasedStateMachine):
    """One project, its remote, and what they should hold."""

    def __init__(self, place: Path, algorithm: str, link_type: str) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(dir=place))
        (self.place / "repo").mkdir()
        self.project = Project(self.place / "repo")
        self.project.git("init", "--quiet", "--initial-branch=main")
        self.project.ok("init", "--hash", algorithm)
        self.project.ok("config", "set", "cache.type", link_type)
        self.project.store.mkdir()
        self.project.add_remote()
        self.project.commit("init")
        self.data = self.project.path / "data"
        self.tracked: Files = {}
        self.versions: dict[str, Files] = {}
        self.cached: set[str] = set()
        self.pushed: set[str] = set()

    def teardown(self) -> None:
        """Bring everything that was pushed back in a clone that never saw it."""
        clone = self.project.clone()
        for commit in sorted(self.pushed):
            clone.git("checkout", "--quiet", "--force", commit)
            clone.ok("pull", "--force")
            assert read(clone.path / "data") == self.versions[commit]
        shutil.rmtree(self.place)

    # what a user does to files

    @initialize(path=PATHS, content=CONTENTS)
    def begin(self, path: str, content: bytes) -> None:
        """There is something to begin with."""
        self.write(path, content, False)
        self.add()

    @rule(path=PATHS, content=CONTENTS, executable=st.booleans())
    def write(self, path: str, content: bytes, executable: bool) -> None:
        """Write a file, over whatever is in its way."""
        file = self.data / path
        for place in (file, *file.parents):
            if place.is_relative_to(self.data) and (place.is_symlink() or place.is_file()):
                place.unlink()
        if file.is_dir():
            shutil.rmtree(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o755 if executable else 0o644)

    @rule(path=PATHS)
    def delete(self, path: str) -> None:
        """Delete a file or directory, and directories that are left empty."""
        file = self.data / path
        if file.is_dir():
            shutil.rmtree(file)
        elif file.exists() or file.is_symlink():
            file.unlink()
        while self.data in file.parents and (file := file.parent) != self.data:
            if not file.is_dir() or any(file.iterdir()):
                break
            file.rmdir()

    # what vstore does

    @rule()
    def add(self) -> None:
        """Add and commit all there is."""
        before = read(self.data)
        if not before:
            return
        self.project.ok("add", "data")
        assert read(self.data) == before
        self.tracked = before
        self._commit()
        self.project.ok("status", "--check")

    @rule(path=PATHS)
    def add_one(self, path: str) -> None:
        """Add and commit one path."""
        before = read(self.data)
        inside = {name: file for name, file in before.items() if (name + "/").startswith(path + "/")}
        if not inside or self._head() not in self.cached:
            return
        self.project.ok("add", f"data/{path}")
        assert read(self.data) == before
        above = {path[:i] for i, character in enumerate(path) if character == "/"}
        kept = {n: f for n, f in self.tracked.items() if not (n + "/").startswith(path + "/") and n not in above}
        self.tracked = {**kept, **inside}
        self._commit()

    def _head(self) -> str:
        return self.project.git("rev-parse", "HEAD")

    def _commit(self) -> None:
        if self.project.git("diff", "--cached", "--name-only"):
            # Never the same commit twice: how many there are must not depend on the clock.
            self.project.commit(f"version {len(self.versions)}")
        self.versions[self._head()] = self.tracked
        self.cached |= {commit for commit, files in self.versions.items() if files == self.tracked}

    @rule(which=st.integers(0, 1000), force=st.booleans(), verb=st.sampled_from(["checkout", "pull"]))
    def go_to(self, which: int, force: bool, verb: str) -> None:
        """Go to any version by git."""
        commit = list(self.versions)[which % len(self.versions)]
        self.project.git("checkout", "--quiet", commit)
        self.tracked = self.versions[commit]
        self._restore(commit, [verb, "--force"] if force else [verb])

    @rule(which=st.integers(0, 1000), force=st.booleans())
    def restore_old(self, which: int, force: bool) -> None:
        """Bring back any version by name, and leave git where it is."""
        commit = list(self.versions)[which % len(self.versions)]
        self._restore(commit, ["checkout", "--rev", commit, *(["--force"] if force else [])])

    def _restore(self, commit: str, args: list[str]) -> None:
        wanted, before = self.versions[commit], read(self.data)
        outcome = self.project.run(*args)
        after = read(self.data)
        if "pull" in args and commit in self.pushed:
            self.cached.add(commit)
        if "--force" in args:
            assert commit not in self.cached or after == wanted, outcome.stderr
            return
        assert outcome.exit_code in (0, UNSAVED, PARTLY, NOWHERE), outcome.stderr
        if outcome.exit_code == 0:
            assert {name: after.get(name) for name in wanted} == wanted
        saved = {file[1] for known in self.cached | self.pushed for file in self.versions[known].values()}
        for name, file in before.items():
            assert after.get(name) == file or file[1] in saved, f"{name} was lost"
        extra = after.keys() - wanted.keys()
        assert outcome.exit_code != 0 or all(after[name] == before[name] for name in extra)

    @rule()
    def push(self) -> None:
        """Push what git's HEAD and the pointers say."""
        commit = self._head()
        if commit in self.cached | self.pushed:
            self.project.ok("push")
            self.pushed.add(commit)

    @rule()
    def lose_cache(self) -> None:
        """Lose the cache: only what was pushed is known from now on."""
        self.project.drop_cache()
        self.cached.clear()
        # Links to the cache went with it.
        for above, _, names in os.walk(self.data):
            for name in names:
                if os.path.islink(os.path.join(above, name)):
                    os.unlink(os.path.join(above, name))

    @rule(which=st.integers(0, 1000), at=st.integers(0, 10**6))
    def rot(self, which: int, at: int) -> None:
        """Let a byte of the cache turn over unseen, and have it mended: what still is good stays."""
        cache = self.project.path / ".git/vstore/cache"
        files = [path for path in cache.rglob("*") if path.is_file() and {"packs", "objects"} & set(path.parts)]
        if not files:
            return
        path = sorted(files, key=Path.read_bytes)[which % len(files)]
        before = path.stat()
        data = bytearray(path.read_bytes())
        data[at % len(data)] ^= 1
        path.chmod(0o644)
        with open(path, "r+b") as file:
            file.write(data)
        path.chmod(before.st_mode)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        good = {commit: self._good_in(commit) for commit in self.cached}
        outcome = self.project.run("fsck", "--repair")
        assert outcome.exit_code in (0, PARTLY, NOWHERE, CORRUPT), outcome.stderr
        assert all(self._good_in(commit) >= contents for commit, contents in good.items()), outcome.stdout
        self.cached = {commit for commit in self.cached if len(self._good_in(commit)) == self._needs(commit)}
        self._drop_dead_links()
        assert outcome.exit_code != 0 or self.project.run("fsck").exit_code == 0

    def _good_in(self, commit: str) -> set[str]:
        """The digests of what a version needs and the cache holds."""
        cache = Cache(self.project.path / ".git/vstore/cache")
        pointer = pointer_from_bytes(self.project.git("show", f"{commit}:data.vstore").encode(), "data.vstore")
        algorithm = algorithm_of(pointer.digest).name
        wanted = {pointer.digest, *(hash_bytes(content, algorithm) for _, content in self.versions[commit].values())}
        good = set()
        for digest in wanted:
            with contextlib.suppress(VstoreError):
                cache.read(digest)
                good.add(str(digest))
        return good

    def _needs(self, commit: str) -> int:
        return 1 + len({content for _, content in self.versions[commit].values()})

    def _drop_dead_links(self) -> None:
        for above, _, names in os.walk(self.data):
            for name in names:
                if not os.path.exists(os.path.join(above, name)):
                    os.unlink(os.path.join(above, name))

    @rule()
    def lose_state(self) -> None:
        """Lose what is remembered of the work tree."""
        (self.project.path / ".git/vstore/state.db").unlink(missing_ok=True)


# Shrinking runs hundreds of stories: twenty steps can be read as they are.
SETTINGS = hypothesis.settings(
    max_examples=10, stateful_step_count=20, phases=[hypothesis.Phase.reuse, hypothesis.Phase.generate]
)


def run(place: Path, algorithm: str, link_type: str) -> None:
    run_state_machine_as_test(lambda: Versions(place, algorithm, link_type), settings=SETTINGS)


def test_copies(tmp_path: Path) -> None:
    """With copies, as by default."""
    run(tmp_path, "xxh128", "copy")


def test_hardlinks(tmp_path: Path) -> None:
    """With large files linked to the cache, and the other hash."""
    run(tmp_path, "blake3", "hardlink")


def test_symlinks(tmp_path: Path) -> None:
    """With large files as links into the cache."""
    run(tmp_path, "xxh128", "symlink")
