"""Tables and arrays of old versions, read by the libraries that people read such with."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

import vstore
from tests.integrations.conftest import Pushed, read_bytes
from tests.integrations.libraries import Libraries
from vstore.errors import ObjectMissingError
from vstore.fs import VstoreFileSystem

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other libraries are not ours

_ROWS = 90_000
_PART_BYTES = 6_000_000
"""What each of the three files has at least; who needs one column, or a few rows, reads much less than that."""
_OPTIONS = {"rev": "v1"}


@pytest.fixture
def tables(pushed: Pushed, libraries: Libraries, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of a project whose version ``v1`` has three large Parquet files and two small CSV files."""
    pyarrow, parquet = libraries.get("pyarrow"), libraries.get("pyarrow.parquet")
    folder = pushed.project.path / "data/parts"
    folder.mkdir(parents=True)
    noise = random.Random(1)
    for part in range(3):
        rows = range(part, _ROWS, 3)
        columns = {"x": list(rows), "noise": [noise.randbytes(200) for _ in rows]}
        parquet.write_table(pyarrow.table(columns), folder / f"part{part}.parquet", row_group_size=10_000)
    for name in ("first", "second"):
        (pushed.project.path / f"data/{name}.csv").write_text("x,y\n1,2\n3,4\n")
    assert (folder / "part0.parquet").stat().st_size > _PART_BYTES
    return pushed.publish(monkeypatch)


def test_pandas(tables: Path, libraries: Libraries) -> None:
    """Pandas reads by URL, with the revision in it or as an option."""
    pandas = libraries.get("pandas")
    assert list(pandas.read_csv("vstore://data/first.csv", storage_options=_OPTIONS)["x"]) == [1, 3]
    assert list(pandas.read_csv(vstore.url("data/second.csv", rev="v1"))["y"]) == [2, 4]
    frame = pandas.read_parquet("vstore://@v1:/data/parts/part1.parquet", columns=["x"])
    assert list(frame["x"]) == list(range(1, _ROWS, 3))
    assert read_bytes(tables) < _PART_BYTES / 2
    with vstore.open("data/first.csv", rev="v1") as file:
        assert len(pandas.read_csv(file)) == 2
    with pytest.raises(FileNotFoundError):
        pandas.read_csv("vstore://data/first.csv")


def test_pyarrow_dataset(tables: Path, libraries: Libraries) -> None:
    """A dataset is found in a directory, filtered and counted; several threads of PyArrow read it."""
    dataset = libraries.get("pyarrow.dataset")
    found = dataset.dataset("data/parts", filesystem=VstoreFileSystem(rev="v1"), format="parquet")
    assert found.count_rows() == _ROWS
    assert read_bytes(tables) < _PART_BYTES / 2
    few = found.to_table(filter=dataset.field("x") < 30)
    assert sorted(few["x"].to_pylist()) == list(range(30))
    assert read_bytes(tables) < 1.8 * _PART_BYTES


def test_dask(tables: Path, libraries: Libraries) -> None:
    """Dask reads a pattern of files in several threads, and in processes that get a pickled file system."""
    frames = libraries.get("dask.dataframe")
    table = frames.read_parquet("vstore://data/parts/*.parquet", storage_options=_OPTIONS, columns=["x"])
    assert int(table["x"].sum().compute()) == sum(range(_ROWS))
    assert read_bytes(tables) < 1.5 * _PART_BYTES
    text = frames.read_csv("vstore://@v1:/data/*.csv")
    assert int(text["y"].sum().compute(scheduler="processes", num_workers=2)) == 12


def test_duckdb(tables: Path, libraries: Libraries) -> None:
    """DuckDB queries by URL, also by a pattern."""
    duckdb = libraries.get("duckdb")
    with duckdb.connect() as connection:
        connection.register_filesystem(VstoreFileSystem(rev="v1"))
        query: Callable[[str], list[tuple[int, ...]]] = lambda text: connection.sql(text).fetchall()  # noqa: E731
        assert query("select count(*) from 'vstore://data/parts/*.parquet' where x < 30") == [(30,)]
        assert read_bytes(tables) < 1.5 * _PART_BYTES
        assert query("select sum(y) from read_csv('vstore://@v1:/data/*.csv')") == [(12,)]


def test_polars(tables: Path, libraries: Libraries) -> None:
    """Polars opens files itself: it gets real paths."""
    polars = libraries.get("polars")
    assert polars.read_csv(vstore.path("data/first.csv", rev="v1"))["x"].to_list() == [1, 3]
    scan = polars.scan_parquet(vstore.path("data/parts", rev="v1") / "*.parquet")
    assert scan.filter(polars.col("x") < 30).select(polars.len()).collect().item() == 30


def test_hugging_face_streaming(
    tables: Path, libraries: Libraries, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    """A streamed dataset comes straight from a version, without a hub, also in the workers of a data loader."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(home / "huggingface"))
    datasets = libraries.get("datasets")
    stream = datasets.load_dataset(
        "parquet",
        data_files={"train": "vstore://data/parts/*.parquet"},
        storage_options=_OPTIONS,
        streaming=True,
        split="train",
    )
    assert [row["x"] for row in stream.take(3)] == [0, 3, 6]
    assert read_bytes(tables) < 1.2 * _PART_BYTES
    assert stream.num_shards == 3
    csv = datasets.load_dataset("csv", data_files="vstore://@v1:/data/first.csv", streaming=True, split="train")
    assert list(csv) == [{"x": 1, "y": 2}, {"x": 3, "y": 4}]


def test_universal_pathlib(tables: Path, libraries: Libraries) -> None:
    """A universal path joins, lists and reads, and is of the class that the package registers."""
    upath = libraries.get("upath")
    registry = libraries.get("upath.registry")
    if "vstore" not in registry.available_implementations():
        pytest.skip("this checkout is not installed, so universal-pathlib does not know of it")
    data = upath.UPath("vstore://data", rev="v1")
    assert type(data).__name__ == "VstorePath"
    assert (data / "first.csv").read_text() == "x,y\n1,2\n3,4\n"
    addressed = upath.UPath("vstore://@v1:/data")
    assert sorted(path.name for path in addressed.iterdir()) == ["first.csv", "parts", "second.csv"]
    assert sorted(str(path) for path in addressed.glob("*.csv")) == [
        "vstore://@v1:/data/first.csv",
        "vstore://@v1:/data/second.csv",
    ]
    assert (addressed / "parts/part0.parquet").stat().st_size > _PART_BYTES
    assert (addressed / "first.csv").stat().st_mtime > 0
    assert read_bytes(tables) < _PART_BYTES / 10
    assert (addressed / "first.csv").parent.is_dir() and not (addressed / "none").exists()


def test_zarr(pushed: Pushed, libraries: Libraries, monkeypatch: pytest.MonkeyPatch) -> None:
    """An array is read by pieces; one that nobody holds is an error, and not taken for fill values."""
    zarr, numpy = libraries.get("zarr"), pytest.importorskip("numpy")
    values = numpy.random.default_rng(1).random((400, 400))
    array = zarr.create_array(str(pushed.project.path / "data/a.zarr"), shape=values.shape, chunks=(50, 50), dtype="f8")
    array[:] = values
    clone = pushed.publish(monkeypatch)
    found = zarr.open_array("vstore://@v1:/data/a.zarr", mode="r")
    assert found[120:130, 60:70].tolist() == values[120:130, 60:70].tolist()
    assert read_bytes(clone) < values.nbytes / 4
    for pack in pushed.project.store.rglob("*.vpack"):
        pack.unlink()
    with pytest.raises(ObjectMissingError):
        _ = found[300:310, 300:310]
