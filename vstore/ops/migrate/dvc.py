"""``migrate dvc``: what DVC tracks becomes ours; nothing of DVC's is deleted unless asked."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from vstore.durable import flush_directory, os_errors, write_atomic
from vstore.objects.names import RelPath
from vstore.ops.migrate.dvc_contents import Lister, find_places, find_remotes
from vstore.ops.migrate.dvc_files import own_rules
from vstore.ops.migrate.dvc_history import DvcHistory
from vstore.ops.migrate.dvc_survey import DvcStores, Survey, split_overlapping, survey_work_tree
from vstore.ops.migrate.foreign import ForeignArtifact, ForeignName
from vstore.ops.migrate.history import migrate_history
from vstore.ops.migrate.intake import Missing
from vstore.ops.migrate.moving import Farther, Mover, choose_paths, is_chosen
from vstore.ops.migrate.places import Place
from vstore.ops.migrate.result import How, MigrateResult
from vstore.ops.migrate.takeover import find_obstacle
from vstore.ops.resolve import get_git
from vstore.ops.staging import stage
from vstore.ops.transfer import Scope
from vstore.repo import Repo

_MOST_NAMES = 3


def migrate_dvc(
    repo: Repo,
    environ: Mapping[str, str],
    paths: Sequence[str | Path] = (),
    *,
    scope: Scope = Scope(),  # noqa: B008  frozen
    how: How = How(),  # noqa: B008
) -> MigrateResult:
    """Track what DVC tracks at or below ``paths`` (everywhere, if none), as its files say in the work tree.

    Contents come from DVC's cache, the work tree, or DVC's remote, and are proven by the hash that DVC recorded.
    Files stay where and as they are, unless they are links into the cache of DVC: those are replaced by ours.
    An artifact of which a content is nowhere stays with DVC, unless ``how`` allows to leave that out; the rest moves.
    A ``scope`` of many commits is written anew, in branches and tags below ``vstore/``; the work tree stays.
    After a crash the same call goes on.
    Raises NotTrackedError, GitFailedError, ConflictError, RemoteExtraMissingError.
    """
    with DvcStores(repo, environ) as stores:
        migration = _Migration(repo, stores, how)
        if how.dry_run and not scope.is_history:
            return migration.plan(paths)
        with contextlib.nullcontext() if how.dry_run else repo.writing():
            return migration.run_history(paths, scope) if scope.is_history else migration.run(paths)


class _Migration:
    def __init__(self, repo: Repo, stores: DvcStores, how: How) -> None:
        self._repo = repo
        self._stores = stores
        self._mover = Mover(repo, "dvc", how)
        self._lister = Lister(repo, stores, self._mover.memory)

    def plan(self, paths: Sequence[str | Path]) -> MigrateResult:
        survey = survey_work_tree(self._repo.work_tree, is_git=self._repo.git is not None)
        artifacts = self._list(self._choose(survey, paths))
        if artifacts:
            self._carry_rules(survey)
        self._mover.plan(artifacts, *self._find_places(artifacts))
        self._supersede(survey)
        return self._mover.finish()

    def run(self, paths: Sequence[str | Path]) -> MigrateResult:
        mover = self._mover
        survey = survey_work_tree(self._repo.work_tree, is_git=self._repo.git is not None)
        artifacts = self._list(self._choose(survey, paths))
        rules = self._carry_rules(survey) if artifacts else []
        brought = mover.bring(*self._find_places(artifacts))
        taken = mover.take(mover.choose_whole(artifacts, brought.missing), brought.held, self._lister.keep)
        self._lister.remember()
        # Every object is durable now, so the pointers may name them.
        staged = rules + mover.publish(taken, self._stores.directories)
        stage(self._repo, list(dict.fromkeys(staged)))
        self._supersede(survey)
        self._tell([each.artifact for each in taken])
        return mover.finish()

    def run_history(self, paths: Sequence[str | Path], scope: Scope) -> MigrateResult:
        git = get_git(self._repo)
        chosen = [self._repo.relative(path).removesuffix(".dvc") for path in paths] or None
        tool = DvcHistory(self._mover, self._stores, self._lister, chosen)
        return self._mover.finish(commits=migrate_history(git, self._mover, scope, lambda tips: tool))

    def _choose(self, survey: Survey, paths: Sequence[str | Path]) -> list[ForeignArtifact]:
        result = self._mover.result
        chosen = choose_paths(self._repo, survey.artifacts, paths)
        artifacts, refused = split_overlapping(survey.artifacts)
        result.skipped.extend(each for each in survey.skipped if is_chosen(each[0], chosen))
        result.refused.extend(each for each in [*survey.refused, *refused] if is_chosen(each[0], chosen))
        good = []
        for artifact in artifacts:
            if not is_chosen(artifact.path, chosen):
                continue
            obstacle = find_obstacle(self._repo, artifact.path)
            if obstacle is None:
                good.append(artifact)
            else:
                # What a stage made, and git keeps, is where it belongs.
                is_of_stage = artifact.written_in.endswith("dvc.lock")
                (result.skipped if is_of_stage else result.refused).append((artifact.path, obstacle))
        return good

    def _list(self, artifacts: Sequence[ForeignArtifact]) -> list[ForeignArtifact]:
        listed = []
        for artifact in artifacts:
            found = self._lister.list(self._stores.route(artifact))
            if isinstance(found, Missing):
                self._mover.note_missing(artifact.path, artifact.listing, found)
            else:
                listed.append(found)
        return listed

    def _find_places(self, artifacts: Sequence[ForeignArtifact]) -> tuple[dict[ForeignName, list[Place]], Farther]:
        places = find_places(self._repo.work_tree, self._stores, artifacts)
        return places, lambda missing: find_remotes(self._stores, artifacts, places, missing)

    def _supersede(self, survey: Survey) -> None:
        """Note, or remove, the files of DVC all of whose data has moved."""
        repo, result = self._repo, self._mover.result
        moved = {artifact.path for artifact in result.artifacts}
        done = [
            path for path, named in survey.files.items() if path.endswith(".dvc") and named and moved.issuperset(named)
        ]
        self._mover.left = len(survey.files) - len(done)
        result.settings.extend(survey.settings)
        (result.removed if self._mover.how.remove else result.superseded).extend(done)
        if self._mover.how.dry_run or not self._mover.how.remove:
            return
        if repo.git is not None and repo.config.autostage:
            # They leave the index first: as long as one is in the work tree, the same call finds it again.
            repo.git.unstage(done, repo.config.lock_wait_s, repo.reporter.note)
        for path in done:
            file = repo.work_tree / path
            with os_errors(file, "delete"):
                file.unlink(missing_ok=True)
                flush_directory(file.parent)

    def _carry_rules(self, survey: Survey) -> list[RelPath]:
        """Make a ``.vstoreignore`` of each ``.dvcignore`` with rules, where there is none yet; returns what is new."""
        new = []
        for path, content in survey.ignoring.items():
            ours = own_rules(path, content)
            for rules_path, rules in ours.items():
                file = self._repo.work_tree / rules_path
                if os.path.lexists(file):
                    continue
                if not self._mover.how.dry_run:
                    write_atomic(file, rules)
                new.append(rules_path)
        self._mover.result.rules.extend(new)
        return new

    def _tell(self, artifacts: Sequence[ForeignArtifact]) -> None:
        """Say what is different from DVC."""
        note = self._repo.reporter.note
        if any(artifact.written_in.endswith("dvc.lock") for artifact in artifacts):
            note("pipelines stay with DVC: only what their stages made is tracked")
        private = [artifact.path for artifact in artifacts if artifact.is_private]
        if private:
            note(f"DVC was told not to push {_enumerate(private)}, but vstore push will")
        unknown = {artifact.labels.remote for artifact in artifacts} - {None, *self._repo.config.remotes}
        for remote in sorted(filter(None, unknown)):
            routed = [artifact.path for artifact in artifacts if artifact.labels.remote == remote]
            note(f"as with DVC, {_enumerate(routed)} will be pushed to a remote called {remote!r} alone")


def _enumerate(paths: Sequence[RelPath]) -> str:
    shown = ", ".join(paths[:_MOST_NAMES])
    return shown if len(paths) <= _MOST_NAMES else f"{shown} and {len(paths) - _MOST_NAMES:,} more"
