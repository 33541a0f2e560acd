"""Names of remotes."""

from __future__ import annotations

import pytest

from tests.project import Project


def test_add_and_list(project: Project) -> None:
    """A remote that is added is listed, staged in git, and its directory is not made yet."""
    project.ok("remote", "add", "-d", "store", "../store")
    (remote,) = project.ok("remote", "list", "--json").json()["remotes"]
    assert remote == {
        "name": "store",
        "url": str(project.store),
        "default": True,
        "read_only": False,
        "options": {},
    }
    assert b"../store" in project.read(".vstore/config") and not project.store.exists()
    assert project.git("diff", "--name-only") == ""


def test_relative_path_is_seen_from_where_one_stands(project: Project) -> None:
    """A relative directory is kept relative to the repository, wherever it was named."""
    (project.path / "sub").mkdir()
    project.run("remote", "add", "store", "../../store", inside="sub").ok()
    assert project.ok("remote", "list", "--json").json()["remotes"][0]["url"] == str(project.store)


def test_default(project: Project) -> None:
    """The default is the one that was chosen; without a choice, the only one there is."""
    project.ok("remote", "add", "one", "../one")
    assert project.ok("remote", "default").stdout == "one\n"
    project.ok("remote", "add", "two", "../two")
    assert project.run("remote", "default").exit_code == 1
    project.ok("remote", "default", "two")
    assert project.ok("remote", "default").stdout == "two\n"


def test_rename(project: Project) -> None:
    """A new name holds everywhere: in the default, and in pointers that are routed there."""
    project.add_remote()
    project.write("model.bin")
    project.ok("add", "model.bin", "-r", "store")
    project.commit()
    project.ok("remote", "rename", "store", "bucket")
    assert project.ok("remote", "default").stdout == "bucket\n"
    assert b'remote = "bucket"' in project.read("model.bin.vstore")
    project.ok("push")


@pytest.mark.parametrize("change", ["rename", "remove"])
def test_default_of_two_layers(project: Project, change: str) -> None:
    """A remote that is the default in the committed file and in the local one is so in neither afterwards."""
    project.add_remote()
    project.ok("config", "set", "--local", "core.remote", "store")
    project.ok("remote", change, "store", *(["other"] if change == "rename" else []))
    for file in (".vstore/config", ".vstore/config.local"):
        assert (b"remote = other" in project.read(file)) == (change == "rename")
        assert b"remote = store" not in project.read(file)


def test_remove(project: Project) -> None:
    """A remote that is removed is forgotten, with its secrets; what it holds stays."""
    project.add_data()
    project.add_remote()
    project.ok("push")
    project.ok("remote", "add", "bucket", "s3://bucket/data")
    project.ok("remote", "set", "bucket", "secret", "hunter2")
    assert b"hunter2" in project.read(".vstore/config.local")
    project.ok("remote", "remove", "bucket")
    project.ok("remote", "remove", "store")
    assert project.ok("remote", "list").stdout == ""
    assert b"hunter2" not in project.read(".vstore/config.local")
    assert (project.store / "format.json").exists()
    assert project.run("push").exit_code == 1


def test_remove_is_refused_while_pointers_need_it(project: Project) -> None:
    """A remote to which pointers are routed stays."""
    project.add_remote()
    project.write("model.bin")
    project.ok("add", "model.bin", "-r", "store")
    outcome = project.run("remote", "remove", "store")
    assert outcome.exit_code == 11 and "model.bin" in outcome.stderr


def test_options_of_vstore_itself(project: Project) -> None:
    """What vstore itself heeds can be set of any remote, in any spelling that git knows."""
    project.add_remote()
    project.ok("remote", "set", "store", "Read-Only", "true")
    assert project.ok("remote", "list", "--json").json()["remotes"][0]["read_only"]
    project.ok("remote", "set", "store", "url", "../other")


