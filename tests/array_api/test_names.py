"""Everything that edition 2024.12 of the standard names is there, with its parameters; and what is left out is told."""

import inspect
import math

import pytest

import graphnn as gn

xp = gn.array_api

# What the standard has and graphnn.array_api has not: complex numbers and what needs them.
LEFT_OUT = {"complex64", "complex128", "fft"}

DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64 complex64 complex128"
CONSTANTS = {"e": math.e, "pi": math.pi, "inf": math.inf, "nan": math.nan, "newaxis": None}

UNARY = """
abs acos acosh asin asinh atan atanh bitwise_invert ceil conj cos cosh exp expm1 floor imag isfinite isinf isnan log log1p
log2 log10 logical_not negative positive real reciprocal round sign signbit sin sinh square sqrt tan tanh trunc
"""
BINARY = """
add atan2 bitwise_and bitwise_left_shift bitwise_or bitwise_right_shift bitwise_xor copysign divide equal floor_divide
greater greater_equal hypot less less_equal logaddexp logical_and logical_or logical_xor maximum minimum multiply nextafter
not_equal pow remainder subtract
"""
OTHERS = """
arange(start, /, stop=None, step=1, *, dtype=None, device=None)
asarray(obj, /, *, dtype=None, device=None, copy=None)
empty(shape, *, dtype=None, device=None)
empty_like(x, /, *, dtype=None, device=None)
eye(n_rows, n_cols=None, /, *, k=0, dtype=None, device=None)
from_dlpack(x, /, *, device=None, copy=None)
full(shape, fill_value, *, dtype=None, device=None)
full_like(x, /, fill_value, *, dtype=None, device=None)
linspace(start, stop, /, num, *, dtype=None, device=None, endpoint=True)
meshgrid(*arrays, indexing="xy")
ones(shape, *, dtype=None, device=None)
ones_like(x, /, *, dtype=None, device=None)
tril(x, /, *, k=0)
triu(x, /, *, k=0)
zeros(shape, *, dtype=None, device=None)
zeros_like(x, /, *, dtype=None, device=None)

astype(x, dtype, /, *, copy=True, device=None)
can_cast(from_, to, /)
finfo(type, /)
iinfo(type, /)
isdtype(dtype, kind)
result_type(*arrays_and_dtypes)

clip(x, /, min=None, max=None)

take(x, indices, /, *, axis=None)
take_along_axis(x, indices, /, *, axis=-1)

matmul(x1, x2, /)
matrix_transpose(x, /)
tensordot(x1, x2, /, *, axes=2)
vecdot(x1, x2, /, *, axis=-1)

broadcast_arrays(*arrays)
broadcast_to(x, /, shape)
concat(arrays, /, *, axis=0)
expand_dims(x, /, axis)
flip(x, /, *, axis=None)
moveaxis(x, source, destination, /)
permute_dims(x, /, axes)
repeat(x, repeats, /, *, axis=None)
reshape(x, /, shape, *, copy=None)
roll(x, /, shift, *, axis=None)
squeeze(x, /, axis)
stack(arrays, /, *, axis=0)
tile(x, repetitions, /)
unstack(x, /, *, axis=0)

argmax(x, /, *, axis=None, keepdims=False)
argmin(x, /, *, axis=None, keepdims=False)
count_nonzero(x, /, *, axis=None, keepdims=False)
nonzero(x, /)
searchsorted(x1, x2, /, *, side="left", sorter=None)
where(condition, x1, x2, /)

unique_all(x, /)
unique_counts(x, /)
unique_inverse(x, /)
unique_values(x, /)

argsort(x, /, *, axis=-1, descending=False, stable=True)
sort(x, /, *, axis=-1, descending=False, stable=True)

cumulative_prod(x, /, *, axis=None, dtype=None, include_initial=False)
cumulative_sum(x, /, *, axis=None, dtype=None, include_initial=False)
max(x, /, *, axis=None, keepdims=False)
mean(x, /, *, axis=None, keepdims=False)
min(x, /, *, axis=None, keepdims=False)
prod(x, /, *, axis=None, dtype=None, keepdims=False)
std(x, /, *, axis=None, correction=0.0, keepdims=False)
sum(x, /, *, axis=None, dtype=None, keepdims=False)
var(x, /, *, axis=None, correction=0.0, keepdims=False)

all(x, /, *, axis=None, keepdims=False)
any(x, /, *, axis=None, keepdims=False)
diff(x, /, *, axis=-1, n=1, prepend=None, append=None)

__array_namespace_info__()
"""
LINALG = """
cholesky(x, /, *, upper=False)
cross(x1, x2, /, *, axis=-1)
det(x, /)
diagonal(x, /, *, offset=0)
eigh(x, /)
eigvalsh(x, /)
inv(x, /)
matmul(x1, x2, /)
matrix_norm(x, /, *, keepdims=False, ord="fro")
matrix_power(x, n, /)
matrix_rank(x, /, *, rtol=None)
matrix_transpose(x, /)
outer(x1, x2, /)
pinv(x, /, *, rtol=None)
qr(x, /, *, mode="reduced")
slogdet(x, /)
solve(x1, x2, /)
svd(x, /, *, full_matrices=True)
svdvals(x, /)
tensordot(x1, x2, /, *, axes=2)
trace(x, /, *, offset=0, dtype=None)
vecdot(x1, x2, /, *, axis=-1)
vector_norm(x, /, *, axis=None, keepdims=False, ord=2)
"""
INFO = """
capabilities()
default_device()
default_dtypes(*, device=None)
devices()
dtypes(*, device=None, kind=None)
"""
METHODS = """
__abs__() __add__(other, /) __and__(other, /) __array_namespace__(*, api_version=None) __bool__() __complex__()
__dlpack__(*, stream=None, max_version=None, dl_device=None, copy=None) __dlpack_device__() __eq__(other, /) __float__()
__floordiv__(other, /) __ge__(other, /) __getitem__(key, /) __gt__(other, /) __index__() __int__() __invert__()
__le__(other, /) __lshift__(other, /) __lt__(other, /) __matmul__(other, /) __mod__(other, /) __mul__(other, /)
__ne__(other, /) __neg__() __or__(other, /) __pos__() __pow__(other, /) __rshift__(other, /) __setitem__(key, value, /)
__sub__(other, /) __truediv__(other, /) __xor__(other, /) to_device(device, /, *, stream=None)
"""
REFLECTED = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift"


