"""``UPath("vstore://...")``: paths of universal-pathlib, which finds this class by its entry point."""

from __future__ import annotations

import fsspec
from upath import UPath

from vstore.fs.filesystem import VstoreFileSystem
from vstore.objects.address import PROTOCOL

# Of a protocol whose class fsspec has not imported yet, universal-pathlib would guess how its paths are split.
fsspec.register_implementation(PROTOCOL, VstoreFileSystem, clobber=True)


class VstorePath(UPath):  # type: ignore[misc]
    """A path of a version, with the methods of ``pathlib.Path`` that read."""

    __slots__ = ()
