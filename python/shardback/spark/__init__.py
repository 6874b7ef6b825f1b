"""The same build on Spark: `build` takes DataFrames, and writes the bytes that one machine would write.

Needs pyspark, pandas and pyarrow (`pip install 'shardback[spark]'`), a JDK 17 or later, and this package on all executors.
"""

try:
    import pyspark as _pyspark  # noqa: F401
except ImportError as error:
    raise ImportError("shardback.spark needs Spark: pip install 'shardback[spark]'") from error

from shardback.spark.building import build

__all__ = ["build"]
