"""For every cause, at every kind of store, there is something to do."""

from __future__ import annotations

import itertools
import re

import pytest

from vstore.cli.main import VERBS
from vstore.cli.remote_hints import consequence_of, hint_for_remote
from vstore.errors import Cause

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
