"""vstore demo: the whole story on real data, every command printed before it runs."""

from __future__ import annotations

import csv
import filecmp
import itertools
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from vstore import errors
from vstore.cli import options, render
from vstore.cli.session import Session, pass_session

_MOST_FILES = 3000
_CHANGED_FILES = 5
# git refuses to commit for somebody it does not know, and nobody is there to unlock a key.
_AUTHOR = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "commit.gpgSign", "GIT_CONFIG_VALUE_0": "false"} | {
    f"GIT_{role}_{field}": value
    for role in ("AUTHOR", "COMMITTER")
    for field, value in (("NAME", "vstore demo"), ("EMAIL", "demo@example.org"))
}


@options.verb("demo")
@click.argument("directory", default="vstore-demo", type=click.Path(path_type=Path))
@pass_session
def command(session: Session, directory: Path) -> None:
    """Show the whole story on real data, in a new directory.

    A git repository with some thousand files, a remote, a clone, a pull, a change, a diff, and back to the old
    version.  Each command is printed before it runs.
    """
    place = Path(os.path.abspath((session.directory or Path()) / directory))
    if place.exists():
        raise errors.ConflictError(f"{place} exists already; the demo makes a new directory", path=str(place))
    _Story(place).tell()


class _Story:
    def __init__(self, place: Path) -> None:
        self._place = place
        self._project, self._copy = place / "project", place / "copy"

    def tell(self) -> None:
        self._project.mkdir(parents=True)
        self._say(f"A project in {self._project}, with data that every Python has:")
        files, size = _make_data(self._project / "data")
        self._say(f"data/modules: {files:,} source files, {render.size(size)}; data/modules.csv: a table about them.")
        self._run(self._project, "git init --quiet --initial-branch=main", "vstore init")

        self._say("Track the directory and the table; git gets two small pointers, and ignores the data:")
        self._run(self._project, "vstore add data/modules data/modules.csv", "git status --short")
        self._run(self._project, "git commit --quiet -m 'First version of the data'")

        self._say("Share it: a remote may be a bucket; here it is a directory.")
        self._run(self._project, "vstore remote add -d store ../store", "git commit --quiet -m 'Name the remote'")
        self._run(self._project, "vstore push", "vstore push")

        self._say("Somebody else clones the repository and pulls the data:")
        self._run(self._place, "git clone --quiet project copy")
        self._run(self._copy, "vstore pull", "vstore status")

        self._say(f"They change {_CHANGED_FILES} files, delete one and add a row to the table:")
        _change_data(self._copy / "data")
        self._run(self._copy, "vstore status")
        self._run(self._copy, "vstore add -u", "vstore diff", "git commit --quiet -m 'Second version of the data'")
        self._run(self._copy, "vstore push")

        self._say("Back to the first version: git brings the old pointers, vstore the old data.")
        self._run(self._copy, "git checkout --quiet HEAD~1", "vstore checkout")
        number, size = _check_equal(self._project / "data", self._copy / "data")
        self._say(f"Compared byte by byte: {number:,} files, {render.size(size)}, equal to the original.")
        self._say(f"Look around in {self._place}; delete it when you are done.")

    def _say(self, text: str) -> None:
        sys.stdout.write(f"\n{render.paint(text, 'cyan')}\n")

    def _run(self, where: Path, *commands: str) -> None:
        for line in commands:
            sys.stdout.write(f"{render.paint(f'{where.name}$ {line}', 'green')}\n")
            sys.stdout.flush()
            words = shlex.split(line)
            program = [sys.executable, "-m", "vstore"] if words[0] == "vstore" else words[:1]
            try:
                done = subprocess.run([*program, *words[1:]], cwd=where, env={**os.environ, **_AUTHOR}, check=False)
            except FileNotFoundError as error:
                raise errors.GitFailedError("the git program is not installed", path=words[0], program="git") from error
            if done.returncode:
                raise errors.VstoreError(f"`{line}` ended with exit code {done.returncode}", command=line)


def _make_data(target: Path) -> tuple[int, int]:
    """Copy Python's own modules and what is installed beside them, and make a table about them."""
    rows = []
    for source, name in itertools.islice(_iter_modules(), _MOST_FILES):
        copied = target / "modules" / name
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, copied)
        content = copied.read_bytes()
        rows.append((name, len(content), content.count(b"\n"), content.count(b"def "), content.count(b"class ")))
    _write_table(target / "modules.csv", [("module", "bytes", "lines", "functions", "classes"), *rows])
    return len(rows), sum(row[1] for row in rows)


def _iter_modules() -> Iterator[tuple[Path, str]]:
    for key in ("stdlib", "purelib"):
        root = Path(sysconfig.get_path(key))
        for directory, below, files in os.walk(root):
            below[:] = sorted(set(below) - {"__pycache__", "site-packages", "dist-packages"})
            for name in sorted(files):
                path = Path(directory, name)
                if name.endswith(".py") and path.is_file():
                    yield path, f"{key}/{path.relative_to(root).as_posix()}"


def _write_table(path: Path, rows: Sequence[Sequence[object]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def _change_data(target: Path) -> None:
    modules = sorted((target / "modules").rglob("*.py"))
    for path in modules[1 : _CHANGED_FILES + 1]:
        with open(path, "a", encoding="utf-8") as file:
            file.write("# changed by the demo\n")
    modules[0].unlink()
    with open(target / "modules.csv", "a", encoding="utf-8") as file:
        file.write("demo,1,1,0,0\r\n")


def _check_equal(one: Path, other: Path) -> tuple[int, int]:
    """Compare two directories byte by byte; return number and size of their files.  Raises CorruptError."""
    names, others = _list_data(one), _list_data(other)
    _, different, failed = filecmp.cmpfiles(one, other, names, shallow=False)
    odd = [*different, *failed, *set(others).difference(names)]
    if odd:
        raise errors.CorruptError(f"{len(odd)} files differ from the original", path=str(odd[0]))
    return len(names), sum((one / name).stat().st_size for name in names)


def _list_data(root: Path) -> list[str]:
    """Return the paths of all files but those that git keeps."""
    files = (path for path in root.rglob("*") if path.is_file())
    return sorted(str(path.relative_to(root)) for path in files if path.suffix in (".py", ".csv"))
