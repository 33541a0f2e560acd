"""Failures: what went wrong, in words: the fact, its causes, one hint, and the exit code.

With ``remote_hints``, the only place that knows hints and exit codes:

    0 done  1 failed  2 usage  3 partly done  4 differences found  10 no repository  11 locked or conflict
    12 object missing everywhere  13 corrupt  14 remote unavailable  130 interrupted  141 broken pipe  255 our bug
"""

from __future__ import annotations

import errno
import os
import platform
import traceback
from collections.abc import Callable, Iterator
from typing import Any, TextIO

import click

from vstore import __version__, errors
from vstore.cli import render
from vstore.cli.plain import one_line, quote, redact
from vstore.cli.remote_hints import (
    hint_for_awaited,
    hint_for_engine,
    hint_for_host_key,
    hint_for_needs,
    hint_for_remote,
    hint_for_repair,
    hint_for_retired,
    hint_for_source,
)
from vstore.errors import VstoreError

USAGE, DIFFERENT, INTERRUPTED, BROKEN_PIPE, OUR_BUG = 2, 4, 130, 141, 255
_MOST_LINES = 10

_EXIT_CODES: dict[type[VstoreError], int] = {
    VstoreError: 1,
    errors.PartialError: 3,
    errors.RepositoryNotFoundError: 10,
    errors.GitRepositoryNotFoundError: 10,
    errors.ConflictError: 11,
    errors.ObjectMissingError: 12,
    errors.CorruptError: 13,
    errors.RemoteUnavailableError: 14,
    errors.RemoteDeniedError: 14,
    errors.RemoteExtraMissingError: 14,
    errors.EngineUnavailableError: 14,
    errors.SourceUnavailableError: 14,
}

Hint = Callable[[dict[str, Any]], str | None]


def exit_code(error_class: type[VstoreError]) -> int:
    """Return the exit code of a class of errors: its own, or that of its family."""
    return next(_EXIT_CODES[cls] for cls in error_class.__mro__ if cls in _EXIT_CODES)


# Hints.  Each takes the fields of its error.


def _hint_repository(fields: dict[str, Any]) -> str | None:
    if "url" in fields:
        return hint_for_source(fields)
    if "sparse" in fields:
        how = "sparse-checkout add" if fields["sparse"] else "checkout --"
        return f"bring it back with `git -C {quote(fields['path'])} {how} .vstore`"
    if "commit" in fields:
        return "push from a work tree that has it, or push the commits alone with `git push --no-verify`"
    return None if "elsewhere" in fields else "make one here with `vstore init`"


def _hint_revision(fields: dict[str, Any]) -> str | None:
    if "url" in fields:
        return f"see which branches and tags there are with `git ls-remote {quote(fields['url'])}`"
    if "repo" in fields:
        return f"see which there are with `git -C {quote(fields['repo'])} log --oneline --all`"
    return "see which there are with `git log --oneline --all`, or get new ones with `git fetch --all --tags`"


def _hint_remote_name(fields: dict[str, Any]) -> str | None:
    known = fields.get("known")
    if not known:
        return "name one with `vstore remote add -d NAME URL`"
    name = fields.get("name")
    if name and ("/" in name or os.path.lexists(name)):
        return "a path stands before --remote, or behind --"
    if name:
        return f"known are {', '.join(known)}; see `vstore remote list`"
    return f"choose one with `vstore remote default {quote(known[0])}`, or name one with -r"


def _hint_path(fields: dict[str, Any]) -> str | None:
    if "revision" in fields:
        return f"it is a revision, which stands behind --rev, as in `vstore ls --rev {quote(fields['revision'])}`"
    if "adopt" in fields:
        return f"see what was pushed there with `vstore remote adopt {quote(fields['adopt'])} --dry-run`"
    return f"see what is {'there' if 'elsewhere' in fields else 'tracked'} with `vstore ls{_place(fields)}`"


def _place(fields: dict[str, Any]) -> str:
    return f" {quote(fields['repo'])}" if fields.get("repo") else " REPO" if "elsewhere" in fields else ""


