"""Every operation, composite and public function has all its places: none is half finished."""

import importlib
import inspect
import pathlib
import pkgutil
import re

import graphnn as gn
import graphnn.functions
import graphnn.ops
from graphnn.backend.numpy import lower
from graphnn.ir.graph import Graph
from graphnn.ir.op import Elementwise, General, Linear, Multi, Op
from graphnn.ops import all_ops
from graphnn.ops.composite import Composite, Definition
from graphnn.ops.results import Result
from graphnn.testing import all_cases

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "ops.md"
RULES = {Elementwise: "partials", Linear: "transpose", General: "vjp", Multi: "vjp"}

# Operations without a function of their own: the public function or the notation behind which they stand.
BEHIND = {
    "Slice": "Slice", "Unslice": "Unslice", "Part": "Part", "Gather": "Gather", "ScatterAdd": "ScatterAdd",
    "ScatterSet": "ScatterSet", "ScatterReduce": "ScatterReduce",
    "Contract": "matmul", "Any_": "any",
    "Cofactor": "cofactor", "DetSign": "slogdet", "Logabsdet": "slogdet",
}  # fmt: skip


def modules(package):
    return [
        importlib.import_module(f"{package.__name__}.{info.name}") for info in pkgutil.iter_modules(package.__path__)
    ]


def public_functions():
    """The functions of floors 2 and 3 that `import graphnn` shows."""
    return {
        name: value
        for module in [*modules(graphnn.ops), *modules(graphnn.functions)]
        for name, value in vars(module).items()
        if (inspect.isfunction(value) or isinstance(value, Definition))
        and value.__module__ == module.__name__
        and not name.startswith("_")
        and getattr(gn, name, None) is value
    }


def composites():
    return [
        value
        for module in modules(graphnn.functions)
        for value in vars(module).values()
        if isinstance(value, Definition) and value.__module__ == module.__name__
    ]


def documented():
    return set(re.findall(r"^\| `(\w+)` \|", DOCS.read_text(), re.M))


def overrides(op, method):
    return any(method in vars(base) for base in op.__mro__ if base not in (*RULES, Op))


def places(op, cases, docs):
    """For one primitive: what is there."""
    family = next((base for base in RULES if issubclass(op, base)), None)
    name = BEHIND.get(op.__name__) or re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", op.__name__).lower()
    return {
        "infer": overrides(op, "infer") or overrides(op, "infer_dtype") or issubclass(op, Elementwise),
        # What reads one of several results has no rule: the reverse pass collects their cotangents for the one operation.
        "rule": op is Result or (family is not None and overrides(op, RULES[family])),
        "numpy": lower.dispatch(op) is not lower.dispatch(Op),
        "latex": bool(op.latex),
        "OpCase": op in cases,
        "docs": name in docs or f"`{name}`" in DOCS.read_text(),
        "docstring": bool((op.__doc__ or "").strip()) and not op.__doc__.startswith(f"{op.__name__}("),
    }


def ops_of(case):
    """The op of a case, and those with several results whose results it reads."""
    node = case.node(case.samples[0], case.dtypes[-1])[0]
    yield node.op
    yield from (inner.op for inner in Graph(node) if isinstance(inner.op, Multi | Result))


def table(rows):
    """The rows that have a hole, as a table."""
    holes = {name: row for name, row in rows.items() if not all(row.values())}
    if not holes:
        return ""
    columns = list(next(iter(holes.values())))
    width = max(map(len, holes))
    lines = [" " * width + "  " + "  ".join(columns)]
    for name, row in holes.items():
        lines.append(f"{name:{width}}  " + "  ".join(("yes" if row[c] else "NO").center(len(c)) for c in columns))
    return "\n".join(lines)


def test_no_operation_has_a_hole():
    cases = {type(op) for case in all_cases() for op in ops_of(case)}
    docs = documented()
    rows = {op.__name__: places(op, cases, docs) for op in all_ops()}
    assert len(rows) >= 80
    assert table(rows) == "", "\n" + table(rows)


def test_all_ops_lists_every_operation():
    def below(base):
        for op in base.__subclasses__():
            yield op
            yield from below(op)

    inside = [op for op in below(Op) if op.__module__.startswith("graphnn.ops.")]
    concrete = {op for op in inside if not op.__subclasses__() and op is not Composite}
    assert concrete == set(all_ops())


def test_no_composite_has_a_hole():
    cases = {case.op.definition: case for case in all_cases() if isinstance(case.op, Composite)}
    rows = {}
    for definition in composites():
        case = cases.get(definition)
        body = case and case.op.expand(*case.node(case.samples[-1], case.dtypes[-1])[1])
        rows[definition.name] = {
            "body": isinstance(body, gn.Node),
            "latex": bool(definition.latex),
            "OpCase": case is not None,
            "docs": definition.name in documented(),
            "public": getattr(gn, definition.name, None) is definition,
            "docstring": bool(definition.__doc__),
        }
    assert {"relu", "softmax", "mean", "logsumexp"} <= set(rows)
    assert table(rows) == "", "\n" + table(rows)


# What makes no node from nodes: `stream` makes a state, `composite` is a decorator.
WITHOUT_CASE = {"stream"}
NO_OPERATION = {"composite"}


def test_no_function_has_a_hole():
    named = {case.function for case in all_cases()}
    rows = {
        name: {
            "OpCase": name in named or name in WITHOUT_CASE,
            "docs": name in documented(),
            "example": ">>>" in (value.__doc__ or ""),
        }
        for name, value in public_functions().items()
        if name not in NO_OPERATION
    }
    assert len(rows) >= 110
    assert table(rows) == "", "\n" + table(rows)


def test_docs_name_only_what_exists():
    unknown = [name for name in documented() if not hasattr(gn, name)]
    assert unknown == []


def test_docs_say_the_kind():
    """The kind in the docs is that of the operation which the function makes."""
    kinds = dict(re.findall(r"^\| `(\w+)` \|.*\| ([^|]*?) \|[^|]*\|$", DOCS.read_text(), re.M))
    wrong = {}
    for case in all_cases():
        if case.name != case.function or case.function not in kinds:
            continue
        op, said = case.op, kinds[case.function]
        if isinstance(op, Composite):
            right = said == ("composite (rule)" if op.definition.derivative else "composite")
        elif "built" in said or said == "flat":
            right = True
        else:
            family = {Elementwise: "element-wise", Linear: "linear", General: "general", Multi: "several results"}
            right = any(said.startswith(word) for base, word in family.items() if isinstance(op, base))
        if not right:
            wrong[case.function] = (said, type(op).__mro__[1:3])
    assert wrong == {}
