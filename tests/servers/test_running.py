"""Servers are started once, shared, and never left behind."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.command import PROJECT
from tests.servers.running import (
    HOST,
    ServerFailedError,
    ServerMissingError,
    Starting,
    free_ports,
    get_programs,
    running,
)

_USER = """
import sys
from pathlib import Path
from tests.servers.running import running
from tests.servers.test_running import Plain, start_plain
with running(start_plain, Plain, Path(sys.argv[1])) as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""

_SERVER = "import os, runpy; os.setsid(); runpy.run_module('http.server', run_name='__main__')"


@dataclass(frozen=True, slots=True)
class Plain:
    """A server of which nothing is known but where it listens."""

    port: int


def start_plain(starting: Starting) -> Plain:
    """Start a server that makes a session of its own, as Swift does, and beside it a process that would live on."""
    [port] = free_ports(1)
    starting.start("child", "sh", "-c", "sleep 1000 & wait")
    server = starting.start("plain", sys.executable, "-c", _SERVER, "-b", HOST, str(port))
    server.wait_for_port(port)
    return Plain(port)


def is_open(port: int) -> bool:
    """Tell whether somebody listens."""
    with socket.socket() as connection:
        return connection.connect_ex((HOST, port)) == 0


def wait_until_closed(port: int) -> None:
    """Return when nobody listens any more, which must be soon."""
    end_s = time.monotonic() + 20
    while is_open(port):
        assert time.monotonic() < end_s, "the server is still there"
        time.sleep(0.05)


def test_one_server_for_all(tmp_path: Path) -> None:
    """Who asks for a server that runs gets that one; it ends with the last who uses it, and then a new one starts."""
    with running(start_plain, Plain, tmp_path) as one:
        with running(start_plain, Plain, tmp_path) as same:
            assert same == one
        time.sleep(0.3)
        assert is_open(one.port)
    wait_until_closed(one.port)
    with running(start_plain, Plain, tmp_path) as another:
        assert is_open(another.port)
    wait_until_closed(another.port)


@pytest.mark.parametrize("kill", [signal.SIGINT, signal.SIGKILL])
def test_killed_tests_leave_no_server(kill: signal.Signals, tmp_path: Path) -> None:
    """A server that another process uses, too, outlives the one that started it, and goes with the last."""
    command = [sys.executable, "-c", _USER, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=PROJECT, text=True, **pipes) as process:  # type: ignore[call-overload]
        port = int(process.stdout.readline())
        with running(start_plain, Plain, tmp_path) as same:
            assert same.port == port
            process.send_signal(kill)
            process.wait()
            time.sleep(0.3)
            assert is_open(port)
        wait_until_closed(port)


def test_broken_server_shows_its_log(tmp_path: Path) -> None:
    """A server that does not come up is an error that tells what it said."""

    def start(starting: Starting) -> Plain:
        starting.start("broken", sys.executable, "-c", "print('no room here')").wait_for_port(1)
        raise AssertionError

    told = r"broken ended at once\n--- broken.log\nno room here"
    with pytest.raises(ServerFailedError, match=told), running(start, Plain, tmp_path):
        pass


def test_missing_program_is_named() -> None:
    """Where a program is not installed, the reason tells what is lost and how to get it."""
    with pytest.raises(ServerMissingError) as caught:
        get_programs("Gopher", "sh", "no-such-gopher", lost="gopher://", how="apt-get install gopher")
    assert str(caught.value) == "Gopher is not installed: gopher:// was not tested (apt-get install gopher)"
