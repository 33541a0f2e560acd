"""Python says the same as the command line, with the same names."""

from __future__ import annotations

import dataclasses
import io
import keyword
import subprocess
import sys
from pathlib import Path

import pytest

import vstore
from tests.project import LARGE, Project
from vstore.cli.main import VERBS
from vstore.cli.render import to_plain
from vstore.errors import NotTrackedError, RepositoryNotFoundError

_ONLY_WORDS = {"demo", "completion"}
_GROUPS = {"config", "migrate", "remote"}


@pytest.fixture
def filled(project: Project) -> Project:
    """A project with data."""
    project.add_data()
    return project


def test_every_verb_is_a_function() -> None:
    """Each verb of the command line is a function of the package."""
    verbs = {name for section in VERBS.values() for name in section} - _ONLY_WORDS
    for name in verbs - _GROUPS:
        function = f"{name}_" if keyword.iskeyword(name) else name.replace("-", "_")
        assert callable(getattr(vstore, function)), name
    for group in verbs & _GROUPS:
        assert any(name.startswith(f"{group}_") for name in vstore.__all__)


def test_every_public_name_is_there() -> None:
    """What the package promises can be imported, and nothing else can."""
    assert all(getattr(vstore, name) is not None for name in vstore.__all__)
    assert set(vstore.__all__) == set(dir(vstore))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = vstore.nothing


def test_errors_need_no_import_of_their_own() -> None:
    """Whoever imported the package can catch its errors, also before anything else was used."""
    program = "import vstore; assert issubclass(vstore.errors.NotTrackedError, vstore.errors.VstoreError)"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("verb", ["status", "diff", "ls", "du", "checkout"])
def test_results_are_what_json_prints(filled: Project, verb: str) -> None:
    """A result is a frozen dataclass, with exactly the keys and values that --json prints."""
    result = getattr(vstore, verb)(directory=filled.path)
    assert dataclasses.is_dataclass(result)
    assert to_plain(result) == filled.ok(verb, "--json").json()
    assert type(result).__dataclass_params__.frozen


@pytest.mark.parametrize("one", ["model.bin", Path("model.bin")])
def test_a_single_path(filled: Project, one: str | Path) -> None:
    """A single path needs no list around it, and a text is not taken for its letters."""
    where = filled.path
    assert [artifact.path for artifact in vstore.status(one, directory=where).artifacts] == ["model.bin"]
    assert [listed.path for listed in vstore.ls(one, directory=where).entries] == ["model.bin"]
    assert [path.path for path in vstore.rm(one, directory=where).removed] == ["model.bin"]
    assert [added.path for added in vstore.add(one, directory=where).artifacts] == ["model.bin"]


def test_the_main_job(filled: Project, tmp_path: Path) -> None:
    """Add, push, pull elsewhere and go back, without a command line."""
    vstore.remote_add("store", str(tmp_path / "store"), directory=filled.path, default=True)
    assert vstore.push(directory=filled.path).remotes[0].roots == ["data", "model.bin"]
    filled.commit("remote")
    clone = filled.clone()
    vstore.pull(directory=clone.path)
    assert clone.read("model.bin") == LARGE[::-1]
    clone.write("model.bin", b"new")
    assert vstore.add(["model.bin"], directory=clone.path).artifacts[0].change == "updated"
    vstore.checkout(rev="HEAD", directory=clone.path)
    assert clone.read("model.bin") == LARGE[::-1]
    out = io.BytesIO()
    vstore.cat("data/a.txt", out.write, directory=clone.path)
    assert out.getvalue() == b"a\n"


def test_working_directory_is_where_one_stands(filled: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a directory, paths are relative to the working directory."""
    monkeypatch.chdir(filled.path / "data")
    assert [usage.path for usage in vstore.du(["a.txt"]).artifacts] == ["data/a.txt"]


def test_errors_are_exceptions(filled: Project, tmp_path: Path) -> None:
    """What goes wrong is raised, as an exception that Python knows too."""
    with pytest.raises(NotTrackedError) as caught:
        vstore.rm([filled.write("notes.txt")], directory=filled.path)
    assert isinstance(caught.value, LookupError)
    with pytest.raises(RepositoryNotFoundError):
        vstore.status(directory=tmp_path)
    with pytest.raises(RepositoryNotFoundError, match="there is no directory"):
        vstore.status(directory=filled.path / "nowhere")
