"""The native code of the work-sharing pool: how a job is published, claimed and waited for, on every system.

On a busy machine a helper does harm: one whose core is taken away by another program in the midst of a part keeps the caller
waiting for a time slice of the system, some milliseconds; one that does not get a core in time costs the caller a system
call for each job. Who has met that works alone for a while, twice as long each time it happens again at once. So a job never
takes much longer than on one thread.
"""

from __future__ import annotations

import platform
import time
from string import Template

FUTEX = {"x86_64": 202, "aarch64": 98, "riscv64": 98}
"""The number of the system call on which threads sleep, where Linux has it."""

_ALONE = {
    "shortest": 5_000_000,  # nanoseconds for which jobs are done alone, at the least and at the most
    "longest": 200_000_000,
    "soon": 20_000_000,  # after which trouble is no longer the same
    "patience": 100_000,  # for which a caller waits in any case
    "often": 8,  # jobs for which helpers were woken and came too late; where that has happened before, `again` count
    "again": 4,
}
"""When a caller works alone."""

# Words that different threads write lie in different cache lines.
_STATE = """
@generation = internal global i32 0, align 128
@next = internal global i64 0, align 128
@done = internal global i64 0, align 128
@function = internal global ptr null, align 128
@data = internal global ptr null
@total = internal global i64 0
@sleepers = internal global i32 0, align 128
@stopping = internal global i32 0
@busy = internal global i32 0, align 128
@ready = internal global i32 0
@helpers = internal global i64 0
@start = internal global ptr null
; Nanoseconds: until when jobs are done alone, and how long that lasts. How many jobs in a row helpers were too late for.
@until = internal global i64 0, align 128
@hold = internal global i64 0
@late = internal global i64 0
"""

