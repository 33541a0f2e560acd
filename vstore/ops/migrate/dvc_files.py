"""The files that DVC keeps in git, and the lists of files in its cache: what they say, as values.

Paths in them are strangers' words: what leads out of the repository is passed over with its reason.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vstore.errors import CorruptError, InvalidError, RemoteExtraMissingError
from vstore.objects.names import RelPath, find_refusal
from vstore.ops.add import Labels
from vstore.ops.migrate.foreign import (
    MD5,
    MD5_OF_TEXT,
    ForeignArtifact,
    ForeignFile,
    ForeignVersion,
    parse_name,
)
from vstore.remote.transport import public_url
from vstore.workspace.ignoring import IGNORE_FILE

PIPELINE, DVC_IGNORE = "dvc.yaml", ".dvcignore"
MAX_FILE_BYTES = 64 * 1024 * 1024
"""More is no file of DVC's that git would keep; one that lists the files of a versioned bucket is about 5 MB."""
_REMARK = b"""\
# Add patterns of files dvc should ignore, which could improve
# the performance. Learn more at
# https://dvc.org/doc/user-guide/dvcignore
"""
MAX_LISTING_BYTES = 2 * 1024 * 1024 * 1024
_DIR = ".dir"
_MOST_VALUES = 10_000
_PLAIN = (str, bool, int, float)
# What a plain word means in YAML 1.2, which DVC writes; PyYAML's own rules are those of 1.1, where "no" is false.
_WORDS: Mapping[str, tuple[str, Iterable[str]]] = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    "float": (r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
}


@dataclass(frozen=True, slots=True)
class Found:
    """What a file of DVC's names: artifacts, and with the reason paths at which nothing is, or that cannot move."""

    artifacts: list[ForeignArtifact] = field(default_factory=list)
    skipped: list[tuple[RelPath, str]] = field(default_factory=list)
    refused: list[tuple[RelPath, str]] = field(default_factory=list)


def is_dvc_file(path: RelPath) -> bool:
    """Tell whether a path is that of a file of DVC's that git keeps and that names data."""
    name = path.rpartition("/")[2]
    return (name.endswith(".dvc") and name != ".dvc") or name == "dvc.lock"


def parse_dvc_file(data: bytes, path: RelPath) -> Found:
    """Return what a ``.dvc`` file names.  Raises InvalidError naming the file, RemoteExtraMissingError."""
    document = _load_yaml(data, path)
    folder = _folder(path, document)
    found = Found()
    source = _source(document)
    for out in _list(document, "outs", path):
        _add(found, out, folder=folder, written_in=path, source=source)
    if not found.artifacts:
        return found
    first = found.artifacts[0]
    # Files of DVC before 3.0 describe the stage as a whole.
    if len(found.artifacts) == 1 and first.labels == Labels() and document.get("desc"):
        found.artifacts[0] = dataclasses.replace(first, labels=_labels(document))
    return found


def parse_lock_file(data: bytes, path: RelPath, pipeline: bytes | None) -> Found:
    """Return the cached outputs that a ``dvc.lock`` names; ``pipeline`` is the ``dvc.yaml`` beside it.

    Raises as ``parse_dvc_file``.
    """
    document = _load_yaml(data, path)
    folder = path.rpartition("/")[0]
    stages = document.get("stages") if "schema" in document else document  # the first form was only the stages
    defined = _load_yaml(pipeline, posixpath.join(folder, PIPELINE)).get("stages") if pipeline else {}
    found = Found()
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        definition = _definition(defined, str(name))
        uncached = list(_iter_uncached(definition))
        below = posixpath.join(folder, str(definition.get("wdir", ".")))
        for out in _list(stage, "outs", path):
            if not any(pattern.fullmatch(str(out.get("path"))) for pattern in uncached):
                _add(found, out, folder=below, written_in=path, source={})
    return found


def parse_annotations(data: bytes, path: RelPath) -> dict[RelPath, Labels]:
    """Return what a ``dvc.yaml`` says about data, as its ``artifacts``.  Raises as ``parse_dvc_file``."""
    artifacts = _load_yaml(data, path).get("artifacts")
    folder = path.rpartition("/")[0]
    found = {}
    for said in artifacts.values() if isinstance(artifacts, dict) else ():
        about = resolve(folder, said.get("path")) if isinstance(said, dict) else None
        if about is not None:
            found[about] = _labels(said)
    return found


