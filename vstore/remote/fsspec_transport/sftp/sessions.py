"""The sessions on the one connection to a host: a thread takes one, and gives it back for the next."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator
from threading import Condition, Lock, Timer
from typing import Any, NamedTuple

from vstore.errors import VstoreError
from vstore.remote.fsspec_transport.sftp.login import WINDOW_BYTES
from vstore.remote.fsspec_transport.sftp.packets import _RefusedError
from vstore.remote.fsspec_transport.sftp.session import Session


class _Held(NamedTuple):
    client: Any
    session: Session


class Sessions:
    """As many sessions as threads ask at once, or as the host allows; they share one connection.

    So somebody who logs in with a code or a touch does it once.  ``connect`` returns a client of paramiko.
    """

    def __init__(self, connect: Callable[[], Any], timeout_s: float) -> None:
        self._connect = connect
        self._timeout_s = timeout_s
        self._connecting = Lock()
        self._changed = Condition()
        # Below, only while holding the condition.
        self._client: Any = None
        self._idle: list[_Held] = []
        self._open = 0
        self._most: int | None = None

    @contextlib.contextmanager
    def one(self) -> Iterator[Session]:
        """Give a session.  One that broke takes its connection with it, and the next is on a new one."""
        held = self._take()
        try:
            yield held.session
        except (_RefusedError, VstoreError):
            self._give_back(held)
            raise
        except BaseException:
            self._drop(held.client)
            self._give_back(held)
            raise
        self._give_back(held)

    def close(self) -> None:
        """End the connection."""
        self._drop(self._client)

    def _take(self) -> _Held:
        while True:
            with self._changed:
                if self._client is not None and not self._client.get_transport().is_active():
                    self._forget()
                while not self._idle and self._most is not None and self._open >= self._most:
                    self._changed.wait()
                if self._idle:
                    return self._idle.pop()
                self._open += 1
            held = self._find_new()
            if held is not None:
                return held

    def _find_new(self) -> _Held | None:
        """Open a session, or return None where the host allows no more than there are."""
        client = None
        try:
            # One after the other: paramiko may tell a thread the error of another.
            with self._connecting:
                client = self._get_client()
                channel = client.get_transport().open_session(window_size=WINDOW_BYTES, timeout=self._timeout_s)
            channel.settimeout(self._timeout_s)
            # paramiko would wait for its start for ever.
            watch = Timer(self._timeout_s, client.close)
            watch.daemon = True
            watch.start()
            try:
                channel.invoke_subsystem("sftp")
            finally:
                watch.cancel()
            return _Held(client, Session(channel))
        except BaseException as error:
            has_enough = type(error).__name__ == "ChannelException"
            if client is not None and not has_enough:
                self._drop(client)
            with self._changed:
                self._open -= 1
                self._changed.notify_all()
                if has_enough and self._open:
                    self._most = self._open
                    return None
            if isinstance(error, EOFError):
                raise ConnectionResetError(errno.ECONNRESET, "the connection was lost") from error
            raise

    def _get_client(self) -> Any:
        client = self._client
        if client is None:
            client = self._connect()
            with self._changed:
                self._client = client
        return client

    def _give_back(self, held: _Held) -> None:
        with self._changed:
            if held.client is self._client:
                self._idle.append(held)
            else:
                self._open -= 1
            self._changed.notify_all()

    def _drop(self, client: Any) -> None:
        with self._changed:
            if client is not None and client is self._client:
                self._forget()
                self._changed.notify_all()
        if client is not None:
            client.close()

    def _forget(self) -> None:
        self._client = None
        self._open -= len(self._idle)
        self._idle.clear()
