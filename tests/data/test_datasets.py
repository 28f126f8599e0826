import hashlib
import os
import pathlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphnn import data
from graphnn.errors import DataError, GraphnnError

IMAGES = np.arange(5 * 2 * 3, dtype="uint8").reshape(5, 2, 3)
LABELS = np.array([3, 0, 9, 1, 1], dtype="uint8")


@pytest.fixture(scope="module")
def real_mnist():
    place = os.environ.get("GRAPHNN_DATA", "../shared/data")
    folder = pathlib.Path(__file__).parents[2] / place
    if not (folder / "t10k-images-idx3-ubyte.gz").exists():
        pytest.skip("the MNIST test files are not here; set GRAPHNN_DATA to the folder that holds them")
    return folder


def test_data_error_is_a_value_error():
    assert issubclass(DataError, GraphnnError)
    assert issubclass(DataError, ValueError)


class TestDigits:
    def test_shapes_and_ranges(self):
        images, labels = data.digits()
        assert images.shape == (1797, 8, 8)
        assert images.dtype == np.uint8
        assert labels.shape == (1797,)
        assert labels.dtype == np.int64
        assert (images.min(), images.max()) == (0, 16)
        assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]

    def test_first_image_is_a_zero(self):
        images, labels = data.digits()
        assert labels[0] == 0
        assert images[0].tolist() == [
            [0, 0, 5, 13, 9, 1, 0, 0],
            [0, 0, 13, 15, 10, 15, 5, 0],
            [0, 3, 15, 2, 0, 11, 8, 0],
            [0, 4, 12, 0, 0, 8, 8, 0],
            [0, 5, 8, 0, 0, 9, 8, 0],
            [0, 4, 11, 0, 1, 12, 7, 0],
            [0, 2, 14, 5, 10, 12, 0, 0],
            [0, 0, 6, 13, 10, 0, 0, 0],
        ]

    def test_is_the_published_set(self):
        """The sums are those of sklearn.datasets.load_digits(), its images as uint8 and its labels as int64."""
        images, labels = data.digits()
        assert hashlib.sha256(images.tobytes()).hexdigest().startswith("8f26b2bd9d135c256808f68f14fdabdd")
        assert hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest().startswith("a3c91c262eddcf7ba8f0e37507c30284")

    def test_each_call_gives_arrays_of_its_own(self):
        images, labels = data.digits()
        images[:] = 0
        labels[:] = 0
        assert data.digits()[0].max() == 16
        assert data.digits()[1].max() == 9

    def test_the_licence_lies_next_to_the_data(self):
        folder = pathlib.Path(data.__file__).parent / "optdigits"
        assert "10.24432/C50P49" in (folder / "LICENSE.txt").read_text(encoding="utf-8")


