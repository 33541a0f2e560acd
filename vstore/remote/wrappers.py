"""Transports around a transport: one that tries again, one that refuses to write, one that keeps a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from vstore.errors import Cause, RemoteDeniedError
from vstore.parallel import pause
from vstore.remote.patience import Patience
from vstore.remote.transport import Buffer, Key, Listed, Transport

Result = TypeVar("Result")


class Wrapper(Transport):
    """Passes everything on to ``inner``, which it closes; others override what they change."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.url = inner.url
        self.can_write_if_absent = inner.can_write_if_absent
        self.lists_beginnings = inner.lists_beginnings

    def has_place(self) -> bool:
        return self.inner.has_place()

    def list(self, prefix: str) -> Iterator[Listed]:
        return self.inner.list(prefix)

    def list_beginning(self, start: str) -> Iterator[Listed]:
        return self.inner.list_beginning(start)

    def find_size(self, key: Key) -> int | None:
        return self.inner.find_size(key)

    def read(self, key: Key) -> bytes:
        return self.inner.read(key)

    def read_range(self, key: Key, start: int, length: int) -> bytes:
        return self.inner.read_range(key, start, length)

    def write(self, key: Key, data: Buffer) -> None:
        self.inner.write(key, data)

    def write_if_absent(self, key: Key, data: Buffer) -> bool:
        return self.inner.write_if_absent(key, data)

    def delete(self, key: Key) -> None:
        self.inner.delete(key)

    def sweep(self, before_s: float) -> int:
        return self.inner.sweep(before_s)

    def names(self) -> Sequence[str]:
        return self.inner.names()

    def facts(self) -> Mapping[str, str]:
        return self.inner.facts()

    def close(self) -> None:
        self.inner.close()


class RetryingTransport(Wrapper):
    """Tries again, with ``Patience``, what failed and may work later; listings are read whole, then handed on."""

    def __init__(
        self,
        inner: Transport,
        *,
        attempts: int = 8,
        first_attempts: int = 4,
        pause_s: float = 0.5,
        sleep: Callable[[float], object] = pause,
        tell: Callable[[str], None] = lambda message: None,
    ) -> None:
        super().__init__(inner)
        self._patience = Patience(
            attempts=attempts, first_attempts=first_attempts, pause_s=pause_s, sleep=sleep, tell=tell
        )
        self._try = self._patience.call

    def has_place(self) -> bool:
        has_answered = self._patience.has_answered
        try:
            return self._try(self.inner.has_place)
        finally:
            self._patience.has_answered = has_answered  # a store need not be asked for this

    def list(self, prefix: str) -> Iterator[Listed]:
        return iter(self._try(lambda: tuple(self.inner.list(prefix))))

    def list_beginning(self, start: str) -> Iterator[Listed]:
        return iter(self._try(lambda: tuple(self.inner.list_beginning(start))))

    def find_size(self, key: Key) -> int | None:
        return self._try(lambda: self.inner.find_size(key))

    def read(self, key: Key) -> bytes:
        return self._try(lambda: self.inner.read(key))

    def read_range(self, key: Key, start: int, length: int) -> bytes:
        return self._try(lambda: self.inner.read_range(key, start, length))

    def write(self, key: Key, data: Buffer) -> None:
        self._try(lambda: self.inner.write(key, data))

    def write_if_absent(self, key: Key, data: Buffer) -> bool:
        """Write if absent; after a lost acknowledgement, the same bytes in place count as written by us."""
        attempts = 0

        def attempt() -> bool:
            nonlocal attempts
            attempts += 1
            return self.inner.write_if_absent(key, data)

        return self._try(attempt) or (attempts > 1 and self.read(key) == data)

    def delete(self, key: Key) -> None:
        self._try(lambda: self.inner.delete(key))

    def sweep(self, before_s: float) -> int:
        return self._try(lambda: self.inner.sweep(before_s))

    def names(self) -> Sequence[str]:
        return self._try(self.inner.names)


class ReadOnlyTransport(Wrapper):
    """Refuses to write or delete, with RemoteDeniedError."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.can_write_if_absent = False

    def write(self, key: Key, data: Buffer) -> None:
        raise self._denied("write")

    def write_if_absent(self, key: Key, data: Buffer) -> bool:
        raise self._denied("write")

    def delete(self, key: Key) -> None:
        raise self._denied("delete")

    def sweep(self, before_s: float) -> int:
        raise self._denied("delete")

    def _denied(self, action: str) -> RemoteDeniedError:
        message = f"{self.url} is configured as read-only: cannot {action} there"
        return RemoteDeniedError(
            message, cause=Cause.READ_ONLY, url=self.url, action=action, by_design=True, configured=True
        )


class Request(NamedTuple):
    """One call of a transport: ``operation`` is the name of the method, ``key`` the key or prefix.

    ``size_bytes`` counts the content that was read or written; 0 for a call that failed.
    """

    operation: str
    key: str
    size_bytes: int


class LoggedTransport(Wrapper):
    """Keeps every call in ``requests``, failed ones too, in the order in which they ended (listings: began)."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.requests: list[Request] = []

    def list(self, prefix: str) -> Iterator[Listed]:
        self.requests.append(Request("list", prefix, 0))
        return self.inner.list(prefix)

    def list_beginning(self, start: str) -> Iterator[Listed]:
        self.requests.append(Request("list_beginning", start, 0))
        return self.inner.list_beginning(start)

    def find_size(self, key: Key) -> int | None:
        return self._log("find_size", key, call=lambda: self.inner.find_size(key))

    def read(self, key: Key) -> bytes:
        return self._log("read", key, call=lambda: self.inner.read(key), count=len)

    def read_range(self, key: Key, start: int, length: int) -> bytes:
        return self._log("read_range", key, call=lambda: self.inner.read_range(key, start, length), count=len)

    def write(self, key: Key, data: Buffer) -> None:
        self._log("write", key, call=lambda: self.inner.write(key, data), count=lambda _: len(data))

    def write_if_absent(self, key: Key, data: Buffer) -> bool:
        return self._log(
            "write_if_absent",
            key,
            call=lambda: self.inner.write_if_absent(key, data),
            count=lambda written: len(data) if written else 0,
        )

    def delete(self, key: Key) -> None:
        self._log("delete", key, call=lambda: self.inner.delete(key))

    def _log(
        self, operation: str, key: Key, *, call: Callable[[], Result], count: Callable[[Result], int] = lambda _: 0
    ) -> Result:
        size_bytes = 0
        try:
            result = call()
            size_bytes = count(result)
            return result
        finally:
            self.requests.append(Request(operation, key, size_bytes))
