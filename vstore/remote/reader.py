"""Reading records wherever they are good: from one pack after another, and then from all that we know of."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeVar

from vstore.errors import ObjectMissingError
from vstore.objects.digest import Digest, algorithm_of, hash_bytes
from vstore.objects.recipe import Chunk
from vstore.objects.table import BLOB, RECIPE, Location
from vstore.progress import Reporter
from vstore.remote.catalog import Catalog, Place, has_proof
from vstore.remote.commits import Commit
from vstore.remote.holdings import MAX_TREE_BYTES
from vstore.remote.layout import PackRef
from vstore.remote.learning import learn
from vstore.remote.ledger import Ledger, Site
from vstore.remote.recipes import find_chunks, take_content
from vstore.remote.spans import Failure, Take, read_places
from vstore.remote.transport import Key

Result = TypeVar("Result")


class Reader:
    """Reads records that some roots need.

    It looks first into the packs that the roots are pinned to and, for what is not good there, into all packs
    of the project's commits and trash; for digests that prove what they name, into other projects' as well.
    What it learned about the remote it keeps.  With a ``catalog`` it looks into what that knows, and nowhere else.
    Thread-safe.
    """

    def __init__(
        self, site: Site, roots: Collection[Digest], reporter: Reporter, *, catalog: Catalog | None = None
    ) -> None:
        self.site = site
        self.damaged: list[tuple[Digest, Key]] = []
        """Every record that was not good where it should be."""
        self._reporter = reporter
        self._ledger = Ledger(site, reporter)
        self._roots = roots
        self._learning = threading.RLock()
        self._catalog = catalog
        self._wide = catalog is not None
        self._tried: dict[tuple[int, Digest], set[tuple[Key, int]]] = {}
        """Of records that were not good where they should be, the packs and offsets that were looked at."""

    @property
    def catalog(self) -> Catalog:
        """What the packs looked into so far hold."""
        with self._learning:
            if self._catalog is None:
                self._catalog = self._open(self._iter_pinning())
            return self._catalog

    def _iter_pinning(self) -> Iterator[tuple[str, PackRef]]:
        """Yield the packs of the newest commit (or trash entry) of each root, with the session that pins them."""
        unpinned = set(self._roots)
        for commits in (self._ledger.iter_commits, self._ledger.iter_retired):
            if unpinned:
                for _, commit in commits():
                    for root in commit.roots:
                        if root.digest in unpinned:
                            unpinned.discard(root.digest)
                            yield from ((commit.session, pack) for pack in root.pins)
                    if not unpinned:
                        return

    def _iter_all(self) -> Iterator[tuple[str, PackRef]]:
        commits: list[Callable[[], Iterator[tuple[Key, Commit]]]] = [
            self._ledger.iter_commits,
            self._ledger.iter_retired,
        ]
        if has_proof(self._roots):
            commits.append(self._ledger.iter_foreign)
        for each in commits:
            for _, commit in each():
                yield from ((commit.session, pack) for pack in commit.packs().values())

    def _open(self, pins: Iterable[tuple[str, PackRef]]) -> Catalog:
        sessions: set[str] = set()
        packs: dict[PackRef, None] = {}
        for session, pack in pins:
            sessions.add(session)
            packs[pack] = None
        catalog = Catalog(self._ledger.settle(packs).values())
        learn(self._ledger, catalog, sessions)
        return catalog

    def _widen(self, known: Catalog) -> bool:
        """Look into everything there is; False if ``known`` is all there is."""
        with self._learning:
            if self._wide:
                return self._catalog is not known  # another thread has looked meanwhile
            # What we do not find may be there in a newer format: that is an error of its own.
            self._ledger.refuse_newer()
            catalog = self._open(self._iter_all())
            # An index may have been wrong about a pack; its own end is not.
            failed = {pack for tried in list(self._tried.values()) for pack, _ in tuple(tried)}
            wrong = {key for key in failed if known.packs.get(key) != catalog.packs.get(key)}
            for tried in list(self._tried.values()):  # there was another pack meant
                tried.difference_update([place for place in tuple(tried) if place[0] in wrong])
            for pack in [catalog.packs[key] for key in sorted(failed & catalog.packs.keys())]:
                end = self._ledger.read_end(pack)
                if end is not None:
                    catalog.add(end)
            self._catalog, self._wide = catalog, True
            return True

    def read(self, kind: int, digests: Iterable[Digest], take: Take[Result]) -> Iterator[tuple[Location, Result]]:
        """Yield what ``take`` makes of each record that is good somewhere; the others are left out.

        ``take`` is called in worker threads.  Raises what it raises, and UnavailableError.
        """
        return itertools.chain.from_iterable(self.read_batches(kind, digests, take))

    def read_batches(
        self, kind: int, digests: Iterable[Digest], take: Take[Result]
    ) -> Iterator[list[tuple[Location, Result]]]:
        """Yield the same as ``read``, as many records at once as were read together."""
        wanted = dict.fromkeys(digests)
        while wanted:
            catalog = self.catalog
            fresh = [digest for digest in wanted if (kind, digest) not in self._tried]
            found = catalog.locate(kind, fresh)
            places = [found[digest] for digest in fresh if digest in found]  # in the order that was asked
            places += [place for digest in wanted if (place := self._next_place(kind, digest))]
            while places:
                retry: list[Digest] = []
                failures: Counter[Key] = Counter()
                again = {place.location.digest: place.pack.key for place in places if self._tried}
                for batch in read_places(self.site, places, take):
                    good: list[tuple[Location, Result]] = []
                    for location, result in batch:
                        if isinstance(result, Failure):
                            failures[result.pack] += 1
                            self.damaged.append((location.digest, result.pack))
                            self._tried.setdefault((kind, location.digest), set()).add((result.pack, location.offset))
                            retry.append(location.digest)
                        else:
                            del wanted[location.digest]
                            if (kind, location.digest) in self._tried:
                                self._absolve(location.digest, again[location.digest])
                            good.append((location, result))
                    yield good
                for pack, count in failures.items():
                    self._reporter.warn(f"{count} records in {pack} are damaged or gone")
                places = [place for digest in retry if (place := self._next_place(kind, digest))]
            if not wanted:
                return
            if not self._widen(catalog):
                if self._ledger.newer:
                    raise self._ledger.newer[0]
                return

    def _absolve(self, digest: Digest, pack: Key) -> None:
        """Blame a pack no longer: an index, or a commit, was wrong about where in it a record lies."""
        self.damaged[:] = [found for found in self.damaged if found != (digest, pack)]

    def _next_place(self, kind: int, digest: Digest) -> Place | None:
        """Return another place for a record that was not good where it was looked for."""
        tried = self._tried.get((kind, digest))
        if tried is None:
            return None
        places = self.catalog.find_anywhere(kind, digest)
        return next((place for place in places if (place.pack.key, place.location.offset) not in tried), None)

    def covers(self, roots: Collection[Digest]) -> bool:
        """Tell whether the reader was made for all of these roots."""
        return set(roots) <= set(self._roots)

    def read_content(self, digest: Digest) -> bytes:
        """Return a content of any size, verified as a whole.  Raises ObjectMissingError, UnavailableError."""
        for _, content in self.read_contents([digest]):
            return content
        raise ObjectMissingError(f"{self.site.transport.url} does not hold {digest}", digests=[digest])

    def read_contents(self, digests: Collection[Digest]) -> Iterator[tuple[Digest, bytes]]:
        """Yield each content that is good somewhere, verified as a whole; small ones are read together.

        What is longer than any tree is passed over: a small recipe can claim terabytes.
        """
        large = set(self.catalog.locate(RECIPE, digests))
        left = dict.fromkeys(digests)
        for location, content in self.read(BLOB, [digest for digest in digests if digest not in large], take_content):
            del left[location.digest]
            yield location.digest, content
        for digest, chunks in self.read_chunks(left):
            if sum(chunk.size_bytes for chunk in chunks) > MAX_TREE_BYTES:
                continue
            blobs = self.read_blobs([chunk.digest for chunk in chunks])
            content = b"".join([blobs.get(chunk.digest, b"") for chunk in chunks])
            if hash_bytes(content, algorithm_of(digest).name) == digest:
                yield digest, content

    def read_chunks(self, contents: Iterable[Digest]) -> Iterator[tuple[Digest, list[Chunk]]]:
        """Yield the chunks of each large content whose recipe is good, in the order of the content."""
        recipes = {location.digest: recipe for location, recipe in self.read(RECIPE, contents, take_content)}
        for digest, recipe in recipes.items():
            chunks = find_chunks(recipe, self.read_blobs)
            if chunks is None:
                self._reporter.warn(f"the recipe of {digest} is of no use: a part of it is damaged or gone")
            else:
                yield digest, chunks

    def read_blobs(self, digests: Iterable[Digest]) -> dict[Digest, bytes]:
        """Return the verified contents of those blobs that are good somewhere."""
        return {location.digest: content for location, content in self.read(BLOB, digests, take_content)}
