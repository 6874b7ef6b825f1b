"""shardback turns event logs into training tensors: for every impression, the customer's last K actions as they stood
when its day began.

`check` shows what is understood of tables, `build` makes days from them, `open` reads those as numpy arrays, and
`shardback.torch.Loader`, for which PyTorch has to be installed, trains on them. `verify` checks days in full, `inspect` shows what
they hold, and `generate` makes synthetic tables.
"""

from shardback._native import VERSION as __version__
from shardback.building import ArrowStream, build
from shardback.checking import check
from shardback.days import Day, Days, Shard, open
from shardback.errors import CorruptError, DeviceError, InputError, IoError, OptionError, ShardbackError
from shardback.generating import Generated, generate
from shardback.looking import Fault, Verified, inspect, verify
from shardback.manifest import Manifest, Statistics
from shardback.summary import Built, Summary

__all__ = [
    "ArrowStream",
    "Built",
    "CorruptError",
    "Day",
    "Days",
    "DeviceError",
    "Fault",
    "Generated",
    "InputError",
    "IoError",
    "Manifest",
    "OptionError",
    "Shard",
    "ShardbackError",
    "Statistics",
    "Summary",
    "Verified",
    "__version__",
    "build",
    "check",
    "generate",
    "inspect",
    "open",
    "verify",
]
