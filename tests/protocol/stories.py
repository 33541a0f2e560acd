"""Who meets at the bucket: small scenes, each searched whole.

Those that are only told in the night are the same with more people.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tests.protocol.bucket import SURVEYS, Bucket, Root, Roots, then
from tests.protocol.collect import Run, carry_out, collect, grow_old, pass_time
from tests.protocol.invariant import find_fault
from tests.protocol.push import OLD, Task, push, push_again, push_by_index, tombstone_of, undo
from tests.protocol.rules import FIRST_LINE_ONLY, LAST_LINE_ONLY, RULES, Rules
from tests.protocol.search import Facts, Found, search
from tests.protocol.supersede import compact, merge, retire, retire_old

OTHER = "packs/other"
"""Another pack that holds the record."""
GARBAGE: Bucket = frozenset([(OLD, None)])
"""A pack that holds the record everybody needs, and that nothing pins: garbage, until somebody relies upon it."""
TASK = Task("a")
Cast = dict[str, tuple[Any, ...]]
"""Who comes: what each does, and with which arguments besides the rules."""


@dataclass(frozen=True, slots=True)
class Story:
    """What lies there in the beginning, who comes, and which roots were reported before, and when.

    ``still`` and ``lasting`` are prefixes where nothing happens, or nothing but additions: see ``search``.
    """

    bucket: Bucket
    cast: Cast
    reported: tuple[tuple[str, int], ...] = ()
    still: tuple[str, ...] = ()
    lasting: tuple[str, ...] = ()

    def search(self, rules: Rules = RULES) -> Found:
        """Try everything that may happen."""
        before: Facts = frozenset(("reported", root, when) for root, when in self.reported)
        # Where the trash expires, it has to be known who was looking meanwhile.
        counted = {(SURVEYS, 0)} if (pass_time, "trash/") in self.cast.values() else set()
        return search(
            self.bucket | counted,
            {name: then(act, rules, *arguments) for name, (act, *arguments) in self.cast.items()},
            lambda bucket, facts: find_fault(rules, bucket, facts | before),
            still=self.still,
            lasting=self.lasting,
            busy="collector 1",
        )


def commit(*names: str, pack: str = OLD, pushed: int = 0) -> Roots:
    """Return a commit of some roots that one pack holds."""
    return frozenset(Root(name, frozenset([pack]), pushed) for name in names)


def lay(*packs: str, **objects: object) -> Bucket:
    """Return a bucket with some packs, and objects at keys that are told with ``_`` for the slash."""
    return frozenset([*((pack, None) for pack in packs), *((k.replace("_", "/"), each) for k, each in objects.items())])


def pushers(number: int = 1, task: Task = TASK) -> Cast:
    """Return so many pushers that all need the record."""
    return {f"pusher {root}": (push, replace(task, root=root)) for root in "ab"[:number]}


def collectors(number: int = 1, runs: int = 2) -> Cast:
    """Return so many collectors; nothing tells one from the other."""
    return {f"collector {each + 1}": (collect, runs) for each in range(number)}


def expiry(prefix: str) -> Cast:
    """Return the passing of time, which ends an intent or a trash entry, or none."""
    return {f"time that ends {prefix}": (pass_time, prefix)}


def push_and_collect(number: int, cast: Cast, task: Task = TASK, bucket: Bucket = GARBAGE) -> Story:
    """Pushers rely upon a pack that nothing pins, while others collect it as garbage."""
    return Story(bucket, pushers(number, task) | cast, still=("trash/",), lasting=("commits/",))


# A pack may be doomed and pinned: then its tombstone stays, and it lives as long as it is named.
_TWO_COMMITS = lay(OLD, doomed_old=None, commits_p=commit("a"), commits_q=commit("b"))
_REPORTED = (("a", 0), ("b", 0))


def merging(session: str, cast: Cast) -> Story:
    """Commits are merged, and the new name comes before the old ones or behind."""
    return Story(_TWO_COMMITS, {"merger": (merge, session)} | cast, _REPORTED)


def merging_two(cast: Cast) -> Story:
    """Two machines merge the same commits."""
    return merging("c", {"merger 2": (merge, "z")} | cast)


def merging_under_way(cast: Cast) -> Story:
    """There is a commit to be merged whose push has not ended yet."""
    return Story(lay(OLD, commits_p=commit("b")), {"merger": (merge, "c")} | pushers() | cast, (("b", 0),))


MERGING_FAILED = Story(
    lay(OLD, OTHER, doomed_old=None, commits_p=commit("a", pack=OTHER), commits_q=commit("a", pushed=1)),
    {"merger": (merge, "c"), "collector": (carry_out, Run(1), (), (OLD, tombstone_of(OLD)))},
    (("a", 0),),
)
"""A push died when it had committed what was about to be deleted; an older commit pins the root to another pack."""

MERGING_RENEWED = Story(
    lay(OLD, clock=2, commits_p=commit("a"), commits_q=commit("a", pushed=2)),
    {"merger": (merge, "c"), "retirer": (retire_old, "r")},
    (("a", 2),),
)
"""A root was renewed, and both commits are merged while the project retires what is old."""


def retiring(cast: Cast) -> Story:
    """One root of a commit is given up."""
    bucket = lay(OLD, doomed_old=None, commits_p=commit("a", "b"))
    return Story(bucket, {"retirer": (retire, "c", "a")} | cast, _REPORTED)


def retiring_two(cast: Cast) -> Story:
    """Two clones give up a root each, of different commits; both commits hold a third root as well."""
    bucket = lay(OLD, commits_p=commit("a", "b"), commits_q=commit("b", "x"))
    return Story(bucket, {"retirer 1": (retire, "c", "a"), "retirer 2": (retire, "d", "x")} | cast, _REPORTED)


def releasing(cast: Cast) -> Story:
    """The only root that pins a pack is given up, while a push of another root relies upon that pack."""
    return Story(
        lay(OLD, commits_p=commit("x")), {"retirer": (retire, "c", "x")} | cast | expiry("trash/"), (("x", 0),)
    )


def undoing(cast: Cast, *, doomed: bool = True) -> Story:
    """A root is brought back from the trash, whose entry may expire at any moment."""
    bucket = lay(OLD, trash_k=commit("a")) | (lay(doomed_old=None) if doomed else lay())
    return Story(bucket, {"undo": (undo, "a")} | cast | expiry("trash/"))


def compacting(cast: Cast) -> Story:
    """A pack is rewritten, while another push relies upon it."""
    bucket = lay(OLD, commits_p=commit("x"))
    return Story(bucket, {"compactor": (compact, "3", "x")} | cast | expiry("trash/"), (("x", 0),))


def renewing(cast: Cast) -> Story:
    """A push finds everything there, while its own project retires what grew old."""
    bucket = lay(OLD, clock=0, commits_p=commit("a"))
    project: Cast = {"pusher": (push_again, "a"), "retirer": (retire_old, "r"), "clock": (grow_old, 3)}
    return Story(bucket, project | cast | expiry("trash/"), (("a", 0),))


DOUBTING = Story(
    lay(OLD, doomed_old=None, commits_p=commit("a")),
    {"pusher": (push_again, "a"), "collector": (carry_out, Run(1), (), (OLD, tombstone_of(OLD)))},
)
"""A push finds the commit of another that died before it looked once more."""

INDEXED = Story(
    lay(OLD, index_old=None),
    {"pusher": (push_by_index, "a")} | collectors(2) | expiry("index/"),
    still=("trash/",),
    lasting=("commits/",),
)
"""A push believes an index object, which may be deleted at any moment, and which outlives its pack."""


def everything(cast: Cast) -> Story:
    """Commits are merged and a root retired, while others push and collect."""
    bucket = lay(OLD, commits_p=commit("x"), commits_q=commit("y"))
    project: Cast = {"merger": (merge, "c"), "retirer": (retire, "d", "x")}
    return Story(bucket, project | cast, (("x", 0), ("y", 0)))


ALL_LISTS = ("packs/", "doomed/", "intents/", "commits/", "trash/")
PAGED = RULES.paged(*ALL_LISTS)
"""Every list comes in two pages."""
LATE = replace(RULES, reads_at_once=False, starts_over=True)
"""The other way to collect: everything is listed before anything is read, and what is gone by then begins it anew."""
OWN_INTENT: Cast = {"collector 1": (collect, 2, "k"), "collector 2": (collect, 2, "l")}
"""Collectors that begin with an intent of their own."""

SAFE: dict[str, tuple[Story, Rules]] = {
    "one pusher, a collector, intents expire": (push_and_collect(1, collectors() | expiry("intents/")), RULES),
    "two pushers, a collector": (push_and_collect(2, collectors()), RULES),
    "one pusher, two collectors": (push_and_collect(1, collectors(2)), RULES),
    "one pusher, two collectors, the first line": (push_and_collect(1, collectors(2)), FIRST_LINE_ONLY),
    "one pusher, two collectors, the last line": (push_and_collect(1, collectors(2)), LAST_LINE_ONLY),
    "one pusher, two collectors, intents expire": (push_and_collect(1, collectors(2) | expiry("intents/")), RULES),
    "in pages": (push_and_collect(1, collectors() | expiry("intents/")), PAGED),
    "read late": (push_and_collect(1, collectors(2)), LATE),
    "collectors that ask for the time": (push_and_collect(1, OWN_INTENT), RULES),
    "a push that uploads as well": (push_and_collect(1, collectors(2), Task("a", uploads=True)), RULES),
    "a push that copies out of a pack": (push_and_collect(1, collectors(2), Task("a", source=OLD)), RULES),
    "two packs hold the record": (
        push_and_collect(1, collectors(), Task("a", others=(OTHER,)), lay(OLD, OTHER)),
        RULES,
    ),
    "index objects are hints": (INDEXED, RULES),
    "a stranger's commit": (DOUBTING, RULES),
    "merging": (merging("c", collectors()), RULES),
    "merging, in pages": (merging("c", collectors()), PAGED),
    "merging, two collectors": (merging("c", collectors(2)), PAGED),
    "merging to a later name": (merging("z", collectors(2)), PAGED),
    "merging, read late": (merging("c", collectors()), replace(PAGED, reads_at_once=False, starts_over=True)),
    "two mergers": (merging_two(collectors()), RULES),
    "two mergers alone": (merging_two({}), RULES),
    "merging what is under way": (merging_under_way(collectors()), RULES),
    "merging what is under way, alone": (merging_under_way({}), RULES),
    "merging what failed": (MERGING_FAILED, RULES),
    "merging what was renewed": (MERGING_RENEWED, RULES),
    "retiring": (retiring(collectors()), RULES),
    "retiring, two collectors": (retiring(collectors(2, runs=1)), PAGED),
    "two retirers": (retiring_two(collectors()), RULES),
    "releasing a pack": (releasing(pushers() | collectors()), RULES),
    "retiring, the trash expires": (retiring(collectors() | expiry("trash/")), RULES),
    "retiring, the trash expires, in pages": (retiring(collectors() | expiry("trash/")), PAGED),
    "undoing": (undoing(collectors(2, runs=1)), RULES),
    "undoing what was not doomed": (undoing(collectors(2, runs=1), doomed=False), RULES),
    "compacting": (compacting(pushers() | collectors()), RULES),
    "compacting, a pusher alone": (compacting(pushers()), RULES),
    "compacting, a collector alone": (compacting(collectors()), RULES),
    "renewing": (renewing(collectors(runs=1)), RULES),
    "merging, retiring, pushing, collecting": (everything(pushers() | collectors(runs=1)), RULES),
}
"""What is told in every run of the tests."""

NIGHTLY: dict[str, tuple[Story, Rules]] = {
    "two pushers, two collectors": (push_and_collect(2, collectors(2)), RULES),
    "two pushers, two collectors, intents expire": (push_and_collect(2, collectors(2) | expiry("intents/")), RULES),
    "two pushers, two collectors, in pages": (push_and_collect(2, collectors(2)), PAGED),
    "two pushers, two collectors, read late": (push_and_collect(2, collectors(2)), LATE),
    "two pushers, two collectors, all upload": (push_and_collect(2, collectors(2), Task("a", uploads=True)), RULES),
    "one pusher, three collectors": (push_and_collect(1, collectors(3) | expiry("intents/")), RULES),
    "two packs hold the record": (
        push_and_collect(1, collectors(2), Task("a", others=(OTHER,)), lay(OLD, OTHER)),
        PAGED,
    ),
    "two mergers": (merging_two(collectors(2)), PAGED),
    "merging what is under way": (merging_under_way(pushers(2) | collectors(2)), RULES),
    "two retirers": (retiring_two(collectors(2)), PAGED),
    "releasing a pack, two pushers": (releasing(pushers(2) | collectors()), RULES),
    "releasing a pack, two collectors": (releasing(pushers() | collectors(2)), RULES),
    "undoing": (undoing(pushers() | collectors(2)), RULES),
    "undoing, in pages": (undoing(collectors(2)), PAGED),
    "compacting, two pushers": (compacting(pushers(2) | collectors()), RULES),
    "compacting, two collectors": (compacting(pushers() | collectors(2)), RULES),
    "renewing": (renewing(collectors()), RULES),
    "renewing, two collectors": (renewing(collectors(2, runs=1)), RULES),
    "renewing and merging": (renewing({"merger": (merge, "c")} | collectors(runs=1)), RULES),
    "merging, retiring, compacting, collecting": (everything({"compactor": (compact, "3", "y")} | collectors()), RULES),
    "merging, retiring, pushing, two collectors": (everything(pushers() | collectors(2, runs=1)), RULES),
    "merging, retiring, pushing, collecting, the trash expires": (
        everything(pushers() | collectors() | expiry("trash/")),
        RULES,
    ),
    "merging, retiring, pushing, collecting, in pages": (everything(pushers() | collectors()), PAGED),
}
"""The same with more people: 41 million states, a quarter of an hour of one processor and 0.25 GB."""
