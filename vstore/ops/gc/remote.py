"""A remote: retire the versions of this project that nobody needs, and delete in two steps what nothing names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from vstore.git.kept import BRANCH, OPERATION, REF, REFLOG, REMOTE_BRANCH, STASH, TAG
from vstore.objects.digest import Digest
from vstore.ops.gc.local import Forgotten
from vstore.ops.gc.project import Project, check_sight, look_at_project
from vstore.ops.gc.report import GcRemoteResult, KeptAtRemote, RemoteVersion, naming_remote, to_iso, to_version
from vstore.ops.gc.totals import YOUNG
from vstore.ops.liveness import ASKED, UPSTREAM, WORK_TREE, Retention
from vstore.ops.needs import tell_nameless
from vstore.ops.resolve import get_git
from vstore.remote.collect import DOOM_HOLD_S, INTENT, OTHERS, OWN, TRASH, CollectPlan, plan_collection
from vstore.remote.compaction import Compacted
from vstore.remote.survey import TRASH_HOLD_S, PushedRoot, Survey
from vstore.remote.transport import Key
from vstore.repo import Repo

DAY_S = 24 * 3600
UNKNOWN, DOOMED = "unknown-commit", "doomed"
_ORDER = (
    WORK_TREE,
    BRANCH,
    TAG,
    REMOTE_BRANCH,
    STASH,
    REF,
    OPERATION,
    UPSTREAM,
    REFLOG,
    ASKED,
    UNKNOWN,
    YOUNG,
    INTENT,
)
"""Why versions stay, in the order in which a reason tells people most."""


@dataclass(frozen=True, slots=True)
class RemoteRetention:
    """Which versions stay at a remote, besides those that git keeps.

    ``newer_than_s``: pushed not longer ago; None takes what the remote's setting says.  ``tips_only``: of what git
    keeps only what branches, tags and the like are at; that gives up data that commits need.
    ``retire_unknown``: whether what stays only because its git commit is not known here goes: all of it, or of some
    digests.
    """

    keep_revs: tuple[str, ...] = ()
    newer_than_s: float | None = None
    tips_only: bool = False
    retire_unknown: bool | frozenset[str] = False


def gc_remote(
    repo: Repo,
    remote: str | None = None,
    *,
    retention: RemoteRetention = RemoteRetention(),
    forgotten: Forgotten = Forgotten(),  # noqa: B008 - frozen
    dry_run: bool = False,
) -> GcRemoteResult:
    """Collect a remote: safe whoever pushes or collects there meanwhile, and wherever it is interrupted.

    Raises NeedsUnknownError before anything is written where it is not sure what is needed, GitFailedError,
    UnavailableError, CorruptError.
    """
    settings = repo.config.remotes[repo.remote_name(remote)]
    newer_than_s = settings.retention_days * DAY_S if retention.newer_than_s is None else retention.newer_than_s
    git_remotes = check_sight(repo)
    revs = tuple(get_git(repo).resolve(rev) for rev in retention.keep_revs)
    needed = Retention(revs, tips_only=retention.tips_only)
    compacted = Compacted()
    with repo.open_remote(settings.name) as opened, naming_remote(settings.name):
        with opened.survey(forgotten=forgotten.keys, announced=not dry_run, reporter=repo.reporter) as survey:
            # Git is asked after the remote: of what was pushed there, its commits may have come only later.
            project = look_at_project(repo, git_remotes, needed, forgotten)
            verdict = _judge(survey, project, newer_than_s, retention.retire_unknown)
            plan = plan_collection(survey, verdict.dead)
            if not dry_run:
                opened.collect(survey, plan, reporter=repo.reporter)
        if dry_run:
            compacted = opened.plan_compaction(verdict.dead, repo.cache, reporter=repo.reporter)
        elif survey.own_commits():
            with repo.using_cache():
                compacted = opened.compact(repo.cache, reporter=repo.reporter)
    nameless = len(project.reasons.keys() - verdict.entries.keys()) if plan.doomed else 0
    return GcRemoteResult(
        remote=settings.name,
        url=opened.url,
        kept=list(_list_kept(survey, verdict, plan)),
        unknown=list(_tell(verdict, verdict.unknown)),
        retired=list(_tell(verdict, (digest for digest in verdict.dead if digest not in verdict.strange))),
        retired_unknown=list(_tell(verdict, verdict.strange)),
        trash_bytes=sum(listed.size_bytes for listed in plan.released),
        doomed_packs=len(plan.doomed),
        doomed_bytes=sum(listed.size_bytes for listed in plan.doomed),
        deleted_packs=len(plan.deleted),
        deleted_bytes=sum(listed.size_bytes for listed in plan.deleted),
        compacted_packs=compacted.packs,
        compacted_bytes=compacted.packs_bytes,
        written_packs=compacted.new_packs,
        written_bytes=compacted.new_bytes,
        read_bytes=compacted.read_bytes,
        nameless=nameless,
        git_remotes=project.git_remotes,
        remarks=[*survey.remarks, *([tell_nameless(nameless, "packs that are doomed")] if nameless else [])],
        next_due=_find_next(survey, plan),
        dry_run=dry_run,
    )


# What stays, and why.


@dataclass(slots=True)
class _Verdict:
    """Every root of the project at the remote, as it was pushed last, with the reason for which it stays (or none)."""

    entries: dict[Digest, PushedRoot]
    pins: dict[Digest, set[Key]]
    reasons: dict[Digest, str] = field(default_factory=dict)
    unknown: list[Digest] = field(default_factory=list)
    strange: list[Digest] = field(default_factory=list)
    """Those without a reason whose git commit is not known."""
    unknown_commits: dict[Digest, str | None] = field(default_factory=dict)
    """Of both a git commit that is not known: the last that they were pushed for."""

    @property
    def dead(self) -> list[Digest]:
        return [digest for digest in self.entries if digest not in self.reasons]


def _judge(survey: Survey, project: Project, newer_than_s: float, retire_unknown: bool | frozenset[str]) -> _Verdict:
    pushes: dict[Digest, list[PushedRoot]] = {}
    for pushed in survey.list_roots():
        pushes.setdefault(pushed.root.digest, []).append(pushed)
    git_commits = {
        digest: [commit for pushed in every for commit in pushed.root.all_git_commits()]
        for digest, every in pushes.items()
    }
    known = project.find_known(set().union(*git_commits.values()))
    entries = {digest: max(every, key=lambda pushed: pushed.pushed_s) for digest, every in pushes.items()}
    pins = {digest: {pack.key for pushed in every for pack in pushed.root.pins} for digest, every in pushes.items()}
    verdict = _Verdict(entries, pins)
    for digest, every in pushes.items():
        named = project.reasons.get(digest)
        settled = all(survey.is_settled(pushed.held) for pushed in every)
        last_s = entries[digest].pushed_s
        lasting = None if settled else INTENT
        if not math.isfinite(last_s) or survey.now_s - last_s <= newer_than_s:
            lasting = YOUNG
        strange = [commit for commit in git_commits[digest] if commit not in known]
        if named is None and strange:
            verdict.unknown_commits[digest] = strange[0]
            may_go = retire_unknown if isinstance(retire_unknown, bool) else digest in retire_unknown
            if may_go and lasting is None:
                verdict.strange.append(digest)
                continue
            verdict.unknown.append(digest)
            named = UNKNOWN
        reason = named or lasting
        if reason is not None:
            verdict.reasons[digest] = reason
    return verdict


def _tell(verdict: _Verdict, digests: Iterable[Digest]) -> Iterator[RemoteVersion]:
    """Yield what is told of versions: of those with a git commit that is not known, that one."""
    for digest in digests:
        pushed = verdict.entries[digest]
        commit = verdict.unknown_commits.get(digest, pushed.root.git_commit)
        yield to_version(pushed.root._replace(git_commit=commit), pushed.pushed_s, pushed.author)


def _list_kept(survey: Survey, verdict: _Verdict, plan: CollectPlan) -> Iterator[KeptAtRemote]:
    """Yield what stays by reason; a pack that several keep counts for the first."""
    released = {listed.key for listed in plan.released}
    packs: dict[str, list[Key]] = {}
    left = {key for key, word in plan.named.items() if word == OWN} - released
    for reason in _ORDER:
        roots = [digest for digest, own in verdict.reasons.items() if own == reason]
        pins = left.intersection(set().union(*(verdict.pins[digest] for digest in roots)))
        left -= pins
        packs[reason] = list(pins)
    for word in (OTHERS, TRASH, INTENT):
        packs.setdefault(word, []).extend(key for key, own in plan.named.items() if own == word and key not in released)
    packs[TRASH] += released
    packs[DOOMED] = [listed.key for listed in plan.waiting]
    versions = Counter(verdict.reasons.values())
    for reason, keys in packs.items():
        there = [survey.packs[key].size_bytes for key in keys if key in survey.packs]
        if there or versions[reason]:
            yield KeptAtRemote(reason, versions[reason], len(there), sum(there))


def _find_next(survey: Survey, plan: CollectPlan) -> str | None:
    """Return when the next tombstone will be old enough, or the next retired commit leaves the trash."""
    retired = [survey.now_s] if plan.retired else []
    retired += [held.listed.modified_s for held in survey.trash.values() if not survey.is_expired(held)]
    doomed = [survey.now_s] if plan.doomed else []
    doomed += [survey.doomed[listed.key].modified_s for listed in plan.waiting]
    due = [date_s + TRASH_HOLD_S for date_s in retired] + [date_s + DOOM_HOLD_S for date_s in doomed]
    return to_iso(min(due)) if due else None
