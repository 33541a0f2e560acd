"""What a user does not want to have tracked: the ignore rules of ``.vstoreignore`` files, in gitignore syntax.

As in git, rules keep out what is new.  What a pointer's tree has, or vstore put somewhere, stays tracked whatever they
say, and what they keep out is never written, replaced or deleted.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Set
from pathlib import Path

from vstore.cache.cache import Cache
from vstore.errors import VstoreError
from vstore.git.ignore_match import IgnoreRules
from vstore.objects.names import RelPath
from vstore.objects.pointer import Pointer
from vstore.objects.tree import EMPTY_DIRECTORY, Tree
from vstore.progress import SILENT, Reporter
from vstore.state import State
from vstore.workspace.pointers import find_owner

IGNORE_FILE = ".vstoreignore"
_MAX_BYTES = 16 * 1024 * 1024
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Ignoring:
    """The ignore rules that hold in one directory of a work tree.

    ``path`` is the directory.  ``rules`` are pairs of the directory that some lie in and the rules, the weakest first.
    ``find_tracked`` returns the paths that stay tracked, and the directories above them; it is asked when a rule
    matches for the first time.
    """

    def __init__(
        self,
        path: RelPath,
        rules: tuple[tuple[RelPath, IgnoreRules], ...],
        find_tracked: Callable[[], Set[RelPath]],
        *,
        is_inside: bool = False,
    ) -> None:
        self._path = path
        self._rules = rules
        self._find_tracked = find_tracked
        self._is_inside = is_inside

    @property
    def has_rules(self) -> bool:
        """Whether there are any."""
        return bool(self._rules)

    def is_ignored(self, name: str, *, directory: bool) -> bool:
        """Tell whether something in this directory is ignored and not tracked."""
        path = f"{self._path}/{name}" if self._path else name
        return (self._is_inside or self._is_matched(path, directory)) and path not in self._find_tracked()

    def is_tracked_empty(self, path: RelPath) -> bool:
        """Tell whether a directory somewhere below this one is tracked as an empty one."""
        return f"{self._path}/{path}/" in self._find_tracked()

    def _is_matched(self, path: RelPath, directory: bool) -> bool:
        for above, rules in reversed(self._rules):
            verdict = rules.ask(os.fsencode(path[len(above) + 1 if above else 0 :]), directory=directory)
            if verdict is not None:
                return verdict
        return False

    def enter(self, name: str) -> Ignoring:
        """Return the rules that hold one directory down, but for those of the file there."""
        path = f"{self._path}/{name}" if self._path else name
        is_inside = self._is_inside or (bool(self._rules) and self._is_matched(path, directory=True))
        return Ignoring(path, self._rules, self._find_tracked, is_inside=is_inside)

    def start_at(self, path: RelPath) -> Ignoring:
        """Return the rules that hold in a directory which itself is not ignored."""
        return Ignoring(path, self._rules, self._find_tracked)

    def with_rules_in(self, directory: Path | int) -> Ignoring:
        """Return the rules that hold here together with those of the file in this directory, if there is one."""
        content = _read(directory)
        if content is None:
            return self
        rules = (*self._rules, (self._path, IgnoreRules(content, ignore_case=False)))
        return Ignoring(self._path, rules, self._find_tracked, is_inside=self._is_inside)


NOTHING_IGNORED = Ignoring("", (), frozenset)
"""Where there are no rules."""


def load_ignoring(
    work_tree: Path, path: RelPath, cache: Cache, state: State, *, reporter: Reporter = SILENT
) -> Ignoring:
    """Return the rules above ``path``, which is an artifact or a path in one, as they hold for what is in it.

    Warns where a rule matches something of which nobody can tell whether it is tracked.
    """
    ignoring = _load_above(work_tree, path, lambda: _find_tracked(work_tree, path, cache, state, reporter=reporter))
    # What was named itself is wanted, whatever is said of it.
    return ignoring.start_at(path)


def is_kept_out(work_tree: Path, path: RelPath, cache: Cache, state: State) -> bool:
    """Tell whether the rules keep a path out that is not tracked yet."""
    find_tracked = _once(lambda: _find_tracked(work_tree, path, cache, state))
    ignoring = Ignoring("", (), find_tracked).with_rules_in(work_tree)
    names = path.split("/")
    for depth, name in enumerate(names, 1):
        is_directory = depth < len(names) or (work_tree / path).is_dir()
        if ignoring.is_ignored(name, directory=is_directory):
            return True
        ignoring = ignoring.enter(name)
        if is_directory:
            ignoring = ignoring.with_rules_in(work_tree / "/".join(names[:depth]))
    return False


def _load_above(work_tree: Path, path: RelPath, find_tracked: Callable[[], Set[RelPath]]) -> Ignoring:
    ignoring = Ignoring("", (), _once(find_tracked)).with_rules_in(work_tree)
    above = ""
    for name in path.split("/")[:-1]:
        above = f"{above}/{name}" if above else name
        ignoring = ignoring.enter(name).with_rules_in(work_tree / above)
    return ignoring


def _once(find: Callable[[], Set[RelPath]]) -> Callable[[], Set[RelPath]]:
    known: list[Set[RelPath]] = []

    def find_once() -> Set[RelPath]:
        if not known:
            known.append(find())
        return known[0]

    return find_once


def _find_tracked(
    work_tree: Path, path: RelPath, cache: Cache, state: State, *, reporter: Reporter = SILENT
) -> Set[RelPath]:
    """Return what the pointer's tree has and what vstore put there, with all directories above.

    An empty directory is there with a slash at its end, too.
    """
    tracked: set[RelPath] = set()
    try:
        owner = find_owner(work_tree, path)
    except VstoreError:
        owner = None
    if owner is None:
        return tracked
    current = owner.pointer.digest if isinstance(owner.pointer, Pointer) and owner.pointer.is_tree else None
    digests = {current} if current else set()
    for placed_path, placed in state.load_placed().items():
        if placed.kind == "tree" and (placed_path + "/").startswith(owner.path + "/"):
            digests.add(placed.digest)
    for digest in digests:
        try:
            entries = Tree.from_bytes(cache.read(digest)).entries
        except VstoreError:
            if digest == current:
                fact = f"the list of files of {owner.path} is not in the cache"
                reporter.warn(f"{fact}: what {IGNORE_FILE} keeps out of it may be tracked")
            continue
        for entry in entries:
            name = f"{owner.path}/{entry.path}"
            if entry.kind == EMPTY_DIRECTORY:
                tracked.add(f"{name}/")
            while name and name not in tracked:
                tracked.add(name)
                name = name.rpartition("/")[0]
    return tracked


def _read(directory: Path | int) -> bytes | None:
    """Return the rules in a directory; as git does, nothing of what is no file or cannot be read."""
    try:
        if isinstance(directory, int):
            descriptor = os.open(IGNORE_FILE, _READ_FLAGS, dir_fd=directory)
        else:
            descriptor = os.open(directory / IGNORE_FILE, _READ_FLAGS)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(_MAX_BYTES)
    except OSError:
        return None
    finally:
        os.close(descriptor)