def own_rules(path: RelPath, content: bytes) -> dict[RelPath, bytes]:
    """Return our file of ignore rules, by its path, that says what a ``.dvcignore`` says; none if that says nothing."""
    rules = content.removeprefix(_REMARK)
    lines = (line.strip() for line in rules.splitlines())
    if not any(line and not line.startswith(b"#") for line in lines):
        return {}
    return {path.removesuffix(DVC_IGNORE) + IGNORE_FILE: rules}


def parse_listing(data: bytes, algorithm: str) -> tuple[ForeignFile, ...]:
    """Return the files of a directory that a ``.dir`` object lists.

    Raises CorruptError; names are checked, as everywhere, when a tree is made of them.
    """
    try:
        rows = json.loads(data)
        return tuple(_listed_file(row, algorithm) for row in rows)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CorruptError("it is no list of files that DVC writes") from error


def _listed_file(row: Mapping[str, Any], algorithm: str) -> ForeignFile:
    path = row["relpath"]
    if not isinstance(path, str) or not path:
        raise InvalidError(f"{path!r} is no path")
    return ForeignFile(path, parse_name(algorithm, row["md5"]), row.get("isexec") is True, _versions(row))


def _add(found: Found, out: Mapping[str, Any], *, folder: str, written_in: RelPath, source: Mapping[str, Any]) -> None:
    named = out.get("path")
    path = resolve(folder, named)
    if path is None:
        found.refused.append((str(named), "is outside the repository"))
        return
    if out.get("cache") is False:
        found.skipped.append((path, "is kept by git itself, not by DVC"))
        return
    try:
        artifact = _artifact(out, path, written_in)
    except (InvalidError, KeyError, TypeError, AttributeError):
        found.refused.append((path, f"has no hash that makes sense in {written_in}"))
        return
    if artifact is None:
        found.skipped.append((path, "was never downloaded or computed: it has no hash"))
    else:
        found.artifacts.append(dataclasses.replace(artifact, source=source))


def _artifact(out: Mapping[str, Any], path: RelPath, written_in: RelPath) -> ForeignArtifact | None:
    algorithm = MD5 if out.get("hash", "") == MD5 else MD5_OF_TEXT
    remote = out.get("remote")
    artifact = ForeignArtifact(
        path,
        written_in,
        "tree",
        labels=_labels(out),
        remote=remote if isinstance(remote, str) else None,
        is_private=out.get("push") is False,
    )
    if "files" in out:
        files = tuple(_listed_file(row, algorithm) for row in out["files"])
        return dataclasses.replace(artifact, files=files)
    text = out.get("md5")
    if not text:
        return None
    if str(text).endswith(_DIR):
        listing = parse_name(algorithm, text.removesuffix(_DIR), is_list=True)
        return dataclasses.replace(artifact, listing=listing)
    file = ForeignFile("", parse_name(algorithm, text), out.get("isexec") is True, _versions(out))
    return dataclasses.replace(artifact, kind="file", files=(file,))


def _versions(row: Mapping[str, Any]) -> tuple[ForeignVersion, ...]:
    """Return in which versions remotes hold a file that they keep by its own name."""
    size_bytes, cloud = row.get("size"), row.get("cloud")
    if not isinstance(cloud, dict) or not isinstance(size_bytes, int):
        return ()
    told = [(remote, said.get("version_id")) for remote, said in cloud.items() if isinstance(said, dict)]
    return tuple(ForeignVersion(str(remote), str(name), size_bytes) for remote, name in told if name is not None)


def resolve(folder: str, *named: object) -> RelPath | None:
    """Return the path of the work tree that names mean, or None if it is outside or odd."""
    path = folder
    for name in named:
        if not isinstance(name, str) or not name or name.startswith("/") or "://" in name:
            return None
        path = posixpath.join(path, name)
    path = posixpath.normpath(path)
    return None if path == "." or find_refusal(path) else path


def _folder(path: RelPath, document: Mapping[str, Any]) -> str:
    return posixpath.join(path.rpartition("/")[0], str(document.get("wdir") or "."))