class TestMnist:
    @pytest.mark.parametrize("packed", [False, True])
    @pytest.mark.parametrize("split", ["train", "test"])
    def test_reads_both_splits_packed_or_not(self, mnist_folder, split, packed):
        images, labels = data.mnist(mnist_folder(IMAGES, LABELS, split, packed), split=split)
        np.testing.assert_array_equal(images, IMAGES, strict=True)
        np.testing.assert_array_equal(labels, LABELS.astype("int64"), strict=True)

    def test_train_is_the_default_and_the_folder_may_be_text(self, mnist_folder):
        mnist_folder(IMAGES[:2], LABELS[:2], "test")
        images, _ = data.mnist(str(mnist_folder(IMAGES, LABELS, "train")))
        assert len(images) == 5

    def test_the_plain_file_comes_first(self, mnist_folder):
        mnist_folder(IMAGES[:2], LABELS[:2], packed=True)
        images, _ = data.mnist(mnist_folder(IMAGES, LABELS, packed=False))
        assert len(images) == 5

    def test_an_empty_set_is_allowed(self, mnist_folder):
        images, labels = data.mnist(mnist_folder(IMAGES[:0], LABELS[:0]))
        assert images.shape == (0, 2, 3)
        assert labels.shape == (0,)

    def test_real_files(self, real_mnist):
        images, labels = data.mnist(real_mnist, split="test")
        assert images.shape == (10_000, 28, 28)
        assert images.dtype == np.uint8
        assert (images.min(), images.max()) == (0, 255)
        assert labels.dtype == np.int64
        assert np.bincount(labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
        assert labels[:5].tolist() == [7, 2, 1, 0, 4]

    def test_missing_folder(self, tmp_path):
        folder = tmp_path / "no-such-folder"
        with pytest.raises(DataError) as caught:
            data.mnist(folder)
        assert str(caught.value) == (
            f"mnist: there is no folder {str(folder)!r}\n\n"
            "  Looked for: train-images-idx3-ubyte, train-images-idx3-ubyte.gz, "
            "train-labels-idx1-ubyte, train-labels-idx1-ubyte.gz.\n"
            "  They can be loaded from https://storage.googleapis.com/cvdf-datasets/mnist/\n"
            "  and must lie in the folder under these names; gzip packing may stay."
        )

    def test_file_instead_of_folder(self, tmp_path):
        (tmp_path / "x").touch()
        with pytest.raises(DataError, match=r"mnist: '.*x' is a file, not a folder"):
            data.mnist(tmp_path / "x")

    def test_missing_file(self, mnist_folder):
        folder = mnist_folder(IMAGES, LABELS, "test")
        (folder / "t10k-labels-idx1-ubyte.gz").unlink()
        with pytest.raises(DataError) as caught:
            data.mnist(folder, split="test")
        message = str(caught.value)
        assert message.startswith(f"mnist: in {str(folder)!r} there is neither 't10k-labels-idx1-ubyte' nor ")
        assert "the other half" not in message

    def test_the_other_half_is_there(self, mnist_folder):
        with pytest.raises(DataError, match="The folder does hold the other half: split='test'"):
            data.mnist(mnist_folder(IMAGES, LABELS, "test"))

    def test_unknown_split(self, mnist_folder):
        with pytest.raises(DataError, match="mnist: split is 'train' or 'test', not 'valid'"):
            data.mnist(mnist_folder(IMAGES, LABELS), split="valid")

    def test_numbers_differ(self, mnist_folder):
        with pytest.raises(DataError, match="5 images but 4 labels"):
            data.mnist(mnist_folder(IMAGES, LABELS[:4]))

    def test_label_out_of_range(self, mnist_folder):
        with pytest.raises(DataError, match="label 2 is 10, labels are 0 to 9"):
            data.mnist(mnist_folder(IMAGES, LABELS + np.uint8(1)))

    @pytest.mark.parametrize(
        ("images", "labels", "expected"),
        [
            (LABELS, IMAGES, r"the images are uint8\[5\], not uint8 of 3 axes"),
            (IMAGES, IMAGES, r"the labels are uint8\[5, 2, 3\], not uint8 of 1 axis"),
            (IMAGES.astype("float32"), LABELS, r"the images are float32\[5, 2, 3\], not uint8"),
            (IMAGES, LABELS.astype("int32"), r"the labels are int32\[5\], not uint8"),
        ],
    )
    def test_other_arrays_than_images_and_labels(self, mnist_folder, images, labels, expected):
        with pytest.raises(DataError, match=expected):
            data.mnist(mnist_folder(images, labels))

    def test_a_damaged_file_is_named(self, mnist_folder):
        folder = mnist_folder(IMAGES, LABELS)
        path = folder / "train-images-idx3-ubyte.gz"
        path.write_bytes(path.read_bytes()[:-10])
        with pytest.raises(DataError, match="train-images-idx3-ubyte"):
            data.mnist(folder)


class TestSplit:
    @given(st.integers(2, 60), st.floats(0.01, 0.99), st.integers(0, 2**32))
    def test_every_row_is_in_one_part_and_the_arrays_stay_in_step(self, n, test, seed):
        x, y = np.arange(2 * n).reshape(n, 2), [str(i) for i in range(n)]
        try:
            x_train, x_test, y_train, y_test = data.train_test_split(x, y, test=test, seed=seed)
        except DataError:
            assert n * test > n - 1
            return
        assert n * test <= len(x_test) < n * test + 1
        assert sorted([*x_train[:, 0], *x_test[:, 0]]) == list(range(0, 2 * n, 2))
        assert [int(i) for i in y_train] == (x_train[:, 0] // 2).tolist()
        assert [int(i) for i in y_test] == (x_test[:, 0] // 2).tolist()

    def test_digits_split_as_documented(self):
        x_train, x_test, _, y_test = data.train_test_split(*data.digits(), test=0.2, seed=0)
        assert (len(x_train), len(x_test)) == (1437, 360)
        assert len(set(y_test.tolist())) == 10

    def test_number_instead_of_fraction(self):
        train, test = data.train_test_split(np.arange(10), test=3)
        assert (len(train), len(test)) == (7, 3)
        assert len(data.train_test_split(range(100), test=0.07)[1]) == 7  # 0.07 * 100 is a little more than 7

    def test_the_seed_fixes_the_order(self):
        rows = np.arange(100)
        first = data.train_test_split(rows, seed=1)
        again = data.train_test_split(rows, seed=1)
        other = data.train_test_split(rows, seed=2)
        np.testing.assert_array_equal(first[0], again[0])
        assert first[1].tolist() != other[1].tolist()
        assert rows.tolist() == list(range(100))

    def test_the_parts_are_copies(self):
        rows = np.arange(10)
        for part in data.train_test_split(rows):
            assert not np.shares_memory(part, rows)

    @pytest.mark.parametrize("test", [0, 0.0, -1, -0.5, 1.0, 1.5, 10, 11, float("nan"), float("inf"), True])
    def test_impossible_sizes(self, test):
        with pytest.raises(DataError, match="cannot keep test="):
            data.train_test_split(np.arange(10), test=test)


class TestBatches:
    @given(st.integers(0, 40), st.integers(1, 12), st.none() | st.integers(0, 9), st.booleans())
    def test_every_row_once_and_in_step(self, n, batch_size, seed, drop_last):
        x, y = np.arange(n), np.arange(n) * 10
        seen = list(data.batches(x, y, batch_size=batch_size, seed=seed, drop_last=drop_last))
        sizes = [len(xb) for xb, _ in seen]
        assert sizes == [batch_size] * (n // batch_size) + (
            [n % batch_size] if n % batch_size and not drop_last else []
        )
        for xb, yb in seen:
            np.testing.assert_array_equal(xb * 10, yb)
        rows = [row for xb, _ in seen for row in xb.tolist()]
        assert len(set(rows)) == len(rows)
        if seed is None:
            assert rows == list(range(len(rows)))

    def test_the_seed_fixes_the_order(self):
        def order(seed):
            return [row for (rows,) in data.batches(np.arange(50), batch_size=8, seed=seed) for row in rows.tolist()]

        assert order(0) == order(0) != order(1)
        assert order((0, 1)) == order((0, 1)) != order((0, 2))
        assert order(None) == list(range(50))

    def test_views_where_the_order_is_kept_and_copies_where_not(self):
        rows = np.arange(10)
        assert all(np.shares_memory(part, rows) for (part,) in data.batches(rows, batch_size=3))
        assert not any(np.shares_memory(part, rows) for (part,) in data.batches(rows, batch_size=3, seed=0))

    def test_it_is_an_iterator(self):
        stream = data.batches([1, 2, 3], batch_size=2)
        assert next(stream)[0].tolist() == [1, 2]
        assert next(stream)[0].tolist() == [3]
        assert next(stream, None) is None

    @pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, None, "8"])
    def test_impossible_sizes_fail_at_the_call(self, batch_size):
        with pytest.raises(DataError, match="batches: batch_size must be a whole number above 0, not"):
            data.batches(np.arange(10), batch_size=batch_size)


@pytest.mark.parametrize("cut", [data.train_test_split, lambda *arrays: data.batches(*arrays, batch_size=2)])
class TestArraysInStep:
    def test_none(self, cut):
        with pytest.raises(DataError, match="give at least one array"):
            cut()

    def test_of_different_lengths(self, cut):
        with pytest.raises(DataError, match="arrays of different lengths: 3, 3, 4"):
            cut(np.zeros(3), np.zeros((3, 2)), np.zeros(4))

    def test_numbers(self, cut):
        with pytest.raises(DataError, match="array 1 is a single number"):
            cut(np.zeros(3), 1.0)
