"""Sizes."""

from __future__ import annotations

from tests.project import LARGE, Project


def test_sizes_add_up(project: Project) -> None:
    """Each artifact has its size and number of files, and the total is their sum."""
    project.add_data()
    result = project.ok("du", "--json").json()
    data, model = result["artifacts"]
    assert (data["path"], data["size_bytes"], data["files"], data["cached_bytes"]) == (
        "data",
        len(LARGE) + 5,
        3,
        len(LARGE) + 5,
    )
    assert (model["size_bytes"], model["files"]) == (len(LARGE), 1)
    assert result["size_bytes"] == result["cached_bytes"] == 2 * len(LARGE) + 5
    assert project.ok("du").stdout.splitlines()[-1].split() == ["1.0", "MB", "4", "1.0", "MB", "total"]


def test_equal_contents_count_once(project: Project) -> None:
    """What several files share takes its place once."""
    project.write("d/one", LARGE)
    project.write("d/two", LARGE)
    project.ok("add", "d")
    result = project.ok("du", "--json").json()
    assert (result["size_bytes"], result["unique_bytes"]) == (2 * len(LARGE), len(LARGE))


def test_what_is_not_here_is_told(project: Project) -> None:
    """In a fresh clone nothing is cached, and sizes of files are known all the same."""
    project.add_data()
    clone = project.clone()
    usage = clone.ok("du", "model.bin", "--json").json()["artifacts"][0]
    assert (usage["size_bytes"], usage["cached_bytes"]) == (len(LARGE), 0)


def test_paths_inside(project: Project) -> None:
    """A path inside a tree has a size of its own."""
    project.add_data()
    assert project.ok("du", "data/sub", "--json").json()["size_bytes"] == 3


def test_lost_tree_is_left_out(project: Project) -> None:
    """A tree that nobody knows is warned of, and the rest is counted."""
    project.add_data()
    project.drop_cache()
    outcome = project.ok("du", "--json")
    assert [usage["path"] for usage in outcome.json()["artifacts"]] == ["model.bin"]
    assert "data was left out" in outcome.stderr
