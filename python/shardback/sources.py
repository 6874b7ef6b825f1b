"""Tables as they are given: paths, what yields Arrow, and what is one call away from that."""

from __future__ import annotations

import os

_CALLS = {
    ("pyarrow", "Dataset"): ".scanner().to_reader()",
    ("pyarrow", "Scanner"): ".to_reader()",
    ("polars", "LazyFrame"): ".collect()",
    ("datasets", "Dataset"): '.with_format("arrow")[:]',
    ("deltalake", "DeltaTable"): ".to_pyarrow_dataset().scanner().to_reader()",
    ("pyiceberg", "Table"): ".scan().to_arrow_batch_reader()",
    ("ibis", "Table"): ".to_pyarrow_batches()",
}
"""What makes a source yield Arrow, by the package and the name of a class or of one that it is derived from."""


def source(name: str, table: object) -> object:
    """A table as Rust takes it: a path, with the user's home folder in the place of `~`, or what yields Arrow.

    Raises:
        TypeError: it is neither.
    """
    if table is None:
        return None
    if isinstance(table, str | bytes | os.PathLike):
        return os.fsdecode(os.path.expanduser(table))
    if hasattr(table, "__arrow_c_stream__"):
        return table
    kind = type(table)
    problem = f"{name}: a table is a path or has `__arrow_c_stream__`, not {kind.__module__}.{kind.__qualname__}"
    way = _way(table)
    raise TypeError(f"{problem}; {way}" if way else problem)


def _way(table: object) -> str | None:
    if isinstance(table, list | tuple):
        return "give the folder that holds the files, or pyarrow.dataset.dataset(files).scanner().to_reader()"
    for kind in type(table).__mro__:
        package = kind.__module__.partition(".")[0]
        if package == "pyspark" and kind.__name__ == "DataFrame":
            return "shardback.spark.build takes tables of Spark"
        call = _CALLS.get((package, kind.__name__))
        if call is not None:
            return f"add `{call}` to it"
    return None
