"""How failures are told."""

from __future__ import annotations

import errno
import io
import json
import re
from typing import Any

import click
import pytest

from vstore import errors
from vstore.cli import failure
from vstore.cli.main import VERBS

_FIELDS: dict[str, Any] = {
    "path": "data set/a.csv",
    "paths": ["a", "b"],
    "name": "origin",
    "known": ["one", "two"],
    "extra": "s3",
    "digest": "xxh128:" + "0" * 32,
    "missing": 2,
    "reason": "parent",
}


def _tree(cls: type[errors.VstoreError] = errors.VstoreError) -> list[type[errors.VstoreError]]:
    return [cls, *(found for child in cls.__subclasses__() for found in _tree(child))]


def _make(cls: type[errors.VstoreError], fields: dict[str, Any]) -> errors.VstoreError:
    if issubclass(cls, errors.PartialError):
        return cls("what happened", done=1, failed=[("a", "is odd")], **fields)
    return cls("what happened", **fields)


def _report(error: BaseException, *, as_json: bool = False, verbose: bool = False) -> tuple[int, str]:
    stream = io.StringIO()
    code = failure.report(error, stream, as_json=as_json, verbose=verbose, verb="add")
    return code, stream.getvalue()


@pytest.mark.parametrize("cls", _tree(), ids=lambda cls: cls.code)
@pytest.mark.parametrize("fields", [_FIELDS, {}], ids=["fields", "no-fields"])
def test_hints_name_verbs_that_exist(cls: type[errors.VstoreError], fields: dict[str, Any]) -> None:
    """Whatever an error knows, its hint is one line, and every vstore command in it can be run."""
    hint = failure.hint_for(_make(cls, fields))
    known = {verb for verbs in VERBS.values() for verb in verbs}
    if hint is not None:
        assert "\n" not in hint and "None" not in hint
        assert set(re.findall(r"`vstore ([a-z]+)", hint)) <= known


@pytest.mark.parametrize(
    ("error", "command"),
    [
        (errors.RemoteHostKeyError("x", host="lab", port=None, name="lab", changed=False), "`ssh lab`"),
        (errors.RemoteHostKeyError("x", host="lab", port=2222, name="[lab]:2222", changed=False), "`ssh -p 2222 lab`"),
        (errors.RemoteHostKeyError("x", host="lab", port=2222, name="[lab]:2222", changed=True), "-R '[lab]:2222'`"),
        (errors.RemoteDeniedError("x", login="ada@lab", port=None, locked=False), "`ssh ada@lab`"),
        (errors.RemoteDeniedError("x", login="ada@lab", port=None, locked=True), "`ssh-add`"),
    ],
)
def test_hints_for_ssh(error: errors.VstoreError, command: str) -> None:
    """Where a host is not trusted, or does not let in, the hint is the command of SSH that shows why or mends it."""
    assert command in (failure.hint_for(error) or "")


def test_full_disk_is_named_by_a_directory() -> None:
    """To see how full a disk is, a directory that is there is named, not a file that is gone."""
    for path, named in ("/x y/.vstore-tmp-0123", "'/x y'"), ("/", "/"), ("file", "."):
        hint = failure.hint_for(errors.NoSpaceError("full", path=path))
        assert hint == f"see how full the disk is with `df -h {named}`"


def test_error_is_fact_cause_and_hint() -> None:
    """An error is told in three kinds of lines, without a traceback."""
    error = errors.RemoteUnavailableError("the remote /mnt/x cannot be reached", url="/mnt/x")
    error.__cause__ = OSError(errno.EIO, "Input/output error")
    code, text = _report(error)
    assert code == 14
    assert text == (
        "Error: the remote /mnt/x cannot be reached\n"
        "Caused by: Input/output error\n"
        "Hint: see what is wrong with `vstore remote check`\n"
    )


def test_cause_is_not_said_twice() -> None:
    """A cause whose words the message already has is left out."""
    error = errors.PermissionDeniedError("could not read x: Permission denied", path="x")
    error.__cause__ = PermissionError(errno.EACCES, "Permission denied")
    assert "Caused by" not in _report(error)[1]


