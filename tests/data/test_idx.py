import contextlib
import gzip
import io
import pathlib
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from graphnn.data import read_idx
from graphnn.data.idx import read_idx_stream
from graphnn.errors import DataError

DTYPES = ["uint8", "int8", "int16", "int32", "float32", "float64"]
MEGABYTE = 1 << 20

arrays = st.sampled_from(DTYPES).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5))
)


def load(content):
    return read_idx_stream(io.BytesIO(content), "sample")


def pack(content):
    return gzip.compress(content, mtime=0)  # with the time in it, names of parametrized tests would change


def header(code, *sizes, rank=None):
    return struct.pack(f">BBBB{len(sizes)}I", 0, 0, code, len(sizes) if rank is None else rank, *sizes)


def message_of(content):
    with pytest.raises(DataError) as caught:
        load(content)
    return str(caught.value)


@given(arrays, st.booleans())
def test_round_trip(idx, array, packed):
    result = load(idx(array, packed))
    assert result.dtype == array.dtype
    assert result.dtype.isnative
    assert result.flags.writeable
    np.testing.assert_array_equal(result, array, strict=True)


@pytest.mark.parametrize("name", ["a-idx2-ubyte", "a.gz", "ä b.idx"])
@pytest.mark.parametrize("packed", [False, True])
def test_packing_is_seen_from_the_content_not_from_the_name(idx, tmp_path, name, packed):
    array = np.arange(12, dtype="uint8").reshape(3, 4)
    (tmp_path / name).write_bytes(idx(array, packed))
    np.testing.assert_array_equal(read_idx(tmp_path / name), array)
    np.testing.assert_array_equal(read_idx(str(tmp_path / name)), array)


def test_gzip_of_several_members_is_one_file(idx):
    array = np.arange(12, dtype="int16").reshape(3, 4)
    content = idx(array)
    np.testing.assert_array_equal(load(pack(content[:15]) + pack(content[15:])), array)


def test_larger_than_one_chunk(idx):
    array = np.random.default_rng(0).integers(0, 255, (3, MEGABYTE // 2), dtype="uint8")
    np.testing.assert_array_equal(load(idx(array, packed=True)), array)


@given(arrays, st.booleans(), st.data())
def test_every_truncation_is_an_error(idx, array, packed, data):
    content = idx(array, packed)
    with pytest.raises(DataError, match="sample"):
        load(content[: data.draw(st.integers(0, len(content) - 1))])


@pytest.mark.parametrize("packed", [False, True])
def test_all_truncations_and_all_changes_of_one_byte(idx, packed):
    content = idx(np.arange(6, dtype="int16").reshape(2, 3), packed)
    for end in range(len(content)):
        message_of(content[:end])
    for place in range(len(content)):
        for value in range(256):
            with contextlib.suppress(DataError):
                load(content[:place] + bytes([value]) + content[place + 1 :])


@given(arrays, st.booleans(), st.binary(min_size=1, max_size=20).filter(lambda tail: tail.strip(b"\0")))
def test_every_addition_is_an_error(idx, array, packed, tail):
    with pytest.raises(DataError, match="sample"):
        load(idx(array, packed) + tail)


@given(arrays, st.booleans(), st.data())
def test_random_changes_load_or_are_a_data_error(idx, array, packed, data):
    content = bytearray(idx(array, packed))
    places = st.integers(0, len(content) - 1) | st.integers(0, min(19, len(content) - 1))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4)):
        content[place] = value
    with contextlib.suppress(DataError):
        assert isinstance(load(bytes(content)), np.ndarray)


@given(st.binary(max_size=60), st.sampled_from([b"", b"\0\0", b"\0\0\x08\x01", b"\x1f\x8b", b"\x1f\x8b\x08\0"]))
def test_random_bytes_load_or_are_a_data_error(content, start):
    with contextlib.suppress(DataError):
        assert isinstance(load(start + content), np.ndarray)


