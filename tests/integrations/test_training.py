"""Data for training, read by the workers of a data loader, and logs of it, read by TensorBoard."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.command import PROJECT
from tests.integrations.conftest import Pushed
from tests.integrations.libraries import Libraries
from tests.servers.s3 import S3Server
from vstore.fs import VstoreFileSystem

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other libraries are not ours


class _Files:
    """A map-style dataset, as the guide writes one."""

    def __init__(self, fs: VstoreFileSystem, directory: str) -> None:
        self.fs = fs
        self.names = fs.find(directory)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, number: int) -> tuple[str, int]:
        return self.__getitems__([number])[0]

    def __getitems__(self, numbers: list[int]) -> list[tuple[str, int]]:
        names = [self.names[number] for number in numbers]
        contents = self.fs.cat_ranges(names, None, None, on_error="raise")
        return [(name, sum(content) % 1000) for name, content in zip(names, contents, strict=True)]


@pytest.mark.parametrize(
    ("method", "remote"), [("fork", "directory"), ("forkserver", "directory"), ("fork", "s3"), ("spawn", "s3")]
)
def test_torch_workers(
    pushed: Pushed,
    libraries: Libraries,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    method: str,
    remote: str,
) -> None:
    """Workers, forked or fresh, read small and large files that are only at a remote, beside a parent that reads."""
    data = libraries.get("torch.utils.data")
    project = pushed.project
    if remote == "s3":
        moto: S3Server = request.getfixturevalue("moto")
        place = moto.new_place()
        project.ok("remote", "set", "store", "url", place.url)
        for name, value in place.options.items():
            monkeypatch.setenv(f"VSTORE_REMOTE_STORE_{name.upper()}", value)
    contents = {f"data/{number:02}.bin": os.urandom(5000 if number else 700_000) for number in range(20)}
    for name, content in contents.items():
        project.write(name, content)
    clone = pushed.publish(monkeypatch)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    files = _Files(VstoreFileSystem(repo=clone, rev="v1"), "data")
    assert files[0] == ("data/00.bin", sum(contents["data/00.bin"]) % 1000)  # connections are open before the fork
    options = {"num_workers": 2, "multiprocessing_context": method, "shuffle": True}
    loader = data.DataLoader(files, batch_size=5, collate_fn=list, **options)
    expected = {name: sum(content) % 1000 for name, content in contents.items()}
    for _ in range(2):
        assert dict(found for batch in loader for found in batch) == expected


def test_tensorboard(pushed: Pushed, libraries: Libraries, monkeypatch: pytest.MonkeyPatch) -> None:
    """TensorBoard shows the runs of a version, by its URL."""
    libraries.get("tensorboard")
    writer = libraries.get("tensorboard.summary.writer.event_file_writer")
    event_pb2 = libraries.get("tensorboard.compat.proto.event_pb2")
    summary_pb2 = libraries.get("tensorboard.compat.proto.summary_pb2")
    for run in ("first", "second"):
        log = writer.EventFileWriter(str(pushed.project.path / "data/logs" / run))
        for step in range(3):
            value: Any = summary_pb2.Summary.Value(tag="loss", simple_value=float(step))
            log.add_event(event_pb2.Event(step=step, wall_time=step, summary=summary_pb2.Summary(value=[value])))
        log.close()
    pushed.publish(monkeypatch)
    multiplexer = libraries.get("tensorboard.backend.event_processing.event_multiplexer").EventMultiplexer()
    multiplexer.AddRunsFromDirectory("vstore://@v1:/data/logs")
    multiplexer.Reload()
    assert set(multiplexer.Runs()) == {"first", "second"}
    losses = multiplexer.Scalars("second", "loss")
    assert [event.value for event in losses] == [0.0, 1.0, 2.0]
