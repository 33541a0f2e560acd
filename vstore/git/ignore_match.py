"""Which paths git ignores: what ignore rules mean, as gitignore(5) and git's wildmatch have it.

Not left to libgit2: it overlooks exceptions ("!x") to the rules of other files, and its version 1.9 never returns
from a line that begins with a form feed.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_WITHOUT_SPACES_AT_END = re.compile(rb"(?:[^\\ ]|\\.|\\$| +(?=[^ ]))*", re.DOTALL)
_TOKEN = re.compile(rb"(?P<any>(?:\A|(?<=/))\*\*+(?:/|\Z))|(?P<star>\*+)|\\(?P<escaped>.)|(?P<plain>[^\\])", re.DOTALL)
_ONE_OF = re.compile(rb"\[([!^]?)(\]?(?:\[:[^\]:]*:\]|\\.|[^\]\\])*)\]", re.DOTALL)
_MEMBER = re.compile(rb"\[:(?P<name>[^\]:]*):\]|\\?(?P<first>.)(?:-(?!\Z)\\?(?P<last>.))?", re.DOTALL)
_CLASSES = {
    b"alnum": rb"[0-9A-Za-z]", b"alpha": rb"[A-Za-z]", b"blank": rb"[ \t]", b"cntrl": rb"[\x00-\x1f\x7f]",
    b"digit": rb"[0-9]", b"graph": rb"[!-~]", b"lower": rb"[a-z]", b"print": rb"[ -~]",
    b"punct": rb"[!-/:-@\[-`{-~]", b"space": rb"[\t\n\r ]", b"upper": rb"[A-Z]", b"xdigit": rb"[0-9A-Fa-f]",
}  # fmt: skip
_BYTES = [bytes([number]) for number in range(256)]


class _Verdict(NamedTuple):
    number: int  # the last rule that matches is the one that counts
    ignored: bool
    only_directories: bool


class IgnoreRules:
    """The rules of one file."""

    def __init__(self, content: bytes, *, ignore_case: bool) -> None:
        self._ignore_case = ignore_case
        # Plain names are looked up, for there may be thousands: one for each tracked artifact.
        self._plain: dict[bytes, list[_Verdict]] = {}
        self._patterns: list[tuple[re.Pattern[bytes], _Verdict]] = []
        for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n")):
            self._add(number, line.removesuffix(b"\r"))

    def ask(self, path: bytes, *, directory: bool) -> bool | None:
        """Tell whether a path, relative to the file's directory, is ignored; None where no rule speaks of it."""
        if not self._plain and not self._patterns:
            return None
        path = b"/" + (path.lower() if self._ignore_case else path)
        verdicts = [*self._plain.get(path, ()), *self._plain.get(path.rpartition(b"/")[2], ())]
        verdicts += [verdict for pattern, verdict in self._patterns if pattern.fullmatch(path)]
        last = max((each for each in verdicts if directory or not each.only_directories), default=None)
        return None if last is None else last.ignored

    def _add(self, number: int, line: bytes) -> None:
        match = _WITHOUT_SPACES_AT_END.match(line)
        pattern = match.group() if match else b""
        if not pattern or pattern.startswith(b"#"):
            return
        rule = pattern.removeprefix(b"!")
        path = rule.removesuffix(b"/")
        verdict = _Verdict(number, ignored=rule == pattern, only_directories=path != rule)
        anchored = b"/" in path
        regex = _translate(path.removeprefix(b"/"))
        if regex is None or not path:
            return
        plain = _plain_text(path.removeprefix(b"/"))
        if plain is not None:
            key = (b"/" if anchored else b"") + plain
            self._plain.setdefault(key.lower() if self._ignore_case else key, []).append(verdict)
        else:
            above = b"/" if anchored else b"/(?:.*/)?"
            flags = re.DOTALL | (re.IGNORECASE if self._ignore_case else re.NOFLAG)
            self._patterns.append((re.compile(above + regex, flags), verdict))


