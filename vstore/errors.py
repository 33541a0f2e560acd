"""Every error that vstore raises, grouped by what a caller would do about it.

The library states facts: the message is one sentence saying what happened, the fields are data.
Advice and exit codes belong to ``vstore.cli.failure``.  ``code`` is stable: scripts may compare it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, ClassVar


class VstoreError(Exception):
    """The root of all errors that vstore raises on purpose.

    ``fields`` carries the facts of the message as data, for ``--json``.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields

    def __reduce__(self) -> tuple[Any, ...]:
        # An error also comes from another process, whatever else its class wants to be made of.
        return _revive, (type(self), self.args, self.__dict__)


def _revive(cls: type[VstoreError], args: tuple[Any, ...], state: dict[str, Any]) -> VstoreError:
    error = cls.__new__(cls, *args)
    error.__dict__.update(state)
    return error


# What was asked for is not there.


class NotFoundError(VstoreError, LookupError):
    """Something that was named does not exist.  Fields: ``retired``, ``remote`` where it was to be brought back."""

    code = "not-found"


class RepositoryNotFoundError(NotFoundError):
    """No vstore repository here or above.  Fields: ``path``; ``commit`` that brings pointers, where it is pushed;
    ``sparse``, where git knows one and it is not there: whether a sparse checkout leaves it out."""

    code = "no-repository"


class GitRepositoryNotFoundError(NotFoundError):
    """No git repository here or above.  Field: ``path``."""

    code = "no-git"


class PathNotFoundError(NotFoundError):
    """A path that the user named is neither on disk nor tracked.  Field: ``path``."""

    code = "no-path"


class NotTrackedError(NotFoundError):
    """A path exists but vstore does not track it.  Field: ``path``."""

    code = "not-tracked"


class RevisionNotFoundError(NotFoundError):
    """A git revision that does not resolve.  Field: ``revision``."""

    code = "no-revision"


class RemoteNotFoundError(NotFoundError):
    """A remote name that no config layer defines, or no default remote.  Fields: ``name``, ``known``."""

    code = "no-remote"


class SettingNotFoundError(NotFoundError):
    """A configuration setting that has no value.  Field: ``setting``."""

    code = "no-setting"


class KeyNotFoundError(NotFoundError):
    """A key that the remote's transport does not hold.  Field: ``key``."""

    code = "no-key"


class ObjectMissingError(NotFoundError):
    """Objects that a pointer needs and that are in no place we looked.

    Fields: ``digests``, ``paths`` (those that need them, where known).
    """

    code = "object-missing"


class NotDownloadedError(NotFoundError):
    """An import whose data nobody has asked for yet: its pointer has a source and no digest.

    Fields: ``path`` (of the pointer), ``url`` (where the data is), ``repo`` (that of the pointer, if it is another).
    """

    code = "not-downloaded"


# What was asked for would hurt something that is there.


class ConflictError(VstoreError):
    """Doing this would overwrite, or fight with, something else."""

    code = "conflict"


class UnsavedError(ConflictError):
    """Files that are saved nowhere would be overwritten or deleted.  Field: ``paths``."""

    code = "unsaved"


class LockedError(ConflictError):
    """Another command holds a lock for longer than the allowed wait.  Fields: ``path``; ``age_s``, of git's lock."""

    code = "locked"


class NeedsUnknownError(ConflictError):
    """What is still needed cannot be told, so that nothing may be removed.

    Fields: ``failed``, pairs of (place, reason); ``repositories``, ``worktrees`` or ``keys``: what it is about;
    ``missing``, whether it is sure that these are nowhere;
    ``remote``, where it is about one, and ``verb``, what was to be done there: "collect", "status" or "undo";
    ``refusal``, where a part of the project cannot be seen: "no-git", "shallow", "single-branch" or "unfetchable", with
    the ``git_remote``.
    """

    code = "needs-unknown"


class ChangedWhileReadError(ConflictError):
    """A file kept changing, or vanished, while it was read.  Fields: ``path``; ``url`` if it is one of an import."""

    code = "changed-while-read"


class SourceChangedError(ConflictError):
    """What an import was made of is not there any more in the version that its pointer names.

    Fields: ``path`` (of the import), ``url``.
    """

    code = "source-changed"


class CollisionError(ConflictError):
    """Two different contents have the same xxh128 digest.  Fields: ``digest``, ``path``."""

    code = "collision"


# What was read is not what was written.


class CorruptError(VstoreError):
    """Bytes that fail their checksum or break their format.

    Fields: ``path`` or ``key``, ``digest``; ``gone``, where a ``remote`` has lost what tells its format.
    """

    code = "corrupt"


class NewerFormatError(CorruptError):
    """A file written by a newer vstore, in a version this one does not know.  Fields: ``path``, ``version``."""

    code = "newer-format"


# What was said makes no sense.


class InvalidError(VstoreError, ValueError):
    """An argument, name, setting or file content that is not acceptable."""

    code = "invalid"


class PointerInvalidError(InvalidError):
    """A pointer file that cannot be parsed.  Fields: ``path``, ``line``, ``conflict`` (where git left one in it)."""

    code = "bad-pointer"


class NameRefusedError(InvalidError):
    """Names that a tree must not hold.  Field: ``names``, pairs of (path, reason)."""

    code = "bad-name"


class AddRefusedError(InvalidError):
    """A path that must not be added.  Fields: ``path``, ``reason``."""

    code = "refused"


class ConfigInvalidError(InvalidError):
    """A configuration file or value that cannot be understood.  Fields: ``path``, ``line``."""

    code = "bad-config"


# What was asked of someone else did not work.


