"""``remote``: name the places that contents are pushed to and fetched from."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vstore.config import (
    Layer,
    RemoteSettings,
    is_secret,
    masked_url,
    remove_section,
    rename_section,
    set_value,
    unset_value,
)
from vstore.errors import ConflictError, InvalidError, RemoteDeniedError, RemoteUnavailableError, SettingNotFoundError
from vstore.objects.pointer import POINTER_SUFFIX, Pointer
from vstore.ops.config import choose_layer, find_file, stage_config, unset_setting
from vstore.ops.resolve import list_artifacts
from vstore.ops.staging import stage
from vstore.remote.opening import check_url
from vstore.remote.probe import Probe, ProbeStep
from vstore.repo import Repo
from vstore.workspace.pointers import Artifact, write_pointer

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_LAYERS = (Layer.PROJECT, Layer.LOCAL)
_OWN_OPTIONS = {"compact", "listing", "read_only", "retention_days"}


@dataclass(frozen=True, slots=True)
class RemoteInfo:
    """One remote; secrets in its URL and options are ``***``."""

    name: str
    url: str
    default: bool
    read_only: bool
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RemotesResult:
    """The remotes there are now."""

    remotes: list[RemoteInfo]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was tried at a remote; ``error`` says why it did not work, and is None where it did."""

    action: str
    """connect, list, write, read, list-new (whether listings show what was just written) or delete."""
    error: str | None
    code: str | None = None
    """Of which kind the error is, as in the list of errors."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The facts of the error, as its ``cause``."""
    note: str = ""
    """What else there is to say: that it is read-only, or that nothing is there yet."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What works at one remote."""

    name: str
    url: str
    steps: list[Step]
    """In the order in which they were tried; after a failure that all would share no more are."""
    ok: bool
    round_trip_s: float | None = None
    """The median of the requests that worked, in seconds."""
    left: str | None = None
    """An object of the check that could not be deleted again."""
    strangers: list[str] = field(default_factory=list)
    """Names at a place that holds nothing of vstore: another place may be meant."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Where requests went and as whom, as far as the driver tells."""


def list_remotes(repo: Repo) -> RemotesResult:
    """Return the remotes, by name."""
    return RemotesResult([_info(repo, settings) for _, settings in sorted(repo.config.remotes.items())])


def add_remote(
    repo: Repo, environ: Mapping[str, str], name: str, url: str, *, default: bool = False, layer: Layer | None = None
) -> None:
    """Name a place; ``default`` makes it the one that is meant when none is named.

    The relative path of a directory is kept, so that clones find it likewise.  A URL with a password stays local.
    Again it only ends what was stopped.
    Raises InvalidError for odd names and for places that data cannot be pushed to, ConflictError if the name is taken.
    """
    if not _NAME.fullmatch(name):
        raise InvalidError(f"{name!r} is no name for a remote: letters, digits, - and _ are", name=name)
    if not url:
        raise InvalidError("an empty URL names no place", url=url)
    if "://" not in url and not os.path.isabs(url) and not url.startswith("~"):
        url = os.path.relpath(os.path.normpath(repo.start / url), repo.work_tree)
    known = {setting.value for setting in repo.config.entries() if setting.name == f"remote.{name}.url"}
    if known - {url}:
        raise ConflictError(f"there is a remote named {name} already", name=name)
    _check_place(repo, url, {})
    if default:
        set_default(repo, environ, name, layer=layer)
    _set(repo, environ, f"remote.{name}.url", url, layer)


def set_remote(
    repo: Repo, environ: Mapping[str, str], name: str, key: str, value: str, *, layer: Layer | None = None
) -> None:
    """Set an option of a remote: ``url``, one of vstore's own, or one of its driver.

    Secrets go to the local layer.  Raises RemoteNotFoundError, ConfigInvalidError, and InvalidError for a place that
    data cannot be pushed to and for what a directory cannot have.
    """
    settings = repo.config.remotes[repo.remote_name(name)]
    option = key.lower().replace("-", "_")
    if option == "url":
        _check_place(repo, value, {})
    elif option not in _OWN_OPTIONS:
        _check_place(repo, settings.url, {key: value})
    _set(repo, environ, f"remote.{name}.{key}", value, layer)


def unset_remote(repo: Repo, environ: Mapping[str, str], name: str, key: str, *, layer: Layer | None = None) -> None:
    """Remove an option of a remote, from the file that is in force unless a layer is named.

    Raises RemoteNotFoundError, SettingNotFoundError, and InvalidError for ``url``: what has none is no remote.
    """
    repo.remote_name(name)
    if key.lower() == "url":
        raise InvalidError(f"what has no url is no remote: {name} keeps it, or is removed as a whole", name=name)
    unset_setting(repo.start, environ, f"remote.{name}.{key}", layer=layer)


def set_default(repo: Repo, environ: Mapping[str, str], name: str, *, layer: Layer | None = None) -> None:
    """Make a remote the one that is meant when none is named."""
    _set(repo, environ, "core.remote", name, layer)


