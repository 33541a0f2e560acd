"""``remote adopt``: go on with what a remote holds, in a repository that knows nothing of it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from vstore.config import Layer, check_setting, set_value
from vstore.durable import os_errors
from vstore.errors import (
    AddRefusedError,
    ConfigInvalidError,
    ConflictError,
    InvalidError,
    PathNotFoundError,
    VstoreError,
)
from vstore.objects.digest import algorithm_of
from vstore.objects.names import RelPath
from vstore.objects.pointer import Pointer
from vstore.objects.tree import Tree
from vstore.ops.add import publish_pointer
from vstore.ops.admission import check_admission
from vstore.ops.config import find_file, stage_config
from vstore.ops.resolve import is_inside, list_artifacts
from vstore.ops.staging import stage
from vstore.remote.mirror import Mirror
from vstore.remote.projects import FoundProject, PushedVersion
from vstore.remote.recovery import Recovered, recover
from vstore.remote.remote import Remote
from vstore.repo import Repo
from vstore.workspace.pointers import find_owner

RECOVERED = "recovered"
"""The directory for what nobody knows the name of."""
MOST_RECOVERED = 1_000
"""No more pointers are made of what packs hold: a stranger can write any number of files into a bucket."""

NEW, UNCHANGED, KEPT = "new", "unchanged", "kept"
_GIT_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class PushedPath:
    """The newest version of a path that a project pushed; all but digest and size is what somebody wrote there."""

    path: RelPath
    kind: str
    digest: str
    size_bytes: int
    """What it needs, each content once."""
    author: str
    pushed: str | None
    """When, by the store's own date (ISO 8601, in UTC); None where it tells none."""
    git_commit: str | None


@dataclass(frozen=True, slots=True)
class ProjectInfo:
    """A project that has pushed to a remote; ``unreadable`` counts those of its ``commits`` that are."""

    project: str
    is_ours: bool
    commits: int
    unreadable: int
    authors: list[str]
    paths: list[PushedPath]


@dataclass(frozen=True, slots=True)
class AdoptedPath:
    """A pointer: "new", "unchanged" or "kept" (it says something else, and stays)."""

    path: RelPath
    kind: str
    digest: str
    size_bytes: int
    files: int
    change: str


@dataclass(frozen=True, slots=True)
class AdoptResult:
    """What a remote holds, and what of it this repository goes on with."""

    remote: str
    url: str
    projects: list[ProjectInfo]
    adopted: str | None
    """The project that this repository is now; None where several could be meant, or nothing tells."""
    pointers: list[AdoptedPath]
    refused: list[tuple[RelPath, str]]
    """What could not be taken over, as (path, reason)."""
    remarks: list[str]
    from_packs: bool
    dry_run: bool


@dataclass(frozen=True, slots=True)
class Adoption:
    """What to adopt: a project (None: the only one there is), some of its paths (none: all), or what packs hold."""

    project: str | None = None
    paths: Sequence[str | Path] = field(default=())
    from_packs: bool = False
    force: bool = False


def adopt_remote(
    repo: Repo,
    environ: Mapping[str, str],
    name: str | None = None,
    *,
    adoption: Adoption = Adoption(),
    dry_run: bool = False,
) -> AdoptResult:
    """Take over a project that a remote holds: its id into the configuration, and a pointer for each path.

    A pointer names the version pushed last.  No file is overwritten, and no pointer; contents come with a pull.  With
    ``from_packs`` pointers are made of what lies in packs that no commit names, and the id stays.
    Raises ConflictError, unless ``force``, where this repository has pushed under another id; PathNotFoundError.
    """
    name = repo.remote_name(name)
    with repo.open_remote(name) as remote:
        if adoption.from_packs:
            found, remarks = _recover(repo, remote)
            pointers, refused = _publish(repo, found, dry_run=dry_run)
            return AdoptResult(name, remote.url, [], None, pointers, refused, remarks, True, dry_run)
        projects = remote.list_projects(project=adoption.project, reporter=repo.reporter)
        infos = [_info(repo, project) for project in projects]
        chosen = _choose(repo, name, projects, adoption)
        if chosen is None:
            return AdoptResult(name, remote.url, infos, None, [], [], [], False, dry_run)
        if chosen.project != repo.config.project and not adoption.force:
            _check_unpushed(repo, remote)
        wanted, refused = _list_wanted(repo, name, chosen, adoption.paths)
        found, unread = _make_pointers(remote.seen_by(chosen.project), wanted)
        if not dry_run:
            _set_project(repo, environ, chosen.project, found)
        pointers, others = _publish(repo, found, dry_run=dry_run)
        refused = [*refused, *unread, *others]
        return AdoptResult(name, remote.url, infos, chosen.project, pointers, refused, [], False, dry_run)


