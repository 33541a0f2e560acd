"""``log``: the versions that commits have of artifacts, or of paths inside them."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vstore.errors import GitFailedError, NotDownloadedError, NotTrackedError, VstoreError
from vstore.git import GitRepo
from vstore.git.history import ChangingCommit, FileChange, FileVersion, iter_changing_commits
from vstore.objects.digest import Digest, hash_bytes
from vstore.objects.names import RelPath
from vstore.objects.pointer import POINTER_SUFFIX, Pointer
from vstore.objects.tree import cut_below, iter_entries
from vstore.ops.diff import ADDED, DELETED, KINDS, MODIFIED, RENAMED, kind_of
from vstore.ops.resolve import get_git, is_revision, list_artifacts, touches
from vstore.ops.trees import fetch_trees, load_tree
from vstore.repo import Repo
from vstore.workspace.pointers import parse_artifact

_BATCH = 500
_RANGE = re.compile(r"(.*?)(\.{2,3})(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LoggedVersion:
    """What one commit made of an artifact, or of a path inside one; what is not known or not there is None."""

    commit: str
    date: str
    """When it was written, as ISO 8601, in the author's time zone."""
    author: str
    email: str
    subject: str
    path: RelPath
    """Where it was then."""
    change: str
    """"added", "modified", "renamed" or "deleted"."""
    old_path: RelPath | None
    """What it was called before, if it was renamed."""
    kind: str | None
    """"tree", "file" or "executable"; inside a tree also "symlink" or "directory"."""
    size_bytes: int | None
    files: int | None
    digest: Digest | None
    growth_bytes: int | None
    """By how much it grew against the version before."""
    error: str | None = None
    """Why it is not known what the commit made of it."""


@dataclass(frozen=True, slots=True)
class LogResult:
    """Versions, newest first, those of one commit by path; ``is_shallow`` tells that older ones are not in this clone.

    ``failed`` names what could not be told, with the reason.
    """

    versions: list[LoggedVersion]
    is_shallow: bool
    failed: list[tuple[RelPath, str]]


def log(
    repo: Repo,
    paths: Sequence[str | Path] = (),
    *,
    rev: str | None = None,
    all_branches: bool = False,
    limit: int | None = None,
) -> LogResult:
    """List the versions that commits have of artifacts (all, if none are named), of those below directories, or of
    paths inside trees; ``limit`` is a number of commits.

    ``rev`` is where to begin (HEAD), or a range (``A..B``: what B has and A has not); ``all_branches`` begins at all
    branches and tags.  Renames are followed.  A merge is listed where it has what none of its parents had.
    Trees are needed, and fetched, only for paths inside them.
    Raises GitRepositoryNotFoundError, RevisionNotFoundError, NotTrackedError.
    """
    git = get_git(repo)
    wanted = [repo.relative(path) for path in paths]
    tips, without = _find_ends(git, rev, all_branches=all_branches)
    commits = iter_changing_commits(repo.work_tree, tips, without=without, suffix=POINTER_SUFFIX) if tips else iter(())
    history = _History(repo, git, wanted)
    versions: list[LoggedVersion] = []
    shown = 0
    size = _BATCH if limit is None else min(_BATCH, 4 * limit)
    while batch := list(itertools.islice(commits, size)):
        for found in history.read(batch):
            if limit is not None and shown >= limit:
                break
            shown += bool(found)
            versions += found
        if limit is not None and shown >= limit:
            break
    for named, path in zip(paths, wanted, strict=True):
        if path not in history.seen and not _is_known(repo, git, path):
            fields = {"revision": str(named)} if is_revision(repo, str(named)) else {}
            fact = f"{named} is not tracked by vstore, here or at any commit"
            raise NotTrackedError(fact, path=str(named), **fields)
    failed = {version.path: version.error for version in versions if version.error is not None}
    return LogResult(versions, git.is_shallow, sorted(failed.items()))


def _is_known(repo: Repo, git: GitRepo, path: RelPath) -> bool:
    """Tell whether a path is tracked, or above what is, in the work tree or at HEAD."""
    artifacts = [*list_artifacts(repo), *(list_artifacts(repo, rev="HEAD") if git.head() is not None else ())]
    return any(touches(path, artifact.path) for artifact in artifacts)


