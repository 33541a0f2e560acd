"""What must be true at the end: all that was reported is there byte for byte, and nothing else is."""

from __future__ import annotations

import io
import random
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from tests.stress.actors import collect
from tests.stress.book import Expected, FindingError, sha256
from tests.stress.clock import DAY_S, HOUR_S
from tests.stress.course import DIRECTORY, PROJECTS, Course
from tests.stress.machine import Machine
from tests.stress.store import Store
from vstore.objects.chunking import SMALL_BYTES, iter_chunks
from vstore.objects.digest import Digest, algorithm_of, hash_bytes
from vstore.objects.tree import Tree
from vstore.progress import SILENT
from vstore.remote.commits import commit_from_bytes
from vstore.remote.index import Index, index_from_bytes
from vstore.remote.layout import INDEX, PACKS, PackRef, commits_prefix, tombstone_key
from vstore.remote.ledger import Ledger
from vstore.repo import open_repo

_HELD_S = 20 * DAY_S - HOUR_S
"""For so long what was reported is there, whatever git says: 30 days, but for the 10 of a push without news."""
_LEAPS_S = (8 * DAY_S, 31 * DAY_S, 15 * DAY_S, 25 * HOUR_S, 25 * HOUR_S, 8 * DAY_S)
_MOST_ROUNDS = 12
_MOST_BYTES = 1.3
"""So many times what lives may be there when all holds are over."""


def check_reported(course: Course, *, also_dead: bool) -> dict[str, set[Digest]]:
    """Fetch, on a fresh machine, all that must be there, and compare it; returns by project what records hold it.

    It must be there if git knows it or, with ``also_dead``, if it was reported not too long ago.
    """
    records = {}
    for project in PROJECTS:
        machine = Machine(course, f"last-{project}", project, random.Random(0))
        machine.clone()
        live = machine.roots_of(*machine.git("rev-list", "--all").split())
        reported = reported_roots(course, project)
        if unreported := live - reported.keys():
            raise FindingError(f"git knows what nobody reported: {unreported}")
        now_s = course.clock.total_s()
        wanted = live | {root for root, at_s in reported.items() if also_dead and now_s - at_s < _HELD_S}
        versions = [course.book.get(root) for root in sorted(wanted)]
        _fetch(machine, versions)
        records[project] = _compare(machine, versions)
        machine.note("checked", versions=len(versions))
        machine.clone()
        _inspect(machine)
    return records


def _inspect(machine: Machine) -> None:
    """Have the remote inspected, every byte of it, and what is doomed and needed repaired.

    A pack may be both: where a collector looked before a push relied upon the pack, and doomed it only after the push
    looked.  Then every collector keeps it as long as it is needed, with its tombstone.
    """
    for options in ([], ["--repair"], []):
        damages = machine.try_vstore("fsck", "--remote", "--read-data", "--json", *options).json()["damages"]
        if wrong := [damage for damage in damages if damage["kind"] != "doomed"]:
            raise FindingError(f"vstore fsck: {wrong}")
        if not options:
            machine.note("inspected", doomed=len(damages))
        if not damages:
            return
    raise FindingError(f"vstore fsck --repair left {damages}")


def reported_roots(course: Course, project: str) -> dict[str, int]:
    """Return what the machines of a project reported as pushed, and when they last did, by the store's clock."""
    reported: dict[str, int] = {}
    for event in course.book.iter_events("reported"):
        if event["actor"].startswith(project):
            for root in event["roots"]:
                reported[root] = max(event["at_s"], reported.get(root, 0))
    return reported


def _fetch(machine: Machine, versions: Iterable[Expected]) -> None:
    for number, version in enumerate(versions):
        folder = machine.path / "check" / str(number)
        folder.mkdir(parents=True)
        (folder / "data.vstore").write_text(version.pointer)
    machine.vstore("fetch", "check")


