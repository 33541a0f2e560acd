"""Bringing lost contents back into the cache: from chunks in packs, files of the work tree, and remotes."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence

from vstore.cache.loose import hash_file
from vstore.cache.salvage import find_parts
from vstore.cache.writer import CacheWriter, open_writer
from vstore.errors import VstoreError
from vstore.objects.chunking import SMALL_BYTES
from vstore.objects.digest import Digest, algorithm_of, hash_bytes
from vstore.objects.names import RelPath
from vstore.objects.tree import Tree
from vstore.ops.fsck.holdings import Lack
from vstore.ops.fsck.remote_repair import passing_over
from vstore.ops.trees import find_tree
from vstore.remote.content import Content
from vstore.remote.remote import Remote
from vstore.repo import Repo

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Restoring:
    """Brings lost contents back; for callers that hold the work tree's lock.

    ``restored`` counts them.  What is good nowhere, or only in places that cannot be reached, stays lost.
    """

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self.restored = 0

    def bring_trees(self, lacks: Sequence[Lack]) -> None:
        """Bring back lists of files, without which nobody knows what else is lost."""
        lost = {
            lack.version.pointer.digest: lack
            for lack in lacks
            if lack.version.pointer.is_tree and lack.contents[0].digest == lack.version.pointer.digest
        }
        with open_writer(self._repo.cache, self._repo.warn_of_damage) as writer:
            for digest, lack in list(lost.items()):
                tree = self._list_again(lack)
                if tree is not None:
                    self._keep_tree(tree, algorithm_of(digest).name, writer)
                    del lost[digest]
            for name in self._repo.remote_names() if lost else ():
                with passing_over(self._repo, name), self._repo.open_remote(name) as remote:
                    for digest in list(lost):
                        tree = _read_blob(remote, digest)
                        if tree is not None:
                            self._keep_tree(tree, algorithm_of(digest).name, writer)
                            del lost[digest]

    def _keep_tree(self, tree: bytes, algorithm: str, writer: CacheWriter) -> None:
        writer.add_bytes(tree, algorithm)
        self.restored += 1

    def _list_again(self, lack: Lack) -> bytes | None:
        """Return the list of files of what lies in the work tree, if that is the one that is lost."""
        root, pointer = lack.version.target.artifact.path, lack.version.pointer
        if algorithm_of(pointer.digest).name != self._repo.algorithm:
            return None
        snapshot = self._repo.snapshotter().take(self._repo.work_tree / root, root)
        return snapshot.tree if snapshot.digest == pointer.digest else None

    def bring_contents(self, lacks: Sequence[Lack]) -> None:
        """Bring back contents of files."""
        lost = {content.digest: content for lack in lacks for content in lack.contents}
        self._repo.reporter.begin("restoring", total=sum(each.size_bytes for each in lost.values()), unit="bytes")
        with open_writer(self._repo.cache, self._repo.warn_of_damage) as writer:
            for lack in lacks:
                self._take_files(lack, lost, writer)
            for content in [content for content in lost.values() if not content.is_small]:
                if self._assemble(content.digest, writer):
                    del lost[content.digest]
        self._repo.reporter.end()
        owners = {lack.version.pointer.digest for lack in lacks}
        for name in self._repo.remote_names() if lost else ():
            if lost:
                with passing_over(self._repo, name), self._repo.open_remote(name) as remote:
                    self._fetch(remote, lost, owners)

    def _take_files(self, lack: Lack, lost: dict[Digest, Content], writer: CacheWriter) -> None:
        """Take what is lost from the files of the work tree that hold just that."""
        root, pointer = lack.version.target.artifact.path, lack.version.pointer
        if not pointer.is_tree:
            if pointer.digest in lost and self._take_file(root, lost[pointer.digest], writer):
                del lost[pointer.digest]
            return
        tree = find_tree(self._repo, pointer.digest)
        for entry in Tree.from_bytes(tree).entries if tree is not None else ():
            if entry.is_file and entry.digest in lost:
                content = Content(entry.digest, entry.size_bytes)
                if self._take_file(f"{root}/{entry.path}", content, writer):
                    del lost[entry.digest]

    def _take_file(self, path: RelPath, content: Content, writer: CacheWriter) -> bool:
        """Put a file into the cache if it is what is lost."""
        algorithm = algorithm_of(content.digest).name
        try:
            descriptor = os.open(self._repo.work_tree / path, _FLAGS)
        except OSError:
            return False
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size != content.size_bytes:
                return False
            if content.size_bytes <= SMALL_BYTES:
                data = os.pread(descriptor, content.size_bytes, 0)
                is_right = hash_bytes(data, algorithm) == content.digest
                if is_right:
                    writer.add_small(content.digest, data)
            else:
                # Hashed before it is copied: most candidates are other versions.
                is_right = hash_file(descriptor, algorithm, self._repo.reporter.advance)[0] == content.digest
                if is_right:
                    copy = writer.copy_large(descriptor, algorithm, _ignore)
                    is_right = copy.digest == content.digest
                    (writer.add_large if is_right else writer.drop_large)(copy)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        self.restored += is_right
        return is_right

    def _assemble(self, digest: Digest, writer: CacheWriter) -> bool:
        """Put a large content together from chunks, where packs of a remote were copied into the cache."""
        cache = self._repo.cache
        parts = find_parts(cache, digest)
        if parts is None:
            return False
        with contextlib.suppress(VstoreError, OSError):
            with writer.open_partial(digest) as file:
                file.truncate(0)
                for chunk in parts.chunks:
                    file.write(cache.read(chunk))
                writer.finish_partial(digest, file)
            self.restored += 1
            return True
        return False

    def _fetch(self, remote: Remote, lost: dict[Digest, Content], owners: set[Digest]) -> None:
        with open_writer(self._repo.cache, self._repo.warn_of_damage) as writer:
            report = remote.fetch(list(lost.values()), writer, roots=owners, reporter=self._repo.reporter)
        for digest in lost.keys() - set(report.missing):
            del lost[digest]
        self.restored += report.contents


def _ignore(_: int) -> None:
    """Count nothing: it was counted when it was hashed."""


def _read_blob(remote: Remote, digest: Digest) -> bytes | None:
    try:
        tree = remote.read_blob(digest)
    except VstoreError:
        return None
    return tree if hash_bytes(tree, algorithm_of(digest).name) == digest else None
