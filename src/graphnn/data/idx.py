"""A reader for IDX, the format of MNIST and its relatives, that trusts nothing in the file.

A file is: two zero bytes, a byte for the data type, a byte for the number of axes, the size of each axis as a
big-endian 32-bit integer, and then the values, big-endian, last axis fastest. Often all of it is packed with gzip.
"""

from __future__ import annotations

import gzip
import math
import os
import sys
import zlib
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphnn.errors import DataError

DTYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
GZIP_MAGIC = b"\x1f\x8b"
MOST_AXES = 32
CHUNK = 1 << 20

Source = IO[bytes] | gzip.GzipFile


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read one array from an IDX file, plain or packed with gzip.

    Which of the two it is, is seen from its first bytes, not from its name. The header is checked before memory is
    taken, and never more is unpacked than it announces, so a damaged or hostile file gives an error and not a crash.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    ndarray
        A new, writable array in native byte order, with the shape and data type that the header names: uint8, int8,
        int16, int32, float32 or float64, with at least one axis.

    Raises
    ------
    DataError
        The file is missing or unreadable, is not IDX, is broken gzip, or holds fewer or more bytes than its header
        announces.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from graphnn import data
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "table.idx")
    ...     size = path.write_bytes(bytes([0, 0, 8, 2]) + bytes([0, 0, 0, 2, 0, 0, 0, 3]) + bytes(range(6)))
    ...     data.read_idx(path)
    array([[0, 1, 2],
           [3, 4, 5]], dtype=uint8)
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            return read_idx_stream(file, name)
    except FileNotFoundError as error:
        raise DataError(f"read_idx: there is no file {name!r}") from error
    except OSError as error:
        raise DataError(f"read_idx: cannot read {name!r}: {error.strerror or error}") from error


def read_idx_stream(file: IO[bytes], name: str) -> NDArray[Any]:
    """Read one array from an open, seekable binary file; `name` is what messages call it.

    The contract is that of `read_idx`, but for an `OSError` of the file itself, which passes through.
    """
    packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    file.seek(0)
    if not packed:
        return _decode(file, name)
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
            return _decode(unpacked, name)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise _damaged(name, f"its gzip packing is broken ({error})") from error


class _Header(NamedTuple):
    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of bytes that the values take."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype.name}[{', '.join(map(str, self.shape))}]"


def _decode(file: Source, name: str) -> NDArray[Any]:
    header = _read_header(file, name)
    values = _read_at_most(file, header.size + 1)  # one more, to see what is too long and to let gzip check its sum
    if len(values) != header.size:
        found = "more follow" if len(values) > header.size else f"only {len(values)} follow"
        raise _damaged(name, f"its header announces {header}, {header.size} bytes of values, but {found}")
    array = np.frombuffer(values, header.dtype).reshape(header.shape)
    return array.astype(header.dtype.newbyteorder("="), copy=False)


def _read_header(file: Source, name: str) -> _Header:
    magic = file.read(4)
    if not magic:
        raise _damaged(name, "it is empty")
    if len(magic) < 4:
        raise _damaged(name, f"it ends inside its header, after {len(magic)} bytes")
    if magic[:2] != b"\0\0":
        raise DataError(
            f"read_idx: {name!r} is not an IDX file: it begins with the bytes {magic.hex(' ')}",
            "An IDX file, plain or packed with gzip, begins with 00 00.",
        )
    code, rank = magic[2], magic[3]
    if code not in DTYPES:
        known = ", ".join(f"0x{known:02x} {dtype.name}" for known, dtype in DTYPES.items())
        raise _damaged(name, f"0x{code:02x} is no data type of IDX", f"The data types are {known}.")
    if not 1 <= rank <= MOST_AXES:
        raise _damaged(name, f"its header announces {rank} axes", f"Arrays of 1 to {MOST_AXES} axes can be read.")
    sizes = file.read(4 * rank)
    if len(sizes) < 4 * rank:
        raise _damaged(name, f"it ends inside its header, after {4 + len(sizes)} bytes")
    header = _Header(DTYPES[code], tuple(int(size) for size in np.frombuffer(sizes, ">i4")))
    if min(header.shape) < 0:
        raise _damaged(name, f"its header announces a negative size: {header}")
    if math.prod(size or 1 for size in header.shape) * header.dtype.itemsize > sys.maxsize:
        raise _damaged(name, f"its header announces {header}, which no memory can hold")
    return header


def _read_at_most(file: Source, limit: int) -> bytearray:
    """Read up to `limit` bytes, taking memory only for what is really there."""
    content = bytearray()
    while len(content) < limit and (chunk := file.read(min(CHUNK, limit - len(content)))):
        content += chunk
    return content


def _damaged(name: str, what: str, *hints: str) -> DataError:
    return DataError(
        f"read_idx: {name!r}: {what}", *hints, "The file is damaged or was not loaded completely; get it anew."
    )
