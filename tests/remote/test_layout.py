"""Keys: what is made of them and what is taken for one."""

from __future__ import annotations

import pytest

from vstore.errors import InvalidError
from vstore.remote import layout
from vstore.remote.layout import CommitName, check_project, new_session
from vstore.remote.transport import is_key

_SESSION = "0123456789abcdef" * 2


def test_every_key_is_a_key_of_a_transport() -> None:
    """All keys that the protocol makes are accepted by transports."""
    session = new_session()
    keys = [
        layout.FORMAT,
        layout.pack_key(session, 0),
        layout.index_key(session, 10**6),
        layout.intent_key(session),
        layout.commit_key("a-project", session),
        layout.tombstone_key(layout.pack_key(session, 3)),
        layout.PROBES + session,
    ]
    assert all(map(is_key, keys))
    assert len(set(keys)) == len(keys)


def test_keys_say_what_they_were_made_of() -> None:
    """Sessions, numbers, projects and doomed packs are read back from keys."""
    pack = layout.pack_key(_SESSION, 17)
    assert (layout.find_session(pack), layout.number_of(pack)) == (_SESSION, 17)
    assert layout.find_session(layout.index_key(_SESSION, 1)) == _SESSION
    assert layout.find_doomed_pack(layout.tombstone_key(pack)) == pack
    assert layout.find_commit_name(layout.commit_key("p", _SESSION)) == CommitName("p", _SESSION)
    assert layout.find_commit_name(f"trash/p/{_SESSION}.json") == CommitName("p", _SESSION)


@pytest.mark.parametrize(
    "key",
    [
        "packs/../../etc/passwd",
        f"packs/../{_SESSION}-0.vpack",
        f"packs/{_SESSION}-00.vpack",
        f"packs/{_SESSION}-0.vpack\n",
        f"packs/{_SESSION}-0.vpack/x",
        f"packs/{_SESSION.upper()}-0.vpack",
        f"packs/{_SESSION}-9999999999.vpack",
        f"packs/{_SESSION}.vpack",
        f"/packs/{_SESSION}-0.vpack",
        f"commits/../{_SESSION}.json",
        f"commits/p/{_SESSION}.json\n",
        f"doomed/{_SESSION}-0.vpack",
        "",
    ],
)
def test_strange_keys_are_nothing(key: str) -> None:
    """A key that is not exactly as the protocol makes it is not taken for one."""
    assert not layout.is_pack(key)
    assert not layout.is_index(key)
    assert layout.find_session(key) is None
    assert layout.find_commit_name(key) is None
    assert layout.find_doomed_pack(key) is None


def test_sessions_are_never_the_same() -> None:
    """Two sessions have two names."""
    assert new_session() != new_session()


@pytest.mark.parametrize("project", ["", "../x", "A", "a/b", "-a", "x" * 65, "a\n"])
def test_strange_projects_are_refused(project: str) -> None:
    """A project id that could leave its folder is refused."""
    with pytest.raises(InvalidError):
        check_project(project)
