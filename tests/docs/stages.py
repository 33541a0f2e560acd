"""Stages: the servers that pages about remotes need.

A page shows addresses that its reader would have; on its stage others stand for them.  ``STAGES`` has a stage for each
page that needs one, which is made in the home directory of the page before its first command.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from tests.servers.s3 import running_moto

_NOTHING: Mapping[str, str] = {}


class Stage(NamedTuple):
    """What is different when a page is run: text that is shown → text that is used, and more of an environment.

    The texts are replaced in commands, and back in what they print.
    """

    stands_for: Mapping[str, str] = _NOTHING
    environ: Mapping[str, str] = _NOTHING

    def to_real(self, text: str) -> str:
        """Return a command as it is run."""
        for shown, real in self.stands_for.items():
            text = text.replace(shown, real)
        return text

    def to_shown(self, text: str) -> str:
        """Return what was printed as the page shows it."""
        for shown, real in self.stands_for.items():
            text = text.replace(real, shown)
        return text


@contextlib.contextmanager
def s3_stage(_home: Path) -> Iterator[Stage]:
    """An S3 server that stands for Amazon's, and for another one, with the bucket of the page."""
    with running_moto() as server:
        server.client().create_bucket(Bucket="datasets")
        environ = {
            "AWS_ACCESS_KEY_ID": server.key,
            "AWS_SECRET_ACCESS_KEY": server.secret,
            "AWS_DEFAULT_REGION": server.region,
            "AWS_ENDPOINT_URL": server.endpoint_url,
        }
        yield Stage({"https://s3.example.org": server.endpoint_url}, environ)


STAGES: Mapping[str, Callable[[Path], AbstractContextManager[Stage]]] = {
    "docs/guides/remote-s3.md": s3_stage,
}
"""Name of a page → how to make its stage in a home directory.  Raises ServerMissingError."""


def open_stage(page: str, home: Path) -> AbstractContextManager[Stage]:
    """Make the stage of a page, if it has one.  Raises ServerMissingError where what it needs is not installed."""
    make = STAGES.get(page)
    return contextlib.nullcontext(Stage()) if make is None else make(home)