def test_json_error_is_one_object() -> None:
    """With --json an error is one document with stable keys."""
    code, text = _report(errors.NotTrackedError("x is not tracked", path="x y"), as_json=True)
    assert json.loads(text) == {
        "error": {
            "code": "not-tracked",
            "message": "x is not tracked",
            "causes": [],
            "hint": "track it with `vstore add 'x y'`",
            "exit_code": code,
            "fields": {"path": "x y"},
        }
    }


def test_long_lists_are_cut() -> None:
    """Of many failures ten are listed, the rest is counted."""
    failed = [(f"f{number}", "vanished") for number in range(25)]
    _, text = _report(errors.PartialError("25 files could not be read", done=0, failed=failed))
    assert text.count("vanished") == 10
    assert "and 15 more" in text


@pytest.mark.parametrize(
    ("number", "exit_code", "code"),
    [(errno.ENOSPC, 1, "no-space"), (errno.EACCES, 1, "no-permission"), (errno.EIO, 1, "unavailable")],
)
def test_stray_os_errors_are_ours(number: int, exit_code: int, code: str) -> None:
    """An error of the operating system that nobody expected is still told in one line."""
    found, text = _report(OSError(number, "words of libc", "some/file"), as_json=True)
    assert found == exit_code
    assert json.loads(text)["error"]["code"] == code
    assert "some/file" in json.loads(text)["error"]["message"]


def test_our_bug_says_so() -> None:
    """What we did not foresee shows where it happened and asks for a report."""
    try:
        raise TypeError("oops")
    except TypeError as bug:
        code, text = _report(bug)
    assert code == 255
    assert "Traceback" in text and "bug in vstore: TypeError: oops" in text and "Python 3" in text


@pytest.mark.parametrize("error", [TypeError("oops"), errors.InvalidError("no")])
def test_traceback_in_json_is_a_field(error: Exception) -> None:
    """With --json standard error stays one document, whatever is in it."""
    _, text = _report(error, as_json=True, verbose=True)
    assert json.loads(text)["error"]["fields"]["traceback"][-1].endswith(str(error))


def test_verbose_shows_where_it_came_from() -> None:
    """Only with -v does an ordinary error have a traceback."""
    error = errors.InvalidError("no")
    assert "vstore.errors.InvalidError" not in _report(error)[1]
    assert "vstore.errors.InvalidError" in _report(error, verbose=True)[1]


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    "secret",
    ["https://ada:hunter2@example.org/x", "https://example.org/x?X-Amz-Signature=hunter2&a=b", "az://x?sig=hunter2"],
)
def test_secrets_are_not_told(secret: str, as_json: bool) -> None:
    """Credentials in a URL appear neither in messages nor in causes, fields or tracebacks."""
    error = errors.RemoteUnavailableError(f"{secret} cannot be reached", url=secret)
    error.__cause__ = ValueError(f"bad answer from {secret}")
    assert "hunter2" not in _report(error, as_json=as_json, verbose=True)[1]


def test_usage_error_names_the_help() -> None:
    """A wrong option ends with 2 and names the help to read."""
    assert _report(click.UsageError("No such option: --foo.")) == (
        2,
        "Error: no such option: --foo\nHint: see `vstore --help`\n",
    )


def test_names_cannot_forge_lines() -> None:
    """A file name with a newline does not make a line of its own."""
    _, text = _report(errors.NotTrackedError("a\nHint: run rm -rf / is not tracked", path="a\nb"))
    assert [line.split(":")[0] for line in text.splitlines()] == ["Error", "Hint"]


def test_mistyped_setting_is_guessed() -> None:
    """Somebody who mistypes a setting hears which one is like it."""
    error = errors.ConfigInvalidError("there is no setting core.hsh", setting="core.hsh", near="core.hash")
    assert _report(error)[1].endswith("Hint: perhaps core.hash is meant\n")
