"""Outcomes: which error a result amounts to when not everything could be done.

The result itself is printed first; the error then says what is wrong, and carries hint and exit code.
"""

from __future__ import annotations

from collections.abc import Sequence

from vstore import api, errors

_PARTICIPLES = {
    "connect": "reached",
    "list": "listed",
    "write": "written to",
    "read": "read",
    "list-new": "trusted to list what is new",
    "delete": "deleted from",
}
_TOLD_AS_THEY_ARE: dict[str, type[errors.VstoreError]] = {
    cls.code: cls
    for cls in (errors.CorruptError, errors.NewerFormatError, errors.NoSpaceError, errors.RemoteHostKeyError)
}


def check_checkout(result: api.CheckoutResult, *, allow_missing: bool = False) -> None:
    """Raise UnsavedError, CorruptError or PartialError if files could not be restored."""
    if result.unsaved:
        number = len(result.unsaved)
        what = "a file that is saved nowhere is" if number == 1 else f"{number:,} files that are saved nowhere are"
        raise errors.UnsavedError(f"{what} in the way", paths=result.unsaved)
    failed = [(path, "is damaged in the cache") for path, _ in result.damaged] + list(result.failed)
    if not allow_missing:
        failed += [(path, "is not in the cache") for path, _ in result.missing]
    if not failed:
        return
    done = sum(artifact.written for artifact in result.artifacts)
    if not done and len(failed) == len(result.damaged):
        path, digest = result.damaged[0]
        raise errors.CorruptError(f"the contents of {path} are damaged in the cache", digest=digest, failed=failed)
    raise errors.PartialError(
        f"{len(failed):,} {'path' if len(failed) == 1 else 'paths'} could not be restored",
        done=done,
        failed=failed,
        missing=len(result.missing),
        # Of a pointer, as one in conflict, the status says what can be done; of a full disk it knows nothing.
        look=any(reason.startswith(f"{path}.vstore") for path, reason in result.failed),
    )


def check_add(result: api.AddResult) -> None:
    """Raise PartialError if a pointer, or the list of files that it names, could not be read."""
    _check_broken(result.broken, done=len(result.artifacts))


def check_import_url(result: api.ImportUrlResult) -> None:
    """Raise what its checkout amounts to."""
    if result.checkout is not None:
        check_checkout(result.checkout)


def check_update(result: api.UpdateResult) -> None:
    """Raise PartialError if an import could not be updated, and what the checkouts amount to."""
    failed = [(found.path, found.error) for found in result.imports if found.error is not None]
    if failed:
        number = f"{len(failed):,} imports" if len(failed) > 1 else "an import"
        done = len(result.imports) - len(failed)
        raise errors.PartialError(f"{number} could not be updated", done=done, failed=failed)
    for found in result.imports:
        if found.checkout is not None:
            check_checkout(found.checkout)


def check_fetch(result: api.FetchResult, *, written: int = 0) -> None:
    """Raise ObjectMissingError if nothing could be done about what is missing, PartialError if only a part.

    ``written`` counts files that could be restored all the same.
    """
    if result.missing:
        paths = [path for path, _ in result.missing]
        done = sum(fetched.objects for fetched in result.remotes) + written
        number = f"the contents of {len(paths):,} files are" if len(paths) > 1 else f"the contents of {paths[0]} are"
        message = f"{number} neither in the cache nor in the remote"
        if not done:
            raise errors.ObjectMissingError(message, digests=[digest for _, digest in result.missing], paths=paths)
        failed = [(path, "is not in the remote") for path in paths]
        raise errors.PartialError(message, done=done, failed=failed, absent=len(paths))
    _check_broken(result.broken)


def check_diff(result: api.DiffResult) -> None:
    """Raise PartialError if something could not be compared."""
    if result.failed:
        number = f"{len(result.failed):,} paths" if len(result.failed) > 1 else "a path"
        done = len(result.artifacts)
        # Of what is here, the status says what can be done.
        look = result.new is None
        raise errors.PartialError(f"{number} could not be compared", done=done, failed=result.failed, look=look)


def check_log(result: api.LogResult) -> None:
    """Raise PartialError if it is not known what some commit made of something."""
    if result.failed:
        number = f"{len(result.failed):,} paths" if len(result.failed) > 1 else "a path"
        raise errors.PartialError(
            f"some versions of {number} could not be read", done=len(result.versions), failed=result.failed
        )


def check_pull(result: api.PullResult) -> None:
    """Raise what its fetch and its checkout amount to; files in the way come first."""
    if result.checkout.unsaved:
        check_checkout(result.checkout)
    check_fetch(result.fetch, written=sum(done.written for done in result.checkout.artifacts))
    check_checkout(result.checkout)


