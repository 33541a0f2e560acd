"""Verifying what remotes hold, naming what needs the damaged and the missing, and mending what can be mended."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from vstore.errors import CorruptError, NeedsUnknownError
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.table import BLOB
from vstore.ops.fsck.remote_repair import find_tree, repair_remote
from vstore.ops.fsck.report import Damage, Need, Verified, mark_repaired
from vstore.ops.needs import Place, Places, Revision, name_contents, tell_nameless
from vstore.ops.transfer import Scope, Version, list_versions
from vstore.remote.collect import plan_collection
from vstore.remote.commits import CommittedRoot
from vstore.remote.holdings import MISSING, NEWER, Problem
from vstore.remote.inspection import Examined, ReadData, Verdict
from vstore.remote.remote import Remote
from vstore.repo import Repo

_MOST_ROUNDS = 3
_MOST_STRANGERS = 10


def fsck_remotes(
    repo: Repo,
    groups: Mapping[str, Sequence[Version] | None],
    read_data: ReadData,
    *,
    repair: bool,
) -> tuple[list[Verified], list[Damage], list[tuple[str | None, str]]]:
    """Verify remotes for some versions each, or for all that the project's commits there pin; also the remarks."""
    remotes: list[Verified] = []
    damages: list[Damage] = []
    remarks: list[tuple[str | None, str]] = []
    with repo.using_cache() if repair else contextlib.nullcontext():
        for name, group in groups.items():
            verified, found, remarked = _Run(repo, name, read_data, repair=repair).run(group)
            remotes.append(verified)
            damages += found
            remarks += [(name, remark) for remark in remarked]
    return remotes, damages, remarks


