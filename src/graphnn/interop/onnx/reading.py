"""Bytes -> ModelProto -> arrays: what is read of an ONNX file, each length checked before it is believed."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from graphnn.errors import ModelError, UnsupportedError
from graphnn.interop.onnx.registry import Array, dtype_name, dtype_of

LARGEST_FILE = 1 << 31  # what protobuf can hold

_NARROW = {"int32_data": (2, 3, 4, 5, 6, 9, 10, 16), "int64_data": (7,), "float_data": (1,), "double_data": (11,)}
_FIELDS = {number: field for field, numbers in _NARROW.items() for number in numbers} | {
    12: "uint64_data",
    13: "uint64_data",
}
_DATA = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")


def import_onnx() -> Any:
    """The package onnx, which brings the format; it is an extra."""
    try:
        import onnx
    except ImportError:
        raise UnsupportedError(
            "reading and writing ONNX needs the package onnx, which is not installed",
            "Install it: pip install 'graphnn[onnx]'.",
        ) from None
    return onnx


def read_model(source: Any) -> tuple[Any, Path | None]:
    """The ModelProto behind a path, bytes or a ModelProto; and the folder where its external data may lie."""
    onnx = import_onnx()
    if isinstance(source, onnx.ModelProto):
        return source, None
    folder = None
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = bytes(source)
    elif isinstance(source, (str, os.PathLike)):
        path = Path(source)
        folder = path.resolve().parent
        try:
            if path.stat().st_size > LARGEST_FILE:
                raise ModelError(f"{path} is larger than an ONNX file can be (2 GiB)")
            data = path.read_bytes()
        except OSError as error:
            raise ModelError(f"the model {str(path)!r} cannot be read: {error.strerror or error}") from None
    else:
        raise ModelError(
            f"a model is a path, bytes or an onnx.ModelProto, not {type(source).__name__}",
            "Write load('model.onnx').",
        )
    from google.protobuf.message import DecodeError

    try:
        return onnx.ModelProto.FromString(data), folder
    except (DecodeError, RuntimeError, ValueError) as error:
        raise ModelError(f"this is no ONNX model: {error}") from None


def check_by_onnx(proto: Any) -> None:
    """The checker of the package onnx, on a model that all checks in Python have passed.

    It is C++ that is known to end the process on hostile files, so it comes last. It is not asked about models with tensors
    in other files, which it looks for in the current folder, nor about those that leave the shape of an input or output
    open, which it refuses although they can be run.
    """
    onnx = import_onnx()
    ends = (*proto.graph.input, *proto.graph.output)
    open_shapes = any(v.type.HasField("tensor_type") and not v.type.tensor_type.HasField("shape") for v in ends)
    external = any(onnx.external_data_helper.uses_external_data(tensor) for tensor in proto.graph.initializer)
    if open_shapes or external:
        return
    try:
        onnx.checker.check_model(proto)
    except onnx.checker.ValidationError as error:
        first = str(error).strip().splitlines()[0]
        raise ModelError(f"the checker of onnx refuses the model: {first}"[:300]) from None


def text(value: bytes | str, what: str) -> str:
    """A text of the file, which must be UTF-8."""
    if isinstance(value, str):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise ModelError(f"{what} is no text in UTF-8") from None


class TensorReader:
    """Makes arrays of TensorProtos, within a budget of elements; reads external data only if it may."""

    def __init__(self, budget: int, folder: Path | None = None, external: bool = False) -> None:
        self._budget, self._folder, self._external = budget, folder, external

    def read(self, tensor: Any, what: str) -> Array:
        """The array of one TensorProto; `what` names it in messages."""
        dtype = dtype_of(tensor.data_type)
        if dtype is None:
            raise UnsupportedError(
                f"{what} has the data type {dtype_name(tensor.data_type)}, which graphnn does not have"
            )
        shape = self._shape(tensor.dims, what)
        count = int(np.prod(shape, dtype=object)) if shape else 1
        if tensor.HasField("segment"):
            raise UnsupportedError(f"{what} is stored in segments")
        if tensor.data_location == 1:
            raw = self._external_bytes(tensor, what, count * dtype.numpy.itemsize)
        elif tensor.data_location != 0:
            raise ModelError(f"{what} has an unknown place of its data: {tensor.data_location}")
        else:
            given = [field for field in _DATA if len(getattr(tensor, field))]
            if tensor.HasField("raw_data"):
                given.append("raw_data")
            if len(given) > 1:
                raise ModelError(f"{what} holds its data twice, as {' and '.join(given)}")
            if not tensor.HasField("raw_data"):
                return self._typed(tensor, count, given, what).reshape(shape)
            raw = tensor.raw_data
        wanted = count * dtype.numpy.itemsize
        if len(raw) != wanted:
            raise ModelError(f"{what} has {len(raw)} bytes, but {dtype}{list(shape)} has {wanted}")
        if dtype.kind == "bool":
            bits: Array = np.frombuffer(raw, np.uint8).reshape(shape) != 0
            return bits
        array: Array = np.frombuffer(raw, dtype.numpy.newbyteorder("<")).astype(dtype.numpy).reshape(shape)
        return array

    def _shape(self, sizes: Sequence[int], what: str) -> tuple[int, ...]:
        shape = tuple(int(size) for size in sizes)
        if len(shape) > 32:
            raise ModelError(f"{what} has {len(shape)} axes; NumPy and graphnn have 32 at most")
        count = 1
        for size in shape:
            if size < 0:
                raise ModelError(f"{what} has a negative size: {list(shape)}")
            count *= max(size, 1)  # a zero must not hide the others
        if count > self._budget:
            raise ModelError(f"{what} of shape {list(shape)} is over the budget of {self._budget} elements")
        return shape

    def _typed(self, tensor: Any, count: int, given: list[str], what: str) -> Array:
        number = tensor.data_type
        field = _FIELDS[number]
        if given and given != [field]:
            raise ModelError(f"{what} is {dtype_name(number)}, but its data are in {given[0]}")
        values = getattr(tensor, field)
        if len(values) != count:
            raise ModelError(f"{what} has {len(values)} elements, but its shape {list(tensor.dims)} has {count}")
        dtype = dtype_of(number)
        assert dtype is not None
        array = np.array(values)
        if number in (10, 16):  # the bits of half precision, as numbers
            self._fits(array, 0, 0xFFFF, what)
            return array.astype(np.uint16).view(dtype.numpy)
        if dtype.is_integer:
            limits = np.iinfo(dtype.numpy)
            self._fits(array, limits.min, limits.max, what)
        return array.astype(dtype.numpy)

    def _fits(self, array: Array, low: int, high: int, what: str) -> None:
        if array.size and not (low <= int(array.min()) and int(array.max()) <= high):
            raise ModelError(f"{what} holds numbers that its data type cannot hold")

    def _external_bytes(self, tensor: Any, what: str, wanted: int) -> bytes:
        if not self._external:
            raise ModelError(
                f"{what} lies in another file, which is not read unless you allow it",
                "Write load(path, external_data=True), if you trust the model; only files below its folder are read.",
            )
        if self._folder is None:
            raise ModelError(f"{what} lies in another file, but the model was not given by a path")
        if any(len(getattr(tensor, field)) for field in _DATA) or tensor.HasField("raw_data"):
            raise ModelError(f"{what} holds its data twice: here and in another file")
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if len(entries) < len(tensor.external_data):
            raise ModelError(f"{what}: an entry of its external data is there twice")
        path = _path_below(self._folder, entries.get("location", ""), what)
        offset, length = (_whole(entries.get(key), f"{what}: the {key}") for key in ("offset", "length"))
        try:
            # No link is followed: not between the check of the path and here, either.
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
            with os.fdopen(handle, "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise ModelError(f"{what}: {path.name!r} is no ordinary file")
                start = offset or 0
                count = status.st_size - start if length is None else length
                if start + count > status.st_size or count < 0:
                    raise ModelError(f"{what}: {path.name!r} ends before its data")
                if count != wanted:
                    raise ModelError(f"{what} has {count} bytes in {path.name!r}, but its shape has {wanted}")
                file.seek(start)
                return file.read(count)
        except OSError as error:
            raise ModelError(f"{what}: its data cannot be read: {error.strerror or error}") from None


def _path_below(folder: Path, location: str, what: str) -> Path:
    parts = PurePosixPath(location.replace("\\", "/")).parts
    wrong = (
        not parts
        or "\0" in location
        or location.startswith(("/", "\\"))
        or any(part in ("..", ".") or ":" in part for part in parts)
    )
    if wrong:
        raise ModelError(
            f"{what}: {location!r} is no place for external data",
            "It must be a relative path below the model's folder.",
        )
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise ModelError(f"{what}: {location!r} leads through a link, which is not followed")
    return path


def _whole(value: str | None, what: str) -> int | None:
    if value is None:
        return None
    if not value.isascii() or not value.isdecimal() or len(value) > 18:
        raise ModelError(f"{what} of its external data is no number: {value!r}")
    return int(value)
