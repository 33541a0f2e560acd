"""What vstore does in git's hooks: restore what a checkout, merge or rebase brought, push what a push needs, look.

None of it fails a command of git but where something would be lost: a push of commits without their data, and a
commit of a pointer that is in conflict.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vstore.errors import (
    AddRefusedError,
    GitFailedError,
    ObjectMissingError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    VstoreError,
)
from vstore.git import GitRepo, find_git_repo
from vstore.git.new_commits import find_new_commits, has_changed, iter_introduced
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.pointer import POINTER_SUFFIX, Pointer
from vstore.ops.checkout import CheckoutResult, checkout
from vstore.ops.push import PushResult, push_versions
from vstore.ops.resolve import Target
from vstore.ops.status import MODIFIED, OUTDATED, ArtifactStatus, status
from vstore.ops.transfer import Version, list_contents
from vstore.ops.trees import find_tree
from vstore.repo import VSTORE_DIRECTORY, Repo
from vstore.workspace.pointers import parse_artifact


@dataclass(frozen=True, slots=True)
class HookResult:
    """What a hook did, or found; nothing where there was nothing to do."""

    checkout: CheckoutResult | None = None
    push: PushResult | None = None
    modified: list[ArtifactStatus] = field(default_factory=list)
    """Artifacts whose files somebody changed and did not add."""
    outdated: list[RelPath] = field(default_factory=list)
    """Artifacts whose pointers moved on, as in a merge that was in conflict elsewhere, and whose files did not."""
    no_remote: bool = False
    """Whether data would have been pushed, had a remote been configured."""


def run_hook(
    repo: Repo, name: str, arguments: Sequence[str] = (), updates: str = "", *, index: Path | None = None
) -> HookResult:
    """Do what is to be done in one of git's hooks, given its arguments and what git tells it on standard input.

    ``index`` is the one that git is about to commit, where that is not the one of the work tree.

    Raises what a checkout or a push raises, PointerInvalidError for a conflict and AddRefusedError for data that would
    be committed.
    """
    git = repo.git
    if git is None:
        return HookResult()
    if name == "pre-commit":
        return _pre_commit(repo, git if index is None else git.with_index(index))
    if name == "pre-push":
        return _pre_push(repo, git, updates, arguments[0] if arguments else "")
    if name == "post-checkout":
        old, new, is_switch = arguments[:3]
        return _restore(repo) if is_switch == "1" and _is_other(git, old, new) else HookResult()
    if name == "post-merge":
        is_squash = "1" in arguments[:1]
        return _restore(repo) if is_squash or _is_other(git, "ORIG_HEAD", "HEAD") else HookResult()
    # Amending a commit is none of ours: whatever it changed was here before.
    return _restore(repo) if name == "post-rewrite" and "rebase" in arguments[:1] else HookResult()


def check_push_without_repository(start: Path, updates: str) -> None:
    """Raise RepositoryNotFoundError if a push from a work tree without vstore brings pointers somewhere.

    A branch without ``.vstore`` is checked out, or a sparse checkout leaves it out; their data cannot follow.
    """
    git = find_git_repo(start)
    if git is None:
        return
    commits = find_new_commits(git, updates, None).commits
    found = next((commit for commit, _, _ in iter_introduced(git, commits, POINTER_SUFFIX)), None)
    if found is not None:
        where = git.work_tree / VSTORE_DIRECTORY / "config"
        fact = f"the commit {found[:10]} brings pointers, and there is no {where} that says where their data goes"
        raise RepositoryNotFoundError(fact, path=str(git.work_tree), commit=found)


def _is_other(git: GitRepo, old: str, new: str) -> bool:
    """Tell whether pointers differ between two commits; also where there is no old one, as after a clone."""
    try:
        return old != new and has_changed(git, git.resolve(old), git.resolve(new), POINTER_SUFFIX)
    except (RevisionNotFoundError, GitFailedError):
        return True


def _restore(repo: Repo) -> HookResult:
    return HookResult(checkout=checkout(repo))


def _pre_commit(repo: Repo, git: GitRepo) -> HookResult:
    for path, data in git.iter_index_files(POINTER_SUFFIX):
        artifact = parse_artifact(path, data)
        if isinstance(artifact.pointer, Pointer) and git.has_tracked(artifact.path):
            # As after `git mv` of a pointer, where no ignore rule came along, and `git add --all`.
            fact = f"git is about to commit the data of {artifact.path}, for which {path} stands"
            raise AddRefusedError(fact, reason="git-tracked", path=artifact.path)
        if isinstance(artifact.pointer, VstoreError) and artifact.is_in_conflict:
            head = git.head()
            if head is None or git.find_file(head, path) != data:
                raise artifact.pointer
    found = status(repo).artifacts
    return HookResult(
        modified=[artifact for artifact in found if artifact.data == MODIFIED],
        outdated=[artifact.path for artifact in found if artifact.data == OUTDATED],
    )


def _pre_push(repo: Repo, git: GitRepo, updates: str, git_remote: str) -> HookResult:
    """Push what new commits need.

    What they brought in has to get there.  What was there before them, or is known to another git remote, is pushed,
    too, where the remote lacks it; but what was lost long ago is no reason to let nobody push any more.
    """
    commits, ends = find_new_commits(git, updates, git_remote)
    introduced = list(iter_introduced(git, find_new_commits(git, updates, None).commits, POINTER_SUFFIX))
    for commit, path, data in introduced:
        if parse_artifact(path, data).is_in_conflict:  # git asks no hook in `git rebase --continue`
            repo.reporter.warn(f"{path} is in conflict in the commit {commit[:10]}, so nobody can check it out there")
    brought = _to_versions(introduced)
    held = ((commit, path, data) for commit in ends for path, data in git.iter_files(commit, POINTER_SUFFIX))
    found = itertools.chain(iter_introduced(git, commits, POINTER_SUFFIX), held)
    known = set(map(_key, brought))
    older = [version for version in _to_versions(found) if _key(version) not in known]
    if not brought and not older:
        return HookResult()
    if not repo.config.remotes:
        return HookResult(no_remote=True)
    lost: list[str] = []
    while True:
        try:
            done = push_versions(repo, [*brought, *older])
        except ObjectMissingError as error:
            if not older:
                raise
            missing = set(error.fields.get("digests", ()))
            whole = [version for version in older if missing.isdisjoint(_list_needed(repo, version))]
            lost += error.fields.get("paths", ())
            older = whole if len(whole) < len(older) else []
        else:
            break
    if lost:
        paths = ", ".join(dict.fromkeys(lost[:3]))
        repo.reporter.warn(f"data of older commits is neither in the cache nor in the remote: {paths}")
    return HookResult(push=done)


def _list_needed(repo: Repo, version: Version) -> set[Digest]:
    """Return what a version needs, as far as the cache tells it."""
    pointer = version.pointer
    tree = find_tree(repo, pointer.digest) if pointer.is_tree else None
    return {content.digest for content in list_contents(pointer, tree)}


def _to_versions(found: Iterable[tuple[str, str, bytes]]) -> list[Version]:
    """Return the versions that pointers at some commits say, each once; what is no pointer is passed over."""
    versions: dict[tuple[str, str], Version] = {}
    for commit, path, data in found:
        artifact = parse_artifact(path, data)
        if isinstance(artifact.pointer, Pointer):
            version = Version(Target(artifact), commit)
            versions.setdefault(_key(version), version)
    return list(versions.values())


def _key(version: Version) -> tuple[str, str]:
    return version.target.path, version.pointer.digest
