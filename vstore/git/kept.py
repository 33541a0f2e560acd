"""What git keeps: all that its refs, reflogs, indexes and operations under way lead to, in every worktree.

Everything is asked of the git program, which reads every format of a repository, in a few processes whatever the
length of the history.  Whoever asks is going to delete what is not named here: whatever is not sure is an error.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from vstore.durable import os_errors
from vstore.errors import GitFailedError
from vstore.git.contents import RelPath, is_file
from vstore.git.index import IndexEntry
from vstore.git.program import git_environment, run_git

BRANCH, TAG, REMOTE_BRANCH, STASH = "branch", "tag", "remote-branch", "stash"
REF, OPERATION, REFLOG = "ref", "operation", "reflog"

_PREFIXES = (("refs/heads/", BRANCH), ("refs/tags/", TAG), ("refs/remotes/", REMOTE_BRANCH), ("refs/stash", STASH))
# In a repository with reftables they are no files.
_PSEUDO_REFS = (
    "ORIG_HEAD",
    "MERGE_HEAD",
    "MERGE_AUTOSTASH",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "REBASE_HEAD",
    "BISECT_HEAD",
    "AUTO_MERGE",
    "FETCH_HEAD",
)
_PSEUDO_REF = re.compile("[A-Z][A-Z_]*")
_OPERATIONS = ("rebase-merge", "rebase-apply", "sequencer")
# Lists of what is left to do name commits by the beginnings of their ids.  A word that happens to look like one only
# keeps more.
_ID = re.compile(rb"\b[0-9a-f]{4,64}\b")
_INDEXED = re.compile(rb"([0-7]+) ([0-9a-f]+) ([0-3])\t([^\0]+)\0")
_KEPT = {"commit", "tag", "tree"}
_KINDS = {*_KEPT, "blob"}
_OBJECT_ID = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
_MAX_STATE_BYTES = 64 * 1024 * 1024


class Tips(NamedTuple):
    """Objects that git keeps for the same reason: commits with all that is behind them, or trees and blobs."""

    reason: str
    objects: tuple[str, ...]


class Blobs(NamedTuple):
    """Blobs that files are called by, and blobs that are kept for themselves, under no name."""

    named: set[str]
    bare: set[str]


class KeptHistory:
    """The git repository of a work tree, with all of its worktrees.

    Every method raises GitFailedError where git cannot tell: a broken ref, a missing object, a damaged index.
    """

    def __init__(self, work_tree: Path) -> None:
        # Found from the work tree, so that git refuses a repository of somebody whom its user does not trust.
        found = run_git(work_tree, "rev-parse", "--git-common-dir").removesuffix(b"\n")
        self.common_dir = Path(os.path.realpath(work_tree / os.fsdecode(found)))
        grafts = self.common_dir / "info/grafts"
        with os_errors(grafts, "read"), contextlib.suppress(FileNotFoundError):
            if re.search(rb"^[0-9a-f]", grafts.read_bytes(), re.MULTILINE):
                fact = f"{grafts} hides a part of the history (git replace --convert-graft-file does without it)"
                raise GitFailedError(fact, path=str(grafts))

    def list_git_dirs(self) -> list[Path]:
        """Return what each worktree has for itself, the main one first."""
        directory = self.common_dir / "worktrees"
        with os_errors(directory, "read"):
            try:
                linked = sorted(entry.path for entry in os.scandir(directory) if entry.is_dir())
            except FileNotFoundError:
                linked = []
        return [self.common_dir, *map(Path, linked)]

    def list_tips(self) -> list[Tips]:
        """Return all that something keeps, by the reason that tells people most, without what only reflogs keep."""
        groups: dict[str, dict[str, None]] = {
            reason: {} for reason in (BRANCH, TAG, REMOTE_BRANCH, STASH, REF, OPERATION)
        }
        for git_dir in self.list_git_dirs():
            for line in self._run(git_dir, "for-each-ref", "--format=%(objectname) %(refname)").splitlines():
                oid, _, name = os.fsdecode(line).partition(" ")
                reason = next((reason for prefix, reason in _PREFIXES if name.startswith(prefix)), REF)
                groups[reason][oid] = None
            head, *others = self._resolve(git_dir, [b"HEAD", *map(str.encode, _PSEUDO_REFS), *_iter_ids(git_dir)])
            if head is not None:
                groups[BRANCH][head] = None
            groups[OPERATION].update((oid, None) for oid in others if oid is not None)
        if groups[STASH]:
            groups[STASH].update(dict.fromkeys(self._list_stashes()))
        return [Tips(reason, tuple(oids)) for reason, oids in groups.items()]

    def _list_stashes(self) -> Iterator[str]:
        """Yield each stash, with the commits in which it keeps the index and untracked files."""
        command = ("-c", "log.showSignature=false", "log", "--walk-reflogs", "--format=%H %P", "refs/stash", "--")
        for line in self._run(self.common_dir, *command).decode().splitlines():
            stash, _, *kept = line.split()
            yield from (stash, *kept)

    def list_commits(self, tips: Iterable[Tips]) -> list[tuple[int, str]]:
        """Return time (in seconds since 1970) and id of each commit that is kept, also by reflogs alone."""
        listed = self._run(
            self.common_dir, "rev-list", "--timestamp", "--all", "--reflog", "--stdin", stdin=_to_lines(tips)
        )
        return [(int(time_s), oid) for time_s, oid in (line.split() for line in listed.decode().splitlines())]

    def find_blobs(
        self, tips: Sequence[str], suffix: str, *, behind: bool = True, but: Sequence[str] = (), reflogs: bool = False
    ) -> Blobs:
        """Return the blobs of files whose names end with ``suffix`` in commits (or trees), each once.

        ``behind``: also in all that those commits came from, except (``but``) what others came from.  ``reflogs``: also
        all that any ref or reflog leads to.  A tree that many commits have is read once.
        """
        found = Blobs(set(), set())
        if not tips and not reflogs:
            return found
        options = [*(["--all", "--reflog"] if reflogs else []), *([] if behind else ["--no-walk"])]
        lines = "".join([*(f"{oid}\n" for oid in tips), *(f"^{oid}\n" for oid in but)]).encode()
        ending = os.fsencode(suffix)
        # Blobs are asked for by the names that trees give them: git's list has each but once, under any of its names.
        listing = ["rev-list", "--objects", "--no-object-names", "--filter=blob:none", *options, "--stdin"]
        with self._start(listing, lines) as ids, self._start(["cat-file", "--batch", "--buffer"], ids) as objects:
            for oid, kind, content in _iter_batch(objects, self.common_dir):
                if kind == "tree":
                    if ending + b"\0" in content:
                        found.named.update(self._list_files(oid, content, ending))
                elif kind == "blob":
                    found.bare.add(oid)
        return found

    def _list_files(self, tree: str, content: bytes, ending: bytes) -> Iterator[str]:
        entry = re.compile(rb"([0-7]+) ([^\0]+)\0(.{%d})" % (len(tree) // 2), re.DOTALL)
        end = 0
        for match in entry.finditer(content):
            if match.start() != end:
                break
            end = match.end()
            mode, name, raw = match.groups()
            if name.endswith(ending) and name != ending and is_file(mode.decode()):
                yield raw.hex()
        if end != len(content):
            raise GitFailedError(f"the tree {tree} in {self.common_dir} is damaged", path=str(self.common_dir))

    def list_index(self, git_dir: Path) -> list[IndexEntry]:
        """Return the index of a worktree, all stages."""
        listed = self._run(git_dir, f"--work-tree={git_dir}", "ls-files", "--stage", "-z")
        return [
            IndexEntry(os.fsdecode(path), int(stage), mode.decode(), oid.decode())
            for mode, oid, stage, path in _INDEXED.findall(listed)
        ]

    def iter_blobs(self, blobs: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the content of each blob; what a partial clone lacks is fetched in one go."""
        wanted = list(blobs)
        self._fetch_promised(wanted)
        lines = "".join(f"{oid}\n" for oid in wanted).encode()
        with self._start(["cat-file", "--batch", "--buffer"], lines) as objects:
            for oid, _, content in _iter_batch(objects, self.common_dir):
                yield oid, content

    def find_commits(self, oids: Iterable[str]) -> set[str]:
        """Return those of some ids that are commits which the repository has, kept or not; nothing is fetched."""
        return {oid for oid, kind in self._find_kinds(oids).items() if kind == "commit"}

    def list_missing(self, oids: Iterable[str]) -> set[str]:
        """Return those of some objects that the repository does not have; nothing is fetched."""
        wanted = set(oids)
        return wanted - self._find_kinds(wanted).keys()

    def _find_kinds(self, oids: Iterable[str]) -> dict[str, str]:
        """Return what the objects are that are here, in one run of git."""
        wanted = {oid for oid in oids if _OBJECT_ID.fullmatch(oid)}
        # Asked for what is not here, git would fetch it into a partial clone, one by one.
        is_partial = self._find_promisor() is not None
        options = ["--batch-all-objects", "--unordered"] if is_partial else []
        lines = b"" if is_partial else "".join(f"{oid}\n" for oid in sorted(wanted)).encode()
        command = ["cat-file", *options, "--buffer", "--batch-check=%(objectname) %(objecttype)"]
        pairs = (
            line.partition(" ")[::2] for line in self._run(self.common_dir, *command, stdin=lines).decode().splitlines()
        )
        return {oid: kind for oid, kind in pairs if oid in wanted and kind in _KINDS}

    def _find_promisor(self) -> str | None:
        """Return the git remote that a partial clone fetches from what it lacks; None where the clone is none."""
        try:
            listed = self._run(self.common_dir, "config", "--name-only", "--get-regexp", r"^remote\..*\.promisor$")
        except GitFailedError:
            return None  # git's way to say that there is none
        return os.fsdecode(listed.splitlines()[0]).removeprefix("remote.").removesuffix(".promisor")

    def _fetch_promised(self, blobs: Sequence[str]) -> None:
        remote = self._find_promisor()
        if remote is None:
            return
        missing = self.list_missing(blobs)
        if missing:
            # As git itself does it; to be asked for one at a time costs a connection each.
            options = ["--no-tags", "--no-write-fetch-head", "--recurse-submodules=no", "--filter=blob:none", "--stdin"]
            command = ["-c", "fetch.negotiationAlgorithm=noop", "fetch", remote, *options]
            self._run(self.common_dir, *command, stdin="".join(f"{oid}\n" for oid in sorted(missing)).encode())

    def find_place(self, blob: str, tips: Iterable[str] = ()) -> tuple[str, RelPath] | None:
        """Return a commit that brought a blob, and the path; None where only an index has it.

        It is one that git keeps, or that some other ``tips`` lead to.
        """
        options = ["--all", "--reflog", "--full-history", "-m", "--root", "--no-abbrev", "--raw", "--no-renames"]
        command = ["-c", "core.quotePath=false", "log", "--format=%H", f"--find-object={blob}", *options, "--stdin"]
        kinds = self._find_kinds(tips) if tips else {}
        others = "".join(f"{oid}\n" for oid, kind in kinds.items() if kind in ("commit", "tag")).encode()
        with self._start(command, others) as lines:
            commit = ""
            for line in map(os.fsdecode, lines):
                numbers, tab, path = line.rstrip("\n").partition("\t")
                if not tab:
                    commit = numbers or commit
                elif numbers.split()[3] == blob:
                    return commit, path
        return None

    def find_commit(self, revision: str) -> str | None:
        """Return the id of the commit that a revision means in the main worktree, or None."""
        if "\n" in revision:
            return None
        return self._resolve(self.common_dir, [os.fsencode(f"{revision}^{{commit}}")])[0]

    # processes

    def _resolve(self, git_dir: Path, names: Sequence[bytes]) -> list[str | None]:
        """Return the ids of what is called so; None where there is nothing, or a blob."""
        answers = self._run(git_dir, "cat-file", "--batch-check", stdin=b"".join(name + b"\n" for name in names))
        found = [line.split() for line in os.fsdecode(answers).splitlines()]
        return [words[0] if len(words) == 3 and words[1] in _KEPT and words[2].isdigit() else None for words in found]

    def _run(self, git_dir: Path, *arguments: str, stdin: bytes = b"") -> bytes:
        return run_git(git_dir, "--no-replace-objects", f"--git-dir={git_dir}", *arguments, stdin=stdin)

    @contextlib.contextmanager
    def _start(self, arguments: Sequence[str], stdin: bytes | IO[bytes]) -> Iterator[IO[bytes]]:
        """Run git, and hand out what it prints while it is printing; leaving the block raises if git failed."""
        command = ["git", "--no-replace-objects", f"--git-dir={self.common_dir}", *arguments]
        with _open_scratch() as given, _open_scratch() as complaints:
            if isinstance(stdin, bytes):
                given.write(stdin)
                given.seek(0)
            process = subprocess.Popen(
                command,
                stdin=given if isinstance(stdin, bytes) else stdin,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env=git_environment(),
            )
            assert process.stdout is not None
            try:
                yield process.stdout
                failed = process.stdout.read(1) == b"" and process.wait() != 0
            finally:
                process.stdout.close()
                process.kill()
                process.wait()
            if failed:
                complaints.seek(0)
                words = os.fsdecode(complaints.read()).strip().splitlines() or ["it did not say why"]
                fact = f"git failed in {self.common_dir}: {words[-1].removeprefix('fatal: ')}"
                raise GitFailedError(fact, path=str(self.common_dir))


