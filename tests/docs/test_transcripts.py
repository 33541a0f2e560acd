"""What pages show happens: their commands are run, word for word."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from tests.command import PROJECT
from tests.docs import stages, transcript
from tests.docs.generate import TRANSCRIPTS
from tests.docs.stages import STAGES, Stage
from tests.servers.running import ServerMissingError


@pytest.mark.parametrize("name", TRANSCRIPTS)
def test_commands_of_page(name: str, tmp_path: Path) -> None:
    """Every command of a page ends and prints as the page says."""
    try:
        runs = transcript.run((PROJECT / name).read_text("utf-8"), tmp_path, name)
    except ServerMissingError as missing:
        pytest.skip(str(missing))
    wrong = [str(done) for done in runs if not done.is_right]
    assert runs
    assert not wrong, "\n\n".join([f"{name}: see whether this is meant, then `python -m tests.docs.generate`", *wrong])


_PAGE = """
```console
$ printf 'one\\ntwo\\n'
one
two
$ cat > file <<'EOF'
> three
> EOF
$ cat file; false
Error: three
```
"""


def test_differences_are_seen(tmp_path: Path) -> None:
    """A command that prints something else, fails, or succeeds where it should fail, is wrong."""
    runs = transcript.run(_PAGE, tmp_path)
    assert [done.is_right for done in runs] == [True, True, False]
    assert [done.exit_code for done in runs] == [0, 0, 1]
    assert "\nthree\n" in transcript.refresh(_PAGE, runs)


def test_stage_stands_for_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run with what stands for the addresses of a page, and what they print shows those of the page."""
    page = "```console\n$ echo at https://data.example.org/x; echo $WHO > who\nat https://data.example.org/x\n```\n"

    def make(home: Path) -> contextlib.AbstractContextManager[Stage]:
        return contextlib.nullcontext(Stage({"https://data.example.org": "http://127.0.0.1:1"}, {"WHO": "ada"}))

    monkeypatch.setattr(stages, "STAGES", {"page.md": make})
    [done] = transcript.run(page, tmp_path, "page.md")
    assert done.is_right
    assert (tmp_path / "ada/who").read_text() == "ada\n"
    assert set(STAGES) <= set(TRANSCRIPTS)


@pytest.mark.parametrize(
    ("shown", "printed", "alike"),
    [
        ("new  data  3 files  26.7 kB", "new  data   3 files  25 kB", True),
        ("new  data  3 files  26.7 kB", "new  data   3 files  26.7 MB", False),
        ("new  data  3 files  26.7 kB", "new  data   4 files  26.7 kB", False),
        ("xxh128:ec707459cd08c6af2003a9bef61b755f", "xxh128:00707459cd08c6af2003a9bef61b755f", True),
        ("xxh128:ec707459cd08c6af2003a9bef61b755f", "blake3:ec707459cd08c6af2003a9bef61b755f", False),
        ("[main 1a2b3c4] First", "[main 4c3b2a1] First", True),
        ("...\nlast", "first\nsecond\nlast", True),
        ("first\n...", "first", True),
        ("first\n...", "second", False),
    ],
)
def test_placeholders(shown: str, printed: str, alike: bool) -> None:
    """Digests, commits and blanks may differ, sizes a little, and nothing else."""
    assert transcript._matches(shown.splitlines(), printed.splitlines()) is alike
