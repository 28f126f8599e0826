"""The array object: what shares memory, what changes in place, Python numbers, exchange with others, and the messages."""

import copy
import pickle
import sys
import threading

import numpy as np
import pytest

import graphnn as gn
from graphnn.array_api import _run

xp = gn.array_api


@pytest.fixture
def x():
    return xp.asarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def values(array):
    return np.asarray(array).tolist()


def test_results_share_memory_with_nothing(x):
    for other in (x[0, :], x[...], x.T, xp.reshape(x, (6,)), xp.astype(x, xp.float32), xp.positive(x), x + 0):
        assert not np.shares_memory(np.asarray(other), np.asarray(x))
    part = x[0, :]
    part[0] = 9.0
    assert values(x)[0][0] == 1.0


def test_what_shares_memory_says_so(x):
    assert xp.asarray(x) is x
    assert xp.astype(x, xp.float32, copy=False) is x
    flat = xp.reshape(x, (-1,), copy=False)
    flat[0] = 9.0
    assert values(x)[0][0] == 9.0
    array = np.arange(3.0)
    shared = xp.asarray(array, copy=False)
    shared[1] = 7.0
    assert array.tolist() == [0.0, 7.0, 2.0]
    own = xp.asarray(array, copy=True)
    own[1] = 8.0
    assert array.tolist() == [0.0, 7.0, 2.0]
    for given in ([1.0], 2.0, array[::2]):
        with pytest.raises(ValueError, match="share"):
            xp.asarray(given, copy=False)
    with pytest.raises(ValueError, match="cannot become float32 without a copy"):
        xp.asarray(array, dtype=xp.float32, copy=False)


def test_memory_that_is_read_only_is_left_alone():
    array = np.arange(3.0)
    array.flags.writeable = False
    y = xp.asarray(array)
    y[0] = 5.0
    assert array.tolist() == [0.0, 1.0, 2.0]
    assert values(y) == [5.0, 1.0, 2.0]


