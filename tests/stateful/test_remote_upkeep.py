"""Any order of pushes, compactions, collections, deaths and days gone by, against a dict of what was reported."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.remote.bucket import DAY_S, Bucket, Ear
from tests.remote.faults import Crash, CrashAt
from tests.remote.world import Machine, noise
from vstore.objects.digest import Digest
from vstore.remote import upkeep
from vstore.remote.compaction import PACKS_SCALE
from vstore.remote.content import Root
from vstore.remote.merging import COMMITS_SCALE, INDEX_SCALE

_WHO = st.integers(0, 2)
_DATA = [b"a", b"b" * 300, noise(2000, 1), noise(2000, 2), noise(400_000, 3), noise(300_000, 3) + noise(90_000, 4)]
_FILES = st.dictionaries(st.sampled_from(["f", "g", "d/h"]), st.integers(0, len(_DATA) - 1), min_size=1)

_PROFILE = "--hypothesis-profile"
_PHASES = [hypothesis.Phase.reuse, hypothesis.Phase.generate]


class Upkeep(RuleBasedStateMachine):
    """Machines of one project at one bucket; ``reported`` is what pushes reported and nobody gave up since."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp(dir=place))
        self.bucket = Bucket(self.path)
        self.machines = [self.bucket.machine() for _ in range(3)]
        self.reported: dict[Digest, Root] = {}

    def teardown(self) -> None:
        """See that all is there when every hold is over, and that no garbage is."""
        self.bucket.now_s += 8 * DAY_S
        self.bucket.end_holds(self.machines[0])
        self.nothing_is_lost()
        assert self.bucket.keys("packs/") <= self.bucket.pinned()
        shutil.rmtree(self.path)

    @rule(who=_WHO, files=_FILES)
    def push(self, who: int, files: dict[str, int]) -> None:
        """A machine pushes a directory."""
        root = self.machines[who].add({name: _DATA[number] for name, number in files.items()})
        self.machines[who].push(root)
        self.reported[root.digest] = root

    @rule(who=_WHO, files=_FILES, requests=st.integers(0, 60), after=st.booleans())
    def die(self, who: int, files: dict[str, int], requests: int, after: bool) -> None:
        """A machine dies while it pushes, or while it compacts after that; another takes its place."""
        root = self.machines[who].add({name: _DATA[number] for name, number in files.items()})
        with self.dying(requests, after), contextlib.suppress(Crash):
            self.machines[who].push(root)
            self.reported[root.digest] = root

    @rule(who=_WHO)
    def compact(self, who: int) -> None:
        """A machine compacts all."""
        self.machines[who].remote.compact(self.machines[who].shelf, reporter=Ear())

    @rule(who=_WHO, requests=st.integers(0, 60), after=st.booleans())
    def die_compacting(self, who: int, requests: int, after: bool) -> None:
        """A machine dies while it compacts all."""
        with self.dying(requests, after), contextlib.suppress(Crash):
            self.compact(who)

    @rule(who=_WHO, data=st.data(), requests=st.integers(0, 40), dies=st.booleans())
    def give_up(self, who: int, data: st.DataObject, requests: int, dies: bool) -> None:
        """A collector gives up a root, and perhaps dies."""
        if self.reported:
            digest = data.draw(st.sampled_from(sorted(self.reported)))
            del self.reported[digest]
            with self.dying(requests if dies else 10_000, after=False), contextlib.suppress(Crash):
                self.bucket.collect(self.machines[who], [digest])

    @rule(who=_WHO)
    def collect(self, who: int) -> None:
        """A collector goes through."""
        self.bucket.collect(self.machines[who])

    @rule(days=st.sampled_from([0.1, 1.1, 8, 15, 40]))
    def wait(self, days: float) -> None:
        """Days go by."""
        self.bucket.now_s += days * DAY_S

    @rule(who=_WHO)
    def renew(self, who: int) -> None:
        """A machine loses its disk."""
        self.machines[who] = self.bucket.machine()

    @contextlib.contextmanager
    def dying(self, requests: int, after: bool) -> Iterator[None]:
        """Die at a request."""
        setattr(self.bucket.transport, "after" if after else "before", CrashAt(requests))
        try:
            yield
        finally:
            self.restore()

    def restore(self) -> None:
        """Let requests go through again."""
        self.bucket.transport.before = self.bucket.transport.after = self.bucket.count

    @invariant()
    def nothing_is_lost(self) -> None:
        """What was reported and not given up can be fetched, byte for byte, by who knows nothing."""
        fresh: Machine = self.bucket.machine("fresh")
        if self.reported:
            fresh.fetch(*self.reported.values())
        assert fresh.holds(*self.reported.values())


def test_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config) -> None:
    """Whatever is done in whatever order, nothing that was reported is lost."""
    monkeypatch.setattr(upkeep, "PACKS_SCALE", PACKS_SCALE._replace(most=3))
    monkeypatch.setattr(upkeep, "COMMITS_SCALE", COMMITS_SCALE._replace(most=3))
    monkeypatch.setattr(upkeep, "INDEX_SCALE", INDEX_SCALE._replace(most=3))
    monkeypatch.setattr(upkeep, "_HOLLOW_BYTES", 1000)
    many = max(10, hypothesis.settings().max_examples // 5) if pytestconfig.getoption(_PROFILE, None) else 10
    settings = hypothesis.settings(max_examples=many, stateful_step_count=25, phases=_PHASES)
    run_state_machine_as_test(lambda: Upkeep(tmp_path), settings=settings)
