"""Stock readers take the output as it is, and find in it what the contract says."""

import datetime
import json

import datasets
import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest
import safetensors
import safetensors.numpy
import xxhash

from conftest import SHARDS

DAYS = [datetime.date(2025, 8, day) for day in (14, 15, 16)]
HISTORY = 1000
COLUMNS = ["customer_id", "item_id", "is_order", "actions", "action_types"]
each_day = pytest.mark.parametrize("day", DAYS, ids=str)


def padded(contract, day, rows):
    """The five columns that the rows have to become, as arrays."""
    actions = np.zeros((len(rows), HISTORY), np.int32)
    types = np.zeros((len(rows), HISTORY), np.uint8)
    for row, (customer, _, _) in enumerate(rows):
        history = contract.history(customer, day, HISTORY)
        if history:
            actions[row, : len(history)], types[row, : len(history)] = zip(*history)
    return {
        "customer_id": np.array([row[0] for row in rows], np.int64),
        "item_id": np.array([row[1] for row in rows], np.int32),
        "is_order": np.array([row[2] for row in rows], bool),
        "actions": actions,
        "action_types": types,
    }


@pytest.fixture(scope="session")
def expected(contract):
    """{day: the columns of each shard}"""
    return {day: [padded(contract, day, rows) for rows in contract.shards(day, SHARDS)] for day in DAYS}


def whole_day(shards):
    return {name: np.concatenate([shard[name] for shard in shards]) for name in COLUMNS}


def assert_same(found, expected):
    assert set(found) == set(expected)
    for name, values in expected.items():
        assert np.asarray(found[name]).shape == values.shape, name
        assert np.array_equal(found[name], values), name


def shard_files(built, form, day):
    files = sorted((built / form / f"dt={day}").glob("[!_]*"))
    suffix = "part-{:05}.parquet" if form == "parquet" else "shard-{:05}.safetensors"
    assert [file.name for file in files] == [suffix.format(shard) for shard in range(SHARDS)]
    return files


def test_the_sample_holds_its_edges(contract):
    """A sample that lost an edge would let every other test here pass for nothing."""
    lengths = {day: [len(contract.history(row[0], day, 10**6)) for row in contract.samples[day]] for day in DAYS}
    assert min(lengths[DAYS[0]]) == 0
    assert 1000 in lengths[DAYS[0]] and 1001 in lengths[DAYS[1]]
    assert max(lengths[DAYS[0]]) > 1100
    late = [[item for item, _ in contract.history(1006, day, HISTORY)] for day in DAYS]
    assert late[0] != late[1] and late[1] != late[2]
    places = [late[2].index(item) for item in late[0]]
    assert places == sorted(places) and places != list(range(places[0], places[0] + len(places)))
    assert contract.history(1007, DAYS[0], HISTORY) == [] != contract.history(1007, DAYS[1], HISTORY)
    assert {item for item, _ in contract.history(1009, DAYS[0], HISTORY)} == {0, -1, -(2**31), 2**31 - 1}
    # A time before 1970 is newer than none; times that differ by less than a microsecond are equal.
    assert [item for item, _ in contract.history(1005, DAYS[0], HISTORY)] == [1, 2, 12, 12, 30, 30, 21, 21]
    assert [item for item, _ in contract.history(1010, DAYS[0], HISTORY)] == [15, 3, 8, 13, 5, 18, 9, 4, 1, 2]
    assert contract.history(1003, DAYS[0], HISTORY)[:3] == [(6, 3), (6, 2), (6, 1)]
    assert all(min(len(shard) for shard in contract.shards(day, SHARDS)) > 50 for day in DAYS)


@each_day
def test_safetensors_reads_dense(built, expected, day):
    for file, shard in zip(shard_files(built, "dense", day), expected[day]):
        tensors = safetensors.numpy.load_file(file)
        assert {name: tensor.dtype for name, tensor in tensors.items()} == {
            "customer_id": np.int64,
            "item_id": np.int32,
            "actions": np.int32,
            "action_types": np.uint8,
            "is_order": np.bool_,
        }
        assert_same(tensors, shard)


