"""``push``: bring what pointers name to their remotes."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from vstore.errors import ObjectMissingError
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.ops.cluster.pushing import Pushers
from vstore.ops.fetch import is_lacking
from vstore.ops.gathering import is_imported
from vstore.ops.needs import name_contents
from vstore.ops.transfer import Scope, Version, group_by_remote, list_contents, list_versions, refresh_listing
from vstore.ops.trees import find_tree, load_tree
from vstore.remote.check import Lack
from vstore.remote.content import Content, Root
from vstore.remote.remote import Remote
from vstore.repo import Repo

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Pushed:
    """What went to one remote."""

    remote: str
    url: str
    roots: list[RelPath]
    """The artifacts that the remote did not hold before."""
    present: int
    """How many artifacts it held already."""
    objects: int
    size_bytes: int
    """Bytes uploaded; in a dry run the bytes, before compression and chunking, that would be at most."""
    packs: int


@dataclass(frozen=True, slots=True)
class PushResult:
    """What went where; ``lacking`` has for ``check`` what the remote lacks, as (path, reason)."""

    remotes: list[Pushed]
    broken: list[tuple[RelPath, str]]
    lacking: list[tuple[RelPath, str]]
    checked: bool
    dry_run: bool


def push(
    repo: Repo,
    paths: Sequence[str | Path] = (),
    *,
    remote: str | None = None,
    scope: Scope = Scope(),  # noqa: B008 - frozen
    check: bool = False,
    dry_run: bool = False,
) -> PushResult:
    """Push artifacts whole (a path inside a tree means its artifact), then the remote holds all they need.

    ``check`` pushes nothing and looks, object by object, whether the remote really holds everything.
    Raises ObjectMissingError, before anything is committed, naming paths that neither the cache nor the remote has.
    """
    versions, broken = list_versions(repo, paths, scope)
    for path in dict.fromkeys(version.target.path for version in versions if version.pointer.stays_elsewhere):
        repo.reporter.note(f"{path} was passed over: it is an import that stays where it came from")
    result = push_versions(repo, versions, remote=remote, check=check, dry_run=dry_run)
    return dataclasses.replace(result, broken=broken)


def push_versions(
    repo: Repo,
    versions: Sequence[Version],
    *,
    remote: str | None = None,
    check: bool = False,
    dry_run: bool = False,
) -> PushResult:
    """Push versions of artifacts, as ``push`` does."""
    done: list[Pushed] = []
    lacking: list[tuple[RelPath, str]] = []
    with repo.using_cache():
        for name, group in group_by_remote(repo, versions, remote).items():
            with repo.open_remote(name) as opened:
                roots = _make_roots(repo, _without_absent_imports(repo, opened, group), name)
                if check:
                    lacks = opened.check(roots, reporter=repo.reporter)
                    lacking += [(lack.path, _reason(repo, lack, group)) for lack in lacks]
                    done.append(Pushed(name, opened.url, [], len(roots) - len({lack.root for lack in lacks}), 0, 0, 0))
                    continue
                plan = opened.plan_push(roots, reporter=repo.reporter)
                present = set(plan.present)
                new = [root.path for root in roots if root.digest not in present]
                if dry_run or plan.is_empty:
                    done.append(
                        Pushed(name, opened.url, new, len(roots) - len(new), plan.new_records, plan.new_bytes, 0)
                    )
                    if not dry_run:
                        refresh_listing(repo, opened)
                    continue
                crew = None if repo.engine is None else Pushers(repo, repo.engine, name)
                try:
                    report = opened.push(plan, repo.cache, crew=crew, reporter=repo.reporter)
                except ObjectMissingError as error:
                    raise _with_paths(repo, error, group) from error
                refresh_listing(repo, opened)
                done.append(
                    Pushed(
                        name,
                        opened.url,
                        new,
                        len(roots) - len(new),
                        report.records,
                        report.uploaded_bytes,
                        report.packs,
                    )
                )
    return PushResult(done, [], lacking, check, dry_run)


class _Contents(Sequence[Content]):
    """All that a version needs, listed when somebody asks: a push of what is there already never does."""

    def __init__(self, repo: Repo, version: Version, remote: str) -> None:
        self._repo, self._version, self._remote = repo, version, remote

    @functools.cached_property
    def _all(self) -> list[Content]:
        pointer, path = self._version.pointer, self._version.target.artifact.path
        tree = load_tree(self._repo, pointer, path, remote=self._remote) if pointer.is_tree else None
        return list_contents(pointer, tree)

    @overload
    def __getitem__(self, index: int) -> Content: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Content]: ...
    def __getitem__(self, index: int | slice) -> Content | Sequence[Content]:
        return self._all[index]

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Content]:
        return iter(self._all)


def _without_absent_imports(repo: Repo, remote: Remote, versions: Sequence[Version]) -> list[Version]:
    """Leave out imports that were never brought here and that the remote lacks: they are safe where they are."""
    absent = {
        version.pointer.digest for version in versions if is_imported(version.pointer) and is_lacking(repo, version)
    }
    if absent:
        absent = remote.missing_roots(absent, reporter=repo.reporter)
    for path in dict.fromkeys(version.target.path for version in versions if version.pointer.digest in absent):
        repo.reporter.note(f"{path} was passed over: it is an import whose data was not downloaded")
    return [version for version in versions if version.pointer.digest not in absent]


def _make_roots(repo: Repo, versions: Sequence[Version], remote: str) -> list[Root]:
    roots: dict[Digest, Root] = {}
    for version in versions:
        pointer = version.pointer
        contents = _Contents(repo, version, remote)
        root = Root(pointer.digest, pointer.kind, contents, version.target.artifact.path, version.git_commit)
        if pointer.is_tree:  # it needs all that a file with the same bytes does
            roots[pointer.digest] = root
        roots.setdefault(pointer.digest, root)
    return list(roots.values())


def _reason(repo: Repo, lack: Lack, versions: Sequence[Version]) -> str:
    """Return why an artifact is not whole, with some of the files that it is about."""
    own = [version for version in versions if version.pointer.digest == lack.root]
    paths = _name(repo, own, set(lack.contents) - {lack.root})
    if not paths:
        return lack.reason
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return f"{lack.reason}: {', '.join(paths[:_NAMED])}{more}"


def _with_paths(repo: Repo, error: ObjectMissingError, versions: Sequence[Version]) -> ObjectMissingError:
    """Return the error naming the files that need the missing objects."""
    missing = set(error.fields.get("digests", ()))
    return ObjectMissingError(
        f"{len(missing)} objects are neither in the cache nor in the remote, so nothing was pushed",
        digests=sorted(missing),
        paths=_name(repo, versions, missing),
    )


def _name(repo: Repo, versions: Sequence[Version], missing: set[Digest]) -> list[RelPath]:
    """Return the files that need missing objects, sorted."""
    paths: set[RelPath] = set()
    for version in versions:
        pointer, path = version.pointer, version.target.artifact.path
        if pointer.is_tree:
            paths.update(name_contents(path, pointer.digest, missing, functools.partial(find_tree, repo)))
        elif pointer.digest in missing:
            paths.add(path)
    return sorted(paths)
