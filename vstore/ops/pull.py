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
    scope: Scope = Scope(),  # noqa: B008 - frozen
    force: bool = False,
    dry_run: bool = False,
) -> PullResult:
    """Fetch what pointers name and make the work tree match those that are here, or those of the one revision.

    See ``fetch`` and ``checkout``.
    """
    fetched = fetch(repo, paths, remote=remote, scope=scope, dry_run=dry_run)
    written = checkout(repo, paths, rev=scope.rev, force=force, dry_run=dry_run)
    return PullResult(fetched, written)