def rename_remote(repo: Repo, environ: Mapping[str, str], old: str, new: str) -> None:
    """Rename a remote everywhere in this repository, also in the pointers that are routed to it.

    Raises RemoteNotFoundError, InvalidError, ConflictError.
    """
    repo.remote_name(old)
    if not _NAME.fullmatch(new):
        raise InvalidError(f"{new!r} is no name for a remote: letters, digits, - and _ are", name=new)
    if new in repo.config.remotes:
        raise ConflictError(f"there is a remote named {new} already", name=new)
    with repo.writing():
        layers = _layers_of(repo, environ, old)
        # The name itself comes last: until then the same command can be run again.
        for artifact, pointer in _routed(repo, old):
            write_pointer(repo.work_tree, artifact.path, dataclasses.replace(pointer, remote=new))
            stage(repo, [artifact.path + POINTER_SUFFIX])
        for path in _defaulting_to(repo, environ, old):
            set_value(path, "core.remote", new)
        for path in layers:
            rename_section(path, f"remote.{old}", f"remote.{new}")
        stage_config(repo.start, environ, repo.reporter)


def remove_remote(repo: Repo, environ: Mapping[str, str], name: str) -> None:
    """Forget a remote; what it holds stays there.  Raises RemoteNotFoundError, ConflictError if pointers need it."""
    repo.remote_name(name)
    routed = [artifact.path for artifact, _ in _routed(repo, name)]
    if routed:
        raise ConflictError(f"the data of {routed[0]} belongs to the remote {name}", paths=routed)
    layers = _layers_of(repo, environ, name)
    for path in _defaulting_to(repo, environ, name):
        unset_value(path, "core.remote")
    for path in layers:
        remove_section(path, f"remote.{name}")
    stage_config(repo.start, environ, repo.reporter)


def check_remote(repo: Repo, name: str | None = None) -> CheckResult:
    """Try to list, write, read and delete at a remote; some have to be connected to first, which may fail, too.

    Raises RemoteNotFoundError, InvalidError, RemoteExtraMissingError.
    """
    name = repo.remote_name(name)
    try:
        with repo.open_remote(name) as remote:
            found, url = remote.probe(), remote.url
    except (RemoteUnavailableError, RemoteDeniedError) as error:
        url = repo.config.remotes[name].url
        found = Probe([ProbeStep("connect", error)], None, None, [], {})
    steps = [_step(step, name) for step in found.steps]
    return CheckResult(
        name,
        masked_url(url),
        steps,
        all(step.error is None for step in steps),
        found.round_trip_s,
        found.left,
        found.strangers,
        found.facts,
    )


def _step(step: ProbeStep, remote: str) -> Step:
    if step.error is None:
        return Step(step.action, None, note=step.note)
    return Step(step.action, step.error.message, step.error.code, step.error.fields | {"remote": remote})


def _info(repo: Repo, settings: RemoteSettings) -> RemoteInfo:
    options = {
        key: "***" if is_secret(f"remote.{settings.name}.{key}") else masked_url(value)
        for key, value in sorted(settings.options.items())
    }
    default = settings.name == repo.config.default_remote or len(repo.config.remotes) == 1
    return RemoteInfo(settings.name, masked_url(settings.url), default, settings.read_only, options)


def _check_place(repo: Repo, url: str, options: Mapping[str, str]) -> None:
    directory = check_url(url, options, root=repo.work_tree)
    if directory is None:
        return
    directory = Path(os.path.realpath(directory))
    if directory == repo.work_tree:
        raise InvalidError(f"{url} is the work tree itself", url=url)
    reserved = [repo.work_tree / ".git", repo.directory]
    if repo.git is not None:
        reserved.append(Path(os.path.realpath(repo.git.common_dir)))
    if any(directory.is_relative_to(place) for place in reserved):
        raise InvalidError(f"{url} belongs to git or vstore", url=url)


def _set(repo: Repo, environ: Mapping[str, str], name: str, value: str, layer: Layer | None) -> None:
    chosen = layer or choose_layer(name, value)
    set_value(find_file(repo.start, environ, chosen), name, value)
    if chosen is Layer.PROJECT:
        stage_config(repo.start, environ, repo.reporter)


def _routed(repo: Repo, name: str) -> list[tuple[Artifact, Pointer]]:
    return [
        (artifact, artifact.pointer)
        for artifact in list_artifacts(repo)
        if isinstance(artifact.pointer, Pointer) and artifact.pointer.remote == name
    ]


def _defaulting_to(repo: Repo, environ: Mapping[str, str], name: str) -> list[Path]:
    """Return the files of this repository that make a remote the default, also where another one outdoes them."""
    settings = [(layer, setting) for layer in _LAYERS for setting in repo.config.entries(layer)]
    layers = {layer for layer, setting in settings if (setting.name, setting.value) == ("core.remote", name)}
    return [find_file(repo.start, environ, layer) for layer in _LAYERS if layer in layers]


def _layers_of(repo: Repo, environ: Mapping[str, str], name: str) -> list[Path]:
    """Return the files of this repository that say something of a remote, the one with its URL last.

    Raises SettingNotFoundError if none does.
    """
    prefix, url = f"remote.{name}.", f"remote.{name}.url"
    names = {layer: {setting.name for setting in repo.config.entries(layer)} for layer in _LAYERS}
    found = [layer for layer in _LAYERS if any(each.startswith(prefix) for each in names[layer])]
    if not found:
        fact = f"the remote {name} is not set in this repository's own files"
        raise SettingNotFoundError(fact, setting=f"remote.{name}")
    return [find_file(repo.start, environ, layer) for layer in sorted(found, key=lambda layer: url in names[layer])]
