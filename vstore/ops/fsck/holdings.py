"""What the chosen versions need of the cache, what of it is lost, and who is harmed by that."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vstore.cache.inspection import Flaw, list_cache
from vstore.cache.inventory import list_set_aside
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath
from vstore.objects.tree import Tree
from vstore.ops.fsck.report import Need
from vstore.ops.needs import Place, Places, Revision, name_contents
from vstore.ops.resolve import is_inside
from vstore.ops.transfer import Version, list_wanted
from vstore.ops.trees import find_tree
from vstore.remote.content import Content
from vstore.remote.mirror import Mirror
from vstore.repo import Repo


class Lack(NamedTuple):
    """A version and what it needs that is good nowhere in the cache; of a lost tree that is all that is known."""

    version: Version
    contents: list[Content]


class Judged(NamedTuple):
    """What becomes of the contents that versions lack.

    ``lost``: they were here, or there is no remote, and no remote is known to hold them.  ``elsewhere``: one is.
    ``unknown``: they were never here.  ``wanted``: all that were here, and all that is lost.
    """

    lost: set[Digest]
    elsewhere: set[Digest]
    unknown: set[Digest]
    wanted: set[Digest]


class Holdings:
    """What is good in a cache of which some files are flawed."""

    def __init__(self, repo: Repo, flaws: Sequence[Flaw], *, knows_state: bool) -> None:
        self._repo = repo
        self._flawed: dict[Digest, set[Path]] = {}
        for flaw in flaws:
            for digest in flaw.digests:
                self._flawed.setdefault(digest, set()).add(flaw.path)
        self._placed = repo.state.load_placed() if knows_state else {}
        self._set_aside = {digest for aside in list_set_aside(repo.cache) for digest in aside.digests}
        self._places = Places(repo)
        self._named = _list_named(repo)
        self._below: dict[tuple[RelPath, Digest], set[Digest]] = {}

    @property
    def flawed(self) -> Collection[Digest]:
        """The contents that some file of the cache should hold and does not."""
        return self._flawed.keys()

    @property
    def damaged(self) -> set[Digest]:
        """The contents that are good in no file of the cache, though one should hold them."""
        return {digest for digest, where in self._flawed.items() if not self._is_good(digest, where)}

    def _is_good(self, digest: Digest, flawed: Collection[Path]) -> bool:
        cache = self._repo.cache
        loose = cache.loose_path(digest)
        return any(pack.path not in flawed for pack, _ in cache.packs.iter_all(digest)) or (
            loose not in flawed and loose.is_file()
        )

    def find_lacks(self, versions: Iterable[Version], damaged: Collection[Digest]) -> list[Lack]:
        """Return which of some versions are not whole in the cache."""
        cache = self._repo.cache
        cache.packs.reload()
        held = cache.packs.digests()
        held.update(file.digest for file in list_cache(cache).files if file.digest is not None)
        held.difference_update(damaged)
        lacks: list[Lack] = []
        for version in versions:
            pointer = version.pointer
            tree = find_tree(self._repo, pointer.digest) if pointer.is_tree and pointer.digest in held else None
            if pointer.is_tree and tree is None:
                lacks.append(Lack(version, [Content(pointer.digest, 0)]))
                continue
            contents = [content for content in list_wanted(version, tree) if content.digest not in held]
            if contents:
                lacks.append(Lack(version, contents))
        return lacks

    def judge(self, lacks: Iterable[Lack]) -> Judged:
        """Tell what is lost from what only is not here."""
        judged = Judged(set(), set(), set(), set())
        for lack in lacks:
            all_of_it = {content.digest for content in lack.contents}
            here = self._was_here(lack)
            if lack.version.pointer.digest in self._named:
                judged.elsewhere.update(all_of_it)
                judged.wanted.update(here)
                continue
            lost = here if self._repo.config.remotes else all_of_it
            judged.lost.update(lost)
            judged.unknown.update(all_of_it - lost)
            judged.wanted.update(lost)
        return judged

    def _was_here(self, lack: Lack) -> set[Digest]:
        """Return which contents are known to have been in the cache: this work tree took them from or put them there,
        or they were found damaged."""
        version = lack.version
        root, digest = version.target.artifact.path, version.pointer.digest
        placed = self._placed.get(root)
        if placed is not None and placed.digest == digest:
            return {content.digest for content in lack.contents}
        parts = [
            path[len(root) + 1 :]
            for path, part in self._placed.items()
            if path.startswith(root + "/") and part.digest == digest
        ]
        below = self._find_below(root, digest, parts) if parts else set()
        found_bad = self._set_aside | self._flawed.keys()
        return {each.digest for each in lack.contents if each.digest in below or each.digest in found_bad}

    def _find_below(self, root: RelPath, digest: Digest, parts: Sequence[RelPath]) -> set[Digest]:
        if (root, digest) not in self._below:
            tree = find_tree(self._repo, digest)
            entries = Tree.from_bytes(tree).entries if tree is not None else []
            self._below[root, digest] = {digest, *(entry.digest for entry in entries if is_inside(entry.path, parts))}
        return self._below[root, digest]

    # naming

    def list_needs(self, lacks: Iterable[Lack], contents: Collection[Digest]) -> list[Need]:
        """Return the paths and revisions that need some of what is lost."""
        found: dict[RelPath, dict[str, Revision]] = {}
        for lack in lacks:
            lost = {content.digest for content in lack.contents}.intersection(contents)
            if not lost:
                continue
            version = lack.version
            root, digest = version.target.artifact.path, version.pointer.digest
            for path, revisions in self._find_places(version, root, digest):
                for name in name_contents(path, digest, lost, lambda tree: find_tree(self._repo, tree)):
                    found.setdefault(name, {}).update((revision.commit, revision) for revision in revisions)
        return [
            Need(path, sorted(found[path].values(), key=lambda revision: not revision.names)) for path in sorted(found)
        ]

    def _find_places(self, version: Version, root: RelPath, digest: Digest) -> Iterator[Place]:
        places = {place.path: place.revisions for place in self._places.find(digest)}
        # What is not committed yet, or only in commits that no branch ends with.
        own = self._places.find_at(version.git_commit, version.target.artifact.pointer_path, digest)
        yield Place(root, places.pop(root, own))
        for path, revisions in places.items():
            yield Place(path, revisions)


def _list_named(repo: Repo) -> set[Digest]:
    """Return the roots that remotes name, as far as this machine saw."""
    if not repo.config.remotes:
        return set()
    mirrors = repo.shared / "remotes"
    named: set[Digest] = set()
    for path in sorted(mirrors.iterdir()) if mirrors.is_dir() else ():
        named |= Mirror(path).named_roots(repo.config.project)
    return named
