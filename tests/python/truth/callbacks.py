# SPDX-License-Identifier: Apache-2.0
"""Allocation points in Python functions that C code calls."""

import ctypes
import functools
import gc
import heapq
import itertools
import json
import operator
import re
import signal
import sys
import tempfile
import weakref

from marks import Missing, at, keep, point


@point
def sort_keys():
    def key(value):
        keep(bytearray(at()))
        return -value
    keep(sorted([3, 1, 2], key=key))
    values = [2, 1]
    values.sort(key=lambda value: (bytearray(at()), value))
    keep(max([1, 2], key=lambda value: len(bytearray(at()))))
    keep(sorted([2, 1], key=functools.cmp_to_key(lambda a, b: len(bytearray(at())))))


@point
def comparisons_while_sorting():
    class Ordered:
        def __lt__(self, other):
            return bool(bytearray(at()))
    keep(sorted([Ordered(), Ordered()]))
    keep(heapq.heapify([Ordered(), Ordered()]))


@point
def maps_and_filters():
    def apply(value):
        return bytearray(at())
    keep(list(map(apply, [1, 2])))
    keep(list(filter(lambda value: bytearray(at()), [1, 2])))
    keep(functools.reduce(lambda a, b: bytearray(at()), [1, 2, 3]))
    keep(list(zip(map(apply, [1]), map(apply, [1]))))


@point
def iteration_tools():
    def apply(*values):
        return bytearray(at())
    keep(list(itertools.accumulate([1, 2, 3], apply)))
    keep(list(itertools.starmap(apply, [(1, 2)])))
    keep([key for key, _ in itertools.groupby([1], apply)])
    calls = iter(functools.partial(lambda: bytearray(at())), None)
    keep(next(calls))


@point
def operator_calls():
    class Owner:
        def method(self):
            return bytearray(at())
    keep(operator.methodcaller("method")(Owner()))
    keep(list(map(operator.methodcaller("method"), [Owner()])))


@point
def regular_expressions():
    def replace(match):
        keep(bytearray(at()))
        return match.group()
    keep(re.sub("[ab]", replace, "abc"))


@point
def json_hooks():
    keep(json.dumps({"key": {1, 2}}, default=lambda value: [bytearray(at())] and 1))
    keep(json.dumps([{1}], indent=1, default=lambda value: len(bytearray(at()))))
    keep(json.loads('{"a": 1.5}', object_hook=lambda value: bytearray(at()),
                    parse_float=lambda text: bytearray(at())))


@point
def database_functions():
    try:
        import sqlite3
    except ImportError as error:
        raise Missing(str(error))
    connection = sqlite3.connect(":memory:")

    def function(value):
        keep(bytearray(at()))
        return value
    connection.create_function("function", 1, function)
    connection.create_collation("backwards", lambda a, b: len(bytearray(at())) and (a < b) - (a > b))
    keep(connection.execute("select function(1) union select function(2)").fetchall())
    keep(connection.execute("select 'a' as name union all select 'b' order by name collate backwards").fetchall())
    connection.close()


@point
def foreign_functions():
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))

    @kind
    def compare(one, two):
        keep(bytearray(at()))
        return one[0] - two[0]
    values = (ctypes.c_int * 2)(2, 1)
    ctypes.CDLL(None).qsort(values, ctypes.c_size_t(2), ctypes.c_size_t(4), compare)

    @ctypes.CFUNCTYPE(None)
    def nested():
        ctypes.CFUNCTYPE(None)(lambda: keep(bytearray(at())))()
    nested()


@point
def allocated_by_foreign_code():
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    keep(libc.malloc(operator.index(at())))


@point
def weak_references():
    class Target:
        pass

    def gone(reference):
        keep(bytearray(at()))
    target = Target()
    keep(weakref.ref(target, gone))
    keep(weakref.finalize(target, lambda: keep(bytearray(at()))))
    del target


@point
def collector():
    class Cycle:
        def __init__(self):
            self.own = self

        def __del__(self):
            keep(bytearray(at()))

    def watch(phase, info):
        keep(bytearray(at()))
    gc.collect()
    Cycle()
    gc.callbacks.append(watch)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(watch)


@point
def signal_handlers():
    def handler(number, frame):
        keep(bytearray(at()))
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        signal.raise_signal(signal.SIGUSR1)
        for _ in range(100):
            pass
    finally:
        signal.signal(signal.SIGUSR1, before)


@point
def tracing():
    def tracer(frame, event, argument):
        if event == "call" and frame.f_code.co_name == "traced":
            keep(bytearray(at()))
        return tracer

    def traced():
        keep(bytearray(at()))
        keep([bytearray(at()) for _ in range(2)])
        return bytearray(at())
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        keep(traced())
    finally:
        sys.settrace(before)
    keep(bytearray(at()))


@point
def profiling():
    def profiler(frame, event, argument):
        if event in ("call", "c_call") and frame.f_code.co_name == "profiled":
            keep(bytearray(at()))

    def profiled():
        keep(bytearray(at()))
    sys.setprofile(profiler)
    try:
        profiled()
    finally:
        sys.setprofile(None)


@point
def monitoring():
    if not hasattr(sys, "monitoring"):
        raise Missing("no sys.monitoring before 3.12")
    monitor = sys.monitoring

    def started(code, offset):
        if code.co_name == "monitored":
            keep(bytearray(at()))

    def monitored():
        keep(bytearray(at()))
    tool = 4
    monitor.use_tool_id(tool, "truth")
    monitor.register_callback(tool, monitor.events.PY_START, started)
    monitor.register_callback(tool, monitor.events.LINE, lambda code, line: None)
    monitor.set_events(tool, monitor.events.PY_START | monitor.events.LINE)
    try:
        monitored()
    finally:
        monitor.set_events(tool, 0)
        monitor.free_tool_id(tool)


@point
def hooks():
    class Hooked:
        def __del__(self):
            raise ValueError("nobody catches it")
    before = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: keep(bytearray(at()))
    try:
        Hooked()
    finally:
        sys.unraisablehook = before
    before = sys.displayhook
    sys.displayhook = lambda value: keep(bytearray(at()))
    try:
        exec(compile("1 + 1", "<display>", "single"))
    finally:
        sys.displayhook = before


@point
def files_of_python():
    class Opened:
        def write(self, text):
            keep(bytearray(at()))
            return len(text)
    print("text", file=Opened(), end="")
    with tempfile.TemporaryFile() as file:
        class Buffer(bytearray):
            def __len__(self):
                return len(bytearray(at()))
        keep(len(Buffer()))
        file.write(b"text")


@point
def imports():
    """Through the frozen import machinery."""
    import imported
    keep(imported)


@point
def import_hooks():
    class Finder:
        def find_spec(self, name, path=None, target=None):
            if name == "no_such_module":
                keep(bytearray(at()))
    sys.meta_path.insert(0, Finder())
    try:
        import no_such_module  # noqa: F401
    except ImportError:
        keep(bytearray(at()))
    finally:
        del sys.meta_path[0]