def _compare(machine: Machine, versions: Iterable[Expected]) -> set[Digest]:
    with open_repo(machine.path) as repo:
        known: dict[Digest, str] = {}
        records: set[Digest] = set()

        def read(digest: Digest) -> str:
            if digest not in known:
                data = repo.cache.read(digest)
                known[digest] = sha256(data)
                records.add(digest)
                if len(data) > SMALL_BYTES:
                    algorithm = algorithm_of(digest).name
                    records.update(hash_bytes(chunk, algorithm) for chunk in iter_chunks(io.BytesIO(data)))
            return known[digest]

        for version in versions:
            root = Digest(version.root)
            if "" in version.files:
                found = {"": read(root)}
            else:
                read(root)
                tree = Tree.from_bytes(repo.cache.read(root))
                found = {entry.path: read(entry.digest) for entry in tree.entries if entry.is_file}
            if found != version.files:
                raise FindingError(f"{root} is not what was pushed")
        return records


def settle(course: Course, store: Store) -> None:
    """Let all holds pass and collect until nothing changes any more."""
    # What a merged commit says of the date of a push grows no older where only files do.
    options = ["--retire-unknown", "--force", *(["--keep-newer-than", "0h"] if course.kind == DIRECTORY else [])]
    before: Collection[str] = ()
    for number in range(_MOST_ROUNDS):
        if not course.clock.leap(_LEAPS_S[number % len(_LEAPS_S)], store.leap):
            raise FindingError("somebody is still at it")
        for project in PROJECTS:
            machine = Machine(course, f"last-{project}", project, random.Random(0))
            machine.clone()
            collect(machine, *options)
        after = store.list_sizes().keys()
        if number >= len(_LEAPS_S) and after == before:
            return
        before = after
    raise FindingError(f"the collectors come to no end: {sorted(before)}")


def check_nothing_dangles(course: Course, store: Store, records: Mapping[str, set[Digest]]) -> dict[str, int]:
    """See that the bucket holds what git's versions need, and nothing that nobody needs; returns its numbers.

    ``records`` are those that the versions of each project need.
    """
    objects = store.list_sizes()
    kinds = Counter(key.partition("/")[0] for key in objects)
    pinned: set[str] = set()
    indexes: list[Index] = []
    live_bytes = 0
    for project in PROJECTS:
        machine = Machine(course, f"last-{project}", project, random.Random(0))
        live = machine.roots_of(*machine.git("rev-list", "--all").split())
        packs: set[PackRef] = set()
        with open_repo(machine.path) as repo, repo.open_remote(repo.remote_name(None)) as remote:
            read = remote._site.transport.read
            for key in objects:
                if key.startswith(commits_prefix(remote.project)):
                    commit = commit_from_bytes(read(key), key)
                    if dead := {str(root.digest) for root in commit.roots} - live:
                        raise FindingError(f"{key} still names what is dead: {dead}")
                    packs |= set(commit.packs().values())
            ledger = Ledger(remote._site, SILENT)
            found = {place[:2]: place for pack in packs for place in ledger.read_table(pack).locations()}
            live_bytes += sum(place.record_bytes for place in found.values() if place.digest in records[project])
            pinned |= {pack.key for pack in packs}
            indexes = [index_from_bytes(read(key), key) for key in objects if key.startswith(INDEX)]
    tombstones = {tombstone_key(pack) for pack in pinned}  # of packs that are needed all the same
    left = kinds.keys() - {"format.json", "packs", "index", "commits"}
    if dangling := {key for key in objects if key.partition("/")[0] in left} - tombstones:
        raise FindingError(f"there are still {dangling}")
    there = {key for key in objects if key.startswith(PACKS)}
    if there != pinned:
        raise FindingError(f"packs that nothing pins: {there - pinned}; pinned, but not there: {pinned - there}")
    if any(there.isdisjoint(pack.key for pack in index.packs) for index in indexes):
        raise FindingError("an index tells of packs none of which is there")
    numbers = {f"{kind} left": number for kind, number in kinds.items()}
    numbers |= {"live bytes": live_bytes, "bytes left": sum(objects.values())}
    if numbers["bytes left"] > _MOST_BYTES * live_bytes:
        raise FindingError(f"more is left than should be: {numbers}")
    return numbers