def test_in_place_operators_change_the_array_itself():
    x = xp.asarray([6, 7])
    other = x
    x += 1
    x -= 2
    x *= 4
    x //= 3
    x %= 5
    x **= 2
    x <<= 3
    x >>= 1
    x |= 1
    x &= 63
    x ^= 2
    assert other is x
    wanted = (((np.array([6, 7]) - 1) * 4 // 3 % 5) ** 2 << 3 >> 1 | 1) & 63 ^ 2
    assert values(x) == wanted.tolist()
    y = xp.asarray([[1.0, 2.0], [3.0, 4.0]])
    y @= y
    y /= 2
    assert values(y) == [[3.5, 5.0], [7.5, 11.0]]


def test_in_place_operators_keep_shape_and_data_type(x):
    with pytest.raises(TypeError, match=r"^add in place: the result is float64\[2, 3\], but x is float32\[2, 3\]"):
        x += xp.ones((3,), dtype=xp.float64)
    row = xp.ones((3,))
    with pytest.raises(ValueError, match=r"^add in place: the result is float32\[2, 3\], but x is float32\[3\]"):
        row += x
    assert values(row) == [1.0, 1.0, 1.0]


def test_python_numbers():
    assert bool(xp.asarray(2.0)) is True
    assert int(xp.asarray(2.9)) == 2
    assert float(xp.asarray(3)) == 3.0
    assert complex(xp.asarray(1.5)) == 1.5 + 0j
    assert [10, 20, 30][xp.asarray(1, dtype=xp.uint8)] == 20
    with pytest.raises(TypeError, match=r"^an index is an integer, not float32"):
        [1][xp.asarray(0.0)]
    for convert in (bool, int, float, complex):
        with pytest.raises(ValueError, match=rf"^{convert.__name__}\(\) takes an array without axes, not \[2\]"):
            convert(xp.asarray([1, 2]))


def test_iteration(x):
    assert [values(row) for row in x] == values(x)
    with pytest.raises(TypeError, match="cannot be iterated over"):
        iter(xp.asarray(1.0))


def test_copies_and_pickles(x):
    for other in (copy.copy(x), copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert values(other) == values(x)
        assert other.dtype is x.dtype
        other[0, 0] = 9.0
    assert values(x)[0][0] == 1.0


def test_an_array_has_no_hash_and_is_equal_to_none(x):
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)
    assert (x == None) is False  # noqa: E711 - what the operator gives


def test_repr():
    assert repr(xp.asarray([1, 2], dtype=xp.int8)) == "Array([1, 2], dtype=int8)"
    assert repr(xp.asarray(True)) == "Array(True, dtype=bool)"


def test_dlpack(x):
    assert x.__dlpack_device__() == (1, 0)
    assert np.shares_memory(np.from_dlpack(x), np.asarray(x))
    array = np.arange(4.0)
    shared = xp.from_dlpack(array)
    shared[0] = 9.0
    assert array[0] == 9.0
    assert values(xp.from_dlpack(x, copy=True)) == values(x)
    assert values(xp.from_dlpack(array[::2])) == [9.0, 2.0]
    for odd in (np.zeros((2, 0)), np.zeros((4, 3))[::4], np.lib.stride_tricks.as_strided(array, (1, 4), (1, 8))):
        for made in (xp.from_dlpack(odd, copy=False), xp.asarray(odd, copy=False)):
            assert np.shares_memory(np.asarray(made), odd) == (odd.size > 0)
    with pytest.raises(ValueError, match="cannot be shared"):
        xp.from_dlpack(array[::2], copy=False)


def test_what_speaks_only_dlpack():
    class Foreign:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    assert values(xp.asarray(Foreign(np.array([1, 2])))) == [1, 2]


def test_devices(x):
    assert x.to_device("cpu") is x
    for call in (lambda: x.to_device("gpu"), lambda: xp.ones(2, device="gpu"), lambda: xp.asarray(1, device=0)):
        with pytest.raises(ValueError, match=r"^there is no device"):
            call()
    with pytest.raises(ValueError, match="has no streams"):
        x.to_device("cpu", stream=1)


def test_what_becomes_an_array():
    for given, dtype in [
        (True, "bool"), (1, "int64"), (1.0, "float32"), ([], "float32"), ([1, 2.5], "float32"), (np.float64(1), "float64"),
        (np.arange(2, dtype="int8"), "int8"), (memoryview(b"ab"), "uint8"), (range(3), "int64"),
        ([xp.asarray(1.0, dtype="float64"), 2.0], "float64"), ([xp.zeros(2, dtype="int8")] * 2, "int8"),
    ]:  # fmt: skip
        assert xp.asarray(given).dtype == dtype
    assert values(xp.asarray([[xp.asarray(1), 2], [3, 4]])) == [[1, 2], [3, 4]]
    assert values(xp.asarray([2**64 - 1], dtype="uint64")) == [2**64 - 1]
    assert xp.asarray(np.array([1.0, 2.0], dtype=">f8")).dtype is xp.float64


def test_half_precision_works_too():
    for dtype in (xp.float16, xp.bfloat16):
        made = xp.sum(xp.ones((3,), dtype=dtype) * 0.5)
        assert made.dtype is dtype
        assert float(made) == 1.5
        assert xp.finfo(dtype).bits == 16


def test_what_others_do_beyond_the_standard():
    """NumPy's scalars are numbers, len() is there, a value may have axes of size 1 more than its place has."""
    x = xp.asarray([1.0, 2.0])
    for made in (x * np.float32(2), np.float64(2) * x, np.int64(2) * x, xp.multiply(x, np.int8(2))):
        assert made.dtype is xp.float32
        assert values(made) == [2.0, 4.0]
    assert len(xp.zeros((3, 2))) == 3
    with pytest.raises(TypeError, match=r"has no len\(\)"):
        len(xp.asarray(1))
    assert values(xp.full(2, xp.asarray(1.0), dtype=xp.int8)) == [1, 1]
    assert xp.full(2, xp.asarray(1, dtype=xp.int16)).dtype is xp.int16
    assert xp.full(2, np.int64(3)).dtype is xp.int64
    x[0] = xp.asarray([7.0])
    x[1:] = xp.asarray([[8.0]])
    assert values(x) == [7.0, 8.0]


MISTAKES = [
    (lambda x: x + 1j, TypeError, "add: graphnn has no complex numbers: 1j"),
    (lambda x: xp.asarray(1j), TypeError, "asarray: graphnn has no complex numbers"),
    (lambda x: xp.asarray([1.0, 1j]), TypeError, "asarray: graphnn has no complex numbers"),
    (lambda x: xp.asarray(np.ones(2, complex)), TypeError, "asarray: graphnn has no complex numbers"),
    (lambda x: xp.zeros(2, dtype="complex64"), TypeError, "there is no data type 'complex64'"),
    (lambda x: xp.complex64, AttributeError, "graphnn.array_api has no 'complex64'"),
    (lambda x: xp.fft, AttributeError, "graphnn.array_api has no 'fft'"),
    (lambda x: xp.transpose, AttributeError, "graphnn.array_api has no 'transpose'"),
    (lambda x: xp.add(1, 2), TypeError, "add: one operand must be an array"),
    (lambda x: xp.add(x, np.ones(3)), TypeError, "add takes arrays of graphnn.array_api, not ndarray"),
    (lambda x: xp.exp(1.0), TypeError, "exp takes arrays of graphnn.array_api, not float"),
    (lambda x: xp.concat([x, [1.0]]), TypeError, "concat takes arrays of graphnn.array_api, not list"),
    (lambda x: x + np.ones(3), TypeError, "operand 'Array' does not support ufuncs"),
    (lambda x: x + xp.asarray(1), TypeError, "add: float32 and int64 do not mix"),
    (lambda x: xp.asarray([1]) + 0.5, TypeError, "add: the Python float 0.5 does not fit int64"),
    (lambda x: xp.asarray([1]) + np.float64(0.5), TypeError, "add: the Python float 0.5 does not fit int64"),
    (lambda x: xp.asarray([1], dtype="int8") + 300, TypeError, "add: the Python int 300 does not fit int8"),
    (lambda x: xp.asarray([300], dtype="int8"), TypeError, "asarray: its numbers from 300 to 300 do not fit int8"),
    (lambda x: xp.asarray(["a"]), TypeError, "asarray: text is no array of numbers"),
    (lambda x: xp.asarray([[1], [1, 2]]), ValueError, "a list does not make an array"),
    (lambda x: xp.asarray(gn.placeholder("p", ())), TypeError, "asarray: a node has no value"),
    (lambda x: x[5, 0], IndexError, "gather: index 5 is out of bounds"),
    (lambda x: x[0, 0, 0], IndexError, "x[key]: 3 indices for 2 axes of [2, 3]"),
    (lambda x: x[..., ...], IndexError, "x[key]: ... comes twice of [2, 3]"),
    (lambda x: x[1.0], TypeError, "x[key]: an index is an int"),
    (lambda x: x[True], TypeError, "x[key]: an index is an int"),
    (lambda x: x[[0, 1]], TypeError, "x[key]: an index is an int"),
    (lambda x: x[xp.asarray([0.5])], TypeError, "an index is an int, a slice, None, ... or an integer array"),
    (lambda x: x[xp.asarray([True])], IndexError, "x[mask]: a mask of shape [1] does not fit [2, 3]"),
    (lambda x: x.__setitem__(0, xp.ones(3, dtype="float64")), TypeError, "x[key] = value: float32 cannot hold all of"),
    (lambda x: x.__setitem__(0, True), TypeError, "x[key] = value: the Python bool True does not fit float32"),
    (lambda x: x.__setitem__(0, xp.ones(2)), ValueError, "at.set: values of shape [2] do not fill [3]"),
    (lambda x: xp.sum(x, axis=2), IndexError, "sum: axis 2 is out of range for 2 axes"),
    (lambda x: xp.sum(x, axis=True), ValueError, "sum: a whole number is wanted, not True"),
    (lambda x: xp.sum(x > 0), TypeError, "sum takes numeric arrays, not bool"),
    (lambda x: xp.where(x, 1.0, x), TypeError, "where: the condition is float32, not bool"),
    (lambda x: xp.clip(x, xp.ones(3, dtype="float64")), TypeError, "clip: float32 cannot hold all of float64"),
    (lambda x: xp.finfo(xp.int8), TypeError, "finfo is about floating-point types, not int8"),
    (lambda x: xp.iinfo(x), TypeError, "iinfo is about integer types, not float32"),
    (lambda x: xp.isdtype(xp.int8, "whole"), ValueError, "isdtype: there is no kind 'whole'"),
    (lambda x: xp.repeat(x, xp.asarray([1, -1]), axis=0), ValueError, "repeat: the numbers of times are whole numbers"),
    (lambda x: xp.linalg.inv(x), ValueError, "inv takes square matrices"),
    (lambda x: xp.linalg.inv(xp.zeros((2, 2))), RuntimeError, "solve: Singular matrix"),
    (lambda x: xp.nonzero(xp.asarray(1)), ValueError, "nonzero: an array without axes has no places"),
    (lambda x: xp.Array([1]), ValueError, "an Array is not made by calling the class"),
    (lambda x: xp.ones(3).T, ValueError, ".T is for matrices, not for [3]"),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "kind", "first_line"), MISTAKES, ids=[row[2] for row in MISTAKES])
def test_mistakes(x, mistake, kind, first_line):
    with pytest.raises(kind) as caught:
        mistake(x)
    assert str(caught.value).startswith(first_line)


def test_a_message_names_the_line_of_this_call_and_the_words_of_the_standard(x):
    xp.take(x, xp.asarray([0]), axis=0)  # planned here
    with pytest.raises(IndexError) as caught:
        xp.take(x, xp.asarray([7]), axis=0)
    assert "xp.take(x, xp.asarray([7]), axis=0)" in str(caught.value)
    assert "planned here" not in str(caught.value)
    with pytest.raises(TypeError, match=r"Cast the integer operand: xp\.astype\(x, xp\.float32\)\."):
        x + xp.asarray(1)


def test_plans_are_kept_but_not_without_end(monkeypatch):
    monkeypatch.setattr(_run, "_PLANS", {})
    monkeypatch.setattr(_run, "MOST_PLANS", 3)
    x = xp.asarray([1.0])
    x + x
    kept = list(_run._PLANS)
    x + x
    assert list(_run._PLANS) == kept
    for n in range(2, 7):
        assert xp.ones(n).shape == (n,)
    assert len(_run._PLANS) == 3
    before = list(_run._PLANS)
    xp.tril(xp.ones((1, 1 << 14)))  # its constants take more than a plan may hold
    assert [key for key in _run._PLANS if key not in before and key[0].__name__ == "tril"] == []


def test_threads():
    x = xp.asarray(np.arange(6.0).reshape(2, 3))
    wrong = []

    def work(n):
        for i in range(200):
            if float(xp.sum(x * float(n) + xp.ones((i % 5 + 1, 2, 3), dtype=xp.float64))) != (15 * n + 6) * (i % 5 + 1):
                wrong.append((n, i))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_loaded_when_first_used():
    import subprocess

    program = "import sys, graphnn; assert 'graphnn.array_api' not in sys.modules; graphnn.array_api.ones(1)"
    subprocess.run([sys.executable, "-c", program], check=True)
