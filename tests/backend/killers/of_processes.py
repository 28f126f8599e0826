"""Threads, forks, the end of the interpreter, little memory, and a cache that somebody has been at."""

import contextlib
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path

import numpy as np
from killers import main, row, rows

import graphnn as gn

F = np.float32
A = np.random.default_rng(0).standard_normal((160, 160)).astype(F)


def native(*args, **options):
    return gn.function(*args, backend="native", **options)


def pooled():
    """A function whose work is shared by the pool, and a check of its result."""
    x = gn.placeholder("x", (160, 160))
    f = native([x], [x @ x @ x, gn.sum(gn.exp(x), axis=0)])
    expected = f(A)
    return lambda: all(np.array_equal(p, q) for p, q in zip(f(A), expected, strict=True))


def training():
    x, w = gn.placeholder("x", (16, 16)), gn.parameter("w", np.eye(16), dtype="float32")
    return native([x], gn.sum(x @ w), updates={w: w * 0.5 + x})


def child(work, status=0, seconds=8):
    """Run it in a forked child, which then ends as every program does; it has to end with this status, and in time."""
    sys.stdout.flush()
    number = os.fork()
    if number == 0:
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
    os.kill(number, signal.SIGKILL)
    os.waitpid(number, 0)
    raise AssertionError("it did not end")


@contextlib.contextmanager
def busy(work, count=2):
    """Threads that call it again and again."""
    stop = threading.Event()

    def again():
        while not stop.is_set():
            work()

    threads = [threading.Thread(target=again) for _ in range(count)]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        stop.set()
        for each in threads:
            each.join()


@row
def the_end_while_helpers_look_for_work():
    def work():
        gn.set_num_threads(4)
        assert pooled()()

    child(work)


@row
def the_end_while_daemons_call():
    def work():
        gn.set_num_threads(3)
        right = pooled()

        def forever():
            while True:
                right()

        for _ in range(3):
            threading.Thread(target=forever, daemon=True).start()
        time.sleep(0.05)

    for _ in range(2):
        child(work)


@row
def the_end_while_a_thread_still_calls():
    def work():
        right = pooled()

        def long():
            for _ in range(200):
                assert right()

        threading.Thread(target=long).start()

    child(work)


@row
def the_end_while_a_thread_compiles():
    def work():
        def forever():
            while True:
                compile_another()

        threading.Thread(target=forever, daemon=True).start()
        time.sleep(0.1)

    for _ in range(2):
        child(work)


@row
def the_end_by_an_error():
    def work():
        assert pooled()()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sys.exit("an error")

    child(work, status=1)


@row
def a_call_at_the_very_end():
    def work():
        import atexit

        right = pooled()
        atexit.register(lambda: right() or os._exit(7))
        atexit._run_exitfuncs()  # the pool ends here
        right() or os._exit(8)

    child(work)


@row
def a_fork_in_a_thread():
    right = pooled()
    errors = []

    def work():
        try:
            for _ in range(5):
                child(lambda: os._exit(0 if right() else 5))  # a forked thread is not the main one, and ends nothing
        except AssertionError as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not errors, errors


COUNT = iter(range(10**9))


def compile_another():
    x = gn.placeholder("x", (9,))
    return native([x], x * float(next(COUNT)) + os.getpid())(np.ones(9, F))


@row
def forks_while_others_compile():
    os.environ["GRAPHNN_CACHE"] = "off"
    try:
        with busy(compile_another):
            for _ in range(8):
                child(lambda: os._exit(0 if compile_another().shape == (9,) else 5))
    finally:
        os.environ["GRAPHNN_CACHE"] = FOLDER


@row
def forks_while_others_update():
    f = training()
    x = np.zeros((16, 16), F)
    f(x)
    with busy(lambda: (f(x), f(x=x))):
        for _ in range(6):
            child(lambda: os._exit(0 if np.isfinite(f(x)) else 5))


@row
def forks_while_others_call():
    right = pooled()
    with busy(right):
        for _ in range(6):
            child(lambda: os._exit(0 if right() else 5))


