"""The syntax of configuration files: git's, read and edited without disturbing what a person wrote.

A file is sections, ``[section]`` or ``[section "subsection"]``, of entries ``key = value``.  A full name is
``section.key`` or ``section.subsection.key``; case counts in subsections only.  One thing is added to git's syntax:
in keys, "_" means the same as "-".  Names here have "_"; what is written into files has "-", so that git can read it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from vstore.errors import ConfigInvalidError, SettingNotFoundError

_BLANK = re.compile(r"(?:[ \t\r\n]|[#;][^\n]*)*")
_HEADER = re.compile(r'\[([A-Za-z0-9.-]+)(?:[ \t\r]+"((?:[^"\\\n]|\\[^\n])*)")?\]')
_KEY = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)[ \t]*(?:(=)|(?=\r?\n|\Z))")
_ESCAPE = r"\\(?:\r?\n|\Z|[tbn\\\"])"
_VALUE = re.compile(rf'(?:[^"\\\n#;]|{_ESCAPE}|"(?:[^"\\\n]|{_ESCAPE})*")*')
_PIECE = re.compile(r'\\(?:\r?\n|\Z|.)|"|[ \t\r]+|[^\\" \t\r]+')
_MEANINGS = {"\\t": "\t", "\\b": "\b", "\\n": "\n", "\\\\": "\\", '\\"': '"'}
_ESCAPES = {ord(meaning): written for written, meaning in _MEANINGS.items()}
_NAME = re.compile(r"([A-Za-z0-9-]+)(?:\.([^\n\0]+))?\.([A-Za-z][A-Za-z0-9_-]*)")


class Entry(NamedTuple):
    """One value: its full name, its line (from 1), and where it stands in the text."""

    name: str
    value: str
    line: int
    start: int
    end: int


class Section(NamedTuple):
    """One section: its name, where its header stands in the text, where the next section begins, its entries."""

    name: str
    start: int
    end: int
    following: int
    entries: list[Entry]

    def last_line_end(self, text: str) -> int:
        """Return where the line of the last entry, or of the header, ends."""
        return min(_line_end(text, self.entries[-1].end if self.entries else self.end), self.following)


def canonical_name(name: str) -> str:
    """Return the one spelling of a full name.  Raises ConfigInvalidError for what cannot be a name."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ConfigInvalidError(f"{name!r} cannot be the name of a setting", setting=name)
    section, subsection, key = match.groups()
    return ".".join(filter(None, [section.lower(), subsection, _canonical_key(key)]))


def parse(text: str, path: str) -> list[Section]:
    """Return what a file says, in order.  Raises ConfigInvalidError naming ``path`` and line."""
    sections: list[Section] = []
    position = len(text) - len(text.removeprefix("\ufeff"))
    while True:
        position = _end(_BLANK.match(text, position))
        if position == len(text):
            return sections
        header = _HEADER.match(text, position)
        if header is not None:
            if sections:
                sections[-1] = sections[-1]._replace(following=position)
            sections.append(Section(_section_name(header), position, header.end(), len(text), []))
            position = header.end()
        elif sections:
            entry = _parse_entry(text, position, sections[-1].name)
            if entry is None:
                raise _not_understood(text, path, position)
            sections[-1].entries.append(entry)
            position = entry.end
        else:
            raise _not_understood(text, path, position)


def set_in(text: str, path: str, name: str, value: str) -> str:
    """Return a file's text with an entry changed (the last of its name), or added to its section.

    ``name`` is canonical.  Raises as ``parse``, and ConfigInvalidError for a value that no file can hold.
    """
    if "\0" in value:
        raise ConfigInvalidError(f"the value of {name} holds a NUL", setting=name)
    section_name, _, key = name.rpartition(".")
    sections = parse(text, path)
    for entry in reversed([entry for section in sections for entry in section.entries]):
        if entry.name == name:
            written = text[entry.start : entry.end].partition("=")[0].rstrip(" \t")
            return f"{text[: entry.start]}{written} = {_quoted(value)}{text[entry.end :]}"
    line = f"\t{key.replace('_', '-')} = {_quoted(value)}"
    newline = "\r\n" if "\r\n" in text else "\n"
    for section in reversed(sections):
        if section.name == section_name:
            end = section.last_line_end(text)
            return _whole_lines(text[:end], newline) + line + newline + text[end:]
    return _whole_lines(text, newline) + _header(section_name) + newline + line + newline


