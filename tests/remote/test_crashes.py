"""Dying at any request, and others at work between any two requests: nothing that a push reported is ever lost."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.remote.faults import Crash, CrashAt, Hooked, UnreachableAt
from tests.remote.world import PROJECT, Machine, noise, small_files
from vstore.errors import RemoteUnavailableError
from vstore.remote import packer
from vstore.remote.commits import commit_from_bytes, intent_from_bytes
from vstore.remote.content import Root
from vstore.remote.layout import find_commit_name, find_doomed_pack, find_session, tombstone_key
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.transport import Key, Transport

_FILES = small_files(30) | {"big": noise(700_000)}
_EDITED = noise(700_000)[:400_000] + b"edit" + noise(700_000)[400_000:]
_CHANGED = _FILES | {"new": b"new", "big": _EDITED, "other": noise(500_000, 5)}
_PACKS = 4
"""How many packs the second push writes."""


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs so small that a push writes several."""
    monkeypatch.setattr(packer, "PACK_BYTES", 200_000)


def prepare(path: Path, files: Mapping[str, bytes] = _FILES) -> tuple[Hooked, Machine, Root]:
    """A remote with one root pushed, and the machine that pushed it."""
    remote = Hooked(MemoryTransport())
    ada = Machine(path / "ada", remote)
    old = ada.add(files, "old")
    ada.push(old)
    return remote, ada, old


def count_requests(path: Path) -> int:
    """How many requests the second push makes."""
    remote, ada, old = prepare(path)
    made: list[Key] = []
    remote.before = lambda operation, key: made.append(key)
    assert ada.push(old, ada.add(_CHANGED, "new")).packs == _PACKS
    return len(made)


def fetch_fresh(path: Path, remote: Transport, *roots: Root) -> bool:
    """Tell whether a machine that knows nothing gets everything."""
    bob = Machine(path, remote)
    return bob.fetch(*roots).missing == () and bob.holds(*roots)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("fault", [CrashAt, UnreachableAt])
def test_push_that_died_at_any_request_is_taken_up_again(tmp_path: Path, moment: str, fault: type[CrashAt]) -> None:
    """Wherever a push dies, also with its last request done but unacknowledged, the next push completes it."""
    for number in range(count_requests(tmp_path / "count")):
        path = tmp_path / str(number)
        remote, ada, old = prepare(path)
        new = ada.add(_CHANGED, "new")
        packs_before = len(list(remote.list("packs/")))
        setattr(remote, moment, fault(number))
        with contextlib.suppress(Crash, RemoteUnavailableError):  # withdrawing the intent may fail
            ada.push(old, new)
        setattr(remote, moment, lambda operation, key: None)
        assert fetch_fresh(path / "old", remote, old), f"the old root was lost at request {number}"
        uploaded = len(list(remote.list("packs/"))) - packs_before
        report = ada.push(old, new)
        assert fetch_fresh(path / "new", remote, old, new), f"the new root was lost at request {number}"
        assert report.packs + uploaded <= _PACKS + 1, f"the push that died at request {number} was not taken up again"
        assert report.commit is None or ada.mirror.unfinished_sessions() == {}


def test_another_machine_completes_what_one_left(tmp_path: Path) -> None:
    """Wherever a push dies, another machine's push of the same data completes."""
    for number in range(count_requests(tmp_path / "count")):
        path = tmp_path / str(number)
        remote, ada, old = prepare(path)
        new = ada.add(_CHANGED, "new")
        remote.before = CrashAt(number)
        with pytest.raises(Crash):
            ada.push(old, new)
        remote.before = lambda operation, key: None
        bob = Machine(path / "bob", remote)
        bob.push(bob.add(_CHANGED, "new"))
        assert fetch_fresh(path / "new", remote, old, new), f"lost at request {number}"


def test_fetch_that_died_keeps_what_it_has(tmp_path: Path) -> None:
    """A fetch that died while it put a large file together downloads only the rest."""
    remote = Hooked(MemoryTransport())
    ada = Machine(tmp_path / "ada", remote)
    root = ada.add({"big": noise(30_000_000)})
    ada.push(root)
    bob = Machine(tmp_path / "bob", remote)
    remote.before = lambda operation, key: counter(operation, key) if operation == "read_range" else None
    counter = CrashAt(60)
    with pytest.raises(Crash):
        bob.fetch(root)
    remote.before = lambda operation, key: None
    report = bob.fetch(root)
    assert bob.holds(root)
    assert report.reused_bytes > 10_000_000
    assert report.read_bytes + report.reused_bytes < 30_100_000


