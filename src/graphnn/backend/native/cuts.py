"""How a product is cut: which tile suits its shape, how deep a block is, what an item is, how many items a thread takes."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Hashable
from typing import NamedTuple, TypeAlias

from graphnn.backend.native import driver, pool
from graphnn.backend.native.emit import BYTES, Builder, Module, Value


class Spot(NamedTuple):
    """Where a vector of finished elements of a product is.

    Parameters
    ----------
    row, column : of its first element; rows of all axes are counted through
    line : elements in the rows before
    active : how many of its elements are inside the matrix
    batch : the indices of the batch
    """

    row: Value
    line: Value
    column: Value
    active: int
    batch: tuple[Value, ...] = ()


Emit: TypeAlias = Callable[[Builder, Value, Spot, list[str]], Value]
"""``emit(builder, value, spot, pointers)`` gives what is stored."""

_DEPTH = 512  # of a packed panel: it stays in the nearest caches
_DOT_ROWS = 4  # of the left operand for which columns are not packed
FEW = 4
"""As many tiles read their right operand where it is."""
_ROWS_BYTES = 384 * 1024  # of the left operand in an item
_NEAR_BYTES = 48 * 1024  # of the panel of a tile of usual width; wider ones are for matrices that come from far away
_NEAR_DEPTH = 256  # of both operands if the left one is packed, too: one panel of each fits into the nearest cache
_PACK_A, _PACK_B = (
    0.4,
    0.8,
)  # packing takes so much of the time of a tile, for each tile of the left and of the right operand
_ALONE = 300_000  # multiplications and additions that are not worth a second thread
_CHUNK = 600_000  # what a thread takes at once


class Epilogue(NamedTuple):
    """What happens to the elements of a product before they are stored; see the package's text.

    `light` tells that it takes a few instructions.
    """

    key: Hashable
    pointers: int
    emit: Emit
    light: bool = False


class Product(NamedTuple):
    """``c[i, j] = sum over l of a[i, l] * b[l, j]``, with strides in elements (row, column), for each entry of a batch.

    Parameters
    ----------
    kind : ``"float"`` or ``"double"``
    m, n, k : sizes
    a, b, c : strides of the operands and of the result
    batch : (count, stride of a, of b, of c), the outermost first
    epilogue : None, or what is done before storing
    rows : further axes of rows, (count, stride of a, of c), the outermost first; `m` counts the innermost
    depth : further axes that are summed over, (count, stride of a, of b), the outermost first; `k` is the innermost
    """

    kind: str
    m: int
    n: int
    k: int
    a: tuple[int, int]
    b: tuple[int, int]
    c: tuple[int, int]
    batch: tuple[tuple[int, int, int, int], ...] = ()
    epilogue: Epilogue | None = None
    rows: tuple[tuple[int, int, int], ...] = ()
    depth: tuple[tuple[int, int, int], ...] = ()

    @property
    def work(self) -> int:
        """Multiplications and additions."""
        outer = math.prod(each[0] for each in (*self.batch, *self.rows, *self.depth))
        return 2 * outer * self.m * self.n * self.k

    @property
    def key(self) -> Hashable:
        """All that changes the code."""
        ride = self.epilogue and (self.epilogue.key, self.epilogue.pointers)
        return ("product", *self._replace(epilogue=None), ride)


class Shape(NamedTuple):
    """The tile of a product: rows and vectors."""

    rows: int
    vectors: int


@functools.cache
def choose(lanes: int, registers: int, fma: bool, m: int, n: int, k: int, times: int = 1, widest: int = 8) -> Shape:
    """The tile that needs the fewest cycles for a product of this shape, computed so many times.

    A step of a tile takes as long as its multiplications, or its loads, or the latency of its chain if it is small, and a
    little for what comes from farther caches; to begin and end a tile takes some time for each vector of it. A tile has
    eight rows at most, and `widest` vectors.
    """

    def cycles(rows: int, vectors: int) -> float:
        step = max(rows * vectors, 1.02 * (rows + vectors), 8 if registers > 16 else 10) + 0.1 * vectors + 0.05 * rows
        return k * step + 2 * rows * vectors + 25

    best, found = math.inf, Shape(1, 1)
    wide = -(-n // lanes)
    for vectors in range(1, min(wide, widest) + 1):
        for rows in range(1, min(m, 8) + 1):
            # One register for an element of a; without fused operations one more for the product.
            if rows * vectors + vectors + 1 + (not fma) > min(registers, 31):
                break
            total = -(-m // rows) * (wide // vectors) * cycles(rows, vectors)
            if wide % vectors:
                total += -(-m // rows) * cycles(rows, wide % vectors)
            # Every other size is a further function to compile: not for little work. Much of it is worth a wider tile,
            # which reads a less often.
            usual, work = rows == (8 if registers > 16 else 6), m * n * k * times
            if vectors > (1 if work < 20_000 else 2 if usual and work < 100_000_000 else 8):
                continue
            total *= 1 + 0.02 * (not usual) + (-0.01 if usual and vectors > 2 else 0.01 * (wide % vectors != 0))
            if total < best * 0.999:
                best, found = total, Shape(rows, vectors)
    return found


def _cuts(count: int) -> list[int]:
    """Sizes of equal parts of so many, the smallest first, in steps of about a fifth."""
    found: list[int] = []
    part = count
    while part:
        found.append(part)
        part = min(part - 1, -(-count // -(-count * 6 // (5 * part))))
    return found[::-1]


class Plan:
    """How a product is cut into items and blocks; see ``driver.WORDS``."""

    def __init__(self, module: Module, product: Product) -> None:
        p = self.p = product
        self.size, self.lanes = BYTES[p.kind], module.lanes(p.kind)
        self.outer = math.prod(each[0] for each in p.rows)
        depth = math.prod(each[0] for each in p.depth) * p.k
        times = self.outer * math.prod(each[0] for each in p.batch)
        far = p.a[0] == 1 and abs(p.a[1]) * self.size >= 64
        widest = 8 if not far else 3 if p.n > 3 * self.lanes else 2  # rows are packed for two panels or more
        self.shape = choose(self.lanes, module.registers, module.fma, p.m, p.n, depth, times, widest)
        # Few rows do not pay for packing what has its depth in neighbours.
        self.dots = (
            p.m <= _DOT_ROWS and p.a[1] == p.b[0] == 1 != p.b[1] and p.k >= 2 * self.lanes and not (p.rows or p.depth)
        )
        if self.dots:
            self.shape = Shape(p.m, 1)
        self.width = self.shape.vectors * self.lanes
        self.full, self.edge = divmod(p.n, self.width)
        self.panels = self.full + (self.edge > 0)
        # Rows that lie far apart along the depth would meet in a few places of the cache, each time they are read.
        self.packs_rows = far and self.panels >= 2 and p.m >= 2 * self.shape.rows and depth >= 64
        self._depth()
        self._rows()
        self._items()

    def _depth(self) -> None:
        """Blocks of the depth: `loops` run outside, and inside them `blocks` blocks of `block` runs, or of steps of the run."""
        p = self.p
        limit = _NEAR_DEPTH if self.packs_rows else _DEPTH
        if self.shape.vectors <= 2:
            limit = min(limit, _NEAR_BYTES // (self.width * self.size))
        limit = min(limit, driver.PANEL_BYTES // (self.width * self.size))
        few = -(-p.m // self.shape.rows) * self.outer <= FEW
        if p.b[1] == 1 and not self.edge and few and not self.packs_rows:
            limit = 1 << 40  # nothing is packed
        if p.depth and p.k <= limit:
            count, a, b = p.depth[-1]
            self.loops, self.by_runs = p.depth[:-1], True
            self.total, self.block_a, self.block_b = count, a, b
            most = max(1, limit // p.k)
        else:
            self.loops, self.by_runs = p.depth, False
            self.total, self.block_a, self.block_b = p.k, p.a[1], p.b[0]
            most = limit
        self.blocks = -(-self.total // most)
        self.block = -(-self.total // self.blocks)
        if self.blocks > 1 and not self.by_runs:
            self.block = -(-self.block // 4) * 4
            self.blocks = -(-self.total // self.block)
        self.last = self.total - (self.blocks - 1) * self.block
        self.steps = self.block * (p.k if self.by_runs else 1)
        self.passes = math.prod(each[0] for each in self.loops)
        self.once = self.blocks * self.passes == 1

    def _rows(self) -> None:
        """Units of rows are tiles; an item does some of them, as many as give every thread something to do."""
        p, rows = self.p, self.shape.rows
        self.per_outer = -(-p.m // rows)
        self.units = self.per_outer * self.outer
        self.batches = math.prod(each[0] for each in p.batch)
        self.group, self.groups = 1, self.panels
        if self.packs_rows:
            self._groups()
            return
        most = self.units if self.once else driver.STRIP_BYTES // (rows * self.width * self.size)
        if self.panels > 1:  # the next panel finds these rows of a in the cache; fewer would pack too often
            most = min(most, max(256, _ROWS_BYTES // (p.k * self.size)) // rows)
        wanted = 1
        if p.work > _ALONE:  # every block of rows packs the panels anew: no more than keep the threads busy
            threads = pool.num_threads()
            shares = 2 * threads if threads > 1 else 1
            wanted = min(-(-shares // (self.panels * self.batches)), p.work // _CHUNK, self.units * rows // 32)
        self.row_blocks = max(-(-self.units // most), wanted, 1)
        self.row_units = -(-self.units // self.row_blocks)
        self.row_blocks = -(-self.units // self.row_units)

    def _groups(self) -> None:
        """Items of several panels, which read what an item has packed of the left operand."""
        p, rows = self.p, self.shape.rows
        self.a_unit = self.steps * rows * self.size + 64  # one line more: tiles begin in different places of the cache
        most = driver.ROWS_BYTES // self.a_unit
        room = math.inf if self.once else driver.STRIP_BYTES // (rows * self.width * self.size)  # where the sums wait
        threads = pool.num_threads() if p.work > _ALONE else 1
        best, whole = math.inf, self.units * self.panels * self.batches
        for units, panels in itertools.product(_cuts(self.units), _cuts(self.panels)):
            if units <= most and units * panels <= room:
                items = -(-self.units // units) * -(-self.panels // panels) * self.batches
                # What packing takes beside the work; then, threads that wait for the last ones. The last item may be small.
                most_done = min(1.0, -(-items // threads) * units * panels / whole)
                time = (1 + _PACK_A / panels + _PACK_B / units) * most_done * threads
                time += 0.3 * (threads - 1) / items
                if time < best * 0.9999:
                    best, self.group, self.row_units = time, panels, units
        self.groups = -(-self.panels // self.group)
        self.row_blocks = -(-self.units // self.row_units)

    def _items(self) -> None:
        self.items = self.groups * self.row_blocks * self.batches
        # The result of a large product is in no near cache; what is asked for now is there when the tile is done.
        outcome = self.p.m * self.p.n * self.outer * self.batches * self.size
        self.touches = outcome > 64 * 1024 and self.p.c[1] == 1 and self.p.k >= 32
        self.together = max(1, _CHUNK * self.items // max(1, self.p.work))
        self.chunks = -(-self.items // self.together) if self.p.work > _ALONE else 1
