"""What the git remotes of a repository have: all of their refs, and the objects of them, whatever is fetched otherwise.

Nothing that its user sees is changed by it: no ref moves, and none is made.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from vstore.errors import GitFailedError
from vstore.git.kept import KeptHistory
from vstore.git.program import run_git
from vstore.git.refusals import shown, translate

_BRANCHES = "refs/heads/"
_ADVERTISED = re.compile(rb"([0-9a-f]{40}|[0-9a-f]{64})\t(HEAD|refs/[^\0-\x20\x7f~^:?*\[\\]+)")
_FETCH = (
    "fetch",
    "--quiet",
    "--no-tags",
    "--no-prune",
    "--no-write-fetch-head",
    "--no-auto-maintenance",
    "--recurse-submodules=no",
    "--refmap=",  # remote-tracking branches stay where they are
    "--stdin",
)
_MOST_TRIES = 3


class GitRemote(NamedTuple):
    """A git remote, by its name and its URL without secrets.

    ``is_narrow``: its user asked git to bring only a part of its branches.
    """

    name: str
    url: str
    is_narrow: bool


def list_git_remotes(work_tree: Path) -> list[GitRemote]:
    """Return the git remotes that a repository names.  Raises GitFailedError."""
    settings: dict[str, list[str]] = {}
    for entry in os.fsdecode(run_git(work_tree, "config", "--list", "--null")).split("\0"):
        key, _, value = entry.partition("\n")
        settings.setdefault(key, []).append(value)
    names = os.fsdecode(run_git(work_tree, "remote")).splitlines()
    return [
        GitRemote(
            name,
            shown(settings.get(f"remote.{name}.url", [name])[0]),
            _is_narrow(settings.get(f"remote.{name}.fetch", [])),
        )
        for name in names
    ]


def _is_narrow(refspecs: list[str]) -> bool:
    """Tell whether some branches are asked for, and not all of them."""
    sources = [refspec.removeprefix("+").partition(":")[0] for refspec in refspecs]
    if any(source.startswith(f"^{_BRANCHES}") for source in sources):
        return True
    return bool(sources) and not {f"{_BRANCHES}*", "refs/*", "*"}.intersection(sources)


def fetch_refs(work_tree: Path, remote: GitRemote, history: KeptHistory) -> tuple[str, ...]:
    """Return what all refs of a git remote lead to, after fetching what is not here of it.

    Raises GitFailedError, or what translates it, where the remote does not answer or does not give it.
    """
    for _ in range(_MOST_TRIES):
        refs = dict(_list_refs(work_tree, remote))
        missing = history.list_missing(refs.values())
        if not missing:
            return tuple(dict.fromkeys(refs.values()))
        wanted = "".join(f"{name}\n" for name, oid in refs.items() if oid in missing)
        _run(work_tree, remote, *_FETCH, remote.name, stdin=wanted.encode(errors="surrogateescape"))
        if not history.list_missing(missing):
            return tuple(dict.fromkeys(refs.values()))
        # Somebody pushed between the two questions.
    raise GitFailedError(f"the git remote {remote.name} kept changing while it was read", path=str(work_tree))


def _list_refs(work_tree: Path, remote: GitRemote) -> Iterator[tuple[str, str]]:
    for line in _run(work_tree, remote, "ls-remote", "--quiet", "--", remote.name).splitlines():
        if line.endswith(b"^{}"):
            continue  # what a tag leads to, which the tag itself says
        found = _ADVERTISED.fullmatch(line)
        if found is None:
            fact = f"the git remote {remote.name} has a ref of an impossible name: {line[:200]!r}"
            raise GitFailedError(fact, path=str(work_tree))
        yield os.fsdecode(found[2]), found[1].decode()


def _run(work_tree: Path, remote: GitRemote, *arguments: str, stdin: bytes = b"") -> bytes:
    try:
        return run_git(work_tree, *arguments, stdin=stdin)
    except GitFailedError as error:
        refusal = translate(error, remote.url)
        raise refusal from (None if refusal is error else error)
