"""Mending a remote: bringing again what it should hold, from the cache, from good copies there, from other remotes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

from vstore.cache.writer import open_writer
from vstore.errors import CorruptError, ObjectMissingError, VstoreError
from vstore.objects.digest import Digest, algorithm_of, hash_bytes
from vstore.objects.tree import find_contents
from vstore.ops import trees
from vstore.ops.transfer import refresh_listing
from vstore.remote.commits import CommittedRoot
from vstore.remote.content import Content, Root
from vstore.remote.inspection import Examined, Verdict
from vstore.remote.remote import Remote
from vstore.remote.unpinned import Unpinned
from vstore.repo import Repo

_BATCH_CONTENTS = 1_000_000


def repair_remote(repo: Repo, remote: Remote, verdict: Verdict) -> tuple[int, list[str]]:
    """Make whole what can be made whole of what an inspection found; return how many bytes were uploaded, and remarks.

    Documents are written anew, then all roots that are not whole are pushed again, but for those of which something
    is good nowhere.  What lies in packs that no commit names is not uploaded again, once it was read.
    Nothing is deleted, and nobody's pins are changed: new commits pin new packs.
    Raises CorruptError for a damaged format, UnavailableError.
    """
    remote.mend_documents(verdict)
    broken = [found for found in verdict.examined if not found.is_whole]
    is_lacking = any(found.lacking for found in broken)
    unpinned = remote.find_unpinned(reporter=repo.reporter) if is_lacking else None
    roots = (root for found in broken if (root := complete_root(repo, remote, found.root, unpinned)) is not None)
    with remote.distrusting(broken):
        uploaded_bytes = sum(_push(repo, remote, batch, unpinned) for batch in _iter_batches(roots))
    refresh_listing(repo, remote)
    return uploaded_bytes, [] if unpinned is None else [*unpinned.remarks, *_remark_on(unpinned, broken)]


def _remark_on(unpinned: Unpinned, broken: Iterable[Examined]) -> Iterator[str]:
    """Say that packs were taken over, and on whose word."""
    if unpinned.relied:
        number = len(unpinned.relied)
        what = "a pack that no commit named is" if number == 1 else f"{number:,} packs that no commit named are"
        proven = all(algorithm_of(found.root.digest).proves_identity for found in broken)
        word = "" if proven else "; what is not in the cache was taken on the word of those who can write there"
        yield f"{what} relied upon now{word}"


def _iter_batches(roots: Iterable[Root]) -> Iterator[list[Root]]:
    """Yield roots in batches that do not need too many contents at once: hundreds of versions may be broken."""
    batch: list[Root] = []
    for root in roots:
        batch.append(root)
        if sum(len(root.contents) for root in batch) > _BATCH_CONTENTS:
            yield batch
            batch = []
    if batch:
        yield batch


def _push(repo: Repo, remote: Remote, roots: Sequence[Root], unpinned: Unpinned | None) -> int:
    sought: set[Digest] = set()
    set_aside: set[Digest] = set()
    while roots:
        try:
            if unpinned is None:
                plan = remote.plan_push(roots, reporter=repo.reporter)
            else:
                plan = unpinned.plan_push(roots, repo.cache)
            return remote.push(plan, repo.cache, reporter=repo.reporter).uploaded_bytes
        except ObjectMissingError as error:
            missing = set(error.fields.get("digests", ()))
            if missing <= sought or not _fetch(repo, remote, roots, missing):
                whole = [root for root in roots if not any(content.digest in missing for content in root.contents)]
                if len(whole) == len(roots):
                    raise
                roots = whole
            sought |= missing
        except CorruptError as error:
            digest = error.fields.get("digest")
            if digest is None or digest in set_aside or not repo.cache.has(digest):
                raise
            repo.reporter.warn(f"the cached object {digest} is damaged and was set aside")
            repo.cache.set_aside(digest)
            set_aside.add(digest)
    return 0


def complete_root(repo: Repo, remote: Remote, root: CommittedRoot, unpinned: Unpinned | None = None) -> Root | None:
    """Return a root with all that it needs, or None where what it lists is not known anywhere."""
    if root.kind != "tree":
        return Root(root.digest, root.kind, [Content(root.digest, root.size_bytes)], root.path, root.git_commit)
    tree = find_tree(repo, root.digest, remote=remote)
    if tree is None and unpinned is not None:
        tree = unpinned.find_content(root.digest)
    for name in _others(repo, remote):
        if tree is None:
            with passing_over(repo, name), repo.open_remote(name) as other:
                tree = find_tree(repo, root.digest, remote=other)
    try:
        below = None if tree is None else find_contents(tree)
    except CorruptError:
        return None
    if tree is None or below is None:
        return None
    with open_writer(repo.cache) as writer:
        writer.add_bytes(tree, algorithm_of(root.digest).name)
    contents = [Content(root.digest, len(tree)), *(Content(*pair) for pair in dict.fromkeys(below))]
    return Root(root.digest, root.kind, contents, root.path, root.git_commit)


def find_tree(repo: Repo, digest: Digest, *, remote: Remote | None = None) -> bytes | None:
    """Return a verified tree from the cache, else from a remote, or None."""
    tree = trees.find_tree(repo, digest)
    if tree is None and remote is not None:
        try:
            tree = remote.read_blob(digest)
        except VstoreError:
            return None
    return tree if tree is not None and hash_bytes(tree, algorithm_of(digest).name) == digest else None


def _fetch(repo: Repo, remote: Remote, roots: Sequence[Root], missing: set[Digest]) -> bool:
    """Bring missing contents into the cache from wherever they are good; tell whether any came."""
    contents = {content.digest: content for root in roots for content in root.contents if content.digest in missing}
    owners = {root.digest for root in roots if any(content.digest in missing for content in root.contents)}

    def fetch_from(source: Remote) -> None:
        with open_writer(repo.cache, repo.warn_of_damage) as writer:
            report = source.fetch(list(contents.values()), writer, roots=owners, reporter=repo.reporter)
        for digest in contents.keys() - report.missing:
            del contents[digest]

    fetch_from(remote)
    for name in _others(repo, remote):
        if contents:
            with passing_over(repo, name), repo.open_remote(name) as other:
                fetch_from(other)
    return len(contents) < len(missing)


def _others(repo: Repo, remote: Remote) -> list[str]:
    return sorted(repo.config.remotes.keys() - {remote.name})


@contextlib.contextmanager
def passing_over(repo: Repo, name: str) -> Iterator[None]:
    """Let another remote that cannot be read stop nothing."""
    try:
        yield
    except VstoreError as error:
        repo.reporter.warn(f"the remote {name} was passed over: {error.message}")