def _find_ends(git: GitRepo, rev: str | None, *, all_branches: bool) -> tuple[list[str], list[str]]:
    """Return the commits to begin at, and those whose history is left out."""
    tips: dict[str, None] = {}
    without: list[str] = []
    head = git.head()
    if rev is not None:
        bounds = _RANGE.fullmatch(rev)
        if bounds is None:
            tips[git.resolve(rev)] = None
        elif bounds[2] == "..":
            without.append(git.resolve(bounds[1] or "HEAD"))
            tips[git.resolve(bounds[3] or "HEAD")] = None
        else:
            tips |= dict.fromkeys(git.resolve(bounds[side] or "HEAD") for side in (1, 3))
    elif head is not None:
        tips[head] = None
    if all_branches:
        tips |= dict.fromkeys([*git.branch_tips().values(), *git.tag_tips().values()])
    return list(tips), without


class _Content(NamedTuple):
    """What is at a path; two with the same ``key`` are the same."""

    key: bytes | tuple[str, Digest]
    kind: str
    size_bytes: int
    files: int
    digest: Digest | None


Names = frozenset[tuple[RelPath, RelPath]]
"""What wanted paths are called at some commit, each with what it was called by who asked."""

_Change = tuple[FileChange, RelPath]
"""What a commit changed, and the path inside the artifact that is wanted ("" for all of it)."""


