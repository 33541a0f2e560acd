"""The protocol loses nothing that a push reported, whatever the order of requests; without any of its rules it does."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from tests.protocol.bucket import then
from tests.protocol.invariant import find_hollow
from tests.protocol.mutants import MUTANTS, Mutant
from tests.protocol.push import Task, push
from tests.protocol.rules import RULES, Rules
from tests.protocol.search import search
from tests.protocol.stories import NIGHTLY, SAFE, Story

_ALTERNATIVES = {"pages", "starts_over"}
_NAMES = [f"{mutant.rule}: {mutant.instead}" for mutant in MUTANTS]
_PAGE = Path(__file__).parents[2] / "docs/formats/remote.md"


@pytest.mark.parametrize("name", SAFE)
def test_nothing_is_lost(name: str) -> None:
    """Whatever a push reported can be read, now and when all is over, and nothing dangles then."""
    _tell(*SAFE[name])


@pytest.mark.parametrize("name", NIGHTLY)
def test_nothing_is_lost_among_more(name: str, pytestconfig: pytest.Config) -> None:
    """The same with more people: millions of states, which is for the night."""
    if pytestconfig.getoption("--hypothesis-profile", None) != "thorough":
        pytest.skip("left to the nightly run, as pytest --hypothesis-profile=thorough: the protocol searched in full")
    _tell(*NIGHTLY[name])


def _tell(story: Story, rules: Rules) -> None:
    found = story.search(rules)
    assert found.loss is None, "\n".join(found.loss)
    # Everybody got somewhere: whoever pushes a root may report it, whoever retires one may decide to.
    expected = {f"reported {name.split()[1]}" for name in story.cast if name.startswith("pusher ")}
    expected |= {"reported a"} if {"pusher", "undo"} & story.cast.keys() else set()
    expected |= {f"retired {arguments[-1]}" for act, *arguments in story.cast.values() if act.__name__ == "retire"}
    assert found.facts >= expected


@pytest.mark.parametrize("mutant", MUTANTS, ids=_NAMES)
def test_mutants(mutant: Mutant) -> None:
    """Each rule is needed: it alone is left out, in a story that is safe with it."""
    assert (mutant.story, mutant.rules) in SAFE.values()
    assert mutant.story.search(mutant.rules.without(mutant.rule)).loss


def test_commits_come_after_their_packs() -> None:
    """A commit that comes before its packs is one that a crash leaves with nothing behind it."""

    def is_lost(rules: Rules) -> bool:
        task = Task("a", frozenset(), uploads=True)
        return (
            search(frozenset(), {"pusher": then(push, rules, task)}, lambda bucket, _: find_hollow(bucket)).loss
            is not None
        )

    assert is_lost(RULES.without("uploads_first")) and not is_lost(RULES)


def test_mistaken_merge_loses_nothing() -> None:
    """Commits that are merged under a push are a matter of the push alone: its root stays, whoever takes it away."""
    story, _ = SAFE["merging what is under way"]
    assert story.search(RULES.without("spares_pushes", "reads_back")).loss is None


def test_every_rule_has_a_mutant() -> None:
    """No rule stands there that nothing needs."""
    tested = {mutant.rule for mutant in MUTANTS} | {"uploads_first", "reads_back"}
    assert tested == {field.name for field in dataclasses.fields(Rules)} - _ALTERNATIVES


def test_page_names_every_mutant() -> None:
    """The page about remotes says of each rule what happens without it, in the same words."""
    rows = [f"| `{mutant.rule}` | {mutant.instead} | {mutant.breaks} |" for mutant in MUTANTS]
    assert "\n".join(rows) in _PAGE.read_text(encoding="utf-8")


def test_losses_are_told() -> None:
    """The shortest way to a loss is told in words, one request a line."""
    told = subprocess.run(
        [sys.executable, "-m", "tests.protocol", "spares_pushes"], capture_output=True, check=True, text=True
    )
    first, *steps = told.stdout.splitlines()
    assert first.startswith("spares_pushes: commits are merged under pushes that have not ended. A push does not find")
    assert "  merger writes commits/c, naming a in packs/old, b in packs/old" in steps
    assert steps[-2:] == [
        "  pusher a reads commits/a1; gone: commits/a1",
        "  the push of a failed, since somebody took its commit away",
    ]
