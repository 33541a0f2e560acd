"""How long a collection takes: of a cache of 100,000 objects, half of them garbage, and with 10,000 commits.

    python tests/benchmarks/bench_gc.py [--files 100000] [--commits 10000] [--work DIR]

Every step is one whole process.  Times are given beside a floor that did comparable work in the same run: walking the
files with `find` where all are needed, copying the cache where half is to be rewritten, and git's own walk of history.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

VSTORE = [sys.executable, "-m", "vstore"]


def main() -> None:
    """Run both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--commits", type=int, default=10_000)
    parser.add_argument("--work", type=Path, default=None)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="vstore-bench-", dir=options.work))
    try:
        print("| step | vstore s | floor | floor s |\n|---|---|---|---|")
        many_objects(work / "objects", options.files)
        long_history(work / "history", options.commits)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def test_both_run(tmp_path: Path) -> None:
    """Both run to their end on little data."""
    many_objects(tmp_path / "objects", 2_000)
    long_history(tmp_path / "history", 50)


def many_objects(repo: Path, count: int) -> None:
    """``count`` files of 1 to 8 KiB, 1,000 in a directory; then half of them replaced, and that given up."""
    cache = repo / ".git/vstore/cache"
    begin(repo)
    source = random.Random(0)
    for number in range(count):
        write(repo, number, source)
    run(repo, *VSTORE, "add", "--quiet", "data")
    run(repo, "git", "commit", "--quiet", "-m", "data")
    floor_s = run(repo, "find", "data", "-type", "f", "-newermt", "2000-01-01")
    report("nothing to remove", run(repo, *VSTORE, "gc"), "`find` with stat", floor_s)
    for number in range(0, count, 2):
        write(repo, number, source)
    run(repo, *VSTORE, "add", "--quiet", "data")
    run(repo, "git", "reset", "--quiet", "--hard")
    for above, _, names in os.walk(cache):
        for name in names:
            os.utime(os.path.join(above, name), (0, 0))
    floor_s = run(repo, "cp", "-r", cache, repo / "copy")
    report("dry run, a third garbage", run(repo, *VSTORE, "gc", "--dry-run"), "`cp -r` of the cache", floor_s)
    report("a third garbage", run(repo, *VSTORE, "gc"), "`cp -r` of the cache", floor_s)


def long_history(repo: Path, commits: int) -> None:
    """Commits that each change one of 20 pointers."""
    begin(repo)
    run(repo, "git", "commit", "--quiet", "-m", "begin")
    stream = []
    for number in range(commits):
        pointer = f'version = 1\nkind = "file"\ndigest = "xxh128:{number:032x}"\nsize = 1\nexecutable = false\n'
        parent = "" if number else "from refs/heads/main^0\n"
        head = f"commit refs/heads/main\ncommitter Ada <ada@example.org> {1_600_000_000 + number} +0000\ndata 0\n"
        name = f"deep/er/{number % 20}.vstore"
        stream.append(f"{head}{parent}M 100644 inline {name}\ndata {len(pointer)}\n{pointer}\n")
    subprocess.run(["git", "fast-import", "--quiet"], cwd=repo, input="".join(stream).encode(), check=True)
    run(repo, "git", "reset", "--quiet", "--hard")
    floor_s = run(repo, "git", "rev-list", "--objects", "--all")
    report(f"{commits:,} commits", run(repo, *VSTORE, "gc"), "`git rev-list --objects`", floor_s)


def begin(repo: Path) -> None:
    """Make a repository."""
    repo.mkdir(parents=True)
    run(repo, "git", "init", "--quiet", "--initial-branch=main")
    run(repo, "git", "config", "user.name", "Ada")
    run(repo, "git", "config", "user.email", "ada@example.org")
    run(repo, *VSTORE, "init", "--quiet")


def write(repo: Path, number: int, source: random.Random) -> None:
    """Write a file of random bytes."""
    path = repo / f"data/{number // 1000}/{number % 1000}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(source.randbytes(source.randint(1024, 8192)))


def run(cwd: Path, *command: str | Path) -> float:
    """Run a command and return the seconds that it took."""
    started_s = time.perf_counter()
    subprocess.run(command, cwd=cwd, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started_s


def report(step: str, took_s: float, floor: str, floor_s: float) -> None:
    """Print a row."""
    print(f"| {step} | {took_s:.2f} | {floor} | {floor_s:.2f} |", flush=True)


if __name__ == "__main__":
    main()
