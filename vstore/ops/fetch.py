"""``fetch``: bring what pointers name from their remotes into the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vstore.cache.writer import open_writer
from vstore.errors import (
    NoSpaceError,
    NotDownloadedError,
    ObjectMissingError,
    PermissionDeniedError,
    RemoteDeniedError,
    RemoteUnavailableError,
    VstoreError,
)
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.tree import Tree
from vstore.ops.cluster.fetching import fetch_on
from vstore.ops.gathering import Manner, bring_from_origin, is_imported
from vstore.ops.import_url import bring_awaited
from vstore.ops.resolve import is_inside
from vstore.ops.transfer import Scope, Version, group_by_remote, list_versions, list_wanted
from vstore.ops.trees import fetch_trees, find_tree, load_tree
from vstore.remote.content import Content
from vstore.remote.fetch import FetchReport
from vstore.remote.remote import Remote
from vstore.repo import Repo
from vstore.workspace.pointers import find_artifact


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came from one remote."""

    remote: str
    url: str
    objects: int
    size_bytes: int
    """Bytes downloaded; in a dry run the bytes, before compression and chunking, that would be at most."""
    reused_bytes: int
    """Bytes that older versions on this machine, or an interrupted fetch, held already."""


@dataclass(frozen=True, slots=True)
class FetchResult:
    """What came from where, and the paths whose objects are good nowhere, as (path, digest)."""

    remotes: list[Fetched]
    broken: list[tuple[RelPath, str]]
    missing: list[tuple[RelPath, Digest]]
    dry_run: bool
    imported: list[RelPath] = field(default_factory=list)
    """Imports that were not downloaded yet and were named: they came from their sources."""


def fetch(
    repo: Repo,
    paths: Sequence[str | Path] = (),
    *,
    remote: str | None = None,
    scope: Scope = Scope(),  # noqa: B008 - frozen
    dry_run: bool = False,
) -> FetchResult:
    """Fetch what the cache lacks of artifacts, or of paths inside their trees; every byte is verified.

    What can be fetched is, also when something else is missing, or where an import came from is gone.  An import that
    was not downloaded yet comes from its source, if it is named itself.  Raises SourceChangedError where the source has
    that version no longer.
    """
    imported = _bring_awaited(repo, paths, dry_run=dry_run) if scope == Scope() else []
    versions, broken = list_versions(repo, paths, scope)
    done: list[Fetched] = []
    missing: list[tuple[RelPath, Digest]] = []
    with repo.using_cache():
        lacking = [version for version in versions if is_lacking(repo, version)]
        ours = [version for version in lacking if not _is_elsewhere(repo, version)]
        for name, group in group_by_remote(repo, ours, remote).items():
            try:
                with repo.open_remote(name) as opened:
                    fetched, absent = _fetch_from(repo, opened, group, dry_run=dry_run)
            except (RemoteUnavailableError, RemoteDeniedError) as error:
                if not all(is_imported(version.pointer) for version in group):
                    raise
                repo.reporter.note(f"imports come from where they came from: {error.message}")
                continue
            done.append(fetched)
            missing += absent
        for version in lacking:
            # In a dry run our remote is believed to have what it shall have.
            if _is_elsewhere(repo, version) or (not dry_run and _is_left(repo, version)):
                path = version.target.path
                try:
                    fetched, absent = _bring(repo, version, dry_run=dry_run)
                except (NoSpaceError, PermissionDeniedError):
                    raise
                except VstoreError as error:
                    if len(versions) == 1:
                        raise
                    repo.reporter.warn(f"{path} does not come from where it came from: {error.message}")
                    missing.append((path, version.pointer.digest))
                    continue
                done.append(fetched)
                missing = [item for item in missing if not is_inside(item[0], [path])] + absent
    return FetchResult(done, broken, missing, dry_run, imported)


def _bring_awaited(repo: Repo, paths: Sequence[str | Path], *, dry_run: bool) -> list[RelPath]:
    """Download the imports among some paths that were not downloaded yet."""
    awaited = [
        path
        for path in dict.fromkeys(map(repo.relative, paths))
        if path
        and (artifact := find_artifact(repo.work_tree, path)) is not None
        and isinstance(artifact.pointer, NotDownloadedError)
    ]
    return awaited if dry_run else [path for path in awaited if bring_awaited(repo, path)]


def _is_elsewhere(repo: Repo, version: Version) -> bool:
    """Tell whether no remote of ours has an import, or shall have it."""
    return is_imported(version.pointer) and (version.pointer.stays_elsewhere or not repo.config.remotes)


def _is_left(repo: Repo, version: Version) -> bool:
    """Tell whether an import is still lacking after our remotes were asked: nobody pushed it."""
    return is_imported(version.pointer) and is_lacking(repo, version)