class _History:
    """Reads what commits made of the wanted paths, which may have had other names before."""

    def __init__(self, repo: Repo, git: GitRepo, wanted: Sequence[RelPath]) -> None:
        self._repo = repo
        self._git = git
        self._wanted: Names = frozenset((path, path) for path in wanted or [""])
        self._names: dict[str, Names] = {}
        """What the wanted paths were called at commits that are yet to come."""
        self._pointers: dict[str, Pointer | VstoreError] = {}
        self._parts: dict[tuple[Digest, RelPath], _Content | None] = {}
        self._lacking: Mapping[Digest, VstoreError] = {}
        self.seen: set[RelPath] = set()
        """Those of the wanted paths that some commit changed."""

    def read(self, commits: Sequence[ChangingCommit]) -> Iterator[list[LoggedVersion]]:
        """Yield the versions that each of some commits made; they come after those that were read before."""
        chosen = [(commit, list(self._choose(commit))) for commit in commits]
        changes = [change for _, some in chosen for change in some]
        self._read_pointers([change for change, _ in changes])
        self._fetch_trees(changes)
        for commit, some in chosen:
            versions = [version for change, inner in some if (version := self._tell(commit, change, inner))]
            yield sorted(versions, key=lambda version: version.path)

    # names

    def _choose(self, commit: ChangingCommit) -> Iterator[_Change]:
        """Yield the changes that matter, and find out what the wanted paths were called at the parents."""
        names = self._names.pop(commit.id, self._wanted)
        former = [names] * len(commit.parents)
        for change in commit.changes:
            path = _artifact_path(change.new.path)
            inside: dict[RelPath, None] = {}
            for place in dict.fromkeys([path, *(_artifact_path(old.path) for old in change.old)]):
                for name, origin in names:
                    if touches(name, place):
                        self.seen.add(origin)
                        inside[name[len(place) + 1 :] if name.startswith(place + "/") else ""] = None
            for inner in sorted(inside) if "" not in inside else [""]:
                yield change, inner
            for number, old in enumerate(change.old[: len(former)]):
                if old.path != change.new.path:
                    former[number] = _rename(former[number], path, _artifact_path(old.path))
        for parent, its in zip(commit.parents, former, strict=True):
            self._names[parent] = self._names.get(parent, its) | its

    # contents

    def _read_pointers(self, changes: Sequence[FileChange]) -> None:
        versions = [version for change in changes for version in (change.new, *change.old)]
        paths = {found.oid: found.path for found in versions if found.oid is not None}
        oids = [oid for oid in paths if oid not in self._pointers]
        try:
            self._parse(oids, paths)
        except GitFailedError:
            for oid in oids:
                try:
                    self._parse([oid], paths)
                except GitFailedError as error:
                    self._pointers[oid] = error

    def _parse(self, oids: Sequence[str], paths: Mapping[str, RelPath]) -> None:
        for oid, data in self._git.iter_contents(oids):
            self._pointers[oid] = parse_artifact(paths[oid], data).pointer

    def _fetch_trees(self, changes: Sequence[_Change]) -> None:
        """Bring the trees inside of which something is wanted; why one cannot be is found out when it is read."""
        needed = [
            (_artifact_path(found.path), pointer)
            for change, inner in changes
            for found in (change.new, *change.old)
            if inner and isinstance(pointer := self._pointers.get(found.oid or ""), Pointer)
        ]
        self._lacking = fetch_trees(self._repo, needed)

    def _look(self, version: FileVersion, inner: RelPath) -> _Content | None:
        """Return what a version of an artifact is, or is inside it.  Raises VstoreError where that is not known."""
        if version.oid is None:
            return None
        pointer = self._pointers[version.oid]
        if isinstance(pointer, NotDownloadedError):
            return None  # it held nothing yet
        if isinstance(pointer, VstoreError):
            raise pointer
        if not inner:
            kind = kind_of(pointer)
            return _Content((kind, pointer.digest), kind, pointer.size_bytes, pointer.files, pointer.digest)
        if not pointer.is_tree:
            return None
        if (pointer.digest, inner) not in self._parts:
            if pointer.digest in self._lacking:
                raise self._lacking[pointer.digest]
            tree = load_tree(self._repo, pointer, _artifact_path(version.path))
            self._parts[pointer.digest, inner] = _cut(tree, inner)
        return self._parts[pointer.digest, inner]

    # telling

    def _tell(self, commit: ChangingCommit, change: FileChange, inner: RelPath) -> LoggedVersion | None:
        """Return what a commit made of an artifact, or of what is inside it; None if that is as before."""
        path, old_path = (_join(_artifact_path(found.path), inner) for found in (change.new, change.old[0]))
        facts = (commit.id, commit.date, commit.author, commit.email, commit.subject, path)
        is_renamed = old_path != path
        try:
            after = self._look(change.new, inner)
        except VstoreError as error:
            return LoggedVersion(*facts, MODIFIED, None, None, None, None, None, None, error.message)
        before: list[_Content | None] = []
        for old in change.old:
            with contextlib.suppress(VstoreError):  # only how they differ is not known then
                before.append(self._look(old, inner))
        keys = [content and content.key for content in before]
        if (after and after.key) in keys and (inner or len(change.old) > 1):
            return None
        former = next((content for content in before if content is not None), None)
        if after is None:
            growth_bytes = None if former is None else -former.size_bytes
            return LoggedVersion(*facts, DELETED, None, None, None, None, None, growth_bytes)
        is_new = former is None and len(before) == len(change.old)
        return LoggedVersion(
            *facts,
            ADDED if is_new else RENAMED if is_renamed else MODIFIED,
            old_path if is_renamed and not is_new else None,
            after.kind,
            after.size_bytes,
            after.files,
            after.digest,
            None if former is None else after.size_bytes - former.size_bytes,
        )


def _cut(tree: bytes, inner: RelPath) -> _Content | None:
    """Return what is at a path inside a tree."""
    lines = cut_below(tree, inner)
    entries = list(iter_entries(lines))
    if not entries:
        return None
    # A million entries are kept as the hash of their lines.
    key = hash_bytes(lines, "xxh128").encode()
    size_bytes, files = sum(entry.size_bytes for entry in entries), sum(entry.is_file for entry in entries)
    if entries[0].path == inner:
        return _Content(key, KINDS[entries[0].kind], size_bytes, files, entries[0].digest or None)
    return _Content(key, "directory", size_bytes, files, None)


def _artifact_path(pointer_path: RelPath) -> RelPath:
    return pointer_path.removesuffix(POINTER_SUFFIX)


def _join(path: RelPath, inner: RelPath) -> RelPath:
    return f"{path}/{inner}" if inner else path


def _rename(names: Names, new: RelPath, old: RelPath) -> Names:
    """Return what names were before the artifact ``new`` was called so, and not ``old``."""
    former: set[tuple[RelPath, RelPath]] = set()
    for name, origin in names:
        if name == new or name.startswith(new + "/"):
            former.add((old + name[len(new) :], origin))
        else:
            former.add((name, origin))
            if touches(name, new):
                former.add((old, origin))
    return frozenset(former)