def unset_in(text: str, path: str, name: str) -> str:
    """Return a file's text without the entries of a canonical name, and without sections that this leaves empty.

    Raises as ``parse``, and SettingNotFoundError.
    """
    found = [(section, entry) for section in parse(text, path) for entry in section.entries if entry.name == name]
    if not found:
        raise SettingNotFoundError(f"{path} does not set {name}", setting=name)
    for section, entry in reversed(found):
        line_start = text.rfind("\n", 0, entry.start) + 1
        # An entry on its header's line leaves the header and the end of the line.
        start, end = (
            (line_start, _line_end(text, entry.end)) if line_start > section.start else (section.end, entry.end)
        )
        text = text[:start] + text[end:]
    for section in reversed(parse(text, path)):
        if section.name == name.rpartition(".")[0] and not text[section.end : section.following].strip():
            text = text[: section.start] + text[section.following :]
    return text


def remove_section_in(text: str, path: str, name: str) -> str:
    """Return a file's text without a section.  Raises as ``parse``, and SettingNotFoundError."""
    for section in reversed(_get_sections(text, path, name)):
        text = text[: section.start] + text[section.last_line_end(text) :]
    return text


def rename_section_in(text: str, path: str, old: str, new: str) -> str:
    """Return a file's text with a section renamed.  Raises as ``parse``, and SettingNotFoundError."""
    for section in reversed(_get_sections(text, path, old)):
        text = text[: section.start] + _header(new) + text[section.end :]
    return text


def _parse_entry(text: str, position: int, section: str) -> Entry | None:
    key = _KEY.match(text, position)
    if key is None:
        return None
    end = key.end()
    value = "true"  # as in git, a key alone means so
    if key[2]:
        end = _end(_VALUE.match(text, end))
        if text[end : end + 1] not in ("", "\n", "#", ";"):
            return None
        value = _unquoted(text[key.end() : end])
    end = position + len(text[position:end].rstrip(" \t\r"))
    return Entry(f"{section}.{_canonical_key(key[1])}", value, _line_number(text, position), position, end)


def _unquoted(written: str) -> str:
    value = blanks = ""
    is_quoted = False
    for piece in _PIECE.findall(written):
        if piece[0] in " \t\r" and not is_quoted:
            blanks += piece if value else ""  # those at the end are dropped
            continue
        value += blanks
        blanks = ""
        if piece == '"':
            is_quoted = not is_quoted
        elif piece[0] == "\\":
            value += _MEANINGS.get(piece, "")  # nothing else than an escaped end of line is left
        else:
            value += piece
    return value


def _quoted(value: str) -> str:
    written = value.translate(_ESCAPES)
    return f'"{written}"' if not value or value != value.strip(" ") or re.search("[#;\r]", value) else written


def _header(name: str) -> str:
    section, _, subsection = name.partition(".")
    if not subsection:
        return f"[{section}]"
    return '[{} "{}"]'.format(section, re.sub(r'[\\"]', r"\\\g<0>", subsection))


def _section_name(header: re.Match[str]) -> str:
    subsection = header[2] and re.sub(r"\\(.)", r"\1", header[2])
    return header[1].lower() + ("" if subsection is None else f".{subsection}")


def _canonical_key(key: str) -> str:
    return key.lower().replace("-", "_")


def _get_sections(text: str, path: str, name: str) -> list[Section]:
    found = [section for section in parse(text, path) if section.name == name]
    if not found:
        raise SettingNotFoundError(f"{path} has no section {name}", setting=name)
    return found


def _whole_lines(text: str, newline: str) -> str:
    if not text or text.endswith("\n"):
        return text
    # A backslash at the very end would swallow the end of the line.
    return text + newline * (2 if text.endswith("\\") else 1)


def _line_end(text: str, position: int) -> int:
    return text.find("\n", position) + 1 or len(text)


def _line_number(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _not_understood(text: str, path: str, position: int) -> ConfigInvalidError:
    line = _line_number(text, position)
    return ConfigInvalidError(f"{path}, line {line}, is neither a section nor a setting", path=path, line=line)


def _end(match: re.Match[str] | None) -> int:
    assert match is not None  # these expressions match everywhere, if only nothing
    return match.end()
