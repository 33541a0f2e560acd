"""Transports that fail on purpose, for the tests of the protocol above them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from vstore.errors import RemoteUnavailableError
from vstore.remote.transport import Buffer, Key, Listed, Transport
from vstore.remote.wrappers import Wrapper

Result = TypeVar("Result")


class Crash(BaseException):
    """The process dies here: nothing of ours may catch it."""


class Hooked(Wrapper):
    """Calls ``before`` and ``after`` around every request, with its operation and key."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.before: Callable[[str, Key], None] = lambda operation, key: None
        self.after: Callable[[str, Key], None] = lambda operation, key: None

    def _around(self, operation: str, key: Key, call: Callable[[], Result]) -> Result:
        self.before(operation, key)
        result = call()
        self.after(operation, key)
        return result

    def list(self, prefix: str) -> Iterator[Listed]:
        return iter(self._around("list", prefix, lambda: list(self.inner.list(prefix))))

    def find_size(self, key: Key) -> int | None:
        return self._around("find_size", key, lambda: self.inner.find_size(key))

    def read(self, key: Key) -> bytes:
        return self._around("read", key, lambda: self.inner.read(key))

    def read_range(self, key: Key, start: int, length: int) -> bytes:
        return self._around("read_range", key, lambda: self.inner.read_range(key, start, length))

    def write(self, key: Key, data: Buffer) -> None:
        self._around("write", key, lambda: self.inner.write(key, data))

    def write_if_absent(self, key: Key, data: Buffer) -> bool:
        return self._around("write_if_absent", key, lambda: self.inner.write_if_absent(key, data))

    def delete(self, key: Key) -> None:
        self._around("delete", key, lambda: self.inner.delete(key))


class CrashAt:
    """A hook that dies at the n-th call (from 0), and at every later one."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, operation: str, key: Key) -> None:
        self.left -= 1
        if self.left < 0:
            raise Crash


class UnreachableAt(CrashAt):
    """The same, as a transport says it."""

    def __call__(self, operation: str, key: Key) -> None:
        try:
            super().__call__(operation, key)
        except Crash:
            raise RemoteUnavailableError("the network is gone", url="memory:") from None
