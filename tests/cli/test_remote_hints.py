"""For every cause, at every kind of store, there is something to do."""

from __future__ import annotations

import errno
import io
import itertools
import re
from pathlib import Path

import pytest

from tests.project import Project
from vstore.cli import failure
from vstore.cli.main import VERBS
from vstore.cli.remote_hints import consequence_of, hint_for_remote
from vstore.errors import Cause, RemoteUnavailableError
from vstore.remote.fsspec_transport.drivers import ROOMS, find_driver

URLS = [
    "/mnt/data set",
    "s3://bucket/path",
    "gs://bucket/path",
    "az://container/path",
    "abfs://container@account.dfs.core.windows.net/path",
    "sftp://ada@host:2222/path",
    "hdfs://namenode:9000/path",
    "https://host/path",
    "odd://place",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_a_hint(cause: Cause, url: str) -> None:
    """A hint is one line without gaps, and every command of vstore in it can be run."""
    known = {verb for verbs in VERBS.values() for verb in verbs}
    actions = ["list packs/", "look for a", "read a", "write a", "delete a", "connect", None]
    for action, more in itertools.product(actions, ({}, {"remote": "store", "checked": True})):
        hint = hint_for_remote({"cause": cause.value, "url": url, "action": action, **more})
        assert hint and "\n" not in hint and "{" not in hint and "None" not in hint
        assert set(re.findall(r"`vstore ([a-z]+)", hint)) <= known
        assert hint.count("`") % 2 == 0


@pytest.mark.parametrize("cause", Cause)
def test_hint_of_an_import_names_no_remote(cause: Cause) -> None:
    """What is imported by a URL of its own has no settings; the hint says how it could."""
    hint = str(hint_for_remote({"cause": cause.value, "url": "s3://bucket/x", "imported": True}))
    assert "vstore remote set" not in hint and "vstore remote list" not in hint
    assert "remote://NAME/PATH" in hint or "vstore remote" not in hint


def test_hint_names_what_is_known() -> None:
    """The remote, its region and its container are named where the error knows them."""
    fields = {"cause": "region", "url": "s3://bucket", "remote": "store", "region": "eu-central-1"}
    assert "`vstore remote set store region eu-central-1`" in str(hint_for_remote(fields))
    fields = {"cause": "no-place", "url": "abfs://box@account.dfs.core.windows.net/path"}
    assert "`az storage container create --name box`" in str(hint_for_remote(fields))


def test_failure_of_no_known_cause() -> None:
    """Where nobody knows why, the check may find out; after it nothing is left to say."""
    assert hint_for_remote({"url": "s3://bucket"}) == "see what is wrong with `vstore remote check`"
    assert hint_for_remote({"url": "s3://bucket", "checked": True}) is None


def test_consequences() -> None:
    """What does not work decides about what can be done."""
    assert not consequence_of([])
    assert "push, fetch and pull work" in consequence_of(["delete"])
    assert consequence_of(["write", "delete"]) == "fetch and pull work, but push does not"
    assert consequence_of(["list", "write"]).startswith("neither")


def test_chain_of_causes_that_bites_its_tail() -> None:
    """Some drivers raise an error from itself, or from what was raised from it: it is told once."""
    outer, inner = RemoteUnavailableError("no way", url="x"), ConnectionRefusedError(errno.ECONNREFUSED, "x")
    middle = OSError("x")
    outer.__cause__, inner.__cause__, middle.__cause__ = inner, middle, inner
    stream = io.StringIO()
    assert failure.report(outer, stream, as_json=False, verbose=False, verb="fetch") == 14
    assert stream.getvalue().count("Connection refused") == 1


@pytest.mark.parametrize("url", ["sftp://u:pa/ss@h/d", "webdav://u:a/b@c/d@h/x"])
def test_password_with_a_slash_is_refused_and_not_shown(project: Project, url: str) -> None:
    """Where a URL does not tell what is secret it is refused, and none of it is printed."""
    outcome = project.run("remote", "add", "x", url)
    assert outcome.exit_code == 1 and "%2F" in outcome.stderr
    assert "ss@h" not in outcome.stderr and "b@c" not in outcome.stderr


@pytest.mark.parametrize("url", ["ssh://`touch pwned`/dir", "ssh://$(x)@host/dir", "ssh://-oProxyCommand=x/dir"])
def test_host_that_is_a_command_is_refused(project: Project, url: str) -> None:
    """A URL of a stranger's repository gets into no command of the user's SSH configuration."""
    (Path.home() / ".ssh").mkdir()
    (Path.home() / ".ssh/config").write_text("Host *\n    ProxyCommand nc %h %r\n")
    project.ok("remote", "add", "-d", "x", url)
    outcome = project.run("remote", "check")
    assert outcome.exit_code in (1, 14) and not project.has("pwned")
    assert "no name of a host" in outcome.stdout + outcome.stderr


@pytest.mark.parametrize("verb", ["push", "pull"])
def test_nobody_at_a_web_address(project: Project, verb: str) -> None:
    """A web server that is not there is one line."""
    project.add_data()
    project.ok("remote", "add", "-d", "x", "webdav://127.0.0.1:1/x")
    project.drop_cache()
    outcome = project.run(verb)
    assert outcome.exit_code == 14
    assert outcome.stderr.count("Error:") == 1 and "nobody listens" in outcome.stderr


@pytest.mark.parametrize("scheme", ROOMS)
def test_hints_name_options_that_there_are(scheme: str) -> None:
    """No hint tells to set what the remote does not know."""
    driver = find_driver(scheme)
    assert driver is not None
    for cause in Cause:
        hint = hint_for_remote({"url": f"{scheme}://host/path", "remote": "r", "cause": cause.value})
        named = set(re.findall(r"vstore remote set r (\w+)", hint or ""))
        assert named <= driver.options.keys() | {"url", "read_only"}, (cause, hint)