_COMMON = """
declare i64 @llvm.smin.i64(i64, i64)

; How many parts it has done.
define internal i64 @work(i32 %mine, ptr %function, ptr %data, i64 %total) {
entry:
  br label %look
look:
  %parts = phi i64 [0, %entry], [%parts, %claim], [%further, %run]
  %word = load atomic i64, ptr @next seq_cst, align 8
  %high = lshr i64 %word, 32
  %of = trunc i64 %high to i32
  %same = icmp eq i32 %of, %mine
  br i1 %same, label %open, label %out
open:
  %index = and i64 %word, 4294967295
  %left = icmp ult i64 %index, %total
  br i1 %left, label %claim, label %out
claim:
  %after = add i64 %word, 1
  %pair = cmpxchg ptr @next, i64 %word, i64 %after seq_cst seq_cst
  %mine2 = extractvalue {i64, i1} %pair, 1
  br i1 %mine2, label %run, label %look
run:
  call void %function(ptr %data, i64 %index)
  %before = atomicrmw add ptr @done, i64 1 seq_cst
  %further = add i64 %parts, 1
  br label %look
out:
  ret i64 %parts
}

; Helpers do harm at present: work alone for a while.
define internal void @part(i64 %now) {
  %ended = load atomic i64, ptr @until monotonic, align 8
  %last = load i64, ptr @hold
  %since = sub i64 %now, %ended
  %soon = icmp slt i64 %since, $soon
  %twice = shl i64 %last, 1
  %most = call i64 @llvm.smin.i64(i64 %twice, i64 $longest)
  %hold = select i1 %soon, i64 %most, i64 $shortest
  store i64 %hold, ptr @hold
  %after = add i64 %now, %hold
  store atomic i64 %after, ptr @until monotonic, align 8
  ret void
}

define void @graphnn_parallel(ptr %function, ptr %data, i64 %count) {
entry:
  %few = icmp slt i64 %count, 2
  %many = icmp sgt i64 %count, 4294967000
  %odd = or i1 %few, %many
  br i1 %odd, label %alone, label %check
check:
  %is = load atomic i32, ptr @ready acquire, align 4
  %begun = icmp ne i32 %is, 0
  br i1 %begun, label %count_helpers, label %begin
begin:
  %starter = load ptr, ptr @start
  call void %starter()
  br label %count_helpers
count_helpers:
  %who = load atomic i64, ptr @helpers acquire, align 8
  %nobody = icmp eq i64 %who, 0
  br i1 %nobody, label %alone, label %ask
ask:
  %started = call i64 @now()
  %until = load atomic i64, ptr @until monotonic, align 8
  %early = icmp slt i64 %started, %until
  br i1 %early, label %alone, label %take
take:
  %pair = cmpxchg ptr @busy, i32 0, i32 1 seq_cst seq_cst
  %taken = extractvalue {i32, i1} %pair, 1
  br i1 %taken, label %publish, label %alone
publish:
  %old = load atomic i32, ptr @generation monotonic, align 4
  %mine = add i32 %old, 1
  %wide = zext i32 %mine to i64
  %high = shl i64 %wide, 32
  ; First nothing can be claimed: a helper that is still on its way must not mix the old job with the new one.
  %closed = or i64 %high, 4294967295
  store atomic i64 %closed, ptr @next seq_cst, align 8
  store atomic ptr %function, ptr @function seq_cst, align 8
  store atomic ptr %data, ptr @data seq_cst, align 8
  store atomic i64 %count, ptr @total seq_cst, align 8
  store atomic i64 0, ptr @done seq_cst, align 8
  store atomic i64 %high, ptr @next seq_cst, align 8
  store atomic i32 %mine, ptr @generation seq_cst, align 4
  %asleep = load atomic i32, ptr @sleepers seq_cst, align 4
  %call = icmp ne i32 %asleep, 0
  br i1 %call, label %wake, label %share
wake:
  %others = add i64 %count, -1
  call void @wake(i64 %others)
  br label %share
share:
  %woken = phi i1 [false, %publish], [true, %wake]
  %own = call i64 @work(i32 %mine, ptr %function, ptr %data, i64 %count)
  %nothing = icmp eq i64 %own, %count
  %vain = and i1 %woken, %nothing
  br i1 %vain, label %missed, label %met
met:
  store i64 0, ptr @late
  br label %wait
missed:
  %before = load i64, ptr @late
  %times = add i64 %before, 1
  store i64 %times, ptr @late
  %often = icmp sge i64 %times, $often
  br i1 %often, label %part, label %wait
part:
  store i64 $again, ptr @late
  %noticed = call i64 @now()
  call void @part(i64 %noticed)
  br label %wait
wait:
  %round = phi i64 [0, %met], [0, %missed], [0, %part], [%following, %breathe]
  %finished = load atomic i64, ptr @done acquire, align 8
  %all = icmp eq i64 %finished, %count
  br i1 %all, label %leave, label %idle
idle:
  %following = add i64 %round, 1
  %long = icmp sgt i64 %round, 1000
  br i1 %long, label %tired, label %breathe
breathe:
  call void @pause()
  br label %wait
tired:
  %began = call i64 @now()
  br label %yield
yield:
  call void @yield()
  %finished2 = load atomic i64, ptr @done acquire, align 8
  %all2 = icmp eq i64 %finished2, %count
  br i1 %all2, label %judge, label %yield
judge:
  ; A part takes a helper about as long as it took here; much longer is the system's doing.
  %ended = call i64 @now()
  %waited = sub i64 %ended, %began
  %worked = sub i64 %began, %started
  %thrice = mul i64 %worked, 3
  %tolerated = mul i64 %waited, %own
  %spare = mul i64 %own, $patience
  %fair = add i64 %thrice, %spare
  %unfair = icmp sgt i64 %tolerated, %fair
  br i1 %unfair, label %note, label %leave
note:
  call void @part(i64 %ended)
  br label %leave
leave:
  store atomic i32 0, ptr @busy release, align 4
  ret void
alone:
  %some = icmp sgt i64 %count, 0
  br i1 %some, label %one, label %out
one:
  %i = phi i64 [0, %alone], [%j, %one]
  call void %function(ptr %data, i64 %i)
  %j = add i64 %i, 1
  %go = icmp slt i64 %j, %count
  br i1 %go, label %one, label %out
out:
  ret void
}

define void @graphnn_pool_help(i64 %spin) {
entry:
  %first = load atomic i32, ptr @generation seq_cst, align 4
  br label %look
look:
  %last = phi i32 [%first, %entry], [%last, %breathe], [%last, %slept], [%now, %join], [%now, %read]
  %round = phi i64 [0, %entry], [%more, %breathe], [0, %slept], [0, %join], [0, %read]
  %stop = load atomic i32, ptr @stopping seq_cst, align 4
  %leave = icmp ne i32 %stop, 0
  br i1 %leave, label %out, label %see
see:
  %now = load atomic i32, ptr @generation seq_cst, align 4
  %new = icmp ne i32 %now, %last
  br i1 %new, label %read, label %idle
idle:
  %more = add i64 %round, 1
  %tired = icmp sgt i64 %more, %spin
  br i1 %tired, label %sleep, label %breathe
breathe:
  call void @pause()
  br label %look
sleep:
  %before = atomicrmw add ptr @sleepers, i32 1 seq_cst
  call void @sleep(i32 %last)
  br label %slept
slept:
  %after = atomicrmw sub ptr @sleepers, i32 1 seq_cst
  br label %look
read:
  %function = load atomic ptr, ptr @function seq_cst, align 8
  %data = load atomic ptr, ptr @data seq_cst, align 8
  %total = load atomic i64, ptr @total seq_cst, align 8
  %still = load atomic i32, ptr @generation seq_cst, align 4
  %same = icmp eq i32 %still, %now
  br i1 %same, label %join, label %look
join:
  %parts = call i64 @work(i32 %now, ptr %function, ptr %data, i64 %total)
  br label %look
out:
  ret void
}

define void @graphnn_pool_prepare(ptr %start) {
  store ptr %start, ptr @start
  store atomic i32 0, ptr @stopping seq_cst, align 4
  store atomic i32 0, ptr @sleepers seq_cst, align 4
  store atomic i64 0, ptr @helpers seq_cst, align 8
  store atomic i64 0, ptr @until seq_cst, align 8
  call void @prepare()
  store atomic i32 0, ptr @busy seq_cst, align 4
  store atomic i32 0, ptr @ready seq_cst, align 4
  ret void
}

define void @graphnn_pool_announce(i64 %count) {
  store atomic i64 %count, ptr @helpers seq_cst, align 8
  store atomic i32 1, ptr @ready seq_cst, align 4
  ret void
}

define void @graphnn_pool_reopen() {
  store atomic i32 0, ptr @stopping seq_cst, align 4
  store atomic i64 0, ptr @helpers seq_cst, align 8
  store atomic i32 0, ptr @ready seq_cst, align 4
  ret void
}

define void @graphnn_pool_stop() {
  store atomic i32 1, ptr @stopping seq_cst, align 4
  %old = atomicrmw add ptr @generation, i32 1 seq_cst
  call void @wake(i64 1000000)
  ret void
}

define void @graphnn_pool_pause(i64 %count) {
entry:
  br label %one
one:
  %i = phi i64 [0, %entry], [%j, %one]
  call void @pause()
  %j = add i64 %i, 1
  %go = icmp slt i64 %j, %count
  br i1 %go, label %one, label %out
out:
  ret void
}
"""

