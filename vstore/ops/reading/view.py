"""One version of a repository, as a tree of files: the data that vstore tracks in its place, and what git tracks."""

from __future__ import annotations

import posixpath
import threading
from collections import OrderedDict
from collections.abc import Iterator

from vstore.errors import InvalidError, PathNotFoundError
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath, find_refusal
from vstore.objects.pointer import Pointer
from vstore.objects.tree import EMPTY_DIRECTORY, EXECUTABLE, SYMLINK, Entry
from vstore.objects.tree_text import TreeText
from vstore.ops.reading.listings import CommitListing, Folders, Listing, WorkTreeListing
from vstore.ops.reading.node import DIRECTORY, FILE, OTHER, Node, node_of
from vstore.ops.resolve import get_git
from vstore.ops.trees import load_tree
from vstore.repo import Repo
from vstore.workspace.pointers import Artifact

_TREES_BYTES = 256 * 1024 * 1024
_MOST_LINKS = 8


class Trees:
    """Trees that are being looked into.  The youngest are kept, up to 256 MB of text, but at least one.

    Thread-safe.
    """

    def __init__(self, repo: Repo, remote: str | None) -> None:
        self._repo = repo
        self._remote = remote
        self._lock = threading.Lock()
        self._texts: OrderedDict[Digest, TreeText] = OrderedDict()

    def get(self, pointer: Pointer, path: RelPath) -> TreeText:
        """Return the tree of a pointer.  Raises ObjectMissingError naming ``path``, CorruptError."""
        with self._lock:
            text = self._texts.get(pointer.digest)
            if text is None:
                text = TreeText(load_tree(self._repo, pointer, path, remote=self._remote))
                self._texts[pointer.digest] = text
                while len(self._texts) > 1 and sum(map(len, self._texts.values())) > _TREES_BYTES:
                    self._texts.popitem(last=False)
            self._texts.move_to_end(pointer.digest)
            return text


