"""Runs one server for as long as somebody holds its lease, then kills it with all its children.

A program of its own, ``guard.py LEASE COMMAND...``: whatever happens to the tests, even kill -9, it sees the lease
free (the system drops the locks of the dead) and leaves no server behind.  That the file of the lease is gone tells
that the server is, too.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time

_POLL_S = 0.1


def main(lease: str, command: list[str]) -> None:
    """Start the command in this process group, wait until it ends or nobody wants it, and end the group."""
    if os.fork():
        # Nobody waits for a guard: it is the child of no test.
        os._exit(0)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    with open(lease, "rb") as file:
        while child.poll() is None and _is_held(file.fileno()):
            time.sleep(_POLL_S)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(lease)
    # Nothing that a test server keeps is worth an orderly end.  Some leave the group, as Swift does.
    child.kill()
    os.killpg(0, signal.SIGKILL)


def _is_held(lease: int) -> bool:
    # Once it is ours it stays ours: nobody takes a lease on a server that is being killed.
    try:
        fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
