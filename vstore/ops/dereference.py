"""``add --dereference``: put what links lead to in the place of links that no tree can hold."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from vstore.durable import exchange, flush_directory, open_atomic, os_errors, temporary_name
from vstore.errors import AddRefusedError
from vstore.objects.names import RelPath, is_reserved
from vstore.objects.tree import SYMLINK, Entry, find_target_refusal
from vstore.ops.admission import check_admission
from vstore.repo import Repo
from vstore.workspace.pointers import find_owner


def dereference(repo: Repo, paths: Sequence[str | Path], *, force: bool = False) -> list[RelPath]:
    """Replace links at and below ``paths`` that lead out of the artifact by copies of what they lead to.

    Returns their paths.  Links inside the artifact stay, and so do those that lead nowhere or into themselves.  What
    they lead to is not touched, each link is replaced at once, and nothing is if one of ``paths`` must not be added.
    Raises AddRefusedError.
    """
    named = [repo.relative(path) for path in paths]
    for path in named:
        if not (repo.work_tree / path).is_symlink():
            check_admission(repo, path, force=force)
    replaced: list[RelPath] = []
    with repo.writing():
        for path in named:
            owner = find_owner(repo.work_tree, path)
            root = path if owner is None else owner.path
            for link in list(_iter_links(repo.work_tree, path)):
                if _leads_out(repo, root, link) and not (repo.git is not None and repo.git.has_tracked(link)):
                    with os_errors(link, "replace"):
                        _replace(repo.work_tree / link)
                    replaced.append(link)
    for link in replaced:
        repo.reporter.note(f"{link} was a link, and is now a copy of what it led to")
    return replaced


def _iter_links(work_tree: Path, path: RelPath) -> Iterator[RelPath]:
    if (work_tree / path).is_symlink():
        yield path
        return
    for above, directories, files in os.walk(work_tree / path):
        directories[:] = [name for name in directories if not is_reserved(name)]
        for name in (*directories, *files):
            if os.path.islink(os.path.join(above, name)):
                yield Path(above, name).relative_to(work_tree).as_posix()


def _leads_out(repo: Repo, root: RelPath, link: RelPath) -> bool:
    """Tell whether a link leads to something that is there, out of the artifact and not into the cache."""
    target = os.readlink(repo.work_tree / link)
    if repo.cache.find_linked(target) is not None:
        return False
    inner = link[len(root) + 1 :]
    if inner and find_target_refusal(Entry(inner, SYMLINK, 0, target=target)) is None:
        return False
    real = Path(os.path.realpath(repo.work_tree / link))
    return real.exists() and not (repo.work_tree / link).is_relative_to(real) and not any(map(is_reserved, real.parts))


def _replace(link: Path) -> None:
    """Put a copy of what a link leads to in its place.  Raises OSError."""
    source = Path(os.path.realpath(link))
    if not source.is_dir():
        _copy_file(source, link)
        return
    copy, former = link.parent / temporary_name(), link.parent / temporary_name()
    try:
        _copy_directory(source, copy, (source,))
        if exchange(copy, link):
            former = copy
        else:  # dying between the two would leave the link under a temporary name
            os.rename(link, former)
            os.rename(copy, link)
        os.unlink(former)
        flush_directory(link.parent)
    except BaseException:
        if former.is_symlink() and not os.path.lexists(link):
            os.rename(former, link)
        shutil.rmtree(copy, ignore_errors=True)
        raise


def _copy_file(source: Path, target: Path) -> None:
    mode = source.stat().st_mode
    if not stat.S_ISREG(mode):
        raise AddRefusedError(f"{source} is neither a file nor a directory", path=str(source), reason="special")
    with open(source, "rb") as file, open_atomic(target, mode=0o777 if mode & stat.S_IXUSR else 0o666) as copy:
        shutil.copyfileobj(file, copy, 1024 * 1024)


def _copy_directory(source: Path, target: Path, above: tuple[Path, ...]) -> None:
    """Copy a directory; links that lead out of it, or back into what is being copied, are followed but for loops."""
    os.mkdir(target)
    for name in sorted(os.listdir(source)):
        place, real = source / name, Path(os.path.realpath(source / name))
        if place.is_symlink() and (not real.exists() or real in above):
            raise AddRefusedError(f"{place} leads nowhere, or in a circle", path=str(place), reason="symlink")
        if real.is_dir():
            _copy_directory(real, target / name, (*above, real))
        else:
            _copy_file(real, target / name)
