"""``UPath("vstore://...")``: paths of universal-pathlib, which finds this class by its entry point."""

from __future__ import annotations

from upath import UPath


class VstorePath(UPath):  # type: ignore[misc]
    """A path of a version, with the methods of ``pathlib.Path`` that read."""

    __slots__ = ()
