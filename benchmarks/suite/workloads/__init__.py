"""A file for each family of workloads: its data, and the model as a graph of graphnn."""

from types import ModuleType

from . import call, chain, cnn, lstm, mlp, scalar, softmax, transformer

FAMILIES: dict[str, ModuleType] = {
    **dict.fromkeys(mlp.SIZES, mlp),
    "cnn": cnn,
    "lstm": lstm,
    "transformer": transformer,
    "chain": chain,
    "softmax": softmax,
    "scalar": scalar,
    "call": call,
}


def family(name: str) -> str:
    """The family of a workload: "mlp" for "tiny"."""
    return FAMILIES[name].__name__.rpartition(".")[2]
