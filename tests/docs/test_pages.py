"""Pages hang together: links lead somewhere, every page is reachable, words are those of the glossary."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.command import PROJECT
from tests.house.source import sources
from vstore.cli.main import VERBS

_DOCS = PROJECT / "docs"
_PAGES = sorted([PROJECT / "README.md", *PROJECT.glob(".github/*.md"), *_DOCS.rglob("*.md")])
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```$|^    .*$|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def _name(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix()


def _links(page: Path) -> list[str]:
    """Return where the links of a page lead, those of code left out."""
    found = _LINK.findall(_FENCE.sub("", page.read_text("utf-8")))
    return [link for link in found if not re.match("[a-z]+:", link)]


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", _PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page leads to a file of the project and, if it says so, to a heading in it."""
    for link in _links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{_name(page)} links to {link}"
        assert not anchor or anchor in _anchors(target), f"{_name(page)} links to {link}"


def test_every_page_is_reachable() -> None:
    """From the index one gets to every file of the documentation."""
    seen: set[Path] = set()
    pending = [_DOCS / "index.md"]
    while pending:
        page = pending.pop()
        if page not in seen:
            seen.add(page)
            if page.suffix == ".md":
                pending += [(page.parent / link.partition("#")[0]).resolve() for link in _links(page) if link[0] != "#"]
    files = {path for path in _DOCS.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert sorted(map(_name, files - seen)) == []


def test_glossary_is_sorted() -> None:
    """Every term of the glossary stands once, in its place in the alphabet."""
    terms = re.findall(r"^\*\*([^*]+)\*\*: ", (_DOCS / "glossary.md").read_text("utf-8"), re.MULTILINE)
    assert len(terms) > 40
    assert terms == sorted(set(terms))


_NOT_OURS = {
    "working tree": "work tree",
    "working copy": "work tree",
    "backend": "remote",
    "snapshots of the repository": "commits",
    "hash value": "digest",
    "hashsum": "digest",
    "meta file": "pointer",
    "placeholder file": "pointer",
}


@pytest.mark.parametrize("word", _NOT_OURS)
def test_one_word_for_each_idea(word: str) -> None:
    """Neither pages nor messages use a second word for what the glossary names."""
    texts = {_name(page): page.read_text("utf-8") for page in _PAGES}
    texts |= {source.name: source.text for source in sources("vstore")}
    users = [name for name, text in texts.items() if word in text.lower()]
    assert not users, f"say {_NOT_OURS[word]!r} in {', '.join(users)}"


def test_glossary_is_used() -> None:
    """Every term of the glossary is a word of the code or of another page."""
    terms = re.findall(r"^\*\*([^*]+)\*\*: ", (_DOCS / "glossary.md").read_text("utf-8"), re.MULTILINE)
    pages = [page.read_text("utf-8") for page in _PAGES if page.name != "glossary.md"]
    words = "\n".join([*pages, *(source.text for source in sources("vstore"))]).lower()
    assert [term for entry in terms for term in entry.split(", ") if term not in words] == []


def test_verbs_and_rooms_are_documented() -> None:
    """The guide to the command line has every verb, and the architecture every room."""
    cli = (_DOCS / "reference/cli.md").read_text("utf-8")
    assert [verb for verbs in VERBS.values() for verb in verbs if f"### vstore {verb}\n" not in cli] == []
    architecture = (_DOCS / "design/architecture.md").read_text("utf-8")
    rooms = {source.module.split(".")[1] for source in sources("vstore") if "." in source.module} - {"__main__"}
    assert [room for room in sorted(rooms) if f"`{room}`" not in architecture] == []


def test_every_dependency_has_its_reason() -> None:
    """What the base install needs is imported somewhere, and the decision about dependencies says why it is there."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = {re.split(r"[<>=\[ ]", requirement)[0] for requirement in project["dependencies"]}
    page = (_DOCS / "design/0008-dependencies.md").read_text("utf-8")
    assert set(re.findall(r"^\| (\w+) \|", page, re.MULTILINE)) - {"package"} == needed
    code = "\n".join(source.text for source in sources("vstore"))
    assert {name for name in needed if not re.search(rf"(?:import|from|import_module\(.) ?{name}\b", code)} == set()
