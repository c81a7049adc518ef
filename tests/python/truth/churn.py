# SPDX-License-Identifier: Apache-2.0
"""Makes 10,000 functions that each allocate one block and die; whose the block is, its size says.

Their code objects come to lie where others have lain, with the same name or file or lines as these; each differs
from the last of its kind in one thing alone. Says what stack each block has. Its argument names the file for that.
"""

import collections
import json
import os
import signal
import sys
import types

# Larger than what holds the blocks, which is allocated by them too.
BASE, FUNCTIONS = 98304 + 7, 10000
KEPT, TRUTH, PLACES = [], [], set()
QUALIFIED = sys.version_info >= (3, 11)
# What a bytearray adds to the size that it is asked for.
ADDED = sys.getsizeof(bytearray(1000)) - sys.getsizeof(bytearray()) - 1000


def by_name(number):
    name = "made_%d" % number
    space = {"keep": KEPT.append}
    exec(compile("def %s(size):\n    keep(bytearray(size))\n" % name, "<made>", "exec"), space)
    return space[name], [(name, "<made>", 2)]


def by_file(number):
    file = "<made %d>" % number
    made = eval(compile("lambda size: keep(bytearray(size))", file, "eval"), {"keep": KEPT.append})
    return made, [("<lambda>", file, 1)]


def by_first_line(number):
    line = number % 97 + 1
    made = eval(compile("\n" * (line - 1) + "lambda size: keep(bytearray(size))", "<made>", "eval"),
                {"keep": KEPT.append})
    return made, [("<lambda>", "<made>", line)]


def by_line_table(number):
    """The same name, file and first line."""
    lines = number % 89 + 1
    made = eval(compile("lambda size: [" + "\n" * lines + "keep(bytearray(size))]", "<made>", "eval"),
                {"keep": KEPT.append})
    return made, [("<lambda>", "<made>", 1 + lines)]


def by_class(number):
    name = "Made%d" % number
    space = {"keep": KEPT.append}
    exec(compile("class %s:\n  def made(self, size):\n    keep(bytearray(size))\n" % name, "<made>", "exec"), space)
    return space[name]().made, [(name + ".made" if QUALIFIED else "made", "<made>", 3)]


def template(size):
    KEPT.append(bytearray(size))


def by_replacement(number):
    name = "replaced_%d" % number
    names = {"co_name": name, "co_filename": "<made %d>" % (number % 7)}
    if QUALIFIED:
        names["co_qualname"] = name
    code = template.__code__.replace(co_firstlineno=5, **names)
    return types.FunctionType(code, globals()), [(name, names["co_filename"], 6)]


def by_nesting(number):
    """One made function calls another."""
    outer, inner = "made_outer_%d" % number, "made_inner_%d" % number
    space = {"keep": KEPT.append}
    exec(compile("def %s(size):\n    def %s():\n        keep(bytearray(size))\n    return %s()\n" % (
        outer, inner, inner), "<made>", "exec"), space)
    return space[outer], [(outer + ".<locals>." + inner if QUALIFIED else inner, "<made>", 3), (outer, "<made>", 4)]


MAKERS = [by_name, by_file, by_first_line, by_line_table, by_class, by_replacement, by_nesting]


def call(made, size):
    made(size)


def main():
    for number in range(FUNCTIONS):
        made, stack = MAKERS[number % len(MAKERS)](number)
        code = made.__code__ if hasattr(made, "__code__") else made.__func__.__code__
        PLACES.add(id(code))
        TRUTH.append(stack + [("call", __file__, call.__code__.co_firstlineno + 1),
                              ("main", __file__, CALLED), ("<module>", __file__, STARTED)])
        call(made, BASE + number - ADDED)  # here main stands
        del made, code
        if number % 10 == 0:
            collections.namedtuple("Pair%d" % number, "one two")(1, 2)


def line_of(text):
    with open(__file__, encoding="utf-8") as file:
        return next(n for n, line in enumerate(file, 1) if line.rstrip().endswith(text))


CALLED = line_of("# here main stands")
STARTED = line_of("# here it starts")
main()  # here it starts
with open(sys.argv[1], "w") as file:
    json.dump({"pid": os.getpid(), "base": BASE, "truth": TRUTH, "places": len(PLACES)}, file)
os.kill(os.getpid(), signal.SIGKILL)
