"""Reading any version of any file, without checking it out or fetching it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, TextIO, overload

from vstore.api.opening import Directory, Repository, standing
from vstore.errors import InvalidError
from vstore.objects.address import Address
from vstore.ops.reading.library import open_library
from vstore.progress import SILENT, Reporter


@overload
def open(
    path: str | Path,
    mode: Literal["r", "rt"] = ...,
    *,
    rev: str | None = ...,
    repo: Repository = ...,
    encoding: str | None = ...,
    errors: str | None = ...,
    newline: str | None = ...,
    remote: str | None = ...,
    directory: Directory = ...,
    reporter: Reporter = ...,
) -> TextIO: ...


@overload
def open(
    path: str | Path,
    mode: Literal["rb"],
    *,
    rev: str | None = ...,
    repo: Repository = ...,
    remote: str | None = ...,
    directory: Directory = ...,
    reporter: Reporter = ...,
) -> BinaryIO: ...


def open(
    path: str | Path,
    mode: str = "r",
    *,
    rev: str | None = None,
    repo: Repository = None,
    encoding: str | None = "utf-8",
    errors: str | None = None,
    newline: str | None = None,
    remote: str | None = None,
    directory: Directory = None,
    reporter: Reporter = SILENT,
) -> IO[Any]:
    """Open a file of any version for reading, as the built-in ``open`` does; ``mode`` is "r" or "rb".

    Without ``rev`` that is the version that the pointer in the work tree names, whatever became of the file itself.
    Files that git keeps can be opened, too.  With ``repo`` the path is relative to that.

    The bytes come from the cache, else from the work tree if the file is unmodified there, else from a remote: then
    only those chunks are read that are needed (and some ahead, while one reads on), and kept for a while beside the
    cache.  Every chunk is verified; that they make up the whole is proven by who reads all of it.

    >>> with vstore.open("data/train.csv", rev="v1.0") as file:
    ...     file.readline()
    'x,y\\n'

    Raises PathNotFoundError, InvalidError for a directory, RevisionNotFoundError, RepositoryNotFoundError,
    ObjectMissingError, RemoteUnavailableError.
    """
    if mode not in ("r", "rt", "rb"):
        raise InvalidError(f"what vstore keeps is opened for reading ('r' or 'rb'), not {mode!r}", mode=mode)
    library = open_library(repo, rev, remote=remote, start=standing(directory), reporter=reporter)
    try:
        node = library.view.get_file(library.repo.relative(path))
        file = library.open_node(node, owning=True)
    except BaseException:
        library.close()
        raise
    return file if mode == "rb" else io.TextIOWrapper(file, encoding=encoding, errors=errors, newline=newline)


def read(
    path: str | Path,
    *,
    rev: str | None = None,
    repo: Repository = None,
    remote: str | None = None,
    directory: Directory = None,
    reporter: Reporter = SILENT,
) -> bytes:
    """Return the verified bytes of a file of any version; arguments and errors are those of ``open``.

    >>> vstore.read("data/train.csv", rev="v1.0")
    b'x,y\\n1,2\\n'
    """
    with open(path, "rb", rev=rev, repo=repo, remote=remote, directory=directory, reporter=reporter) as file:
        return file.read()


def exists(
    path: str | Path,
    *,
    rev: str | None = None,
    repo: Repository = None,
    directory: Directory = None,
    reporter: Reporter = SILENT,
) -> bool:
    """Tell whether a version has a file or directory; whether its contents can be had is not asked.

    >>> vstore.exists("data/train.csv"), vstore.exists("data/test.csv", rev="v1.0")
    (True, False)

    Raises RevisionNotFoundError, RepositoryNotFoundError.
    """
    with open_library(repo, rev, start=standing(directory), reporter=reporter) as library:
        return library.view.find(library.repo.relative(path)) is not None


def url(
    path: str | Path,
    *,
    rev: str | None = None,
    repo: Repository = None,
    directory: Directory = None,
) -> str:
    """Return the ``vstore://`` URL of a file or directory, by which whatever speaks fsspec opens it from anywhere.

    It names the repository and the revision as they were given, with directories made absolute.  There is no URL of the
    remote's own: small files lie together in packs there, large ones in chunks.

    >>> vstore.url("data/train.csv", rev="v1.0")
    'vstore:///home/ada/project@v1.0:/data/train.csv'

    Raises PathNotFoundError, RevisionNotFoundError, RepositoryNotFoundError.
    """
    with open_library(repo, rev, start=standing(directory)) as library:
        inside = library.repo.relative(path)
        library.view.get(inside)
        place = str(library.repo.work_tree) if library.repo.url is None else str(repo)
        return str(Address(place, rev, inside))
