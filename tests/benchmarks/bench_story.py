"""The main job against what the machine can do at best: add, status, push, pull, change, go back.

    python tests/benchmarks/bench_story.py [--files 100000] [--big-mib 1024] [--work DIR]

Every step is one whole process.  Times are given beside a floor (cp, find, tar) that did comparable work on the same
data in the same run, because absolute times say nothing on a shared machine.  Creating many files is slow for minutes
after many were deleted (ext4): give it a work directory on a file system that is freshly made.
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
from typing import NamedTuple

VSTORE = [sys.executable, "-m", "vstore"]


class Sample(NamedTuple):
    """One step: seconds on the clock and of processors, peak memory in MiB."""

    wall_s: float
    cpu_s: float
    memory_mib: float


def main() -> None:
    """Run the stories and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--big-mib", type=int, default=1024)
    parser.add_argument("--work", type=Path, default=None)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="vstore-bench-", dir=options.work))
    try:
        print("| step | vstore s | CPU s | MiB | floor | floor s | ratio |\n|---|---|---|---|---|---|---|")
        if options.files:
            small_files(work / "small", options.files)
        if options.big_mib:
            big_file(work / "big", options.big_mib)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def test_stories_run(tmp_path: Path) -> None:
    """Both stories run to their end on little data."""
    small_files(tmp_path / "small", 2_000)
    big_file(tmp_path / "big", 16)


def small_files(work: Path, count: int) -> None:
    """``count`` files of 1 to 8 KiB, 1,000 in a directory."""
    repo, clone, source = work / "repo", work / "clone", work / "source"
    make_repository(repo, work / "remote")
    make_files(source, range(count), count, seed=1)
    shell(f"cp -r {source} {repo}/data", work)
    copy = measure("cp -r source copy", work)
    walk = measure(r"find source -type f -printf '%s %T@ %i\n' > list", work)
    tar = measure("tar -C source -cf x.tar .", work)
    through = measure("mkdir out && tar -C source -c . | tar -C out -x", work)
    report(f"add {count:,} files", vstore(repo, "add", "data"), "cp -r", copy)
    shell("git commit -qm v1 && git tag v1", repo)
    report("add again", vstore(repo, "add", "data"), "find + stat", walk)
    report("status", vstore(repo, "status"), "find + stat", walk)
    report("push to a directory", vstore(repo, "push"), "tar to a file", tar)
    report("push again", vstore(repo, "push"), "find + stat", walk)
    shell(f"git clone -q {repo} {clone}", work)
    report("pull into a fresh clone", vstore(clone, "pull"), "tar | tar", through)
    report("pull again", vstore(clone, "pull"), "find + stat", walk)
    make_files(repo / "data", range(0, count, 100), count, seed=7)
    report("add, 1 % changed", vstore(repo, "add", "data"), "find + stat", walk)
    shell("git commit -qam v2", repo)
    report("push, 1 % changed", vstore(repo, "push"), "find + stat", walk)
    shell("git checkout -q v1", repo)
    report("checkout of the version before", vstore(repo, "checkout"), "find + stat", walk)
    shell("diff -r repo/data source", work)


def big_file(work: Path, size_mib: int) -> None:
    """One incompressible file; then 1 KiB inserted in its middle."""
    repo = work / "repo"
    make_repository(repo, work / "remote")
    data = repo / "data.bin"
    noise = random.Random(2)
    with open(data, "wb") as file:
        for _ in range(size_mib):
            file.write(noise.randbytes(1 << 20))
    copy = measure(f"cp {data} copy && rm copy", work)
    report(f"add one file of {size_mib:,} MiB", vstore(repo, "add", "data.bin"), "cp", copy)
    report("push it", vstore(repo, "push"), "cp", copy)
    before = stored_bytes(work / "remote")
    half = data.stat().st_size // 2
    with open(data, "rb") as old, open(work / "edited", "wb") as new:
        new.write(old.read(half))
        new.write(noise.randbytes(1024))
        shutil.copyfileobj(old, new, 1 << 22)
    os.replace(work / "edited", data)
    report("add, 1 KiB inserted", vstore(repo, "add", "data.bin"), "cp", copy)
    report("push, 1 KiB inserted", vstore(repo, "push"), "cp", copy)
    print(f"\nThe push of 1 KiB inserted into {size_mib:,} MiB added {stored_bytes(work / 'remote') - before:,} bytes.")


def make_repository(repo: Path, remote: Path) -> None:
    """Make a git and vstore repository with a default remote."""
    repo.mkdir(parents=True)
    remote.mkdir()
    shell("git init -q -b main && git config user.name b && git config user.email b@example.org", repo)
    vstore(repo, "init")
    vstore(repo, "remote", "add", "-d", "bench", str(remote))
    shell("git commit -qam init", repo)


def make_files(directory: Path, chosen: range, count: int, *, seed: int) -> None:
    """Write some of ``count`` files whose content depends on their number and the seed."""
    for number in chosen:
        noise = random.Random(seed * count + number)
        path = directory / f"d{number // 1000:04}" / f"f{number:07}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(noise.randbytes(noise.randint(1024, 8192)))


def stored_bytes(directory: Path) -> int:
    """Return the sizes of all files below a directory, added up."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def shell(script: str, directory: Path) -> None:
    """Run what is not measured."""
    subprocess.run(script, shell=True, cwd=directory, check=True)


def vstore(directory: Path, *arguments: str) -> Sample:
    """Measure one vstore command."""
    return _measure([*VSTORE, *arguments], directory)


def measure(script: str, directory: Path) -> Sample:
    """Measure a shell script."""
    return _measure(["sh", "-c", script], directory)


def _measure(command: list[str], directory: Path) -> Sample:
    os.sync()
    # An installed vstore is compiled: to compile it again at each start would take as long as what is measured.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} failed with {process.returncode}")
    return Sample(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def report(step: str, sample: Sample, floor_name: str, floor: Sample) -> None:
    """Print one row."""
    print(
        f"| {step} | {sample.wall_s:.2f} | {sample.cpu_s:.2f} | {sample.memory_mib:.0f} "
        f"| {floor_name} | {floor.wall_s:.2f} | {sample.wall_s / floor.wall_s:.2f} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