def _labels(out: Mapping[str, Any]) -> Labels:
    labels = out.get("labels")
    meta = out.get("meta")
    return Labels(
        type=_text(out.get("type")),
        description=_text(out.get("desc")),
        labels=tuple(label for label in labels if isinstance(label, str)) if isinstance(labels, list) else (),
        meta=_plain(meta, [_MOST_VALUES]) if isinstance(meta, dict) else {},
    )


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, _PLAIN) and value != "" else None


def _plain(value: Any, budget: list[int]) -> Any:
    """Return a value without what a pointer cannot hold: nothing stands where there was nothing.

    An alias may repeat a value that repeats others: what grows beyond the budget is no description of data.
    """
    budget[0] -= 1
    if budget[0] < 0:
        raise InvalidError("it describes itself at too great a length")
    if isinstance(value, dict):
        return {str(key): _plain(item, budget) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_plain(item, budget) for item in value if item is not None]
    return value if isinstance(value, _PLAIN) else str(value)


def _source(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return where imported data came from, in the words of our pointers."""
    deps = document.get("deps")
    dep = deps[0] if isinstance(deps, list) and len(deps) == 1 and isinstance(deps[0], dict) else {}
    path, repo = dep.get("path"), dep.get("repo")
    if not isinstance(path, str) or not document.get("frozen"):
        return {}
    if isinstance(repo, dict):
        found = {"repo": repo.get("url"), "path": path, "rev": repo.get("rev"), "commit": repo.get("rev_lock")}
        location = found["repo"]
    else:
        # Which version that was is said in other words here.
        location = re.sub(r"^azure://", "az://", path)
        found = {"url": location}
    return {key: value for key, value in found.items() if isinstance(value, str)} if _is_place(location) else {}


def _is_place(location: object) -> bool:
    """Tell whether a location means the same to everybody, and holds nothing secret."""
    if not isinstance(location, str) or location.startswith("remote://"):
        return False
    if "://" in location:
        return public_url(location) == location
    return location.startswith("/") or re.match(r"[\w.@-]+:", location) is not None


def _definition(stages: Any, name: str) -> Mapping[str, Any]:
    """Return how ``dvc.yaml`` defines a stage; "name@item" is one of many that a template makes."""
    stage = stages.get(name, stages.get(name.partition("@")[0])) if isinstance(stages, dict) else None
    stage = stage.get("do", stage) if isinstance(stage, dict) else {}
    return stage if isinstance(stage, dict) else {}


def _iter_uncached(definition: Mapping[str, Any]) -> Iterator[re.Pattern[str]]:
    """Yield patterns of the outputs that are not cached: git keeps them."""
    for kind in ("outs", "metrics", "plots"):
        for out in definition.get(kind) or ():
            for path, flags in out.items() if isinstance(out, dict) else ():
                if isinstance(flags, dict) and flags.get("cache") is False:
                    parts = re.split(r"\$\{[^}]*\}", str(path))
                    yield re.compile(".*".join(map(re.escape, parts)), re.DOTALL)


def _list(document: Any, name: str, path: RelPath) -> list[Mapping[str, Any]]:
    values = document.get(name) if isinstance(document, dict) else None
    if values is None:
        return []
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise InvalidError(f"{path} is no file that DVC writes: {name} is no list", path=path)
    return values


def _load_yaml(data: bytes, path: RelPath) -> dict[str, Any]:
    try:
        yaml = importlib.import_module("yaml")  # an extra, and 30 ms
    except ImportError as error:
        message = "the package that reads YAML, in which DVC writes, is not installed"
        raise RemoteExtraMissingError(message, extra="dvc") from error
    if len(data) > MAX_FILE_BYTES:
        raise InvalidError(f"{path} is too large for a file that DVC keeps in git", path=path)
    try:
        document = yaml.load(data, Loader=_loader(yaml))
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise InvalidError(f"{path}{where}: not the YAML that DVC writes", path=path) from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise InvalidError(f"{path} is no file that DVC writes", path=path)
    return document


def _loader(yaml: Any) -> Any:
    loader: Any = type("_Loader", (getattr(yaml, "CSafeLoader", yaml.SafeLoader),), {"yaml_implicit_resolvers": {}})
    for word, (pattern, first) in _WORDS.items():
        loader.add_implicit_resolver(f"tag:yaml.org,2002:{word}", re.compile(f"^(?:{pattern})$"), list(first))
    return loader