_REFUSALS = {
    "git-tracked": "stop git tracking it with `git rm -r --cached{path}`, commit, then add it",
    "parent": "stop tracking what is inside with `vstore rm`, then add it",
    "ignored": "see which rule it is with `git check-ignore -v{pointer}`, or add it with --force",
    "kept-out": "change the rule in .vstoreignore, or add it with --force",
    "symlink": "name the file or directory that is meant, or add it with --dereference",
    "inside-repository": "add it from inside that repository, with `vstore -C`",
    "inside": "name a path that is in nothing tracked",
    "repository": "move its .git elsewhere, or make it a submodule with `git submodule add`",
}


def _hint_refused(fields: dict[str, Any]) -> str | None:
    path = fields.get("path") or ""
    hint = _REFUSALS.get(str(fields.get("reason")))
    return hint and hint.format(path=f" {quote(path)}", pointer=f" {quote(path + '.vstore')}")


def _hint_conflict(fields: dict[str, Any]) -> str | None:
    if "project" in fields:
        return "adopt in a new repository, made with `vstore init`, or be that project from now on with --force"
    if "exists" in fields:
        return "replace it with --force, or name another place with -o"
    if "tracked" not in fields:
        return None
    if fields["tracked"]:
        return f"let it follow its source with `vstore update{_arguments(fields)}`, or overwrite it with --force"
    return "name another place behind the URL, or overwrite what is there with --force"


def _hint_changed(fields: dict[str, Any]) -> str | None:
    if "url" in fields:
        return "when nothing writes to it, run the same command again"
    return f"when nothing writes to it, run `vstore add{_arguments(fields)}`"


def _hint_untracked(fields: dict[str, Any]) -> str | None:
    if "revision" in fields:
        return _hint_path(fields)
    if "elsewhere" in fields:
        return f"see what git keeps there with `vstore ls --git{_place(fields)}`"
    if fields.get("imported") is False:
        return "give it a source with `vstore import-url --force URL PATH`"
    what = "update it with `vstore update" if "imported" in fields else "track it with `vstore add"
    return f"{what}{_arguments(fields)}`"


def _hint_pointer(fields: dict[str, Any]) -> str | None:
    path = fields.get("path")
    if path and fields.get("conflict"):
        return f"take one side with `vstore checkout --ours {quote(path.removesuffix('.vstore'))}` (or --theirs)"
    return f"take an older one with `git checkout HEAD -- {quote(path)}`" if path else None


def _hint_extra(fields: dict[str, Any]) -> str | None:
    return f"install it with `pip install 'vstore[{fields['extra']}]'`" if fields.get("extra") else None


def _hint_space(fields: dict[str, Any]) -> str | None:
    path = fields.get("path")
    if path and "://" in path:
        return f"make room at {path}, or have its quota raised"
    if path and not os.path.isdir(path):
        path = os.path.dirname(path) or "."  # the file may be a temporary one, and gone
    return f"see how full the disk is with `df -h{' ' + quote(path) if path else ''}`"


def _hint_missing(fields: dict[str, Any]) -> str | None:
    if "repair" in fields:
        return hint_for_repair(fields)
    if fields.get("no_remote"):
        return "name the remote that has it with `vstore remote add -d NAME URL`, then run this again"
    return "where the data was added, `vstore push` shares it; then run this again"


def _hint_corrupt(fields: dict[str, Any]) -> str | None:
    if "repair" in fields:
        return hint_for_repair(fields)
    if "gone" in fields:
        return f"write it anew with `vstore fsck --remote {quote(fields.get('remote', 'NAME'))} --repair`"
    return "get an undamaged copy with `vstore fetch`" if "digest" in fields else None


def _hint_locked(fields: dict[str, Any]) -> str:
    when = f"after `rm{_arguments(fields)}`, if no git is running" if "age_s" in fields else "when the other is done"
    return f"run the same command again {when}"


def _hint_invalid(fields: dict[str, Any]) -> str | None:
    if "password" in fields:
        return "leave it out, and let git log in by its own means, such as `git config credential.helper`"
    if "secret" in fields:
        return "keep secrets in a remote, `vstore remote add NAME URL`, and import remote://NAME/PATH"
    if "out" in fields:
        return "say how to call it, as in `vstore import-url URL OUT`"
    if "adopt" in fields:
        command = f"vstore remote adopt {quote(fields['adopt'])}"
        if "project" in fields:
            return f"see which projects have pushed there with `{command} --dry-run`"
        if fields["known"]:
            return f"say which one is meant, as in `{command} --project {quote(fields['known'][0])}`"
        return f"if packs are all that is left, see what they hold with `{command} --from-packs --dry-run`"
    if "option" in fields:
        known = fields.get("known")
        return f"known are {', '.join(known)}" if known else None
    return f"for the path, write ./{fields['argument']}" if "argument" in fields else None


