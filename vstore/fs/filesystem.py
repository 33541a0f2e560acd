"""The file system: what fsspec asks, in terms of versions and their files."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn

from fsspec.spec import AbstractFileSystem
from fsspec.utils import stringify_path

from vstore.errors import PathNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
from vstore.fs.libraries import get_libraries
from vstore.objects.address import PROTOCOL, Address, join_address, parse_address, split_address, without_login
from vstore.objects.names import RelPath
from vstore.ops.reading.file import ReadFile
from vstore.ops.reading.library import Library
from vstore.ops.reading.node import DIRECTORY, OTHER, Node

Info = dict[str, Any]
_MORE = {"start", "asynchronous", "loop", "use_listings_cache", "listings_expiry_time", "max_paths"}
"""Options beside our own; all but the first are those that fsspec gives to every file system."""


class VstoreFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The files of any version of a repository: what vstore tracks in its place, and what git tracks.  Read-only.

    ``repo`` is a directory or the URL of a git repository (by default the one where the process stands), ``rev`` a
    revision (by default what the pointers in the work tree say now).  ``remote`` names the one to read from what is not
    on this machine.  Paths are relative to the root of the repository.  A path may also be an address of its own,
    ``REPOSITORY@REVISION:/PATH``, both of which may be left out: then those of the file system count.

    Revisions are resolved when they are first used; after ``invalidate_cache`` anew.  Several threads may use one file
    system, and it may be pickled and forked.  Errors are FileNotFoundError, IsADirectoryError, NotADirectoryError,
    OSError (EROFS) for whatever would write, and all other VstoreErrors as they are.
    """

    protocol = PROTOCOL
    root_marker = ""

    def __init__(
        self, repo: str | os.PathLike[str] | None = None, rev: str | None = None, remote: str | None = None, **more: Any
    ) -> None:
        """``start``, one of ``more``, is where to stand; by default that is the working directory, as it changes."""
        unknown = sorted(more.keys() - _MORE)
        if unknown:  # a mistyped "rev" must not mean the version of today
            raise TypeError(f"vstore:// has no option {unknown[0]!r}; its options are repo, rev and remote")
        super().__init__(repo, rev, remote, **more)
        self._start: str | None = more.get("start")
        self.repo = None if repo is None else os.fspath(repo)
        self.rev = rev
        self.remote = remote
        self._libraries = get_libraries(remote)

    def __reduce__(self) -> Any:
        """Pickle; whoever unpickles it may stand elsewhere, so where we stand goes along."""
        return _make, (type(self), self.storage_args, {"start": os.getcwd(), **self.storage_options})

    def __repr__(self) -> str:
        said = {"repo": self.repo and without_login(self.repo), "rev": self.rev, "remote": self.remote}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in said.items() if value)})"

    # paths

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(each) for each in path]
        where, inside = split_address(stringify_path(path).removeprefix(f"{PROTOCOL}://"))
        return join_address(where, "/".join([part for part in inside.split("/") if part not in ("", ".")]))

    @classmethod
    def _parent(cls, path: str) -> str:
        where, inside = split_address(cls._strip_protocol(path))
        return join_address(where, inside.rpartition("/")[0])

    def _find(self, path: str) -> tuple[Library, str, RelPath]:
        """Return a version, what stands before its paths, and the path in it."""
        path = self._strip_protocol(path)
        address = parse_address(path)
        rev = self.rev if address.rev is None and address.repository is None else address.rev
        library = self._libraries.get(address.repository or self.repo, rev, self._start or os.getcwd())
        return library, split_address(path)[0], address.path

    def _get(self, path: str) -> tuple[Library, str, Node]:
        with _os_errors(path):
            library, where, inside = self._find(path)
            return library, where, library.view.get(inside)

    def _get_file(self, path: str) -> tuple[Library, Node]:
        library, _, node = self._get(path)
        if node.kind == DIRECTORY:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), without_login(path))
        if not node.is_file:
            fact = f"it is a link to {node.target}, which is no file of its tree"
            raise FileNotFoundError(errno.ENOENT, fact, without_login(path))
        return library, node

    # looking

    def info(self, path: str, **__: Any) -> Info:
        """Return what is known of a path: name, type, size, digest (also as ETag), and whether it is executable.

        Here, unlike in lists, ``mtime`` is what ``modified`` says.
        """
        library, where, node = self._get(path)
        with _os_errors(path):
            return {
                **_info(node, where),
                "size": library.view.size_of(node),
                "mtime": library.view.modified_s(node),
            }

    def ls(self, path: str, detail: bool = True, **__: Any) -> list[Any]:
        """Return what is in a directory, or the file itself.  A link that leads to no file is left out."""
        library, where, node = self._get(path)
        with _os_errors(path):
            nodes = library.view.iter_children(node.path) if node.kind == DIRECTORY else [node]
            found = {join_address(where, each.path): each for each in nodes if each.kind != OTHER}
        names = sorted(found)
        return [_info(found[name], where) for name in names] if detail else names

    def find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, detail: bool = False, **more: Any
    ) -> Any:
        """Return all files below a path, in one pass."""
        if maxdepth is not None or withdirs:
            return super().find(path, maxdepth=maxdepth, withdirs=withdirs, detail=detail, **more)
        try:
            library, where, node = self._get(path)
        except FileNotFoundError:
            return {} if detail else []
        with _os_errors(path):
            nodes = library.view.iter_below(node.path) if node.kind == DIRECTORY else [node]
            found = {join_address(where, each.path): each for each in nodes if each.is_file}
        names = sorted(found)
        return {name: _info(found[name], where) for name in names} if detail else names

    def _look(self, path: str) -> Node | None:
        try:
            return self._get(path)[2]
        except (FileNotFoundError, NotADirectoryError):
            return None

    def exists(self, path: str, **__: Any) -> bool:
        """Tell whether there is something at a path.  Raises what keeps it from being known."""
        return self._look(path) is not None

    def isfile(self, path: str) -> bool:
        """Tell whether there is a file at a path."""
        node = self._look(path)
        return node is not None and node.is_file

    def isdir(self, path: str) -> bool:
        """Tell whether there is a directory at a path."""
        node = self._look(path)
        return node is not None and node.kind == DIRECTORY

    def ukey(self, path: str) -> str:
        """Return what changes when the content of a file does: its digest, or git's id of it."""
        return _identity(self._get(path)[2]) or str(super().ukey(path))

    def checksum(self, path: str) -> int:
        """Return the same as a number."""
        return int.from_bytes(self.ukey(path).encode(), "big")

    def modified(self, path: str) -> datetime.datetime:
        """Return when a path got what it has: the time of the commit; in the work tree that of the file or pointer."""
        library, _, node = self._get(path)
        with _os_errors(path):
            return datetime.datetime.fromtimestamp(library.view.modified_s(node), datetime.UTC)

    def created(self, path: str) -> datetime.datetime:
        """Return the same as ``modified``: a version does not say when a file came into being."""
        return self.modified(path)

    def url(self, path: str) -> str:
        """Return a URL that names repository and revision, too, and is understood anywhere on this machine."""
        library, _, inside = self._find(path)
        place = library.repo.url or str(library.repo.work_tree)
        return str(Address(place, library.view.commit, inside))

    def invalidate_cache(self, path: str | None = None) -> None:
        """Look at revisions anew."""
        super().invalidate_cache(path)
        self._libraries.forget()

    # reading

    def _open(self, path: str, mode: str = "rb", **__: Any) -> ReadFile:
        if mode != "rb":
            _refuse(path)
        library, node = self._get_file(path)
        with _os_errors(path):
            return library.open_node(node)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **__: Any) -> bytes:
        """Return a file, or a stretch of it; negative numbers count from its end."""
        library, node, *stretch = self._locate(path, start, end)
        with _os_errors(path):
            return library.read(node, *stretch)

    def _locate(self, path: str, start: int | None, end: int | None) -> tuple[Library, Node, int, int]:
        """Return a file, and offset and length of a stretch of it that is named as a slice is."""
        library, node = self._get_file(path)
        with _os_errors(path):
            size = library.view.size_of(node)
        first, last, _ = slice(start, end).indices(size)
        return library, node, first, max(0, last - first)

    def cat_ranges(
        self,
        paths: Sequence[str],
        starts: Any,
        ends: Any,
        max_gap: int | None = None,
        on_error: str = "return",
        **__: Any,
    ) -> list[Any]:
        """Return a stretch of each of some files; what is only at a remote is asked for together."""
        count = len(paths)
        firsts = starts if isinstance(starts, list) else [starts] * count
        lasts = ends if isinstance(ends, list) else [ends] * count
        if not len(firsts) == len(lasts) == count:
            raise ValueError("paths, starts and ends are of different lengths")
        results: list[Any] = [None] * count
        groups: dict[int, tuple[Library, list[tuple[int, Node, int, int]]]] = {}
        for row, (path, start, end) in enumerate(zip(paths, firsts, lasts, strict=True)):
            try:
                library, node, first, length = self._locate(path, start, end)
                groups.setdefault(id(library), (library, []))[1].append((row, node, first, length))
            except Exception as error:  # noqa: BLE001 - the caller gets it, as fsspec says
                results[row] = error
        for library, wanted in groups.values():
            library.load([(node, first, length) for _, node, first, length in wanted])
            for row, node, first, length in wanted:
                try:
                    results[row] = library.read(node, first, length)
                except Exception as error:  # noqa: BLE001
                    results[row] = error
        failed = [result for result in results if isinstance(result, Exception)]
        if failed and on_error == "raise":
            raise failed[0]
        return results

    def cat(self, path: Any, recursive: bool = False, on_error: str = "raise", **more: Any) -> Any:
        """Return the bytes of a file or, for several or a pattern, of each by its path."""
        paths = [each for each in self.expand_path(path, recursive=recursive) if not self.isdir(each)]
        if len(paths) <= 1 and paths == [self._strip_protocol(path)]:
            return super().cat(path, recursive=recursive, on_error=on_error, **more)
        results = dict(zip(paths, self.cat_ranges(paths, None, None, on_error="return"), strict=True))
        failed = [result for result in results.values() if isinstance(result, Exception)]
        if failed and on_error == "raise":
            raise failed[0]
        if on_error == "omit":
            return {path: result for path, result in results.items() if not isinstance(result, Exception)}
        return results

    # what would write

    def mkdir(self, path: str, *_: Any, **__: Any) -> None:
        """Refuse."""
        _refuse(path)

    makedirs = rmdir = rm_file = _rm = touch = cp_file = mkdir


def _make(kind: Callable[..., VstoreFileSystem], values: Sequence[Any], options: Info) -> VstoreFileSystem:
    return kind(*values, **options)


def _info(node: Node, where: str) -> Info:
    info: Info = {
        "name": join_address(where, node.path),
        "type": node.kind,
        "size": node.size_bytes,
        "digest": node.digest,
        "isexec": node.executable,
        "tracked": "git" if node.pointer is None else "vstore",
    }
    identity = _identity(node)
    if identity is not None:
        info["ETag"] = identity
    if node.target is not None:
        info |= {"islink": True, "destination": node.target}
    return info


def _identity(node: Node) -> str | None:
    return node.digest or node.oid


def _refuse(path: str) -> NoReturn:
    raise OSError(errno.EROFS, "what vstore keeps is changed by its own verbs", without_login(path))


@contextlib.contextmanager
def _os_errors(path: str) -> Iterator[None]:
    """Turn errors of ours into those that programs expect of a file system."""
    try:
        yield
    except (PathNotFoundError, RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise FileNotFoundError(errno.ENOENT, error.message, without_login(path)) from error
