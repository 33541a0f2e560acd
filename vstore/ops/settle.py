"""``checkout --ours`` and ``--theirs``: decide what a merge left in conflict, and write the files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vstore.cache.writer import open_writer
from vstore.durable import os_errors, write_atomic
from vstore.errors import InvalidError, NewerFormatError, PointerInvalidError
from vstore.git.ignore_rules import add_rule
from vstore.objects.digest import algorithm_of
from vstore.objects.merge import Sides, find_conflict_paths, take_entries
from vstore.objects.names import RelPath
from vstore.objects.pointer import POINTER_SUFFIX, Pointer, pointer_from_bytes
from vstore.objects.pointer_merge import conflict_to_bytes, is_merged, split_conflict, with_contents
from vstore.ops.checkout import CheckoutResult, checkout
from vstore.ops.merge_driver import merge_versions, save_tree
from vstore.ops.rm import rm
from vstore.ops.staging import find_rules_to_stage, stage
from vstore.ops.trees import load_tree
from vstore.repo import Repo
from vstore.workspace.pointers import find_owner

OURS, THEIRS = "ours", "theirs"


class _Conflict(NamedTuple):
    """A pointer in conflict: what git has of each side, and what its file says; None where there is none."""

    path: RelPath
    staged: Sides[bytes | None]
    file: bytes | None


class _Decision(NamedTuple):
    """What a pointer file shall say, None for that it shall go, and whether nothing is in conflict any more."""

    conflict: _Conflict
    data: bytes | None
    is_settled: bool


def settle(
    repo: Repo, paths: Sequence[str | Path], side: str, *, force: bool = False, dry_run: bool = False
) -> CheckoutResult:
    """Decide the conflicts at ``paths`` for a side ("ours" or "theirs", as git means it); stage pointers, write files.

    Only what is in conflict is decided: what merged stays merged.  A path inside a tree decides that file, or those
    below it.  When nothing of an artifact is in conflict any more its files are written, and its pointer is staged; the
    result lists the others.  After a crash the same call goes on: what git has of the conflict goes last.
    Raises InvalidError for a path where nothing is in conflict, and what a checkout raises.
    """
    wanted = _choose(repo, paths)
    if dry_run:
        with repo.using_cache():
            decisions = [_decide(repo, conflict, inner, side) for conflict, inner in wanted]
        return _with_decisions(CheckoutResult([], [], [], [], True), decisions)
    with repo.writing():
        decisions = [_decide(repo, conflict, inner, side) for conflict, inner in wanted]
        for decision in decisions:
            _publish(repo, decision)
    gone = [each.conflict.path for each in decisions if each.data is None and each.conflict.file is not None]
    if gone:
        rm(repo, [repo.work_tree / path for path in gone], data=True, force=force, staging=False)
    settled = [each.conflict.path for each in decisions if each.is_settled and each.data is not None]
    done = CheckoutResult([], [], [], [], False)
    if settled:
        done = checkout(repo, [repo.work_tree / path for path in settled], force=force)
    with repo.writing():
        stage(repo, [path for decision in decisions if decision.is_settled for path in _list_changed(repo, decision)])
    return _with_decisions(done, decisions)


def _with_decisions(result: CheckoutResult, decisions: Sequence[_Decision]) -> CheckoutResult:
    """Return a result that also tells what is still in conflict, and what no more."""
    conflicts = [each.conflict.path for each in decisions if not each.is_settled]
    settled = [each.conflict.path for each in decisions if each.is_settled]
    return dataclasses.replace(result, conflicts=conflicts, settled=settled)


def _choose(repo: Repo, paths: Sequence[str | Path]) -> list[tuple[_Conflict, list[RelPath]]]:
    """Return the conflicts that are meant, each with the paths inside its tree that are; none for the whole."""
    known = _list_conflicts(repo)
    chosen: dict[RelPath, list[RelPath]] = {}
    for named in paths:
        path = repo.relative(named)
        found = [one for one in known if not path or (one + "/").startswith(path + "/")]
        above = [one for one in known if path.startswith(one + "/")]
        if not found and not above:
            owner = find_owner(repo.work_tree, path)
            if owner is None or not owner.is_in_conflict:
                raise InvalidError(f"nothing is in conflict at {named}", path=str(named))
            # Somebody told git that it was settled, and it was not.
            known[owner.path] = _Conflict(owner.path, Sides(None, None, None), _read(repo, owner.path))
            (found if owner.path == path else above).append(owner.path)
        for one in found:
            chosen.setdefault(one, []).append("")
        for one in above:
            chosen.setdefault(one, []).append(path[len(one) + 1 :])
    return [(known[path], [] if "" in inner else inner) for path, inner in chosen.items()]


def _list_conflicts(repo: Repo) -> dict[RelPath, _Conflict]:
    if repo.git is None:
        return {}
    versions = [dict(repo.git.iter_index_files(POINTER_SUFFIX, stage)) for stage in (1, 2, 3)]
    paths = [name.removesuffix(POINTER_SUFFIX) for name in sorted({name for files in versions for name in files})]
    return {
        path: _Conflict(path, Sides(*(files.get(path + POINTER_SUFFIX) for files in versions)), _read(repo, path))
        for path in paths
    }


def _read(repo: Repo, path: RelPath) -> bytes | None:
    file = repo.work_tree / (path + POINTER_SUFFIX)
    with os_errors(file, "read"):
        return file.read_bytes() if file.is_file() and not file.is_symlink() else None


def _decide(repo: Repo, conflict: _Conflict, inner: Sequence[RelPath], side: str) -> _Decision:
    staged, number = conflict.staged, 1 if side == OURS else 2
    is_staged = any(version is not None for version in staged)
    if is_staged and (staged.ours is None or staged.theirs is None):
        if inner:
            fact = f"one side deleted {conflict.path}, so that it can only be taken or left as a whole"
            raise InvalidError(fact, path=conflict.path)
        return _Decision(conflict, staged[number], True)
    sides = _find_sides(repo, conflict)
    if not inner:
        return _Decision(conflict, sides[number], True)
    pointers = [pointer_from_bytes(data, conflict.path + POINTER_SUFFIX) for data in sides[1:]]
    if not all(pointer.is_tree for pointer in pointers):
        raise InvalidError(f"{conflict.path} is not a directory on both sides", path=conflict.path)
    trees = [load_tree(repo, pointer, conflict.path) for pointer in pointers]
    chosen = [path for path in find_conflict_paths(*trees) if any(_touches(path, one) for one in inner)]
    if not chosen:
        named = f"{conflict.path}/{inner[0]}"
        raise InvalidError(f"nothing is in conflict at {named}", path=named)
    fresh, other = (2, 1) if side == OURS else (1, 2)  # the side that changes
    decided = _find_decided(repo, conflict)
    tree = take_entries(trees[fresh - 1] if decided is None else decided, trees[other - 1], chosen)
    with open_writer(repo.cache, repo.warn_of_damage) as writer:
        contents = save_tree(writer, tree, algorithm_of(pointers[0].digest).name)
    if decided is not None and conflict.file is not None:
        return _Decision(conflict, with_contents(conflict.file, contents), True)
    changed = list(sides)
    changed[fresh] = with_contents(sides[fresh], contents)
    if changed[1] == changed[2]:
        return _Decision(conflict, changed[1], True)
    left = find_conflict_paths(tree.to_bytes(), trees[other - 1])
    return _Decision(conflict, conflict_to_bytes(changed[1], changed[2], left), False)


def _touches(path: RelPath, inner: RelPath) -> bool:
    return path == inner or path.startswith(inner + "/") or inner.startswith(path + "/")


def _find_decided(repo: Repo, conflict: _Conflict) -> bytes | None:
    """Return the tree of a pointer of which all was decided, and nobody staged it: we died, or it was git rerere."""
    if conflict.file is None or conflict.file in conflict.staged:
        return None  # git, or somebody through it, took one whole side
    try:
        pointer = pointer_from_bytes(conflict.file, conflict.path + POINTER_SUFFIX)
    except (PointerInvalidError, NewerFormatError):
        return None
    return load_tree(repo, pointer, conflict.path) if pointer.is_tree else None


def _find_sides(repo: Repo, conflict: _Conflict) -> Sides[bytes]:
    """Return the pointer when all is decided for a side, for both: what is decided already counts."""
    apart = split_conflict(conflict.file or b"")
    staged = conflict.staged
    if staged.ours is None or staged.theirs is None:
        if apart is None:
            raise InvalidError(f"what is in conflict in {conflict.path} cannot be told apart", path=conflict.path)
        return apart
    if apart is not None and is_merged(conflict.file or b"") and _are_here(repo, apart):
        return apart
    # git merged it, as text, or somebody edited it: neither knows the files.
    versions = Sides(staged.base or b"", staged.ours, staged.theirs)
    try:
        return merge_versions(repo, conflict.path, versions).sides
    except (PointerInvalidError, NewerFormatError):
        return versions


def _are_here(repo: Repo, sides: Sides[bytes]) -> bool:
    """Tell whether the cache still has what sides stand for: trees that are in no commit yet."""
    try:
        pointers: list[Pointer] = [pointer_from_bytes(data, "a side") for data in sides[1:]]
    except PointerInvalidError:
        return False
    return all(not pointer.is_tree or repo.cache.has(pointer.digest) for pointer in pointers)


def _publish(repo: Repo, decision: _Decision) -> None:
    """Write a pointer and its ignore rule, which the side that was without may have removed."""
    path = decision.conflict.path
    if decision.data is None:
        return
    file = repo.work_tree / (path + POINTER_SUFFIX)
    with os_errors(file, "write"):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, decision.data)
    if decision.is_settled and repo.git is not None and not repo.git.is_ignored(path):
        directory, _, name = path.rpartition("/")
        add_rule(repo.work_tree / directory, name)


def _list_changed(repo: Repo, decision: _Decision) -> list[RelPath]:
    path = decision.conflict.path
    return [path + POINTER_SUFFIX, *find_rules_to_stage(repo, path, wanted=decision.data is not None)]
