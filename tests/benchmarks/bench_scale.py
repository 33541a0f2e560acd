"""What a large bucket costs those who push and pull 1,000 files: requests, bytes, memory, seconds.

    python tests/benchmarks/bench_scale.py [--packs 100000] [--work DIR]

The bucket is that of ``tests/remote/synthetic.py``: packs are made up, commits and indexes are real.  Every step is a
process of its own, and its memory is what it took beyond that of a process which has only opened the bucket; a part of
it is files that were mapped.  Seconds are those of the processor, since requests take none here.  "Fresh" is a machine
that never saw the bucket, "warm" one that did the same before.  The floor is reading the index objects of the bucket
once and hashing them.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import xxhash

from tests.remote.synthetic import (
    PAGE,
    PagedLog,
    Shape,
    SyntheticTransport,
    files_of,
    large_root,
    quiet_machine,
    slice_of,
)
from tests.remote.world import Machine, noise
from vstore.remote.collect import plan_collection
from vstore.remote.directory_transport import DirectoryTransport

_PROJECT = Path(__file__).parents[2]
_OLD_FILES = 500
MOST_REQUESTS = 60
"""Of a push or pull of 1,000 files; a collection besides lists all packs."""
MOST_MEMORY_BYTES = 400_000_000
MOST_FLOORS = 20
_METHODS = {
    "list": "LIST",
    "list_beginning": "LIST",
    "find_size": "HEAD",
    "read": "GET",
    "read_range": "GET",
    "write": "PUT",
    "delete": "DELETE",
}


def main() -> None:
    """Make a bucket and print a table, or, as the process of a step, do that."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", type=int, default=100_000)
    parser.add_argument("--packs-of-root", type=int, default=1000)
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--step", choices=list(_STEPS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    shape = Shape(options.packs, options.packs_of_root)
    if options.step:
        run_step(options.work, shape, options.step)
        return
    work = Path(tempfile.mkdtemp(prefix="vstore-bench-", dir=options.work))
    try:
        measure(work, shape)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def test_all_steps_run(tmp_path: Path) -> None:
    """All steps run to their end on a small bucket."""
    measure(tmp_path, Shape(100, 20))


def measure(work: Path, shape: Shape) -> None:
    """Make the bucket, measure each step, fresh and warm, and print a table."""
    SyntheticTransport(DirectoryTransport(work / "made"), shape).fill()
    indexes = sorted((work / "made/index").iterdir())
    for index in indexes:
        index.read_bytes()
    began_s = time.process_time()
    for index in indexes:
        xxhash.xxh3_128_digest(index.read_bytes())
    floor_s = time.process_time() - began_s
    entries = shape.packs * shape.files_in_pack
    index_mb = sum(index.stat().st_size for index in indexes) / 1e6
    print(f"{shape.packs:,} packs, {entries:,} entries, {index_mb:.1f} MB of indexes; floor {floor_s:.2f} s\n")
    print("| step | LIST | HEAD | GET | PUT | MB read | MB memory | CPU seconds | of floor |")
    print("|---|---|---|---|---|---|---|---|---|")
    for step in _STEPS:
        for state in ("fresh", "warm"):
            shutil.rmtree(work / "bucket", ignore_errors=True)
            shutil.copytree(work / "made", work / "bucket", copy_function=os.link)
            command = [sys.executable, __file__, "--step", step, "--work", str(work)]
            command += ["--packs", str(shape.packs), "--packs-of-root", str(shape.packs_of_root)]
            environment = {**os.environ, "PYTHONPATH": str(_PROJECT)}
            told = subprocess.run(command, env=environment, capture_output=True, check=True).stdout
            row = json.loads(told)
            check(step, shape, row, floor_s)
            numbers = "".join(f" {row[name]:,} |" for name in ("LIST", "HEAD", "GET", "PUT"))
            print(
                f"| {step}, {state} |{numbers} {row['read_bytes'] / 1e6:.2f} | {row['memory_bytes'] / 1e6:.0f} "
                f"| {row['seconds']:.2f} | {row['seconds'] / floor_s:.1f} |",
                flush=True,
            )
        shutil.rmtree(work / "machine")


def check(step: str, shape: Shape, row: dict[str, float], floor_s: float) -> None:
    """Fail where a step takes more than docs/design/scale.md says; short times say nothing."""
    pages = shape.packs / PAGE if step == "plan of a collection" else 0
    assert sum(row[method] for method in ("LIST", "HEAD", "GET", "PUT")) <= MOST_REQUESTS + pages
    assert row["memory_bytes"] <= MOST_MEMORY_BYTES
    assert row["seconds"] <= max(1, MOST_FLOORS * floor_s)


def run_step(work: Path, shape: Shape, step: str) -> None:
    """Do a step with the mirror in ``work`` and print what it took."""
    log = PagedLog(SyntheticTransport(DirectoryTransport(work / "bucket"), shape))
    machine = quiet_machine(work / "machine", log)
    prepared = _STEPS[step](machine, shape)
    before = memory_bytes()
    began_s = time.process_time()
    prepared()
    seconds = time.process_time() - began_s
    counts = Counter(_METHODS[request.operation] for request in log.requests)
    row: dict[str, float] = {method: counts[method] for method in ("LIST", "HEAD", "GET", "PUT")}
    row |= {"read_bytes": log.read_bytes, "memory_bytes": memory_bytes() - before, "seconds": seconds}
    print(json.dumps(row))


def memory_bytes() -> int:
    """Return the most memory that this process ever had."""
    try:  # what getrusage says begins, on Linux, with the memory of the process that started this one
        found = re.search(r"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _pull(machine: Machine, shape: Shape) -> Callable[[], None]:
    root = slice_of(shape)

    def act() -> None:
        assert not machine.fetch(root).missing

    return act


def _pull_part(machine: Machine, shape: Shape) -> Callable[[], None]:
    wanted = files_of(shape, 0, 1000)

    def act() -> None:
        report = machine.remote.fetch(wanted, machine.shelf, roots=[large_root(0)])
        assert report.contents == len(wanted)

    return act


def _push_nothing(machine: Machine, shape: Shape) -> Callable[[], None]:
    root = slice_of(shape)

    def act() -> None:
        assert machine.remote.plan_push([root]).is_empty

    return act


def _status(machine: Machine, shape: Shape) -> Callable[[], None]:
    root = slice_of(shape)

    def act() -> None:
        assert not machine.remote.missing_roots([root.digest])

    return act


def _push(machine: Machine, shape: Shape) -> Callable[[], None]:
    new = {f"new/{number}": noise(4096, number) for number in range(1000 - _OLD_FILES)}
    root = machine.add(new)
    old = files_of(shape, 0, _OLD_FILES)
    both = root._replace(contents=[*root.contents, *old])

    def act() -> None:
        assert machine.push(both).records == len(new) + 1

    return act


def _plan_collection(machine: Machine, shape: Shape) -> Callable[[], None]:
    def act() -> None:
        with machine.remote.survey() as survey:
            assert len(survey.packs) == shape.packs
            assert plan_collection(survey, ()).is_empty

    return act


_STEPS: dict[str, Callable[[Machine, Shape], Callable[[], None]]] = {
    "push, nothing new": _push_nothing,
    "status --remote": _status,
    "push of 1,000 files, 500 of them new": _push,
    "pull of a root of 1,000 files": _pull,
    "pull of 1,000 files of a large root": _pull_part,
    "plan of a collection": _plan_collection,
}


if __name__ == "__main__":
    main()
