"""Which projects a remote holds, for who wants to go on with one: what each has pushed, when, and by whom.

All of it is what somebody wrote there: text for people, and digests that prove themselves when they are read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from vstore.errors import CorruptError, KeyNotFoundError
from vstore.parallel import map_ordered
from vstore.progress import Reporter
from vstore.remote.commits import Commit, CommittedRoot
from vstore.remote.layout import COMMITS, check_project, commits_prefix, find_commit_name
from vstore.remote.ledger import MAX_DOCUMENT_BYTES, Ledger, Site
from vstore.remote.transport import Listed

MOST_COMMITS = 10_000
"""No more commits are read, those that are newest: a stranger can write any number."""


class PushedVersion(NamedTuple):
    """The newest version of a path: who pushed it, and when by the store's own date (infinity: unknown).

    Many stores count in seconds: of one second it is the latest by ``created``, the pusher's own clock, which is ""
    where the root was taken over from older commits.
    """

    root: CommittedRoot
    author: str
    pushed_s: float
    created: str = ""


@dataclass(slots=True)
class FoundProject:
    """A project at a remote; ``versions`` has the newest of each path, ``unreadable`` counts commits."""

    project: str
    commits: int = 0
    unreadable: int = 0
    authors: list[str] = field(default_factory=list)
    versions: dict[str, PushedVersion] = field(default_factory=dict)


def list_projects(site: Site, reporter: Reporter, *, project: str | None = None) -> list[FoundProject]:
    """Return the projects that have commits, or only one of them; a request for each commit that is not known yet.

    What cannot be read is named and passed over.  Raises UnavailableError.
    """
    ledger = Ledger(site, reporter)
    if not ledger.has_place():
        return []
    prefix = COMMITS if project is None else commits_prefix(check_project(project))
    listed = [found for found in site.transport.list(prefix) if find_commit_name(found.key)]
    listed.sort(key=lambda found: (-found.modified_s, found.key))
    if len(listed) > MOST_COMMITS:
        reporter.warn(f"{len(listed) - MOST_COMMITS:,} older commits were passed over")
    projects: dict[str, FoundProject] = {}
    for found, commit in _read_all(ledger, listed[:MOST_COMMITS], reporter):
        name = find_commit_name(found.key)
        assert name is not None
        own = projects.setdefault(name.project, FoundProject(name.project))
        own.commits += 1
        if commit is None:
            own.unreadable += 1
        else:
            _learn(own, found, commit)
    return [projects[name] for name in sorted(projects)]


def _read_all(ledger: Ledger, listed: list[Listed], reporter: Reporter) -> Iterator[tuple[Listed, Commit | None]]:
    def attempt(found: Listed) -> tuple[Listed, Commit | None, str]:
        try:
            if found.size_bytes > MAX_DOCUMENT_BYTES:
                raise CorruptError(f"{found.key} is too long to be what it should be", key=found.key)
            return found, ledger.read_commit(found), ""
        except (KeyNotFoundError, CorruptError) as error:
            return found, None, error.message

    for found, commit, trouble in map_ordered(attempt, listed, workers=ledger.site.jobs):
        if trouble:
            reporter.warn(f"passed over: {trouble}")
        yield found, commit


def _learn(project: FoundProject, found: Listed, commit: Commit) -> None:
    for author in (commit.author, *(root.author for root in commit.roots)):
        if author is not None and author not in project.authors:
            project.authors.append(author)
    for root in commit.roots:
        pushed_s = found.modified_s if root.pushed_s is None else float(root.pushed_s)
        created = commit.created if root.pushed_s is None else ""
        version = PushedVersion(root, commit.author if root.author is None else root.author, pushed_s, created)
        known = project.versions.get(root.path)
        # Of one commit the first is the newest: old versions are pushed behind those that are newer.
        if known is None or _is_newer(version, known):
            project.versions[root.path] = version


def _is_newer(version: PushedVersion, known: PushedVersion) -> bool:
    return math.isfinite(version.pushed_s) and version[-2:] > known[-2:]
