"""``update``: let imports move on to what their sources are now."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from vstore.config import masked_url
from vstore.errors import ConflictError, InvalidError, NotDownloadedError, NotTrackedError, UnsavedError, VstoreError
from vstore.objects.names import RelPath
from vstore.objects.pointer import POINTER_SUFFIX, Pointer
from vstore.objects.tree import diff_trees
from vstore.ops.add import publish_pointer
from vstore.ops.checkout import CheckoutResult, checkout
from vstore.ops.import_ import refresh
from vstore.ops.import_url import TO_REMOTE, Bringing, Way, make_pointer
from vstore.ops.listings import load_listing
from vstore.ops.origins import Survey, open_source, survey
from vstore.ops.resolve import find_selection, find_targets
from vstore.ops.staging import stage
from vstore.ops.trees import find_tree
from vstore.ops.updated import FAILED, SAME_DATA, UP_TO_DATE, UPDATED, FileChange, Updated, UpdateResult
from vstore.remote.origin import Item
from vstore.repo import Repo
from vstore.workspace.pointers import load_awaited


def update(
    repo: Repo,
    paths: Sequence[str | Path] = (),
    *,
    rev: str | None = None,
    way: Way = Way(),  # noqa: B008 - frozen
    dry_run: bool = False,
) -> UpdateResult:
    """Compare imports (all, without ``paths``) with their sources, and take over what is new.

    Of a folder only the files that changed are read.  One that was not downloaded yet is, if it is named.  Files that
    somebody changed stop an update of them, unless ``way.force``; where nothing is new they are no matter.  One that is
    named alone raises what stops it, of several the rest goes on and its error stands in the result.  ``rev`` is what
    imports from repositories follow from now on, "HEAD" the branch that a clone would check out.
    """
    found, awaited = _find_imports(repo, paths)
    done = []
    for path, pointer in found:
        try:
            done.append(_update_one(repo, path, pointer, rev, way, dry_run=dry_run))
        except VstoreError as error:
            if len(found) == 1:
                raise
            done.append(Updated(path, masked_url(_source_of(pointer)), FAILED, error=error.message))
    for path in awaited:
        repo.reporter.note(f"{path} was passed over: it was not downloaded yet, and not named")
    return UpdateResult(done, awaited, dry_run)


def _find_imports(repo: Repo, paths: Sequence[str | Path]) -> tuple[list[tuple[RelPath, Pointer]], list[RelPath]]:
    """Return the imports that are meant, and those that were not downloaded yet and are not named.

    Raises NotTrackedError for a path that is named and no import, or in one.
    """
    named = {repo.relative(path) for path in paths}
    found: list[tuple[RelPath, Pointer]] = []
    awaited: list[RelPath] = []
    for target in find_targets(repo, paths):
        path, pointer = target.artifact.path, target.artifact.pointer
        if target.inner and (isinstance(pointer, NotDownloadedError) or _is_import(pointer)):
            fact = f"{target.path} is a part of {path}, an import, which is updated as a whole"
            raise NotTrackedError(fact, path=path, imported=True)
        if isinstance(pointer, NotDownloadedError):
            if path in named:
                found.append((path, load_awaited(repo.work_tree, path)))
            else:
                awaited.append(path)
        elif isinstance(pointer, VstoreError):
            if target.path in named:
                raise pointer
            repo.reporter.warn(f"{path} was passed over: {pointer.message}")
        elif _is_import(pointer):
            found.append((path, pointer))
        elif target.path in named:
            raise NotTrackedError(f"{path} is no import: its pointer has no source", path=path, imported=False)
    return found, awaited


def _is_import(pointer: Pointer | VstoreError) -> bool:
    return not isinstance(pointer, VstoreError) and bool(_source_of(pointer))


def _source_of(pointer: Pointer) -> str:
    source = pointer.source.get("url") or pointer.source.get("repo") or ""
    return source if isinstance(source, str) else ""


def _update_one(repo: Repo, path: RelPath, pointer: Pointer, rev: str | None, way: Way, *, dry_run: bool) -> Updated:
    is_from_repository = "url" not in pointer.source
    if is_from_repository and way.kind == TO_REMOTE:
        raise InvalidError(f"{path} was imported from a repository: its data has to come here first", path=path)
    if rev is not None and not is_from_repository:
        raise InvalidError(f"{path} was imported from a URL, which has no revisions", path=path)
    if is_from_repository:
        return _update_from_repository(repo, path, pointer, rev, way, dry_run=dry_run)
    return _update_url(repo, path, pointer, way, dry_run=dry_run)


def _find_changed(repo: Repo, path: RelPath, pointer: Pointer, way: Way, *, dry_run: bool) -> UnsavedError | None:
    """Return the error of an import whose files somebody changed; None where they may be overwritten.

    Raises ConflictError if the place of one that was not downloaded yet is taken.
    """
    if way.kind == TO_REMOTE or way.force:
        return None
    if pointer.is_awaited:
        if _is_there(repo, path):
            raise ConflictError(f"{path} is there already", path=path, tracked=False)
        return None
    snapshot = repo.snapshotter().take(repo.work_tree / path, path)
    is_as_said = (snapshot.kind, snapshot.digest, snapshot.executable) == (
        pointer.kind,
        pointer.digest,
        pointer.executable,
    )
    if snapshot.kind == "absent" or (is_as_said and not snapshot.scan.refused):
        return None
    placed = repo.state.find_placed(path)
    # Of what is here only in part, the checkout looks at each file.
    if (placed is not None and (snapshot.kind, snapshot.digest) == placed) or find_selection(repo, path):
        return None
    if placed not in (None, (pointer.kind, pointer.digest)):
        # Perhaps by an update that was stopped: what is written next tells, and ends it.
        if not dry_run:
            checkout(repo, _find_placed(repo, path))
        return None
    return UnsavedError(f"{path} was changed since it was imported", paths=[path], update=True)


def _update_url(repo: Repo, path: RelPath, pointer: Pointer, way: Way, *, dry_run: bool) -> Updated:
    url, lock = str(pointer.source["url"]), str(pointer.source.get("lock", ""))
    with repo.using_cache(), open_source(repo, url) as origin:
        found = survey(repo, origin, url, was_tree=pointer.is_tree)
        known = load_listing(repo, lock)
        outline = Updated(
            path,
            masked_url(url),
            UPDATED,
            lock,
            found.lock,
            pointer.digest or None,
            found.size_bytes,
            pointer.size_bytes,
            len(found.items),
        )
        changed = _find_changed(repo, path, pointer, way, dry_run=dry_run)
        outline = dataclasses.replace(outline, changed_here=changed is not None)
        if lock and found.lock == lock and not pointer.is_awaited:
            outline = dataclasses.replace(outline, change=UP_TO_DATE, size_bytes=pointer.size_bytes)
            return outline if dry_run else dataclasses.replace(outline, checkout=_settle(repo, path, pointer, way))
        if dry_run:
            items = {name: each.item for name, each in known.items()}
            changes = _compare_items(items, found) if items or not found.is_tree else []
            return dataclasses.replace(outline, digest=None, changes=changes)
        if changed is not None:
            raise changed
        wanted = make_pointer(found, url, pointer)
        bringing = Bringing(repo, path, origin, found, known)
        if way.kind == TO_REMOTE:
            done = bringing.stream(wanted, repo.remote_name(way.remote or pointer.remote))
        else:
            done = bringing.download(wanted)
        with repo.writing():
            if load_awaited(repo.work_tree, path) != pointer:
                raise ConflictError(f"the pointer of {path} was changed meanwhile", path=path)
            stage(repo, publish_pointer(repo, path, done))
    is_same = done.digest == pointer.digest
    written = checkout(repo, _find_placed(repo, path), force=way.force) if way.kind != TO_REMOTE else None
    return dataclasses.replace(
        outline,
        change=SAME_DATA if is_same else UPDATED,
        digest=done.digest,
        size_bytes=done.size_bytes,
        files=done.files,
        changes=[] if is_same else _compare(repo, pointer, done),
        checkout=written,
    )


def _update_from_repository(
    repo: Repo, path: RelPath, pointer: Pointer, rev: str | None, way: Way, *, dry_run: bool
) -> Updated:
    # Who never wanted the data here gets only the pointer.
    is_placed = bool(repo.state.find_placed(path) or find_selection(repo, path)) or _is_there(repo, path)
    placed = None
    with repo.using_cache():
        changed = _find_changed(repo, path, pointer, way, dry_run=dry_run)
        try:
            done, _ = refresh(repo, pointer, rev=rev, download=is_placed and not dry_run and changed is None)
        except InvalidError:
            if changed is None:
                raise
            raise changed from None  # what is new would have to be downloaded to get a digest of ours
        is_same = done.digest == pointer.digest and done.executable == pointer.executable
        if not dry_run:
            if not is_same and changed is not None:
                raise changed
            if done != pointer:
                with repo.writing():
                    if load_awaited(repo.work_tree, path) != pointer:
                        raise ConflictError(f"the pointer of {path} was changed meanwhile", path=path)
                    stage(repo, publish_pointer(repo, path, done))
            if is_same:
                placed = _settle(repo, path, pointer, way)
            elif is_placed:
                placed = checkout(repo, _find_placed(repo, path), force=way.force)
    return Updated(
        path,
        masked_url(str(pointer.source["repo"])),
        UP_TO_DATE if done == pointer else SAME_DATA if is_same else UPDATED,
        str(pointer.source.get("commit", "")),
        str(done.source.get("commit", "")),
        digest=done.digest,
        size_bytes=done.size_bytes,
        old_bytes=pointer.size_bytes,
        files=done.files,
        changes=[] if is_same else _compare(repo, pointer, done),
        changed_here=changed is not None,
        checkout=placed,
    )


def _settle(repo: Repo, path: RelPath, pointer: Pointer, way: Way) -> CheckoutResult | None:
    """Leave the files of an import as they are, since nothing is new; but end an update that was stopped.

    Then what was last written is not what the pointer says, and the pointer may not be staged yet.
    """
    placed = repo.state.find_placed(path)
    if placed != (pointer.kind, pointer.digest):
        with repo.writing():
            stage(repo, [path + POINTER_SUFFIX])
    is_stopped = placed not in (None, (pointer.kind, pointer.digest))
    if way.kind == TO_REMOTE or not (is_stopped or (way.force and _is_there(repo, path))):
        return None
    return checkout(repo, _find_placed(repo, path), force=way.force)


def _is_there(repo: Repo, path: RelPath) -> bool:
    return os.path.lexists(repo.work_tree / path)


def _find_placed(repo: Repo, path: RelPath) -> list[Path]:
    """Return what to write: the whole, or of an import that is here only in part those parts that there still are."""
    parts = [repo.work_tree / path / inner for inner in find_selection(repo, path)]
    return [part for part in parts if os.path.lexists(part)] or [repo.work_tree / path]


def _compare(repo: Repo, old: Pointer, new: Pointer) -> list[FileChange]:
    """Return the files in which two versions differ, as far as the cache has their lists."""
    if not new.is_tree or not old.is_tree:
        change = "added" if old.is_awaited else "modified"
        return [FileChange("", change, None if old.is_awaited else old.size_bytes, new.size_bytes)]
    before, after = find_tree(repo, old.digest) if old.digest else None, find_tree(repo, new.digest)
    if before is None or after is None:
        return []
    difference = diff_trees(before, after)
    changes = [FileChange(entry.path, "added", None, entry.size_bytes) for entry in difference.added]
    changes += [FileChange(new.path, "modified", old.size_bytes, new.size_bytes) for old, new in difference.modified]
    changes += [FileChange(entry.path, "deleted", entry.size_bytes, None) for entry in difference.deleted]
    return sorted(changes, key=lambda change: change.path)


def _compare_items(known: Mapping[str, Item], found: Survey) -> list[FileChange]:
    """Return the files that have another lock than those that are remembered."""
    if not found.is_tree:
        return [FileChange("", "modified", None, found.items[0].size_bytes)]
    now = {item.path: item for item in found.items}
    changes = []
    for path in sorted({*known, *now}):
        old, new = known.get(path), now.get(path)
        if old is None or new is None or not old.lock or old.lock != new.lock:
            change = "added" if old is None else "deleted" if new is None else "modified"
            changes.append(FileChange(path, change, old and old.size_bytes, new and new.size_bytes))
    return changes
