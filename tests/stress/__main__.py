"""``python -m tests.stress``: one run; its numbers are printed as JSON, and the exit code is 1 if it found a defect."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

_GIT_CONFIG = """\
[user]
    name = Ada Tester
    email = ada@example.org
[init]
    defaultBranch = main
[protocol "file"]
    allow = always
[gc]
    auto = 0
[core]
    fsync = none
"""


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress", description=__doc__)
    parser.add_argument("--remote", choices=["directory", "s3", "proxy"], default="s3")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pushers", type=int, default=2)
    parser.add_argument("--pullers", type=int, default=1)
    parser.add_argument("--collectors", type=int, default=1)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))  # so that all processes end
    folder = Path(tempfile.mkdtemp(prefix="vstore-stress-"))
    _leave_the_user(folder)
    # Only now: libgit2 reads the home directory once, when it is loaded.
    from tests.stress.book import FindingError
    from tests.stress.driver import Cast, run

    began_s = time.monotonic()
    report: dict[str, object] = {"remote": options.remote, "seed": options.seed, "seconds": options.seconds}
    try:
        cast = Cast(options.pushers, options.pullers, options.collectors)
        report |= run(folder / "run", options.remote, options.seed, options.seconds, cast)
    except FindingError as error:
        print(json.dumps(report))
        print(f"{error}\n\nAll of it is left in {folder}", file=sys.stderr)
        return 1
    report["seconds in all"] = round(time.monotonic() - began_s)
    print(json.dumps(report), flush=True)
    shutil.rmtree(folder)
    return 0


def _leave_the_user(folder: Path) -> None:
    """Let nothing of the user's settings reach the run."""
    home = folder / "home"
    home.mkdir()
    (folder / "run").mkdir()
    (home / ".gitconfig").write_text(_GIT_CONFIG)
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    os.environ.clear()
    os.environ |= {
        **kept,
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CEILING_DIRECTORIES": str(folder),
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "NO_COLOR": "1",
    }


if __name__ == "__main__":
    sys.exit(main())
