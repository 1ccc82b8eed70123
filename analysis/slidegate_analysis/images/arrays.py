# SPDX-License-Identifier: BSD-3-Clause
"""The one place that opens, reads and writes arrays through tensorstore: bounded threads, our errors.

A process must not end while one of its threads is in here: Python ends such a thread when it asks for the
interpreter again, which tensorstore takes for a fault and aborts. End the threads first, or use ``os._exit``.
"""

import _thread
import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore as ts

from .errors import (
    BadImageMetadataError,
    CannotWriteError,
    DiskFullError,
    PixelsDamagedError,
    PixelsMissingError,
    TooFewThreadsError,
)

READ_CACHE_BYTES = 64_000_000
SPARE_THREADS = 8
_NAMED_FILE = re.compile(r"( in)? local (file|directory) \"[^\"]*\"|\"/[^\"]*\"")


def threads() -> int:
    """Return how many threads encode or decode: ``OMP_NUM_THREADS`` if set, else the cores; at most 4."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    if wanted.isdigit() and int(wanted) > 0:
        return min(int(wanted), 4)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 4)


def check_threads() -> None:
    """Make sure that the process may start some more threads; takes a fraction of a millisecond.

    tensorstore starts its threads when it needs them. Where the system lets it start none, it ends the whole
    process (``terminate called after throwing an instance of 'std::system_error'``). Python raises an error.

    Raises
    ------
    TooFewThreadsError
        A limit of threads, processes or memory is reached.
    """
    try:
        for _ in range(SPARE_THREADS):
            _thread.start_new_thread(int, ())
    except (RuntimeError, MemoryError) as error:
        raise TooFewThreadsError from error


def _context(cache_bytes: int, flushed: bool) -> ts.Context:
    check_threads()
    return ts.Context(
        {
            "data_copy_concurrency": {"limit": threads()},
            "file_io_concurrency": {"limit": 4},
            "cache_pool": {"total_bytes_limit": cache_bytes},
            "file_io_sync": flushed,
            "file_io_locking": {"mode": "os"},
        }
    )


def writing_context(*, flushed: bool) -> ts.Context:
    """Return a context that caches nothing: whole shards pass through once.

    With `flushed`, a shard that was written survives a power cut; that costs a third of the speed.
    """
    return _context(0, flushed)


def reading_context() -> ts.Context:
    """Return a context with a small cache, for tiles that overlap."""
    return _context(READ_CACHE_BYTES, flushed=False)


def open_array(folder: Path, driver: str, context: ts.Context, *, sparse: bool = False) -> Any:
    """Open the Zarr array in `folder` (`driver` is ``zarr3`` or ``zarr``), never creating it.

    Parameters
    ----------
    sparse
        Whether a chunk that is not stored counts as fill value, as the Zarr specification has it for files of
        others. Otherwise reading one raises `PixelsMissingError`; our own writers store every chunk.

    Raises
    ------
    BadImageMetadataError
        tensorstore does not accept the metadata.
    """
    spec = {
        "driver": driver,
        "kvstore": {"driver": "file", "path": f"{folder}/"},
        "store_data_equal_to_fill_value": True,
        "fill_missing_data_reads": sparse,
        "recheck_cached_data": "open",
    }
    try:
        return ts.open(spec, open=True, context=context).result()
    except (ValueError, RuntimeError, OSError, UnicodeError) as error:
        raise BadImageMetadataError(_short(error)) from error


def read_array(array: Any) -> np.ndarray:
    """Read a view of an array into memory in native byte order.

    Raises
    ------
    PixelsMissingError, PixelsDamagedError
        A chunk is absent, or cannot be decoded.
    """
    try:
        values = array.read().result()
    except (ValueError, RuntimeError, OSError) as error:
        text = _short(error)
        if "is missing" in text or text.startswith("NOT_FOUND"):
            raise PixelsMissingError(text) from error
        raise PixelsDamagedError(text) from error
    return np.ascontiguousarray(values)


def finish_write(future: Any) -> None:
    """Wait for a write and turn its failure into `CannotWriteError`."""
    try:
        future.result()
    except (ValueError, RuntimeError, OSError) as error:
        text = _short(error)
        if os.strerror(errno.ENOSPC) in text or os.strerror(errno.EDQUOT) in text:
            raise DiskFullError from error
        raise CannotWriteError(text) from error


def write_file(path: Path, content: bytes) -> None:
    """Write a small file whole and flushed, under a temporary name first; a repeat replaces it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    with writing():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def writing() -> Iterator[None]:
    """Turn the system's errors while writing into `CannotWriteError` or `DiskFullError`."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError from error
        raise CannotWriteError(error.strerror or type(error).__name__) from error


def _short(error: Exception) -> str:
    """Return the first part of a tensorstore message, without source locations and names of files."""
    text = _NAMED_FILE.sub("", str(error).split(" [", 1)[0])
    return " ".join(text.split())[:300] or type(error).__name__
