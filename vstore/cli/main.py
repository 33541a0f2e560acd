"""The entry: finds the verb, runs it, and ends with an exit code.

The verbs are a table of names and summaries; a verb's module is imported only when it is run.
"""

from __future__ import annotations

import contextlib
import difflib
import gc
import importlib
import io
import keyword
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import click

from vstore import __version__
from vstore.cli import failure
from vstore.cli.session import Session

_RARE_COLLECTIONS = (200_000, 50, 100)
"""Thresholds of the cyclic garbage collector: looking again and again at a hundred thousand records that stay is a
quarter of all work of a `fetch`."""

VERBS: dict[str, dict[str, str]] = {
    "Start": {
        "init": "Make a vstore repository of a git work tree.",
        "demo": "Show the whole story on real data, in a new directory.",
        "migrate": "Move in from DVC or git-lfs; nothing of theirs is deleted unasked.",
    },
    "Look": {
        "status": "Show what differs between files, pointers, git, cache and remote.",
        "diff": "Show what changed between revisions, or a revision and the files.",
        "log": "Show which commits changed artifacts, or files inside them.",
        "ls": "List what is tracked, and what is inside.",
        "cat": "Print the bytes of a tracked file, of any version.",
        "du": "Show how large artifacts are, and how much the cache holds.",
    },
    "Change": {
        "add": "Track files and directories, or take over their changes.",
        "checkout": "Make files equal their pointers, or those of a revision.",
        "mv": "Move data together with its pointer and ignore rule.",
        "rm": "Stop tracking files and directories; the data stays.",
        "unlock": "Make linked, read-only files writable, as copies.",
    },
    "Sync": {
        "push": "Bring the contents that pointers name to a remote.",
        "fetch": "Bring contents from a remote into the cache.",
        "pull": "Fetch contents from a remote and write the files.",
        "fsck": "Verify the cache, or what a remote holds, and mend it.",
        "gc": "Remove from the cache, or from a remote, what nobody needs any more.",
        "remote": "Name the places that contents are pushed to and fetched from.",
    },
    "Share": {
        "get": "Copy data out of another repository, without being in one.",
        "import": "Track data of another repository, and remember where it came from.",
        "import-url": "Track data from a URL, and remember where it came from.",
        "update": "Let imports move on to what their sources are now.",
    },
    "Settings": {
        "config": "Read and change settings.",
        "install": "Let git run vstore: in its hooks, to merge and to compare.",
        "doctor": "Tell what works here, what does not, and what is slow.",
        "completion": "Print the script that makes a shell complete vstore.",
    },
}
"""Section -> verb -> what it does, in the words with which its help begins."""

HIDDEN = ("merge-driver", "diff-driver", "hook")
"""Verbs that git runs, not people."""

_SUMMARIES = {name: summary for verbs in VERBS.values() for name, summary in verbs.items()}
_EPILOG = "`vstore VERB --help` tells more.  -q, -v and --no-progress may also stand behind the verb."


class Vstore(click.Group):
    """The verbs, imported one at a time."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all verbs."""
        return list(_SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb."""
        if cmd_name not in _SUMMARIES and cmd_name not in HIDDEN:
            return None
        name = cmd_name.replace("-", "_") + "_" * keyword.iskeyword(cmd_name)
        module = importlib.import_module(f"vstore.cli.commands.{name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb that was meant; names the nearest ones if there is none."""
        name = args[0]
        if name not in _SUMMARIES and name not in HIDDEN and not ctx.resilient_parsing:
            near = difflib.get_close_matches(name, _SUMMARIES)
            meant = f"; did you mean {' or '.join(near)}?" if near else ""
            ctx.fail(f"there is no verb {name!r}{meant}" if not name.startswith("-") else f"no such option: {name}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs by section, without importing them."""
        for section, verbs in VERBS.items():
            with formatter.section(section):
                formatter.write_dl(list(verbs.items()))


@click.group(cls=Vstore, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EPILOG)
@click.version_option(__version__, message="vstore %(version)s")
@click.option(
    "-C",
    "directory",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Run as if started in DIR.",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but results asked for, warnings and errors.")
@click.option("-v", "--verbose", is_flag=True, help="Show where an error came from.")
@click.option("--progress/--no-progress", default=None, help="Show progress (default: on a terminal).")
@click.pass_context
def cli(ctx: click.Context, directory: Path | None, quiet: bool, verbose: bool, progress: bool | None) -> None:
    """Version datasets, models and other large files alongside the code."""
    session = ctx.ensure_object(Session)
    session.directory, session.quiet, session.verbose, session.progress = directory, quiet, verbose, progress


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; arguments are those of the process unless given."""
    args = list(sys.argv[1:] if argv is None else argv)
    instruction = os.environ.get("_VSTORE_COMPLETE")
    if instruction:
        from click.shell_completion import shell_complete

        return shell_complete(cli, {}, "vstore", "_VSTORE_COMPLETE", instruction)
    gc.set_threshold(*_RARE_COLLECTIONS)
    for stream in (sys.stdout, sys.stderr):
        _accept_any_name(stream)
    if not args:
        sys.stderr.write(cli.get_help(click.Context(cli, info_name="vstore", **cli.context_settings)) + "\n")
        return failure.USAGE
    options = args[: args.index("--")] if "--" in args else args
    session = Session()
    try:
        with cli.make_context("vstore", args, obj=session) as ctx:
            code = cli.invoke(ctx)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except BrokenPipeError:
        _forget_pipe()
        return failure.BROKEN_PIPE
    except (KeyboardInterrupt, click.Abort):
        session.reporter.end()
        sys.stderr.write("\nInterrupted; the same command goes on where this one stopped.\n")
        return failure.INTERRUPTED
    except Exception as failed:  # noqa: BLE001  whatever it is, the user is told
        session.reporter.end()
        as_json = "--json" in options  # also where parsing them is what failed
        return failure.report(failed, sys.stderr, as_json=as_json, verbose=session.verbose, verb=_verb_of(args))


def _accept_any_name(stream: TextIO) -> None:
    """Let a stream take file names that are not text: their bytes come out as they are."""
    if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
        utf_8 = stream.encoding.lower().replace("-", "") == "utf8"
        stream.reconfigure(errors="surrogateescape" if utf_8 else "backslashreplace")


def _forget_pipe() -> None:
    """Let the interpreter flush at its end without complaining: nobody reads any more."""
    with contextlib.suppress(OSError, io.UnsupportedOperation):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _verb_of(args: Sequence[str]) -> str:
    # Only the verb: other arguments may be secrets.
    return next((arg for arg in args if arg in _SUMMARIES), "")
