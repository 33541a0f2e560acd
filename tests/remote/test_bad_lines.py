"""Pushing to S3 and pulling from it over slow and bad lines: all arrives, or one clear line says why."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

from tests.command import start_vstore
from tests.project import Project
from tests.remote.line import DEFAULTS, FAULTS, MIB, add_files, check_that_all_arrives, clone, differing, use
from tests.remote.world import noise
from tests.servers.http_proxy import HttpProxy, Rule
from tests.servers.s3 import S3Server
from tests.servers.tcp_proxy import TcpProxy
from vstore.remote import packer, spans

pytest.importorskip("s3fs", reason="s3fs is not installed: S3 was not tested (pip install 'vstore[s3]')")


class TestDistance:
    """A server that is far away costs few round trips, and the line is full."""

    @pytest.fixture
    def proxy(self, moto: S3Server, http_proxy: Callable[[int], HttpProxy]) -> HttpProxy:
        """What counts requests."""
        return http_proxy(moto.port)

    @pytest.fixture
    def line(self, proxy: HttpProxy, tcp_proxy: Callable[[int], TcpProxy]) -> TcpProxy:
        """A line of 50 ms there and back."""
        line = tcp_proxy(proxy.port)
        line.rtt_ms = 50
        return line

    def test_requests(self, project: Project, moto: S3Server, proxy: HttpProxy, line: TcpProxy) -> None:
        """Pushes and pulls of many files make as many requests as docs/formats/remote.md says."""
        place = moto.new_place(port=line.port)
        files = {f"data/{n % 20}/{n}": b"%d" % n * 300 for n in range(2000)}
        use(project, place)
        add_files(project, files)

        def count(command: Callable[[], object]) -> int:
            proxy.requests.clear()
            command()
            return proxy.count()

        assert count(lambda: project.ok("push")) == 1 + 12
        assert proxy.count("PUT", "packs/") == 1
        assert count(lambda: project.ok("push")) == 2
        cloned = clone(project, place)
        assert count(lambda: cloned.ok("pull")) <= 7
        assert not differing(project, cloned, files)
        assert count(lambda: cloned.ok("pull")) <= 2
        cloned.write("data/1/1", b"changed")
        cloned.ok("add", "-u")
        cloned.commit()
        assert count(lambda: cloned.ok("push")) <= 1 + 11

    def test_connections_share_the_work(
        self, project: Project, moto: S3Server, line: TcpProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where each connection is slow, several together are faster: in both directions."""
        monkeypatch.setattr(packer, "PACK_BYTES", MIB)
        monkeypatch.setattr(spans, "SPAN_BYTES", MIB)
        place = moto.new_place(port=line.port)
        use(project, place)
        add_files(project, {f"data/{number}": noise(MIB, number) for number in range(12)})
        alone_s = 12.0
        line.bytes_per_s = 12 * MIB / alone_s
        began_s = time.monotonic()
        project.ok("push", "-j", "8")
        pushed_s = time.monotonic()
        cloned = clone(project, place)
        cloned.ok("pull", "-j", "8")
        assert pushed_s - began_s < 0.75 * alone_s
        assert time.monotonic() - pushed_s < 0.75 * alone_s


class TestFaults:
    """A proxy that does what networks and servers do."""

    @pytest.fixture(autouse=True)
    def no_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Try again soon."""
        monkeypatch.setitem(DEFAULTS, "pause_s", 0.01)
        monkeypatch.setitem(DEFAULTS, "first_attempts", 8)

    @pytest.mark.parametrize("name", FAULTS)
    def test_all_arrives(
        self, name: str, project: Project, ceph: S3Server, http_proxy: Callable[[int], HttpProxy]
    ) -> None:
        """Whatever the line does, push and pull complete, and every byte is right: on a server that verifies."""
        proxy = http_proxy(ceph.port)
        check_that_all_arrives(name, project, ceph.new_place(port=proxy.port), proxy, "PUT")

    @pytest.mark.parametrize("verb", ["push", "pull"])
    @pytest.mark.parametrize(
        "rule",
        [
            Rule("reset", path="packs/"),
            Rule("answer", path="packs/", status=503),
            Rule("truncate", method="GET"),
            Rule("corrupt", method="GET", path="commits/"),
            Rule("stall", path="packs/"),
        ],
        ids=lambda rule: rule.do,
    )
    def test_what_never_works_is_one_line(
        self,
        verb: str,
        rule: Rule,
        project: Project,
        moto: S3Server,
        http_proxy: Callable[[int], HttpProxy],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Where trying again does not help, one line says so, in bounded time, and nothing is left half done."""
        monkeypatch.setitem(DEFAULTS, "attempts", 2)
        proxy = http_proxy(moto.port)
        place = moto.new_place(port=proxy.port)
        use(project, place)
        add_files(project, {"data/a": b"a", "data/b": noise(400_000)})
        project.ok("config", "set", "--local", "transfer.timeout", "0.3")
        who = project
        if verb == "pull":
            project.ok("push")
            who = clone(project, place)
            who.ok("config", "set", "--local", "transfer.timeout", "0.3")
        proxy.rules = [rule]
        outcome = who.run(verb)
        assert "Traceback" not in outcome.stderr
        if verb == "pull" or rule.do not in ("corrupt", "truncate"):
            assert outcome.exit_code in (3, 12, 14)
            assert outcome.stderr.count("Error:") == 1
        proxy.rules = []
        who.ok(verb)
        project.ok("push", "--check")

    def test_refusals_stop_at_once(
        self, project: Project, moto: S3Server, http_proxy: Callable[[int], HttpProxy]
    ) -> None:
        """What will be refused again is not asked again."""
        proxy = http_proxy(moto.port)
        use(project, moto.new_place(port=proxy.port))
        add_files(project, {"data/a": b"a"})
        proxy.rules = [Rule("answer", method="PUT", status=403)]
        outcome = project.run("push")
        assert outcome.exit_code == 14
        assert outcome.stderr.count("Error:") == 1 and "Traceback" not in outcome.stderr
        assert proxy.count("PUT") == 1