@each_day
def test_safetensors_reads_jagged(built, expected, day):
    for file, shard in zip(shard_files(built, "jagged", day), expected[day]):
        tensors = safetensors.numpy.load_file(file)
        assert {name: tensor.dtype for name, tensor in tensors.items()} == {
            "customer_id": np.int64,
            "history_start": np.int64,
            "history_length": np.int32,
            "request": np.int32,
            "item_id": np.int32,
            "actions": np.int32,
            "action_types": np.uint8,
            "is_order": np.bool_,
        }
        rows = len(shard["customer_id"])
        request = tensors["request"]
        windows = zip(tensors["history_start"][request], tensors["history_length"][request])
        actions = np.zeros((rows, HISTORY), np.int32)
        types = np.zeros((rows, HISTORY), np.uint8)
        for row, (start, length) in enumerate(windows):
            assert 0 <= start and 0 <= length <= HISTORY and start + length <= len(tensors["actions"])
            actions[row, :length] = tensors["actions"][start : start + length]
            types[row, :length] = tensors["action_types"][start : start + length]
        found = {name: tensors[name] for name in ("item_id", "is_order")}
        found["customer_id"] = tensors["customer_id"][request]
        assert_same({**found, "actions": actions, "action_types": types}, shard)


@each_day
@pytest.mark.parametrize("form", ["dense", "jagged"])
def test_safetensors_headers_are_as_described(built, form, day):
    windows = ["history_start", "history_length", "request"] if form == "jagged" else []
    order = ["customer_id", *windows, "item_id", "actions", "action_types", "is_order"]
    for shard, file in enumerate(shard_files(built, form, day)):
        data = file.read_bytes()
        length = int.from_bytes(data[:8], "little")
        assert (8 + length) % 4096 == 0
        header = json.loads(data[8 : 8 + length])
        metadata = header.pop("__metadata__")
        assert list(header) == order
        ends = [0] + [tensor["data_offsets"][1] for tensor in header.values()]
        assert [tensor["data_offsets"][0] for tensor in header.values()] == ends[:-1], "a hole between tensors"
        assert 8 + length + ends[-1] == len(data)
        counts = {"rows": str(header["item_id"]["shape"][0])}
        if form == "jagged":
            counts["requests"] = str(header["customer_id"]["shape"][0])
            counts["actions"] = str(header["actions"]["shape"][0])
        manifest = json.loads((file.parent / "_manifest.json").read_text())
        counts["content"] = manifest["shards"][shard]["content"]
        counts["contents"] = json.dumps(manifest["contents"], separators=(",", ":"))
        assert metadata == {
            "format": f"shardback.{form}",
            "version": "2",
            "dt": str(day),
            "history": str(HISTORY),
            "shard": str(shard),
            "shards": str(SHARDS),
            **counts,
        }
        with safetensors.safe_open(file, framework="numpy") as tensors:
            assert tensors.metadata() == metadata


def matrix(column):
    """A list column of one length as a matrix."""
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return column.flatten().to_numpy().reshape(len(column), -1)


def columns_of(table):
    """An Arrow table of the wide rows as arrays."""
    flat = {name: table[name].to_numpy() for name in COLUMNS[:3]}
    return {**flat, "actions": matrix(table["actions"]), "action_types": matrix(table["action_types"])}


def by_day(table):
    """{day: the rows of the table}"""
    days = np.array([str(day) for day in table["dt"].to_pylist()])
    assert set(days) == set(map(str, DAYS))
    return {day: columns_of(table.filter(pa.array(days == str(day)))) for day in DAYS}


def read_with_pyarrow(root):
    dataset = pyarrow.dataset.dataset(root, format="parquet", partitioning="hive")
    assert len(dataset.files) == len(DAYS) * SHARDS, "`_manifest.json` and the like are passed over"
    return dataset.to_table()


