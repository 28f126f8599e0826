"""The native backend: a graph becomes one LLVM module, a call one jump into it. See ``docs/native.md``.

How its parts meet:

``emit.Module``, ``emit.Builder``
    LLVM IR as text. ``module.once(key, make)`` emits a function once for each key and gives its name, so that equal
    kernels are shared: put everything into the key that changes the text. ``module.vector_bytes``, ``module.registers``
    and ``module.fma`` describe the target.

``products.emit_product(module, product) -> str``
    Emits, or reuses, the function for a `products.Product` and gives its name without the at sign. Its head is
    ``void @name(ptr %a, ptr %b, ptr %c, ptr %scratch, ptr %e0, ptr %e1, ...)``: the first elements of the three
    matrices, `products.scratch_bytes(module, product)` bytes of memory aligned to 64, and a pointer for each operand
    of the epilogue. A `Product` holds

    - ``kind``: ``"float"`` or ``"double"``; ``m, n, k``; ``c[i, j] = sum over l of a[i, l] * b[l, j]``
    - ``a, b, c``: pairs (row stride, column stride) in elements; any strides must work, also 0 and negative ones,
      and be fast where one of the two is 1
    - ``batch``: a tuple of (count, stride of a, stride of b, stride of c), the outermost first, empty for one product
    - ``epilogue``: None or an `products.Epilogue` ``(key, pointers, emit, light)``: ``key`` is hashable and tells
      epilogues apart, ``pointers`` is the number of further pointers, and ``emit(builder, value, spot, pointers) -> Value``
      is called for each vector of finished elements of c before it is stored: `value` holds ``value.lanes`` neighbours of
      one row, and the `products.Spot` tells where they are. What it gives is stored in c; it may load and store by itself
      (``Builder.load(..., spot.active)`` and ``store`` mask the end).

    m, n, k may be 1 or 0 (k = 0: c is filled with zeros, then the epilogue runs); the order of summation depends on
    the product alone, never on the number of threads.

``pool``
    The work-sharing pool. ``pool.declare(module)`` declares ``void @graphnn_parallel(ptr %function, ptr %data, i64
    %count)``, which runs ``void function(ptr %data, i64 %index)`` for every index, on the caller and on whoever helps;
    calls inside such a function run on the caller alone. ``pool.register()`` compiles the runtime at the first time and
    makes the symbol known by ``llvmlite.binding.add_symbol``; the driver calls it before code that declares it is
    linked. It must stay usable in a forked child. ``pool.num_threads()`` is how many take part.
"""