def table(text):
    """The signatures of a table by their names."""
    rows = [row.strip() for row in text.replace(") __", ")\n__").replace(") to_", ")\nto_").splitlines() if row.strip()]
    out = {}
    for row in rows:
        name, parameters = row.split("(", 1)
        space = {}
        exec(f"def f({parameters}: pass", space)
        out[name] = inspect.signature(space["f"])
    return out


FUNCTIONS = table(OTHERS)
FUNCTIONS |= dict.fromkeys(UNARY.split(), table("f(x, /)")["f"]) | dict.fromkeys(
    BINARY.split(), table("f(x1, x2, /)")["f"]
)
EXTENSION = table(LINALG)


def assert_fits(function, wanted):
    """Each parameter of the standard is there, of its kind, with its default; positional ones may be called anything."""
    given = list(inspect.signature(function).parameters.values())
    for place, parameter in enumerate(wanted.parameters.values()):
        found = given[place] if parameter.kind is not inspect.Parameter.KEYWORD_ONLY else None
        found = found or inspect.signature(function).parameters[parameter.name]
        assert found.kind is parameter.kind
        assert found.default == parameter.default
        if parameter.kind is not inspect.Parameter.POSITIONAL_ONLY:
            assert found.name == parameter.name
    assert len(given) == len(wanted.parameters)


def test_the_table_is_whole():
    assert len(FUNCTIONS) == 134
    assert len(EXTENSION) == 23
    assert len(table(METHODS)) == 34


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    assert_fits(getattr(xp, name), FUNCTIONS[name])
    assert getattr(xp, name).__doc__


@pytest.mark.parametrize("name", EXTENSION)
def test_linear_algebra(name):
    assert_fits(getattr(xp.linalg, name), EXTENSION[name])
    assert getattr(xp.linalg, name).__doc__
    assert set(xp.linalg.__all__) == set(EXTENSION)


def test_what_is_left_out_is_told():
    for name in LEFT_OUT:
        assert not hasattr(xp, name)
        assert name in xp.__doc__


def test_methods_and_attributes():
    x = xp.ones((2, 2))
    for name, wanted in table(METHODS).items():
        assert_fits(getattr(x, name), wanted)
    for name in REFLECTED.split():
        for kind in ("r", "i"):
            assert_fits(getattr(x, f"__{kind}{name}__"), table("f(other, /)")["f"])
    assert (x.shape, x.ndim, x.size, x.dtype, x.device) == ((2, 2), 2, 4, xp.float32, "cpu")
    assert x.T.shape == x.mT.shape == (2, 2)


def test_the_array_has_nothing_else():
    public = {name for name in dir(xp.ones(())) if not name.startswith("_")}
    assert public == {"T", "device", "dtype", "mT", "ndim", "shape", "size", "to_device"}


def test_data_types_and_constants():
    for name in set(DTYPES.split()) - LEFT_OUT:
        assert getattr(xp, name) == name
    for name, value in CONSTANTS.items():
        found = getattr(xp, name)
        assert found is value or found == value or math.isnan(found)


def test_version_and_namespace():
    assert xp.__array_api_version__ == "2024.12"
    x = xp.ones(())
    for version in (None, "2021.12", "2022.12", "2023.12", "2024.12"):
        assert x.__array_namespace__(api_version=version) is xp
    with pytest.raises(ValueError, match=r"^there is no edition '2077\.12' of the standard here"):
        x.__array_namespace__(api_version="2077.12")


def test_inspection():
    info = xp.__array_namespace_info__()
    for name, wanted in table(INFO).items():
        assert_fits(getattr(info, name), wanted)
    assert info.default_device() in info.devices()
    assert info.capabilities() == {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 32}
    assert info.default_dtypes() == {"real floating": xp.float32, "integral": xp.int64, "indexing": xp.int64}
    assert set(info.dtypes()) == set(DTYPES.split()) - LEFT_OUT
    assert info.dtypes(kind="complex floating") == {}
    assert info.dtypes(kind=("bool", "unsigned integer")).keys() == {"bool", "uint8", "uint16", "uint32", "uint64"}
    assert all(xp.zeros(1, dtype=dtype).dtype is dtype for dtype in info.dtypes(device="cpu").values())
    with pytest.raises(ValueError, match="there is no kind 'strange'"):
        info.dtypes(kind="strange")
    with pytest.raises(ValueError, match="there is no device 'cuda'"):
        info.dtypes(device="cuda")


def test_the_namespace_holds_no_other_functions():
    public = {name for name in dir(xp) if not name.startswith("_")}
    more = {"Array", "bfloat16", "float16", "linalg"}
    assert public - more == (set(FUNCTIONS) | set(DTYPES.split()) | set(CONSTANTS)) - LEFT_OUT - {
        "__array_namespace_info__"
    }
