"""``fsck``: verify the cache and this work tree's state, or what remotes hold; name who is harmed; mend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vstore.objects.names import RelPath
from vstore.ops.fsck.local import fsck_cache
from vstore.ops.fsck.remote import fsck_remotes
from vstore.ops.fsck.report import Damage, FsckResult, Need, Verified, VerifiedCache
from vstore.ops.transfer import Scope, Version, group_by_remote, list_versions
from vstore.remote.inspection import ReadData
from vstore.repo import Repo

__all__ = ["Damage", "FsckResult", "Need", "Verified", "VerifiedCache", "fsck"]


def fsck(
    repo: Repo,
    paths: Sequence[str | Path] = (),
    *,
    remote: str | None = None,
    scope: Scope = Scope(),  # noqa: B008 - frozen
    read_data: ReadData = ReadData(),  # noqa: B008 - frozen
    repair: bool = False,
) -> FsckResult:
    """Verify the cache, or a remote (a name, or "" for the default one), with all or what some versions need.

    ``read_data`` says how much of a remote to read whole; a cache always is.  ``repair`` brings again what is damaged
    or lost from wherever it is good, and deletes nothing.
    """
    if remote is None:
        return fsck_cache(repo, paths, scope, repair=repair)
    groups: dict[str, list[Version] | None] = {}
    broken: list[tuple[RelPath, str]] = []
    if not paths and scope == Scope():
        groups[repo.remote_name(remote or None)] = None
    else:
        versions, broken = list_versions(repo, paths, scope)
        groups.update(group_by_remote(repo, versions, remote or None))
    remotes, damages, remarks = fsck_remotes(repo, groups, read_data, repair=repair)
    return FsckResult(remotes, damages, remarks, broken, repair)
