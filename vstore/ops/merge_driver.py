"""``merge-driver``: three versions of a pointer become one, as git asks for it.

Files of trees, keys of descriptions and labels are merged by themselves.  Merged trees are in the cache, durably,
before a pointer names them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vstore.cache.writer import CacheWriter, open_writer
from vstore.durable import os_errors
from vstore.errors import VstoreError
from vstore.objects.digest import algorithm_of
from vstore.objects.merge import Sides, TreeMerge, merge_trees, settle
from vstore.objects.names import RelPath
from vstore.objects.pointer import POINTER_SUFFIX, Pointer, pointer_from_bytes
from vstore.objects.pointer_merge import MARKER_CHARACTERS, Contents, conflict_to_bytes, merge_pointers
from vstore.objects.tree import Tree
from vstore.ops.trees import load_tree
from vstore.progress import SILENT
from vstore.repo import Repo, open_repo

_EMPTY_TREE = Tree([]).to_bytes()


@dataclass(frozen=True, slots=True)
class MergeDriverResult:
    """How a merge ended; ``files`` are those of a tree that both sides changed, each in its own way."""

    path: RelPath
    conflict: bool
    files: list[RelPath] = field(default_factory=list)
    reason: str | None = None
    """Why nothing of the contents was merged, where that is so."""


class MergedPointer(NamedTuple):
    """A merged pointer file: with conflicts decided as in one version, for each of them."""

    sides: Sides[bytes]
    files: list[RelPath]
    reason: str | None


def merge_driver(
    start: Path, files: Sides[Path], path: str, *, marker_characters: int = MARKER_CHARACTERS, for_ancestor: bool
) -> MergeDriverResult:
    """Merge the three files that git hands over into the one that holds our side, in the repository at ``start``.

    ``path`` is that of the pointer, from the top of the work tree.  What cannot be merged becomes a conflict, with
    the reason.  ``for_ancestor`` makes an ancestor for another merge: conflicts are decided as before both sides.
    """
    path = path.removeprefix("./").removesuffix(POINTER_SUFFIX)
    versions = Sides(*map(_read, files))
    merged = _try_to_merge(start, versions, path)
    if for_ancestor:
        # Nothing, where there was no version before both, and where one cannot be read.
        _write(files.ours, merged.sides.base)
        return MergeDriverResult(path, False)
    if merged.sides.is_settled:
        _write(files.ours, merged.sides.ours)
        return MergeDriverResult(path, False)
    files_in_conflict = merged.files if merged.reason is None else None
    data = conflict_to_bytes(merged.sides.ours, merged.sides.theirs, files_in_conflict, marker_characters)
    _write(files.ours, data)
    return MergeDriverResult(path, True, merged.files, merged.reason)


def _try_to_merge(start: Path, versions: Sides[bytes], path: RelPath) -> MergedPointer:
    # So git rerere brings back how a conflict was decided: the conflict, the same one again, and the decision.
    settled: Sides[bytes] = settle(*versions)
    if settled.is_settled:
        return MergedPointer(settled, [], None)
    try:
        # Git waits for us, and whoever waits for git may wait for progress: nobody is asked or told.
        with open_repo(start, reporter=SILENT) as repo, repo.using_cache():
            return merge_versions(repo, path, versions)
    except VstoreError as error:
        return MergedPointer(versions, [], error.message)


def merge_versions(repo: Repo, path: RelPath, versions: Sides[bytes]) -> MergedPointer:
    """Merge three versions of the pointer of the data at ``path``; an empty ancestor is none.

    For callers that are ``using_cache``.  Raises what ``pointer_from_bytes`` raises for one that cannot be read.
    """
    pointer_path = path + POINTER_SUFFIX
    ours, theirs = (pointer_from_bytes(data, pointer_path) for data in versions[1:])
    base = _find_pointer(versions.base, pointer_path)
    contents, files, reason = _merge_contents(repo, path, Sides(base, ours, theirs))
    sides = merge_pointers(versions.base if base is not None else None, *versions[1:], contents)
    if base is None and contents.base == contents.ours != contents.theirs:
        sides = sides._replace(base=b"")
    return MergedPointer(sides, files, reason)


def _find_pointer(data: bytes, path: RelPath) -> Pointer | None:
    try:
        return pointer_from_bytes(data, path)
    except VstoreError:
        return None  # none at all, or a conflict that somebody committed


def _merge_contents(
    repo: Repo, path: RelPath, pointers: Sides[Pointer | None]
) -> tuple[Sides[Contents], list[RelPath], str | None]:
    base, ours, theirs = map(Contents.of, pointers)
    assert ours is not None and theirs is not None
    merged: Sides[Contents] = settle(base, ours, theirs)
    if merged.is_settled:
        return merged, [], None
    apart = Sides(base or ours, ours, theirs)
    if not (ours.kind == theirs.kind == "tree"):
        return apart, [], None
    try:
        base_tree, our_tree, their_tree = (
            load_tree(repo, pointer, path) if pointer is not None and pointer.is_tree else _EMPTY_TREE
            for pointer in pointers
        )
        trees = merge_trees(base_tree, our_tree, their_tree)
    except VstoreError as error:
        return apart, [], error.message
    return _save(repo, trees, algorithm_of(ours.digest).name), [conflict.path for conflict in trees.conflicts], None


def _save(repo: Repo, merged: TreeMerge, algorithm: str) -> Sides[Contents]:
    with open_writer(repo.cache, repo.warn_of_damage) as writer:
        if merged.conflicts:
            saved = Sides(*(save_tree(writer, tree, algorithm) for tree in merged.trees))
        else:
            contents = save_tree(writer, merged.trees.ours, algorithm)
            saved = Sides(contents, contents, contents)
    for contents in set(saved):
        # It may be there since an earlier attempt at this merge; git writes the pointer when we are gone.
        repo.cache.renew(contents.digest)
    return saved


def save_tree(writer: CacheWriter, tree: Tree, algorithm: str) -> Contents:
    """Put a tree into the cache and return what a pointer to it stands for."""
    digest = writer.add_bytes(tree.to_bytes(), algorithm)
    return Contents("tree", digest, tree.size_bytes, tree.files)


def _read(path: Path) -> bytes:
    with os_errors(path, "read"):
        return path.read_bytes()


def _write(path: Path, data: bytes) -> None:
    # A temporary file of git's: it reads this very one, and makes its own object of it.
    with os_errors(path, "write"), open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