def check_migrate(result: api.MigrateResult) -> None:
    """Raise PartialError if something that was to move did not."""
    failed = [*result.refused, *result.missing]
    if failed:
        number = f"{len(failed):,} paths" if len(failed) > 1 else failed[0][0]
        done = len(result.artifacts) + result.commits
        raise errors.PartialError(
            f"{number} could not move", done=done, failed=failed, lost_by=result.tool if result.missing else None
        )


def check_push(result: api.PushResult) -> None:
    """Raise PartialError if a remote lacks something, or a pointer could not be read."""
    if result.lacking:
        number = f"{len(result.lacking):,} artifacts are" if len(result.lacking) > 1 else "an artifact is"
        done = sum(pushed.present for pushed in result.remotes)
        raise errors.PartialError(f"{number} not whole at the remote", done=done, failed=result.lacking, lacking=True)
    _check_broken(result.broken)


def check_fsck(result: api.FsckResult, asked: Sequence[str] = ()) -> None:
    """Raise CorruptError or ObjectMissingError for what is not as it should be, PartialError if a part was repaired.

    ``asked`` are the words of the command line that say which versions were to be verified.
    """
    left = [damage for damage in result.damages if not damage.repaired]
    if not left:
        _check_broken(result.broken)
        return
    paths = sorted({need.path for damage in left for need in damage.needed_by})
    keys = sorted({damage.key for damage in left if damage.key is not None})
    what = f"{len(left):,} things" if len(left) > 1 else "something"
    verb = "missing" if all(damage.kind == "missing" for damage in left) else "damaged"
    place = "at the remote" if result.cache is None else "on this machine"
    message = f"{what} {place} {'are' if len(left) > 1 else 'is'} {verb}"
    message += f", and {_count_paths(paths)} it" if paths else ""
    fields = {"remote": left[0].remote, "keys": keys, "needed_by": paths, "repair": result.repair, "asked": [*asked]}
    if len(left) < len(result.damages):
        failed = [(path, f"is not whole {place}") for path in paths] or [(key, "is damaged") for key in keys]
        done = len(result.damages) - len(left)
        raise errors.PartialError(f"not all could be repaired: {message}", done=done, failed=failed, **fields)
    if verb == "missing":
        raise errors.ObjectMissingError(message, **fields)
    raise errors.CorruptError(message, **fields)


def check_undo(result: api.GcUndoResult) -> None:
    """Raise ObjectMissingError, or PartialError, if something that was retired could not be brought back."""
    if result.failed:
        paths = [path for path, _ in result.failed]
        number = f"{len(paths):,} versions" if len(paths) > 1 else f"the version of {paths[0]}"
        message = f"{number} could not be brought back"
        if not result.restored:
            raise errors.ObjectMissingError(message, failed=result.failed)
        raise errors.PartialError(message, done=len(result.restored), failed=result.failed, absent=True)


def _count_paths(paths: list[str]) -> str:
    return f"{len(paths):,} paths need" if len(paths) > 1 else f"{paths[0]} needs"


def check_remote(result: api.CheckResult) -> None:
    """Raise what the first failure of a check amounts to, usually RemoteUnavailableError."""
    failed = [step for step in result.steps if step.error is not None]
    if not failed:
        return
    fields = {"url": result.url, **failed[0].fields, "checked": True}
    what = " and ".join(_PARTICIPLES[step.action] for step in failed)
    message = f"the remote {result.name} cannot be {what}"
    if "cause" in fields:
        fields["cause"] = errors.Cause(fields["cause"])
        message += f": {fields['cause'].meaning}"
    else:
        message += f": {failed[0].error}"
    kind = _TOLD_AS_THEY_ARE.get(failed[0].code or "", errors.RemoteUnavailableError)
    raise kind(message, **fields)


def check_adopt(result: api.AdoptResult) -> None:
    """Raise InvalidError if it is not known which project to adopt, PartialError if something could not be."""
    if result.adopted is None and not result.from_packs and not (result.dry_run and result.projects):
        number = f"{len(result.projects):,} projects have" if result.projects else "no project has"
        known = [project.project for project in result.projects]
        raise errors.InvalidError(f"{number} pushed to {result.remote}", adopt=result.remote, known=known)
    if result.refused:
        number = f"{len(result.refused):,} paths" if len(result.refused) > 1 else "a path"
        done = len(result.pointers)
        raise errors.PartialError(f"{number} could not be taken over", done=done, failed=result.refused)


def _check_broken(broken: list[tuple[str, str]], *, done: int = 0) -> None:
    if broken:
        number = f"{len(broken):,} pointers" if len(broken) > 1 else "a pointer"
        message = f"{number} could not be read, so that data was passed over"
        raise errors.PartialError(message, done=done, failed=broken, look=True)
