"""Floor 4: a graph in, a better graph out. Rules as data, the engine that applies them, and the list of passes.

See ``docs/rewriting.md`` for a tour.
"""

from __future__ import annotations

from graphnn.rewrite.engine import Context, Step
from graphnn.rewrite.pattern import var
from graphnn.rewrite.pipeline import BASIC, PASSES, Pass, only_exact, optimize, without
from graphnn.rewrite.rule import Rule, group, rewrites, rule

__all__ = [
    "BASIC",
    "PASSES",
    "Context",
    "Pass",
    "Rule",
    "Step",
    "group",
    "only_exact",
    "optimize",
    "rewrites",
    "rule",
    "var",
    "without",
]