_FETCHES = {
    "dvc": "bring what is missing with `dvc fetch`, or give it up with --allow-missing",
    "lfs": "bring what is missing with `git lfs fetch --all`",
}

_REMEDIES = {
    "lacking": "bring what is lacking with `vstore push`",
    "absent": "where the data was added, `vstore push` shares it; then run this again",
    "missing": "get what is missing with `vstore pull`",
    "look": "see what can be done about it with `vstore status`",
}


def _hint_partial(fields: dict[str, Any]) -> str | None:
    if "repair" in fields:
        return hint_for_repair(fields)
    if fields.get("lost_by"):
        return _FETCHES[fields["lost_by"]]
    return next((hint for field, hint in _REMEDIES.items() if fields.get(field)), None)


_HINTS: dict[type[VstoreError], Hint] = {
    errors.RepositoryNotFoundError: _hint_repository,
    errors.GitRepositoryNotFoundError: lambda fields: "make one with `git init`, or do without: `vstore init --no-git`",
    errors.NotFoundError: hint_for_retired,
    errors.PathNotFoundError: _hint_path,
    errors.NotTrackedError: _hint_untracked,
    errors.NotDownloadedError: hint_for_awaited,
    errors.RevisionNotFoundError: _hint_revision,
    errors.RemoteNotFoundError: _hint_remote_name,
    errors.SettingNotFoundError: lambda fields: "see all settings with `vstore config list`",
    errors.ObjectMissingError: _hint_missing,
    errors.UnsavedError: lambda fields: (
        f"save them with `vstore add{_arguments(fields)}`, or give them up with --force"
    ),
    errors.LockedError: _hint_locked,
    errors.ConflictError: _hint_conflict,
    errors.ChangedWhileReadError: _hint_changed,
    errors.SourceChangedError: lambda fields: f"take over what is there now with `vstore update{_arguments(fields)}`",
    errors.NeedsUnknownError: hint_for_needs,
    errors.CollisionError: lambda fields: "use a cryptographic hash: `vstore init --hash blake3` in a new repository",
    errors.CorruptError: _hint_corrupt,
    errors.NewerFormatError: lambda fields: "get a newer vstore with `pip install --upgrade vstore`",
    errors.PointerInvalidError: _hint_pointer,
    errors.InvalidError: _hint_invalid,
    errors.ConfigInvalidError: lambda fields: f"perhaps {fields['near']} is meant" if fields.get("near") else None,
    errors.AddRefusedError: _hint_refused,
    errors.NameRefusedError: lambda fields: "rename what is listed, then run the same command again",
    errors.RemoteUnavailableError: hint_for_remote,
    errors.RemoteDeniedError: hint_for_remote,
    errors.RemoteHostKeyError: hint_for_host_key,
    errors.RemoteExtraMissingError: _hint_extra,
    errors.EngineUnavailableError: hint_for_engine,
    errors.GitFailedError: lambda fields: "install git, see https://git-scm.com" if "program" in fields else None,
    errors.SourceUnavailableError: hint_for_source,
    errors.PartialError: _hint_partial,
    errors.NoSpaceError: _hint_space,
    errors.PermissionDeniedError: lambda fields: f"see who may use it with `ls -ld{_arguments(fields)}`",
}


def hint_for(error: VstoreError) -> str | None:
    """Return what to do next, in one sentence with one command; None where there is nothing to say."""
    for cls in type(error).__mro__:
        if cls in _HINTS:
            return _HINTS[cls](error.fields)
    return None


