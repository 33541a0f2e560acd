"""Plain text: what may be anything, on one line, quoted for a shell, and without secrets."""

from __future__ import annotations

import os
import re
import shlex


def quote(text: str) -> str:
    """Quote an argument for a shell, on one line whatever it holds."""
    if text.isprintable():
        return shlex.quote(text)
    return "$" + repr(os.fsencode(text))[1:]


def one_line(text: str) -> str:
    """Return text on one line, whatever it holds."""
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return re.sub(r"[\0-\x1f\x7f]", "?", "; ".join(lines))


def redact(text: str) -> str:
    """Return text without what looks like a secret in a URL."""
    # Who logs in by SSH is no secret, and a hint is no use without.
    login = r"((?:(ssh|sftp)|\w+)://)(?!\[)([^/@:\s]*)(?:[^/\s]*|:(?!\d*/)[^@\s]+)@"
    text = re.sub(login, lambda found: found[1] + (found[3] if found[2] and found[3] else "***") + "@", text)
    return re.sub(r"(?i)([?&](?:[\w-]*(?:signature|token|credential|secret|key)|sig)=)[^&\s\"']+", r"\1***", text)