@row
def a_fork_in_the_middle_of_a_call():
    children = []

    def forks(value):
        number = os.fork()
        children.append(number)
        return value + 1

    x, w = gn.placeholder("x", (160, 160)), gn.parameter("w", np.zeros((160, 160)), dtype="float32")
    f = native([x], gn.host_op(forks, infer=lambda s: s)(x @ x) @ x, updates={w: w + 1})
    result = f(A)
    if children == [0]:
        children.clear()
        f(A)  # and once more, in the child
        sys.exit(0 if np.isfinite(result).all() and w.value.max() == 2 else 9) if children != [0] else os._exit(0)
    assert os.waitpid(children[0], 0)[1] == 0


@row
def a_child_of_a_child():
    right = pooled()
    child(lambda: child(lambda: child(lambda: right() or os._exit(5))))


def double(value):
    x = gn.placeholder("x", (3,))
    return native([x], x * 2)(np.full(3, value, F)).tolist()


@rows("multiprocessing by", ["fork", "spawn"])
def _(method):
    pooled()()
    with multiprocessing.get_context(method).Pool(2) as pool:
        assert pool.map(double, range(4)) == [[2 * i] * 3 for i in range(4)]


@row
def another_interpreter():
    try:
        import _xxsubinterpreters as interpreters
    except ImportError:
        return  # each Python has it elsewhere, and newer ones do not let NumPy in

    code = """
import graphnn as gn
x = gn.placeholder('x', (3,))
print(gn.function([x], x * 2, backend='native')([1.0, 2.0, 3.0]))
"""

    def work():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        pooled()()
        one = interpreters.create()
        with contextlib.suppress(Exception):
            interpreters.run_string(one, code)
        assert pooled()()

    child(work)


@row
def no_more_threads():
    def work():
        def refuses(self):
            raise RuntimeError("can't start new thread")

        threading.Thread.start = refuses
        gn.set_num_threads(4)
        assert pooled()()

    child(work)


def in_little_memory(more, work):
    def limited():
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + more
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        work()

    child(limited)


def refused(f, *args):
    for _ in range(3):
        try:
            f(*args)
        except gn.ExecutionError as error:
            assert "out of memory" in str(error), error
        else:
            raise AssertionError("there was memory")


@row
def no_memory_between_the_kernels():
    def work():
        x = gn.placeholder("x", ("n",))
        f = native([x], gn.sum(gn.cumulative_sum(gn.sort(gn.broadcast_to(x[:, None], ("n", 2**20)), axis=0), axis=1)))
        assert np.isfinite(f(np.ones(2, F)))
        refused(f, np.ones(200, F))
        assert np.isfinite(f(np.ones(2, F)))

    in_little_memory(2**28, work)


@row
def no_memory_for_results():
    def work():
        x = gn.placeholder("x", ("n",))
        f = native([x], [gn.broadcast_to(x[:, None], ("n", 2**20)) * 2, x + 1, gn.sum(x)])
        f(np.ones(2, F))
        refused(f, np.ones(200, F))
        assert len(f(np.ones(2, F))) == 3

    in_little_memory(2**28, work)


@row
def no_memory_to_sort_in():
    def work():
        x = gn.placeholder("x", ("n",))
        f = native([x], gn.argsort(x)[:3])
        f(np.ones(2, F))
        refused(f, np.ones(2**23, F))
        assert f(np.arange(4, dtype=F)).tolist() == [0, 1, 2]

    in_little_memory(2**27, work)


@row
def no_memory_for_the_new_value_of_a_parameter():
    def work():
        w = gn.parameter("w", np.zeros(2**22), dtype="float32")
        f = native([], gn.sum(w), updates={w: w[::-1] + 1})
        for _ in range(3):
            with contextlib.suppress(gn.ExecutionError):
                f()
        held = [np.ones(2**20, F) for _ in range(3)]
        for _ in range(3):
            with contextlib.suppress(gn.ExecutionError):
                f()
        assert w.value.max() == w.value.min()
        del held

    in_little_memory(2**26, work)


FOLDER = ""


def each_file(change):
    for path in Path(FOLDER).iterdir():
        change(path)