class Collector:
    """A collector as docs/formats/remote.md describes it, in two halves: it looks, and later it acts."""

    def __init__(self, transport: Transport, *, sweeps: bool) -> None:
        self.transport = transport
        self.sweeps = sweeps

    def look(self) -> Callable[[], None]:
        """List everything in the order of the protocol; return what is then to be done."""
        packs = self._list("packs/")
        doomed = {find_doomed_pack(key) for key in self._list("doomed/")}
        used: set[Key | None] = set()
        sessions = set()
        for key in self._list("intents/"):
            sessions.add(key[len("intents/") : -len(".json")])
            used |= intent_from_bytes(self.transport.read(key), key)
        for key in self._list("commits/"):
            assert find_commit_name(key)
            used |= commit_from_bytes(self.transport.read(key), key).packs().keys()
        unused = [pack for pack in packs if pack not in used and find_session(pack) not in sessions]
        return lambda: self.act([pack for pack in unused if (pack in doomed) == self.sweeps])

    def _list(self, prefix: str) -> list[Key]:
        return [listed.key for listed in self.transport.list(prefix)]

    def act(self, packs: list[Key]) -> None:
        """Doom what is unused, or delete what was doomed and is still unused, pack first."""
        for pack in packs:
            if self.sweeps:
                self.transport.delete(pack)
                self.transport.delete(tombstone_key(pack))
            else:
                self.transport.write(tombstone_key(pack), b"")


class Interleaving:
    """A hook that lets a collector look before one request of a push and act before another.

    Before the push's second request the commit of an earlier push is retired, so that its packs are garbage unless
    this push announces them in time.
    """

    def __init__(self, transport: Transport, *, looks: int, acts: int, sweeps: bool) -> None:
        self.transport = transport
        self.looks, self.acts, self.sweeps = looks, acts, sweeps
        self.requests = 0
        self.act: Callable[[], None] = lambda: None

    def __call__(self, operation: str, key: Key) -> None:
        if self.requests == 1:
            (commit,) = self.transport.list(f"commits/{PROJECT}/")
            self.transport.delete(commit.key)
        if self.requests == self.looks:
            self.act = Collector(self.transport, sweeps=self.sweeps).look()
        if self.requests == self.acts:
            self.act()
        self.requests += 1


@pytest.mark.parametrize("sweeps", [False, True], ids=["dooms", "sweeps"])
def test_collector_between_any_two_requests_loses_nothing(tmp_path: Path, sweeps: bool) -> None:
    """A collector that looks before one request and acts before another takes nothing that a push relied upon."""
    for looks, acts in itertools.combinations_with_replacement(range(16), 2):
        path = tmp_path / f"{looks}-{acts}"
        remote, ada, _ = prepare(path, {"a": b"a", "b": b"b"})
        if sweeps:
            for listed in list(remote.list("packs/")):
                remote.write(tombstone_key(listed.key), b"")
        remote.before = Interleaving(remote.inner, looks=looks, acts=acts, sweeps=sweeps)
        new = ada.add({"a": b"a", "b": b"b", "c": b"c"}, "new")
        ada.push(new)
        remote.before = lambda operation, key: None
        Collector(remote, sweeps=True).look()()
        assert fetch_fresh(path / "fresh", remote, new), f"looked at {looks}, acted at {acts}"


@pytest.mark.parametrize("project", [PROJECT, "p2"], ids=["one project", "two projects"])
def test_two_pushers_at_once(tmp_path: Path, project: str) -> None:
    """Two machines that push different data at the same moment both succeed, also for different projects."""
    remote = MemoryTransport()
    machines = [Machine(tmp_path / "ada", remote), Machine(tmp_path / "bob", remote, project=project)]
    roots = [machine.add(small_files(60, seed) | {"big": noise(2_000_000)}) for seed, machine in enumerate(machines)]
    start = threading.Barrier(2)

    def push(machine: Machine, root: Root) -> None:
        start.wait()
        machine.push(root)

    threads = [threading.Thread(target=push, args=pair) for pair in zip(machines, roots, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for machine, root in zip(machines, roots, strict=True):
        fresh = Machine(tmp_path / "fresh" / root.digest, remote, project=machine.site.project)
        assert fresh.fetch(root).missing == ()
        assert fresh.holds(root)


def test_fetch_between_any_two_requests_of_a_push(tmp_path: Path) -> None:
    """Whenever somebody fetches while another pushes, what was pushed before is whole, and the rest all or not."""
    remote, ada, old = prepare(tmp_path)
    new = ada.add(_CHANGED, "new")
    whole: list[bool] = []
    turn = threading.Lock()  # several packs are uploaded at once

    def fetch(operation: str, key: Key) -> None:
        with turn:
            name = str(len(whole))
            assert fetch_fresh(tmp_path / "old" / name, remote.inner, old)
            bob = Machine(tmp_path / "new" / name, remote.inner)
            report = bob.fetch(new)
            assert all(ada.shelf.contents[digest] == data for digest, data in bob.shelf.contents.items())
            whole.append(not report.missing)

    remote.before = fetch
    ada.push(old, new)
    assert whole == sorted(whole)
    assert not whole[0]
    assert whole[-1]
