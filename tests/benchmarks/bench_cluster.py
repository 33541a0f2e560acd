"""How much faster two workers bring the files of a bucket to a remote than one, where the source is the limit.

    python tests/benchmarks/bench_cluster.py [--files 400] [--latency 1]

The source is an S3 server that lets each answer wait, the remote a directory.  Every run is one whole process, with
four requests at once for each worker; the cluster of one or two workers of one thread is there before.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(PROJECT))

from tests.engine.cluster import running_cluster  # noqa: E402 - also where it is run as a script
from tests.servers.http_proxy import Rule, running_http_proxy  # noqa: E402
from tests.servers.s3 import running_moto  # noqa: E402

_FILE_BYTES = 100_000
_BUCKET = "lake"


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--latency", type=float, default=1.0)
    options = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    work = Path(tempfile.mkdtemp(prefix="vstore-bench-"))
    try:
        times = measure(work, options.files, options.latency)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print("| workers | seconds |\n|---|---|")
    for workers, seconds in times.items():
        print(f"| {workers} | {seconds:.1f} |")
    print(f"\ntwo workers are {times[1] / times[2]:.2f} times as fast as one")


def measure(work: Path, files: int, latency_s: float) -> dict[int, float]:
    """Return the seconds that an import took, by the number of workers."""
    times = {}
    with running_moto() as server:
        client, source = server.client(), random.Random(0)
        client.create_bucket(Bucket=_BUCKET)
        for number in range(files):
            client.put_object(Bucket=_BUCKET, Key=f"data/{number:06}.bin", Body=source.randbytes(_FILE_BYTES))
        with running_http_proxy(server.port) as proxy:
            proxy.rules = [Rule("delay", method="GET", path=r"/data/[0-9]+\.bin", delay_s=latency_s)]
            for workers in (1, 2):
                with running_cluster(work / f"cluster{workers}", workers) as cluster:
                    repo = work / f"repo{workers}"
                    make_repository(repo, server.through(proxy.port))
                    # Whoever is first waits for modules to be imported.
                    vstore(repo, "import-url", "remote://lake/data/000000.bin", "--to-remote", *cluster.options)
                    began_s = time.monotonic()
                    vstore(repo, "import-url", "remote://lake/data", "--to-remote", "-j", "4", *cluster.options)
                    times[workers] = time.monotonic() - began_s
    return times


def make_repository(repo: Path, endpoint_url: str) -> None:
    """Make a repository that knows the bucket, and a directory beside it as its remote."""
    repo.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", str(repo)], check=True)
    vstore(repo, "init")
    vstore(repo, "remote", "add", "-d", "store", f"../store-{repo.name}")
    vstore(repo, "remote", "add", "lake", f"s3://{_BUCKET}")
    vstore(repo, "remote", "set", "lake", "endpoint_url", endpoint_url)


def vstore(repo: Path, *args: str) -> None:
    """Run vstore."""
    environ = {**os.environ, "PYTHONPATH": str(PROJECT), "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
    command = [sys.executable, "-m", "vstore", "--quiet", *args]
    subprocess.run(command, cwd=repo, env=environ, check=True, stdout=subprocess.DEVNULL)


def test_runs(tmp_path: Path) -> None:
    """It runs to its end on little data."""
    assert measure(tmp_path, 20, 0.0).keys() == {1, 2}


if __name__ == "__main__":
    main()
