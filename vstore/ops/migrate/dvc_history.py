"""Old versions of what DVC tracks: which artifacts the commits name, and the pointers that stand for them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vstore.errors import InvalidError, NameRefusedError
from vstore.git.folders import GitFile
from vstore.git.objects import iter_objects
from vstore.git.rewriting import Edit
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.pointer import POINTER_SUFFIX, Pointer
from vstore.ops.add import Labels
from vstore.ops.migrate.dvc_contents import Lister, find_places, find_remotes
from vstore.ops.migrate.dvc_files import DVC_IGNORE, PIPELINE, is_dvc_file, own_rules, parse_annotations
from vstore.ops.migrate.dvc_survey import DvcStores, annotate, find_home, parse, split_overlapping, survey_work_tree
from vstore.ops.migrate.foreign import ForeignArtifact
from vstore.ops.migrate.history import OwnFiles
from vstore.ops.migrate.intake import Missing
from vstore.ops.migrate.moving import Mover, is_chosen
from vstore.ops.migrate.takeover import Taken, add_what_is_here, free_links, make_taken
from vstore.workspace.ignoring import IGNORE_FILE
from vstore.workspace.snapshot import Snapshot

_OTHERS = {PIPELINE, DVC_IGNORE, IGNORE_FILE, "config"}
_BATCH_FILES = 50_000
"""So many files of old versions are dealt with at once: their names take memory."""


class _Named(NamedTuple):
    """What one file of DVC names: artifacts, and all paths, also those that are passed over."""

    artifacts: list[ForeignArtifact]
    paths: list[RelPath]


class DvcHistory:
    """What the files of DVC in old commits mean; ``chosen`` are the paths that matter, None for all."""

    def __init__(self, mover: Mover, stores: DvcStores, lister: Lister, chosen: Sequence[RelPath] | None) -> None:
        self._mover = mover
        self._repo = mover.repo
        self._stores = stores
        self._lister = lister
        self._chosen = chosen
        self._own = OwnFiles(mover.repo)
        self._contents: dict[str, bytes] = {}
        self._named: dict[tuple[str, ...], _Named] = {}
        self._said: dict[tuple[str, str], dict[RelPath, Labels]] = {}
        self._pointers: dict[int, Pointer] = {}
        """By the identity of artifacts, all of which ``_named`` holds."""
        self._snapshots: dict[RelPath, Snapshot] = {}
        self._present: dict[RelPath, ForeignArtifact] = {}

    def is_wanted(self, name: str, oid: str) -> bool:
        """Tell whether a file names data of DVC, or is one of ours."""
        return is_dvc_file(name) or name in _OTHERS or name.endswith(POINTER_SUFFIX)

    def prepare(self, versions: Mapping[tuple[GitFile, ...], str]) -> None:
        """Bring the contents of all artifacts that some commits name."""
        wanted = {file.oid for files in versions for file in files if _says_something(file.path)}
        work_tree = self._repo.work_tree
        self._contents = {found.oid: found.data for found in iter_objects(work_tree, sorted(wanted))}
        self._present = {artifact.path: artifact for artifact in survey_work_tree(work_tree).artifacts}
        todo: dict[int, tuple[ForeignArtifact, str]] = {}
        for files, commit in versions.items():
            for file in files:
                for artifact in self._find(file, files, commit).artifacts if is_dvc_file(file.path) else ():
                    if is_chosen(artifact.path, self._chosen):
                        todo.setdefault(id(artifact), (artifact, commit))
        batch: list[tuple[ForeignArtifact, ForeignArtifact, str]] = []
        files_in_batch = 0
        for artifact, commit in todo.values():
            listed = self._lister.list(artifact)
            if isinstance(listed, Missing):
                self._mover.note_missing(artifact.path, artifact.listing, listed, when=_when(commit))
                continue
            batch.append((artifact, listed, commit))
            files_in_batch += len(listed.files or ())
            if files_in_batch >= _BATCH_FILES:
                self._move(batch)
                batch, files_in_batch = [], 0
        self._move(batch)

    def edit(self, files: tuple[GitFile, ...]) -> Edit | None:
        """Return what a commit with these files has in the place of those whose data has moved."""
        named = {file.path: self._find(file, files, "") for file in files if is_dvc_file(file.path)}
        artifacts, _ = split_overlapping([artifact for each in named.values() for artifact in each.artifacts])
        annotations = self._annotations(files)
        pointers = {
            artifact.path: annotate(artifact, annotations).labels.apply(self._pointers[id(artifact)])
            for artifact in artifacts
            if id(artifact) in self._pointers
        }
        delete = [
            path
            for path, each in named.items()
            if path.endswith(".dvc") and each.paths and pointers.keys() >= set(each.paths)
        ]
        return self._own.edit(files, pointers, delete, self._rules(files))

    def _rules(self, files: Sequence[GitFile]) -> dict[RelPath, bytes]:
        """Return our files of ignore rules that a commit needs and does not have."""
        found: dict[RelPath, bytes] = {}
        for file in files:
            if file.path.rpartition("/")[2] == DVC_IGNORE:
                found |= own_rules(file.path, self._contents[file.oid])
        return {path: content for path, content in found.items() if all(file.path != path for file in files)}

    def _annotations(self, files: Sequence[GitFile]) -> dict[RelPath, Labels]:
        found: dict[RelPath, Labels] = {}
        for file in files:
            if file.path.rpartition("/")[2] == PIPELINE:
                key = file.path, file.oid
                if key not in self._said:
                    self._said[key] = {}
                    with contextlib.suppress(InvalidError):  # that is said where it is needed
                        self._said[key] = parse_annotations(self._contents[file.oid], file.path)
                found |= self._said[key]
        return found

    def _find(self, file: GitFile, files: Sequence[GitFile], commit: str) -> _Named:
        pipeline = ""
        if file.path.endswith("dvc.lock"):
            beside = file.path.removesuffix("dvc.lock") + PIPELINE
            pipeline = next((each.oid for each in files if each.path == beside), "")
        key = file.path, file.oid, pipeline
        if key not in self._named:
            self._named[key] = self._parse(file, pipeline, commit)
        return self._named[key]

    def _parse(self, file: GitFile, pipeline: str, commit: str) -> _Named:
        try:
            found = parse(file.path, self._contents[file.oid], lambda path: self._contents.get(pipeline))
        except InvalidError as error:
            self._mover.result.refused.append((file.path, error.message + _when(commit)))
            return _Named([], [])
        home = find_home(self._repo.work_tree, file.path) or ""
        paths = [artifact.path for artifact in found.artifacts] + [path for path, _ in [*found.skipped, *found.refused]]
        artifacts = [dataclasses.replace(artifact, home=home) for artifact in found.artifacts]
        return _Named([self._stores.route(artifact) for artifact in artifacts], paths)

    # contents

    def _move(self, batch: Sequence[tuple[ForeignArtifact, ForeignArtifact, str]]) -> None:
        """Bring the contents of artifacts; of each there is the one that was found, and that with its files."""
        listed = [each for _, each, _ in batch]
        near = find_places(self._repo.work_tree, self._stores, listed)
        if self._mover.how.dry_run:
            self._plan(batch)
            return
        brought = self._mover.bring(near, lambda missing: find_remotes(self._stores, listed, near, missing))
        present: list[Taken] = []
        with self._mover.open_writer() as writer:
            for found, artifact, commit in batch:
                for whole in self._mover.choose_whole([artifact], brought.missing, when=_when(commit)):
                    try:
                        taken = self._complete(make_taken(whole, brought.held, self._repo.algorithm), found)
                    except NameRefusedError as error:
                        self._mover.result.refused.append((whole.path, error.message + _when(commit)))
                        continue
                    if taken.tree is not None:
                        writer.add_bytes(taken.tree, self._repo.algorithm)
                    self._pointers[id(found)] = taken.pointer
                    present += [taken] if self._is_present(found) else []
            self._lister.keep(writer)
        self._lister.remember()
        for taken in present:
            free_links(self._repo, taken, self._stores.directories)

    def _plan(self, batch: Sequence[tuple[ForeignArtifact, ForeignArtifact, str]]) -> None:
        """Take for granted that contents can be had: they are not looked for in a dry run of many commits."""
        for found, _, _ in batch:
            self._pointers[id(found)] = Pointer("file", Digest(""), 0)

    def _complete(self, taken: Taken, found: ForeignArtifact) -> Taken:
        path = taken.artifact.path
        if path not in self._snapshots:
            self._snapshots[path] = self._repo.snapshotter().take(self._repo.work_tree / path, path)
        return add_what_is_here(taken, self._snapshots[path], self._repo.algorithm, is_present=self._is_present(found))

    def _is_present(self, found: ForeignArtifact) -> bool:
        here = self._present.get(found.path)
        return here is not None and (here.listing, here.files) == (found.listing, found.files)


def _says_something(path: RelPath) -> bool:
    return is_dvc_file(path) or path.rpartition("/")[2] in (PIPELINE, DVC_IGNORE)


def _when(commit: str) -> str:
    return f" (commit {commit[:10]})" if commit else ""
