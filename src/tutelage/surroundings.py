"""What another library's error says of the machine, in whichever words: its memory ends, its disk is full, an accelerator is gone."""

import errno
from collections.abc import Sequence

from tutelage.errors import RunError

_MEMORY = ("out of memory", "alloc_failed", "can't allocate memory", "bad_alloc")
_WRITING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
# safetensors hands on the system's words, and torch.save says "unexpected pos" where the disk took less than it was given.
_DISK = ("no space left on device", "disk quota exceeded", "file too large", "failed writing file", "unexpected pos")
# CUDA's words for what no program has done; an index out of range is an AcceleratorError, too.
_DEVICE = (
    "no cuda-capable device", "busy or unavailable", "uncorrectable ecc", "hardware stack", "unspecified launch failure", "unknown error",
    "fallen off the bus", "gpu is lost", "driver shutting down", "nvlink", "external device", "initialization error",
)  # fmt: skip


def tells_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ended, the machine's or a device's."""
    return isinstance(error, MemoryError) or _is(error, ("OutOfMemoryError",)) or _says(error, RuntimeError, _MEMORY)


def tells_of_disk(error: BaseException) -> bool:
    """Whether an error says that a file could not be written for want of room, or of leave to write."""
    if isinstance(error, OSError) and error.errno in _WRITING:
        return True
    return (_is(error, ("SafetensorError",)) or isinstance(error, RuntimeError)) and _says(error, Exception, _DISK)


def tells_of_device(error: BaseException) -> bool:
    """Whether an error says that an accelerator does not answer any more."""
    return _is(error, ("AcceleratorError",)) and _says(error, Exception, _DEVICE)


def as_ours(error: Exception) -> Exception:
    """The error in a sentence that says what to do, where it tells of the machine; else itself."""
    said = " ".join(str(error).splitlines()[:1])[:200]
    if tells_of_disk(error):
        where = f" {error.filename}" if isinstance(error, OSError) and error.filename else ""
        why = error.strerror if isinstance(error, OSError) else said
        return RunError(
            f"cannot write{where}: {why}. Finished steps are kept; make room and run the same command again"
        )
    if tells_of_device(error):
        return RunError(
            f"the accelerator does not answer any more ({said}): the system's log says why. Finished steps are kept, a training has its last "
            "checkpoint, and the same command goes on, in a new process"
        )
    if tells_of_memory(error):
        return RunError(
            f"the memory ended ({said or type(error).__name__}). Finished steps are kept; give the model less to do at once, or take a smaller one"
        )
    return error


def _is(error: BaseException, names: Sequence[str]) -> bool:
    """Whether an error is of one of these types, told by name: what defines them need not be installed."""
    return any(kind.__name__ in names for kind in type(error).__mro__)


def _says(error: BaseException, kind: type[BaseException], words: Sequence[str]) -> bool:
    told = str(error).lower()
    return isinstance(error, kind) and any(one in told for one in words)
