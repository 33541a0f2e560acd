"""What stands at a path of one version: a file, a directory, or something else."""

from __future__ import annotations

from dataclasses import dataclass

from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.pointer import Pointer
from vstore.workspace.pointers import Artifact

FILE = "file"
DIRECTORY = "directory"
OTHER = "other"
"""A symbolic link that leads to no file of its tree."""


@dataclass(frozen=True, slots=True)
class Node:
    """What stands at a path.

    ``pointer`` is that of the artifact it belongs to, None for what git keeps itself.  ``size_bytes`` is None where
    only reading would tell.  ``place`` is where the bytes would lie in the work tree: for a link not its own path.
    """

    path: RelPath
    kind: str
    size_bytes: int | None = 0
    digest: Digest | None = None
    executable: bool = False
    target: str | None = None
    pointer: Pointer | None = None
    oid: str | None = None
    place: RelPath = ""

    @property
    def is_file(self) -> bool:
        """Whether there are bytes to read."""
        return self.kind == FILE

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self.path.rpartition("/")[2]


def node_of(artifact: Artifact) -> Node:
    """Return the node of an artifact.  Raises the error of a broken pointer."""
    pointer = artifact.pointer
    if not isinstance(pointer, Pointer):
        raise pointer
    if pointer.is_tree:
        return Node(artifact.path, DIRECTORY, pointer=pointer)
    return Node(
        artifact.path,
        FILE,
        pointer.size_bytes,
        pointer.digest,
        pointer.executable,
        pointer=pointer,
        place=artifact.path,
    )
