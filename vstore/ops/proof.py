"""Proof that a remote holds what is going to be removed here: by what is there now, as ``push --check`` looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from vstore.objects.pointer import Pointer
from vstore.ops.liveness import Needed
from vstore.ops.transfer import list_contents
from vstore.ops.trees import find_tree
from vstore.remote.content import Content, Root
from vstore.repo import Repo


def find_held(repo: Repo, roots: Sequence[Needed], remote: str | None, *, strict: bool) -> list[Needed]:
    """Return the roots, whose trees are in the cache, that their remote holds whole.

    That is the remote which their pointers name, else ``remote`` or the default one.  Where there is none of that name
    they are not held; with ``strict`` no remote at all is an error.  Raises UnavailableError, RemoteNotFoundError.
    """
    if not roots or not (strict or repo.config.remotes):
        return []
    chosen = repo.remote_name(remote) if strict or remote or repo.config.default_remote else None
    groups: dict[str, list[Needed]] = {}
    for root in roots:
        name = root.remote or chosen or ""
        if name in repo.config.remotes and (remote is None or name == remote):
            groups.setdefault(name, []).append(root)
    held: list[Needed] = []
    for name, group in groups.items():
        wanted = {root.digest: Root(root.digest, _kind(root), _Contents(repo, root), "") for root in group}
        with repo.open_remote(name) as opened:
            lacking = {lack.root for lack in opened.check(list(wanted.values()), reporter=repo.reporter)}
        held += [root for root in group if root.digest not in lacking]
    return held


def _kind(root: Needed) -> str:
    return "tree" if root.is_tree else "file"


class _Contents(Sequence[Content]):
    """All that a root needs, listed anew whenever somebody asks: together the lists may be longer than memory."""

    def __init__(self, repo: Repo, root: Needed) -> None:
        self._repo, self._root = repo, root

    def _list(self) -> list[Content]:
        root = self._root
        tree = find_tree(self._repo, root.digest) if root.is_tree else None
        return list_contents(Pointer(_kind(root), root.digest, root.size_bytes), tree)

    @overload
    def __getitem__(self, index: int) -> Content: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Content]: ...
    def __getitem__(self, index: int | slice) -> Content | Sequence[Content]:
        return self._list()[index]

    def __len__(self) -> int:
        return len(self._list())

    def __iter__(self) -> Iterator[Content]:
        return iter(self._list())
