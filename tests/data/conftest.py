"""A writer of IDX files: what the reader is tested against."""

import gzip
import struct

import numpy as np
import pytest

CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx_bytes(array, packed=False):
    header = struct.pack(f">BBBB{array.ndim}i", 0, 0, CODES[array.dtype.name], array.ndim, *array.shape)
    content = header + array.astype(array.dtype.newbyteorder(">")).tobytes()
    return gzip.compress(content, mtime=0) if packed else content


@pytest.fixture(scope="session")
def idx():
    """``idx(array, packed=False)``: the bytes of an IDX file."""
    return idx_bytes


@pytest.fixture
def mnist_folder(tmp_path):
    """``mnist_folder(images, labels, split="train", packed=True)``: a folder with the two files; it may be extended."""

    def write(images, labels, split="train", packed=True):
        prefix = {"train": "train", "test": "t10k"}[split]
        for kind, array in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels)):
            name = f"{prefix}-{kind}{'.gz' if packed else ''}"
            (tmp_path / name).write_bytes(idx_bytes(np.asarray(array), packed))
        return tmp_path

    return write
