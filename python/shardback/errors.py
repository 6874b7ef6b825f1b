"""What this package raises: one base class, and a class for each kind of cause."""


class ShardbackError(Exception):
    """The base of every exception that this package raises on purpose."""


class OptionError(ShardbackError, ValueError):
    """An argument, or a combination of arguments, that makes no sense; the message names the argument."""


class InputError(ShardbackError, ValueError):
    """A table that cannot be used: a missing column, a bad row, a broken file or stream; the message says where."""


class CorruptError(ShardbackError):
    """A published day that is not what it should be; the message names the file."""


class IoError(ShardbackError, OSError):
    """The system refused something; the message names the path."""


class DeviceError(ShardbackError, RuntimeError):
    """A CUDA device that is not there, that has no room, or that failed.

    Where it has no room, `needed` and `free` say how many bytes were asked for and how many there were; else they are none.
    """

    needed: int | None = None
    free: int | None = None
