"""Memory for what an item of a product packs: too much for the stacks of small threads, too often needed to ask the system.

Pieces are handed from one item to the next through a few slots, each of which holds a piece or nothing and is exchanged
in one step, so threads never wait for each other and a child after fork finds all slots as they should be. Only where the
system has no memory left do threads take turns with one piece that was set aside.
"""

from __future__ import annotations

SLOTS = 16
_ALIGNMENT = 64


def text(size: int) -> str:
    """``ptr @take_room()`` and ``void @give_room(ptr)``: a piece of so many bytes, aligned for vectors."""
    none = ", ".join(["i64 0"] * (SLOTS - 1))
    aside = "i64 ptrtoint (ptr @reserve to i64)"
    return f"""
@reserve = internal global [{size} x i8] zeroinitializer, align {_ALIGNMENT}
@rooms = internal global [{SLOTS} x i64] [{aside}, {none}], align 64
declare ptr @malloc(i64)
declare void @free(ptr)

define internal ptr @take_room() {{
begin:
  br label %look
look:
  %i = phi i64 [{SLOTS - 1}, %begin], [%j, %next], [0, %none]
  %slot = getelementptr i64, ptr @rooms, i64 %i
  %found = atomicrmw xchg ptr %slot, i64 0 acquire
  %is = icmp ne i64 %found, 0
  br i1 %is, label %take, label %next
take:
  %room = inttoptr i64 %found to ptr
  ret ptr %room
next:
  %j = add i64 %i, -1
  %more = icmp sgt i64 %i, 1
  br i1 %more, label %look, label %new
new:
  %got = call ptr @malloc(i64 {size + 2 * _ALIGNMENT})
  %at = ptrtoint ptr %got to i64
  %failed = icmp eq i64 %at, 0
  br i1 %failed, label %none, label %align
none:
  br label %look
align:
  %behind = add i64 %at, {2 * _ALIGNMENT - 1}
  %start = and i64 %behind, -{_ALIGNMENT}
  %aligned = inttoptr i64 %start to ptr
  %before = getelementptr i64, ptr %aligned, i64 -1
  store i64 %at, ptr %before
  ret ptr %aligned
}}

define internal void @give_room(ptr %room) {{
begin:
  %value = ptrtoint ptr %room to i64
  %is = icmp eq ptr %room, @reserve
  br i1 %is, label %back, label %look
back:
  store atomic i64 %value, ptr @rooms release, align 8
  ret void
look:
  %i = phi i64 [{SLOTS - 1}, %begin], [%j, %next]
  %slot = getelementptr i64, ptr @rooms, i64 %i
  %pair = cmpxchg ptr %slot, i64 0, i64 %value release monotonic
  %stored = extractvalue {{i64, i1}} %pair, 1
  br i1 %stored, label %done, label %next
done:
  ret void
next:
  %j = add i64 %i, -1
  %more = icmp sgt i64 %i, 1
  br i1 %more, label %look, label %full
full:
  %before = getelementptr i64, ptr %room, i64 -1
  %own = load i64, ptr %before
  %whole = inttoptr i64 %own to ptr
  call void @free(ptr %whole)
  ret void
}}
"""
