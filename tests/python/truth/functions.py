# SPDX-License-Identifier: Apache-2.0
"""Allocation points in functions: calls of all kinds, closures, generators, comprehensions, exceptions, lines."""

import contextlib
import functools

from marks import at, keep, point


@point
def plain():
    keep(bytearray(at()))


@point
def several_on_a_line():
    keep(bytearray(at())); keep(bytes(at())); keep([None] * at(8))


@point
def operators_allocate():
    keep(b"x" * at())
    keep("x" * at())
    keep("é".ljust(at()))


@point
def nested_calls():
    def outer():
        def inner():
            return bytearray(at())
        return inner()
    keep(outer())


@point
def closure():
    def make(block):
        def use():
            block.append(bytearray(at()))
        return use
    block = []
    make(block)()
    keep(block)


@point
def lambdas():
    keep((lambda: bytearray(at()))())
    keep((lambda f: f())(lambda: bytearray(at())))


@point
def default_argument():
    def given(block=bytearray(at())):
        return block
    keep(given())


@point
def star_arguments():
    def takes(*args, **named):
        keep(bytearray(at()))
        return len(args) + len(named)
    takes(*(1, 2, 3), **{"a": 1, "b": 2})
    takes(*[bytearray(at())], **{"c": keep(bytearray(at()))})


@point
def recursion():
    def down(n):
        if n == 0:
            keep(bytearray(at()))
            return 0
        return 1 + down(n - 1)
    down(30)


@point
def mutual_recursion():
    def even(n):
        return bytearray(at()) if n == 0 else odd(n - 1)

    def odd(n):
        return (lambda m: even(m))(n - 1)
    keep(even(20))


@point
def deep_recursion():
    """More frames than a stack holds."""
    def down(n):
        return down(n - 1) if n else bytearray(at())
    keep(down(700))


@point
def decorators():
    def twice(function):
        keep(bytearray(at()))

        @functools.wraps(function)
        def wrapped(*args):
            return function(*args), function(*args)
        return wrapped

    @twice
    @twice
    def decorated():
        return bytearray(at())
    keep(decorated())


@point
def wrappers_in_c():
    @functools.lru_cache(maxsize=None)
    def cached(n):
        return bytearray(at())
    keep(cached(1))
    keep(functools.partial(functools.partial(cached), 2)())

    @functools.singledispatch
    def dispatched(value):
        return None

    @dispatched.register(int)
    def for_int(value):
        return bytearray(at())
    keep(dispatched(5))


@point
def generator():
    def generate():
        yield bytearray(at())
        for _ in range(2):
            yield bytearray(at())
    for block in generate():
        keep(block)


@point
def generator_driven_by_c():
    def generate():
        for _ in range(3):
            yield bytearray(at())
    keep(list(generate()))
    keep(tuple(map(lambda block: (block, bytearray(at())), generate())))


@point
def generator_sent_thrown_closed():
    def generate():
        try:
            got = yield
            keep((got, bytearray(at())))
            try:
                yield
            except KeyError:
                keep(bytearray(at()))
            yield
        finally:
            keep(bytearray(at()))
    running = generate()
    next(running)
    running.send("value")
    running.throw(KeyError("thrown"))
    running.close()


@point
def generator_delegating():
    def innermost():
        got = yield bytearray(at())
        keep((got, bytearray(at())))
        return bytearray(at())

    def middle():
        return (yield from innermost())

    def outermost():
        keep((yield from middle()))
    keep(list(outermost()))


@point
def generator_that_dies():
    def generate():
        try:
            yield
        finally:
            keep(bytearray(at()))
    running = generate()
    next(running)
    del running


@point
def generator_expressions():
    keep(any(keep(bytearray(at())) for _ in range(2)))
    keep(sum(len(block) for block in (bytearray(at()) for _ in range(2))))


@point
def comprehensions():
    keep([bytearray(at()) for _ in range(2)])
    keep({len(bytearray(at())) for _ in range(2)})
    keep({n: bytearray(at()) for n in range(2)})
    keep([[[bytearray(at()) for _ in range(2)] for _ in range(1)] for _ in range(1)])
    keep([(lambda: bytearray(at()))() for _ in range(1)])


