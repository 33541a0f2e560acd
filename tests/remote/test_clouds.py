"""Pushing to Google's and Microsoft's stores and pulling from them: few requests, bad lines, and no permission."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.project import Project
from tests.remote.line import DEFAULTS, FAULTS, add_files, check_that_all_arrives, clone, differing, use
from tests.remote.world import noise
from tests.servers.azurite import AzureServer
from tests.servers.gcs import READER, WRITER, GcsServer
from tests.servers.http_proxy import HttpProxy, Rule
from tests.servers.place import Place


class Store(NamedTuple):
    """A server, and the method by which it is asked to write."""

    server: GcsServer | AzureServer
    writes_by: str


@pytest.fixture(params=["gcs", "azurite"])
def store(request: pytest.FixtureRequest) -> Store:
    """Google's and Microsoft's."""
    driver, extra, method = {"gcs": ("gcsfs", "gs", "POST"), "azurite": ("adlfs", "azure", "PUT")}[request.param]
    pytest.importorskip(driver, reason=f"{driver} is not installed: it was not tested (pip install 'vstore[{extra}]')")
    return Store(request.getfixturevalue(request.param), method)


@pytest.fixture
def proxy(store: Store, http_proxy: Callable[[int], HttpProxy]) -> HttpProxy:
    """What counts requests, and spoils them."""
    return http_proxy(store.server.port)


@pytest.fixture
def place(store: Store, proxy: HttpProxy) -> Place:
    """An empty place behind the proxy."""
    return store.server.new_place(port=proxy.port)


def test_requests(project: Project, store: Store, place: Place, proxy: HttpProxy) -> None:
    """Pushes and pulls of many files make as many requests as docs/formats/remote.md says."""
    files = {f"data/{n % 20}/{n}": b"%d" % n * 300 for n in range(2000)}
    use(project, place)
    add_files(project, files)

    def count(command: Callable[[], object]) -> int:
        proxy.requests.clear()
        command()
        return proxy.count()

    assert count(lambda: project.ok("push")) <= 1 + 12
    assert proxy.count(store.writes_by) <= 6
    assert count(lambda: project.ok("push")) == 2
    cloned = clone(project, place)
    assert count(lambda: cloned.ok("pull")) <= 7
    assert not differing(project, cloned, files)
    assert count(lambda: cloned.ok("pull")) <= 2
    cloned.write("data/1/1", b"changed")
    cloned.ok("add", "-u")
    cloned.commit()
    assert count(lambda: cloned.ok("push")) <= 1 + 11


class TestFaults:
    """A proxy that does what networks and servers do."""

    @pytest.fixture(autouse=True)
    def no_waiting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Try again soon."""
        monkeypatch.setitem(DEFAULTS, "pause_s", 0.01)
        monkeypatch.setitem(DEFAULTS, "first_attempts", 8)

    @pytest.mark.parametrize("name", FAULTS)
    def test_all_arrives(self, name: str, project: Project, store: Store, place: Place, proxy: HttpProxy) -> None:
        """Whatever the line does, push and pull complete, and every byte is right."""
        check_that_all_arrives(name, project, place, proxy, store.writes_by)

    @pytest.mark.parametrize("verb", ["push", "pull"])
    @pytest.mark.parametrize(
        "rule",
        [
            Rule("reset"),
            Rule("answer", status=503),
            Rule("truncate", method="GET"),
            Rule("corrupt", method="GET", path="commits(/|%2F)"),
            Rule("stall"),
        ],
        ids=lambda rule: rule.do,
    )
    def test_what_never_works_is_one_line(
        self, verb: str, rule: Rule, project: Project, place: Place, proxy: HttpProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where trying again does not help, one line says so, in bounded time, and nothing is left half done."""
        monkeypatch.setitem(DEFAULTS, "attempts", 2)
        monkeypatch.setitem(DEFAULTS, "first_attempts", 2)
        use(project, place)
        add_files(project, {"data/a": b"a", "data/b": noise(400_000)})
        project.ok("config", "set", "--local", "transfer.timeout", "0.3")
        who = project
        if verb == "pull":
            project.ok("push")
            who = clone(project, place)
            who.ok("config", "set", "--local", "transfer.timeout", "0.3")
        proxy.rules = [dataclasses.replace(rule)]
        outcome = who.run(verb)
        assert "Traceback" not in outcome.stderr
        if verb == "pull" or rule.do != "corrupt":
            assert outcome.exit_code in (3, 12, 14)
            assert outcome.stderr.count("Error:") == 1
        proxy.rules = []
        who.ok(verb)
        project.ok("push", "--check")


def push_to(project: Project, url: str, options: dict[str, str], proxy: HttpProxy) -> str:
    """Push to a place that refuses, and return the line that says why."""
    use(project, Place(url, options, lambda name, data: None))
    add_files(project, {"data/a": b"a"})
    outcome = project.run("push")
    assert outcome.exit_code == 14
    (line,) = [line for line in outcome.stderr.splitlines() if line.startswith("Error:")]
    assert "Traceback" not in outcome.stderr and proxy.count() <= 3
    for name, value in options.items():
        if name in ("account_key", "connection_string", "sas_token", "token"):
            assert value == "anon" or value not in outcome.stderr
    return line


class TestRefusals:
    """What will be refused again is not asked again, and one line says what it is."""

    def test_missing_place(self, project: Project, place: Place, proxy: HttpProxy) -> None:
        """A bucket or container that nobody made."""
        scheme = place.url.partition("://")[0]
        line = push_to(project, f"{scheme}://no-such-place-here", dict(place.options), proxy)
        assert "does not exist" in line

    @pytest.mark.parametrize("token", ["anon", "nobodys-token", READER])
    def test_google_tokens(
        self, token: str, project: Project, gcs: GcsServer, http_proxy: Callable[[int], HttpProxy]
    ) -> None:
        """No credentials, wrong ones, and ones that may only read: the first write is refused, and reads work."""
        proxy = http_proxy(gcs.port)
        place = gcs.new_place(port=proxy.port, is_private=True)
        line = push_to(project, place.url, {**place.options, "token": token}, proxy)
        assert ("forbidden" if token == READER else "authError") in line
        project.ok("remote", "set", "--local", "store", "token", WRITER)
        project.ok("push")
        project.ok("remote", "set", "--local", "store", "token", READER)
        project.drop_cache()
        project.ok("pull")

    def test_wrong_key_for_azure(
        self, project: Project, azurite: AzureServer, http_proxy: Callable[[int], HttpProxy]
    ) -> None:
        """A key of another account."""
        proxy = http_proxy(azurite.port)
        place = azurite.new_place()
        endpoint_url = f"http://127.0.0.1:{proxy.port}/{azurite.account}"
        line = push_to(project, place.url, {"endpoint_url": endpoint_url, "account_key": "d3Jvbmc="}, proxy)
        assert "Authorization" in line or "Authentication" in line
        project.ok("remote", "set", "--local", "store", "account_key", azurite.account_key)
        project.ok("push")
