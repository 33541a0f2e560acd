"""What is there: verbs that change nothing, and what a surface asks besides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vstore.api.opening import Directory, Paths, listed, opened, standing
from vstore.elsewhere import is_elsewhere, open_elsewhere
from vstore.ops import completing as _completing
from vstore.ops import diff as _diff
from vstore.ops import du as _du
from vstore.ops import log as _log
from vstore.ops import ls as _ls
from vstore.ops import resolve
from vstore.ops import status as _status
from vstore.ops.diff import DiffResult
from vstore.ops.du import DuResult
from vstore.ops.log import LogResult
from vstore.ops.ls import LsResult
from vstore.ops.status import StatusResult
from vstore.progress import SILENT, Reporter
from vstore.repo import find_root


def status(
    paths: Paths = (), *, directory: Directory = None, remote: str | None = None, reporter: Reporter = SILENT
) -> StatusResult:
    """Compare artifacts with their files; with ``remote`` (a name, or "" for the default) also with a remote.

    >>> [(artifact.path, artifact.data) for artifact in vstore.status().artifacts]
    [('data', 'unchanged')]
    """
    with opened(directory, reporter) as repo:
        return _status.status(repo, listed(paths), remote=remote)


def diff(
    old: str | None = None,
    new: str | None = None,
    *,
    paths: Paths = (),
    directory: Directory = None,
    stat: bool = False,
    reporter: Reporter = SILENT,
) -> DiffResult:
    """Compare revision ``old`` (default: HEAD) with ``new`` (default: the files), by artifact and by file.

    Trees that the cache lacks are fetched.  With ``stat`` files are only counted.

    >>> [(file.path, file.change) for artifact in vstore.diff("v1.0", "v2.0").artifacts for file in artifact.files]
    [('data/train.csv', 'modified')]

    Raises RevisionNotFoundError, NotTrackedError.
    """
    with opened(directory, reporter) as repo:
        return _diff.diff(repo, listed(paths), old=old, new=new, stat=stat)


def log(
    paths: Paths = (),
    *,
    directory: Directory = None,
    rev: str | None = None,
    all_branches: bool = False,
    limit: int | None = None,
    reporter: Reporter = SILENT,
) -> LogResult:
    """List the versions that commits have of artifacts, of those below directories, or of paths inside trees.

    ``rev`` is where to begin (HEAD), or a range ``A..B``; ``all_branches`` begins at all branches and tags; ``limit``
    is a number of commits.  Raises GitRepositoryNotFoundError, RevisionNotFoundError, NotTrackedError.

    >>> [(version.subject, version.change) for version in vstore.log("data").versions]
    [('v2.0', 'modified'), ('v1.0', 'added')]
    """
    with opened(directory, reporter) as repo:
        return _log.log(repo, listed(paths), rev=rev, all_branches=all_branches, limit=limit)


def ls(
    paths: Paths = (),
    *,
    repo: str | Path | None = None,
    directory: Directory = None,
    rev: str | None = None,
    recursive: bool = False,
    git: bool = False,
    reporter: Reporter = SILENT,
) -> LsResult:
    """List what is tracked, and what is inside of what is named; with ``git`` also what git keeps.

    ``repo`` is another repository, by the path of its directory or its URL: the paths are of that.

    >>> [entry.path for entry in vstore.ls("data", rev="v1.0").entries]
    ['data/train.csv']

    Raises NotTrackedError, RevisionNotFoundError, and for another one RepositoryNotFoundError, SourceUnavailableError.
    """
    if repo is not None:
        with open_elsewhere(repo, rev=rev, start=standing(directory), reporter=reporter) as other:
            return _ls.ls(other, listed(paths), recursive=recursive, git=git)
    with opened(directory, reporter) as ours:
        return _ls.ls(ours, listed(paths), rev=rev, recursive=recursive, git=git)


def du(
    paths: Paths = (), *, directory: Directory = None, rev: str | None = None, reporter: Reporter = SILENT
) -> DuResult:
    """Add up the sizes of artifacts, and of what the cache holds of them.  Raises NotTrackedError.

    >>> vstore.du().size_bytes
    12
    """
    with opened(directory, reporter) as repo:
        return _du.du(repo, listed(paths), rev=rev)


def find_work_tree(directory: Directory = None) -> Path | None:
    """Return the root of the repository at or above ``directory``; paths in results are relative to it."""
    return find_root(standing(directory))


def split_repository(arguments: Sequence[str], *, directory: Directory = None) -> tuple[str | None, Sequence[str]]:
    """Tell another repository that comes first from the paths behind it."""
    if arguments and is_elsewhere(arguments[0], standing(directory)):
        return arguments[0], arguments[1:]
    return None, arguments


def split_revisions(arguments: Sequence[str], *, directory: Directory = None) -> tuple[list[str], list[str]]:
    """Tell leading revisions (``A``, ``A B``, ``A..B`` or ``A...B``) from the paths behind them, as git does."""
    with opened(directory) as repo:
        return resolve.split_revisions(repo, arguments)


def list_tracked(beginning: str = "", *, directory: Directory = None) -> list[str]:
    """Return the tracked paths that begin so: artifacts, and below a tracked directory what is in it.

    They are relative to ``directory``, and those of directories end with a slash.  Nothing is fetched.
    """
    with opened(directory) as repo:
        return _completing.list_beginning(repo, beginning)


def list_remote_names(beginning: str = "", *, directory: Directory = None) -> list[str]:
    """Return the names of the configured remotes that begin so."""
    with opened(directory) as repo:
        return sorted(name for name in repo.config.remotes if name.startswith(beginning))


def list_revisions(beginning: str = "", *, directory: Directory = None) -> list[str]:
    """Return the names of branches and tags that begin so; ``A..`` and ``A...`` before them stay."""
    before = beginning[: beginning.rfind("..") + 2] if ".." in beginning else ""
    with opened(directory) as repo:
        names = [] if repo.git is None else [*repo.git.branch_tips(), *repo.git.tag_tips()]
        found = [before + name.split("/", 2)[2] for name in names]
        return [name for name in found if name.startswith(beginning)]
