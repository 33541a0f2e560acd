"""What projects have pushed, for whoever takes one over."""

from __future__ import annotations

from pathlib import Path

from tests.remote.bucket import Bucket


def test_last_push_of_a_second(tmp_path: Path) -> None:
    """Of versions that the store dates alike the last that was pushed is the newest, whatever the sessions' names."""
    for place in (tmp_path / f"{number}" for number in range(6)):
        bucket = Bucket(place)
        machine = bucket.machine()
        for number in range(3):
            last = machine.add({"a": b"%d" % number}, "data")
            machine.push(last)
        (found,) = machine.remote.list_projects()
        assert found.versions["data"].root.digest == last.digest
