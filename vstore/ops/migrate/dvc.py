"""``migrate dvc``: what DVC tracks becomes ours; nothing of DVC's is deleted unless asked."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from vstore.cache.writer import CacheWriter, open_writer
from vstore.durable import flush_directory, os_errors
from vstore.errors import CorruptError, NameRefusedError, NotTrackedError
from vstore.objects.names import RelPath
from vstore.objects.pointer import Pointer
from vstore.ops.add import stage
from vstore.ops.migrate import intake
from vstore.ops.migrate.dvc_files import MAX_LISTING_BYTES, parse_listing
from vstore.ops.migrate.dvc_survey import DvcStores, Survey, split_overlapping, survey_work_tree
from vstore.ops.migrate.foreign import ForeignArtifact, ForeignName
from vstore.ops.migrate.intake import Brought, Missing
from vstore.ops.migrate.memory import Held, Memory
from vstore.ops.migrate.places import FilePlace, Place
from vstore.ops.migrate.result import KEPT, NEW, UNCHANGED, How, MigrateResult, MovedIn
from vstore.ops.migrate.takeover import (
    Taken,
    add_what_is_here,
    find_obstacle,
    free_links,
    make_taken,
    publish,
    remember,
)
from vstore.ops.resolve import is_inside
from vstore.ops.trees import find_tree
from vstore.repo import Repo
from vstore.workspace.pointers import find_artifact

MEMORY_FILE = "migrated"
"""Below what all work trees of a git repository share: what was moved in so far."""


def migrate_dvc(
    repo: Repo,
    environ: Mapping[str, str],
    paths: Sequence[str | Path] = (),
    *,
    how: How = How(),  # noqa: B008  frozen
) -> MigrateResult:
    """Track what DVC tracks at or below ``paths`` (everywhere, if none), as its files say in the work tree.

    Contents come from DVC's cache, the work tree, or DVC's remote, and are proven by the hash that DVC recorded.
    Files stay where and as they are, unless they are links into the cache of DVC: those are replaced by ours.
    An artifact of which a content is nowhere stays with DVC, unless ``how`` allows to leave that out; the rest moves.
    After a crash the same call goes on.  Raises NotTrackedError, GitFailedError, RemoteExtraMissingError.
    """
    with DvcStores(repo, environ) as stores:
        migration = _Migration(repo, stores, how)
        if how.dry_run:
            return migration.plan(paths)
        with repo.writing():
            return migration.run(paths)


class Lister:
    """Finds out which files artifacts have, by the lists that DVC keeps of directories."""

    def __init__(self, repo: Repo, stores: DvcStores, memory: Memory) -> None:
        self._repo = repo
        self._stores = stores
        self._memory = memory
        self._known: dict[ForeignName, bytes | Missing] = {}

    def list(self, artifact: ForeignArtifact) -> ForeignArtifact | Missing:
        """Return an artifact with its files, or why they are not known."""
        name = artifact.listing
        if name is None:
            return artifact
        if name not in self._known:
            self._known[name] = self._read(name, artifact)
        data = self._known[name]
        if isinstance(data, Missing):
            return Missing(f"its list of files {data.reason}", data.is_damaged)
        try:
            return dataclasses.replace(artifact, files=parse_listing(data, name.algorithm))
        except CorruptError as error:
            return Missing(error.message, is_damaged=True)

    def _read(self, name: ForeignName, artifact: ForeignArtifact) -> bytes | Missing:
        held = self._memory.find(name)
        if held is not None and (data := find_tree(self._repo, held.digest)) is not None:
            return data
        places = self._stores.near(artifact)
        found = intake.read(name, places, limit_bytes=MAX_LISTING_BYTES)
        if isinstance(found, Missing) and (far := self._stores.far(artifact)):
            found = intake.read(name, [*places, *far], limit_bytes=MAX_LISTING_BYTES)
        return found

    def keep(self, writer: CacheWriter) -> dict[ForeignName, Held]:
        """Put the lists into the cache, for what goes on when those of DVC are gone; returns what to remember."""
        lists = {name: data for name, data in self._known.items() if isinstance(data, bytes)}
        return {name: Held(writer.add_bytes(data, self._repo.algorithm), len(data)) for name, data in lists.items()}


class _Migration:
    def __init__(self, repo: Repo, stores: DvcStores, how: How) -> None:
        self._repo = repo
        self._stores = stores
        self._how = how
        self._memory = Memory(repo.shared / MEMORY_FILE, repo.algorithm)
        self._lister = Lister(repo, stores, self._memory)
        self._result = MigrateResult("dvc", [], [], [], dry_run=how.dry_run)

    def plan(self, paths: Sequence[str | Path]) -> MigrateResult:
        artifacts = self._list(self._choose(survey_work_tree(self._repo.work_tree), paths))
        near, far = self._find_places(artifacts)
        missing = intake.find_missing(near, workers=self._repo.jobs)
        missing = intake.find_missing({name: far[name] for name in missing}, workers=self._repo.jobs)
        for artifact in self._without_missing(artifacts, missing):
            there = find_artifact(self._repo.work_tree, artifact.path)
            change = NEW if there is None else UNCHANGED
            files = len(artifact.files or ())
            self._result.artifacts.append(
                MovedIn(artifact.path, change, artifact.kind, None, 0, files, artifact.written_in)
            )
        return self._result

    def run(self, paths: Sequence[str | Path]) -> MigrateResult:
        repo = self._repo
        survey = survey_work_tree(repo.work_tree)
        artifacts = self._list(self._choose(survey, paths))
        brought = self._bring(artifacts)
        taken = [self._take(artifact, brought.held) for artifact in self._without_missing(artifacts, brought.missing)]
        done = [each for each in taken if each is not None]
        with open_writer(repo.cache, repo.warn_of_damage) as writer:
            for each in done:
                if each.tree is not None:
                    writer.add_bytes(each.tree, repo.algorithm)
            lists = self._lister.keep(writer)
        self._memory.save({name: held for name, held in lists.items() if self._memory.find(name) != held})
        # Every object is durable now, so the pointers may name them.
        staged: list[RelPath] = []
        for each in done:
            moved, changed = self._publish(each)
            staged += changed
            self._result.artifacts.append(moved)
        self._supersede(survey, staged)
        stage(repo, list(dict.fromkeys(staged)))
        if any(each.artifact.written_in.endswith("dvc.lock") for each in done):
            repo.reporter.note("pipelines stay with DVC: only what their stages made is tracked")
        return dataclasses.replace(self._result, new_objects=brought.new_objects, new_bytes=brought.new_bytes)

    # which artifacts

    def _choose(self, survey: Survey, paths: Sequence[str | Path]) -> list[ForeignArtifact]:
        chosen = choose_paths(self._repo, survey.artifacts, paths)
        self._result.skipped.extend(survey.skipped if not paths else ())
        artifacts, refused = split_overlapping(survey.artifacts)
        self._result.skipped.extend(each for each in refused if is_chosen(each[0], chosen))
        good = []
        for artifact in artifacts:
            if not is_chosen(artifact.path, chosen):
                continue
            obstacle = find_obstacle(self._repo, artifact.path)
            if obstacle is None:
                good.append(artifact)
            else:
                self._result.skipped.append((artifact.path, obstacle))
        return good

    def _list(self, artifacts: Sequence[ForeignArtifact]) -> list[ForeignArtifact]:
        listed = []
        for artifact in artifacts:
            found = self._lister.list(artifact)
            if isinstance(found, Missing):
                self._result.missing.append((artifact.path, found.reason))
            else:
                listed.append(found)
        return listed

    def _without_missing(
        self, artifacts: Sequence[ForeignArtifact], missing: Mapping[ForeignName, Missing]
    ) -> list[ForeignArtifact]:
        """Return the artifacts that can move; files that are missing are noted."""
        able = []
        for artifact in artifacts:
            lacking = [file for file in artifact.files or () if file.name in missing]
            self._result.missing.extend(
                (f"{artifact.path}/{file.path}".rstrip("/"), missing[file.name].reason) for file in lacking
            )
            if not lacking or (self._how.allow_missing and artifact.kind == "tree"):
                able.append(artifact)
        return able

    # contents

    def _find_places(
        self, artifacts: Sequence[ForeignArtifact]
    ) -> tuple[dict[ForeignName, list[Place]], dict[ForeignName, list[Place]]]:
        """Return where contents may be on this machine, and where if the remotes are asked, too."""
        near: dict[ForeignName, list[Place]] = {}
        far: dict[ForeignName, list[Place]] = {}
        for artifact in artifacts:
            stores, remotes = self._stores.near(artifact), self._stores.far(artifact)
            for file in artifact.files or ():
                here = FilePlace(os.path.join(self._repo.work_tree, artifact.path, file.path))
                near.setdefault(file.name, [*stores]).append(here)
                beyond = far.setdefault(file.name, [])
                beyond += [place for place in remotes if place not in beyond]
        return near, {name: [*places, *far[name]] for name, places in near.items()}

    def _bring(self, artifacts: Sequence[ForeignArtifact]) -> Brought:
        """Bring contents from this machine first, and only what it lacks from remotes."""
        near, far = self._find_places(artifacts)
        first = intake.bring(self._repo, near, self._memory)
        if not first.missing:
            return first
        second = intake.bring(self._repo, {name: far[name] for name in first.missing}, self._memory)
        return Brought(
            first.held | second.held,
            second.missing,
            first.new_objects + second.new_objects,
            first.new_bytes + second.new_bytes,
        )

    # artifacts

    def _take(self, artifact: ForeignArtifact, held: Mapping[ForeignName, Held]) -> Taken | None:
        repo, path = self._repo, artifact.path
        try:
            taken = make_taken(artifact, held, repo.algorithm)
            snapshot = repo.snapshotter().take(repo.work_tree / path, path)
            return add_what_is_here(taken, snapshot, repo.algorithm)
        except NameRefusedError as error:
            self._result.skipped.append((path, error.message))
            return None

    def _publish(self, taken: Taken) -> tuple[MovedIn, list[RelPath]]:
        """Write the pointer unless one of ours is there, and free the files; also returns what is to be staged."""
        artifact, pointer = taken.artifact, taken.pointer
        there = find_artifact(self._repo.work_tree, artifact.path)
        is_same = there is not None and isinstance(there.pointer, Pointer) and there.pointer.digest == pointer.digest
        change = NEW if there is None else UNCHANGED if is_same else KEPT
        staged = [] if change == KEPT else publish(self._repo, taken)
        relinked = free_links(self._repo, taken, self._stores.directories)
        if change != KEPT:
            remember(self._repo, taken)
        moved = MovedIn(
            artifact.path,
            change,
            pointer.kind,
            pointer.digest,
            pointer.size_bytes,
            pointer.files,
            artifact.written_in,
            relinked,
        )
        return moved, staged

    def _supersede(self, survey: Survey, staged: list[RelPath]) -> None:
        """Note, or remove, the files of DVC all of whose data has moved."""
        moved = {artifact.path for artifact in self._result.artifacts}
        for path, named in survey.files.items():
            if not path.endswith(".dvc") or not named or not moved.issuperset(named):
                continue
            if not self._how.remove:
                self._result.superseded.append(path)
                continue
            file = self._repo.work_tree / path
            with os_errors(file, "delete"):
                file.unlink(missing_ok=True)
                flush_directory(file.parent)
            staged.append(path)
            self._result.removed.append(path)


def choose_paths(repo: Repo, artifacts: Sequence[ForeignArtifact], paths: Sequence[str | Path]) -> list[RelPath] | None:
    """Return the paths that a user named; None for all.  Raises NotTrackedError where nothing is tracked."""
    if not paths:
        return None
    chosen = []
    for named in paths:
        path = repo.relative(named).removesuffix(".dvc")
        if path and not any(is_inside(artifact.path, [path]) for artifact in artifacts):
            raise NotTrackedError(f"nothing of another tool is at {named}", path=str(named))
        chosen.append(path)
    return None if "" in chosen else chosen


def is_chosen(path: RelPath, chosen: Sequence[RelPath] | None) -> bool:
    """Tell whether a path is at or below one that was named."""
    return chosen is None or is_inside(path, chosen)
