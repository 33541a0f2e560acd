"""What parts that were made apart take for granted of one another: nothing that was reported is lost between them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.remote.bucket import DAY_S, Bucket, Ear
from tests.remote.world import noise
from vstore.remote import upkeep
from vstore.remote.content import Root
from vstore.remote.merging import COMMITS_SCALE


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    """A bucket of its own."""
    return Bucket(tmp_path)


def test_large_content_that_was_dropped_is_not_remembered(bucket: Bucket) -> None:
    """What compaction dropped of a pack is uploaded again when somebody pushes it again."""
    ada = bucket.machine()
    dead, live = ada.add({"big": noise(3_000_000)}, "dead"), ada.add({"other": noise(300_000, 1)}, "live")
    ada.push(dead, live)
    bucket.now_s += 40 * DAY_S
    bucket.collect(ada, [dead.digest])
    assert ada.remote.compact(ada.shelf, reporter=Ear()).packs == 1
    ada.push(dead)
    assert bucket.lacks([dead, live]) == []
    bucket.end_holds(ada)
    assert bucket.lacks([dead, live]) == []


def test_file_that_reads_like_a_tree(bucket: Bucket) -> None:
    """A tree is there only with its files, also where a file of the same bytes was pushed before or after it."""
    ada, bob = bucket.machine(), bucket.machine()
    tree = ada.add({"a": noise(1000), "b": noise(1000, 1)}, "tree")
    own = bob.shelf.put(ada.shelf.contents[tree.digest])
    file = Root(tree.digest, "file", [own], "file")
    bob.push(file)
    ada.push(tree)
    assert bucket.lacks([tree, file]) == []
    bucket.now_s += 20 * DAY_S
    bob.push(file)
    for other in (b"%d" % number for number in range(3)):
        bob.push(Root((content := bob.shelf.put(other)).digest, "file", [content], "other"))
    upkeep.merge_commits(upkeep.OwnCommits(bob.site, Ear()), COMMITS_SCALE._replace(most=2))
    assert len(bucket.commits()) == 1
    bucket.end_holds(ada)
    assert bucket.lacks([tree, file]) == []


@pytest.mark.parametrize("turn", [1, -1])
def test_file_and_tree_of_one_digest_together(bucket: Bucket, turn: int) -> None:
    """Both are whole where they are pushed at once, in whatever order."""
    ada = bucket.machine()
    tree = ada.add({"a": noise(1000), "b": noise(1000, 1)}, "tree")
    file = Root(tree.digest, "file", [tree.contents[-1]], "file")
    ada.push(*[tree, file][::turn])
    assert bucket.lacks([tree, file]) == []
