"""Loops whose body stays a graph: `Scan`, which steps along arrays, and its derivatives, which are scans again."""

from __future__ import annotations

from collections.abc import Sequence

from graphnn.errors import DifferentiationError, ShapeError
from graphnn.ir.body import Body, depending, symbols_like
from graphnn.ir.dims import Size
from graphnn.ir.graph import topological
from graphnn.ir.node import Node, explain
from graphnn.ir.op import Cotangent, Multi
from graphnn.ir.rebuild import substitute
from graphnn.ir.source import apart
from graphnn.ir.spec import Bundle, Spec
from graphnn.ops.results import Result, results
from graphnn.transform.forward import forward_pass
from graphnn.transform.reverse import Pull, reverse_pass, zeros_of


class Scan(Multi):
    """The body, step by step along the first axis of its last operands; the first ones are the same in every step.

    The operands are `consts` fixed values, `carries` values to begin with, and arrays to go along. The body takes the
    fixed values, the carried values and one element of each array; it gives the next carried values, then what is stacked.
    The results are the last carried values and the stacks. With `reverse` it goes from the last element to the first.
    """

    body: Body
    consts: int
    carries: int
    length: Size
    reverse: bool = False
    latex = r"\operatorname{{scan}}_{{{length}}}\left({args}\right)"

    def infer(self, *specs: Spec) -> Bundle:
        along = self.consts + self.carries
        for i, (spec, inner) in enumerate(zip(specs, self.body.inputs, strict=True)):
            wanted = inner.spec if i < along else inner.spec.with_shape((self.length, *inner.shape))
            if spec != wanted:
                raise ShapeError(f"scan: operand {i} is {spec}, but its step takes {inner.spec} of {wanted}")
        for i, node in enumerate(self.body.outputs[: self.carries]):
            if node.spec != specs[self.consts + i]:
                raise ShapeError(
                    f"scan: carried value {i} is {specs[self.consts + i]} before the step, {node.spec} after"
                )
        stacked = [node.spec.with_shape((self.length, *node.shape)) for node in self.body.outputs[self.carries :]]
        return Bundle((*[node.spec for node in self.body.outputs[: self.carries]], *stacked))

    def parts(self, values: Sequence[Node]) -> tuple[list[Node], list[Node], list[Node]]:
        """Operands, or inputs of the body, as fixed values, carried values and elements."""
        c, k = self.consts, self.consts + self.carries
        return list(values[:c]), list(values[c:k]), list(values[k:])

    def vjp(self, gs: tuple[Node | None, ...], *operands: Node, outs: tuple[Node, ...]) -> tuple[Cotangent, ...]:
        body, k = self.body, self.carries
        consts, init, _ = self.parts(operands)
        fixed, carried, _ = self.parts(body.inputs)
        stacked = [i for i in range(k, len(outs)) if gs[i] is not None]
        with apart():
            g_stacked = symbols_like([body.outputs[i] for i in stacked], "g of ")
            g_carried = symbols_like(carried, "g of ")
        # Which carried values have a cotangent at all: those with one at the end, and what leads to them.
        active = {i for i in range(k) if gs[i] is not None}
        while True:
            ends = [body.outputs[i] for i in (*sorted(active), *stacked)]
            given = [Pull(g) for g in (*[g_carried[i] for i in sorted(active)], *g_stacked)]
            targets = [node for node in body.inputs if node.dtype.is_floating]
            adjoints, _ = reverse_pass(ends, given, targets, frozenset(body.inputs))
            found = {i for i in range(k) if carried[i] in adjoints}
            if found <= active:
                break
            active |= found
        back = sorted(active)
        pulled = [i for i, node in enumerate(fixed) if node in adjoints]
        along = [node for node in body.inputs[self.consts + k :] if node in adjoints]
        with apart():
            totals = symbols_like([fixed[i] for i in pulled], "sum of g of ")
        ends = [total + adjoints[fixed[i]].materialized() for total, i in zip(totals, pulled, strict=True)]
        ends += [adjoints[carried[i]].materialized() if i in found else zeros_of(carried[i]) for i in back]
        ends += [adjoints[node].materialized() for node in along]

        # What the reverse step reads of the forward step is kept: a stack for each such value.
        cotangents = [*totals, *[g_carried[i] for i in back], *g_stacked]
        kept = _residuals(self, cotangents, ends)
        forward = Body(body.inputs, (*body.outputs, *kept))
        stacks = results(Scan(forward, self.consts, k, self.length, self.reverse), *operands)[len(outs) :]
        with apart():
            element = symbols_like(kept, "")
        ends = substitute(ends, dict(zip(kept, element, strict=True)))
        reached = set(topological(ends))
        needed = [i for i, node in enumerate(fixed) if node in reached]
        read = [i for i, node in enumerate(body.inputs) if i >= self.consts + k and node in reached]

        inputs = [*[fixed[i] for i in needed], *totals, *[g_carried[i] for i in back]]
        inputs += [*element, *[body.inputs[i] for i in read], *g_stacked]
        start = [zeros_of(consts[i]) for i in pulled]
        start += [g if (g := gs[i]) is not None else zeros_of(init[i]) for i in back]
        arrays = [*stacks, *[operands[i] for i in read], *[g for i in stacked if (g := gs[i]) is not None]]
        op = Scan(Body(inputs, ends), len(needed), len(start), self.length, not self.reverse)
        made = iter(results(op, *[consts[i] for i in needed], *start, *arrays))
        out: dict[Node, Node] = {}
        for node in (*[fixed[i] for i in pulled], *[carried[i] for i in back], *along):
            out[node] = next(made)
        return tuple([out.get(node) for node in body.inputs])

    def jvp(
        self, tangents: tuple[Node | None, ...], *operands: Node, outs: tuple[Node, ...]
    ) -> tuple[Node | None, ...]:
        body, k = self.body, self.carries
        consts, init, arrays = self.parts(operands)
        with apart():
            moved = dict(zip(body.inputs, symbols_like(body.inputs, "d "), strict=True))
        active = {i for i in range(k) if tangents[self.consts + i] is not None}
        while True:
            given = {
                node: moved[node]
                for i, node in enumerate(body.inputs)
                if (tangents[i] is not None if not 0 <= i - self.consts < k else i - self.consts in active)
            }
            found = forward_pass(body.outputs, given, frozenset(body.inputs))
            more = {i for i in range(k) if body.outputs[i] in found} - active
            if not more:
                break
            active |= more
        carried = sorted(active)
        stacked = [i for i in range(k, len(body.outputs)) if body.outputs[i] in found]

        def with_tangents(nodes: Sequence[Node], values: Sequence[Node], offset: int) -> tuple[list[Node], list[Node]]:
            pairs = [
                (moved[n], t) for i, n in enumerate(nodes) if (t := tangents[offset + i]) is not None and n in given
            ]
            return [*nodes, *[n for n, _ in pairs]], [*values, *[t for _, t in pairs]]

        fixed, inner_carry, elements = self.parts(body.inputs)
        inner_consts, outer_consts = with_tangents(fixed, consts, 0)
        inner_arrays, outer_arrays = with_tangents(elements, arrays, self.consts + k)
        start = [*init, *[t if (t := tangents[self.consts + i]) is not None else zeros_of(init[i]) for i in carried]]
        inside = [*inner_consts, *inner_carry, *[moved[inner_carry[i]] for i in carried], *inner_arrays]
        ends = [*body.outputs[:k]]
        ends += [found[n] if n in found else zeros_of(n) for n in (body.outputs[i] for i in carried)]
        ends += [*body.outputs[k:], *[found[body.outputs[i]] for i in stacked]]
        op = Scan(Body(inside, ends), len(inner_consts), len(start), self.length, self.reverse)
        made = results(op, *outer_consts, *start, *outer_arrays)
        out: list[Node | None] = [None] * len(outs)
        for place, i in enumerate(carried):
            out[i] = made[k + place]
        first = len(start) + len(body.outputs) - k
        for place, i in enumerate(stacked):
            out[i] = made[first + place]
        return tuple(out)


