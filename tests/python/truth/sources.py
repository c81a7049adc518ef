# SPDX-License-Identifier: Apache-2.0
"""Allocation points in source that is made up: exec and eval, names of files, syntax that not every version has."""

import ctypes
import sys
import types

from marks import Missing, at, keep, point


def run(source, file="<made up>", mode="exec"):
    space = {"at": at, "keep": keep, "__name__": "made"}
    exec(compile(source, file, mode), space)
    return space


def since(major, minor):
    if sys.version_info < (major, minor):
        raise Missing("no such syntax before %d.%d" % (major, minor))


@point
def made_up():
    exec("keep(bytearray(at()))", {"at": at, "keep": keep})
    keep(eval("[bytearray(at()) for _ in range(2)]", {"at": at}))
    keep(eval(compile("(lambda:\n\n bytearray(at()))()", "<an expression>", "eval"), {"at": at}))
    run("\n\ndef function():\n\n    keep(bytearray(at()))\n\nfunction()\n", "")


@point
def files_named_oddly():
    for file in ("größe.py", "/Ж/файл.py", "/𠀀/𝔘nicode 😀.py", "with\nline break\x01.py", "<中文>",
                 "/a" * 400 + ".py", "lone \udc80 surrogate.py"):
        run("def f():\n    keep(bytearray(at()))\nf()\nkeep(bytearray(at()))\n", file)


@point
def names_long_and_odd():
    run("def %s():\n    keep(bytearray(at()))\n%s()\n" % (("n" * 700,) * 2))
    run("def %s():\n    keep(bytearray(at()))\n%s()\n" % (("名" * 200,) * 2))
    run("def é𠀀():\n    keep(bytearray(at()))\né𠀀()\n", "größe 𠀀")


@point
def lines_high_up():
    run("\n" * 70000 + "def f():\n    keep(bytearray(at()))\nf()\n")


@point
def first_line_of_its_own():
    def function():
        keep(bytearray(at()))
    code = function.__code__
    for line in (1, 5, 100000):
        types.FunctionType(code.replace(co_firstlineno=line, co_name="at_%d" % line), globals())()


@point
def much_code():
    """Offsets beyond what an instruction's argument holds."""
    body = "".join("    n = n + %d if n else %d\n" % (k, k) for k in range(4000))
    run("def f(n):\n" + body + "    keep(bytearray(at()))\nf(0)\n")


@point
def backwards():
    """A line table that goes down and up."""
    run("def f():\n    for n in range(2):\n        keep(bytearray(at())\n             if n else\n"
        "             bytes(at()))\n"
        "    return [n for n in\n            keep(bytearray(at())) or\n            range(2)]\nf()\n")


@point
def assignment_expressions():
    run("while (n := keep(bytearray(at()))) is not None:\n    pass\nkeep([m := bytearray(at()), m])\n"
        "def positional(a, /, b):\n    keep(bytearray(at()))\npositional(1, b=2)\n")


@point
def decorators_of_any_kind():
    since(3, 9)
    run("@[lambda f: (f, bytearray(at()))][0]\ndef f():\n    pass\nkeep(f)\n")


@point
def parenthesised_managers():
    since(3, 10)
    run("import contextlib\n@contextlib.contextmanager\ndef m():\n    yield keep(bytearray(at()))\n"
        "with (\n    m() as a,\n    m() as b,\n):\n    keep(bytearray(at()))\nkeep(bytearray(at()))\n")


@point
def matching():
    since(3, 10)
    run('''
class Matched:
    __match_args__ = ("one",)
    @property
    def one(self):
        keep(bytearray(at()))
        return 1
match Matched():
    case Matched(2):
        raise AssertionError
    case Matched(
        1
    ) if keep(bytearray(at())) is None:
        keep(bytearray(at()))
match {"a": [1, 2]}:
    case {"a": [_, *rest]}:
        keep(bytearray(at()))
''')


@point
def exception_groups():
    since(3, 11)
    run('''
def raises():
    try:
        raise ExceptionGroup("group", [ValueError(1), KeyError(2)])
    except* ValueError:
        keep(bytearray(at()))
    except* KeyError as group:
        keep((group, bytearray(at())))
    finally:
        keep(bytearray(at()))
raises()
''')


@point
def type_parameters():
    since(3, 12)
    run('''
def generic[T: keep(bytearray(at()))](value: T) -> T:
    keep(bytearray(at()))
    return value
generic(1)
generic.__type_params__[0].__bound__
class Generic[T]:
    block = bytearray(at())
    def method[U](self):
        return bytearray(at())
keep(Generic[int]().method())
type Alias = bytearray(at())
keep(Alias.__value__)
keep(f"{f"{len(bytearray(at()))}"}")
''')


@point
def annotations():
    run("def f(a: keep(bytearray(at())) = 1) -> int:\n    b: keep(bytearray(at())) = 1\n    keep(bytearray(at()))\n"
        "class C:\n    member: keep(bytearray(at()))\nf()\nC.__annotations__, f.__annotations__\n")


@point
def template_strings():
    since(3, 14)
    run('keep(t"{bytearray(at())}")\ntry:\n    1 / 0\nexcept KeyError, ZeroDivisionError:\n    keep(bytearray(at()))\n')


@point
def embedded():
    """Python that C code runs from a string."""
    api = ctypes.pythonapi
    sys.modules["__main__"].embedded_marks = (at, keep)
    source = b"at, keep = embedded_marks\ndef embedded():\n    keep(bytearray(at()))\nembedded()\n"
    if api.PyRun_SimpleString(source) != 0:
        raise AssertionError
