"""Probing a remote: whether it can be listed, written, read and deleted from, how fast, and whether it is ours."""

from __future__ import annotations

import contextlib
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from vstore.errors import (
    Cause,
    CorruptError,
    KeyNotFoundError,
    RemoteDeniedError,
    RemoteUnavailableError,
    UnavailableError,
    VstoreError,
)
from vstore.progress import SILENT
from vstore.remote.commits import check_format
from vstore.remote.layout import COMMITS, DOOMED, FORMAT, INDEX, INTENTS, LISTING, PACKS, PROBES, TRASH
from vstore.remote.ledger import Ledger, Site

Result = TypeVar("Result")

_OURS = {FORMAT, LISTING, *(prefix.rstrip("/") for prefix in (COMMITS, DOOMED, INDEX, INTENTS, PACKS, PROBES, TRASH))}
# Who may not do one thing may be allowed to do another; whatever else is wrong is wrong with all of them.
_ONE_BY_ONE = {None, Cause.DENIED, Cause.READ_ONLY}
# What plain http meets at a server that expects https: a reset, or an answer that says nothing.
_ODD = {None, Cause.BROKEN}
_HANDSHAKE_S = 5.0


class ProbeStep(NamedTuple):
    """One thing that was tried; ``error`` is None where it worked, ``note`` says what a person may want to know."""

    action: str
    error: VstoreError | None
    note: str = ""

    @property
    def cause(self) -> Cause | None:
        """Why it did not work, as far as that is known."""
        return self.error.cause if isinstance(self.error, UnavailableError) else None


class Probe(NamedTuple):
    """How a remote fared: what was tried, in order, and what was learnt.

    ``round_trip_s`` is the median of the requests that worked, None where none did.  ``left`` is a key that could
    not be deleted again.  ``strangers`` are names there that are not ours, where nothing of ours is.  ``facts`` tell
    where requests went and who we are there.
    """

    steps: list[ProbeStep]
    round_trip_s: float | None
    left: str | None
    strangers: list[str]
    facts: Mapping[str, str]


def probe(site: Site) -> Probe:
    """Try to list, write, read, list what is new, and delete; leaves nothing behind where it can delete.

    Where nothing may be written, what is there is read.  Where nothing at all will work no more is tried.
    """
    return _Prober(site).run()