class Cause(StrEnum):
    """Why a remote did not do what was asked: stable words, which scripts may compare.

    ``meaning`` completes "could not ...: "; ``is_passing`` tells whether the same request may work in a moment.
    """

    meaning: str
    is_passing: bool

    def __new__(cls, word: str, meaning: str = "", is_passing: bool = False) -> Cause:
        """Make a member of its word."""
        cause = str.__new__(cls, word)
        cause._value_ = word
        cause.meaning = meaning
        cause.is_passing = is_passing
        return cause

    # The way there.
    DNS = "dns", "the name of the host is not known", True
    REFUSED = "refused", "nobody listens at this address and port", True
    UNREACHABLE = "unreachable", "no way leads to the host", True
    STALLED = "stalled", "the other side was silent for too long", True
    BROKEN = "broken", "the connection broke off", True
    PROXY = "proxy", "the proxy on the way does not work", True
    PROXY_DENIED = "proxy-denied", "the proxy on the way lets nobody through without credentials"
    # Whether it is the one that is meant.
    TLS_UNTRUSTED = "tls-untrusted", "the certificate of the server is signed by nobody who is trusted here"
    TLS_HOST = "tls-host", "the certificate of the server is for another host name"
    TLS_EXPIRED = "tls-expired", "the certificate of the server is not valid today"
    TLS_FAILED = "tls-failed", "the server and we found no common way to encrypt"
    TLS_TO_PLAIN = "tls-to-plain", "https was spoken to a server that speaks plain http"
    PLAIN_TO_TLS = "plain-to-tls", "plain http was spoken to a server that speaks https"
    HOST_KEY = "host-key", "the host shows a key that is not known for it"
    # Who we are.
    CREDENTIALS_MISSING = "credentials-missing", "there are no credentials, and without them nobody is let in"
    CREDENTIALS_UNKNOWN = "credentials-unknown", "the server knows no such user or access key"
    CREDENTIALS_WRONG = "credentials-wrong", "the password, key or signature is not accepted"
    CREDENTIALS_EXPIRED = "credentials-expired", "the credentials have expired"
    CLOCK = "clock", "the clock of this machine differs too much from that of the server"
    # What we ask for.
    REGION = "region", "the bucket is in another region"
    NO_PLACE = "no-place", "the bucket or directory does not exist"
    DENIED = "denied", "there is no permission for it"
    READ_ONLY = "read-only", "the remote is read-only"
    # What becomes of it.
    BUSY = "busy", "the server has too much to do", True
    SERVER_FAILED = "server-failed", "something went wrong inside the server", True
    DAMAGED = "damaged", "what arrived is not what was sent", True
    STALE = "stale", "the store does not show at once what was written or deleted"
    STRANGE_ANSWER = "strange-answer", "the answer makes no sense: the server may be another kind of store"


class UnavailableError(VstoreError):
    """A remote, disk or program did not do its part.  ``retryable``: trying again may help.

    ``cause`` says why, where it is a remote and we know; it is also a field, and decides ``retryable`` if that is None.
    """

    code = "unavailable"

    def __init__(
        self, message: str, *, cause: Cause | None = None, retryable: bool | None = None, **fields: Any
    ) -> None:
        if cause is not None:
            fields["cause"] = cause.value
        super().__init__(message, **fields)
        self.cause = cause
        self.retryable = (cause is not None and cause.is_passing) if retryable is None else retryable


class RemoteUnavailableError(UnavailableError):
    """A remote cannot be reached or did not answer.  Fields: ``url``, ``cause``."""

    code = "remote-unavailable"


class RemoteDeniedError(UnavailableError):
    """A remote refused for lack of permission or of good credentials.  Fields: ``url``, ``action``, ``cause``."""

    code = "remote-denied"


class IntentGoneError(RemoteUnavailableError):
    """A remote forgot that a push goes on: what was uploaded may have been doomed meanwhile.  Field: ``url``."""

    code = "intent-gone"


class RemoteHostKeyError(RemoteUnavailableError):
    """A host shows a key that is not known for it, or another: it may not be the one that is meant.

    Fields: ``url``, ``host``, ``port`` (None if none was given), ``name`` (as in known_hosts), ``fingerprint``,
    ``changed`` (whether another key of it is known).
    """

    code = "host-key"


class RemoteExtraMissingError(UnavailableError):
    """A package that an extra brings is not installed: to speak to a remote (``url``) or a cluster, or to read files
    of DVC.

    Fields: ``url``, ``extra``.
    """

    code = "missing-extra"


class EngineUnavailableError(UnavailableError):
    """A cluster cannot be reached, died, or has workers that cannot do what is asked.

    Fields: ``scheduler``, ``reason`` ("unreachable", "no-workers", "died", "version", "not-shared"); ``worker``.
    """

    code = "engine-unavailable"


class NoSpaceError(UnavailableError):
    """A disk is full, or a quota is used up.  Field: ``path``."""

    code = "no-space"


class PermissionDeniedError(UnavailableError):
    """The operating system refused access to a local path.  Field: ``path``."""

    code = "no-permission"


class GitFailedError(UnavailableError):
    """git, or libgit2, could not do what was asked.  Field: ``path``."""

    code = "git-failed"


class SourceUnavailableError(GitFailedError):
    """The server of another repository cannot be reached, or lets nobody in.  Fields: ``url``, ``cause``."""

    code = "source-unavailable"


# Some of it worked.


class PartialError(VstoreError):
    """Part of the work was done; the rest failed.  ``done`` counts, ``failed`` names (path, reason)."""

    code = "partial"

    def __init__(self, message: str, *, done: int, failed: Sequence[tuple[str, str]], **fields: Any) -> None:
        super().__init__(message, done=done, failed=list(failed), **fields)
        self.done = done
        self.failed = list(failed)