def _residuals(op: Scan, cotangents: Sequence[Node], ends: Sequence[Node]) -> list[Node]:
    """The values of the forward step that the reverse step reads, without those that are operands of the loop anyway."""
    fixed, _, elements = op.parts(op.body.inputs)
    given = {*fixed, *elements}
    forward = set(op.body.nodes)
    known = depending(op.body, set(op.body.inputs).difference(fixed))  # that come of the forward step alone
    late = set(cotangents)
    for node in topological(ends):
        if any(operand in late for operand in node.inputs):
            late.add(node)
        elif any(operand in known for operand in node.inputs):
            known.add(node)
    kept: set[Node] = set()
    seen: set[Node] = set()
    stack = list(ends)
    while stack:
        node = stack.pop()
        if node in seen or node in given:
            continue
        seen.add(node)
        # A loop inside of the step that only the reverse pass asked for is run with the forward step: its results are kept.
        is_value = isinstance(node.op, Result) or (node in forward and not isinstance(node.spec, Bundle))
        if is_value and node in known and node not in late:
            kept.add(node)
        else:
            stack.extend(node.inputs)
    return sorted(kept, key=lambda node: node.index)


class While(Multi):
    """The body again and again, as long as the condition holds; both take the fixed values and the carried ones.

    The operands are `consts` fixed values and the carried values to begin with, the results the last carried values.
    """

    condition: Body
    body: Body
    consts: int
    latex = r"\operatorname{{while}}\left({args}\right)"

    @property
    def name(self) -> str:
        return "while_loop"

    def infer(self, *specs: Spec) -> Bundle:
        for i, (spec, inner) in enumerate(zip(specs, self.body.inputs, strict=True)):
            if spec != inner.spec:
                raise ShapeError(f"while_loop: operand {i} is {spec}, but its step takes {inner.spec}")
        for i, node in enumerate(self.body.outputs):
            if node.spec != specs[self.consts + i]:
                raise ShapeError(
                    f"while_loop: carried value {i} is {specs[self.consts + i]} before the step, {node.spec} after"
                )
        return Bundle(specs[self.consts :])

    def vjp(self, gs: tuple[Node | None, ...], *operands: Node, outs: tuple[Node, ...]) -> tuple[Cotangent, ...]:
        error = DifferentiationError(
            "while_loop has no derivative in reverse mode: the number of its steps is known only when it has run",
            "Use gn.scan with a fixed number of steps, forward mode (gn.jvp, gn.jacfwd), or gn.stop_gradient.",
        )
        raise explain(error, operands, outs[0].inputs[0])

    def jvp(
        self, tangents: tuple[Node | None, ...], *operands: Node, outs: tuple[Node, ...]
    ) -> tuple[Node | None, ...]:
        body, count = self.body, self.consts
        fixed, carried = body.inputs[:count], body.inputs[count:]
        with apart():
            moved = dict(zip(body.inputs, symbols_like(body.inputs, "d "), strict=True))
        active = {i for i in range(len(carried)) if tangents[count + i] is not None}
        moving = [i for i in range(count) if tangents[i] is not None]
        while True:
            given = {n: moved[n] for n in (*[fixed[i] for i in moving], *[carried[i] for i in active])}
            found = forward_pass(body.outputs, given, frozenset(body.inputs))
            more = {i for i, node in enumerate(body.outputs) if node in found} - active
            if not more:
                break
            active |= more
        places = sorted(active)
        inputs = [*fixed, *[moved[fixed[i]] for i in moving], *carried, *[moved[carried[i]] for i in places]]
        ends = [*body.outputs]
        ends += [found[n] if n in found else zeros_of(n) for n in (body.outputs[i] for i in places)]
        start = [t if (t := tangents[count + i]) is not None else zeros_of(operands[count + i]) for i in places]
        pushed = [t for i in moving if (t := tangents[i]) is not None]
        op = While(Body(inputs, self.condition(*body.inputs)), Body(inputs, ends), count + len(moving))
        made = results(op, *operands[:count], *pushed, *operands[count:], *start)
        out: list[Node | None] = [None] * len(outs)
        for place, i in enumerate(places):
            out[i] = made[len(carried) + place]
        return tuple(out)
