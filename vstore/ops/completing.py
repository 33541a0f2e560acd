"""What a shell completes: the tracked paths that somebody may mean who has written the beginning of one."""

from __future__ import annotations

import os

from vstore.errors import VstoreError
from vstore.objects.names import RelPath
from vstore.objects.pointer import Pointer
from vstore.objects.tree import Entry
from vstore.objects.tree_text import TreeText
from vstore.ops.resolve import list_artifacts
from vstore.repo import Repo


def list_beginning(repo: Repo, text: str) -> list[str]:
    """Return artifacts, or what is in the tracked directory that ``text`` leads into, as far as they begin with it.

    Paths are relative to where one stands, and those of directories end with a slash.  Only what is in the cache is
    read: nobody waits for a remote who presses a key.
    """
    above = text[: text.rfind("/") + 1]
    inside = repo.relative(above or ".") if above else ""
    found: list[str] = []
    for artifact in list_artifacts(repo):
        pointer, path = artifact.pointer, artifact.path
        is_tree = isinstance(pointer, Pointer) and pointer.is_tree
        if isinstance(pointer, Pointer) and is_tree and (inside + "/").startswith(path + "/"):
            found += [above + name for name in _iter_names(repo, pointer, inside[len(path) + 1 :])]
        else:
            found.append(os.path.relpath(repo.work_tree / path, repo.start) + "/" * is_tree)
    return [path for path in found if path.startswith(text)]


def _iter_names(repo: Repo, pointer: Pointer, directory: RelPath) -> list[str]:
    try:
        children = list(TreeText(repo.cache.read(pointer.digest)).iter_children(directory))
    except VstoreError:
        return []
    paths = [child.path if isinstance(child, Entry) else child + "/" for child in children]
    return [path[len(directory) + 1 if directory else 0 :] for path in paths]
