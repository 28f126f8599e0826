"""What the namespace can do: ``__array_namespace_info__``."""

from __future__ import annotations

from typing import Any

from graphnn.array_api._array import DEVICE, check_device
from graphnn.array_api._data_types import KINDS
from graphnn.errors import GraphError, listing
from graphnn.ir.dtype import DEFAULT_FLOAT, DEFAULT_INT, DType, bfloat16, float16, int64

_NOT_IN_THE_STANDARD = (float16, bfloat16)


class Info:
    """Devices, data types and capabilities of ``graphnn.array_api``, as the standard asks for them."""

    def capabilities(self) -> dict[str, Any]:
        """Masks as indices and sizes that depend on data are there; 32 axes work in every function."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 32}

    def default_device(self) -> str:
        """The only device."""
        return DEVICE

    def devices(self) -> list[str]:
        """All devices."""
        return [DEVICE]

    def default_dtypes(self, *, device: Any = None) -> dict[str, DType]:
        """The data types that Python numbers become, and that indices have. There are no complex numbers."""
        check_device(device)
        return {"real floating": DEFAULT_FLOAT, "integral": DEFAULT_INT, "indexing": int64}

    def dtypes(self, *, device: Any = None, kind: str | tuple[str, ...] | None = None) -> dict[str, DType]:
        """The data types of the standard that there are, of a kind such as ``"integral"`` or of several.

        The kind ``"complex floating"`` is empty. graphnn's float16 and bfloat16 work too, but the standard has no names
        for them.

        >>> sorted(gn.array_api.__array_namespace_info__().dtypes(kind="real floating"))
        ['float32', 'float64']
        """
        check_device(device)
        kinds = (*KINDS,) if kind is None else kind if isinstance(kind, tuple) else (kind,)
        for name in kinds:
            if name not in KINDS:
                raise GraphError(f"dtypes: there is no kind {name!r}", f"There is {listing(KINDS)}.")
        found = {dtype.name: dtype for name in kinds for dtype in KINDS[name]}
        return {name: dtype for name, dtype in found.items() if dtype not in _NOT_IN_THE_STANDARD}


def __array_namespace_info__() -> Info:
    """What the namespace can do: its devices, data types and capabilities."""
    return Info()
