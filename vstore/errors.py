"""Every error that vstore raises, grouped by what a caller would do about it.

The library states facts: the message is one sentence saying what happened, the fields are data.
Advice and exit codes belong to ``vstore.cli.failure``.  ``code`` is stable: scripts may compare it.
"""

from __future__ import annotations

from collections.abc import Sequence
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


# What was asked for is not there.


class NotFoundError(VstoreError, LookupError):
    """Something that was named does not exist."""

    code = "not-found"


class RepositoryNotFoundError(NotFoundError):
    """No vstore repository here or above.  Field: ``path``."""

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


# What was asked for would hurt something that is there.


class ConflictError(VstoreError):
    """Doing this would overwrite, or fight with, something else."""

    code = "conflict"


class UnsavedError(ConflictError):
    """Files that are saved nowhere would be overwritten or deleted.  Field: ``paths``."""

    code = "unsaved"


class LockedError(ConflictError):
    """Another command holds a lock for longer than the allowed wait.  Field: ``path``."""

    code = "locked"


class ChangedWhileReadError(ConflictError):
    """A file kept changing, or vanished, while it was read.  Field: ``path``."""

    code = "changed-while-read"


class CollisionError(ConflictError):
    """Two different contents have the same xxh128 digest.  Fields: ``digest``, ``path``."""

    code = "collision"


# What was read is not what was written.


class CorruptError(VstoreError):
    """Bytes that fail their checksum or break their format.  Fields: ``path`` or ``key``, ``digest``."""

    code = "corrupt"


class NewerFormatError(CorruptError):
    """A file written by a newer vstore, in a version this one does not know.  Fields: ``path``, ``version``."""

    code = "newer-format"


# What was said makes no sense.


class InvalidError(VstoreError, ValueError):
    """An argument, name, setting or file content that is not acceptable."""

    code = "invalid"


class PointerInvalidError(InvalidError):
    """A pointer file that cannot be parsed.  Fields: ``path``, ``line``."""

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


class UnavailableError(VstoreError):
    """A remote, disk or program did not do its part.  ``retryable``: trying again may help."""

    code = "unavailable"

    def __init__(self, message: str, *, retryable: bool = False, **fields: Any) -> None:
        super().__init__(message, **fields)
        self.retryable = retryable


class RemoteUnavailableError(UnavailableError):
    """A remote cannot be reached or did not answer.  Fields: ``url``."""

    code = "remote-unavailable"


class RemoteDeniedError(UnavailableError):
    """A remote refused for lack of permission (read-only, wrong credentials).  Fields: ``url``, ``action``."""

    code = "remote-denied"


class RemoteHostKeyError(RemoteUnavailableError):
    """A host shows a key that is not known for it, or another: it may not be the one that is meant.

    Fields: ``url``, ``host``, ``port`` (None if none was given), ``name`` (as in known_hosts), ``fingerprint``,
    ``changed`` (whether another key of it is known).
    """

    code = "host-key"


class RemoteExtraMissingError(UnavailableError):
    """The package that speaks a remote's protocol is not installed.  Fields: ``url``, ``extra``."""

    code = "missing-extra"


class NoSpaceError(UnavailableError):
    """A disk is full, or a quota is used up.  Field: ``path``."""

    code = "no-space"


class PermissionDeniedError(UnavailableError):
    """The operating system refused access to a local path.  Field: ``path``."""

    code = "no-permission"


class GitFailedError(UnavailableError):
    """git, or libgit2, could not do what was asked.  Field: ``path``."""

    code = "git-failed"


# Some of it worked.


class PartialError(VstoreError):
    """Part of the work was done; the rest failed.  ``done`` counts, ``failed`` names (path, reason)."""

    code = "partial"

    def __init__(self, message: str, *, done: int, failed: Sequence[tuple[str, str]], **fields: Any) -> None:
        super().__init__(message, done=done, failed=list(failed), **fields)
        self.done = done
        self.failed = list(failed)
