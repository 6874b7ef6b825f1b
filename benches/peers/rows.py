"""Compares the rows of results, whatever their order and form: a hash for each row, sorted.

    rows.py FORM FOLDER… --expected FOLDER

FOLDER is a day's, named dt=DAY. The hashes of a day that nobody has brought before are kept in EXPECTED/dt=DAY.npy; those
of later ones have to be the same. Exits with 1 and says which day differs.

A row's hash is a sum modulo 2^64 of its values, each times a random number of its place. Padding is 0 and adds nothing,
so rows without padding have the same hash, and a history has to be hashed only once.
"""

import argparse
import json
import pathlib
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from given import HISTORY

WEIGHTS = np.random.default_rng(1).integers(1, 2**64, (2, HISTORY), dtype=np.uint64)
CUSTOMER, ITEM, LABEL = np.random.default_rng(2).integers(1, 2**64, 3, dtype=np.uint64)
ROWS_AT_A_TIME = 2048


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("form", choices=FORMS)
    parser.add_argument("folders", nargs="+", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--expected", type=pathlib.Path, required=True, metavar="FOLDER")
    given = parser.parse_args()
    for folder in given.folders:
        found = np.sort(np.concatenate(list(FORMS[given.form](folder))))
        expected_file = given.expected / f"{folder.name}.npy"
        if not expected_file.exists():
            np.save(expected_file, found)
            continue
        expected = np.load(expected_file)
        if not np.array_equal(found, expected):
            missing, extra = (len(np.setdiff1d(a, b)) for a, b in ((expected, found), (found, expected)))
            sys.exit(
                f"{folder}: {len(found)} rows where {len(expected)} were expected; "
                f"{missing} kinds of rows are missing, {extra} should not be there"
            )


def wide(folder):
    """Padded rows in Parquet."""
    for file in sorted(folder.glob("*.parquet")):
        for batch in pq.ParquetFile(file).iter_batches(ROWS_AT_A_TIME):
            histories = np.zeros(len(batch), np.uint64)
            for name, weights in zip(["actions", "action_types"], WEIGHTS):
                column = batch[name]
                values = column.flatten()
                if len(values) != HISTORY * len(batch) or column.null_count or values.null_count:
                    sys.exit(f"{file}: `{name}` is not {HISTORY} numbers in each row")
                histories += unsigned(values).reshape(-1, HISTORY) @ weights
            yield rows(batch["customer_id"], batch["item_id"], batch["is_order"], histories)


def dense(folder):
    """Padded rows as tensors."""
    for tensors in shards(folder):
        for start in range(0, len(tensors["customer_id"]), ROWS_AT_A_TIME):
            some = {name: tensor[start : start + ROWS_AT_A_TIME] for name, tensor in tensors.items()}
            histories = unsigned(some["actions"]) @ WEIGHTS[0] + unsigned(some["action_types"]) @ WEIGHTS[1]
            yield rows(some["customer_id"], some["item_id"], some["is_order"], histories)


def jagged(folder):
    """Windows into histories, as tensors."""
    for tensors in shards(folder):
        windows = np.stack([tensors["history_start"], tensors["history_length"].astype(np.int64)], axis=1)
        distinct, place = np.unique(windows, axis=0, return_inverse=True)
        histories = hash_windows(*distinct.T, tensors["actions"], tensors["action_types"])
        request = tensors["request"]
        customers, histories = tensors["customer_id"][request], histories[place.reshape(-1)][request]
        yield rows(customers, tensors["item_id"], tensors["is_order"], histories)


def two_files(folder):
    """Samples in one Parquet file, a history for each customer in another."""
    table = pq.read_table(folder / "histories.parquet").sort_by("customer_id").combine_chunks()
    lists = [table[name].combine_chunks() for name in ("actions", "action_types")]
    lengths = np.asarray(lists[0].value_lengths()).astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    histories = hash_windows(starts, lengths, *(column.flatten() for column in lists))
    # The customer behind the last one is nobody's and has no history.
    customers = np.append(np.asarray(table["customer_id"]), np.iinfo(np.int64).max)
    histories = np.append(histories, np.uint64(0))
    samples = pq.read_table(folder / "samples.parquet")
    place = np.searchsorted(customers, np.asarray(samples["customer_id"]))
    known = customers[place] == np.asarray(samples["customer_id"])
    yield rows(samples["customer_id"], samples["item_id"], samples["is_order"], histories[place] * known)


FORMS = {form.__name__: form for form in (wide, dense, jagged, two_files)}


def rows(customers, items, labels, histories):
    """A hash for each row."""
    return unsigned(customers) * CUSTOMER + unsigned(items) * ITEM + unsigned(labels) * LABEL + histories


def hash_windows(starts, lengths, actions, action_types):
    """A hash for each window: with values from `starts`, as many as `lengths`."""
    ends = np.cumsum(lengths)
    place = np.arange(lengths.sum()) - np.repeat(ends - lengths, lengths)
    source = np.repeat(starts, lengths) + place
    terms = unsigned(actions)[source] * WEIGHTS[0, place] + unsigned(action_types)[source] * WEIGHTS[1, place]
    sums = np.append(np.uint64(0), np.cumsum(terms))
    return sums[ends] - sums[ends - lengths]


def unsigned(values):
    """Any numbers or truth values as 64 bits without sign."""
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        values = values.to_numpy(zero_copy_only=False) if isinstance(values, pa.Array) else values.to_numpy()
    return values.astype(np.int64).view(np.uint64)


def shards(folder):
    """The tensors of each shard of a day, mapped."""
    types = {"I64": np.int64, "I32": np.int32, "U8": np.uint8, "BOOL": np.bool_}
    for file in sorted(folder.glob("*.safetensors")):
        data = np.memmap(file, np.uint8, "r")
        head = 8 + int(data[:8].view("<u8")[0])
        tensors = json.loads(data[8:head].tobytes())
        tensors.pop("__metadata__")
        yield {
            name: data[head:][slice(*tensor["data_offsets"])].view(types[tensor["dtype"]]).reshape(tensor["shape"])
            for name, tensor in tensors.items()
        }


if __name__ == "__main__":
    main()
