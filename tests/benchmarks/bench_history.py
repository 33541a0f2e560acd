"""Looking: diff and status of many files and of many pointers, log of many commits, diff of huge trees.

    python tests/benchmarks/bench_history.py [--files 100000] [--commits 10000] [--pointers 10000] [--entries 1000000]
                                             [--work DIR]

Every step is one whole process, beside a floor that does comparable work (find, git log, cat).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.benchmarks.bench_story import VSTORE, make_files, make_repository, measure, report, shell, vstore
from vstore.api import open_repo
from vstore.cache.writer import open_writer
from vstore.objects.digest import hash_bytes
from vstore.objects.pointer import Pointer, pointer_to_bytes
from vstore.objects.tree import TREE_HEADER
from vstore.ops.resolve import list_artifacts


def main() -> None:
    """Run everything and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--commits", type=int, default=10_000)
    parser.add_argument("--pointers", type=int, default=10_000)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--work", type=Path, default=None)
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="vstore-bench-", dir=options.work))
    try:
        print("| step | vstore s | CPU s | MiB | floor | floor s | ratio |\n|---|---|---|---|---|---|---|")
        many_files(work / "files", options.files)
        many_commits(work / "commits", options.commits)
        many_pointers(work / "pointers", options.pointers)
        huge_trees(work / "trees", options.entries)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def test_looks_run(tmp_path: Path) -> None:
    """Everything runs to its end on little data."""
    many_files(tmp_path / "files", 2_000)
    many_commits(tmp_path / "commits", 200)
    many_pointers(tmp_path / "pointers", 200)
    huge_trees(tmp_path / "trees", 20_000)


def many_files(work: Path, count: int) -> None:
    """``count`` files of 1 to 8 KiB, of which nothing and then one in a hundred changed."""
    repo = work / "repo"
    make_repository(repo, work / "remote")
    make_files(repo / "data", range(count), count, seed=1)
    vstore(repo, "add", "data")
    shell("git commit -qm v1", repo)
    walk = measure(r"find data -type f -printf '%s %T@ %i\n' > ../list", repo)
    report(f"status of {count:,} files", vstore(repo, "status"), "find + stat", walk)
    report("diff, nothing changed", vstore(repo, "diff"), "find + stat", walk)
    make_files(repo / "data", range(0, count, 100), count, seed=7)
    report("status, 1 % changed", vstore(repo, "status"), "find + stat", walk)
    report("diff, 1 % changed", vstore(repo, "diff"), "find + stat", walk)
    vstore(repo, "add", "data")
    shell("git commit -qm v2", repo)
    report("diff HEAD~1 HEAD", vstore(repo, "diff", "HEAD~1", "HEAD"), "find + stat", walk)


def many_commits(work: Path, count: int) -> None:
    """``count`` commits, each of which changes one of a hundred artifacts, and every tenth also another one."""
    repo = work / "repo"
    make_repository(repo, work / "remote")
    importing = subprocess.Popen(["git", "fast-import", "--quiet"], cwd=repo, stdin=subprocess.PIPE)
    assert importing.stdin is not None
    for line in _iter_commits(count):
        importing.stdin.write(line)
    importing.stdin.close()
    assert importing.wait() == 0
    shell("git reset -q --hard", repo)
    floor = measure("git log --raw -- '*.vstore' > ../list", repo)
    report(f"log of {count:,} commits", vstore(repo, "log"), "git log --raw", floor)
    report("log of one artifact", vstore(repo, "log", "sets/data.bin"), "git log --raw", floor)
    report("log -n 10", vstore(repo, "log", "-n", "10"), "git log --raw", floor)
    report("log --json", vstore(repo, "log", "--json"), "git log --raw", floor)


def _iter_commits(count: int) -> Iterator[bytes]:
    """Yield what git fast-import reads."""
    yield b"reset refs/heads/main\nfrom refs/heads/main^0\n\n"
    for number in range(count):
        subject = b"version %d" % number
        yield b"commit refs/heads/main\ncommitter Ada <ada@example.org> %d +0000\n" % (1_700_000_000 + number)
        yield b"data %d\n%b\n" % (len(subject), subject)
        for name in [b"sets/%02d.bin" % (number % 100)] + [b"sets/data.bin"] * (number % 10 == 0):
            pointer = pointer_to_bytes(Pointer("file", hash_bytes(b"%b %d" % (name, number), "xxh128"), number))
            yield b"M 100644 inline %b.vstore\ndata %d\n%b\n" % (name, len(pointer), pointer)


def many_pointers(work: Path, count: int) -> None:
    """``count`` artifacts of one small file each, 100 in a directory."""
    repo = work / "repo"
    make_repository(repo, work / "remote")
    for number in range(count):
        path = repo / f"d{number // 100:04}" / f"f{number:06}.bin"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"%d\n" % number)
    shell("ls -d d*/*.bin > ../list", repo)
    subprocess.run(["xargs", "-a", "../list", *VSTORE, "add", "-q"], cwd=repo, check=True)
    shell("git commit -qm v1", repo)
    read = measure("cat d*/*.vstore > ../list", repo)
    report(f"status of {count:,} artifacts", vstore(repo, "status"), "cat", read)
    report("diff of them", vstore(repo, "diff"), "cat", read)
    with open_repo(repo) as opened:
        for rev in (None, "HEAD"):
            started = time.perf_counter()
            assert len(list_artifacts(opened, rev=rev)) == count
            print(f"\nLoading {count:,} pointers {'from disk' if rev is None else 'from a commit'} took ", end="")
            print(f"{time.perf_counter() - started:.2f} s.\n", flush=True)


def huge_trees(work: Path, count: int) -> None:
    """Two versions of a tree of ``count`` entries: with one change, one in a hundred, all changed, and all moved."""
    repo = work / "repo"
    make_repository(repo, work / "remote")
    for name, folder, every in (
        ("v1", "", 0),
        ("one", "", count),
        ("some", "", 100),
        ("all", "", 1),
        ("moved", "x/", 0),
    ):
        lines = [
            f"f\t{number}\txxh128:{number * 7919 + (every and number % every == 0):032x}"
            f"\t{folder}d{number // 1000:04}/f{number:07}.bin\n"
            for number in range(count)
        ]
        with open_repo(repo) as opened, open_writer(opened.cache) as writer:
            digest = writer.add_bytes("".join([TREE_HEADER, *lines]).encode(), "xxh128")
        (repo / "data.vstore").write_bytes(pointer_to_bytes(Pointer("tree", digest, 0, count)))
        shell(f"git add data.vstore && git commit -qm {name} && git tag {name}", repo)
    read = measure("find .git/vstore -size +1k -type f | xargs cat > list", repo)
    for name in ("one", "some", "all", "moved"):
        report(f"diff of {count:,} entries, {name}", vstore(repo, "diff", "v1", name), "cat", read)
        report(f"diff --stat, {name}", vstore(repo, "diff", "--stat", "v1", name), "cat", read)
        report(f"diff --json, {name}", vstore(repo, "diff", "--json", "v1", name), "cat", read)


if __name__ == "__main__":
    main()
