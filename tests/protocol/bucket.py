"""What a bucket holds, and what it answers to single requests.

Each request is one step that nothing divides.  A list that is too long for one answer is asked for page by page, and
each page is a step.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

Pins = frozenset[str]
"""Keys of packs."""
Keys = tuple[str, ...]
Bucket = frozenset[tuple[str, Any]]
"""Keys and what lies there: packs in an intent, roots in a commit or in the trash, else nothing of interest."""
NOW = -1
"""As the date of a root: that of the commit which is being written."""
GONE = "gone"
"""What is read where nothing is."""
CLOCK = "clock"
"""Where the time of the store stands, in thirds of the retention; without it no time passes."""

SURVEYS = "surveys"
"""Where the number of surveys stands that have begun, if entries of the trash expire: none does that was written
after a survey began and before it ended, unless the survey is noticed to have taken too long."""


class Root(NamedTuple):
    """What a commit says of a root."""

    name: str
    pins: Pins
    pushed: int = NOW
    """The store's date of the push it came from."""


Roots = frozenset[Root]


class Request(NamedTuple):
    """One step of a process, or a remark, which says what happened, for those who judge, and takes no time."""

    verb: str
    key: str = ""
    content: Any = None


Process = Generator[Request, Any, "Phase | None"]
Phase = tuple[Any, ...]
"""A generator function and its arguments."""


def then(function: Any, *arguments: Any) -> Phase:
    """Say what a process does next, and all that it remembers."""
    return (function, *arguments)


def put(key: str, content: Any = None) -> Request:
    """Write an object, whole, over what is there; the answer is its date."""
    return Request("put", key, content)


def delete(key: str) -> Request:
    """Delete an object, if it is there."""
    return Request("delete", key)


def list_page(prefix: str, first: str = "", last: str = "~") -> Request:
    """Ask for the keys that begin so; a page of them goes on from ``first`` and ends before ``last``."""
    return Request("list", prefix, (prefix + first, prefix + last))


def read(keys: Keys) -> Request:
    """Ask for the contents at keys; the answer has GONE for each that is not there."""
    return Request("read", " ".join(keys), keys)


def expire(prefix: str) -> Request:
    """Let any object whose key begins so come to its end, or none."""
    return Request("expire", prefix)


def tick() -> Request:
    """Let a third of the retention pass."""
    return Request("tick")


def ask_time() -> Request:
    """Ask what time it is."""
    return Request("time")


def be_quick(began: int) -> Request:
    """Remark that less time passed than lies between a third of the retention and its end; else all ends here."""
    return Request("quick", content=began)


def begin_survey() -> Request:
    """Begin to list what names packs; the answer is the number of the survey."""
    return Request("begin")


def ask_haste(survey: int) -> Request:
    """Ask whether a survey took less time than entries stay in the trash."""
    return Request("haste", content=survey)


def remark(fact: str, root: str, when: int | None = None) -> Request:
    """Note what happened to a root, and when: now, if nothing is said."""
    return Request("remark", fact, (root, when))


def time_in(bucket: Bucket) -> int:
    """Return what the store's clock shows."""
    return next((content for key, content in bucket if key == CLOCK), 0)


def answer(bucket: Bucket, request: Request) -> Iterator[tuple[Bucket, Any]]:
    """Yield each bucket that a request may leave, with the answer; none where the process cannot go on."""
    verb, key, content = request
    if (key.startswith("trash/") and verb in {"put", "expire"}) or verb in {"begin", "haste"}:
        yield from _answer_in_time(bucket, request)
    elif verb == "put":
        now = time_in(bucket)
        if key.startswith("commits/"):
            content = frozenset(root._replace(pushed=now) if root.pushed == NOW else root for root in content)
        yield _with(bucket, key, content), now
    elif verb == "delete":
        yield frozenset(item for item in bucket if item[0] != key), None
    elif verb == "list":
        first, last = content
        yield bucket, tuple(sorted(name for name, _ in bucket if name.startswith(key) and first <= name < last))
    elif verb == "read":
        found = dict(bucket)
        yield bucket, tuple(found.get(name, GONE) for name in content)
    elif verb == "expire":
        yield bucket, None
        for item in bucket:
            if item[0].startswith(key):
                yield bucket - {item}, item[0]
    elif verb == "tick":
        now = time_in(bucket)
        yield bucket - {(CLOCK, now)} | {(CLOCK, now + 1)}, None
    else:
        assert verb == "time"
        yield bucket, time_in(bucket)


def _answer_in_time(bucket: Bucket, request: Request) -> Iterator[tuple[Bucket, Any]]:
    """Answer what has to do with the time that entries stay in the trash."""
    verb, key, content = request
    objects = dict(bucket)
    surveys = objects.get(SURVEYS)
    if verb == "begin":
        yield bucket if surveys is None else _with(bucket, SURVEYS, surveys + 1), (surveys or 0) + 1
    elif verb == "haste":
        yield bucket, objects.get("expired", 0) < content
    elif verb == "put":
        left = _with(bucket, key, content)
        yield left if surveys is None else _with(left, f"written/{key}", surveys), time_in(bucket)
    else:
        yield bucket, None
        for entry in [each for each in objects if each.startswith(key)]:
            written = objects.get(f"written/{entry}", 0)
            left = frozenset(item for item in bucket if item[0] not in {entry, f"written/{entry}"})
            yield _with(left, "expired", max(written, objects.get("expired", 0))), entry


def _with(bucket: Bucket, key: str, content: Any) -> Bucket:
    return frozenset([*(item for item in bucket if item[0] != key), (key, content)])


def tell(request: Request, reply: Any) -> str:
    """Say in words what a step did."""
    verb, key, content = request
    if verb == "put":
        return f"writes {key}{_tell_content(content)}"
    if verb == "delete":
        return f"deletes {key}"
    if verb == "list":
        return f"lists {key}: {', '.join(reply) or 'nothing'}"
    if verb == "read":
        gone = [name for name, found in zip(content, reply, strict=True) if found == GONE]
        return f"reads {key}" + f"; gone: {', '.join(gone)}" * bool(gone)
    if verb == "expire":
        return f"takes away {reply or 'nothing'}"
    if verb == "time":
        return f"looks at the clock: {reply}"
    return {"begin": "begins to look", "tick": "lets a third of the retention pass"}[verb]


def _tell_content(content: Any) -> str:
    if content is None:
        return ""
    named = [
        f"{each.name} in {' and '.join(sorted(each.pins))}" if isinstance(each, Root) else each
        for each in sorted(content, key=str)
    ]
    return f", naming {', '.join(named) or 'nothing'}"
