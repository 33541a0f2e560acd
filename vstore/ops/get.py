"""``get``: copy a file or directory out of another repository, without being in one."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vstore.cache.cache import Cache
from vstore.cache.link import probe_link_type
from vstore.durable import TEMPORARY_PREFIX, os_errors
from vstore.elsewhere import open_elsewhere, open_user_cache
from vstore.errors import (
    ConflictError,
    CorruptError,
    InvalidError,
    LockedError,
    ObjectMissingError,
    PartialError,
    VstoreError,
)
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.tree import Entry
from vstore.ops.gathering import Gathered, Manner, gather
from vstore.ops.picking import Wanted, name_of
from vstore.progress import SILENT, Reporter
from vstore.repo import Repo
from vstore.workspace.materialize import Materialized, Materializer

_LINKS = ("reflink", "copy")
_ITEM = "item"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to put it: ``out``, or where one stands, relative to ``start``.

    Inside of ``out`` go a file if that is a directory, and everything if it ends with a slash.
    """

    start: Path
    out: str | Path | None = None
    force: bool = False
    """Replace the files that are in the way, and nothing else."""


@dataclass(frozen=True, slots=True)
class GetResult:
    """What came from where; ``commit`` is None where the files of a work tree were taken as they are."""

    repo: str
    path: RelPath
    rev: str | None
    commit: str | None
    out: str
    kind: str
    """"file" or "tree"."""
    size_bytes: int
    files: int
    fetched_bytes: int
    """What was downloaded; in a dry run the bytes, before compression and chunking, that would be at most."""
    dry_run: bool


def get(
    wanted: Wanted,
    to: Destination,
    *,
    dry_run: bool = False,
    environ: Mapping[str, str] | None = None,
    reporter: Reporter = SILENT,
) -> GetResult:
    """Copy what is at a path of another repository: tracked, a part of that, kept by git, or a directory of both.

    It appears whole, when every byte is verified.  Downloads that are interrupted go on from where they stopped.
    Raises ConflictError where something is in the way, PathNotFoundError, ObjectMissingError, and what
    ``open_elsewhere`` raises.
    """
    path = wanted.path
    with (
        open_elsewhere(wanted.location, rev=wanted.rev, start=to.start, environ=environ, reporter=reporter) as source,
        open_user_cache(source.config) as cache,
    ):
        name = source.relative(path).rpartition("/")[2] or name_of(source)
        out = _choose_out(to.start, to.out, name)
        _discard_stale(out)
        if os.path.lexists(out):
            known = gather(source, path, cache, manner=Manner(download=False, stays=True))
            out = _check(to, out, name, known)
        found = gather(source, path, cache, manner=Manner(download=not dry_run, stays=True))
        if not dry_run:
            found.check_whole()
            with _staging(out) as staging:
                _write(source, cache, found, staging)
                _publish(staging, out, found, force=to.force)
        return GetResult(
            repo=source.location,
            path=found.path,
            rev=wanted.rev,
            commit=source.rev,
            out=str(out),
            kind="tree" if found.is_tree else "file",
            size_bytes=found.size_bytes,
            files=found.files,
            fetched_bytes=found.lacking_bytes if dry_run else found.read_bytes,
            dry_run=dry_run,
        )


def _choose_out(start: Path, out: str | Path | None, name: str) -> Path:
    """Return where something called ``name`` goes, unless it is a file and a directory is there."""
    if out is None:
        return Path(os.path.abspath(start / name))
    is_inside = os.fspath(out).endswith("/") or Path(out).name in ("", ".", "..")
    return Path(os.path.abspath(start / out / name if is_inside else start / out))


def _check(to: Destination, out: Path, name: str, found: Gathered) -> Path:
    """Return where it goes, now that something is there.  Raises ConflictError."""
    is_directory = out.is_dir() and not out.is_symlink()
    if is_directory and not found.is_tree and to.out is not None and out.name != name:
        out /= name
        is_directory = out.is_dir() and not out.is_symlink()
    if os.path.lexists(out) and not to.force:
        raise ConflictError(f"{out} exists already", path=str(out), exists=True)
    if is_directory and not found.is_tree:
        raise ConflictError(f"{out} is a directory, and {found.path} a file", path=str(out))
    return out


@contextlib.contextmanager
def _staging(out: Path) -> Iterator[Path]:
    """Make a directory beside ``out`` for what is going to be there; one that a crash left is removed.

    Raises LockedError while another command writes the same.
    """
    path = _staging_path(out)
    with os_errors(out.parent, "create"):
        out.parent.mkdir(parents=True, exist_ok=True)
    with os_errors(path, "write to"):
        descriptor = _open_alone(path)
        try:
            for name in os.listdir(path):
                _remove(path / name)
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)
            os.close(descriptor)


def _staging_path(out: Path) -> Path:
    return out.parent / (TEMPORARY_PREFIX + hashlib.sha256(os.fsencode(out.name)).hexdigest()[:16])