def _open_scratch() -> IO[bytes]:
    """Open a file without a name; in memory where that can be, for it may be a full disk that is to be cleaned up."""
    return open(os.memfd_create("vstore"), "w+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile()


def find_work_tree(git_dir: Path) -> Path | None:
    """Return where the work tree of a worktree should be; None if git took the worktree away.

    That of the main one is found where its git directory has the name that git gives it.
    """
    if git_dir.name == ".git":
        return git_dir.parent
    link = git_dir / "gitdir"
    with os_errors(link, "read"):
        try:
            return Path(os.path.normpath(git_dir / os.fsdecode(link.read_bytes().rstrip(b"\r\n")))).parent
        except (FileNotFoundError, NotADirectoryError):
            return None


def _to_lines(tips: Iterable[Tips]) -> bytes:
    return "".join(f"{oid}\n" for group in tips for oid in group.objects).encode()


def _iter_ids(git_dir: Path) -> Iterator[bytes]:
    """Yield whatever looks like an id in the files in which git notes operations under way."""
    found: dict[bytes, None] = {}
    with os_errors(git_dir, "read"):
        names = [name for name in os.listdir(git_dir) if _PSEUDO_REF.fullmatch(name)]
        paths = [git_dir / name for name in names]
        for operation in _OPERATIONS:
            paths += [Path(above, name) for above, _, files in os.walk(git_dir / operation) for name in files]
        for path in paths:
            # Git may finish with it at any moment.
            with contextlib.suppress(FileNotFoundError, IsADirectoryError), open(path, "rb") as file:
                found.update(dict.fromkeys(_ID.findall(file.read(_MAX_STATE_BYTES))))
    yield from found


def _iter_batch(output: IO[bytes], place: Path) -> Iterator[tuple[str, str, bytes]]:
    """Yield id, type and content of each object that ``git cat-file --batch`` prints."""
    while line := output.readline():
        words = line.decode().split()
        if len(words) != 3:
            raise GitFailedError(f"git says in {place}: {line.decode().strip()}", path=str(place))
        content = output.read(int(words[2]))
        if len(content) != int(words[2]) or output.read(1) != b"\n":
            raise GitFailedError(f"git stopped in the middle of the object {words[0]} in {place}", path=str(place))
        yield words[0], words[1], content