_ROUNDS = 25 if hypothesis.settings().max_examples >= 1000 else 3
_KILLED = {f"data/{i % 7}/{i}": noise(50 + 37 * i, i) for i in range(400)} | {
    f"data/big{i}": noise(9 * MIB, 1000 + i) for i in range(7)
}
_SLACK_BYTES = 4 * MIB
"""What a command sends and receives beside contents: trees, tables, index objects, commits."""


class TestKills:
    """Whenever a push or pull is killed, the next one goes on from there."""

    @pytest.fixture
    def proxy(self, moto: S3Server, http_proxy: Callable[[int], HttpProxy]) -> HttpProxy:
        """What counts bytes."""
        return http_proxy(moto.port)

    def test_nothing_is_sent_twice(
        self, project: Project, moto: S3Server, proxy: HttpProxy, tcp_proxy: Callable[[int], TcpProxy]
    ) -> None:
        """The command that follows a killed one completes, and leaves out what had arrived."""
        random_ = random.Random(4)
        line = tcp_proxy(proxy.port)
        line.bytes_per_s = 12 * MIB
        add_files(project, _KILLED)
        total_bytes = sum(map(len, _KILLED.values()))
        killed = 0
        for number in range(_ROUNDS):
            place = moto.new_place(port=line.port)
            name = f"s3-{number}"
            project.ok("remote", "add", "--local", "-d", name, place.url)
            for option, value in place.options.items():
                project.ok("remote", "set", "--local", name, option, value)
            killed += kill_at_random(random_, "push", cwd=project.path)
            wait_for_silence(proxy)
            bucket = place.url.removeprefix("s3://")
            listed = moto.client().list_objects_v2(Bucket=bucket, Prefix="packs/").get("Contents", ())
            arrived_bytes = sum(entry["Size"] for entry in listed)
            proxy.sent_bytes = 0
            project.ok("push")
            assert proxy.sent_bytes <= total_bytes - arrived_bytes + _SLACK_BYTES
            project.ok("push", "--check")

            cloned = project.clone(f"clone-{number}")
            cloned.ok("remote", "add", "--local", "-d", name, place.url)
            for option, value in place.options.items():
                cloned.ok("remote", "set", "--local", name, option, value)
            killed += kill_at_random(random_, "pull", cwd=cloned.path)
            wait_for_silence(proxy)
            held_bytes = large_bytes(cloned.path / ".git/vstore/cache")
            proxy.received_bytes = 0
            cloned.ok("pull")
            small_bytes = sum(len(content) for content in _KILLED.values() if len(content) < MIB)
            assert proxy.received_bytes <= total_bytes - held_bytes + small_bytes + _SLACK_BYTES
            assert not differing(project, cloned, _KILLED)
        assert killed


def kill_at_random(random_: random.Random, *args: str, cwd: Path) -> bool:
    """Start a command and kill it after a while; tell whether that came in time."""
    process = start_vstore(*args, cwd=cwd)
    try:
        process.communicate(timeout=random_.uniform(0.8, 3))
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
    return process.returncode == -signal.SIGKILL


def wait_for_silence(proxy: HttpProxy) -> None:
    """Wait until what a killed command had sent, and asked for, is through."""
    seen = -1
    while seen != (seen := proxy.sent_bytes + proxy.received_bytes):
        time.sleep(0.3)


def large_bytes(cache: Path) -> int:
    """Return how many bytes of large contents a cache holds, whole or in parts."""
    paths = [*cache.glob("objects/**/*"), *cache.glob("partial/**/*")]
    # Of a partial file only what was written takes space.
    return sum(min(path.stat().st_blocks * 512, path.stat().st_size) for path in paths if path.is_file())
