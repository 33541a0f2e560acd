"""``install``: let git run vstore: in its hooks, and to merge and compare pointers."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path

from vstore.durable import TEMPORARY_PREFIX, os_errors, write_atomic
from vstore.git import GitRepo
from vstore.git.drivers import (
    SETTINGS,
    attributes_path,
    attributes_to_change,
    change_attributes,
    change_settings,
    find_settings_to_change,
)
from vstore.git.hooks import FOREIGN, LAUNCHER, MISSING, Hook, find_hooks, install_hook, launcher, uninstall_hook
from vstore.ops.resolve import get_git
from vstore.repo import Repo

INSTALLED = "installed"
CHAINED = "chained"
REMOVED = "removed"
UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class InstalledHook:
    """What became of one hook.

    ``change``: "installed", "chained" (another hook was there: it runs first), "removed" or "unchanged".
    """

    name: str
    path: str
    change: str


@dataclass(frozen=True, slots=True)
class InstallResult:
    """What git runs now: the hooks, and whether the drivers for pointers had to be changed."""

    hooks: list[InstalledHook]
    drivers: str
    """"installed", "removed" or "unchanged"."""
    attributes: str
    """The file that tells git which files are pointers."""
    uninstall: bool
    dry_run: bool


def install(repo: Repo, *, uninstall: bool = False, dry_run: bool = False) -> InstallResult:
    """Install the hooks and the merge and diff drivers in this clone; again it changes nothing that is as it should.

    Hooks that are there already stay and run first.  ``uninstall`` leaves all as it was before, byte for byte.
    Raises GitRepositoryNotFoundError without git, GitFailedError.
    """
    git = get_git(repo)
    if dry_run:
        return _Installation(repo, git, uninstall=uninstall).result(dry_run=True)
    with repo.writing():
        installation = _Installation(repo, git, uninstall=uninstall)
        installation.run()
    done = installation.result(dry_run=False)
    if not (done.hooks or uninstall):
        repo.reporter.warn("git runs no hooks here, since core.hooksPath is no directory; the rest is installed")
    return done


def find_installed(repo: Repo) -> dict[str, bool]:
    """Return for each hook, and for ``drivers``, whether git runs vstore there in this clone; nothing without git."""
    if repo.git is None:
        return {}
    present = _Installation(repo, repo.git, uninstall=False)
    is_there, result = present.launcher.is_file(), present.result(dry_run=True)
    installed = {hook.name: is_there and hook.change == UNCHANGED for hook in result.hooks}
    return installed | {"drivers": is_there and result.drivers == UNCHANGED}


class _Installation:
    """What differs from how it should be: found when made, changed when run."""

    def __init__(self, repo: Repo, git: GitRepo, *, uninstall: bool) -> None:
        self._git = git
        self._wait_s, self._on_wait = repo.config.lock_wait_s, repo.reporter.note
        self._uninstall = uninstall
        self.launcher = repo.shared / Path(LAUNCHER).name
        self._hooks = find_hooks(git, with_copies=uninstall)
        self._settings = find_settings_to_change(git, {} if uninstall else SETTINGS)
        self._attributes = attributes_to_change(git, wanted=not uninstall)

    def run(self) -> None:
        """Change what has to be.  What runs the launcher comes after it, and goes before it."""
        if self._uninstall:
            for hook in self._hooks:
                uninstall_hook(hook)
            self._change_drivers()
            with os_errors(self.launcher, "delete"):
                self.launcher.unlink(missing_ok=True)
            self._remove_leftovers()
            return
        script = launcher(sys.executable, Path(__file__).parent.parent / "__main__.py")
        with os_errors(self.launcher, "write"):
            if not self.launcher.exists() or self.launcher.read_bytes() != script:
                write_atomic(self.launcher, script)
        self._change_drivers()
        for hook in self._hooks:
            install_hook(hook)
        self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        """Remove what a command that died left: whoever else writes to these places waits for us."""
        for directory in {attributes_path(self._git).parent, *(hook.path.parent for hook in self._hooks)}:
            for path in directory.glob(TEMPORARY_PREFIX + "*"):
                with os_errors(path, "delete"):
                    path.unlink(missing_ok=True)
        for directory in {hook.aside.parent for hook in self._hooks}:
            with contextlib.suppress(OSError):  # there is none, or it is not empty
                directory.rmdir()

    def _change_drivers(self) -> None:
        change_settings(self._git, self._settings, self._wait_s, self._on_wait)
        if self._attributes is not None:
            change_attributes(self._git, self._attributes)

    def result(self, *, dry_run: bool) -> InstallResult:
        """Return what was, or would be, changed."""
        done = REMOVED if self._uninstall else INSTALLED
        return InstallResult(
            [InstalledHook(hook.name, str(hook.path), self._change_of(hook)) for hook in self._hooks],
            done if self._settings or self._attributes is not None else UNCHANGED,
            str(attributes_path(self._git)),
            self._uninstall,
            dry_run,
        )

    def _change_of(self, hook: Hook) -> str:
        if self._uninstall:
            return UNCHANGED if hook.state in (MISSING, FOREIGN) else REMOVED
        return {MISSING: INSTALLED, FOREIGN: CHAINED}.get(hook.state, UNCHANGED)
