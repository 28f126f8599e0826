"""`function`: from nodes to something to call. And `evaluate`, for a value in passing."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphnn.backend.base import Backend, Executable, Form
from graphnn.backend.native.backend import NativeBackend
from graphnn.backend.numpy import NumpyBackend
from graphnn.backend.numpy.plan import Plan as NumpyPlan
from graphnn.compile.signature import Argument, Signature, bind_sizes, check_bound
from graphnn.errors import DTypeError, GraphError, LoweringError, ShapeError, listing, nearest
from graphnn.ir import rebuild, tree
from graphnn.ir.arrays import Array
from graphnn.ir.collector import without_collector
from graphnn.ir.dims import Size
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import Placeholder, Taken, Variable, set_values, values_of
from graphnn.ir.node import Node, build, operand_rows
from graphnn.ir.source import user_source
from graphnn.ir.verify import check_names
from graphnn.ops.operands import as_node
from graphnn.ops.random import Advance
from graphnn.rewrite.engine import Step
from graphnn.rewrite.pipeline import BASIC, PASSES, Pass, check_passes, optimize

BACKENDS: dict[str, Backend] = {"numpy": NumpyBackend(), "native": NativeBackend()}


MOST_PLANS = 128
"""How many different combinations of sizes a function keeps its plans for."""

_FUNCTIONS: weakref.WeakSet[Function] = weakref.WeakSet()


def _in_child() -> None:
    # A lock that another thread held when this process was forked off is never let go here.
    for each in _FUNCTIONS:
        each._make_locks()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


class Function:
    """A compiled graph: call it with arrays, get arrays. Made by `function`.

    Attributes
    ----------
    graph : the graph of outputs and updates
    updates : the variables that a call changes, with their new values as nodes
    backend : the name of the backend
    passes : what rewrites the graph before the backend gets it
    """

    @without_collector
    def __init__(
        self,
        inputs: Any,
        outputs: Any,
        updates: Mapping[Any, Any] | None,
        backend: str,
        debug: str | None,
        unused: str,
        passes: Sequence[Pass] = PASSES,
    ) -> None:
        self._signature = Signature(inputs)
        self._tree = outputs
        ends = [_output(path, leaf) for path, leaf in tree.leaves(outputs)]
        self._single = isinstance(outputs, Node)
        self.updates: dict[Variable, Node] = _explicit(updates)
        _add_advances(self.updates, Graph([*ends, *self.updates.values()]))
        self.graph = Graph(ends, self.updates.items())
        self.backend = backend
        self._backend = _backend(backend)
        self.passes = check_passes(passes)
        if debug not in (None, "nan"):
            raise GraphError(f"debug is None or 'nan', not {debug!r}")
        self._debug = debug
        check_names(self.graph)
        self._check_inputs(unused)
        check_bound(self._signature.arguments, self.graph.nodes)
        self._variables = (*self.graph.parameters, *self.graph.states)
        self._cells = [variable.cell for variable in self._variables]
        self._named = any(argument.named for argument in self._signature.arguments)
        self._plans: dict[tuple[tuple[int, ...], ...], Executable] = {}
        self._spent: dict[Executable, dict[str, float]] = {}  # seconds of each pass of the rewriting
        self._count = len(ends)
        self._sizes: dict[str, int] = {}  # those of the last plan
        self._updated = [variable.cell for variable in self.updates]
        self._taken = Taken()
        self._direct: Callable[..., Any] | None = None
        self._make_locks()
        _FUNCTIONS.add(self)

    def _make_locks(self) -> None:
        # They can be taken again by the thread that holds them: a host operation, a signal handler or a finalizer may
        # call the function that is running.
        self._lock, self._turn = threading.RLock(), threading.RLock()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._direct is not None and not kwargs:
            results = self._do_directly(args)
            if results is not NotImplemented:
                return results if self._single else tree.rebuild(self._tree, iter(results))
        arrays = self._signature.arrays(args, kwargs)
        key = tuple([array.shape for array in arrays]) if self._named else ()
        plan = self._plans.get(key)
        if plan is None:
            plan = self._compile(key, arrays)
        if self._direct is not None:  # the first call too: the longer way would keep other memory between kernels
            results = self._do_directly(arrays)
            if results is not NotImplemented:
                return results if self._single else tree.rebuild(self._tree, iter(results))
        if not self.updates:
            results = plan([*arrays, *values_of(self._cells)] if self._cells else arrays)
        else:
            with self._turn:  # threads take turns, so that no update is lost
                results = plan([*arrays, *values_of(self._cells)])
                set_values(self._updated, results[self._count :])
        return results[0] if self._single else tree.rebuild(self._tree, iter(results[: self._count]))

    def explain(self) -> str:
        """How the function runs: for each combination of sizes it was called with, passes, kernels and memory.

        The native backend tells for each kernel the operations in it, the lines that wrote them, its floating-point
        operations and the bytes that it reads and writes; the memory that lives between kernels, and where its largest
        arrays lie from which kernel to which; and whether the machine code came from the cache on disk.

        >>> x = gn.placeholder("x", (2,))
        >>> f = gn.function([x], x + 1)
        >>> _ = f([1.0, 2.0])
        >>> print(f.explain())
        f(x: float32[2]) -> float32[2], backend 'native'
        rewriting: merge ... ms, names ... ms, ...
        compiling: ...
        machine code: ...
        1 native kernels: 2 FLOP, 16 B read and written
            0 loops.0 ... [2] add ...
        memory: 0 B between kernels (0 arrays, 0 B if each had its own), 8 B of results
        """
        results = ", ".join(str(node.spec) for node in self.graph.outputs)
        lines = [f"f({self._signature.text()}) -> {results}, backend {self.backend!r}"]
        if not self._plans:
            lines.append("It was not called yet: call it once, for it is compiled for the sizes of its arguments.")
        for key, plan in list(self._plans.items()):
            if self._named:
                shapes = [f"{a.path} {list(shape)}" for a, shape in zip(self._signature.arguments, key, strict=True)]
                lines.append(f"for {', '.join(shapes)}:")
            if spent := self._spent.get(plan):
                passes = ", ".join(f"{name} {seconds * 1e3:.1f} ms" for name, seconds in spent.items())
                lines.append(f"rewriting: {passes}")
            lines.append(plan.explain())
        return "\n".join(lines)

    def profile(self, *args: Any, rounds: int = 20, **kwargs: Any) -> str:
        """How long each kernel of the native backend takes for these arguments, the slowest first; updates nothing.

        Parameters
        ----------
        args, kwargs : as in a call
        rounds : how often all kernels run; each is listed with its shortest time

        Raises
        ------
        GraphError
            If another backend runs the function, or `rounds` is no int from 1.
        """
        if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
            raise GraphError(f"profile: rounds is an int from 1, not {rounds!r}")
        arrays = self._signature.arrays(args, kwargs)
        key = tuple([array.shape for array in arrays]) if self._named else ()
        plan = self._plans.get(key) or self._compile(key, arrays)
        if not hasattr(plan, "profile"):
            raise GraphError("profile measures the kernels of the native backend", self._why_not_native())
        result: str = plan.profile([*arrays, *values_of(self._cells)], rounds)
        return result

    @property
    def llvm(self) -> str:
        """The LLVM modules of the native backend, as text.

        Raises
        ------
        GraphError
            If there is none: another backend runs the function, or it was not called yet.
        """
        found = [plan.llvm for plan in self._plans.values() if hasattr(plan, "llvm")]
        if not found:
            raise GraphError(
                "the function has no LLVM module"
                + ("" if self._plans else " yet: it is compiled at its first call with the sizes of the arguments"),
                self._why_not_native() if self._plans else "Call it once.",
            )
        return "\n".join(found)

    def _why_not_native(self) -> str:
        reasons = [plan.reason for plan in self._plans.values() if isinstance(plan, NumpyPlan) and plan.reason]
        if reasons:
            return f"NumPy runs this function: {reasons[-1]}."
        return f"This function runs on the backend {self.backend!r}; make it with backend='native'."

    def _do_directly(self, args: Sequence[Any]) -> Any:
        assert self._direct is not None
        try:
            if not self.updates:
                return self._direct(*args)
            with self._turn:
                return self._direct(*args)
        except MemoryError:
            return NotImplemented  # the longer way says what there is no memory for

    @without_collector
    def _compile(self, key: tuple[tuple[int, ...], ...], arrays: list[Array]) -> Executable:
        arguments = self._signature.arguments
        sizes = bind_sizes(arguments, arrays)
        with self._lock:
            if key in self._plans:
                return self._plans[key]
            self._sizes = sizes
            inputs: list[Node] = [*(a.node for a in arguments), *self._variables]
            outputs, inputs = _bound([*self.graph.outputs, *self.updates.values()], inputs, sizes)
            spent: dict[str, float] = {}
            outputs = optimize(outputs, self._backend.keeps, self.passes, compute=NumpyBackend.compute, times=spent)
            numbers = {variable: number for number, variable in enumerate(self._variables)}
            form = Form(self._variables, tuple([numbers[v] for v in self.updates]), self._single, self._taken)
            plan = self._plans[key] = self._backend.compile(outputs, inputs, self._debug, form)
            self._spent[plan] = spent
            if self._signature.flat:
                self._direct = getattr(plan, "direct", None)
            if len(self._plans) > MOST_PLANS:
                oldest = self._plans.pop(next(iter(self._plans)))  # its sizes are planned again if they come back
                del self._spent[oldest]
            return plan

    @property
    def rewrites(self) -> tuple[Step, ...]:
        """Every step of the rewriting: the pass, the rule, the node before and the node after.

        It is done once more for this, with the sizes that were planned last; before the first call with named ones.

        >>> x = gn.placeholder("x", (3,))
        >>> print(*gn.function([x], gn.log(1 + x)).rewrites)
        names: log1p: log(1.0 + x) -> log1p(x)
        """
        log: list[Step] = []
        outputs, _ = _bound([*self.graph.outputs, *self.updates.values()], [], self._sizes)
        optimize(outputs, self._backend.keeps, self.passes, compute=NumpyBackend.compute, log=log)
        return tuple(log)

    def _check_inputs(self, unused: str) -> None:
        listed = {argument.node for argument in self._signature.arguments}
        for node in self.graph.inputs:
            if node not in listed:
                raise GraphError(
                    f"the outputs depend on the placeholder {node.name!r}, which is not among the inputs",
                    f"List it: gn.function([..., {node.label}], ...). Path: {_path(node, self.graph)}.",
                    operands=operand_rows((node,), ("missing",)),
                    at=str(user_source() or ""),
                )
        if unused not in ("raise", "ignore"):
            raise GraphError(f"on_unused is 'raise' or 'ignore', not {unused!r}")
        needed = set(self.graph.inputs)
        spare = [a for a in self._signature.arguments if a.node not in needed]
        if spare:  # an input may be there for a size only, if no other one tells it
            sizes = {name for node in self.graph.nodes for name in (node.spec.names | node.op.size_names())}
            sizes -= {str(size) for node in self.graph.inputs for size in node.shape}
            spare = [a for a in spare if not a.spec.names & sizes]
        if spare and unused == "raise":
            raise GraphError(
                f"the outputs do not depend on the input {spare[0].path}",
                "Leave it out, or allow it with on_unused='ignore'.",
                operands=operand_rows((spare[0].node,), ("unused",)),
                at=str(user_source() or ""),
            )

    def __repr__(self) -> str:
        outputs = ", ".join(str(node.spec) for node in self.graph.outputs)
        changed = f", updates {listing(v.label for v in self.updates)}" if self.updates else ""
        return f"Function({self._signature.text()} -> {outputs}{changed}; backend {self.backend!r})"


def function(
    inputs: Any,
    outputs: Any,
    updates: Mapping[Any, Any] | None = None,
    *,
    backend: str = "native",
    debug: str | None = None,
    on_unused: str = "raise",
    passes: Sequence[Pass] = PASSES,
) -> Function:
    """Compile a graph to a function of arrays.

    Parameters
    ----------
    inputs : placeholders: one, or a list, tuple or dict of them, also nested; a call gives arrays in the same
        structure, by position or by name
    outputs : a node, or a tree of nodes; the function returns arrays in the same structure
    updates : the new value of parameters or states, as nodes; all are computed from the old values, then set together
    backend : ``"native"``, machine code made by LLVM; or ``"numpy"``, one kernel of NumPy after the other, which compiles
        nothing. Where llvmlite cannot be imported NumPy runs all functions, and `Function.explain` says so
    debug : ``"nan"`` finds the first node, forward or backward, that makes a NaN or an infinity of a result
    on_unused : ``"ignore"`` allows inputs that the outputs do not depend on
    passes : how the graph is rewritten; see `graphnn.rewrite`. ``rewrite.without("stability")`` leaves rules out,
        ``rewrite.only_exact()`` those that change the rounding of results, and ``rewrite.BASIC`` all of them

    Returns
    -------
    Function
        Its results share memory with nothing else. Named sizes are bound at each call; a new combination of sizes is
        planned once.

    Raises
    ------
    GraphError
        If an input is missing, unused, listed twice or not a placeholder.
    ShapeError, DTypeError
        If an update does not have the spec of its variable; and at a call, if an argument does not fit.

    >>> x = gn.placeholder("x", ("n",))
    >>> w = gn.parameter("w", 2.0)
    >>> f = gn.function([x], gn.sum(w * x), updates={w: w + 1})
    >>> float(f([1.0, 2.0])), float(f(x=[1.0, 2.0])), float(w.value)
    (6.0, 9.0, 4.0)
    """
    return Function(inputs, outputs, updates, backend, debug, on_unused, passes)


def evaluate(outputs: Any, feeds: Mapping[Any, Any] | None = None) -> Any:
    """The value of a node, or of a tree of nodes, in passing; states stay as they are.

    The graph is computed as it was written: only equal nodes are computed once. `function` rewrites it first.

    Parameters
    ----------
    outputs : a node or a tree of nodes
    feeds : arrays for placeholders; any other node may be given a value too, which is then used in its place. What the
        outputs do not need is not looked at, so that one dict can serve several calls

    >>> x = gn.placeholder("x", (2,))
    >>> gn.evaluate(x * 10, {x: [1.0, 2.0]})
    array([10., 20.], dtype=float32)

    Raises
    ------
    GraphError
        If a placeholder that is needed has no value.
    """
    ends = [_output(path, leaf) for path, leaf in tree.leaves(outputs)]
    given = dict(feeds or {})
    for node in given:
        if not isinstance(node, Node):
            raise GraphError(
                f"evaluate: feeds are {{node: array}}, not {{{node!r}: ...}}", "Use the placeholder as the key."
            )
    # Nodes that are not placeholders get one in their place.
    stand_in = {
        node: node
        if isinstance(node.op, Placeholder)
        else build(Placeholder(), (), node.spec, name=f"value of {node.label}")
        for node in given
    }
    if any(new is not old for old, new in stand_in.items()):
        ends = rebuild.substitute(ends, stand_in)
    graph = Graph(ends)
    needed = set(graph.inputs)
    filled = set(stand_in.values())
    missing = [node.label for node in graph.inputs if node not in filled]
    if missing:
        raise GraphError(
            f"evaluate: no value for {listing(missing)}",
            f"Give it: gn.evaluate(node, {{{missing[0]}: array}}).",
            at=str(user_source() or ""),
        )
    names = {name for node in graph.nodes for name in (node.spec.names | node.op.size_names())}
    # A value may be there for its size only.
    pairs = [(new, given[old]) for old, new in stand_in.items() if new in needed or new.spec.names & names]
    arguments = [Argument(node, repr(node.name)) for node, _ in pairs]
    arrays = [argument.check(value) for argument, (_, value) in zip(arguments, pairs, strict=True)]
    check_bound(arguments, graph.nodes)
    sizes = bind_sizes(arguments, arrays)
    inputs: list[Node] = [*(a.node for a in arguments), *graph.parameters, *graph.states]
    arrays += values_of([variable.cell for variable in (*graph.parameters, *graph.states)])
    ends, inputs = _bound(ends, inputs, sizes)
    backend = BACKENDS["numpy"]
    results = backend.compile(optimize(ends, backend.keeps, BASIC), inputs, None)(arrays)
    return results[0] if isinstance(outputs, Node) else tree.rebuild(outputs, iter(results))


def _bound(outputs: list[Node], inputs: list[Node], sizes: Mapping[str, Size]) -> tuple[list[Node], list[Node]]:
    """Outputs and inputs with named sizes replaced."""
    if not sizes:
        return outputs, inputs
    leaves: dict[Node, Node] = {}
    outputs = rebuild.bind_sizes(outputs, sizes, leaves)
    return outputs, [leaves.get(node, node) for node in inputs]


def _output(path: str, leaf: Any) -> Node:
    if not isinstance(leaf, Node):
        raise GraphError(
            f"output {path or '0'} is not a node: {leaf!r}", "Outputs are nodes, or lists and dicts of nodes."
        )
    return leaf


def _backend(name: str) -> Backend:
    if name not in BACKENDS:
        raise LoweringError(f"there is no backend {name!r}; there is {listing(BACKENDS)}", nearest(str(name), BACKENDS))
    return BACKENDS[name]


def _explicit(updates: Mapping[Any, Any] | None) -> dict[Variable, Node]:
    out: dict[Variable, Node] = {}
    if not isinstance(updates, (Mapping, type(None))):
        raise GraphError(
            f"updates is a dict from parameters to new values, not a {type(updates).__name__}",
            "Write updates={w: w - 0.1 * dw}.",
        )
    for variable, value in (updates or {}).items():
        if not isinstance(variable, Variable):
            what = variable.label if isinstance(variable, Node) else repr(variable)
            raise GraphError(
                f"updates: {what} is neither a parameter nor a state",
                "The keys are the parameters themselves, not their names."
                if isinstance(variable, str)
                else "Only what gn.parameter and gn.state make keeps a value.",
            )
        node = as_node(value, variable.dtype)
        if node.spec != variable.spec:
            error = DTypeError if node.dtype is not variable.dtype else ShapeError
            raise error(
                f"updates: the new value of {variable.label} is {node.spec}, not {variable.spec}",
                f"Cast it: new_value.astype('{variable.dtype}')."
                if error is DTypeError
                else "The new value needs the shape of the variable; is an operand broadcast in it?",
                operands=operand_rows((variable, node), ("variable", "new value")),
                at=str(user_source() or ""),
            )
        out[variable] = node
    return out


def _add_advances(updates: dict[Variable, Node], graph: Graph) -> None:
    """Add the updates that the graph itself asks for: its `Advance` nodes."""
    found: dict[Variable, Node] = {}
    for node in graph.of_kind(Advance):
        state, following = node.inputs[1:]
        assert isinstance(state, Variable)
        first = found.setdefault(state, following)
        if state in updates or (first is not following and Graph(first) != Graph(following)):
            raise GraphError(
                f"the state {state.label} gets two different next values",
                "Use each state in one place, or give the next value once.",
                operands=operand_rows((first, following), ("first", "second")),
                at=str(user_source() or ""),
            )
    updates.update(found)


def _path(start: Node, graph: Graph) -> str:
    users = graph.users()
    ends = {*graph.outputs, *(value for _, value in graph.updates)}
    step, shown = start, [start.label]
    while step not in ends and users[step] and len(shown) < 6:
        step = users[step][0]
        shown.append(step.label)
    return " -> ".join(shown + (["..."] if step not in ends else []))
