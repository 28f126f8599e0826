"""Data sets of images with their labels."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from graphnn.data.idx import read_idx, read_idx_stream
from graphnn.errors import DataError

MNIST_PREFIX = {"train": "train", "test": "t10k"}
MNIST_SOURCE = "https://storage.googleapis.com/cvdf-datasets/mnist/"

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


def digits() -> tuple[Images, Labels]:
    """Load the 1,797 small images of handwritten digits that come with the package.

    They are the test part of "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak (UCI Machine
    Learning Repository, 1998), written by 13 people. Neighbours come from the same writer, so shuffle before splitting;
    `train_test_split` does.

    Returns
    -------
    images : ndarray, uint8[1797, 8, 8]
        Number of ink pixels in each 4x4 block of the scan: 0 (no ink) to 16.
    labels : ndarray, int64[1797]
        The digit, 0 to 9.

    References
    ----------
    https://doi.org/10.24432/C50P49, CC BY 4.0

    Examples
    --------
    >>> from graphnn import data
    >>> images, labels = data.digits()
    >>> images.shape, images.dtype, int(images.max())
    ((1797, 8, 8), dtype('uint8'), 16)
    >>> labels[:10].tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """
    folder = resources.files("graphnn.data") / "optdigits"
    arrays = []
    for name in ("images-idx3-ubyte.gz", "labels-idx1-ubyte.gz"):
        with (folder / name).open("rb") as file:
            arrays.append(read_idx_stream(file, f"graphnn/data/optdigits/{name}"))
    return _checked_pair("digits", *arrays)


def mnist(folder: str | os.PathLike[str], split: Literal["train", "test"] = "train") -> tuple[Images, Labels]:
    """Load MNIST, or a data set in its format such as Fashion-MNIST, from the files in a folder.

    Parameters
    ----------
    folder
        Where the files lie under their usual names, ``train-images-idx3-ubyte`` and so on, plain or with ``.gz``.
        Where both are there, the plain one is read.
    split
        ``"train"`` (60,000 images in MNIST) or ``"test"`` (10,000, in the files that begin with ``t10k``).

    Returns
    -------
    images : ndarray, uint8[n, rows, columns]
        The grey values, 0 to 255; in MNIST 28 rows and 28 columns.
    labels : ndarray, int64[n]
        The digit or class, 0 to 9.

    Raises
    ------
    DataError
        The folder or a file is missing or damaged, images and labels are not of one number, or a label is above 9.

    References
    ----------
    Y. LeCun, C. Cortes, C. Burges: The MNIST database of handwritten digits.

    Examples
    --------
    >>> from graphnn import data
    >>> images, labels = data.mnist("no/such/folder")
    Traceback (most recent call last):
    graphnn.errors.DataError: mnist: there is no folder 'no/such/folder'
    ...
    """
    if split not in MNIST_PREFIX:
        raise DataError(f"mnist: split is 'train' or 'test', not {split!r}")
    root = Path(folder)
    names = [f"{MNIST_PREFIX[split]}-{kind}" for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    if not root.is_dir():
        headline = f"{str(root)!r} is a file, not a folder" if root.exists() else f"there is no folder {str(root)!r}"
        raise DataError(f"mnist: {headline}", *_how_to_get(names))
    images, labels = (_find(root, name, split) for name in names)
    return _checked_pair(f"mnist in {str(root)!r}", read_idx(images), read_idx(labels))


def _find(root: Path, name: str, split: str) -> Path:
    candidates = [root / name, root / f"{name}.gz"]
    for path in candidates:
        if path.is_file():
            return path
    hints = _how_to_get([name])
    for other, prefix in MNIST_PREFIX.items():
        if other != split and any(root.glob(f"{prefix}-images-idx3-ubyte*")):
            hints.append(f"The folder does hold the other half: split={other!r}.")
    plain, packed = (path.name for path in candidates)
    raise DataError(f"mnist: in {str(root)!r} there is neither {plain!r} nor {packed!r}", *hints)


def _how_to_get(names: list[str]) -> list[str]:
    """Hints for a message: what was looked for, and where it can be had."""
    return [
        f"Looked for: {', '.join(f'{name}, {name}.gz' for name in names)}.",
        f"They can be loaded from {MNIST_SOURCE}",
        "and must lie in the folder under these names; gzip packing may stay.",
    ]


def _checked_pair(what: str, images: NDArray[Any], labels: NDArray[Any]) -> tuple[Images, Labels]:
    """Images and labels in the promised data types, when they are what they must be and belong together."""
    for role, array, rank in (("images", images, 3), ("labels", labels, 1)):
        if array.dtype != np.uint8 or array.ndim != rank:
            spec = f"{array.dtype}[{', '.join(map(str, array.shape))}]"
            raise DataError(
                f"{what}: the {role} are {spec}, not uint8 of {rank} {'axes' if rank > 1 else 'axis'}",
                "Are the files of images and labels interchanged, or of another data set?",
            )
    if len(images) != len(labels):
        raise DataError(
            f"{what}: {len(images)} images but {len(labels)} labels",
            "The files belong to different sets, or one is damaged; get both anew.",
        )
    if len(labels) and labels.max() > 9:
        first = int(np.argmax(labels > 9))
        raise DataError(
            f"{what}: label {first} is {labels[first]}, labels are 0 to 9",
            "The file of labels is damaged or of another data set.",
        )
    return images, labels.astype(np.int64)