def read_with_polars(root):
    return pl.scan_parquet(root / "**" / "*.parquet", hive_partitioning=True).collect().to_arrow()


def read_with_duckdb(root):
    # A reader of many files in parallel keeps their order only when told so by their names and row numbers.
    found = duckdb.sql(
        f"""
        SELECT * EXCLUDE (filename, file_row_number)
        FROM read_parquet('{root}/*/*.parquet', hive_partitioning = true, filename = true, file_row_number = true)
        ORDER BY filename, file_row_number
        """
    ).arrow()
    return found.read_all() if isinstance(found, pa.RecordBatchReader) else found


def read_with_datasets(root):
    days = []
    for day in DAYS:
        files = str(root / f"dt={day}" / "*.parquet")
        found = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(root.parent.with_name("cache")))
        days.append(found.with_format("arrow")[:].append_column("dt", pa.array([str(day)] * len(found))))
    return pa.concat_tables(days)


READERS = [read_with_pyarrow, read_with_polars, read_with_duckdb, read_with_datasets]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_parquet_readers_see_the_rows_of_the_contract(built, expected, read):
    found = by_day(read(built / "parquet"))
    for day in DAYS:
        assert_same(found[day], whole_day(expected[day]))


def test_parquet_columns_are_as_described(built):
    for file in (file for day in DAYS for file in shard_files(built, "parquet", day)):
        schema = pa.parquet.read_schema(file)
        assert schema.names == COLUMNS
        assert not any(field.nullable for field in schema)
        assert [field.type for field in schema][:3] == [pa.int64(), pa.int32(), pa.bool_()]
        for name in COLUMNS[3:]:
            assert pa.types.is_list(schema.field(name).type) and schema.field(name).type.value_type == pa.int32()


@each_day
@pytest.mark.parametrize("form", ["parquet", "dense", "jagged"])
def test_manifests_hold_the_hashes_of_the_bytes(built, form, day):
    folder = built / form / f"dt={day}"
    data = (folder / "_manifest.json").read_bytes()
    manifest = json.loads(data)
    assert list(manifest)[-1] == "hash"
    signed = data[: data.rindex(b'"hash": "')]
    assert manifest["hash"] == f"{xxhash.xxh3_128_intdigest(signed):032x}"
    assert manifest["format"] == f"shardback.{form}" and manifest["dt"] == str(day)
    assert [shard["file"] for shard in manifest["shards"]] == [file.name for file in shard_files(built, form, day)]
    for shard in manifest["shards"]:
        content = (folder / shard["file"]).read_bytes()
        assert shard["bytes"] == len(content)
        assert shard["hash"] == f"{xxhash.xxh3_128_intdigest(content):032x}"
    assert (folder / "_SUCCESS").read_bytes() == b""
    assert json.loads((folder / "_run.json").read_bytes())


@each_day
def test_manifests_count_what_the_contract_counts(built, contract, day):
    samples = contract.samples[day]
    customers = {customer for customer, _, _ in samples}
    histories = {customer: contract.history(customer, day, HISTORY) for customer in customers}
    kinds = [kind for history in histories.values() for _, kind in history]
    builds = set()
    for form in ("parquet", "dense", "jagged"):
        manifest = json.loads((built / form / f"dt={day}" / "_manifest.json").read_bytes())
        builds.add(manifest["build"])
        statistics = manifest["statistics"]
        assert sum(shard["rows"] for shard in manifest["shards"]) == statistics["samples"] == len(samples)
        assert statistics["labels"]["is_order"]["positives"] == sum(label for _, _, label in samples)
        assert statistics["requests"] == statistics["customers"] == len(customers)
        assert statistics["customers_without_history"] == sum(not history for history in histories.values())
        names = {"click": 1, "add_to_cart": 2, "order": 3}
        assert statistics["actions"] == {name: kinds.count(kind) for name, kind in names.items()}
    assert len(builds) == 1, "the formats of a day carry one build hash"
