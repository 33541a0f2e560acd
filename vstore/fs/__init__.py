"""``vstore://`` for fsspec: any version of any repository, for whatever opens files through fsspec."""

from vstore.fs.filesystem import VstoreFileSystem

__all__ = ["VstoreFileSystem"]
