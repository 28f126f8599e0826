"""Profiles of hypothesis, chosen by HYPOTHESIS_PROFILE; without it, the same examples are tried on every run."""

import os
import re

from hypothesis import HealthCheck, settings

_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}

settings.register_profile("ci", max_examples=20, derandomize=True, database=None, print_blob=True, **_COMMON)
settings.register_profile("dev", max_examples=20, **_COMMON)
settings.register_profile("nightly", max_examples=500, print_blob=True, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def stable_id(value):
    """What a value is called in the name of a test: its repr without addresses, so that all test processes agree."""
    return re.sub(r"<function (?:\S+\.)?(\S+) at 0x[0-9a-f]+>", r"\1", repr(value))


def pytest_make_parametrize_id(config, val, argname):
    return stable_id(val) if type(val).__module__.startswith("graphnn") else None
