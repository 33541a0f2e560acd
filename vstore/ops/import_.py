"""``import``: take over data from another repository, and remember where it came from and in which version."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vstore.cache.writer import open_writer
from vstore.config import masked_url
from vstore.elsewhere import open_elsewhere, resolve_location
from vstore.errors import InvalidError, RevisionNotFoundError
from vstore.git import is_git_url
from vstore.objects.digest import Digest, algorithm_of
from vstore.objects.names import RelPath
from vstore.objects.pointer import Pointer
from vstore.objects.tree import EXECUTABLE, Tree
from vstore.ops.add import NEW, UPDATED, Labels, publish_pointer, tree_pointer
from vstore.ops.checkout import CheckoutResult, checkout
from vstore.ops.destination import check_free, find_old, find_path, inherit
from vstore.ops.gathering import Gathered, Manner, gather
from vstore.ops.picking import Wanted, name_of
from vstore.ops.staging import stage
from vstore.repo import Repo

# As hosts of git take them in place of a user; the name of a user is hardly as long.
_TOKEN = re.compile(r"(?i)(https?://)(?=[^/@:]*[0-9])[\w.~-]{20,}@")


@dataclass(frozen=True, slots=True)
class ImportResult:
    """An import: where it came from, and what it is here."""

    path: RelPath
    repo: str
    source_path: RelPath
    """Relative to that repository."""
    rev: str | None
    """What was asked for; None: whatever is newest there."""
    commit: str | None
    """Which commit that is now; None where the other repository is not in git."""
    change: str
    """"new" or, of what was tracked before, "updated"."""
    kind: str
    digest: Digest
    size_bytes: int
    files: int
    fetched_bytes: int
    """What was downloaded; in a dry run the bytes, before compression and chunking, that would be at most."""
    downloaded: bool
    copied: bool
    """Whether a push brings it to a remote of ours."""
    checkout: CheckoutResult | None = None
    dry_run: bool = False


class Importing(NamedTuple):
    """How to import: whether to bring the data now, whether to push it as our own, whether to overwrite."""

    download: bool = True
    copy: bool = True
    force: bool = False


def import_(
    repo: Repo,
    wanted: Wanted,
    *,
    out: str | Path | None = None,
    how: Importing = Importing(),  # noqa: B008 - frozen
    labels: Labels = Labels(),  # noqa: B008 - frozen
    dry_run: bool = False,
) -> ImportResult:
    """Track, at ``out``, what is at a path of another repository: tracked there, or kept by git, or both.

    Without ``out`` it is called as it is there.  Raises ConflictError where something is there already,
    AddRefusedError, PathNotFoundError, ObjectMissingError, InvalidError for a URL with a password, and what
    ``open_elsewhere`` raises.
    """
    place = os.fspath(wanted.location)
    hidden = _TOKEN.sub(r"\1***@", masked_url(place))
    if is_git_url(place) and hidden != place:
        fact = f"the URL {hidden} has a password in it, which the pointer would show to everybody"
        raise InvalidError(fact, url=hidden, password=True)
    with repo.using_cache(), open_locked(place, wanted.rev, repo, start=repo.start) as source:
        name = source.relative(wanted.path).rpartition("/")[2] or name_of(source)
        path = find_path(repo, out, lambda: name)
        rev = _recorded_rev(wanted.rev)
        origin = {"repo": _recorded(repo, source, place), "path": source.relative(wanted.path), "rev": rev}
        check_free(repo, path, origin, force=how.force)
        brought = _bring(repo, source, wanted.path, download=how.download and not dry_run)
        old = find_old(repo, path)
        origin["path"] = brought.found.path
        pointer = labels.apply(_renew(brought.pointer, old, {**origin, "commit": source.rev, "copy": how.copy}))
        if not dry_run:
            brought.found.check_whole()
            with repo.writing():
                check_free(repo, path, pointer, force=how.force)
                stage(repo, publish_pointer(repo, path, pointer))
        result = ImportResult(
            path=path,
            repo=source.location,
            source_path=brought.found.path,
            rev=rev,
            commit=source.rev,
            change=NEW if old is None else UPDATED,
            kind=pointer.kind,
            digest=pointer.digest,
            size_bytes=pointer.size_bytes,
            files=pointer.files,
            fetched_bytes=brought.found.lacking_bytes if dry_run else brought.found.read_bytes,
            downloaded=how.download,
            copied=how.copy,
            dry_run=dry_run,
        )
    if dry_run or not how.download:
        return result
    return dataclasses.replace(result, checkout=checkout(repo, [repo.work_tree / path], force=how.force))


@contextlib.contextmanager
def open_locked(location: str, rev: str | None, repo: Repo, *, start: Path) -> Iterator[Repo]:
    """Open another repository at a commit, also one on this machine: what is not committed cannot be had again.

    Raises RevisionNotFoundError where there are no commits, and as ``open_elsewhere``.
    """
    with open_elsewhere(location, rev=rev, start=start, reporter=repo.reporter) as source:
        if source.rev is None and source.git is not None:
            source.rev = source.git.head()
            if source.rev is None:
                raise RevisionNotFoundError(f"{source.location} has no commits", revision="HEAD")
        yield source


def refresh(repo: Repo, pointer: Pointer, *, rev: str | None, download: bool) -> tuple[Pointer, int]:
    """Return what an import would be now, at ``rev`` or what was asked for before, and the bytes downloaded.

    With ``download`` what it needs is in the cache then, else its list of files.  The pointer is the same, to the last
    value, where nothing is new: for data that we have, another commit is nothing new.  Raises as ``import_``.
    """
    source = pointer.source
    asked = _recorded_rev(rev) if rev is not None else source.get("rev")
    location = resolve_location(repo, str(source["repo"]))
    with open_locked(location, asked, repo, start=repo.work_tree) as other:
        if other.rev is not None and other.rev == source.get("commit") and (not download or _is_here(repo, pointer)):
            return _with_rev(pointer, asked), 0
        brought = _bring(repo, other, str(source["path"]), download=download)
        if download:
            brought.found.check_whole()
        values = {**source, "rev": asked, "commit": other.rev}
        renewed = _renew(brought.pointer, pointer, values)
        if renewed.digest == pointer.digest and not pointer.stays_elsewhere:
            renewed = _with_rev(dataclasses.replace(renewed, source=pointer.source), asked)
        return renewed, brought.found.read_bytes


def _recorded_rev(rev: str | None) -> str | None:
    """Return how a pointer says what an import follows: nothing is the branch that a clone would check out."""
    return None if rev == "HEAD" else rev


def _with_rev(pointer: Pointer, asked: str | None) -> Pointer:
    values = {**pointer.source, "rev": asked}
    if asked == pointer.source.get("rev"):
        return pointer
    return dataclasses.replace(pointer, source={key: value for key, value in values.items() if value is not None})


def _is_here(repo: Repo, pointer: Pointer) -> bool:
    if not pointer.is_tree:
        return repo.cache.has(pointer.digest)
    entries = [] if not repo.cache.has(pointer.digest) else Tree.from_bytes(repo.cache.read(pointer.digest)).entries
    return bool(entries) and not repo.cache.find_missing(entry.digest for entry in entries if entry.is_file)


class _Brought(NamedTuple):
    """What was gathered, and the pointer that would stand for it."""

    found: Gathered
    pointer: Pointer


def _bring(repo: Repo, source: Repo, path: str | Path, *, download: bool) -> _Brought:
    """Gather what is at a path, and put its list of files into the cache."""
    found = gather(source, path, repo.cache, manner=Manner(repo.algorithm, download=download))
    foreign = {algorithm_of(entry.digest).name for entry in found.entries if entry.is_file} - {repo.algorithm}
    if foreign and not found.missing:
        theirs = foreign.pop()
        fact = f"{source.location} names contents by {theirs}, this repository by {repo.algorithm}"
        raise InvalidError(f"{fact}: they have to be downloaded to get their names", path=found.path)
    if not found.is_tree:
        [entry] = found.entries
        return _Brought(found, Pointer("file", entry.digest, entry.size_bytes, executable=entry.kind == EXECUTABLE))
    tree = Tree(found.entries)
    data = tree.to_bytes()
    with open_writer(repo.cache, repo.warn_of_damage) as writer:
        writer.add_bytes(data, repo.algorithm)
    return _Brought(found, tree_pointer(tree, data, repo.algorithm))


def _renew(fresh: Pointer, old: Pointer | None, values: dict[str, Any]) -> Pointer:
    """Return the pointer of an import; what a person said of an old one stays."""
    source = {key: value for key, value in values.items() if value is not None and (key, value) != ("copy", True)}
    return inherit(dataclasses.replace(fresh, source=source), old)


def _recorded(repo: Repo, source: Repo, place: str) -> str:
    """Return how a pointer says where the source is: a path that was relative is, to the work tree, so in clones."""
    if is_git_url(place):
        return place
    root = str(source.work_tree) if source.url is None else os.path.abspath(repo.start / place)
    return root if os.path.isabs(place) else os.path.relpath(root, repo.work_tree).replace(os.sep, "/")
