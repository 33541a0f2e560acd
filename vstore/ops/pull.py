"""``pull``: fetch, then checkout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vstore.ops.checkout import CheckoutResult, checkout
from vstore.ops.fetch import FetchResult, fetch
from vstore.ops.transfer import Scope
from vstore.repo import Repo


@dataclass(frozen=True, slots=True)
class PullResult:
    """What was fetched, and what was written."""

    fetch: FetchResult
    checkout: CheckoutResult


def pull(
    repo: Repo,
    paths: Sequence[str | Path] = (),
    *,
    remote: str | None = None,
    rev: str | None = None,
    force: bool = False,
    dry_run: bool = False,
) -> PullResult:
    """Fetch what pointers (or those of ``rev``) name and make the work tree match; see ``fetch`` and ``checkout``."""
    fetched = fetch(repo, paths, remote=remote, scope=Scope(rev=rev), dry_run=dry_run)
    written = checkout(repo, paths, rev=rev, force=force, dry_run=dry_run)
    return PullResult(fetched, written)
