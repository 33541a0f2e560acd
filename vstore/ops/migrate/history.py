"""Old versions, too: history is written anew in branches and tags of its own, beside the history there is.

Every commit gets the pointers of what the other tool tracked in it.  ``main`` stays, and is ``vstore/main`` anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from vstore.errors import ConflictError, InvalidError
from vstore.git import GitRepo
from vstore.git.folders import Folders, GitFile
from vstore.git.rewriting import (
    Edit,
    OldCommit,
    Ref,
    copy_tag,
    current_branch,
    is_ancestor,
    list_checked_out,
    list_commits,
    list_refs,
    rewrite,
    set_ref,
)
from vstore.objects.names import RelPath
from vstore.objects.pointer import POINTER_SUFFIX, Pointer, pointer_to_bytes
from vstore.ops.migrate.moving import Mover
from vstore.ops.migrate.result import Rewritten
from vstore.ops.transfer import Scope
from vstore.repo import VSTORE_DIRECTORY, Repo

PREFIX = "vstore/"
_HEADS, _TAGS, _REMOTES = "refs/heads/", "refs/tags/", "refs/remotes/"
CONFIG = f"{VSTORE_DIRECTORY}/config"
_NOTHING: Mapping[RelPath, bytes] = {}


class Tool(Protocol):
    """What a tool's files in a commit mean."""

    def is_wanted(self, name: str, oid: str) -> bool:
        """Tell by name and object id whether a file of a commit says anything about data."""

    def prepare(self, versions: Mapping[tuple[GitFile, ...], str]) -> None:
        """Bring the contents that some versions need; each is the wanted files of a commit, with the first commit."""

    def edit(self, files: tuple[GitFile, ...]) -> Edit | None:
        """Return what our commit has in the place of these files; None where nothing differs."""


class _Plan(NamedTuple):
    refs: list[tuple[Ref, str]]
    """Each with the name of the new one."""
    commits: list[OldCommit]


def migrate_history(git: GitRepo, mover: Mover, scope: Scope, make_tool: Callable[[Sequence[str]], Tool]) -> int:
    """Write the commits of a scope anew and return how many; accounts for the rest in the result of ``mover``.

    ``make_tool`` gets the tips.  New branches and tags are called as the old ones, below ``vstore/``; one that is there
    already moves on, unless somebody committed to it or checked it out.  Raises ConflictError, GitFailedError.
    """
    directory = git.work_tree
    plan = _plan(directory, scope)
    if git.is_shallow:
        mover.repo.reporter.warn("this clone is shallow: the new history begins where it was cut off")
    tool = make_tool([ref.commit for ref, _ in plan.refs])
    folders = Folders(directory, tool.is_wanted)
    folders.load(commit.tree for commit in plan.commits)
    versions: dict[tuple[GitFile, ...], str] = {}
    for commit in plan.commits:
        versions.setdefault(folders.list(commit.tree), commit.oid)
    tool.prepare(versions)
    made = {files: tool.edit(files) for files in versions}
    edits = {commit.oid: edit for commit in plan.commits if (edit := made[folders.list(commit.tree)]) is not None}
    result = mover.result
    if mover.how.dry_run:
        tips = [(ref, name) for ref, name in plan.refs if ref.commit in edits]
        result.history.extend(Rewritten(ref.name, name, "") for ref, name in tips)
        return len(edits)
    new = rewrite(directory, mover.repo.private, plan.commits, edits)
    checked_out = list_checked_out(directory)
    present = {ref.name: ref for ref in list_refs(directory, _HEADS + PREFIX, _TAGS + PREFIX)}
    for ref, name in plan.refs:
        tip = new[ref.commit]
        if tip == ref.commit:
            continue  # none of the other tool's data is in it
        reason = _point(directory, ref, name, tip, present.get(name), checked_out)
        if reason is None:
            result.history.append(Rewritten(ref.name, name, tip))
        else:
            result.refused.append((name, reason))
    return sum(old != oid for old, oid in new.items())


def _plan(directory: Path, scope: Scope) -> _Plan:
    if list_refs(directory, _HEADS + PREFIX.rstrip("/")) and not list_refs(directory, _HEADS + PREFIX):
        raise ConflictError("a branch is called vstore, so that none can be called vstore/...", path=str(directory))
    refs: list[tuple[Ref, str]] = []
    commits: list[OldCommit] = []
    if scope.all_branches or scope.all_commits:
        refs += [(ref, _HEADS + PREFIX + ref.name.removeprefix(_HEADS)) for ref in _list_own(directory, _HEADS)]
        commits = list_commits(directory, [ref.commit for ref, _ in refs])
        reachable = {commit.oid for commit in commits}
        for ref in list_refs(directory, _REMOTES):
            # What a branch here holds already needs no second one.
            if ref.commit not in reachable:
                refs.append((ref, _HEADS + PREFIX + ref.name.removeprefix(_REMOTES)))
    if scope.all_tags or scope.all_commits:
        refs += [(ref, _TAGS + PREFIX + ref.name.removeprefix(_TAGS)) for ref in _list_own(directory, _TAGS)]
    if not refs:
        raise InvalidError("there is no commit yet whose data could move in")
    # First the one that people stand on.
    refs.sort(key=lambda pair: pair[0].name != _HEADS + current_branch(directory))
    return _Plan(refs, list_commits(directory, [ref.commit for ref, _ in refs]))


def _list_own(directory: Path, prefix: str) -> list[Ref]:
    return [ref for ref in list_refs(directory, prefix) if not ref.name.startswith(prefix + PREFIX)]


def _point(directory: Path, ref: Ref, name: str, commit: str, there: Ref | None, checked_out: set[str]) -> str | None:
    """Make a new branch or tag name a commit; returns why it stays as it is, if it does."""
    if there is not None and there.commit == commit:
        return None
    if there is not None and (name.startswith(_TAGS) or not is_ancestor(directory, there.commit, commit)):
        return "stays as it is: it names something else, and would have to be deleted first"
    if name in checked_out:
        return "stays as it is: it is checked out"
    oid = commit
    if name.startswith(_TAGS) and ref.oid != ref.commit:
        oid = copy_tag(directory, ref.oid, name.removeprefix(_TAGS), commit)
    set_ref(directory, name, oid, old=None if there is None else there.oid)
    return None


class OwnFiles:
    """Our own files in a commit that is written anew: pointers, and what makes it a repository of vstore."""

    def __init__(self, repo: Repo) -> None:
        self._settings = {}
        for name in (CONFIG, f"{VSTORE_DIRECTORY}/.gitignore"):
            file = repo.work_tree / name
            self._settings[name] = file.read_bytes() if file.is_file() else b""

    def edit(
        self,
        files: Sequence[GitFile],
        pointers: Mapping[RelPath, Pointer],
        delete: Sequence[RelPath],
        more: Mapping[RelPath, bytes] = _NOTHING,
    ) -> Edit | None:
        """Return an edit that writes pointers, and ``more``, and deletes; a pointer that the commit has already stays.

        None where there is nothing to do.
        """
        if not pointers and not delete:
            return None
        present = {file.path for file in files}
        write = {path + POINTER_SUFFIX: pointer_to_bytes(pointer) for path, pointer in sorted(pointers.items())}
        if CONFIG not in present:
            write |= self._settings
        kept = {path: content for path, content in write.items() if path not in present}
        return Edit(tuple(delete), tuple({**kept, **more}.items()))
