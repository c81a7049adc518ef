# SPDX-License-Identifier: Apache-2.0
"""Compiles modules of this interpreter's standard library and writes their line tables with the lines that the
interpreter itself says each instruction has (the form is python_line_tables.cc's). Runs on 3.8 and later."""

import dis
import os
import sys

MODULES = """abc argparse ast asyncio/base_events asyncio/events asyncio/tasks base64 bdb calendar cmd codecs collections/__init__
configparser contextlib copy csv dataclasses datetime decimal difflib dis email/message enum functools heapq http/client
inspect json/decoder json/encoder logging/__init__ numbers os pathlib pickle platform queue random re shutil
socketserver statistics string subprocess tarfile tempfile textwrap threading tokenize traceback types typing
unittest/case unittest/mock urllib/parse uuid warnings weakref xml/etree/ElementTree zipfile""".split()


def codes(code):
    yield code
    for constant in code.co_consts:
        if hasattr(constant, "co_code"):
            yield from codes(constant)


def lines(code):
    """(line, bytes) of each run of the code."""
    size = len(code.co_code)
    if hasattr(code, "co_lines"):
        # A range may hold no instruction at all, and what lies behind the code is nobody's.
        return [(line or 0, min(end, size) - start) for start, end, line in code.co_lines() if start < end]
    starts = [(start, line) for start, line in dis.findlinestarts(code)]
    if not starts or starts[0][0] != 0:
        starts.insert(0, (0, code.co_firstlineno))
    ends = [start for start, _ in starts[1:]] + [size]
    return [(line, end - start) for (start, line), end in zip(starts, ends)]


def main():
    kind = "lnotab" if sys.version_info < (3, 10) else "lines" if sys.version_info < (3, 11) else "locations"
    library = os.path.dirname(os.__file__)
    for module in MODULES:
        path = os.path.join(library, module + ".py")
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as source:
            whole = compile(source.read(), path, "exec")
        for code in codes(whole):
            table = (code.co_lnotab if kind == "lnotab" else code.co_linetable).hex() or "-"
            runs = " ".join("%d:%d" % run for run in lines(code))
            print(module + "." + code.co_name.replace(" ", "_"), kind, code.co_firstlineno, table, runs)


main()
