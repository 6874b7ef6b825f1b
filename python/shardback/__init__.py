"""shardback turns event logs into training tensors: for every impression, the customer's last K actions as they stood
when its day began.

`check` shows what is understood of tables, `build` makes days from them, `open` reads those as numpy arrays, and
`shardback.torch.Loader`, for which PyTorch has to be installed, trains on them.
"""

from shardback.building import ArrowStream, build
from shardback.checking import check
from shardback.days import Day, Days, Shard, open
from shardback.errors import CorruptError, DeviceError, InputError, IoError, OptionError, ShardbackError
from shardback.manifest import Manifest, Statistics

__all__ = [
    "ArrowStream",
    "CorruptError",
    "Day",
    "Days",
    "DeviceError",
    "InputError",
    "IoError",
    "Manifest",
    "OptionError",
    "Shard",
    "ShardbackError",
    "Statistics",
    "build",
    "check",
    "open",
]
