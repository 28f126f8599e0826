"""Module: a part of a network. Parameters, states and further modules in its attributes, and `forward`, which builds nodes.

A module is an ordinary object. It computes nothing: calling it adds nodes to a graph. It holds no mode and no gradients.

**Seeds.** The first values of a model follow from its seed and the path of each parameter in it, such as
``encoder.0.weight``, and from nothing else: the same model has the same bits in every program, and two layers of a model
never share numbers. The seed is that of the model, else that of the trainer it is given to before its first use, else 0. A
module inside a model may have a seed of its own; then the path counts from there. A layer that is used outside of any model
has no path that tells it from others: give it a seed, or it is numbered in the order in which such layers are first used.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any, TypeVar

from graphnn.errors import GraphError, listing
from graphnn.ir import tree
from graphnn.ir.arrays import Array, own_array
from graphnn.ir.dims import as_size
from graphnn.ir.dtype import DEFAULT_FLOAT, DType
from graphnn.ir.graph import Graph
from graphnn.ir.leaves import Parameter as ParameterLeaf
from graphnn.ir.leaves import Variable, placeholder
from graphnn.ir.node import Node
from graphnn.ir.source import apart, scope, user_source
from graphnn.ir.spec import Shape, Spec, as_shape
from graphnn.nn.calls import Call, current_call
from graphnn.nn.declared import Declared, key_of
from graphnn.nn.elsewhere import MODULE, unknown

ModuleType = TypeVar("ModuleType", bound="Module")

_lone = itertools.count()  # numbers the layers that are used outside of any model and without a seed


class Module:
    """Base class of layers and models.

    Assign parameters (`nn.Parameter`, `graphnn.parameter`), states (`graphnn.state`) and further modules to attributes,
    also in lists, tuples and dicts, and write ``forward``, which takes nodes and gives a node. Attributes whose names begin
    with an underscore are not looked through, nor are sets, and a layer that is made inside ``forward`` is a new one at
    every call: the parameters of all these are no part of the model, and a trainer refuses them.

    Two models of the same layers and the same seed, 0 unless told, begin with equal weights. For an ensemble give each a
    seed: ``nn.Sequential(..., seed=i)``, or ``self.seed = i`` in ``__init__``.

    Attributes
    ----------
    seed : int or None; where the first values come from, see `graphnn.nn.module`
    output_spec : shape and data type of what the last call gave, None before
    input_spec : those of its first input

    Examples
    --------
    >>> from graphnn import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         self.hidden = nn.Linear(4, 3)
    ...         self.out = nn.Linear(2)
    ...
    ...     def forward(self, x):
    ...         return self.out(gn.relu(self.hidden(x)))
    >>> net = Net()
    >>> net(gn.placeholder("x", ("batch", 4))).spec
    float32[batch, 2]
    >>> list(net.named_parameters())
    ['hidden.weight', 'hidden.bias', 'out.weight', 'out.bias']
    """

    seed: int | None = None
    output_spec: Any = None
    input_spec: Any = None
    _default_seed: int | None = None  # what a trainer gives to a model without a seed of its own
    _parent: Module | None = None
    _key: str = ""  # the path from the parent
    _number: str | None = None  # the place of a seed, for a layer outside of any model
    _declared: dict[str, Declared]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        if (args or kwargs) and cls.__init__ is object.__init__:
            given = ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])
            raise GraphError(f"{cls.__name__} takes no arguments, but was given {given}")
        made = super().__new__(cls)
        object.__setattr__(made, "_declared", {})
        return made

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Add the nodes of the module to the graph; every module writes its own."""
        raise GraphError(
            f"{type(self).__name__} has no forward", "Write a method forward(self, x) that takes and returns nodes."
        )

    def __call__(self, *inputs: Any, training: bool | None = None, **options: Any) -> Any:
        """Build the nodes of the module for these inputs, in a scope of its name.

        Parameters
        ----------
        *inputs, **options : what `forward` takes
        training : True for the graph to train, False for the graph to use; None means as the module around, or False
        """
        outer = current_call.get()
        token = current_call.set(Call(inputs, training, outer))
        try:
            with scope(type(self).__name__ if outer is None else self._scope()):
                result = self.forward(*inputs, **options)
        finally:
            current_call.reset(token)
        if result is None:
            raise GraphError(
                f"{type(self).__name__}.forward gave None", "End it with `return` and the node it computed."
            )
        object.__setattr__(self, "input_spec", _specs(inputs[0]) if inputs else None)
        object.__setattr__(self, "output_spec", _specs(result))
        return result

    # --- attributes ---

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, Declared):
            vars(self).pop(name, None)
            self._declared[name] = value
            return
        if name in self._declared:
            if value is not None and not isinstance(value, Node):
                raise GraphError(
                    f"{type(self).__name__}.{name} is a parameter and cannot be replaced by {type(value).__name__}",
                    f"To change its value, write module.{name}.value = array.",
                )
            del self._declared[name]
        object.__setattr__(self, name, value)
        if not name.startswith("_"):
            self._adopt([(name, value)])

    def __getattr__(self, name: str) -> Any:
        declared = vars(self).get("_declared", {}).get(name)
        if declared is not None:
            return self._make(name, declared) if declared.made is None else declared.made
        known = [*(n for n in dir(type(self)) if n not in MODULE), *vars(self), *vars(self).get("_declared", ())]
        raise unknown(f"the module {type(self).__name__}", name, MODULE, known)

    def __deepcopy__(self: ModuleType, memo: dict[int, Any]) -> ModuleType:
        """A model like this one, with parameters and states of its own that have the same values.

        The module around it is not copied with it, so the copy of a layer stands alone.
        """
        twin: ModuleType = type(self).__new__(type(self))
        memo[id(self)] = twin
        for name, value in vars(self).items():
            if name == "_parent":
                value = memo.get(id(value))
            elif name not in ("input_spec", "output_spec"):  # these cannot change
                value = copy.deepcopy(value, memo)
            object.__setattr__(twin, name, value)
        return twin

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._declared})

    def check_sizes(self) -> None:
        """Raise a GraphError where sizes are still to be taken from the first call; layers that do so override it."""

    # --- names and seeds ---

    def _make(self, name: str, declared: Declared) -> Variable:
        self.check_sizes()
        seed, path = self._seed()
        keys = [module._key for module in reversed(self._chain()[:-1])]
        with ExitStack() as stack:
            if (
                current_call.get() is None
            ):  # asked for outside of any call, it still belongs to the scopes of its modules
                stack.enter_context(apart())
                for module in reversed(self._chain()):
                    stack.enter_context(scope(module._scope() if module._parent else type(module).__name__))
            declared.made = declared.make(".".join([*keys, name]), key_of(seed, ".".join([*path, name])))
        return declared.made

    def _chain(self) -> list[Module]:
        """The module itself, its parent, and so on to the root."""
        chain: list[Module] = [self]
        while (parent := chain[-1]._parent) is not None:
            chain.append(parent)
        return chain

    def _seed(self) -> tuple[int | str, list[str]]:
        """The seed that counts here, and the path from the module that has it."""
        path: list[str] = []
        for module in self._chain():
            seed = module.seed if module.seed is not None else module._default_seed
            if seed is not None:
                return check_seed(seed), path[::-1]
            path.append(module._key)
        if self._parent is None and not any(isinstance(thing, Module) for _, thing in things(self._held())):
            self._number = self._number or f"lone {next(_lone)}"
            return self._number, []
        return 0, path[-2::-1]

    def _scope(self) -> str:
        kind = type(self).__name__
        return f"{self._key}: {kind}" if self._key.rpartition(".")[2].isdigit() else self._key or kind

    # --- what is inside ---

    def _held(self) -> Iterable[tuple[str, Any]]:
        """The attributes that are looked through, but for what is declared."""
        return [(name, value) for name, value in vars(self).items() if not name.startswith("_")]

    def _adopt(self, held: Iterable[tuple[str, Any]]) -> None:
        for name, thing in things(held):
            if isinstance(thing, Declared):
                raise GraphError(
                    f"{type(self).__name__}.{name}: an nn.Parameter is an attribute by itself, not an item of a list or dict",
                    "Lists may hold finished parameters: gn.parameter(name, array).",
                )
            if isinstance(thing, Module) and thing._parent is None and all(thing is not m for m in self._chain()):
                thing._parent, thing._key = self, name

    def _walk(self, every_path: bool = False) -> Iterator[tuple[str, Module]]:
        """All modules with their paths, from outside to inside; each once, or once for every path that leads to it."""
        seen: set[int] = set()
        stack: list[tuple[str, Module, tuple[Module, ...]]] = [("", self, ())]
        while stack:
            path, module, around = stack.pop()
            if any(module is other for other in around):
                raise GraphError(f"the module {path!r} contains itself", "Begin the name of that attribute with _.")
            if id(module) in seen and not every_path:
                continue
            seen.add(id(module))
            yield path, module
            held = list(module._held())
            module._adopt(held)
            inner = [(_join(path, name), each) for name, each in things(held) if isinstance(each, Module)]
            stack.extend((name, each, (*around, module)) for name, each in reversed(inner))

    def named_modules(self, *, remove_duplicate: bool = True) -> dict[str, Module]:
        """All modules by path, this one first under ``""``. What is shared stands under its first path, unless told."""
        return dict(self._walk(not remove_duplicate))

    def _variables(self, every_path: bool) -> dict[str, Variable]:
        found: dict[str, Variable] = {}
        for path, module in self._walk(every_path):
            own = [(name, getattr(module, name)) for name in list(module._declared)]
            own += [(name, thing) for name, thing in things(module._held()) if isinstance(thing, Variable)]
            found.update((_join(path, name), variable) for name, variable in own)
        if every_path:
            return found
        first = {variable: path for path, variable in reversed(found.items())}
        return {path: variable for path, variable in found.items() if first[variable] == path}

    def named_parameters(self, *, remove_duplicate: bool = True) -> dict[str, Variable]:
        """All parameters by path, frozen ones too. A shared one stands under its first path, unless told to list all.

        Raises
        ------
        GraphError
            If some do not exist yet, because a layer takes its input size from its first call.
        """
        found = self._variables(not remove_duplicate)
        return {path: variable for path, variable in found.items() if isinstance(variable.op, ParameterLeaf)}

    def named_states(self, *, remove_duplicate: bool = True) -> dict[str, Variable]:
        """All states by path, such as the random stream of a Dropout."""
        found = self._variables(not remove_duplicate)
        return {path: variable for path, variable in found.items() if not isinstance(variable.op, ParameterLeaf)}

    def parameters(self) -> list[Variable]:
        """All parameters, each once."""
        return list(self.named_parameters().values())

    def states(self) -> list[Variable]:
        """All states, each once."""
        return list(self.named_states().values())

    def freeze(self: ModuleType) -> ModuleType:
        """Keep optimisers from changing its parameters; they stay in the graph. Gives the module itself."""
        for variable in self.parameters():
            variable.trainable = False
        return self

    def unfreeze(self: ModuleType) -> ModuleType:
        """Let optimisers change its parameters again. Gives the module itself."""
        for variable in self.parameters():
            variable.trainable = True
        return self

    def named_parts(self) -> list[tuple[str, Any]]:
        """All modules, and all parameters and states, also those that are declared but not made yet, with their paths."""
        found: list[tuple[str, Any]] = []
        for path, module in self._walk():
            found.append((path, module))
            found += [(_join(path, name), declared) for name, declared in module._declared.items()]
            found += [(_join(path, name), each) for name, each in things(module._held()) if isinstance(each, Variable)]
        return found

    def get_values(self) -> dict[str, Array]:
        """Copies of the values of all parameters and states, by path."""
        return {path: variable.value for path, variable in self._variables(False).items()}

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Set the values of all parameters and states, by path; all or, where anything does not fit, none.

        Raises
        ------
        GraphError
            If a path is missing or unknown.
        ShapeError, DTypeError
            If a value does not fit.
        """
        own = self._variables(False)
        missing, surplus = [p for p in own if p not in values], [p for p in values if p not in own]
        if missing or surplus:
            raise GraphError(
                f"set_values: {'missing ' + listing(missing) if missing else 'unknown ' + listing(surplus)}",
                f"Unknown here: {listing(surplus)}." if missing and surplus else "",
                f"{type(self).__name__} has {listing(own)}.",
            )
        arrays = [own_array(values[path], variable.spec, f"the value of {path!r}") for path, variable in own.items()]
        for variable, array in zip(own.values(), arrays, strict=True):
            variable.value = array

    def float_dtype(self) -> DType:
        """The data type of its first floating-point parameter; float32 where it has none."""
        for _, module in self._walk():
            own = [*module._declared.values(), *(thing for _, thing in things(module._held()))]
            for each in own:
                dtype = getattr(each, "dtype", None)
                if isinstance(dtype, DType) and dtype.is_floating and not isinstance(each, Module):
                    return dtype
        return DEFAULT_FLOAT

    def take_seed(self, seed: int) -> None:
        """Take the seed of a trainer, where the model has neither one of its own nor that of an earlier trainer."""
        if self._default_seed is None:
            self._default_seed = check_seed(seed)

    # --- the graph ---

    def expected_input(self) -> Shape | None:
        """The shape of inputs, batch first, as far as the module itself knows it; None if not."""
        return None

    def to_graph(self, input_shape: Any = None, *, dtype: Any = "float32", training: bool = False) -> Graph:
        """The graph of the module for one input ``x``.

        Parameters
        ----------
        input_shape : the shape of one example, without the batch; where not given, that of the last call, or what the first
            layer says
        dtype : data type of the input
        training : True for the graph to train

        >>> from graphnn import nn
        >>> nn.Sequential(nn.Linear(4, 2), nn.ReLU()).to_graph()
        Graph(6 nodes, 1 inputs, 2 parameters -> relu(…): float32[batch, 2])
        """
        if input_shape is not None:
            shape: Shape | None = (as_size("batch"), *as_shape(input_shape))
        elif isinstance(self.input_spec, Spec):
            shape, dtype = self.input_spec.shape, self.input_spec.dtype
        else:
            shape = self.expected_input()
        if shape is None:
            raise GraphError(
                f"the shape of the inputs of {type(self).__name__} is not known",
                "Give it, without the batch: model.to_graph(input_shape=(28, 28)); or call the model once.",
                at=str(user_source() or ""),
            )
        return Graph(self(placeholder("x", shape, dtype), training=training))

    # --- the printed form ---

    def arguments(self) -> list[str]:
        """The arguments of the call that `repr` shows: the modules inside, by name."""
        return [f"{name}={thing!r}" for name, thing in things(self._held()) if isinstance(thing, Module)]

    def __repr__(self) -> str:
        parts, name = self.arguments(), type(self).__name__
        line = f"{name}({', '.join(parts)})"
        if len(line) <= 80 and "\n" not in line:
            return line
        return "\n".join([f"{name}(", *("  " + f"{part},".replace("\n", "\n  ") for part in parts), ")"])


def check_seed(seed: Any) -> int:
    """A seed: a whole number from 0."""
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or int(seed) < 0:
        raise GraphError(f"a seed is a whole number from 0, not {seed!r}")
    return int(seed)


def things(held: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """The modules, variables and declared variables among named values, also inside lists, tuples and dicts."""
    stack = list(held)[::-1]
    while stack:
        name, value = stack.pop()
        if isinstance(value, (Module, Variable, Declared)):
            yield name, value
        elif isinstance(value, (list, tuple)):
            stack.extend((f"{name}.{i}", value[i]) for i in reversed(range(len(value))))
        elif isinstance(value, dict):
            stack.extend((f"{name}.{key}", inner) for key, inner in reversed(value.items()))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _specs(result: Any) -> Any:
    return tree.map_leaves(lambda leaf: leaf.spec if isinstance(leaf, Node) else None, result)
