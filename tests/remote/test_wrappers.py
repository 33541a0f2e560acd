"""Wrappers: trying again, refusing to write, keeping a log."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.contracts.transport import WriteIfAbsentContract
from tests.remote.faults import Hooked
from vstore.errors import KeyNotFoundError, RemoteDeniedError, RemoteUnavailableError
from vstore.remote.memory_transport import MemoryTransport
from vstore.remote.transport import Transport
from vstore.remote.wrappers import LoggedTransport, ReadOnlyTransport, Request, RetryingTransport


class TestRetryingTransport(WriteIfAbsentContract):
    """The contract, with a store that fails at every first attempt, before or after doing what was asked."""

    test_strangers_are_not_listed = None  # nobody else can put anything into our memory

    @pytest.fixture(params=["before", "after"])
    def transport(self, request: pytest.FixtureRequest) -> Transport:
        """An empty place in memory behind an unreliable line."""
        hooked = Hooked(MemoryTransport())
        setattr(hooked, request.param, every_other())
        return RetryingTransport(hooked, attempts=50, first_attempts=50, sleep=lambda pause_s: None)

    def plant(self, transport: Transport, name: str, data: bytes) -> None:
        """Put an object into the memory behind the line."""
        assert isinstance(transport, RetryingTransport) and isinstance(transport.inner, Hooked)
        transport.inner.inner.write(name, data)


def every_other() -> Callable[[str, str], None]:
    """Return a hook that fails at the first call and every second one after it."""
    calls = 0

    def hook(operation: str, key: str) -> None:
        nonlocal calls
        calls += 1
        if calls % 2:
            raise unreachable(retryable=True)

    return hook


def unreachable(*, retryable: bool) -> RemoteUnavailableError:
    """Make the error of a line that is down."""
    return RemoteUnavailableError("no answer", url="memory:", retryable=retryable)


CALLS: dict[str, Callable[[Transport], object]] = {
    "list": lambda transport: list(transport.list("")),
    "find_size": lambda transport: transport.find_size("a"),
    "read": lambda transport: transport.read("a"),
    "read_range": lambda transport: transport.read_range("a", 0, 1),
    "write": lambda transport: transport.write("a", b"new"),
    "write_if_absent": lambda transport: transport.write_if_absent("b", b"new"),
    "delete": lambda transport: transport.delete("a"),
}


@pytest.fixture
def hooked() -> Hooked:
    """A place that holds the object a."""
    transport = Hooked(MemoryTransport())
    transport.write("a", b"old")
    return transport


@pytest.mark.parametrize("operation", CALLS)
def test_gives_up_after_its_attempts(hooked: Hooked, operation: str) -> None:
    """A line that stays down is tried as often as was said, with growing pauses, and its own error comes out."""
    asked, pauses_s = [], []
    error = unreachable(retryable=True)

    def fail(operation: str, key: str) -> None:
        asked.append(operation)
        raise error

    hooked.before = fail
    transport = RetryingTransport(hooked, attempts=10, first_attempts=10, pause_s=1.0, sleep=pauses_s.append)
    with pytest.raises(RemoteUnavailableError) as caught:
        CALLS[operation](transport)
    assert caught.value is error
    assert asked == [operation] * 10
    for pause_s, longest_s in zip(pauses_s, [1, 2, 4, 8, 16, 30, 30, 30, 30], strict=True):
        assert longest_s / 2 <= pause_s <= longest_s


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize(
    "error",
    [
        unreachable(retryable=False),
        RemoteDeniedError("no", url="memory:", action="write"),
        KeyNotFoundError("no", key="a"),
    ],
    ids=["lasting", "denied", "absent"],
)
def test_lasting_errors_come_out_at_once(hooked: Hooked, operation: str, error: Exception) -> None:
    """What trying again cannot help is not tried again."""
    asked = []

    def fail(operation: str, key: str) -> None:
        asked.append(operation)
        raise error

    hooked.before = fail
    with pytest.raises(type(error)):
        CALLS[operation](RetryingTransport(hooked, sleep=lambda pause_s: None))
    assert asked == [operation]


def test_patience_grows_with_the_first_answer(hooked: Hooked) -> None:
    """Where nothing ever answered the address may be wrong; where something did, it is worth waiting for."""
    asked: list[str] = []

    def fail(operation: str, key: str) -> None:
        asked.append(operation)
        raise unreachable(retryable=True)

    transport = RetryingTransport(hooked, attempts=8, first_attempts=3, sleep=lambda pause_s: None)
    hooked.before = fail
    with pytest.raises(RemoteUnavailableError):
        transport.read("a")
    assert len(asked) == 3
    hooked.before = lambda operation, key: None
    transport.read("a")
    hooked.before = fail
    asked.clear()
    with pytest.raises(RemoteUnavailableError):
        transport.read("a")
    assert len(asked) == 8


def test_server_gets_the_pause_it_asks_for(hooked: Hooked) -> None:
    """A wish that is longer than our own pause is granted, within reason, and whoever watches hears of it."""
    pauses_s: list[float] = []
    told: list[str] = []
    wishes = iter([7.0, 1e9, 0.0])

    def slow_down(operation: str, key: str) -> None:
        for wish_s in wishes:
            raise RemoteUnavailableError("slow down", url="memory:", retryable=True, retry_after_s=wish_s)

    hooked.before = slow_down
    transport = RetryingTransport(hooked, pause_s=0.1, sleep=pauses_s.append, tell=told.append)
    assert transport.read("a") == b"old"
    assert pauses_s[:2] == [7.0, 300.0] and pauses_s[2] < 1
    assert told == ["slow down; trying again in 7 s", "slow down; trying again in 300 s"]


def test_success_does_not_wait(hooked: Hooked) -> None:
    """Nothing sleeps while all goes well."""
    pauses_s: list[float] = []
    transport = RetryingTransport(hooked, sleep=pauses_s.append)
    for call in CALLS.values():
        call(transport)
    assert pauses_s == []


def test_lost_acknowledgement_is_not_taken_for_another_writer(hooked: Hooked) -> None:
    """Where our own first attempt landed but its answer was lost, we are told that we wrote."""
    hooked.after = every_other()
    transport = RetryingTransport(hooked, sleep=lambda pause_s: None)
    assert transport.write_if_absent("b", memoryview(b"mine")) is True
    assert hooked.inner.read("b") == b"mine"


def test_another_writer_is_not_taken_for_us(hooked: Hooked) -> None:
    """Where somebody else was faster while our line was down, we are told that we did not write."""

    def lose_the_race(operation: str, key: str) -> None:
        if hooked.inner.write_if_absent(key, b"theirs"):
            raise unreachable(retryable=True)

    hooked.before = lose_the_race
    transport = RetryingTransport(hooked, sleep=lambda pause_s: None)
    assert transport.write_if_absent("b", b"mine") is False
    assert hooked.inner.read("b") == b"theirs"


def test_listing_that_breaks_off_begins_anew() -> None:
    """A listing that failed between two pages is read again from its beginning, and gives nothing twice."""

    class Breaking(MemoryTransport):
        broken = False

        def list(self, prefix: str) -> object:  # type: ignore[override]
            for number, entry in enumerate(super().list(prefix)):
                if number == 1 and not self.broken:
                    self.broken = True
                    raise unreachable(retryable=True)
                yield entry

    inner = Breaking()
    for key in "abc":
        inner.write(key, b"")
    transport = RetryingTransport(inner, sleep=lambda pause_s: None)
    assert [entry.key for entry in transport.list("")] == ["a", "b", "c"]
    assert inner.broken


@pytest.mark.parametrize("operation", ["write", "write_if_absent", "delete"])
def test_read_only_refuses(hooked: Hooked, operation: str) -> None:
    """A read-only remote reads as ever, and refuses every change before the store hears of it."""
    transport = ReadOnlyTransport(hooked)
    with pytest.raises(RemoteDeniedError) as caught:
        CALLS[operation](transport)
    assert caught.value.fields["action"] == ("delete" if operation == "delete" else "write")
    assert not transport.can_write_if_absent
    assert transport.read("a") == b"old"
    assert [entry.key for entry in transport.list("")] == ["a"]
    assert transport.read_range("a", 1, 2) == b"ld" and transport.find_size("a") == 3


def test_log_keeps_every_call(hooked: Hooked) -> None:
    """Each call is one line of the log, with the bytes that went over, and failures are there too."""
    transport = LoggedTransport(hooked)
    transport.write("packs/x", bytearray(10))
    transport.read("packs/x")
    transport.read_range("packs/x", 2, 5)
    transport.find_size("packs/x")
    list(transport.list("packs/"))
    transport.write_if_absent("packs/x", b"kept out")
    transport.write_if_absent("packs/y", b"1234")
    transport.delete("packs/x")
    with pytest.raises(KeyNotFoundError):
        transport.read("packs/x")
    assert transport.requests == [
        Request("write", "packs/x", 10),
        Request("read", "packs/x", 10),
        Request("read_range", "packs/x", 5),
        Request("find_size", "packs/x", 0),
        Request("list", "packs/", 0),
        Request("write_if_absent", "packs/x", 0),
        Request("write_if_absent", "packs/y", 4),
        Request("delete", "packs/x", 0),
        Request("read", "packs/x", 0),
    ]


@pytest.mark.parametrize("wrap", [RetryingTransport, ReadOnlyTransport, LoggedTransport])
def test_wrappers_pass_on_what_they_do_not_change(wrap: Callable[[Transport], Transport]) -> None:
    """A wrapper has the address of what it wraps, asks it whether it is there, and closes it."""

    class Closing(MemoryTransport):
        closed = False

        def has_place(self) -> bool:
            return False

        def close(self) -> None:
            self.closed = True

    inner = Closing("memory:there")
    with wrap(inner) as transport:
        assert transport.url == "memory:there"
        assert not transport.has_place()
    assert inner.closed
