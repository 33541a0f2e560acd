"""Going on with what a remote holds."""

from __future__ import annotations

import os

from vstore.api.opening import Directory, Paths, listed, opened
from vstore.ops import adopt as _adopt
from vstore.ops.adopt import Adoption, AdoptResult
from vstore.progress import SILENT, Reporter


def remote_adopt(
    name: str | None = None,
    *,
    directory: Directory = None,
    project: str | None = None,
    paths: Paths = (),
    from_packs: bool = False,
    force: bool = False,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> AdoptResult:
    """Go on with a project that a remote holds, in a new repository: take over its id, and write pointers.

    Without ``project`` the only one that there is; where there are several, they are returned and nothing is done.
    ``paths`` restricts what gets a pointer.  With ``from_packs`` pointers are made of what lies in packs that no commit
    names.  Nothing is overwritten.  Raises ConflictError, unless ``force``, where this repository has pushed itself.

    >>> pushed = vstore.push()
    >>> [path.path for project in vstore.remote_adopt(dry_run=True).projects for path in project.paths]
    ['data']
    """
    with opened(directory, reporter) as repo:
        adoption = Adoption(project, listed(paths), from_packs, force)
        return _adopt.adopt_remote(repo, os.environ, name, adoption=adoption, dry_run=dry_run)
