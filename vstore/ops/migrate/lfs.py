"""``migrate lfs``: files that git-lfs keeps become artifacts, and leave git."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

from vstore.durable import flush_directory, os_errors, write_atomic
from vstore.errors import InvalidError
from vstore.git import GitRepo
from vstore.git.program import run_git
from vstore.objects.names import RelPath
from vstore.objects.tree import EXECUTABLE, FILE, Entry, Tree
from vstore.ops.migrate.foreign import ForeignArtifact, ForeignFile, ForeignName
from vstore.ops.migrate.history import migrate_history
from vstore.ops.migrate.lfs_files import (
    MAX_POINTER_BYTES,
    find_macros,
    parse_lfs_pointer,
    with_exceptions,
    without_lfs,
)
from vstore.ops.migrate.lfs_history import LfsHistory
from vstore.ops.migrate.lfs_survey import Survey, fetch, find_store, group, survey_index
from vstore.ops.migrate.moving import Mover, choose_paths, is_chosen
from vstore.ops.migrate.places import FilePlace, Place
from vstore.ops.migrate.result import KEPT, How, MigrateResult
from vstore.ops.migrate.takeover import Taken, find_obstacle, write_files
from vstore.ops.resolve import get_git
from vstore.ops.transfer import Scope
from vstore.repo import Repo

_ATTRIBUTES = ".gitattributes"


def migrate_lfs(
    repo: Repo,
    paths: Sequence[str | Path] = (),
    *,
    as_tree: Sequence[str | Path] = (),
    scope: Scope = Scope(),  # noqa: B008  frozen
    how: How = How(),  # noqa: B008
) -> MigrateResult:
    """Track the files that git-lfs keeps at or below ``paths`` (everywhere, if none), as git's index has them.

    Each becomes an artifact, those below a directory ``as_tree`` together one.  They leave the index, but not the work
    tree; where only pointers of git-lfs are there, the contents take their place.  Contents come from the store of
    git-lfs, the work tree or, where git-lfs is installed, from its remote, and are proven by their SHA-256.  What
    hands files to git-lfs leaves ``.gitattributes`` when no such file is left.
    A ``scope`` of many commits is written anew, in branches and tags below ``vstore/``; index and work tree stay.
    After a crash the same call goes on.  Raises NotTrackedError, InvalidError, ConflictError, GitFailedError.
    """
    git = get_git(repo)
    if scope.is_history and as_tree:
        raise InvalidError("in old versions each file becomes an artifact by itself: no directory can be one tree")
    migration = _Migration(repo, git, how)
    if how.dry_run and not scope.is_history:
        return migration.plan(paths, as_tree)
    with contextlib.nullcontext() if how.dry_run else repo.writing():
        return migration.run_history(paths, scope) if scope.is_history else migration.run(paths, as_tree)


class _Migration:
    def __init__(self, repo: Repo, git: GitRepo, how: How) -> None:
        self._repo = repo
        self._git = git
        self._store = find_store(git)
        self._mover = Mover(repo, "lfs", how)
        self._survey = Survey([], [])

    def plan(self, paths: Sequence[str | Path], as_tree: Sequence[str | Path]) -> MigrateResult:
        artifacts = self._choose(paths, as_tree)
        mover = self._mover
        mover.plan(artifacts, self._find_places(artifacts), self._note_fetch)
        moving = sum(moved.files for moved in mover.result.artifacts)
        mover.left = len(self._survey.files) + len(self._survey.unmerged) - moving
        return mover.finish()

    def run(self, paths: Sequence[str | Path], as_tree: Sequence[str | Path]) -> MigrateResult:
        mover = self._mover
        artifacts = self._choose(paths, as_tree)
        brought = mover.bring(self._find_places(artifacts), self._fetch)
        able = mover.choose_whole(artifacts, brought.missing)
        self._unlock(able)
        taken = mover.take(able, brought.held)
        # Every object is durable now, so the pointers may name them.
        for each in taken:
            self._smudge(each)
        staged = mover.publish(taken, [self._store.directory])
        kept = {moved.path for moved in mover.result.artifacts if moved.change == KEPT}
        moving = [each.artifact for each in taken if each.artifact.path not in kept]
        leaving = [_join(artifact, file) for artifact in moving for file in artifact.files or ()]
        mover.left = len(self._survey.files) - len(leaving) + len(self._survey.unmerged)
        if leaving:
            self._leave_git(leaving, staged, is_last=mover.left == 0)
        return mover.finish()

    def run_history(self, paths: Sequence[str | Path], scope: Scope) -> MigrateResult:
        mover = self._mover
        chosen = [self._repo.relative(path) for path in paths] or None
        commits = migrate_history(self._git, mover, scope, lambda tips: LfsHistory(mover, self._store, tips, chosen))
        return mover.finish(commits=commits)

    # which artifacts

    def _choose(self, paths: Sequence[str | Path], as_tree: Sequence[str | Path]) -> list[ForeignArtifact]:
        self._survey = survey_index(self._repo.work_tree)
        directories = [self._repo.relative(named) for named in as_tree]
        if "" in directories:
            raise InvalidError("the whole repository cannot be one tree: it holds the pointers", path="")
        artifacts = group(self._survey.files, directories)
        chosen = choose_paths(self._repo, artifacts, paths)
        leaving = {file.path for file in self._survey.files}
        refused = self._mover.result.refused
        refused.extend((path, "is in conflict in git") for path in self._survey.unmerged if is_chosen(path, chosen))
        good = []
        for artifact in artifacts:
            if not is_chosen(artifact.path, chosen):
                continue
            obstacle = find_obstacle(self._repo, artifact.path, leaving)
            if obstacle is None:
                good.append(artifact)
            else:
                refused.append((artifact.path, obstacle))
        return good

    # contents

    def _find_places(self, artifacts: Iterable[ForeignArtifact]) -> dict[ForeignName, list[Place]]:
        places: dict[ForeignName, list[Place]] = {}
        for artifact in artifacts:
            for file in artifact.files or ():
                here = FilePlace(os.path.join(self._repo.work_tree, artifact.path, file.path))
                places.setdefault(file.name, [self._store]).append(here)
        return places

    def _note_fetch(self, missing: Iterable[ForeignName]) -> dict[ForeignName, list[Place]]:
        number = len(list(missing))
        self._repo.reporter.note(f"git-lfs would be asked to fetch {number:,} of the contents")
        return {}  # whether it can is known only when it tries

    def _fetch(self, missing: Iterable[ForeignName]) -> dict[ForeignName, list[Place]]:
        fetch(self._repo, self._git.work_tree)
        return {name: [self._store] for name in missing}

    # files

    def _smudge(self, taken: Taken) -> None:
        """Write contents where the work tree holds only their pointers of git-lfs."""
        names = {file.path: file.name for file in taken.artifact.files or ()}
        root = self._repo.work_tree / taken.artifact.path
        write = [entry for entry in _entries(taken) if _read_pointer(root / entry.path) == names.get(entry.path)]
        if write:
            write_files(self._repo, taken, write)

    def _unlock(self, artifacts: Iterable[ForeignArtifact]) -> None:
        """Make files writable that git-lfs kept read-only until somebody would lock them."""
        paths = [_join(artifact, file) for artifact in artifacts for file in artifact.files or ()]
        for path in self._with_attribute("lockable", "set", paths):
            file = self._repo.work_tree / path
            with os_errors(file, "change"):
                found = os.lstat(file) if os.path.lexists(file) else None
                if found is not None and stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
                    file.chmod(stat.S_IMODE(found.st_mode) | stat.S_IWUSR)

    # git

    def _leave_git(self, leaving: Sequence[RelPath], staged: list[RelPath], *, is_last: bool) -> None:
        """Take files out of the index, and put in their pointers instead; the files of the work tree stay."""
        staged += self._clean_attributes() if is_last else self._except_ours(staged)
        wait_s, on_wait = self._repo.config.lock_wait_s, self._repo.reporter.note
        self._git.stage(list(dict.fromkeys(staged)), wait_s, on_wait)
        self._git.unstage(leaving, wait_s, on_wait)

    def _clean_attributes(self) -> list[RelPath]:
        """Take out of all ``.gitattributes`` what hands files to git-lfs; returns those that changed."""
        changed = []
        macros = find_macros(_read(self._repo.work_tree / _ATTRIBUTES))
        command = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", f"*{_ATTRIBUTES}")
        for name in sorted(set(run_git(self._repo.work_tree, *command).split(b"\0"))):
            path = os.fsdecode(name)
            file = self._repo.work_tree / path
            if path.rpartition("/")[2] != _ATTRIBUTES or file.is_symlink() or not file.is_file():
                continue
            with os_errors(file, "change"):
                before = file.read_bytes()
                after = without_lfs(before, macros)
                if after == before:
                    continue
                if after:
                    write_atomic(file, after)
                else:
                    file.unlink()
                    flush_directory(file.parent)
            changed.append(path)
        return changed

    def _except_ours(self, staged: Sequence[RelPath]) -> list[RelPath]:
        """Keep our own files from git-lfs, where a pattern that has to stay takes them for data."""
        changed = []
        for directory in {path.rpartition("/")[0] for path in self._with_attribute("filter", "lfs", staged)}:
            file = self._repo.work_tree / directory / _ATTRIBUTES
            with os_errors(file, "change"):
                write_atomic(file, with_exceptions(file.read_bytes() if file.exists() else b""))
            changed.append(f"{directory}/{_ATTRIBUTES}".lstrip("/"))
        return sorted(changed)

    def _with_attribute(self, name: str, value: str, paths: Iterable[RelPath]) -> list[RelPath]:
        """Return the paths to which ``.gitattributes`` give a value."""
        asked = b"".join(os.fsencode(path) + b"\0" for path in paths)
        answers = run_git(self._repo.work_tree, "check-attr", "-z", "--stdin", name, stdin=asked).split(b"\0")
        told = zip(answers[0::3], answers[2::3], strict=False)
        return [os.fsdecode(path) for path, found in told if found == value.encode()]


def _join(artifact: ForeignArtifact, file: ForeignFile) -> RelPath:
    return f"{artifact.path}/{file.path}".rstrip("/")


def _entries(taken: Taken) -> list[Entry]:
    pointer = taken.pointer
    if taken.tree is not None:
        return [entry for entry in Tree.from_bytes(taken.tree).entries if entry.is_file]
    return [Entry("", EXECUTABLE if pointer.executable else FILE, pointer.size_bytes, pointer.digest)]


def _read_pointer(path: Path) -> ForeignName | None:
    """Return the content that a file of the work tree stands for, if it is a pointer of git-lfs."""
    return parse_lfs_pointer(_read(path, MAX_POINTER_BYTES + 1))


def _read(path: Path, most_bytes: int = -1) -> bytes:
    """Return what a file begins with, or all of it; nothing of what is no file or cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with open(descriptor, "rb") as file:
        return b"" if os.path.isdir(file.fileno()) else file.read(most_bytes)