class View:
    """The files of one version: of a commit or, if ``commit`` is None, what the pointers in the work tree say now.

    Paths are relative to the work tree; "" is its root.  Thread-safe.
    """

    def __init__(self, repo: Repo, commit: str | None, trees: Trees) -> None:
        self.commit = commit
        self._listing: Listing = (
            WorkTreeListing(repo) if commit is None else CommitListing(get_git(repo), commit, repo.reporter.warn)
        )
        self._trees = trees

    def find(self, path: RelPath) -> Node | None:
        """Return what is at a path, or None.  Raises ObjectMissingError where the tree it may be in is nowhere."""
        if not path:
            return Node("", DIRECTORY)
        if find_refusal(path):
            return None
        owner = self._listing.find_owner(path)
        if owner is None:
            return self._listing.find(path)
        top, inner = node_of(owner), path[len(owner.path) + 1 :]
        if not inner:
            return top
        return self._find_inside(owner, self._text_of(top), inner) if top.kind == DIRECTORY else None

    def get(self, path: RelPath) -> Node:
        """Return what is at a path.  Raises PathNotFoundError."""
        node = self.find(path)
        if node is None:
            where = "" if self.commit is None else f" at {self.commit}"
            raise PathNotFoundError(f"there is no {path}{where}", path=path)
        return node

    def find_owner(self, path: RelPath) -> Artifact | None:
        """Return the artifact at a path or above it."""
        return self._listing.find_owner(path)

    def get_file(self, path: RelPath) -> Node:
        """Return the file at a path.  Raises InvalidError for what is none, PathNotFoundError."""
        return self.check_file(self.get(path))

    def check_file(self, node: Node) -> Node:
        """Return a node that is a file.  Raises InvalidError for any other."""
        if not node.is_file:
            what = "a directory" if node.kind == DIRECTORY else f"a link to {node.target}, which is no file of its tree"
            raise InvalidError(f"{node.path or '.'} is {what}", path=node.path)
        return node

    def size_of(self, node: Node) -> int:
        """Return the size of a file, reading it where only that tells."""
        return len(self._listing.read(node)) if node.size_bytes is None else node.size_bytes

    def iter_children(self, directory: RelPath) -> Iterator[Node]:
        """Yield what is in a directory; nothing where there is none."""
        owner = self._listing.find_owner(directory) if directory else None
        if owner is None:
            children = self._listing.load_folders(directory).get(directory, {})
            yield from (child for _, child in sorted(children.items()))
            return
        top = node_of(owner)
        if top.kind != DIRECTORY:
            return
        text = self._text_of(top)
        for child in text.iter_children(directory[len(owner.path) + 1 :]):
            if isinstance(child, str):
                yield Node(f"{owner.path}/{child}", DIRECTORY, pointer=top.pointer)
            else:
                yield self._inner_node(owner, text, child)

    def iter_below(self, directory: RelPath) -> Iterator[Node]:
        """Yield every node below a directory, but for directories that are not empty."""
        owner = self._listing.find_owner(directory) if directory else None
        if owner is None:
            yield from self._iter_folders(self._listing.load_folders(directory), directory)
            return
        top = node_of(owner)
        if top.kind == DIRECTORY:
            for _, entry in self.iter_entries(directory):
                yield self._inner_node(owner, self._text_of(top), entry)

    def iter_entries(self, directory: RelPath) -> Iterator[tuple[RelPath, Entry]]:
        """Yield path and entry of all that is below a directory of an artifact, links as they are."""
        owner = self._listing.find_owner(directory)
        if owner is not None:
            text = self._text_of(node_of(owner))
            for entry in text.iter_below(directory[len(owner.path) + 1 :]):
                yield f"{owner.path}/{entry.path}", entry

    def _iter_folders(self, folders: Folders, directory: RelPath) -> Iterator[Node]:
        for _, child in sorted(folders.get(directory, {}).items()):
            if child.kind != DIRECTORY:
                yield child
            elif child.pointer is None:
                yield from self._iter_folders(folders, child.path)
            else:
                yield from self.iter_below(child.path)

    def iter_after(self, node: Node) -> Iterator[Node]:
        """Yield what comes after a file in the same artifact, in the order of paths."""
        owner = self._listing.find_owner(node.path)
        if owner is not None and node.path != owner.path:
            text = self._text_of(node_of(owner))
            for entry in text.iter_after(node.path[len(owner.path) + 1 :]):
                yield self._inner_node(owner, text, entry)

    def list_roots(self) -> set[Digest]:
        """Return the digests that all good pointers name."""
        pointers = [artifact.pointer for artifact in self._listing.list_artifacts()]
        return {pointer.digest for pointer in pointers if isinstance(pointer, Pointer)}

    def read_git_file(self, node: Node) -> bytes:
        """Return the bytes of a file that git keeps."""
        return self._listing.read(node)

    def modified_s(self, node: Node) -> float:
        """Return when a path got what it has, as far as is known, in seconds since 1970.

        That is the time of the commit; in the work tree that of the file or, for data, of the pointer.
        """
        return self._listing.modified_s(node)

    def _text_of(self, top: Node) -> TreeText:
        assert top.pointer is not None
        return self._trees.get(top.pointer, top.path)

    def _find_inside(self, owner: Artifact, text: TreeText, inner: RelPath) -> Node | None:
        entry = text.find(inner)
        if entry is not None:
            return self._inner_node(owner, text, entry)
        if not text.has_below(inner):
            return None
        return Node(f"{owner.path}/{inner}", DIRECTORY, pointer=node_of(owner).pointer)

    def _inner_node(self, owner: Artifact, text: TreeText, entry: Entry) -> Node:
        pointer, path = owner.pointer, f"{owner.path}/{entry.path}"
        assert isinstance(pointer, Pointer)
        if entry.kind == EMPTY_DIRECTORY:
            return Node(path, DIRECTORY, pointer=pointer)
        target, links = entry.target or None, 0
        while entry.kind == SYMLINK and links < _MOST_LINKS:
            aim = posixpath.normpath(posixpath.join(posixpath.dirname(entry.path), entry.target))
            found = text.find(aim)
            if found is None:
                break
            entry, links = found, links + 1
        if not entry.is_file:
            return Node(path, OTHER, target=target, pointer=pointer)
        place = f"{owner.path}/{entry.path}"
        executable = entry.kind == EXECUTABLE
        return Node(path, FILE, entry.size_bytes, entry.digest, executable, target, pointer, place=place)
