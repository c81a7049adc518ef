# SPDX-License-Identifier: Apache-2.0
"""Runs the library given as first argument inside this interpreter: walks are compared with libunwind's
at some of the interpreter's own allocations, in all kinds of work. Exit status 0 when every frame agreed."""
import ctypes
import sys

library = ctypes.CDLL(sys.argv[1])
library.heapecho_first_difference.restype = ctypes.c_char_p
library.heapecho_begin.argtypes = [ctypes.c_uint64]


def recursion(depth):
    return [depth] + recursion(depth - 1) if depth else []


class Keyed:
    def __init__(self, value):
        self.value = value

    def __lt__(self, other):
        return str(self.value) < str(other.value)


def generator(n):
    for i in range(n):
        try:
            yield {"i": str(i)}
        finally:
            pass


def work():
    import collections, decimal, functools, itertools, json, re, sqlite3, struct, threading, zlib
    import xml.etree.ElementTree as tree

    recursion(150)
    sorted([Keyed(i) for i in range(300)])
    json.loads(json.dumps([{"a": [i, str(i), None, 1.5]} for i in range(500)]))
    [match.group() for match in re.finditer(r"(\w+)-(\d+)", "abc-12 " * 300)]
    re.sub(r"\d", lambda match: match.group() * 2, "a1b2" * 200)
    list(generator(300))
    for i in range(200):
        try:
            int("x" + str(i))
        except ValueError as error:
            str(error)
    tree.fromstring("<a>" + "<b c='d'>text</b>" * 200 + "</a>")
    zlib.decompress(zlib.compress(b"abc" * 5000))
    decimal.Decimal(2).sqrt()
    functools.reduce(lambda a, b: a + str(b), range(100), "")
    collections.Counter(itertools.chain.from_iterable(["abc"] * 100))
    connection = sqlite3.connect(":memory:")
    connection.create_function("twice", 1, lambda value: "%s%s" % (value, value))
    connection.execute("create table t (a)")
    connection.executemany("insert into t values (?)", [(str(i),) for i in range(200)])
    connection.execute("select twice(a) from t").fetchall()
    threads = [threading.Thread(target=recursion, args=(60,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    numbers = (ctypes.c_int * 50)(*range(50, 0, -1))
    ctypes.CDLL(None).qsort(numbers, 50, ctypes.sizeof(ctypes.c_int),
                            callback(lambda a, b: int(str(a[0])) - b[0]))


if library.heapecho_begin(7) != 0:
    sys.exit("this interpreter has no PyMem_SetAllocator")
for _ in range(3):
    work()
library.heapecho_end()

print("Python %s: %d walks compared, %d different, %d broken, at most %d frames" % (
    sys.version.split()[0], library.heapecho_made(), library.heapecho_different(),
    library.heapecho_broken(), library.heapecho_most_frames()))
if library.heapecho_different():
    sys.exit("first difference: " + library.heapecho_first_difference().decode())
if library.heapecho_made() < 100:
    sys.exit("hardly anything was compared")
