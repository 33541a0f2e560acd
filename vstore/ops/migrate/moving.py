"""The steps that all tools share: contents into the cache, artifacts out of them, pointers beside the files."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from vstore.cache.writer import CacheWriter, open_writer
from vstore.errors import NameRefusedError, NotTrackedError
from vstore.objects.digest import hash_bytes
from vstore.objects.names import RelPath
from vstore.objects.pointer import POINTER_SUFFIX, Pointer
from vstore.ops.migrate import intake
from vstore.ops.migrate.foreign import ForeignArtifact, ForeignName
from vstore.ops.migrate.intake import Brought, Missing, Wanted
from vstore.ops.migrate.memory import Held, Memory
from vstore.ops.migrate.result import KEPT, NEW, UNCHANGED, How, MigrateResult, MovedIn
from vstore.ops.migrate.takeover import Taken, add_ignore_rules, add_what_is_here, free_links, make_taken, remember
from vstore.ops.resolve import is_inside
from vstore.repo import Repo
from vstore.workspace.pointers import find_artifact, write_pointer

_MEMORY_FILE = "migrated"

Farther = Callable[[Iterable[ForeignName]], Wanted]
"""Returns where contents may be that are not on this machine; asked only for those."""


class Mover:
    """Moves artifacts of one tool into a repository, and keeps the account: ``result``, whose lists grow."""

    def __init__(self, repo: Repo, tool: str, how: How) -> None:
        self.repo = repo
        self.how = how
        self.result = MigrateResult(tool, [], [], [], [], dry_run=how.dry_run)
        self.left = 0
        self._new_objects = 0
        self._new_bytes = 0
        self._missed: set[tuple[RelPath, ForeignName | None]] = set()
        # Below what all work trees of a git repository share.
        self.memory = Memory(repo.shared / _MEMORY_FILE, repo.algorithm)

    def bring(self, near: Wanted, farther: Farther) -> Brought:
        """Bring contents from this machine first, and only what it lacks from elsewhere."""
        first = self._bring(near)
        if not first.missing:
            return first
        second = self._bring(farther(first.missing))
        return Brought(first.held | second.held, second.missing)

    def _bring(self, wanted: Wanted) -> Brought:
        with self.open_writer() as writer:
            return intake.bring(self.repo, wanted, self.memory, writer)

    @contextlib.contextmanager
    def open_writer(self) -> Iterator[CacheWriter]:
        """Open a writer to the cache, and account for what it adds."""
        with open_writer(self.repo.cache, self.repo.warn_of_damage) as writer:
            yield writer
            writer.commit()
            self._new_objects += writer.added
            self._new_bytes += writer.added_bytes

    def finish(self, *, commits: int = 0) -> MigrateResult:
        """Return the result, with how much the cache grew."""
        return dataclasses.replace(
            self.result,
            new_objects=self._new_objects,
            new_bytes=self._new_bytes,
            left=self.left,
            commits=commits,
        )

    def plan(self, artifacts: Sequence[ForeignArtifact], near: Wanted, farther: Farther) -> None:
        """Account for what moving artifacts would do, without reading their contents."""
        missing = intake.find_missing(near, workers=self.repo.jobs)
        missing = intake.find_missing(farther(missing), workers=self.repo.jobs) if missing else missing
        nothing = Held(hash_bytes(b"", self.repo.algorithm), 0)
        for artifact in self.choose_whole(artifacts, missing):
            try:
                make_taken(artifact, {file.name: nothing for file in artifact.files or ()}, self.repo.algorithm)
            except NameRefusedError as error:
                self.result.refused.append((artifact.path, error.message))
                continue
            change = NEW if find_artifact(self.repo.work_tree, artifact.path) is None else UNCHANGED
            files = len(artifact.files or ())
            moved = MovedIn(artifact.path, change, artifact.kind, None, 0, files, artifact.written_in)
            self.result.artifacts.append(moved)

    def choose_whole(
        self, artifacts: Sequence[ForeignArtifact], missing: Mapping[ForeignName, Missing], *, when: str = ""
    ) -> list[ForeignArtifact]:
        """Return the artifacts that can move; files that are missing are accounted for, once for each content."""
        able = []
        for artifact in artifacts:
            lacking = [file for file in artifact.files or () if file.name in missing]
            for file in lacking:
                self.note_missing(f"{artifact.path}/{file.path}".rstrip("/"), file.name, missing[file.name], when=when)
            if not lacking or (self.how.allow_missing and artifact.kind == "tree"):
                able.append(artifact)
        return able

    def note_missing(self, path: RelPath, name: ForeignName | None, missing: Missing, *, when: str = "") -> None:
        """Account for a content that could not be had, unless that was done; ``when`` is said behind the reason."""
        if (path, name) not in self._missed:
            self._missed.add((path, name))
            self.result.missing.append((path, missing.reason + when))

    def take(
        self,
        artifacts: Sequence[ForeignArtifact],
        held: Mapping[ForeignName, Held],
        add_more: Callable[[CacheWriter], object] = lambda writer: None,
    ) -> list[Taken]:
        """Return artifacts as they are recorded and lie in the work tree; their trees are durable in the cache.

        ``add_more`` adds to the same cache.  Artifacts with names that are refused are passed over.
        """
        taken = [each for artifact in artifacts if (each := self._take_one(artifact, held)) is not None]
        with self.open_writer() as writer:
            for each in taken:
                if each.tree is not None:
                    writer.add_bytes(each.tree, self.repo.algorithm)
            add_more(writer)
        return taken

    def _take_one(self, artifact: ForeignArtifact, held: Mapping[ForeignName, Held]) -> Taken | None:
        repo, path = self.repo, artifact.path
        try:
            taken = make_taken(artifact, held, repo.algorithm)
            snapshot = repo.snapshotter().take(repo.work_tree / path, path)
            return add_what_is_here(taken, snapshot, repo.algorithm)
        except NameRefusedError as error:
            self.result.refused.append((path, error.message))
            return None

    def publish(self, all_taken: Sequence[Taken], stores: Sequence[Path]) -> list[RelPath]:
        """Write pointers and ignore rules of artifacts whose contents are durable; returns what is to be staged.

        A pointer of ours that is there stays.  Files become independent of the tool's ``stores``.
        """
        staged = add_ignore_rules(self.repo, all_taken)
        return staged + [path for taken in all_taken for path in self._publish_one(taken, stores)]

    def _publish_one(self, taken: Taken, stores: Sequence[Path]) -> list[RelPath]:
        artifact, pointer = taken.artifact, taken.pointer
        there = find_artifact(self.repo.work_tree, artifact.path)
        change = NEW if there is None else KEPT
        if there is not None and isinstance(there.pointer, Pointer):
            change = UNCHANGED if there.pointer.digest == pointer.digest else KEPT
            pointer = there.pointer
        if change != KEPT:
            write_pointer(self.repo.work_tree, artifact.path, pointer)
        relinked = free_links(self.repo, taken, stores)
        if change != KEPT:
            remember(self.repo, taken)
        facts = pointer.kind, pointer.digest, pointer.size_bytes, pointer.files
        self.result.artifacts.append(MovedIn(artifact.path, change, *facts, artifact.written_in, relinked))
        return [] if change == KEPT else [artifact.path + POINTER_SUFFIX]


def choose_paths(repo: Repo, artifacts: Sequence[ForeignArtifact], paths: Sequence[str | Path]) -> list[RelPath] | None:
    """Return the paths that a user named; None for all.  Raises NotTrackedError where nothing is tracked."""
    if not paths:
        return None
    chosen = []
    for named in paths:
        path = repo.relative(named).removesuffix(".dvc")
        if path and not any(is_inside(artifact.path, [path]) for artifact in artifacts):
            raise NotTrackedError(f"the other tool tracks nothing at {named}", path=str(named))
        chosen.append(path)
    return None if "" in chosen else chosen


def is_chosen(path: RelPath, chosen: Sequence[RelPath] | None) -> bool:
    """Tell whether a path is at or below one that was named."""
    return chosen is None or is_inside(path, chosen)