def test_unset(project: Project) -> None:
    """An option that is removed has its default again, wherever it was set; without a URL there is no remote."""
    project.add_remote()
    project.ok("remote", "set", "store", "retention_days", "5")
    project.ok("remote", "set", "store", "listing", "true", "--local")
    assert b"retention-days = 5" in project.read(".vstore/config")
    assert project.ok("remote", "unset", "store", "retention_days").stdout.startswith("store")
    project.ok("remote", "unset", "store", "listing")
    assert b"retention" not in project.read(".vstore/config") and b"listing" not in project.read(".vstore/config.local")
    assert project.git("diff", "--name-only") == ""
    assert project.ok("config", "get", "remote.store.retention_days").stdout == "30\n"


def test_check_tries_everything(project: Project) -> None:
    """check lists, writes, reads and deletes, and leaves nothing behind."""
    project.add_remote()
    project.store.mkdir()
    result = project.ok("remote", "check", "--json").json()
    actions = [step["action"] for step in result["steps"]]
    assert result["ok"] and actions == ["list", "write", "read", "list-new", "delete"]
    assert result["round_trip_s"] > 0 and result["left"] is None
    assert not [path for path in project.store.rglob("*") if path.is_file()]


def test_check_says_what_is_wrong(project: Project) -> None:
    """Where something does not work, check names it and ends with 14."""
    project.add_remote()
    project.store.write_bytes(b"a file")
    outcome = project.run("remote", "check")
    assert outcome.exit_code == 14
    assert "write: could not" in outcome.stdout and "the remote store cannot be written to" in outcome.stderr


def test_password_in_a_url_stays_local(project: Project) -> None:
    """A URL that holds a password is not committed and not printed."""
    outcome = project.ok("remote", "add", "web", "https://ada:hunter2@example.org/data")
    assert "hunter2" not in outcome.stdout
    assert b"hunter2" not in project.read(".vstore/config")
    assert "hunter2" not in project.ok("remote", "list", "--json").stdout


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["add", "store", "../other"], 11, "there is a remote named store already"),
        (["add", "a b", "../other"], 1, "is no name for a remote"),
        (["add", "a.b", "../other"], 1, "is no name for a remote"),
        (["add", "new", ""], 1, "an empty URL names no place"),
        (["add", "new", "."], 1, "is the work tree itself"),
        (["add", "new", ".git/store"], 1, "belongs to git or vstore"),
        (["add", "new", ".vstore/store"], 1, "belongs to git or vstore"),
        (["add", "new", "gopher://example.org/data"], 1, "no driver is known for gopher://example.org/data"),
        (["add", "new", "://example.org/data"], 1, "names no protocol"),
        (["set", "store", "url", ".git"], 1, "belongs to git or vstore"),
        (["set", "store", "endpoint_url", "http://example.org"], 1, "knows no option endpoint_url"),
        (["set", "nowhere", "url", "x"], 1, "there is no remote named 'nowhere'"),
        (["set", "store", "retention_days", "30d"], 1, "must be a whole number of days, as 30, not '30d'"),
        (["unset", "store", "url"], 1, "what has no url is no remote"),
        (["unset", "store", "listing"], 1, "does not set remote.store.listing"),
        (["unset", "nowhere", "listing"], 1, "there is no remote named 'nowhere'"),
        (["rename", "store", "store"], 11, "there is a remote named store already"),
        (["remove", "nowhere"], 1, "there is no remote named 'nowhere'"),
        (["default", "nowhere"], 1, "there is no remote named 'nowhere'"),
        (["check", "nowhere"], 1, "there is no remote named 'nowhere'"),
        (["frobnicate"], 2, "frobnicate"),
    ],
)
def test_mistakes(project: Project, arguments: list[str], exit_code: int, message: str) -> None:
    """Mistakes are told in a line and change nothing."""
    project.add_remote()
    before = project.read(".vstore/config")
    outcome = project.run("remote", *arguments)
    assert outcome.exit_code == exit_code and message in outcome.stderr, outcome.stderr
    assert project.read(".vstore/config") == before