# which project


def _choose(repo: Repo, remote: str, projects: Sequence[FoundProject], adoption: Adoption) -> FoundProject | None:
    if adoption.project is not None:
        if not _may_be_ours(adoption.project):
            fact = f"{adoption.project!r} is not the id of a project, which has 32 hexadecimal digits"
            raise InvalidError(fact, adopt=remote, project=adoption.project)
        for project in projects:
            if project.project == adoption.project:
                return project
        fact = f"no project {adoption.project!r} has commits there"
        raise InvalidError(fact, adopt=remote, project=adoption.project)
    others = [project for project in projects if project.project != repo.config.project]
    candidates = [project for project in others or projects if _may_be_ours(project.project)]
    return candidates[0] if len(candidates) == 1 else None


def _may_be_ours(project: str) -> bool:
    """Tell whether a repository can have the id: a key may hold others."""
    try:
        check_setting("core.project", project)
    except ConfigInvalidError:
        return False
    return True


def _check_unpushed(repo: Repo, remote: Remote) -> None:
    """Raise ConflictError if this repository has pushed: what it did would be another project's from now on."""
    own = repo.config.project
    mirrors = repo.shared / "remotes"
    known = any(Mirror(path).commit_keys(own) for path in (mirrors.iterdir() if mirrors.is_dir() else ()))
    if known or remote.list_projects(project=own):
        fact = "this repository has pushed as a project of its own, which it would not be any more"
        raise ConflictError(fact, project=own)


def _set_project(
    repo: Repo, environ: Mapping[str, str], project: str, found: Iterable[tuple[RelPath, Pointer]]
) -> None:
    """Take over the id, and where nothing is tracked yet also how contents are named."""
    file = find_file(repo.work_tree, environ, Layer.PROJECT)
    algorithms = {algorithm_of(pointer.digest).name for _, pointer in found}
    with repo.writing():
        if len(algorithms) == 1 and not algorithms <= {repo.algorithm} and not any(True for _ in list_artifacts(repo)):
            set_value(file, "core.hash", algorithms.pop())
        if project != repo.config.project:
            set_value(file, "core.project", project)
        stage_config(repo.work_tree, environ, repo.reporter)


# which paths


def _info(repo: Repo, project: FoundProject) -> ProjectInfo:
    versions = sorted(project.versions.values(), key=lambda version: version.root.path)
    return ProjectInfo(
        project.project,
        project.project == repo.config.project,
        project.commits,
        project.unreadable,
        project.authors,
        [_pushed_path(version) for version in versions],
    )


def _pushed_path(version: PushedVersion) -> PushedPath:
    root = version.root
    git_commit = root.git_commit if root.git_commit is not None and _GIT_COMMIT.fullmatch(root.git_commit) else None
    return PushedPath(
        root.path, root.kind, root.digest, root.size_bytes, version.author, _to_iso(version.pushed_s), git_commit
    )


def _to_iso(seconds: float) -> str | None:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds") if math.isfinite(seconds) else None
    except (ValueError, OverflowError, OSError):
        return None


def _list_wanted(
    repo: Repo, remote: str, project: FoundProject, paths: Sequence[str | Path]
) -> tuple[list[PushedVersion], list[tuple[RelPath, str]]]:
    """Return the versions that are meant, newest first, each but for those that lie in or around a newer one."""
    named = [repo.relative(path) for path in paths]
    for asked, path in zip(paths, named, strict=True):
        if not any(_is_at(known, path) for known in project.versions):
            fact = f"the project {project.project} has not pushed {asked}"
            raise PathNotFoundError(fact, path=str(asked), adopt=remote)
    chosen: list[PushedVersion] = []
    refused: list[tuple[RelPath, str]] = []
    for version in sorted(project.versions.values(), key=lambda each: (-each.pushed_s, each.root.path)):
        path = version.root.path
        if named and not any(_is_at(path, one) for one in named):
            continue
        around = [
            each.root.path for each in chosen if is_inside(path, [each.root.path]) or _is_at(each.root.path, path)
        ]
        if around:
            refused.append((path, f"{around[0]}, which was pushed later, is in the way"))
        else:
            chosen.append(version)
    return chosen, refused