def replaced(path, make):
    if not path.is_dir():  # it was replaced before
        path.unlink()
        make(path)


def flip(at):
    def change(path):
        data = bytearray(path.read_bytes())
        data[at % len(data)] ^= 0x10
        path.write_bytes(data)

    return change


def swap(path):
    others = [p for p in Path(FOLDER).iterdir() if p != path and len(p.name) == 64]
    if others:
        data = others[0].read_bytes()
        path.write_bytes(data)


HOSTILE = {
    "cut to nothing": lambda p: p.write_bytes(b""),
    "cut in the head": lambda p: p.write_bytes(p.read_bytes()[:10]),
    "cut in the middle": lambda p: p.write_bytes(p.read_bytes()[:-200]),
    "longer": lambda p: p.write_bytes(p.read_bytes() + b"\0" * 64),
    "changed in the magic": flip(0),
    "changed in the hash": flip(30),
    "changed in the code": flip(500),
    "changed at the end": flip(-1),
    "noise": lambda p: p.write_bytes(os.urandom(4096)),
    "those of others": swap,
    "folders": lambda p: replaced(p, Path.mkdir),
    "links to nothing": lambda p: replaced(p, lambda q: q.symlink_to("nowhere")),
    "links to themselves": lambda p: replaced(p, lambda q: q.symlink_to(q)),
    "links to a device": lambda p: replaced(p, lambda q: q.symlink_to("/dev/zero")),
    "pipes": lambda p: replaced(p, os.mkfifo),
    "too large for memory": lambda p: os.truncate(p, 2**42),
}


@rows("cached files that are", HOSTILE)
def _(name):
    def work():
        for _ in range(2):
            right = compiled_again()
            each_file(HOSTILE[name])
            assert right
        assert compiled_again()

    child(work)
    shutil.rmtree(FOLDER, ignore_errors=True)


def compiled_again():
    x = gn.placeholder("x", (7,))
    first, second = native([x], [gn.exp(x) + 3, x * 2]), native([x], gn.cumulative_sum(x))
    return first(np.zeros(7, F))[0].tolist() == [4] * 7 and second(np.ones(7, F)).tolist() == [1, 2, 3, 4, 5, 6, 7]


def folders(root):
    (root / "file").write_text("")
    (root / "gone").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    (root / "open").mkdir()
    (root / "open").chmod(0o777)
    found = {
        "a file": root / "file",
        "below a file": root / "file" / "below",
        "a link to nothing": root / "gone",
        "a link to itself": root / "loop",
        "open to all": root / "open",
        "of the system": "/proc",
        "long": root / ("x" * 300),
        "missing": root / "a" / "b" / "c",
        "empty": "",
        "no folder": "/dev/null",
    }
    if os.getuid() == 0:
        (root / "strange").mkdir(mode=0o700)
        os.chown(root / "strange", 12345, 12345)
        found["somebody else's"] = root / "strange"
    return found


@row
def folders_that_will_not_do():
    with tempfile.TemporaryDirectory() as root:
        for path in folders(Path(root)).values():

            def work(path=path):
                os.environ["GRAPHNN_CACHE"] = str(path)
                os.environ["HOME"] = os.environ["XDG_CACHE_HOME"] = root
                assert compiled_again()
                assert compiled_again()

            child(work)


@row
def a_full_disk():
    def work():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        assert compiled_again()
        assert compiled_again()
        assert not any(len(p.name) != 64 for p in Path(FOLDER).iterdir())

    child(work)


@row
def a_folder_that_vanishes():
    def work():
        for _ in range(3):
            assert compiled_again()
            shutil.rmtree(FOLDER)

    child(work)


@row
def a_race_for_the_same_files():
    shutil.rmtree(FOLDER, ignore_errors=True)
    numbers = []
    for _ in range(4):
        numbers.append(os.fork())
        if numbers[-1] == 0:
            os._exit(0 if all(compiled_again() for _ in range(5)) else 1)
    assert [os.waitpid(number, 0)[1] for number in numbers] == [0] * 4


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as root:
        FOLDER = os.environ["GRAPHNN_CACHE"] = str(Path(root) / "code")
        main()
