"""``mv``: move data together with its pointer and ignore rule."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vstore.cache.writer import open_writer
from vstore.durable import flush_directory, os_errors, write_atomic
from vstore.errors import ConflictError, InvalidError, NameRefusedError, PathNotFoundError
from vstore.git.ignore_rules import add_rule, remove_rule
from vstore.objects.names import RelPath, find_refusal
from vstore.objects.pointer import POINTER_SUFFIX, Pointer
from vstore.objects.tree import Entry, Tree
from vstore.ops.add import replace_entries, tree_pointer
from vstore.ops.resolve import Target, find_targets, list_artifacts
from vstore.ops.staging import find_rules_to_stage, list_staged_entries, stage
from vstore.ops.trees import load_tree
from vstore.repo import Repo
from vstore.state import Placed
from vstore.workspace.pointers import find_artifact, find_owner, write_pointer


@dataclass(frozen=True, slots=True)
class Moved:
    """One artifact, or path inside a tree, and where it is now."""

    source: RelPath
    destination: RelPath


@dataclass(frozen=True, slots=True)
class MvResult:
    """What was moved."""

    moved: list[Moved]
    dry_run: bool


def mv(
    repo: Repo,
    sources: Sequence[str | Path],
    destination: str | Path,
    *,
    dry_run: bool = False,
) -> MvResult:
    """Move artifacts, or paths inside one tree, to a new name or into an existing directory; nothing is overwritten.

    Data that is not checked out moves as its pointer.  After a crash the same call goes on.
    Raises NotTrackedError, ConflictError if something is there, InvalidError for what cannot be moved.
    """
    moves = _plan(repo, sources, destination)
    if not dry_run:
        with repo.writing():
            for target, path in moves:
                if target.inner:
                    _move_inside(repo, target, path)
                else:
                    _move_artifact(repo, target, path)
    return MvResult([Moved(target.path, path) for target, path in moves], dry_run)


def _plan(repo: Repo, sources: Sequence[str | Path], destination: str | Path) -> list[tuple[Target, RelPath]]:
    wanted = repo.relative(destination)
    into = (repo.work_tree / wanted).is_dir() and find_artifact(repo.work_tree, wanted) is None
    if not into and len(sources) != 1:
        raise InvalidError(f"{destination} is not a directory", path=str(destination))
    moves: list[tuple[Target, RelPath]] = []
    for named in sources:
        found = find_targets(repo, [named])
        if len(found) != 1 or found[0].path != repo.relative(named):
            raise InvalidError(f"{named} is not one artifact", path=str(named))
        target = found[0]
        name = target.path.rpartition("/")[2]
        path = f"{wanted}/{name}".lstrip("/") if into or str(destination).endswith("/") else wanted
        _check(repo, target, path)
        moves.append((target, path))
    if len({path for _, path in moves}) != len(moves):
        raise ConflictError(f"several of them would have the same name in {destination}", path=str(destination))
    return moves


def _check(repo: Repo, target: Target, path: RelPath) -> None:
    refusal = find_refusal(path)
    if refusal or path.endswith(POINTER_SUFFIX):
        raise NameRefusedError(f"{path!r} {refusal or 'is a name for pointers'}", names=[(path, refusal or "")])
    if (path + "/").startswith(target.path + "/"):
        raise InvalidError(f"{target.path} cannot be moved to {path}: that is itself or inside it", path=path)
    owner = find_owner(repo.work_tree, path)
    if target.inner:
        if owner is None or owner.path != target.artifact.path or owner.path == path:
            root = target.artifact.path
            raise InvalidError(f"{target.path} is a part of {root} and can only be moved inside it", path=path)
    elif owner is not None and owner.path != path:
        raise InvalidError(f"{path} is inside {owner.path}, which is tracked as a whole", path=path)
    elif owner is not None and not _is_resumable(repo, target, path):
        raise ConflictError(f"{path} is tracked already", path=path)
    has_source = os.path.lexists(repo.work_tree / target.path)
    if os.path.lexists(repo.work_tree / path) and (has_source or owner is None):
        raise ConflictError(f"{path} exists already", path=path)
    if target.inner:
        return
    if list_artifacts(repo, below=path):
        raise ConflictError(f"{path} holds something that is tracked", path=path)
    pointer_path = path + POINTER_SUFFIX
    if repo.git is not None and repo.git.is_ignored(pointer_path) and not repo.git.has_tracked(pointer_path):
        raise InvalidError(f"git ignores {pointer_path}, so it could not be committed", path=path)


def _is_resumable(repo: Repo, target: Target, path: RelPath) -> bool:
    """Tell whether the pointer at the destination is what a move that was interrupted left there."""
    there = repo.work_tree / (path + POINTER_SUFFIX)
    return there.read_bytes() == (repo.work_tree / target.artifact.pointer_path).read_bytes()


def _move_artifact(repo: Repo, target: Target, path: RelPath) -> None:
    """Pointer first, then data, the old pointer last: whatever stops this, a pointer stands for the data."""
    source = target.artifact.path
    old_file, new_file = repo.work_tree / (source + POINTER_SUFFIX), repo.work_tree / (path + POINTER_SUFFIX)
    with os_errors(new_file, "move to"):
        new_file.parent.mkdir(parents=True, exist_ok=True)
        if repo.git is not None:
            add_rule(new_file.parent, path.rpartition("/")[2])
        if not new_file.exists():
            write_atomic(new_file, old_file.read_bytes())
        if os.path.lexists(repo.work_tree / source):
            os.rename(repo.work_tree / source, repo.work_tree / path)
            flush_directory(new_file.parent)
        if repo.git is not None:
            remove_rule(old_file.parent, source.rpartition("/")[2])
        rules = find_rules_to_stage(repo, path, wanted=True) + find_rules_to_stage(repo, source, wanted=False)
        stage(repo, [path + POINTER_SUFFIX, *dict.fromkeys(rules)], leaving=[source + POINTER_SUFFIX])
        placed = repo.state.find_placed(source)
        if placed is not None:
            repo.state.save_placed(path, placed)
        repo.state.forget(source)
        old_file.unlink()
        flush_directory(old_file.parent)


def _move_inside(repo: Repo, target: Target, path: RelPath) -> None:
    root, inner, moved = target.artifact.path, target.inner, path[len(target.artifact.path) + 1 :]
    pointer: Pointer = target.pointer
    before = load_tree(repo, pointer, root)
    entries = list(Tree.from_bytes(before).iter_below(inner))
    there = list(Tree.from_bytes(before).iter_below(moved))
    if not entries and there and there == _renamed(list_staged_entries(repo, root, inner), inner, moved):
        stage(repo, [root + POINTER_SUFFIX])  # whoever moved them died before it was staged
        return
    if not entries:
        raise PathNotFoundError(f"there is no {inner} in {root}", path=target.path)
    if there:
        raise ConflictError(f"{root} has a {moved} already", path=path)
    fewer = replace_entries(before, inner, [])
    tree = replace_entries(fewer.to_bytes(), moved, _renamed(entries, inner, moved))
    data = tree.to_bytes()
    with open_writer(repo.cache) as writer:
        writer.add_bytes(data, repo.algorithm)
    new = repo.work_tree / path
    with os_errors(new, "move to"):
        if os.path.lexists(repo.work_tree / target.path):
            # This also removes the directories that it leaves empty: the tree has none of them either.
            os.renames(repo.work_tree / target.path, new)
            flush_directory(new.parent)
    fresh = tree_pointer(tree, data, repo.algorithm)
    changed = dataclasses.replace(pointer, digest=fresh.digest, size_bytes=fresh.size_bytes, files=fresh.files)
    write_pointer(repo.work_tree, root, changed)
    stage(repo, [root + POINTER_SUFFIX])
    if repo.state.find_placed(root) is not None:
        repo.state.save_placed(root, Placed(changed.kind, changed.digest))


def _renamed(entries: Sequence[Entry], inner: RelPath, moved: RelPath) -> list[Entry]:
    return [entry._replace(path=moved + entry.path[len(inner) :]) for entry in entries]