class _Run:
    """The verification of one remote."""

    def __init__(self, repo: Repo, name: str, read_data: ReadData, *, repair: bool) -> None:
        self._repo = repo
        self._name = name
        self._read_data = read_data
        self._repair = repair
        self._places = Places(repo)

    def run(self, versions: Sequence[Version] | None) -> tuple[Verified, list[Damage], Sequence[str]]:
        repo = self._repo
        wanted = None if versions is None else list(map(_to_root, versions))
        with repo.open_remote(self._name) as remote:
            verdict = self._inspect(remote, wanted, self._read_data)
            damages = left = list(self._list_damages(remote, verdict))
            remarks: list[str] = []
            uploaded_bytes, read_packs, read_bytes = 0, verdict.read_packs, verdict.read_bytes
            # What a restored commit names is seen only after it was; what was uploaded was not read yet.
            for _ in range(_MOST_ROUNDS if self._repair else 0):
                before = left
                if not before:
                    break
                sent_bytes, mended = repair_remote(repo, remote, verdict)
                uploaded_bytes, remarks = uploaded_bytes + sent_bytes, remarks + mended
                verdict = self._inspect(remote, wanted, ReadData(float(self._read_data.share == 1)))
                read_packs, read_bytes = read_packs + verdict.read_packs, read_bytes + verdict.read_bytes
                left = list(self._list_damages(remote, verdict))
                damages = [*damages, *left]
                if left == before:
                    break
            # What a newer vstore wrote is not mended: it harms nobody any more, and a remark says so.
            newer = {damage.key for damage in damages if damage.kind == NEWER}.intersection(verdict.commits.unknown)
            damages = [each for each in mark_repaired(damages, left) if not (each.repaired and each.key in newer)]
            around, nameless = self._look_around(remote, verdict, is_all=wanted is None)
            remarks += [*verdict.remarks, *around]
            verified = Verified(
                self._name,
                remote.url,
                versions=len(verdict.examined),
                whole=sum(found.is_whole for found in verdict.examined),
                packs=verdict.packs,
                size_bytes=verdict.size_bytes,
                read_packs=read_packs,
                read_bytes=read_bytes,
                never_read=verdict.never_read,
                read_whole=_to_iso(verdict.read_whole_s),
                uploaded_bytes=uploaded_bytes,
                nameless=nameless,
            )
        return verified, damages, list(dict.fromkeys(remarks))

    def _inspect(self, remote: Remote, wanted: Sequence[CommittedRoot] | None, read_data: ReadData) -> Verdict:
        look = functools.partial(find_tree, self._repo)
        verdict = remote.inspect(wanted, read_data=read_data, find_tree=look, reporter=self._repo.reporter)
        if wanted is None:
            is_bare = not any(verdict.commits) and remote.lacks_commits()
            if verdict.commits.unknown or verdict.gone or is_bare:
                unnamed = self._list_unnamed(verdict, is_any=is_bare or bool(verdict.commits.unknown))
                verdict = dataclasses.replace(verdict, examined=(*verdict.examined, *unnamed))
        return _forgive_commits(verdict)

    def _list_unnamed(self, verdict: Verdict, *, is_any: bool) -> Iterator[Examined]:
        """Yield what pointers name and no commit does, where those are lost that did or, with ``is_any``, may have."""
        gone = {root.digest for root in verdict.gone}
        for root in self._iter_nameless(verdict):
            if is_any or root.digest in gone:
                yield Examined(root, (), frozenset(), frozenset([root.digest]))

    def _iter_nameless(self, verdict: Verdict) -> Iterator[CommittedRoot]:
        """Yield what pointers name, at work or in any commit of git, and no commit at the remote does."""
        scopes = [Scope(), Scope(all_commits=True)] if self._repo.git is not None else [Scope()]
        known = {found.root.digest for found in verdict.examined}
        for version in list_versions(self._repo, (), *scopes)[0]:
            root = _to_root(version)
            if root.digest not in known and (version.pointer.remote or self._name) == self._name:
                known.add(root.digest)
                yield root

    def _look_around(self, remote: Remote, verdict: Verdict, *, is_all: bool) -> tuple[list[str], int]:
        """Return what keeps collections from deleting anything, what is nothing of ours, and how much is nameless.

        Nameless are versions that git keeps and no commit names, where packs are there that nothing names: somebody
        may have deleted commits that this machine never saw.
        """
        named = {problem.key for problem in verdict.problems}
        try:
            with remote.survey(announced=False, reporter=self._repo.reporter) as survey:
                strangers = [remark for remark in survey.remarks if remark not in verdict.remarks]
                plan = plan_collection(survey, ())
        except NeedsUnknownError as error:
            stops = "until it can be read, or is forgotten by name, no collection deletes anything there"
            return [f"{reason}; {stops}" for key, reason in error.fields["failed"] if key not in named], 0
        except CorruptError:
            return [], 0  # the format, which is a problem by itself
        remarks = strangers[:_MOST_STRANGERS]
        if len(strangers) > _MOST_STRANGERS:
            remarks.append(f"{len(strangers) - _MOST_STRANGERS:,} more keys are nothing of ours")
        is_loose = any(pack.size_bytes for pack in (*plan.doomed, *plan.waiting, *plan.deleted))
        nameless = sum(1 for _ in self._iter_nameless(verdict)) if is_all and is_loose else 0
        if nameless:
            remarks.append(tell_nameless(nameless, "packs that nothing names"))
        return remarks, nameless

    # naming

    def _list_damages(self, remote: Remote, verdict: Verdict) -> Iterator[Damage]:
        for problem in verdict.problems:
            roots = [found for found in verdict.examined if any(pack.key == problem.key for pack in found.bad)]
            needs = self._list_needs(remote, ((found, _harmed_by(problem, found)) for found in roots))
            yield Damage(self._name, problem.key, problem.kind, problem.reason, needs, repaired=False)
        unnamed = [found for found in verdict.examined if found.lacking and not found.pins]
        wrong = [found for found in verdict.examined if found.lacking and found.pins and not found.bad]
        for reason, roots in (
            ("no commit at the remote names it", unnamed),
            ("none of the packs that its commit names holds it", wrong),
        ):
            if roots:
                needs = self._list_needs(remote, ((found, found.lacking) for found in roots))
                yield Damage(self._name, None, MISSING, reason, needs, repaired=False)

    def _list_needs(self, remote: Remote, harmed: Iterable[tuple[Examined, Collection[Digest] | None]]) -> list[Need]:
        """Return the paths and revisions that need contents of roots; all of a root where they are None."""
        found: dict[RelPath, dict[str, Revision]] = {}
        for examined, contents in harmed:
            root = examined.root
            if contents is not None and not contents:
                continue
            places = self._places.find(root.digest)
            for path, own in places or [Place(root.path, self._places.find_recorded(root))]:
                look = functools.partial(find_tree, self._repo, remote=remote)
                named = name_contents(path, root.digest, contents, look) if contents is not None else [path]
                for name in named:
                    found.setdefault(name, {}).update((revision.commit, revision) for revision in own)
        # Those with a name come first: they tell people more.
        return [
            Need(path, sorted(found[path].values(), key=lambda revision: not revision.names)) for path in sorted(found)
        ]


def _harmed_by(problem: Problem, found: Examined) -> Collection[Digest] | None:
    """Return which contents of a root are, or may be, lost by what is wrong with one of its packs; None for all."""
    if not problem.records:
        return found.lacking or None
    damaged = {digest for _, digest in problem.records}
    # Whose chunks the others are is not known here: they may be those of anything that is lost.
    has_chunks = any(kind == BLOB and digest not in found.lacking for kind, digest in problem.records)
    return found.lacking if has_chunks else found.lacking & damaged


def _forgive_commits(verdict: Verdict) -> Verdict:
    """Where other commits name every version, take those that cannot be read for harmless."""
    unknown = set(verdict.commits.unknown)
    if any(found.lacking and not found.pins for found in verdict.examined):
        return verdict
    harmless = [problem for problem in verdict.problems if problem.key in unknown]
    remarks = [f"{problem.key}: {problem.reason}, but others name all versions" for problem in harmless]
    problems = tuple(problem for problem in verdict.problems if problem.key not in unknown)
    return dataclasses.replace(verdict, problems=problems, remarks=(*verdict.remarks, *remarks))


def _to_root(version: Version) -> CommittedRoot:
    pointer = version.pointer
    path = version.target.artifact.path
    return CommittedRoot(pointer.digest, pointer.kind, path, pointer.size_bytes, version.git_commit, ())


def _to_iso(seconds: int | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
