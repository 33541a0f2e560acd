"""Writes what the documentation has from the code: references, and what commands print.

    python -m tests.docs.generate

In a page of ``docs/reference`` everything below the marker is generated, and what is above it is kept.  In pages with
commands, output that is not as shown is replaced by what was printed: look at the difference before you commit it.
A ``?`` stands for output that is not known yet.  A page whose commands fail unexpectedly is left alone.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import importlib
import inspect
import keyword
import re
import sys
import tempfile
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

import vstore
from tests.command import PROJECT
from tests.docs import transcript
from tests.servers.running import ServerMissingError
from vstore import api, errors
from vstore.cli import failure
from vstore.cli.main import VERBS, cli
from vstore.cli.remote_hints import ENGINE_HINTS, PERMISSIONS, consequence_of, hint_for_remote
from vstore.config import SETTINGS
from vstore.errors import VstoreError
from vstore.progress import SILENT
from vstore.remote.fsspec_transport.drivers import ROOMS, find_driver

MARKER = "<!-- generated from here on: python -m tests.docs.generate -->\n"
TRANSCRIPTS = sorted(
    page.relative_to(PROJECT).as_posix()
    for page in [PROJECT / "README.md", *PROJECT.glob("docs/**/*.md")]
    if re.search(r"^```(console|python)$", page.read_text("utf-8"), re.MULTILINE)
)
"""The pages with commands."""

_STORES = {
    "S3": "s3://BUCKET",
    "Google": "gs://BUCKET",
    "Azure": "az://CONTAINER",
    "SSH": "ssh://HOST/PATH",
    "HDFS": "hdfs://HOST/PATH",
    "a directory": "PATH",
    "HTTP": "https://HOST/PATH",
}
"""A place of each kind."""


# The command line


def _cli_page() -> Iterator[str]:
    known: set[type] = set()
    for section, verbs in VERBS.items():
        yield f"## {section}\n"
        for name in verbs:
            yield from _verb(name, importlib.import_module(f"vstore.cli.commands.{_python_name(name)}").command, known)


def _verb(name: str, command: click.Command, known: set[type], parent: click.Context | None = None) -> Iterator[str]:
    ctx = click.Context(command, info_name=name, parent=parent or click.Context(cli, info_name="vstore"))
    yield f"### {ctx.command_path}\n" if parent is None else f"#### {ctx.command_path}\n"
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    yield f"    {usage}\n"
    yield _plain(command.help or "")
    options = [record for found in command.params if (record := found.get_help_record(ctx)) and record[1]]
    if options:
        yield _table(("option", "meaning"), [(f"`{option}`", text) for option, text in options])
    if isinstance(command, click.Group):
        for child in command.list_commands(ctx):
            found = command.get_command(ctx, child)
            assert found is not None
            yield from _verb(child, found, known, ctx)
    elif any(found.name == "json" for found in command.params):
        words = ctx.command_path.split()[1:]
        yield "With `--json`:\n"
        yield from _keys(_result_of(words), known)
        for option, function in _FORMS.get(" ".join(words), {}).items():
            yield f"With `{option} --json`:\n"
            yield from _keys(_result_of([function]), known)


def _plain(text: str) -> str:
    """Return a help text as Markdown; what click shall not wrap is shown as it is."""
    parts = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        kept = paragraph.removeprefix("\b\n")
        parts.append(kept if kept == paragraph else "\n".join("    " + line for line in kept.splitlines()))
    return "\n\n".join(parts) + "\n"


# Results

_FORMS = {"gc": {"--remote": "gc_remote", "--status": "gc_status", "--undo": "gc_undo"}}
"""Verb → option that makes it do something else → the function of the api that does that."""


def _python_name(verb: str) -> str:
    return f"{verb}_" if keyword.iskeyword(verb) else verb.replace("-", "_")


def _result_of(words: list[str]) -> type:
    """Return the dataclass that the function of the api for a verb returns: ``remote list`` is ``remote_list``."""
    found = typing.get_type_hints(getattr(api, _python_name("_".join(words))))["return"]
    assert dataclasses.is_dataclass(found) and isinstance(found, type), f"{words} returns no document"
    return found


def _keys(result: type, known: set[type]) -> Iterator[str]:
    """Yield a table of the fields of a dataclass, and of those inside it that were not shown before."""
    if result in known:
        yield f"**{result.__name__}**, as above.\n"
        return
    known.add(result)
    hints = typing.get_type_hints(result)
    texts = _field_texts(result)
    yield f"**{result.__name__}**: {_in_json(_joined(inspect.getdoc(result)))}\n"
    rows = [
        (f"`{field.name}`", _json_type(hints[field.name]), _in_json(texts.get(field.name, "")))
        for field in _fields(result)
    ]
    yield _table(("key", "value", "meaning"), rows)
    for field in _fields(result):
        for inner in _dataclasses_in(hints[field.name]):
            if inner not in known:
                yield from _keys(inner, known)


def _in_json(text: str) -> str:
    return re.sub(r"\bNone\b", "null", text)


def _fields(result: type) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(result)


def _field_texts(result: type) -> dict[str, str]:
    """Return the docstrings that stand below the fields of a dataclass."""
    body = ast.parse(inspect.getsource(result).strip()).body[0]
    assert isinstance(body, ast.ClassDef)
    return {
        field.target.id: _joined(text.value.value)
        for field, text in zip(body.body, body.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _dataclasses_in(hint: Any) -> Iterator[type]:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        yield hint
    for inner in typing.get_args(hint):
        yield from _dataclasses_in(inner)


def _json_type(hint: Any) -> str:
    hint = getattr(hint, "__supertype__", hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return f"object, as {hint.__name__}"
    known = {str: "string", int: "number", float: "number", bool: "true or false", type(None): "null", Any: "any value"}
    if hint in known:
        return known[hint]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (list, tuple, Sequence) and (len(inner) == 1 or inner[-1] is Ellipsis):
        return f"list of {_plural(_json_type(inner[0]))}"
    if origin is tuple:
        return f"[{', '.join(map(_json_type, inner))}]"
    if origin in (dict, Mapping):
        return f"object of {_plural(_json_type(inner[1]))}"
    return " or ".join(map(_json_type, inner)) if inner else getattr(hint, "__name__", str(hint))


def _plural(text: str) -> str:
    if text.startswith("[") or " or " in text:
        return text
    noun, comma, more = text.partition(",")
    return f"{noun}s{comma}{more}"


# Errors


def _errors_page() -> Iterator[str]:
    yield "## Exit codes\n"
    codes = re.findall(r"(\d+) ([a-z](?: ?[^\s])*)", str(failure.__doc__).split("exit codes:")[1])
    yield _table(("code", "meaning"), [(f"`{code}`", meaning) for code, meaning in codes])
    yield "## Errors\n"
    rows = []
    for cls in _iter_errors():
        meaning, fields = _split_fields(_joined(inspect.getdoc(cls)))
        rows.append((f"`{cls.code}`", str(failure.exit_code(cls)), meaning, fields, "<br>".join(_hints(cls))))
    yield _table(("code", "exit code", "meaning", "fields", "hint"), rows)
    yield "## Families\n"
    yield "In Python each code is a class of `vstore.errors`, and catching a class catches those below it:\n"
    yield "\n".join(_lineage(VstoreError)) + "\n"


def _trouble_page() -> Iterator[str]:
    rows = []
    for cause in errors.Cause:
        told: dict[str, list[str]] = {}
        for store, url in _STORES.items():
            told.setdefault(str(hint_for_remote({"cause": cause, "url": url})), []).append(store)
        usual = str(hint_for_remote({"cause": cause, "url": "other://HOST"}))
        hints = [usual] + [f"{', '.join(stores)}: {hint}" for hint, stores in told.items() if hint != usual]
        rows.append((f"`{cause}`", cause.meaning, "yes" if cause.is_passing else "", "<br>".join(hints)))
    yield _table(("cause", "what is wrong", "tried again", "what to do"), rows)
    yield "## Permissions\n"
    yield "What has to be allowed at a bucket, and what follows where it is not:\n"
    labels = {"s3": "S3", "gs": "Google Cloud Storage", "az": "Azure"}
    yield _table(
        ("to", *labels.values(), "where it is missing"),
        [
            (action, *(PERMISSIONS[store][action] for store in labels), consequence_of([action]))
            for action in ("list", "read", "write", "delete")
        ],
    )


def _iter_errors(cls: type[VstoreError] = VstoreError) -> Iterator[type[VstoreError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _iter_errors(child)


def _lineage(cls: type[VstoreError], depth: int = 0) -> Iterator[str]:
    builtin = [base.__name__ for base in cls.__bases__ if not issubclass(base, VstoreError) and base is not Exception]
    also = f", also a `{builtin[0]}`" if builtin else ""
    yield f"{'  ' * depth}- `{cls.__name__}` (`{cls.code}`){also}"
    for child in cls.__subclasses__():
        yield from _lineage(child, depth + 1)


def _split_fields(text: str) -> tuple[str, str]:
    meaning, _, fields = text.partition(" Field")
    return meaning, fields.partition(": ")[2].rstrip(".")


_FIELDS: dict[str, Any] = {"path": "PATH", "paths": ["PATH"], "extra": "EXTRA", "digest": "DIGEST"}
_VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"known": ["NAME"]},
    {"known": ["NAME"], "name": "OTHER"},
    {"missing": 1},
    {"password": True},
    {"absent": 1},
    {"argument": "PATH"},
    {"near": "SETTING"},
    {"near_keys": ["KEY"]},
    {"login": "USER@HOST"},
    {"locked": True},
    {"host": "HOST", "name": "HOST", "changed": False},
    {"host": "HOST", "name": "HOST", "changed": True},
    *({"reason": reason} for reason in failure._REFUSALS),
    *({"reason": reason, "scheduler": "URL"} for reason in ENGINE_HINTS),
)


def _hints(cls: type[VstoreError]) -> list[str]:
    """Return the hints that an error of a class can have."""
    found: dict[str, None] = {}
    for variant in _VARIANTS:
        if "argument" in variant and cls is not errors.InvalidError:
            continue
        fields = _FIELDS | variant
        needed = {"done": 0, "failed": []} if issubclass(cls, errors.PartialError) else {}
        hint = failure.hint_for(cls("", **fields, **needed))
        if hint:
            found[hint] = None
    return list(found)


# Settings


def _config_page() -> Iterator[str]:
    yield "## Settings\n"
    rows = [
        (f"`{found.name}`", found.kind.description, f"`{found.default}`" if found.default else "", found.description)
        for found in SETTINGS
    ]
    yield _table(("setting", "takes", "default", "meaning"), rows)
    yield "## Options of remotes\n"
    yield "`vstore remote set NAME OPTION VALUE` sets one. A directory has none; other drivers have their own.\n"
    for room in dict.fromkeys(ROOMS.values()):
        schemes = [scheme for scheme in ROOMS if ROOMS[scheme] == room]
        driver = find_driver(schemes[0])
        assert driver is not None
        needs = f", needs `vstore[{driver.extra}]`" if driver.extra else ""
        yield f"### {', '.join(f'`{scheme}://`' for scheme in schemes)}{needs}\n"
        yield _table(("option", "meaning"), [(f"`{name}`", text) for name, text in sorted(driver.options.items())])


# Python


def _python_page() -> Iterator[str]:
    public = [(name, getattr(vstore, name)) for name in vstore.__all__]
    yield "## Verbs\n"
    for name, function in public:
        if not inspect.isfunction(function):
            continue
        yield f"### vstore.{name}\n"
        yield f"```py\n{name}{_signature(function)}\n```\n"
        yield _with_examples(inspect.getdoc(function) or "") + "\n"
    yield "## Results and arguments\n"
    for name, cls in public:
        if inspect.isclass(cls):
            yield f"### vstore.{name}\n"
            yield from _class(cls)


def _with_examples(text: str) -> str:
    """Return a docstring as Markdown, with its examples as code."""
    parts = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith(">>> "):
            parts.append(f"```pycon\n{paragraph}\n```")
        else:
            parts.append(paragraph.replace("``", "`").replace("  ", " "))
    return "\n\n".join(parts)


def _signature(function: Callable[..., Any]) -> str:
    signature = inspect.signature(function)
    parts = [_parameter(found) for found in signature.parameters.values()]
    keyword_only = [found.kind is found.KEYWORD_ONLY for found in signature.parameters.values()]
    if any(keyword_only):
        parts.insert(keyword_only.index(True), "*")
    return "(\n" + "".join(f"    {part},\n" for part in parts) + f") -> {signature.return_annotation}"


def _parameter(parameter: inspect.Parameter) -> str:
    default = parameter.default
    if default is parameter.empty:
        return f"{parameter.name}: {parameter.annotation}"
    if default is SILENT:
        text = "SILENT"
    else:
        text = f"{type(default).__name__}()" if dataclasses.is_dataclass(default) else repr(default)
    return f"{parameter.name}: {parameter.annotation} = {text}"


def _class(cls: type) -> Iterator[str]:
    yield _joined(inspect.getdoc(cls)) + "\n"
    if issubclass(cls, enum.Enum):
        yield f"One of {', '.join(f'`{cls.__name__}.{member.name}`' for member in cls)}.\n"
        return
    if not dataclasses.is_dataclass(cls):
        return
    texts = _field_texts(cls)
    rows = [(f"`{field.name}`", f"`{field.type}`", texts.get(field.name, "")) for field in _fields(cls)]
    rows += [
        (f"`{name}`", "property", _joined(inspect.getdoc(value)))
        for name, value in vars(cls).items()
        if isinstance(value, property)
    ]
    yield _table(("field", "type", "meaning"), rows)


# Pages


REFERENCES: dict[str, Callable[[], Iterator[str]]] = {
    "docs/reference/cli.md": _cli_page,
    "docs/reference/config.md": _config_page,
    "docs/reference/errors.md": _errors_page,
    "docs/guides/remote-trouble.md": _trouble_page,
    "docs/reference/python.md": _python_page,
}


def refer(name: str) -> str:
    """Return what a page of the reference should be."""
    kept = (PROJECT / name).read_text("utf-8").partition(MARKER)[0]
    return kept + MARKER + "\n" + "\n".join(REFERENCES[name]()).rstrip() + "\n"


def _joined(text: str | None) -> str:
    return " ".join((text or "").replace("``", "`").split())


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _write(name: str, text: str) -> None:
    if (PROJECT / name).read_text("utf-8") != text:
        (PROJECT / name).write_text(text, "utf-8")
        sys.stdout.write(f"{name} changed\n")


def main() -> None:
    """Write every page that is not as it should be."""
    for name in REFERENCES:
        _write(name, refer(name))
    for name in TRANSCRIPTS:
        page = (PROJECT / name).read_text("utf-8")
        try:
            with tempfile.TemporaryDirectory() as place:
                runs = transcript.run(page, Path(place), name)
        except ServerMissingError as missing:
            sys.stdout.write(f"{name} is left as it is: {missing}\n")
            continue
        ended_otherwise = next((done for done in runs if not done.ended_as_said), None)
        if ended_otherwise is None:
            _write(name, transcript.refresh(page, runs))
        else:
            sys.stdout.write(f"{name} is left as it is:\n{ended_otherwise}\n")


if __name__ == "__main__":
    main()