_CLOCK = """
declare i32 @clock_gettime(i32, ptr)
define internal i64 @now() {{
  %time = alloca [2 x i64]
  %r = call i32 @clock_gettime(i32 {monotonic}, ptr %time)
  %seconds = load i64, ptr %time
  %second = getelementptr i64, ptr %time, i64 1
  %rest = load i64, ptr %second
  %whole = mul i64 %seconds, 1000000000
  %all = add i64 %whole, %rest
  ret i64 %all
}}
"""

_WAYS = {
    "futex": _CLOCK
    + """
declare i64 @syscall(i64, ...)
declare i32 @sched_yield()
define internal void @sleep(i32 %last) {{
  %r = call i64 (i64, ...) @syscall(i64 {futex}, ptr @generation, i32 128, i32 %last, ptr null, ptr null, i32 0)
  ret void
}}
define internal void @wake(i64 %count) {{
  %most = call i64 @llvm.smin.i64(i64 %count, i64 1000000)
  %n = trunc i64 %most to i32
  %r = call i64 (i64, ...) @syscall(i64 {futex}, ptr @generation, i32 129, i32 %n, ptr null, ptr null, i32 0)
  ret void
}}
define internal void @yield() {{
  %r = call i32 @sched_yield()
  ret void
}}
define internal void @prepare() {{
  ret void
}}
""",
    "posix": _CLOCK
    + """
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @sched_yield()
@mutex = internal global [256 x i8] zeroinitializer, align 128
@condition = internal global [256 x i8] zeroinitializer, align 128
define internal void @sleep(i32 %last) {{
entry:
  %r = call i32 @pthread_mutex_lock(ptr @mutex)
  br label %look
look:
  %now = load atomic i32, ptr @generation seq_cst, align 4
  %same = icmp eq i32 %now, %last
  br i1 %same, label %wait, label %out
wait:
  %w = call i32 @pthread_cond_wait(ptr @condition, ptr @mutex)
  br label %look
out:
  %u = call i32 @pthread_mutex_unlock(ptr @mutex)
  ret void
}}
define internal void @wake(i64 %count) {{
  %r = call i32 @pthread_mutex_lock(ptr @mutex)
  %b = call i32 @pthread_cond_broadcast(ptr @condition)
  %u = call i32 @pthread_mutex_unlock(ptr @mutex)
  ret void
}}
define internal void @yield() {{
  %r = call i32 @sched_yield()
  ret void
}}
define internal void @prepare() {{
  %m = call i32 @pthread_mutex_init(ptr @mutex, ptr null)
  %c = call i32 @pthread_cond_init(ptr @condition, ptr null)
  ret void
}}
""",
    "windows": """
declare i32 @WaitOnAddress(ptr, ptr, i64, i32)
declare void @WakeByAddressAll(ptr)
declare i32 @SwitchToThread()
declare i32 @QueryPerformanceCounter(ptr)
define internal i64 @now() {{
  %place = alloca i64
  %r = call i32 @QueryPerformanceCounter(ptr %place)
  %count = load i64, ptr %place
  %all = mul i64 %count, 100 ; it counts ten million in a second
  ret i64 %all
}}
define internal void @sleep(i32 %last) {{
  %old = alloca i32
  store i32 %last, ptr %old
  %r = call i32 @WaitOnAddress(ptr @generation, ptr %old, i64 4, i32 -1)
  ret void
}}
define internal void @wake(i64 %count) {{
  call void @WakeByAddressAll(ptr @generation)
  ret void
}}
define internal void @yield() {{
  %r = call i32 @SwitchToThread()
  ret void
}}
define internal void @prepare() {{
  ret void
}}
""",
}


def runtime_text(way: str) -> str:
    """The runtime as LLVM IR; threads sleep by ``"futex"``, ``"posix"`` or ``"windows"``."""
    machine = platform.machine().lower()
    hint = ""
    if machine in ("x86_64", "amd64"):
        hint = (
            "declare void @llvm.x86.sse2.pause()\ndefine internal void @pause() {\n  call void @llvm.x86.sse2.pause()\n"
        )
    elif machine in ("aarch64", "arm64"):
        hint = "declare void @llvm.aarch64.hint(i32)\ndefine internal void @pause() {\n  call void @llvm.aarch64.hint(i32 1)\n"
    else:
        hint = "define internal void @pause() {\n  fence seq_cst\n"
    clock = getattr(time, "CLOCK_MONOTONIC", 0)
    ways = _WAYS[way].format(futex=FUTEX.get(platform.machine(), 0), monotonic=clock)
    return "\n".join([_STATE, ways, hint + "  ret void\n}", Template(_COMMON).substitute(_ALONE)])
