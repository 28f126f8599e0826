"""What the tables of process-killers share: each file is a program that tries its rows, one after the other.

A row is a function. It fails by an exception, and ends the process only if graphnn does; the line that names it is out
before it starts, so the last line tells which one it was.
"""

import contextlib
import faulthandler
import os
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

import graphnn as gn

ROWS = []


def row(function):
    """Add a row to the table of this program."""
    ROWS.append(function)
    return function


def rows(name, values):
    """Add a row for each value: ``@rows("take", DTYPES)`` calls the function with one of them."""

    def add(function):
        for value in values:

            def one(value=value):
                return function(value)

            one.__name__ = f"{name}[{value}]"
            ROWS.append(one)
        return function

    return add


def main():
    """Try all rows, or those that the command line names, in 6 GB: what asks for more has to be refused."""
    with contextlib.suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30, resource.getrlimit(resource.RLIMIT_AS)[1]))
    for function in ROWS:
        if sys.argv[1:] and function.__name__ not in sys.argv[1:]:
            continue
        print(f"{function.__name__}: ", end="", flush=True)
        start = time.perf_counter()
        try:
            with np.errstate(all="ignore"):
                function()
        except Exception:
            print("wrong")
            traceback.print_exc()
        else:
            print(f"fine ({time.perf_counter() - start:.2f} s)")
        sys.stdout.flush()
    print(f"{len(ROWS)} rows tried", flush=True)


def arguments(arrays):
    return [gn.placeholder(f"x{i}", a.shape, a.dtype.name) for i, a in enumerate(arrays)]


def outcome(backend, build, arrays, calls=2):
    """The results of the last call, or the error: its class and its text."""
    nodes = arguments(arrays)
    try:
        f = gn.function(nodes, build(*nodes), backend=backend, on_unused="ignore")
    except Exception as error:
        return type(error), str(error)
    for _ in range(calls):  # the first call compiles, the second one jumps
        try:
            found = f(*arrays)
        except Exception as error:
            found = type(error), str(error)
    return found


def leaves(tree):
    return [leaf for part in tree for leaf in leaves(part)] if isinstance(tree, (list, tuple)) else [tree]


def same(build, *arrays, rtol=0.0):
    """Native does what NumPy does: the same values (the same bits unless `rtol` is given), or the same error."""
    arrays = [np.asarray(a) for a in arrays]
    mine, other = (outcome(backend, build, arrays) for backend in ("native", "numpy"))
    failed = isinstance(other, tuple) and isinstance(other[0], type)
    assert (isinstance(mine, tuple) and isinstance(mine[0], type)) == failed, (mine, other)
    if failed:
        assert mine == other, f"{mine}\n{other}"
        return other
    for x, y in zip(leaves(mine), leaves(other), strict=True):
        assert x.dtype == y.dtype, (x.dtype, y.dtype)
        assert x.shape == y.shape, (x.shape, y.shape)
        np.testing.assert_allclose(x, y, rtol=rtol, atol=0) if rtol else np.testing.assert_array_equal(x, y)
    return other


def error_of(build, *arrays, kind=Exception, text=""):
    """Both fail, in the same way, with an error of this kind."""
    found = same(build, *arrays)
    assert isinstance(found, tuple), found
    assert isinstance(found[0], type), found
    assert issubclass(found[0], kind), found
    assert text in found[1], found


def child(work, status=0, seconds=60):
    """Run it in a forked child, which then ends as every program does; it has to end with this status, and in time."""
    sys.stdout.flush()
    number = os.fork()
    if number == 0:
        faulthandler.enable()
        try:
            work()
        except Exception:
            traceback.print_exc()
            os._exit(99)
        sys.exit(0)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, how = os.waitpid(number, os.WNOHANG)
        if found:
            code = os.waitstatus_to_exitcode(how)
            assert code == status, f"it ended with {code}"
            return
        time.sleep(0.005)
    os.kill(number, signal.SIGABRT)  # it shows where it is
    os.waitpid(number, 0)
    raise AssertionError("it did not end")


@contextlib.contextmanager
def own_cache():
    """A folder for object code that nobody else uses; its path is in the environment."""
    before = os.environ.get("GRAPHNN_CACHE", "")
    with tempfile.TemporaryDirectory() as root:
        os.environ["GRAPHNN_CACHE"] = str(Path(root) / "code")
        yield
    os.environ["GRAPHNN_CACHE"] = before