def _is_at(path: RelPath, place: RelPath) -> bool:
    return not place or is_inside(path, [place])


def _make_pointers(
    remote: Remote, versions: Sequence[PushedVersion]
) -> tuple[list[tuple[RelPath, Pointer]], list[tuple[RelPath, str]]]:
    """Return a pointer for each version; those of trees need the trees, which are read and verified."""
    found: list[tuple[RelPath, Pointer]] = []
    failed: list[tuple[RelPath, str]] = []
    digests = {version.root.digest for version in versions if version.root.kind == "tree"}
    trees: dict[str, Pointer | None] = {}
    for digest, data in remote.read_roots(digests) if digests else ():
        try:
            tree = Tree.from_bytes(data)
        except VstoreError:
            trees[digest] = None
        else:
            trees[digest] = Pointer("tree", digest, tree.size_bytes, tree.files)
    for root in (version.root for version in versions):
        if root.kind == "file":
            found.append((root.path, Pointer("file", root.digest, root.size_bytes)))
        elif (pointer := trees.get(root.digest)) is not None:
            found.append((root.path, pointer))
        else:
            reason = (
                "what it names is no list of files" if root.digest in trees else "its list of files is good nowhere"
            )
            failed.append((root.path, reason))
    return found, failed


# from packs


def _recover(repo: Repo, remote: Remote) -> tuple[list[tuple[RelPath, Pointer]], list[str]]:
    """Return pointers for what lies in packs that no commit names, and what else there is to say."""
    unpinned = remote.find_unpinned(reporter=repo.reporter)
    recovery = recover(unpinned, repo.reporter)
    remarks = list(unpinned.remarks)
    if recovery.torn:
        number = f"{recovery.torn:,} lists of files name" if recovery.torn > 1 else "a list of files names"
        remarks.append(f"{number} what is not there, and nothing was made of it")
    if len(recovery.found) > MOST_RECOVERED:
        remarks.append(f"{len(recovery.found) - MOST_RECOVERED:,} more, all smaller, were left out")
    return list(map(_recovered, recovery.found[:MOST_RECOVERED])), remarks


def _recovered(one: Recovered) -> tuple[RelPath, Pointer]:
    return f"{RECOVERED}/{one.digest.partition(':')[2]}", Pointer(one.kind, one.digest, one.size_bytes, one.files)


# pointers


def _publish(
    repo: Repo, found: Sequence[tuple[RelPath, Pointer]], *, dry_run: bool
) -> tuple[list[AdoptedPath], list[tuple[RelPath, str]]]:
    """Write those pointers that are not there; return what became of each, and what was refused."""
    done: list[AdoptedPath] = []
    refused: list[tuple[RelPath, str]] = []
    staged: list[RelPath] = []
    with repo.writing():
        for path, pointer in sorted(found, key=lambda one: one[0]):
            try:
                change, there = _judge(repo, path, pointer)
                if change != KEPT and not dry_run:  # one that is there may have died before its ignore rule
                    staged += publish_pointer(repo, path, there)
            except VstoreError as error:
                refused.append((path, error.message))
            else:
                done.append(AdoptedPath(path, pointer.kind, pointer.digest, pointer.size_bytes, pointer.files, change))
        stage(repo, staged)
    return done, refused


def _judge(repo: Repo, path: RelPath, pointer: Pointer) -> tuple[str, Pointer]:
    """Return what becomes of a pointer, and which one is to be there.

    Raises AddRefusedError, also for what no path of this repository may be.
    """
    if not path.isprintable():
        raise AddRefusedError("its name holds control characters", path=path, reason="name")
    with os_errors(path, "look at"):
        check_admission(repo, path, force=False)
        owner = find_owner(repo.work_tree, path)
    if owner is None:
        return NEW, pointer
    if owner.path != path:
        raise AddRefusedError(f"{path} is in {owner.path}, which is tracked as a whole", path=path, reason="inside")
    if isinstance(owner.pointer, Pointer) and owner.pointer.digest == pointer.digest:
        return UNCHANGED, owner.pointer
    return KEPT, pointer