class _Prober:
    def __init__(self, site: Site) -> None:
        self._transport = site.transport
        self._ledger = Ledger(site, SILENT)
        self._key = f"{PROBES}{secrets.token_hex(16)}"
        self._data = secrets.token_bytes(64)
        self._steps: list[ProbeStep] = []
        self._durations_s: list[float] = []
        self._strangers: list[str] = []
        self._left: str | None = None

    def run(self) -> Probe:
        self._try("list", self._list)
        if not self._is_hopeless():
            self._try("write", self._write)
        if not self._is_hopeless():
            self._try("read", self._read)
            if self._left and self._works("list"):
                self._try("list-new", self._list_new)
            if self._left:
                self._try("delete", self._delete)
            elif self._cause_of("write") is Cause.DENIED:
                self._try_to_delete_nothing()
        facts: Mapping[str, str] = {}
        with contextlib.suppress(VstoreError):
            facts = self._transport.facts()
        durations_s = sorted(self._durations_s)
        median_s = durations_s[len(durations_s) // 2] if durations_s else None
        return Probe(self._correct(self._steps, facts), median_s, self._left, self._strangers, facts)

    def _try(self, action: str, attempt: Callable[[], str]) -> None:
        """Note how an attempt went."""
        error: VstoreError | None = None
        note = ""
        try:
            note = attempt()
        except RemoteDeniedError as denied:
            if denied.fields.get("by_design"):
                note = "read-only"
            else:
                error = denied
        except VstoreError as failed:
            error = failed
        self._steps.append(ProbeStep(action, error, note))

    def _is_hopeless(self) -> bool:
        return any(step.cause not in _ONE_BY_ONE for step in self._steps)

    def _works(self, action: str) -> bool:
        return any(step.action == action and step.error is None for step in self._steps)

    def _cause_of(self, action: str) -> Cause | None:
        return next((step.cause for step in self._steps if step.action == action), None)

    def _timed(self, request: Callable[[], Result]) -> Result:
        begun_s = time.perf_counter()
        result = request()
        self._durations_s.append(time.perf_counter() - begun_s)
        return result

    def _list(self) -> str:
        if self._ledger.has_place():
            self._probes()
        return ""

    def _write(self) -> str:
        self._ledger.has_place()  # a write would make anew what is gone
        self._timed(lambda: self._transport.write(self._key, self._data))
        self._left = self._key
        return ""

    def _read(self) -> str:
        """Read back what was written; the format of the remote too, and where there is none, any pack."""
        if self._left and self._timed(lambda: self._transport.read(self._key)) != self._data:
            message = f"{self._transport.url} gave back other bytes than were written"
            raise CorruptError(message, key=self._key)
        if not self._ledger.has_place():
            return "nothing is there yet"
        try:
            check_format(self._timed(lambda: self._transport.read(FORMAT)))
        except KeyNotFoundError:
            self._strangers = [name for name in self._transport.names() if name not in _OURS]
        except RemoteDeniedError:
            # Where nothing may be listed, S3 does not tell what is absent from what is denied.
            if not self._left:
                raise
        else:
            return ""
        return "" if self._left or self._read_any_pack() else "nothing is there yet"

    def _read_any_pack(self) -> bool:
        pack = next(self._transport.list(PACKS), None)
        if pack is None:
            return False
        self._timed(lambda: self._transport.read_range(pack.key, max(0, pack.size_bytes - 1), 1))
        return True

    def _list_new(self) -> str:
        if self._key not in self._probes():
            message = f"{self._transport.url} does not list what was just written"
            raise RemoteUnavailableError(message, cause=Cause.STALE, url=self._transport.url)
        return ""

    def _delete(self) -> str:
        self._timed(lambda: self._transport.delete(self._key))
        if self._works("list") and self._key in self._probes():
            message = f"{self._transport.url} still lists what was deleted"
            raise RemoteUnavailableError(message, cause=Cause.STALE, url=self._transport.url)
        self._left = None
        return ""

    def _try_to_delete_nothing(self) -> None:
        """Ask to delete what is not there: that it is refused tells something, that it is not tells nothing."""
        try:
            self._transport.delete(self._key)
        except RemoteDeniedError as error:
            self._steps.append(ProbeStep("delete", error))
        except VstoreError:
            pass

    def _probes(self) -> Sequence[str]:
        return [listed.key for listed in self._timed(lambda: list(self._transport.list(PROBES)))]

    def _correct(self, steps: Sequence[ProbeStep], facts: Mapping[str, str]) -> list[ProbeStep]:
        """Say where nothing works because the server expects https: not every server tells."""
        odd = [step for step in steps if isinstance(step.error, RemoteUnavailableError) and step.cause in _ODD]
        if not odd or self._durations_s or not _speaks_tls(facts.get("endpoint", "")):
            return list(steps)
        return [step._replace(error=self._plain_to_tls(step)) if step in odd else step for step in steps]

    def _plain_to_tls(self, step: ProbeStep) -> VstoreError:
        url, cause = self._transport.url, Cause.PLAIN_TO_TLS
        error = RemoteUnavailableError(f"could not {step.action} at {url}: {cause.meaning}", cause=cause, url=url)
        error.__cause__ = step.error
        return error


def _speaks_tls(endpoint: str) -> bool:
    """Tell whether an address that is spoken to in plain http answers a TLS handshake; its certificate is no matter."""
    parts = urlsplit(endpoint)
    if parts.scheme != "http" or not parts.hostname:
        return False
    import ssl  # 10 ms that every verb with a remote would pay

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    address = (parts.hostname, parts.port or 80)
    with (
        contextlib.suppress(OSError),
        socket.create_connection(address, timeout=_HANDSHAKE_S) as plain,
        context.wrap_socket(plain, server_hostname=parts.hostname),
    ):
        return True
    return False
