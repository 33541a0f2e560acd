"""Old versions of what git-lfs keeps: which files of the commits are its, and the pointers that stand for them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from vstore.git.folders import GitFile
from vstore.git.ignore_rules import escape_pattern
from vstore.git.objects import iter_objects
from vstore.git.program import run_git
from vstore.git.rewriting import Edit
from vstore.objects.digest import Digest
from vstore.objects.names import RelPath, find_refusal
from vstore.objects.pointer import POINTER_SUFFIX, Pointer
from vstore.ops.migrate.foreign import ForeignName
from vstore.ops.migrate.history import OwnFiles
from vstore.ops.migrate.intake import Brought
from vstore.ops.migrate.lfs_files import find_macros, with_exceptions, without_lfs
from vstore.ops.migrate.lfs_survey import EXECUTABLE_MODE, fetch, find_pointers
from vstore.ops.migrate.memory import Held
from vstore.ops.migrate.moving import Mover, is_chosen
from vstore.ops.migrate.places import StorePlace

_UNREAD = Held(Digest(""), 0)
_ATTRIBUTES, _IGNORE = ".gitattributes", ".gitignore"


class LfsHistory:
    """What the pointers of git-lfs in the commits behind ``tips`` mean; ``chosen`` are the paths that matter."""

    def __init__(self, mover: Mover, store: StorePlace, tips: Sequence[str], chosen: Sequence[RelPath] | None) -> None:
        self._mover = mover
        self._store = store
        self._chosen = chosen
        self._own = OwnFiles(mover.repo)
        self._directory = mover.repo.work_tree
        names = "".join(f"{tip}\n" for tip in tips).encode()
        listed = run_git(self._directory, "rev-list", "--objects", "--stdin", stdin=names)
        self._names = find_pointers(self._directory, (line.split()[0].decode() for line in listed.splitlines()))
        self._contents: dict[str, bytes] = {}
        self._brought = Brought({}, {})

    def is_wanted(self, name: str, oid: str) -> bool:
        """Tell whether a file is a pointer of git-lfs, says how git treats files, or is one of ours."""
        return oid in self._names or name in (_ATTRIBUTES, _IGNORE, "config") or name.endswith(POINTER_SUFFIX)

    def prepare(self, versions: Mapping[tuple[GitFile, ...], str]) -> None:
        """Bring the contents of all files that git-lfs keeps in some commits."""
        rules: set[str] = set()
        commits: dict[GitFile, str] = {}
        for files, commit in versions.items():
            rules.update(file.oid for file in files if file.path.rpartition("/")[2] in (_ATTRIBUTES, _IGNORE))
            for file in files:
                if self._is_movable(file):
                    commits.setdefault(file, commit)
        self._contents = {found.oid: found.data for found in iter_objects(self._directory, sorted(rules))}
        if self._mover.how.dry_run:  # whether contents can be had is not looked for
            self._brought = Brought({self._names[file.oid]: _UNREAD for file in commits}, {})
            return
        near = {self._names[file.oid]: [self._store] for file in commits}
        self._brought = self._mover.bring(near, self._fetch)
        for file, commit in commits.items():
            name = self._names[file.oid]
            if name in self._brought.missing:
                when = f" (commit {commit[:10]})"
                self._mover.note_missing(file.path, name, self._brought.missing[name], when=when)

    def _fetch(self, missing: Iterable[ForeignName]) -> dict[ForeignName, list[StorePlace]]:
        fetch(self._mover.repo, self._directory, "--all")
        return {name: [self._store] for name in missing}

    def _is_movable(self, file: GitFile) -> bool:
        return file.oid in self._names and is_chosen(file.path, self._chosen) and find_refusal(file.path) is None

    def edit(self, files: tuple[GitFile, ...]) -> Edit | None:
        """Return what a commit with these files has in the place of those whose data has moved."""
        pointers: dict[RelPath, Pointer] = {}
        for file in files:
            held = self._brought.held.get(self._names[file.oid]) if self._is_movable(file) else None
            if held is not None:
                is_executable = file.mode == EXECUTABLE_MODE
                pointers[file.path] = Pointer("file", held.digest, held.size_bytes, executable=is_executable)
        if not pointers:
            return None
        rules = self._ignore(files, pointers)
        is_whole = all(file.path in pointers for file in files if file.oid in self._names)
        found = {file.path: self._contents[file.oid] for file in files if file.path.rpartition("/")[2] == _ATTRIBUTES}
        macros = find_macros(found.get(_ATTRIBUTES, b""))
        attributes = {
            path: without_lfs(content, macros) if is_whole else with_exceptions(content)
            for path, content in found.items()
        }
        gone = [path for path, content in attributes.items() if not content]
        more = rules | {path: content for path, content in attributes.items() if content}
        return self._own.edit(files, pointers, [*pointers, *gone], more)

    def _ignore(self, files: Sequence[GitFile], paths: Iterable[RelPath]) -> dict[RelPath, bytes]:
        """Return the ignore rules of a commit with those of its artifacts."""
        contents = {file.path: self._contents[file.oid] for file in files if file.path.rpartition("/")[2] == _IGNORE}
        wanted: dict[RelPath, list[bytes]] = {}
        for path in sorted(paths):
            directory, _, name = path.rpartition("/")
            rule = os.fsencode(escape_pattern(name))
            wanted.setdefault(f"{directory}/{_IGNORE}".lstrip("/"), []).append(rule)
        for ignore_file, rules in wanted.items():
            before = contents.get(ignore_file, b"")
            present = set(before.splitlines())
            added = b"".join(rule + b"\n" for rule in rules if rule not in present)
            contents[ignore_file] = before + b"\n" * bool(added and before and not before.endswith(b"\n")) + added
        return contents
