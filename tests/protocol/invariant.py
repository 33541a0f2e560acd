"""What has to hold, whenever everybody may have crashed.

Whatever a push reported can be read, until its own project retires it: now, and also when everybody is gone, what
expires has expired, and collectors have run.  Then nothing is left but commits and what they name.
"""

from __future__ import annotations

import functools
from typing import Any

from tests.protocol.bucket import Bucket, Process, answer
from tests.protocol.collect import collect
from tests.protocol.push import tombstone_of
from tests.protocol.rules import Rules
from tests.protocol.search import Facts


def find_fault(rules: Rules, bucket: Bucket, facts: Facts) -> str | None:
    """Return what is wrong in a world, in a sentence, or None."""
    promised = {root for fact, root, when in facts if fact == "reported" and not _is_retired(root, when, facts)}
    quiet = come_to_rest(rules, bucket)
    for root in sorted(promised):
        if not is_readable(bucket, root):
            return f"{root} was reported and cannot be read"
        if not is_readable(quiet, root):
            return f"{root} was reported, and cannot be read when what expires has expired and collectors have run"
    for fact, what, _ in facts:
        if fact == "failed":
            return f"{what} failed, since somebody took its commit away"
    left = sorted(find_dangling(quiet))
    return f"{', '.join(left)} stay for ever, and nothing names them" if left else None


def _is_retired(root: str, when: int, facts: Facts) -> bool:
    """Tell whether its project gave a root up, and knew then of the push that reported it at that time."""
    return any(fact == "retired" and root == other and later > when for fact, other, later in facts)


def is_readable(bucket: Bucket, name: str) -> bool:
    """Tell whether a commit, or an entry of the trash, pins a root to packs that are all there."""
    objects = dict(bucket)
    return any(
        root.name == name and all(pack in objects for pack in root.pins)
        for key, content in bucket
        if key.startswith(("commits/", "trash/"))
        for root in content
    )


@functools.cache
def come_to_rest(rules: Rules, bucket: Bucket) -> Bucket:
    """Return what is left of a bucket when nobody pushes for long and a collector runs."""
    bucket = frozenset(item for item in bucket if not item[0].startswith(("intents/", "trash/")))
    return _run(collect(rules), bucket)


def _run(process: Process, bucket: Bucket) -> Bucket:
    reply: Any = None
    try:
        while True:
            bucket, reply = next(answer(bucket, process.send(reply)))
    except StopIteration as ended:
        return _run(ended.value[0](*ended.value[1:]), bucket) if ended.value else bucket


def find_hollow(bucket: Bucket) -> str | None:
    """Return which commit pins what is not there, in a sentence, or None."""
    present = {key for key, _ in bucket}
    hollow = [key for key, roots in bucket if key.startswith("commits/") and any(root.pins - present for root in roots)]
    return f"{hollow[0]} has nothing behind it" if hollow else None


def find_dangling(bucket: Bucket) -> set[str]:
    """Return the packs that no commit names, and the tombstones of such."""
    named = {pack for key, content in bucket if key.startswith("commits/") for root in content for pack in root.pins}
    named |= {tombstone_of(pack) for pack in named}
    return {
        key for key, _ in bucket if key.startswith(("packs/", "doomed/", "intents/", "trash/")) and key not in named
    }