@given(
    st.sampled_from([0x08, 0x09, 0x0B, 0x0C, 0x0D, 0x0E]),
    st.lists(st.integers(0, 2**32 - 1) | st.sampled_from([0, 1, 2**31 - 1]), min_size=1, max_size=32),
    st.booleans(),
)
def test_random_sizes_load_or_are_a_data_error(code, sizes, packed):
    content = header(code, *sizes) + bytes(8)
    with contextlib.suppress(DataError):
        assert load(pack(content) if packed else content).nbytes in (0, 1, 2, 4, 8)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("sizes", [(2**31 - 1,), (2**31 - 1, 2**31 - 1), (60_000, 28, 28), (2**20,) * 32])
def test_memory_is_taken_for_what_is_there_not_for_what_is_announced(sizes, packed):
    content = header(0x08, *sizes) + bytes(100)
    content = pack(content) if packed else content
    tracemalloc.start()
    try:
        message_of(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * MEGABYTE


def test_no_more_is_unpacked_than_is_announced():
    bomb = pack(header(0x08, 10) + bytes(64 * MEGABYTE))
    tracemalloc.start()
    try:
        message = message_of(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "announces uint8[10], 10 bytes of values, but more follow" in message
    assert peak < 4 * MEGABYTE


def test_wrong_checksum_is_an_error(idx):
    content = bytearray(idx(np.arange(200, dtype="uint8"), packed=True))
    content[-6] ^= 1
    assert "its gzip packing is broken (CRC check failed" in message_of(bytes(content))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "it is empty"),
        (b"\0\0\x08", "it ends inside its header, after 3 bytes"),
        (header(0x08, rank=3) + bytes(5), "it ends inside its header, after 9 bytes"),
        (b"\x89PNG\r\n", "'sample' is not an IDX file: it begins with the bytes 89 50 4e 47"),
        (header(0x0A, 1) + bytes(1), "0x0a is no data type of IDX"),
        (header(0x08), "its header announces 0 axes"),
        (header(0x08, rank=33) + bytes(200), "its header announces 33 axes"),
        (header(0x08, 2, 2**32 - 1), "its header announces a negative size: uint8[2, -1]"),
        (header(0x0E, 2**31 - 1, 2**31 - 1, 2), "which no memory can hold"),
        (header(0x0E, 0, 2**31 - 1, 2**31 - 1, 2), "which no memory can hold"),
        (header(0x0B, 2, 3) + bytes(11), "announces int16[2, 3], 12 bytes of values, but only 11 follow"),
        (header(0x0B, 2, 3) + bytes(13), "announces int16[2, 3], 12 bytes of values, but more follow"),
        (pack(b""), "it is empty"),
        (pack(header(0x08, 1) + b"\0")[:-9], "its gzip packing is broken"),
        (b"\x1f\x8bno gzip", "its gzip packing is broken"),
    ],
)
def test_message(content, expected):
    message = message_of(content)
    assert expected in message.splitlines()[0]
    assert message.startswith("read_idx: 'sample'")


def test_message_tells_how_to_mend():
    assert message_of(b"\0\0") == (
        "read_idx: 'sample': it ends inside its header, after 2 bytes\n\n"
        "  The file is damaged or was not loaded completely; get it anew."
    )


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"read_idx: there is no file '.*no-such-file'"):
        read_idx(tmp_path / "no-such-file")


def test_folder_instead_of_file(tmp_path):
    with pytest.raises(DataError, match="read_idx: cannot read"):
        read_idx(tmp_path)


def test_a_truncated_file_on_disk_is_named(idx, tmp_path):
    path = pathlib.Path(tmp_path, "labels.gz")
    path.write_bytes(idx(np.arange(9, dtype="uint8"), packed=True)[:-1])
    with pytest.raises(DataError, match=r"labels\.gz': its gzip packing is broken"):
        read_idx(path)
