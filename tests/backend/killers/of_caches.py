"""Cached code that somebody has been at, and folders that will not do."""

import os
import resource
import shutil
import tempfile
from pathlib import Path

import numpy as np
from killers import child, main, own_cache, row, rows

import graphnn as gn

F = np.float32


def native(*args, **options):
    return gn.function(*args, backend="native", **options)


def folder():
    return Path(os.environ["GRAPHNN_CACHE"])


def each_file(change):
    for path in folder().iterdir():
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
    others = [p for p in folder().iterdir() if p != path and len(p.name) == 64]
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
    shutil.rmtree(folder(), ignore_errors=True)


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
        assert not any(len(p.name) != 64 for p in folder().iterdir())

    child(work)


@row
def a_folder_that_vanishes():
    def work():
        for _ in range(3):
            assert compiled_again()
            shutil.rmtree(folder())

    child(work)


@row
def a_race_for_the_same_files():
    shutil.rmtree(folder(), ignore_errors=True)
    numbers = []
    for _ in range(4):
        numbers.append(os.fork())
        if numbers[-1] == 0:
            os._exit(0 if all(compiled_again() for _ in range(5)) else 1)
    assert [os.waitpid(number, 0)[1] for number in numbers] == [0] * 4


if __name__ == "__main__":
    with own_cache():
        main()