def _plain_text(pattern: bytes) -> bytes | None:
    """Return the only text that a pattern matches; None where it is not only one."""
    if re.fullmatch(rb"(?:[^*?\[\\]|\\.)*", pattern, re.DOTALL):
        return re.sub(rb"\\(.)", rb"\1", pattern, flags=re.DOTALL)
    return None


def _translate(pattern: bytes) -> bytes | None:
    """Return a regular expression for a pattern; None for one that is malformed and matches nothing."""
    parts = []
    position = 0
    while position < len(pattern):
        if pattern[position] == ord("["):
            match = _ONE_OF.match(pattern, position)
            part = match and _one_of(match.group(2), negated=bool(match.group(1)))
        else:
            match = _TOKEN.match(pattern, position)
            part = match and _token(match)
        if match is None or part is None:
            return None
        parts.append(part)
        position = match.end()
    return b"".join(parts)


def _token(match: re.Match[bytes]) -> bytes:
    if match["any"]:
        return b"(?:.*/)?" if match["any"].endswith(b"/") else b".*"
    if match["star"]:
        return b"[^/]*"
    if match["plain"] == b"?":
        return b"[^/]"
    return re.escape(match["plain"] or match["escaped"])


def _one_of(members: bytes, *, negated: bool) -> bytes | None:
    found: set[bytes] = set()
    for match in _MEMBER.finditer(members):
        if match["name"] is not None:
            if match["name"] not in _CLASSES:
                return None
            found.update(byte for byte in _BYTES if re.match(_CLASSES[match["name"]], byte))
        else:
            last = match["last"] or match["first"]
            found.update(_BYTES[ord(match["first"]) : ord(last) + 1])
    chosen = (set(_BYTES) - found if negated else found) - {b"/"}
    return b"[" + b"".join(rb"\x%02x" % ord(byte) for byte in sorted(chosen)) + b"]" if chosen else b"(?!)"


class IgnoreMatcher:
    """The ignore rules of one work tree, read when they are needed and again when they have changed.

    ``shared`` are the files that hold for the whole work tree, the weakest first.
    """

    def __init__(self, work_tree: Path, shared: Sequence[Path], *, ignore_case: bool) -> None:
        self._root = os.fsencode(work_tree)
        self._shared = [os.fsencode(path) for path in reversed(shared)]
        self._ignore_case = ignore_case
        self._read: dict[bytes, tuple[tuple[int, ...], IgnoreRules]] = {}

    def is_ignored(self, path: bytes, *, directory: bool) -> bool:
        """Tell whether a path inside the work tree is ignored, or anything above it: nothing undoes that."""
        parts = path.split(b"/")
        above: list[IgnoreRules | None] = []
        for depth in range(1, len(parts) + 1):
            above.append(self._rules_of(b"/".join([self._root, *parts[: depth - 1], b".gitignore"]), is_shared=False))
            if self._ask(parts[:depth], above, directory=directory or depth < len(parts)):
                return True
        return False

    def _ask(self, parts: list[bytes], above: list[IgnoreRules | None], *, directory: bool) -> bool:
        for depth in reversed(range(len(parts))):
            rules = above[depth]
            ignored = rules.ask(b"/".join(parts[depth:]), directory=directory) if rules else None
            if ignored is not None:
                return ignored
        for path in self._shared:
            rules = self._rules_of(path, is_shared=True)
            ignored = rules.ask(b"/".join(parts), directory=directory) if rules else None
            if ignored is not None:
                return ignored
        return False

    def _rules_of(self, path: bytes, *, is_shared: bool) -> IgnoreRules | None:
        try:
            now = os.stat(path, follow_symlinks=is_shared)  # git does not follow a .gitignore, and so do we
        except OSError:
            return None
        if not stat.S_ISREG(now.st_mode):
            return None
        stamp = (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns)
        known = self._read.get(path)
        if known is None or known[0] != stamp:
            try:
                with open(path, "rb") as file:
                    known = stamp, IgnoreRules(file.read(), ignore_case=self._ignore_case)
            except OSError:
                return None  # as git: it warns, and goes on without
            self._read[path] = known
        return known[1]
