"""What was retired, and bringing it back: by a push that relies upon the packs that the trash names."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from vstore.errors import NotFoundError, ObjectMissingError
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.ops.fsck.remote_repair import complete_root
from vstore.ops.gc.report import GcUndoResult, RemoteVersion, naming_remote, to_date, to_version
from vstore.ops.resolve import is_inside
from vstore.ops.transfer import refresh_listing
from vstore.remote.commits import CommittedRoot
from vstore.remote.content import Root
from vstore.remote.remote import Remote
from vstore.remote.survey import Held, Survey
from vstore.repo import Repo

_DIGEST = re.compile("(?:xxh128|blake3):[0-9a-f]{8,64}")


class GivenUp(NamedTuple):
    """A retired commit of our project, with those of its roots that no commit names any more."""

    held: Held
    roots: list[CommittedRoot]


def list_given_up(survey: Survey) -> list[GivenUp]:
    """Return what was retired, newest first; also what may go any time, as long as it is there."""
    present = {pushed.root.digest for pushed in survey.list_roots()}
    own = [held for held in survey.trash.values() if held.commit.project == survey.project]
    own.sort(key=lambda held: (-held.listed.modified_s, held.listed.key))
    found = [GivenUp(held, [root for root in held.commit.roots if root.digest not in present]) for held in own]
    return [given_up for given_up in found if given_up.roots]


def gc_undo(
    repo: Repo,
    wanted: Sequence[str | Path] = (),
    *,
    remote: str | None = None,
    forgotten: Collection[str] = (),
    dry_run: bool = False,
) -> GcUndoResult:
    """Bring back what was retired: all, or what was at some paths or has some digests.

    Nothing is copied out of the trash, which may be emptied meanwhile: it is pushed anew, and what is still there is
    relied upon.  Raises NotFoundError where nothing such was retired, NeedsUnknownError, UnavailableError.
    """
    name = repo.remote_name(remote)
    with repo.using_cache(), repo.open_remote(name) as opened, naming_remote(name, "undo"):
        with opened.survey(forgotten=forgotten, announced=False, reporter=repo.reporter) as survey:
            chosen = _choose(repo, list_given_up(survey), wanted, name)
        roots: list[Root] = []
        failed: list[tuple[RelPath, str]] = []
        for root, _ in chosen.values():
            whole = complete_root(repo, opened, root)
            if whole is None:
                failed.append((root.path, "the list of its files is nowhere any more"))
            else:
                roots.append(whole)
        uploaded_bytes, lost = _push(repo, opened, roots, dry_run=dry_run)
        failed += [(root.path, "some of its contents are nowhere any more") for root in lost]
        restored = [chosen[root.digest].version for root in roots if root not in lost]
        return GcUndoResult(name, opened.url, restored, uploaded_bytes, failed, dry_run)


class _Choice(NamedTuple):
    root: CommittedRoot
    version: RemoteVersion


def _choose(
    repo: Repo, given_up: Sequence[GivenUp], wanted: Sequence[str | Path], remote: str
) -> dict[Digest, _Choice]:
    """Return what is meant, each root once, as it was retired last."""
    known: dict[Digest, _Choice] = {}
    for held, roots in given_up:
        for root in roots:
            known.setdefault(root.digest, _Choice(root, to_version(root, to_date(root), held.commit.author)))
    if not wanted:
        return known
    chosen: dict[Digest, _Choice] = {}
    for name in map(str, wanted):
        path = None if _DIGEST.fullmatch(name) else repo.relative(name)
        found = {
            digest: choice
            for digest, choice in known.items()
            if (digest.startswith(name) if path is None else is_inside(choice.root.path, [path]))
        }
        if not found:
            raise NotFoundError(f"nothing that was retired is called {name}", retired=name, remote=remote)
        chosen |= found
    return chosen


def _push(repo: Repo, remote: Remote, roots: Sequence[Root], *, dry_run: bool) -> tuple[int, list[Root]]:
    """Push roots, without those of which something is nowhere; returns what was uploaded, and those."""
    lost: list[Root] = []
    while left := [root for root in roots if root not in lost]:
        plan = remote.plan_revival(left, reporter=repo.reporter)
        if dry_run:
            return plan.new_bytes, lost
        try:
            uploaded_bytes = remote.push(plan, repo.cache, reporter=repo.reporter).uploaded_bytes
            refresh_listing(repo, remote)
            return uploaded_bytes, lost
        except ObjectMissingError as error:
            missing = set(error.fields.get("digests", ()))
            more = [root for root in left if any(content.digest in missing for content in root.contents)]
            if not more:
                raise
            lost += more
    return 0, lost
