"""The memory of this process in bytes: what it holds now, and the most it ever held (only that elsewhere than on Linux)."""

import contextlib
import sys


def _status(key: str) -> int | None:
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith(key + ":"):
                return int(line.split()[1]) * 1024
    return None


def high_water() -> int:
    found = _status("VmHWM")
    if found is not None:
        return found
    import resource  # not on Windows, where the suite does not run

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def resident() -> int:
    found = _status("VmRSS")
    return high_water() if found is None else found


def reset_high_water() -> None:
    """From now on `high_water` tells the peak from here; where the system cannot, it stays that of the whole life."""
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:
        file.write("5")
