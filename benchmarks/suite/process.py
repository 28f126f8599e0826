"""The runner's side of a worker: start it, ask it, and end it when it does not answer in time."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent  # benchmarks/
ROOT = HERE.parent


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMBA_NUM_THREADS",
    "GRAPHNN_NUM_THREADS",
    "CPU_COUNT",
)


def environment(own: bool, cache: Path, keep: bool) -> dict[str, str]:
    """All cores for everybody, caches in a folder of this run. `keep`: also where nothing is kept on disk unless asked for."""
    # PYTHONDONTWRITEBYTECODE would make each process of a contestant compile what no installer has compiled.
    other = ("PYTHONPATH", "SUITE_CACHE", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in other}
    kept |= dict.fromkeys(THREADS, str(cores()))
    paths = [str(HERE)]
    if own:
        paths += [str(ROOT / "src"), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    kept |= {
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONWARNINGS": "ignore",
        "XDG_CACHE_HOME": str(cache),
        "GRAPHNN_CACHE": str(cache / "graphnn"),
        "TORCHINDUCTOR_CACHE_DIR": str(cache / "torch"),
        "PYTENSOR_FLAGS": f"base_compiledir={cache / 'pytensor'}",
        "NUMBA_CACHE_DIR": str(cache / "numba"),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CACHEDB": str(cache / "tinygrad.db"),
    }
    return kept | ({"SUITE_CACHE": str(cache / "jax")} if keep else {})


def write_byte_code() -> None:
    """Compile what lies here as sources, graphnn and the suite, as an installer does for the peers."""
    subprocess.run([sys.executable, "-m", "compileall", "-qq", str(ROOT / "src"), str(HERE / "suite")], check=False)


class Failed(Exception):
    """The worker cannot answer: it is not there, ended, or was ended because it took too long."""


class Process:
    """One worker. Its first answer is in `about`."""

    def __init__(self, python: str, module: str, variant: str, env: dict[str, str], log: Path, timeout: float) -> None:
        self._log = log.open("a")
        self._process = subprocess.Popen(
            [python, "-m", "suite.worker", module, variant],
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,  # so that helpers of the library can be ended with it
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.alive = True
        self.about = self._answer(timeout)

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def _answer(self, timeout: float) -> dict:
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            self.close()
            raise Failed(f"no answer in {timeout:g} s") from None
        if not line:
            code = self._process.wait()
            self.close()
            raise Failed(f"the process ended with status {code}")
        return json.loads(line)

    def ask(self, do: str, timeout: float, **request: object) -> dict:
        if not self.alive:
            raise Failed("the process has ended")
        assert self._process.stdin
        try:
            self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise Failed("the process has ended") from None
        return self._answer(timeout)

    def close(self) -> None:
        if not self.alive:
            return
        self.alive = False
        with contextlib.suppress(OSError):  # the group may be gone already
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()
        self._log.close()


BUSY = """
import os, sys
core, parent = int(sys.argv[1]), os.getppid()
if core >= 0:
    os.sched_setaffinity(0, {core})
while os.getppid() == parent:
    for _ in range(1_000_000):
        pass
"""


@contextlib.contextmanager
def busy_cores():
    """Half of the cores (of two: the other one) are kept busy by programs that do nothing but count."""
    known = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else [-1] * cores()
    chosen = known[max(1, len(known) // 2) :] or known
    running = [subprocess.Popen([sys.executable, "-c", BUSY, str(core)]) for core in chosen]
    try:
        yield len(running)
    finally:
        for process in running:
            process.kill()
            process.wait()
