"""Probing tells what works at a remote, and leaves it as it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contracts.transport import keys
from tests.remote.faults import Hooked
from tests.remote.world import PROJECT, Machine, small_files
from vstore.errors import Cause, CorruptError, NewerFormatError, RemoteDeniedError, RemoteUnavailableError, VstoreError
from vstore.remote.commits import format_to_bytes
from vstore.remote.directory_transport import DirectoryTransport
from vstore.remote.layout import FORMAT, PROBES
from vstore.remote.ledger import Site
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.mirror import Mirror
from vstore.remote.probe import Probe, probe
from vstore.remote.transport import Key, Transport
from vstore.remote.wrappers import ReadOnlyTransport

URL = "memory:"


@pytest.fixture
def hooked() -> Hooked:
    """A remote in memory whose requests a test may spoil."""
    return Hooked(MemoryTransport())


@pytest.fixture
def look(tmp_path: Path) -> Callable[[Transport], Probe]:
    """Probes a transport."""
    return lambda transport: probe(Site(transport, Mirror(tmp_path / "mirror"), PROJECT, "ada@host", 2, 1_000_000))


def denying(*operations: str) -> Callable[[str, Key], None]:
    """Return a hook that refuses some operations."""

    def hook(operation: str, key: Key) -> None:
        if operation in operations:
            raise RemoteDeniedError("no", cause=Cause.DENIED, url=URL, action=operation)

    return hook


def outcome(found: Probe) -> dict[str, type[VstoreError] | Cause | None]:
    """Return how each step went: its cause, or the kind of its error."""
    return {step.action: step.cause or (type(step.error) if step.error else None) for step in found.steps}


def test_everything_works(hooked: Hooked, look: Callable[[Transport], Probe]) -> None:
    """Where all works, all is tried, and nothing is left."""
    found = look(hooked)
    assert outcome(found) == dict.fromkeys(("list", "write", "read", "list-new", "delete"))
    assert found.round_trip_s is not None and found.left is None and not found.strangers
    assert keys(hooked, "") == []


@pytest.mark.parametrize(
    ("denied", "failed", "is_left"),
    [
        (["list"], ["list"], False),
        (["write"], ["write"], False),
        (["delete"], ["delete"], True),
        (["read"], ["read"], False),
        (["write", "delete"], ["write", "delete"], False),
        (["list", "write", "read", "read_range", "delete", "find_size"], ["list", "write", "read", "delete"], False),
    ],
)
def test_denials_are_told_apart(
    denied: list[str], failed: list[str], is_left: bool, hooked: Hooked, look: Callable[[Transport], Probe]
) -> None:
    """Each action is judged by itself, and what could not be deleted is named."""
    hooked.inner.write(FORMAT, format_to_bytes("test"))
    hooked.before = denying(*denied)
    found = look(hooked)
    assert [action for action, cause in outcome(found).items() if cause is Cause.DENIED] == failed
    left = keys(hooked.inner, PROBES)
    assert left == ([found.left] if is_left else [])


def test_no_more_is_tried_where_all_would_fail(hooked: Hooked, look: Callable[[Transport], Probe]) -> None:
    """A host that is not known will not be known to the next request either."""
    asked = []

    def hook(operation: str, key: Key) -> None:
        asked.append(operation)
        raise RemoteUnavailableError("no", cause=Cause.DNS, url=URL)

    hooked.before = hook
    assert outcome(look(hooked)) == {"list": Cause.DNS}
    assert asked == ["list"]


def test_reading_is_tried_where_nothing_may_be_written(hooked: Hooked, look: Callable[[Transport], Probe]) -> None:
    """A read-only remote is read: its format, or any pack; where it is empty, that is said."""
    transport = ReadOnlyTransport(hooked)
    assert [(step.action, step.error, step.note) for step in look(transport).steps] == [
        ("list", None, ""),
        ("write", None, "read-only"),
        ("read", None, "nothing is there yet"),
    ]
    hooked.inner.write("packs/" + "0" * 32 + "-0.vpack", b"x")
    assert look(transport).steps[-1].note == ""
    hooked.before = denying("read_range")
    assert outcome(look(transport))["read"] is Cause.DENIED
    hooked.inner.write(FORMAT, format_to_bytes("test"))
    assert outcome(look(transport))["read"] is None


def test_listing_that_lags_behind(hooked: Hooked, look: Callable[[Transport], Probe]) -> None:
    """A store that does not list what was just written, or still lists what was deleted, is none for us."""
    memory = hooked.inner
    written: dict[Key, bytes] = {}

    def forget(operation: str, key: Key) -> None:
        if operation == "write":
            written[key] = memory.read(key)
        elif operation == "read" and key in written:
            memory.delete(key)

    hooked.after = forget
    assert outcome(look(hooked))["list-new"] is Cause.STALE

    def bring_back(operation: str, key: Key) -> None:
        if operation == "write":
            written[key] = memory.read(key)
        elif operation == "delete":
            memory.write(key, written[key])

    hooked.after = bring_back
    found = look(hooked)
    assert outcome(found)["delete"] is Cause.STALE and found.left in keys(memory, PROBES)


def test_other_bytes_come_back(hooked: Hooked, look: Callable[[Transport], Probe]) -> None:
    """A store that gives back other bytes than were written is caught."""
    hooked.after = lambda operation, key: hooked.inner.write(key, b"other") if operation == "write" else None
    assert outcome(look(hooked))["read"] is CorruptError


def test_remote_of_a_newer_vstore(hooked: Hooked, look: Callable[[Transport], Probe]) -> None:
    """A remote of a newer format is said to be one, though its bytes can be read."""
    hooked.inner.write(FORMAT, format_to_bytes("test").replace(b'"version":1', b'"version":2'))
    found = look(hooked)
    assert outcome(found)["read"] is NewerFormatError and found.left is None


def test_place_of_something_else(tmp_path: Path, look: Callable[[Transport], Probe]) -> None:
    """Names that are not ours are told where nothing is ours, and only there."""
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "Thesis (final).doc").write_bytes(b"x")
    transport = DirectoryTransport(tmp_path / "store")
    assert look(transport).strangers == ["Thesis (final).doc"]
    transport.write(FORMAT, format_to_bytes("test"))
    assert look(transport).strangers == []


def test_directory_that_cannot_be(tmp_path: Path, look: Callable[[Transport], Probe]) -> None:
    """A directory that neither is nor can be made: nothing is there to list, and nothing can be written."""
    found = look(DirectoryTransport(tmp_path / "no" / "where"))
    assert outcome(found) == {"list": None, "write": Cause.NO_PLACE}


def test_check_after_a_push(tmp_path: Path, look: Callable[[Transport], Probe]) -> None:
    """A remote in use is probed without a trace."""
    transport = MemoryTransport()
    machine = Machine(tmp_path, transport)
    machine.push(machine.add(small_files()))
    before = keys(transport, "")
    assert not any(step.error or step.note for step in look(transport).steps)
    assert keys(transport, "") == before
