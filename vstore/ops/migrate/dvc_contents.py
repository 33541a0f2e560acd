"""Which contents artifacts of DVC need, and where those may be."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vstore.cache.writer import CacheWriter
from vstore.errors import CorruptError
from vstore.ops.migrate import intake
from vstore.ops.migrate.dvc_files import MAX_LISTING_BYTES, parse_listing
from vstore.ops.migrate.dvc_survey import DvcStores
from vstore.ops.migrate.foreign import ForeignArtifact, ForeignName
from vstore.ops.migrate.intake import Missing
from vstore.ops.migrate.memory import Held, Memory
from vstore.ops.migrate.places import FilePlace, Place
from vstore.ops.trees import find_tree
from vstore.repo import Repo


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
