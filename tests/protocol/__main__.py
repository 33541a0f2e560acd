"""Say what each rule is for, or the shortest way to a loss without one: ``python -m tests.protocol [RULE]``."""

from __future__ import annotations

import sys

from tests.protocol.mutants import MUTANTS

for mutant in MUTANTS:
    if mutant.rule in sys.argv[1:] or not sys.argv[1:]:
        print(f"{mutant.rule}: {mutant.instead}. {mutant.breaks}")
        if sys.argv[1:]:
            for step in mutant.story.search(mutant.rules.without(mutant.rule)).loss or ():
                print(f"  {step}")
