"""Who needs what: the paths, also inside trees, and the git revisions that need some contents."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from vstore.errors import VstoreError
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.pointer import POINTER_SUFFIX, Pointer
from vstore.objects.tree import Entry, Tree
from vstore.remote.commits import CommittedRoot
from vstore.repo import Repo
from vstore.workspace.pointers import parse_artifact

_GIT_COMMIT = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Revision:
    """A git commit, with the names of the branches and tags that are at it."""

    commit: str
    names: list[str]


class Place(NamedTuple):
    """Where a pointer stands: its artifact's path, and the revisions it stands there in."""

    path: RelPath
    revisions: list[Revision]


class Places:
    """Which pointers of branches, tags and HEAD name what; looked up once, when first asked."""

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._known: dict[Digest, dict[RelPath, list[Revision]]] | None = None

    def find(self, root: Digest) -> list[Place]:
        """Return where a pointer names a root; nothing where only other commits do, or without git."""
        if self._known is None:
            self._known = {}
            for revision in _list_tips(self._repo):
                self._learn(revision, self._known)
        return [Place(path, revisions) for path, revisions in self._known.get(root, {}).items()]

    def find_recorded(self, root: CommittedRoot) -> list[Revision]:
        """Return the git commit that a root was pushed for, unless git knows that it is not so there.

        It was pushed before it was committed, or by somebody whose commits are not here.
        """
        return self.find_at(root.git_commit, root.path + POINTER_SUFFIX, root.digest)

    def find_at(self, commit: str | None, pointer_path: RelPath, root: Digest) -> list[Revision]:
        """Return a git commit, unless git knows that the pointer there does not name a root."""
        if self._repo.git is None or commit is None or not _GIT_COMMIT.fullmatch(commit):
            return []
        try:
            data = self._repo.git.find_file(commit, pointer_path)
        except VstoreError:
            return [Revision(commit, [])]
        pointer = None if data is None else parse_artifact(pointer_path, data).pointer
        return [Revision(commit, [])] if isinstance(pointer, Pointer) and pointer.digest == root else []

    def _learn(self, revision: Revision, known: dict[Digest, dict[RelPath, list[Revision]]]) -> None:
        git = self._repo.git
        assert git is not None
        for pointer_path, data in git.iter_files(revision.commit, POINTER_SUFFIX):
            artifact = parse_artifact(pointer_path, data)
            if isinstance(artifact.pointer, Pointer):
                known.setdefault(artifact.pointer.digest, {}).setdefault(artifact.path, []).append(revision)


def _list_tips(repo: Repo) -> list[Revision]:
    """Return the commits that branches, tags and HEAD are at, each once, with their names."""
    if repo.git is None:
        return []
    names: dict[str, list[str]] = {}
    for name, commit in [*repo.git.branch_tips().items(), *repo.git.tag_tips().items()]:
        names.setdefault(commit, []).append(name.split("/", 2)[2])
    head = repo.git.head()
    if head is not None:
        names.setdefault(head, ["HEAD"])
    return [Revision(commit, found) for commit, found in names.items()]


def name_contents(
    path: RelPath, root: Digest, contents: Collection[Digest], find_tree: Callable[[Digest], bytes | None]
) -> Iterator[RelPath]:
    """Yield what of an artifact needs some contents: files in it, and itself where it is among them.

    Where it cannot be told what is in it, that is all that is named.
    """
    below = set(contents) - {root}
    entries = _find_entries(root, find_tree) if below else []
    if root in contents or entries is None:
        yield path
    for entry in entries or ():
        if entry.digest in below:
            yield f"{path}/{entry.path}"


def _find_entries(root: Digest, find_tree: Callable[[Digest], bytes | None]) -> list[Entry] | None:
    try:
        tree = find_tree(root)
        return None if tree is None else Tree.from_bytes(tree).entries
    except VstoreError:
        return None


def tell_nameless(number: int, packs: str) -> str:
    """Say that packs may hold what git needs: whoever may write there may have deleted commits."""
    return f"versions that git keeps and no commit there names: {number:,}; {packs} may hold what was pushed of them"
