# SPDX-License-Identifier: Apache-2.0
"""Allocation points in coroutines, threads, contexts and interpreters beside the main one."""

import asyncio
import concurrent.futures
import contextlib
import contextvars
import ctypes
import json
import os
import tempfile
import threading

from marks import Missing, TRUTH, at, keep, point

try:
    import greenlet
except ImportError:
    greenlet = None


@point
def coroutine_by_hand():
    class Awaitable:
        def __await__(self):
            keep(bytearray(at()))
            yield bytearray(at())
            return bytearray(at())

    async def inner():
        return await Awaitable()

    async def outer():
        keep(await inner())
    running = outer()
    keep(running.send(None))
    try:
        running.send(None)
    except StopIteration:
        keep(bytearray(at()))


@point
def event_loop():
    async def leaf():
        await asyncio.sleep(0)
        return bytearray(at())

    async def main():
        keep(bytearray(at()))
        keep(await leaf())
        keep(await asyncio.gather(leaf(), asyncio.ensure_future(leaf())))
        asyncio.get_running_loop().call_soon(lambda: keep(bytearray(at())))
        await asyncio.sleep(0)
    asyncio.run(main())


@point
def asynchronous_generators():
    async def generate():
        try:
            for _ in range(2):
                yield bytearray(at())
                await asyncio.sleep(0)
        finally:
            keep(bytearray(at()))

    async def main():
        async for block in generate():
            keep((block, bytearray(at())))
        keep([block async for block in generate()])
        keep([bytearray(at()) for block in [1] if await asyncio.sleep(0) is None])
        async for block in generate():
            keep(block)
            break
    asyncio.run(main())


@point
def asynchronous_context_managers():
    class Manager:
        async def __aenter__(self):
            await asyncio.sleep(0)
            return bytearray(at())

        async def __aexit__(self, *args):
            keep(bytearray(at()))

    @contextlib.asynccontextmanager
    async def managed():
        yield bytearray(at())
        keep(bytearray(at()))

    async def main():
        async with Manager() as block, managed() as other:
            keep((block, other, bytearray(at())))
        keep(bytearray(at()))
    asyncio.run(main())


@point
def loop_callbacks():
    def called(*args):
        keep(bytearray(at()))

    async def main():
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        future.add_done_callback(called)
        loop.call_later(0, future.set_result, 1)
        await future
        task = asyncio.ensure_future(cancelled())
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            keep(bytearray(at()))
        keep(await loop.run_in_executor(None, lambda: bytearray(at())))

    async def cancelled():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            keep(bytearray(at()))
    asyncio.run(main())


@point
def threads():
    def work(depth):
        if depth:
            return work(depth - 1)
        keep(bytearray(at()))
    running = [threading.Thread(target=work, args=(n,), name="worker %d" % n) for n in range(4)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()

    class Runs(threading.Thread):
        def run(self):
            keep([bytearray(at()) for _ in range(2)])
    thread = Runs()
    thread.start()
    thread.join()


@point
def threads_at_once():
    """Each holds its stack while the others allocate."""
    barrier = threading.Barrier(4)

    def first():
        for _ in range(5):
            barrier.wait()
            keep(bytearray(at()))

    def second():
        barrier.wait()
        first_block = bytearray(at())
        for _ in range(4):
            barrier.wait()
            keep((first_block, bytearray(at())))
    running = [threading.Thread(target=target) for target in (first, second, first, second)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


@point
def thread_pool():
    with concurrent.futures.ThreadPoolExecutor(2, initializer=lambda: keep(bytearray(at()))) as pool:
        keep(list(pool.map(lambda n: bytearray(at()), range(3))))
        keep(pool.submit(bytearray, at()).result())


@point
def thread_locals():
    class Local(threading.local):
        def __init__(self):
            self.block = bytearray(at())
    local = Local()

    def work():
        keep(local.block)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@point
def foreign_thread():
    """A thread that Python did not make calls into it."""
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "pthread_create"):
        libc = ctypes.CDLL("libpthread.so.0")

    @ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
    def entry(argument):
        keep(bytearray(at()))
        keep(list(map(lambda n: bytearray(at()), [1])))
        return None
    for _ in range(2):
        thread = ctypes.c_ulong()
        if libc.pthread_create(ctypes.byref(thread), None, entry, None) != 0:
            raise Missing("pthread_create failed")
        libc.pthread_join(thread, None)


@point
def contexts():
    variable = contextvars.ContextVar("variable")

    def work():
        variable.set(bytearray(at()))
        keep(variable.get())
    contextvars.copy_context().run(work)
    contextvars.copy_context().run(contextvars.copy_context().run, work)


@point
def greenlets():
    if greenlet is None:
        raise Missing("no module greenlet")
    main = greenlet.getcurrent()

    def one():
        keep(bytearray(at()))
        inner.switch()
        keep(bytearray(at()))

    def two():
        keep(bytearray(at()))
        outer.switch()
        keep(bytearray(at()))
        main.switch()
    outer, inner = greenlet.greenlet(one), greenlet.greenlet(two)
    outer.switch()
    keep(bytearray(at()))
    inner.switch()
    keep(bytearray(at()))


INTERPRETER = """
import sys, json, threading
sys.path.insert(0, {folder!r})
import marks, itertools
marks._numbers = itertools.count({first})
from marks import at, keep
def function():
    keep(bytearray(at()))
    keep([bytearray(at()) for _ in range(2)])
    keep(list(map(lambda n: bytearray(at()), [1, 2])))
function()
with open({said!r}, "w") as file:
    json.dump(marks.TRUTH, file)
"""


@point
def interpreters():
    """The one beside stays alive: its blocks do."""
    for module in ("_interpreters", "_xxsubinterpreters"):
        try:
            made = __import__(module)
            break
        except ImportError:
            continue
    else:
        raise Missing("no module for interpreters beside the main one")
    folder = os.path.dirname(os.path.abspath(__file__))
    with tempfile.TemporaryDirectory() as scratch:
        said = os.path.join(scratch, "said")
        # Numbers far beyond those that the main interpreter gets to.
        program = INTERPRETER.format(folder=folder, first=5000, said=said)
        interpreter = made.create()
        keep(interpreter)
        failed = made.run_string(interpreter, program)
        if failed is not None:
            raise AssertionError(str(failed))
        with open(said) as file:
            TRUTH.extend(json.load(file))
