"""vstore doctor: what works here, what does not, and what is slow."""

from __future__ import annotations

from collections.abc import Iterator

from vstore import api
from vstore.cli import options, render
from vstore.cli.remote_hints import hint_for_remote
from vstore.cli.session import Session, pass_session


@options.verb("doctor")
@options.json
@pass_session
def command(session: Session) -> None:
    """Tell what works here, what does not, and what is slow."""
    result = api.doctor(directory=session.directory, reporter=session.reporter)
    session.show(result, _words, always=True)


def _words(result: api.DoctorResult) -> Iterator[str]:
    rows = [("platform", result.platform)]
    rows += [(name, version or "not installed") for name, version in result.versions.items()]
    found = result.repository
    if found is not None:
        rows += [
            ("repository", render.path(found.path)),
            ("cache", f"{render.path(found.cache)}, {found.hash}, {render.count(found.packs, 'pack')}"),
            ("link types", ", ".join(found.link_types) or "none"),
            ("artifacts", f"{found.artifacts:,}"),
        ]
        if found.git:
            rows.append(("git runs", ", ".join(_where_git_runs(found, True)) or "nothing of vstore"))
        for remote in found.remotes:
            state = render.paint("works", "green") if remote.error is None else render.paint(remote.error, "red")
            rows.append((f"remote {remote.name}", f"{render.path(remote.url)}: {state}"))
    yield from render.columns(rows)
    for remote in found.remotes if found is not None else ():
        if remote.error is not None and (hint := hint_for_remote({**remote.fields, "checked": True})):
            yield f"{render.paint('!', 'yellow')} remote {remote.name}: {hint}"
    for remark in result.remarks:
        yield f"{render.paint('!', 'yellow')} {remark}"
    if found is not None and (lacking := _where_git_runs(found, False)):
        where = "" if len(lacking) == len(found.installed) else f" as {', '.join(lacking)}"
        what = "data follows checkouts and pushes, and directories merge file by file, after `vstore install`"
        yield f"{render.paint('!', 'yellow')} git does not run vstore{where}: {what}"


def _where_git_runs(found: api.RepositoryHealth, is_so: bool) -> list[str]:
    """Return the places where git runs vstore, or does not."""
    names = {"drivers": "merge and diff driver"}
    return [names.get(name, name) for name, installed in found.installed.items() if installed == is_so]
