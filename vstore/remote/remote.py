"""One remote in terms of digests: what the verbs work with."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from vstore import __version__
from vstore.objects.digest import Digest
from vstore.progress import SILENT, Reporter
from vstore.remote.check import Lack, check_roots
from vstore.remote.collect import Collected, CollectPlan, Doomed, collect, list_doomed
from vstore.remote.commits import CommittedRoot
from vstore.remote.compaction import Compacted
from vstore.remote.content import Arriving, Content, Incoming, Root, Sink, Source
from vstore.remote.draft import Draft, PushPlan, find_missing_roots, plan_push
from vstore.remote.fetch import Fetch, FetchReport
from vstore.remote.inspection import Examined, Inspection, ReadData, Verdict
from vstore.remote.layout import check_project
from vstore.remote.ledger import Policy, Site
from vstore.remote.listing import refresh_listing
from vstore.remote.mending import distrust_for_repair, mend_documents
from vstore.remote.probe import Probe, probe
from vstore.remote.projects import FoundProject, list_projects
from vstore.remote.push import PushReport, push, push_incoming
from vstore.remote.reader import Reader
from vstore.remote.shipping import Crew, Order, Shipment, upload_shard
from vstore.remote.survey import Survey, open_survey
from vstore.remote.transport import Key
from vstore.remote.unpinned import Unpinned, lacks_commits
from vstore.remote.upkeep import compact, keep_up, plan_compaction

_WRITER = f"vstore {__version__}"
_NOTHING = ReadData()
_NO_BASES: Mapping[Digest, Digest] = {}


class Remote:
    """A remote as one project sees it.

    Every method but ``read_blob`` asks the remote anew; so does each reader, once.  All of them raise
    RemoteUnavailableError, RemoteDeniedError and, where a newer vstore wrote the remote, NewerFormatError.
    """

    def __init__(self, site: Site, *, name: str) -> None:
        self.name = name
        self.url = site.transport.url
        self.project = site.project
        self._site = site
        self._reader: Reader | None = None

    def follow(self, policy: Policy) -> Remote:
        """Return the same remote, kept in another way."""
        return Remote(dataclasses.replace(self._site, policy=policy), name=self.name)

    def plan_push(self, roots: Sequence[Root], *, reporter: Reporter = SILENT) -> PushPlan:
        """Find out what a push would do; changes nothing.  Two requests where the remote holds everything."""
        return plan_push(self._site, roots, reporter)

    def plan_revival(self, roots: Sequence[Root], *, reporter: Reporter = SILENT) -> PushPlan:
        """Find out what a push would do that relies upon the packs of retired commits in the trash as well."""
        return plan_push(self._site, roots, reporter, revives=True)

    def push(
        self, plan: PushPlan, source: Source, *, crew: Crew | None = None, reporter: Reporter = SILENT
    ) -> PushReport:
        """Carry out a plan, once; when it returns, the remote holds all of its roots.

        A ``crew`` uploads what it can, the rest is uploaded here.  Where it stops, whatever was uploaded is found by
        the next push.  Raises ObjectMissingError (no commit is then written) where something is held neither by
        ``source`` nor at the remote, CorruptError where a large content of ``source`` is damaged.
        """
        report = push(plan, source, _WRITER, reporter, crew)
        self._keep_up(report, plan.draft, source, reporter)
        return report

    def push_incoming(
        self, incoming: Incoming, source: Source, *, crew: Crew | None = None, reporter: Reporter = SILENT
    ) -> PushReport:
        """Bring contents here as they come from elsewhere, with bounded memory; the last of all is the commit.

        What a ``crew`` brings, ``incoming`` does not yield, and only says in the end what all of it is.
        ``source`` holds what ``incoming`` does not bring, as a tree.  Where it stops, the next finds what was uploaded.
        """
        draft = Draft(self._site, (), reporter)
        report = push_incoming(draft, incoming, source, _WRITER, reporter, crew)
        self._keep_up(report, draft, source, reporter)
        return report

    def _keep_up(self, report: PushReport, draft: Draft, source: Source, reporter: Reporter) -> None:
        if report.commit is not None and report.is_settled and self._site.policy.compacts:
            keep_up(self._site, draft.commits, source, report.uploaded_bytes, reporter)

    def compact(self, source: Source, *, reporter: Reporter = SILENT) -> Compacted:
        """Rewrite the project's packs that are mostly dead, and merge small ones, commits and index objects.

        Contents that ``source`` holds are not downloaded.  It may be stopped at any time, and another run goes on.
        """
        return compact(self._site, source, reporter)

    def plan_compaction(self, dead: Collection[Digest], source: Source, *, reporter: Reporter = SILENT) -> Compacted:
        """Say about what ``compact`` would do when some roots were retired; writes nothing."""
        return plan_compaction(self._site, dead, source, reporter)

    def upload_shard(
        self, order: Order, source: Source, *, arriving: Arriving | None = None, reporter: Reporter = SILENT
    ) -> Shipment:
        """Upload a part of what a push of another machine orders: from ``source``, or what arrives from elsewhere."""
        return upload_shard(self._site, order, source, arriving=arriving, reporter=reporter)

    def refresh_listing(self) -> None:
        """Write ``listing.json`` anew unless it names all commits; two requests where it does."""
        refresh_listing(self._site.transport)

    def missing_roots(self, roots: Collection[Digest], *, reporter: Reporter = SILENT) -> set[Digest]:
        """Return the roots that the remote does not hold whole; two requests."""
        return find_missing_roots(self._site, roots, reporter)

    def fetch(
        self,
        wanted: Sequence[Content],
        sink: Sink,
        *,
        roots: Collection[Digest],
        bases: Mapping[Digest, Digest] = _NO_BASES,
        reporter: Reporter = SILENT,
    ) -> FetchReport:
        """Bring contents into ``sink``, each verified; what is good nowhere is named in the report.

        ``roots`` are those that the contents belong to.  ``bases`` names, for large contents, an older version
        that the sink holds: what they have in common is copied instead of downloaded.
        """
        return Fetch(self._site, sink, roots, bases, reporter).run(wanted)

    def distrust(self, packs: Iterable[Key]) -> None:
        """Remember that packs were seen to be damaged: the next push uploads anew what they hold."""
        self._site.mirror.distrust(set(packs))

    def read_blob(self, digest: Digest, *, roots: Collection[Digest] = ()) -> bytes:
        """Return a content of the length of a tree at most, verified as a whole, for reading a little without a cache.

        ``roots`` are those it belongs to, by default itself.  What was read about the remote is kept for the
        next call.  Raises ObjectMissingError.
        """
        if self._reader is None or not self._reader.covers(roots or {digest}):
            self._reader = Reader(self._site, roots or {digest}, SILENT)
        return self._reader.read_content(digest)

    def open_reader(self, roots: Collection[Digest], *, reporter: Reporter = SILENT) -> Reader:
        """Return what reads recipes and single chunks of the contents that belong to ``roots``, from several threads.

        Every chunk is verified.  Only who reads all of a large content can know that together they have its digest.
        """
        return Reader(self._site, roots, reporter)

    def read_roots(self, roots: Collection[Digest]) -> Iterator[tuple[Digest, bytes]]:
        """Yield the content of each root that is good at the remote, verified as a whole: of trees only the trees.

        Few requests for many small ones.
        """
        yield from Reader(self._site, roots, SILENT).read_contents(roots)

    def check(self, roots: Sequence[Root], *, reporter: Reporter = SILENT) -> list[Lack]:
        """Return what the remote lacks of some roots, judged by what is there now and never from memory."""
        return check_roots(self._site, roots, reporter)

    def inspect(
        self,
        roots: Sequence[CommittedRoot] | None,
        *,
        read_data: ReadData = _NOTHING,
        find_tree: Callable[[Digest], bytes | None] = lambda digest: None,
        reporter: Reporter = SILENT,
    ) -> Verdict:
        """Say what is wrong with the remote for some roots, or for all that the project's commits name.

        ``read_data`` says how much of the packs to read whole.  ``find_tree`` returns a verified tree that is held
        elsewhere.  Packs that are found damaged are distrusted: the next push uploads anew what they held.
        """
        return Inspection(self._site, find_tree, reporter).run(roots, read_data)

    def mend_documents(self, verdict: Verdict) -> list[Key]:
        """Write format, commits and indexes anew where they were found damaged or lost; return their keys.

        Raises CorruptError for a damaged format, which may be of a newer version.
        """
        return mend_documents(self._site, verdict, _WRITER)

    @contextlib.contextmanager
    def distrusting(self, examined: Iterable[Examined]) -> Iterator[None]:
        """Let pushes in the block rely on nothing that made a root not whole, also where commits say otherwise."""
        packs = distrust_for_repair(self._site, examined)
        yield
        self._site.mirror.trust(packs)

    def survey(
        self, *, forgotten: Collection[Key] = (), announced: bool = True, reporter: Reporter = SILENT
    ) -> AbstractContextManager[Survey]:
        """Look at everything that is there, of all projects, as strictly as a collection needs it.

        Unless ``announced``, nothing is written.  Raises NeedsUnknownError naming what cannot be read and is not
        ``forgotten``, CorruptError where the format is gone.
        """
        return open_survey(self._site, reporter, forgotten=forgotten, announced=announced)

    def collect(self, survey: Survey, plan: CollectPlan, *, reporter: Reporter = SILENT) -> Collected:
        """Carry out what ``plan_collection`` says of a survey."""
        return collect(self._site, survey, plan, reporter)

    def list_doomed(self, survey: Survey) -> list[Doomed]:
        """Return the doomed packs, those doomed first first; a request for each."""
        return list_doomed(self._site, survey)

    def lacks_commits(self) -> bool:
        """Tell whether packs are there and not one commit of anybody: then commits were lost.  Two requests."""
        return lacks_commits(self._site)

    def list_projects(self, *, project: str | None = None, reporter: Reporter = SILENT) -> list[FoundProject]:
        """Return the projects that have commits there, or only one of them; a request for each commit not yet known."""
        return list_projects(self._site, reporter, project=project)

    def seen_by(self, project: str) -> Remote:
        """Return the same remote as another project sees it, over the same connections.  Raises InvalidError."""
        return Remote(dataclasses.replace(self._site, project=check_project(project)), name=self.name)

    def find_unpinned(self, *, reporter: Reporter = SILENT) -> Unpinned:
        """Look into the packs that no commit of anybody names; what it plans, ``push`` carries out."""
        return Unpinned(self._site, reporter)

    def probe(self) -> Probe:
        """Try to list, write, read and delete, and say how each went."""
        return probe(self._site)

    def close(self) -> None:
        """Give back connections."""
        self._site.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
