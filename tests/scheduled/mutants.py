"""Mutants: the real code with one line of it changed, to show that a search of schedules notices."""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from vstore.remote import collect, push, retire, session, survey
from vstore.remote.ledger import Ledger


def mutate(patch: pytest.MonkeyPatch, owner: Any, name: str, *changes: tuple[str, str]) -> None:
    """Replace a function by one whose source is changed, for the time of a test."""
    original: Callable[..., object] = getattr(owner, name)
    source = textwrap.dedent(inspect.getsource(original))
    for old, new in changes:
        assert source.count(old) == 1, f"{name} does not say {old!r} any more"
        source = source.replace(old, new)
    module = sys.modules[original.__module__]
    place: dict[str, Any] = {}
    code = compile(source, f"<mutant of {name}>", "exec", flags=annotations.compiler_flag)
    exec(code, vars(module), place)
    for holder in (owner, *(module for key, module in sys.modules.items() if key.startswith("vstore."))):
        if getattr(holder, name, None) is original:  # also where it was imported to
            patch.setattr(holder, name, place[name])


def never_look_at_tombstones(patch: pytest.MonkeyPatch) -> None:
    """Whoever pushes relies upon what is doomed."""
    mutate(patch, Ledger, "find_lost", ("self.list_doomed() if doomed else set()", "set()"))


def never_look_for_packs(patch: pytest.MonkeyPatch) -> None:
    """Whoever pushes relies upon what is gone, unless it is doomed."""
    mutate(patch, Ledger, "find_lost", (" or present.get(pack.key) != pack.size_bytes", ""))


def never_look_again(patch: pytest.MonkeyPatch) -> None:
    """A push does not look once more when its commit is there."""
    mutate(patch, push._Push, "run", ("self._draft.ledger.find_lost(commit.packs().values())", "set()"))


def announce_nothing(patch: pytest.MonkeyPatch) -> None:
    """A push writes no intent, nor looks again."""
    never_look_again(patch)
    mutate(patch, session.Session, "announce", ("self._site.transport.write(intent_key(self.name), intent)", "pass"))


def protect_no_sessions(patch: pytest.MonkeyPatch) -> None:
    """An intent protects nothing that bears its session's name, and pushes do not look again."""
    never_look_again(patch)
    mutate(patch, collect, "_find_named", ("if find_session(key) in living:", "if False:"))


def list_commits_first(patch: pytest.MonkeyPatch) -> None:
    """A collector lists commits before intents, and pushes do not look again."""
    never_look_again(patch)
    read = "commits = dict(self._read_all(self._list_commits(COMMITS), self._read_commit))"
    first = "packs = self._list(PACKS, lambda key: key if is_pack(key) else None)"
    mutate(patch, survey._Surveyor, "look", (read, "pass"), (first, f"{first}; {read}"))


def list_trash_first(patch: pytest.MonkeyPatch) -> None:
    """A collector lists the trash before commits."""
    read = "trash = dict(self._read_all(self._list_commits(TRASH), self._read_commit))"
    first = "packs = self._list(PACKS, lambda key: key if is_pack(key) else None)"
    mutate(patch, survey._Surveyor, "look", (read, "pass"), (first, f"{first}; {read}"))


def delete_tombstones_first(patch: pytest.MonkeyPatch) -> None:
    """A collector deletes the tombstone of a pack before the pack."""
    pack, tombstone = "site.transport.delete(pack.key)", "site.transport.delete(tombstone_key(pack.key))"
    mutate(patch, collect, "collect", (tombstone, "SWAP"), (pack, tombstone), ("SWAP", pack))


def lift_tombstones(patch: pytest.MonkeyPatch) -> None:
    """A collector deletes the tombstones of packs that are named again."""
    first = "if plan.retired:"
    lift = "[site.transport.delete(tombstone_key(key)) for key in survey.doomed if key in plan.named]"
    mutate(patch, collect, "collect", (first, f"{lift}\n        {first}"))


def copy_nothing_to_trash(patch: pytest.MonkeyPatch) -> None:
    """Commits are retired without a copy in the trash."""
    mutate(patch, retire, "_copy", ("site.transport.write(trash_key(key), data)", "pass"), ("len(data)", "None"))


def retire_before_committing_anew(patch: pytest.MonkeyPatch) -> None:
    """What is left of retired commits is committed anew only when they are gone."""
    mutate(patch, retire, "replace_commits", ("if left:", "retire_commits(site, old)\n    if left:"))


def announce_no_replacement(patch: pytest.MonkeyPatch) -> None:
    """A commit that takes the place of others is written without an intent."""
    announce = "session.announce({pack.key for root in group for pack in root.pins})"
    mutate(patch, retire, "replace_commits", (announce, "session._renewed_s = site.clock()"))


def commit_only_what_is_new(patch: pytest.MonkeyPatch) -> None:
    """What else retired commits held is not committed anew."""
    mutate(patch, retire, "replace_commits", ("if left:", "if False:"))


def delete_at_once(patch: pytest.MonkeyPatch) -> None:
    """A collector deletes what nothing names as soon as it dooms it."""
    doom = "site.transport.write(tombstone_key(pack.key), tombstone)"
    mutate(patch, collect, "collect", (doom, f"(site.transport.delete(pack.key), {doom})"))


def rely_on_other_commits(patch: pytest.MonkeyPatch) -> None:
    """What another commit holds as well is not committed anew."""
    others = "for other in survey.list_roots() if other.held.listed.key not in going"
    held = f"entry.root.digest not in {{*dead, *(other.root.digest {others})}}"
    mutate(patch, collect, "_find_left", ("entry.root.digest not in dead", held))