def _bring(repo: Repo, version: Version, *, dry_run: bool) -> tuple[Fetched, list[tuple[RelPath, Digest]]]:
    """Bring an import from the repository from which it was imported, at the commit that its pointer names."""
    found = bring_from_origin(repo, version.target, repo.cache, manner=Manner(download=not dry_run))
    assert found is not None
    digests = dict.fromkeys(entry.digest for entry in found.entries if entry.is_file)
    fetched = Fetched(
        found.location,
        found.location,
        len(found.lacking) if dry_run else len(digests) - len(found.lacking),
        found.lacking_bytes if dry_run else found.read_bytes,
        0,
    )
    if dry_run or not is_lacking(repo, version):
        return fetched, []
    if not version.pointer.is_tree or find_tree(repo, version.pointer.digest) is None:
        return fetched, [(version.target.path, version.pointer.digest)]
    path = version.target.path
    return fetched, [(f"{path}/{inner}" if inner else path, digest) for inner, digest in found.missing]


def is_lacking(repo: Repo, version: Version) -> bool:
    """Tell whether the cache lacks something of what a version needs."""
    pointer = version.pointer
    if not pointer.is_tree:
        return not repo.cache.has(pointer.digest)
    tree = find_tree(repo, pointer.digest)
    return tree is None or bool(repo.cache.find_missing(c.digest for c in list_wanted(version, tree)))


def _fetch_from(
    repo: Repo, remote: Remote, versions: Sequence[Version], *, dry_run: bool
) -> tuple[Fetched, list[tuple[RelPath, Digest]]]:
    absent: list[tuple[RelPath, Digest]] = []
    trees: dict[Digest, bytes | None] = {}
    artifacts = [(version.target.artifact.path, version.pointer) for version in versions]
    failed = fetch_trees(repo, artifacts, remote=remote.name)
    for path, pointer in artifacts:
        try:
            if pointer.digest in failed:
                raise failed[pointer.digest]
            trees[pointer.digest] = load_tree(repo, pointer, path, remote=remote.name) if pointer.is_tree else None
        except ObjectMissingError:
            absent.append((path, pointer.digest))
    known = [version for version in versions if version.pointer.digest in trees]
    wanted: dict[Digest, Content] = {}
    for version in known:
        wanted.update((content.digest, content) for content in list_wanted(version, trees[version.pointer.digest]))
    lacking = repo.cache.find_missing(wanted)
    contents = [content for digest, content in wanted.items() if digest in lacking]
    if dry_run or not contents:
        size = sum(content.size_bytes for content in contents)
        return Fetched(remote.name, remote.url, len(contents), size, 0), absent
    report = _run(repo, remote, known, contents, trees)
    if report.missing:
        absent += _name(known, trees, set(report.missing))
    return Fetched(remote.name, remote.url, report.contents, report.read_bytes, report.reused_bytes), absent


def _run(
    repo: Repo,
    remote: Remote,
    versions: Sequence[Version],
    contents: Sequence[Content],
    trees: dict[Digest, bytes | None],
) -> FetchReport:
    large = {content.digest for content in contents if content.size_bytes > SMALL_BYTES}
    bases = _find_bases(repo, versions, trees, large) if large else {}
    roots = {version.pointer.digest for version in versions}
    if repo.engine is not None:
        return fetch_on(repo, repo.engine, remote, contents, roots=roots, bases=bases)
    with open_writer(repo.cache, repo.warn_of_damage) as writer:
        return remote.fetch(contents, writer, roots=roots, bases=bases, reporter=repo.reporter)


def _find_bases(
    repo: Repo, versions: Sequence[Version], trees: dict[Digest, bytes | None], large: set[Digest]
) -> dict[Digest, Digest]:
    """Return, for large contents, what the same path held in the version that is in the work tree."""
    bases: dict[Digest, Digest] = {}
    for version in versions:
        placed = repo.state.find_placed(version.target.artifact.path)
        if placed is None:
            continue
        tree = trees[version.pointer.digest]
        if tree is None:
            bases[version.pointer.digest] = placed.digest
            continue
        old = find_tree(repo, placed.digest)
        if old is None:
            continue
        before = {entry.path: entry.digest for entry in Tree.from_bytes(old).entries}
        for entry in Tree.from_bytes(tree).entries:
            if entry.digest in large and entry.path in before:
                bases[entry.digest] = before[entry.path]
    return {new: old for new, old in bases.items() if new != old}


def _name(
    versions: Sequence[Version], trees: dict[Digest, bytes | None], missing: set[Digest]
) -> list[tuple[RelPath, Digest]]:
    """Return the paths that need missing objects."""
    named: list[tuple[RelPath, Digest]] = []
    for version in versions:
        path, tree = version.target.artifact.path, trees[version.pointer.digest]
        if tree is None:
            named += [(path, version.pointer.digest)] if version.pointer.digest in missing else []
        else:
            named += [
                (f"{path}/{entry.path}", entry.digest)
                for entry in Tree.from_bytes(tree).iter_below(version.target.inner)
                if entry.digest in missing
            ]
    return named
