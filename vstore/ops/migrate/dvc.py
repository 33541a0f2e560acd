"""``migrate dvc``: what DVC tracks becomes ours; nothing of DVC's is deleted unless asked."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vstore.cache.writer import CacheWriter
from vstore.durable import flush_directory, os_errors
from vstore.errors import CorruptError
from vstore.objects.names import RelPath
from vstore.ops.add import stage
from vstore.ops.migrate import intake
from vstore.ops.migrate.dvc_files import MAX_LISTING_BYTES, parse_listing
from vstore.ops.migrate.dvc_survey import DvcStores, Survey, split_overlapping, survey_work_tree
from vstore.ops.migrate.foreign import ForeignArtifact, ForeignName
from vstore.ops.migrate.intake import Missing
from vstore.ops.migrate.memory import Held, Memory
from vstore.ops.migrate.moving import Farther, Mover, choose_paths, is_chosen
from vstore.ops.migrate.places import FilePlace, Place
from vstore.ops.migrate.result import How, MigrateResult
from vstore.ops.migrate.takeover import find_obstacle
from vstore.ops.trees import find_tree
from vstore.repo import Repo


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
        self._fresh: dict[ForeignName, Held] = {}

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

    def keep(self, writer: CacheWriter) -> None:
        """Put the lists into the cache, for what goes on when those of DVC are gone."""
        for name, data in self._known.items():
            if isinstance(data, bytes) and self._memory.find(name) is None:
                self._fresh[name] = Held(writer.add_bytes(data, self._repo.algorithm), len(data))

    def remember(self) -> None:
        """Remember the lists that are durable now."""
        self._memory.save(self._fresh)
        self._fresh = {}


class _Migration:
    def __init__(self, repo: Repo, stores: DvcStores, how: How) -> None:
        self._repo = repo
        self._stores = stores
        self._mover = Mover(repo, "dvc", how)
        self._lister = Lister(repo, stores, self._mover.memory)

    def plan(self, paths: Sequence[str | Path]) -> MigrateResult:
        artifacts = self._list(self._choose(survey_work_tree(self._repo.work_tree), paths))
        self._mover.plan(artifacts, *self._find_places(artifacts))
        return self._mover.result

    def run(self, paths: Sequence[str | Path]) -> MigrateResult:
        mover = self._mover
        survey = survey_work_tree(self._repo.work_tree)
        artifacts = self._list(self._choose(survey, paths))
        brought = mover.bring(*self._find_places(artifacts))
        taken = mover.take(mover.choose_whole(artifacts, brought.missing), brought.held, self._lister.keep)
        self._lister.remember()
        # Every object is durable now, so the pointers may name them.
        staged = [path for each in taken for path in mover.publish(each, self._stores.directories)]
        staged += self._supersede(survey)
        stage(self._repo, list(dict.fromkeys(staged)))
        if any(each.artifact.written_in.endswith("dvc.lock") for each in taken):
            self._repo.reporter.note("pipelines stay with DVC: only what their stages made is tracked")
        return dataclasses.replace(mover.result, new_objects=brought.new_objects, new_bytes=brought.new_bytes)

    def _choose(self, survey: Survey, paths: Sequence[str | Path]) -> list[ForeignArtifact]:
        skipped = self._mover.result.skipped
        chosen = choose_paths(self._repo, survey.artifacts, paths)
        artifacts, refused = split_overlapping(survey.artifacts)
        skipped.extend(each for each in [*survey.skipped, *refused] if is_chosen(each[0], chosen))
        good = []
        for artifact in artifacts:
            if not is_chosen(artifact.path, chosen):
                continue
            obstacle = find_obstacle(self._repo, artifact.path)
            if obstacle is None:
                good.append(artifact)
            else:
                skipped.append((artifact.path, obstacle))
        return good

    def _list(self, artifacts: Sequence[ForeignArtifact]) -> list[ForeignArtifact]:
        listed = []
        for artifact in artifacts:
            found = self._lister.list(artifact)
            if isinstance(found, Missing):
                self._mover.result.missing.append((artifact.path, found.reason))
            else:
                listed.append(found)
        return listed

    def _find_places(self, artifacts: Sequence[ForeignArtifact]) -> tuple[dict[ForeignName, list[Place]], Farther]:
        places = find_places(self._repo.work_tree, self._stores, artifacts)
        return places, lambda missing: find_remotes(self._stores, artifacts, places, missing)

    def _supersede(self, survey: Survey) -> list[RelPath]:
        """Note, or remove, the files of DVC all of whose data has moved; returns what is to be staged."""
        result = self._mover.result
        moved = {artifact.path for artifact in result.artifacts}
        for path, named in survey.files.items():
            if not path.endswith(".dvc") or not named or not moved.issuperset(named):
                continue
            if not self._mover.how.remove:
                result.superseded.append(path)
                continue
            file = self._repo.work_tree / path
            with os_errors(file, "delete"):
                file.unlink(missing_ok=True)
                flush_directory(file.parent)
            result.removed.append(path)
        return result.removed


def find_places(
    work_tree: Path, stores: DvcStores, artifacts: Iterable[ForeignArtifact]
) -> dict[ForeignName, list[Place]]:
    """Return where on this machine the contents of artifacts may be."""
    near: dict[ForeignName, list[Place]] = {}
    for artifact in artifacts:
        caches = stores.near(artifact)
        for file in artifact.files or ():
            here = FilePlace(os.path.join(work_tree, artifact.path, file.path))
            near.setdefault(file.name, [*caches]).append(here)
    return near


def find_remotes(
    stores: DvcStores,
    artifacts: Iterable[ForeignArtifact],
    near: Mapping[ForeignName, Sequence[Place]],
    missing: Iterable[ForeignName],
) -> dict[ForeignName, list[Place]]:
    """Return where contents may be that are missing here, if the remotes are asked, too."""
    far = {name: [*near[name]] for name in missing}
    for artifact in artifacts:
        wanted = [file.name for file in artifact.files or () if file.name in far]
        remotes = stores.far(artifact) if wanted else []
        for name in wanted:
            far[name] += [place for place in remotes if place not in far[name]]
    return far
