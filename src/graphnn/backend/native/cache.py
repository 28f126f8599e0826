"""Object code on disk, so that a second process needs no compiler.

A file is named by the hash of all that makes its contents: the text of the module, the machine, the versions. It
begins with the hash of its name and the code, so that a file that was cut off, changed or exchanged is not used. The
folder belongs to the user alone; if others could write to it, nothing is read from it. ``GRAPHNN_CACHE`` names another
folder, or is ``off``.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import stat
import tempfile
from pathlib import Path

_MAGIC = b"graphnn object code 2\n"
_MOST_FILES = 4000
_MOST_BYTES = 2**30


def folder() -> Path | None:
    """Where the code is kept; None where it is not."""
    return _place()[0]


def _place() -> tuple[Path | None, str]:
    """The folder, or why there is none."""
    chosen = os.environ.get("GRAPHNN_CACHE", "")
    if chosen == "off":
        return None, "the cache on disk is off"
    if chosen:
        path = Path(chosen)
    else:
        import platformdirs

        path = Path(platformdirs.user_cache_dir("graphnn", appauthor=False)) / "native"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except OSError:
        return None, f"there is no folder for the cache, {path}"
    if hasattr(os, "getuid") and found.st_uid != os.getuid():
        return None, f"the folder of the cache, {path}, belongs to somebody else"
    if hasattr(os, "getuid") and found.st_mode & 0o022:
        return None, f"others may write to the folder of the cache, {path}"
    return path, ""


def name_of(*parts: str) -> str:
    """The name of the file for what these texts describe."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:".encode())
        digest.update(part.encode())
    return digest.hexdigest()


@functools.cache
def stamp() -> str:
    """What changes when the files of this package do: code of other versions may mean other tables by the same text."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return " ".join(f"{path.name}:{(found := path.stat()).st_size}:{found.st_mtime_ns}" for path in files)


def load(name: str) -> bytes | None:
    """The code of this name, or None."""
    place = folder()
    if place is None:
        return None
    try:
        data = _read(place / name)
    except OSError:
        return None
    head = len(_MAGIC) + 32
    code = data[head:]
    if data[: len(_MAGIC)] != _MAGIC or _hash(name, code) != data[len(_MAGIC) : head]:
        return None
    return code


def miss(name: str) -> str:
    """Why there is no code of this name."""
    place, reason = _place()
    if place is None:
        return reason
    return "its file in the cache on disk is damaged" if (place / name).exists() else "not in the cache on disk"


def _read(path: Path) -> bytes:
    """The contents of a file. What is none, a link, a pipe or a device, is an error, not waited for."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES:
            raise OSError(f"{path} is no file of ours")
        return file.read()


def _hash(name: str, code: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + code).digest()


def store(name: str, code: bytes) -> None:
    """Keep code under a name; whoever reads meanwhile sees the whole file or none. A full disk is no error."""
    place = folder()
    if place is None:
        return
    with contextlib.suppress(OSError):
        handle, temporary = tempfile.mkstemp(dir=place, prefix="new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + _hash(name, code) + code)
            os.replace(temporary, place / name)
        except OSError:
            os.unlink(temporary)
            raise
        _let_go(place)


def _let_go(place: Path) -> None:
    """Remove the files that were not written for longest, if there are too many."""
    if int.from_bytes(os.urandom(1)) % 64:  # counting them takes time
        return
    files = sorted((entry.stat().st_mtime, entry.path) for entry in os.scandir(place) if entry.is_file())
    for _, path in files[: max(0, len(files) - _MOST_FILES)]:
        with contextlib.suppress(OSError):
            os.unlink(path)