@point
def comprehension_over_lines():
    keep([
        (bytearray(at()),
         bytes(at()))
        for _ in range(2)
        if keep(
            bytearray(at())
        ) is None
    ])


@point
def lines_of_a_call():
    keep(
        bytearray(
            at(
            )
        )
    )
    keep(max(
        bytearray(at()),
        bytearray(
            at()),
        key=lambda block:
            len(
                bytearray(
                    at()))
    ))


@point
def lines_of_expressions():
    keep((bytearray(at())
          if keep(bytearray(at())) is None
          else None,
          bytes(at()) and
          0
          or
          None))
    text = ("a" *
            at())
    keep(text)
    keep({"one": bytearray(at()),
          "two":
              bytearray(at())}
         ["two"])


@point
def lines_far_apart():
    keep([0,



























































































































































          bytearray(at()), 0,
          ])
    keep(
        bytearray(at()))


@point
def many_instructions():
    n = 1
    keep((n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n +
          n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n +
          n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n +
          n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n +
          n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n * n - n + n +
          n, bytearray(at()),
          [
            n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n,
            n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n,
            n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n,
          ],
          bytearray(at()), n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n, n))
    keep(bytearray(at()))


@point
def exception_handlers():
    try:
        raise ValueError("raised")
    except ValueError as error:
        keep((str(error), bytearray(at())))
    else:
        raise AssertionError
    finally:
        keep(bytearray(at()))
    try:
        keep(bytearray(at()))
    except ValueError:
        raise AssertionError
    else:
        keep(bytearray(at()))


@point
def exception_through_frames():
    def raises():
        try:
            return {}["none"]
        finally:
            keep(bytearray(at()))

    def passes():
        try:
            raises()
        except KeyError as error:
            keep(bytearray(at()))
            raise ValueError from error
    try:
        passes()
    except (OSError, ValueError):
        keep(bytearray(at()))


@point
def return_in_finally():
    def leaves():
        for _ in range(3):
            try:
                return bytearray(at())
            finally:
                keep(bytearray(at()))
    keep(leaves())


@point
def context_managers():
    class Manager:
        def __enter__(self):
            return bytearray(at())

        def __exit__(self, kind, value, trace):
            keep(bytearray(at()))
            return True
    with Manager() as block:
        keep((block, bytearray(at())))
    keep(bytearray(at()))
    with Manager() as one, \
            Manager() as two:
        keep((one, two))
        raise KeyError("swallowed")
    keep(bytearray(at()))


@point
def context_managers_of_generators():
    @contextlib.contextmanager
    def managed():
        try:
            yield bytearray(at())
        except KeyError:
            keep(bytearray(at()))
        finally:
            keep(bytearray(at()))
    with managed() as block:
        keep(block)
        raise KeyError("handled")
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: keep(bytearray(at())))
        keep(stack.enter_context(managed()))


@point
def loops():
    for n in range(3):
        if n == 0:
            continue
        keep(bytearray(at()))
        if n == 1:
            break
    else:
        raise AssertionError
    n = 2
    while n:
        n -= 1
        keep(bytearray(at()))
    else:
        keep(bytearray(at()))


@point
def hot_function():
    """Long after the interpreter has specialised, and where it can compiled, the function."""
    def hot(n):
        return bytearray(at()) if n == 5000 else (lambda k: k)(n)
    for n in range(5001):
        block = hot(n)
    keep(block)


@point
def assert_and_delete():
    assert bytearray(at()) or keep(1)
    block = {"key": bytearray(at())}
    del block["key"]
    keep(bytearray(at()))


@point
def functions_with_other_names():
    def named():
        return bytearray(at())
    named.__name__ = "renamed"
    named.__qualname__ = "function.renamed"
    keep(named())


@point
def non_ascii_names():
    def größe():
        return bytearray(at())

    def Жизнь():
        return größe(), bytearray(at())

    def 𠀀𠀁():
        return Жизнь(), bytearray(at())
    keep(𠀀𠀁())
