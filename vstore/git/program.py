"""Running the git program, for the few things that libgit2 does not do or does less well."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vstore.errors import GitFailedError

# What `git rev-parse --local-env-vars` lists: inside a hook they name the hook's repository,
# which need not be the one that is meant here.
_REPOSITORY_VARIABLES = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_CONFIG",
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_PARAMETERS",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_INTERNAL_SUPER_PREFIX",
        "GIT_NO_REPLACE_OBJECTS",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_REPLACE_REF_BASE",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
# English, so that its words can be recognised; no lock for refreshing what is only read; no questions; and a broken ref
# is an error, not a ref less.
_OUR_VARIABLES = {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_REF_PARANOIA": "1"}
_PIECE_BYTES = 256 * 1024
# What a partial clone lacks is fetched in one go, by us: git would do it one by one, and where a server keeps it back,
# or knows nothing of git, each fetch would start another, without end.
_NOT_LAZILY = {"GIT_NO_LAZY_FETCH": "1"}


def has_git() -> bool:
    """Tell whether the git program is installed."""
    return shutil.which("git") is not None


def run_git(
    directory: Path, *arguments: str, stdin: bytes = b"", lazily: bool = True, index: Path | None = None
) -> bytes:
    """Run git in a directory and return what it printed.

    The environment passes through, except what would point git at another repository.  ``lazily``: of a partial clone,
    what is missing is fetched.  ``index``: another one than that of the work tree.
    Raises GitFailedError with git's own words; its field ``said`` has all of them.
    """
    with _starting(directory):
        done = subprocess.run(
            ["git", "-C", directory, *arguments],
            input=stdin,
            capture_output=True,
            env=git_environment() | ({} if lazily else _NOT_LAZILY) | ({"GIT_INDEX_FILE": str(index)} if index else {}),
            check=False,
        )
    if done.returncode:
        said = os.fsdecode(done.stderr)
        raise GitFailedError(f"git failed in {directory}: {_complaint(done.stderr)}", path=str(directory), said=said)
    return done.stdout


def start_git(directory: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a git that is spoken to through pipes; it fetches nothing, and what it complains about is lost.

    Raises GitFailedError.
    """
    with _starting(directory):
        return subprocess.Popen(
            ["git", "-C", directory, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=git_environment() | _NOT_LAZILY,
        )


def iter_git(directory: Path, *arguments: str) -> Iterator[bytes]:
    """Run git in a directory and yield what it prints, in pieces, while it goes on.

    Whoever stops listening stops git.  Raises as ``run_git``, after what was printed before.
    """
    with tempfile.TemporaryFile() as complaints:  # a pipe that nobody empties would stop git
        with _starting(directory):
            process = subprocess.Popen(
                ["git", "-C", directory, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                env=git_environment(),
            )
        with process:
            assert process.stdout is not None
            try:
                while piece := os.read(process.stdout.fileno(), _PIECE_BYTES):
                    yield piece
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            complaints.seek(0)
            raise GitFailedError(f"git failed in {directory}: {_complaint(complaints.read())}", path=str(directory))


def git_environment() -> dict[str, str]:
    """Return the environment to run git in: ours, except what would point git at another repository."""
    return {name: value for name, value in os.environ.items() if name not in _REPOSITORY_VARIABLES} | _OUR_VARIABLES


@contextlib.contextmanager
def _starting(directory: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise GitFailedError("the git program is not installed", path=str(directory), program="git") from error
    except OSError as error:
        raise GitFailedError(f"the git program did not start: {error.strerror}", path=str(directory)) from error


def _complaint(stderr: bytes) -> str:
    lines = os.fsdecode(stderr).splitlines() or ["it did not say why"]
    number = next((n for n, line in enumerate(lines) if line.startswith(("fatal: ", "error: "))), 0)
    told = lines[number].partition(": ")[2] or lines[number]
    # "unknown repository extensions found:", and then their names.
    return " ".join([told, *map(str.strip, lines[number + 1 :])]) if told.endswith(":") else told