def report(failed: BaseException, stream: TextIO, *, as_json: bool, verbose: bool, verb: str) -> int:
    """Say on ``stream`` what happened and return the exit code; ``verb`` names the command.

    A traceback is shown if it is our bug, or with ``verbose``.
    """
    if isinstance(failed, click.UsageError):
        return _report_usage(failed, stream, as_json)
    if isinstance(failed, click.ClickException):
        failed = errors.InvalidError(failed.format_message())
    if isinstance(failed, OSError):
        failed = _from_os_error(failed)
    trace = traceback.format_exception(failed) if verbose or not isinstance(failed, VstoreError) else []
    if not as_json:
        stream.write(redact("".join(trace)))
    if isinstance(failed, VstoreError):
        code = exit_code(type(failed))
        facts = {"code": failed.code, "message": failed.message, "hint": hint_for(failed), "fields": failed.fields}
    else:
        code = OUR_BUG
        platform_facts = f"vstore {__version__}, Python {platform.python_version()}, {platform.platform()}"
        facts = {
            "code": "bug",
            "message": f"this is a bug in vstore: {type(failed).__name__}: {failed}",
            "hint": f"report it to the project with the lines above, `vstore {verb}` and: {platform_facts}",
            "fields": {},
        }
    if as_json and trace:
        facts["fields"] = {**getattr(failed, "fields", {}), "traceback": "".join(trace).splitlines()}
    _write(stream, facts | {"causes": list(_iter_causes(failed)), "exit_code": code}, as_json)
    return code


def _report_usage(failed: click.UsageError, stream: TextIO, as_json: bool) -> int:
    path = failed.ctx.command_path if failed.ctx is not None else "vstore"
    message = failed.format_message()
    facts = {"code": "usage", "message": message[:1].lower() + message[1:].rstrip("."), "hint": f"see `{path} --help`"}
    _write(stream, facts | {"fields": {}, "causes": [], "exit_code": USAGE}, as_json)
    return USAGE


def _write(stream: TextIO, facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        order = ("code", "message", "causes", "hint", "exit_code", "fields")
        document = {"error": {key: facts[key] for key in order}}
        stream.write(redact(render.to_json(document, pretty=stream.isatty())) + "\n")
        return
    lines = [f"{render.paint('Error:', 'red', stream)} {one_line(facts['message'])}"]
    lines += _list_failed(facts["fields"])
    lines += [f"Caused by: {cause}" for cause in facts["causes"]]
    if facts["hint"]:
        lines.append(f"{render.paint('Hint:', 'cyan', stream)} {facts['hint']}")
    stream.write(redact("\n".join(lines)) + "\n")


def _list_failed(fields: dict[str, Any]) -> Iterator[str]:
    """Yield lines for what a message only counts: paths, or (path, reason)."""
    listed = fields.get("failed") or fields.get("names") or fields.get("paths") or ()
    for item in list(listed)[:_MOST_LINES]:
        yield f"  {render.path(str(item))}" if isinstance(item, str) else f"  {render.path(item[0])}: {item[1]}"
    if len(listed) > _MOST_LINES:
        yield f"  and {len(listed) - _MOST_LINES:,} more"


def _iter_causes(error: BaseException) -> Iterator[str]:
    """Yield each cause that adds something to what was already said, outermost first."""
    said = str(error)
    # Why a remote failed was found out and said: how its driver calls that adds nothing.
    is_plain = bool(getattr(error, "cause", None)) or isinstance(error, errors.RemoteExtraMissingError)
    cause, seen = error.__cause__, {id(error)}
    while cause is not None and id(cause) not in seen:  # a driver's chain may bite its tail
        seen.add(id(cause))
        if isinstance(cause, VstoreError):
            text = cause.message
        elif isinstance(cause, OSError) and cause.errno and not is_plain:
            text = os.strerror(cause.errno)
        else:
            # Only its kind: the words of a foreign error may hold a signed URL or a key.
            text = "" if is_plain or isinstance(error, errors.EngineUnavailableError) else type(cause).__name__
        text = one_line(text)
        if text not in said and str(cause) not in said:
            yield text
        said += text
        cause = cause.__cause__


def _from_os_error(error: OSError) -> VstoreError:
    """Turn an error of the operating system that nobody expected into ours."""
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else None
    reason = os.strerror(error.errno) if error.errno else str(error)
    message = f"{path}: {reason}" if path else reason
    kind: type[VstoreError] = errors.UnavailableError
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        kind = errors.NoSpaceError
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        kind = errors.PermissionDeniedError
    ours = kind(message, path=path)
    ours.__cause__ = error
    return ours


def _arguments(fields: dict[str, Any]) -> str:
    """Return the path or paths of an error as arguments of a command, with a space before each."""
    named = fields.get("paths") or [fields.get("path")]
    if len(named) > 3:
        return " PATH..."
    return "".join(f" {quote(path)}" for path in named if path)
