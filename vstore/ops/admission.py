"""What may be added: neither what git keeps nor what no pointer can stand for."""

from __future__ import annotations

import os
import stat

from vstore.errors import AddRefusedError
from vstore.objects.names import RelPath, find_refusal
from vstore.objects.pointer import POINTER_SUFFIX, Pointer
from vstore.ops.resolve import is_inside, list_artifacts
from vstore.repo import Repo
from vstore.workspace.ignoring import IGNORE_FILE, is_kept_out
from vstore.workspace.pointers import find_artifact, find_owner

_NAME_BYTES = 255  # of a file's name on Linux and macOS


def check_admission(repo: Repo, path: RelPath, *, force: bool) -> None:
    """Raise AddRefusedError for what must not be added; ``reason`` is a stable word for scripts and hints."""

    def refuse(reason: str, message: str) -> AddRefusedError:
        return AddRefusedError(message, path=path, reason=reason)

    if not path:
        raise refuse("work-tree", "the whole repository cannot be tracked: it holds the pointers")
    why = find_refusal(path)
    if why:
        raise refuse("name", f"{path!r} {why}")
    owner = find_owner(repo.work_tree, path)
    if owner is None and len(os.fsencode(path.rpartition("/")[2] + POINTER_SUFFIX)) > _NAME_BYTES:
        raise refuse("name", f"the name of {path} is too long to have {POINTER_SUFFIX} behind it")
    try:
        mode = os.lstat(repo.work_tree / path).st_mode
    except FileNotFoundError:
        mode = stat.S_IFREG  # what is imported is not there yet
    except NotADirectoryError as error:
        raise refuse("special", f"{path} would be below a file") from error
    if stat.S_ISLNK(mode) and not repo.cache.find_linked(os.readlink(repo.work_tree / path)):
        if owner is None:
            raise refuse("symlink", f"{path} is a symlink: add what it points to")
    elif not stat.S_ISLNK(mode) and not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise refuse("special", f"{path} is neither a file nor a directory")
    parent = path
    while parent := parent.rpartition("/")[0]:
        if (repo.work_tree / parent).is_symlink():
            raise refuse("symlink", f"{path} is reached through the symlink {parent}")
        is_data = owner is not None and is_inside(parent, [owner.path])
        if not is_data and os.path.lexists(repo.work_tree / parent / ".git"):
            raise refuse("inside-repository", f"{path} is in {parent}, a git repository of its own")
    if stat.S_ISDIR(mode) and find_artifact(repo.work_tree, path) is None:
        if os.path.lexists(repo.work_tree / path / ".git"):
            raise refuse("repository", f"{path} is a git repository of its own")
        # Others are data that is called like a pointer.
        below = [artifact for artifact in list_artifacts(repo, below=path) if isinstance(artifact.pointer, Pointer)]
        if below:
            raise refuse("parent", f"{path} holds {below[0].path}, which is tracked by itself")
    is_update = owner is not None and owner.path == path
    if not force and not is_update and is_kept_out(repo.work_tree, path, repo.cache, repo.state):
        raise refuse("kept-out", f"{path} is ignored by a rule in {IGNORE_FILE}")
    if repo.git is None:
        return
    if repo.git.has_tracked(path):
        raise refuse("git-tracked", f"{path} is tracked by git")
    pointer_path = (owner.path if owner else path) + POINTER_SUFFIX
    if not force and repo.git.is_ignored(pointer_path) and not repo.git.has_tracked(pointer_path):
        raise refuse("ignored", f"git ignores {pointer_path}, so it could not be committed")