def _discard_stale(out: Path) -> None:
    """Remove what a command that died left beside ``out``, also if this one is going to be refused.  Best effort."""
    if _staging_path(out).exists():
        with contextlib.suppress(VstoreError), _staging(out):
            pass


def _open_alone(path: Path) -> int:
    while True:
        path.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it may have removed it meanwhile.
            if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
                return descriptor
        except FileNotFoundError:
            pass
        except BlockingIOError as error:
            os.close(descriptor)
            raise LockedError(f"another vstore command is writing to {path.parent}", path=str(path)) from error
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _write(source: Repo, cache: Cache, found: Gathered, staging: Path) -> None:
    """Write the files below ``staging``; what the other repository's cache has damaged is fetched."""
    result = _materialize(source, cache, found, staging)
    if result.damaged:
        damaged = frozenset(digest for _, digest in result.damaged)
        found = gather(source, found.path, cache, manner=Manner(stays=True, damaged=damaged))
        found.check_whole()
        entries = [entry for entry in found.entries if entry.digest in damaged]
        result = _apply(source, cache, entries, staging, is_tree=found.is_tree)
    if result.damaged:
        path, digest = result.damaged[0]
        raise CorruptError(f"the contents of {path} are damaged", digest=digest)
    if result.missing:  # a collector was quicker than we
        digests: list[Digest] = [digest for _, digest in result.missing]
        raise ObjectMissingError("contents were removed from the cache meanwhile", digests=digests)
    if result.failed:
        if len(result.failed) == 1:
            raise result.failed[0][1]
        failed = [(path.removeprefix(_ITEM + "/"), error.message) for path, error in result.failed]
        raise PartialError(f"{len(failed)} files could not be written", done=len(result.written), failed=failed)


def _materialize(source: Repo, cache: Cache, found: Gathered, staging: Path) -> Materialized:
    lacking = cache.find_missing(entry.digest for entry in found.entries if entry.is_file)
    result = Materialized()
    source.reporter.begin("writing", total=found.size_bytes, unit="bytes")
    try:
        theirs = [entry for entry in found.entries if entry.digest in lacking]
        if theirs:
            result.merge(_apply(source, source.cache, theirs, staging, is_tree=found.is_tree))
        if not theirs or len(theirs) < len(found.entries):
            ours = [entry for entry in found.entries if entry.digest not in lacking]
            result.merge(_apply(source, cache, ours, staging, is_tree=found.is_tree))
    finally:
        source.reporter.end()
    return result


def _apply(source: Repo, cache: Cache, entries: Sequence[Entry], staging: Path, *, is_tree: bool) -> Materialized:
    with os_errors(staging, "write to"):
        try:
            link_type, _ = probe_link_type(_LINKS, cache.path, staging)
        except PermissionError:  # a cache of somebody else's
            link_type = _LINKS[-1]
    materializer = Materializer(staging, cache, source.state, link_type=link_type, reporter=source.reporter)
    return materializer.apply(_ITEM, write=entries, delete=[], make_root=is_tree, expected=None)


def _publish(staging: Path, out: Path, found: Gathered, *, force: bool) -> None:
    """Give what is whole its name; where a directory is there already, file by file."""
    item = staging / _ITEM
    with os_errors(out, "write"):
        try:
            if found.is_tree and out.is_dir() and not out.is_symlink():
                if os.listdir(out) and not force:
                    raise FileExistsError
                _merge(item, out)
            elif found.is_tree:
                if os.path.lexists(out):
                    if not force:
                        raise FileExistsError
                    os.rename(out, staging / "replaced")
                os.rename(item, out)
            elif force:
                os.replace(item, out)
            else:
                _rename_to_nothing(item, out)
        except FileExistsError as error:
            raise ConflictError(f"{out} exists already", path=str(out), exists=True) from error


def _rename_to_nothing(item: Path, out: Path) -> None:
    """Rename a file to a name that nobody has.  Raises FileExistsError."""
    try:
        os.link(item, out, follow_symlinks=False)
    except PermissionError:  # a file system without hard links
        if os.path.lexists(out):
            raise FileExistsError from None
        os.rename(item, out)


def _merge(item: Path, out: Path) -> None:
    """Move files into a directory that exists, replacing files of the same names, and nothing else."""
    blocked = [path for path in _iter_below(item) if _is_blocked(item / path, out / path)]
    if blocked:
        fact = f"{out / blocked[0]} is a directory where a file has to be, or the other way round"
        raise InvalidError(fact, path=str(out / blocked[0]))
    for path in _iter_below(item):
        if (item / path).is_dir() and not (item / path).is_symlink():
            (out / path).mkdir(exist_ok=True)
        else:
            os.replace(item / path, out / path)


def _iter_below(directory: Path) -> Iterator[Path]:
    """Yield what is below a directory, relative to it, directories before what is in them."""
    for above, directories, files in os.walk(directory):
        for name in [*directories, *files]:
            yield Path(above, name).relative_to(directory)


def _is_blocked(item: Path, out: Path) -> bool:
    is_directory = item.is_dir() and not item.is_symlink()
    return os.path.lexists(out) and is_directory != (out.is_dir() and not out.is_symlink())
