# SPDX-License-Identifier: Apache-2.0
"""Python stacks of a recording, read without the analyzer: nodes, code, line tables, the merge with native frames.

Written against preload/wire/format.h, and for line tables against what CPython's own sources say of them.
"""

import struct
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import wire

IDENTITY, MODULES, NATIVE_NODES, PYTHON_NODES, PYTHON_CODE, STACKS = 1, 3, 4, 5, 6, 7  # SectionKind
PYTHON_VERSION, PYTHON_WALK, PYTHON_DOMAIN = 13, 14, 18                                # IdentityKey
TRUNCATED, BROKEN = 1, 2                                                               # StackFlags
EVALUATION = 1 << 47
ENTRY = 1 << 31
INSTRUCTION = (1 << 30) - 1
NO_TABLE, LNOTAB, LINES, LOCATIONS = 0, 1, 2, 3                                        # LineTable

IDENTITY_RECORD = struct.Struct("<IHH")
MODULE_RECORD = struct.Struct("<IHHQQQQII")
NODE_RECORD = struct.Struct("<III")
CODE_RECORD = struct.Struct("<IIiB3xIIII")
STACK_HEAD = struct.Struct("<IIIIHBB")


def _signed(byte: int) -> int:
    return byte - 256 if byte >= 128 else byte


def _lnotab(table: bytes, line: int):
    """3.8 and 3.9: the line that begins at each offset of the code."""
    at, starts = 0, [(0, line)]
    for step, lines in zip(table[::2], table[1::2]):
        at += step
        line += _signed(lines)
        starts.append((at, line))
    for (begin, found), (end, _) in zip(starts, starts[1:] + [(1 << 40, 0)]):
        if begin < end:
            yield begin, end, found


def _lines(table: bytes, line: int):
    """3.10: the line of each range of the code, None for none."""
    at = 0
    for step, lines in zip(table[::2], table[1::2]):
        none = _signed(lines) == -128
        line += 0 if none else _signed(lines)
        if step:
            yield at, at + step, None if none else line
        at += step


def _locations(table: bytes, line: int):
    """3.11 and later: entries whose first byte alone has its highest bit set; columns are of no interest."""
    begins = [i for i, byte in enumerate(table) if byte & 0x80] + [len(table)]
    at = 0
    for begin, end in zip(begins, begins[1:]):
        kind, units = table[begin] >> 3 & 15, (table[begin] & 7) + 1
        if kind in (13, 14):
            number = sum((byte & 63) << 6 * i for i, byte in enumerate(_varint(table[begin + 1:end])))
            line += -(number >> 1) if number & 1 else number >> 1
        elif kind in (11, 12):
            line += kind - 10
        yield at, at + 2 * units, None if kind == 15 else line
        at += 2 * units


def _varint(data: bytes) -> bytes:
    end = next(i for i, byte in enumerate(data) if not byte & 64)
    return data[:end + 1]


DECODERS = {LNOTAB: _lnotab, LINES: _lines, LOCATIONS: _locations}


def line_ranges(kind: int, table: bytes, first_line: int) -> list[tuple[int, int, int | None]]:
    """(begin, end, line) over the bytes of a code object."""
    return list(DECODERS[kind](table, first_line))


@dataclass(frozen=True)
class Code:
    name: str
    file: str
    first_line: int
    kind: int
    table: bytes

    def line(self, instruction: int) -> int | None:
        if instruction == INSTRUCTION:
            return self.first_line
        if self.kind == NO_TABLE:
            return None
        for begin, end, line in line_ranges(self.kind, self.table, self.first_line):
            if begin <= instruction < end:
                return line
        raise AssertionError(f"instruction {instruction} is beyond the table of {self.name}")


@dataclass(frozen=True)
class Stack:
    native: tuple        # (module's path or None, address, whether Python was evaluated there), innermost first
    python: tuple        # ((name, file, line), ...), innermost first
    entries: tuple       # of each Python frame, whether it is the outermost of its group
    flags: int

    @property
    def evaluations(self) -> int:
        return sum(evaluates for _, _, evaluates in self.native)

    @property
    def in_groups(self) -> int:
        """Python frames that have a native frame to stand for."""
        last = max((i for i, entry in enumerate(self.entries) if entry), default=-1)
        return last + 1


class StackRecording(wire.Recording):
    """A recording with its stacks, identity and code."""

    def __init__(self, path: Path, events: bool = False):
        super().__init__(path, events)
        self._data = path.read_bytes()
        self.identity = defaultdict(list)
        for at, log in self._log(IDENTITY, IDENTITY_RECORD.size):
            length, key, _ = IDENTITY_RECORD.unpack_from(log, at)
            self.identity[key].append(log[at + 8:at + 8 + length].decode("utf-8", "replace"))
        self.modules = {}
        for at, log in self._log(MODULES, MODULE_RECORD.size):
            _, kind, module, *_, build_id, path_length = MODULE_RECORD.unpack_from(log, at)
            if kind == 1:
                begin = at + MODULE_RECORD.size + build_id
                self.modules[module] = log[begin:begin + path_length].decode("utf-8", "replace")
        self.code: dict[int, Code] = {}
        for at, log in self._log(PYTHON_CODE, CODE_RECORD.size):
            _, code, first, kind, name, file, table, _ = CODE_RECORD.unpack_from(log, at)
            assert code not in self.code, f"code {code} is recorded twice"
            begin = at + CODE_RECORD.size
            self.code[code] = Code(log[begin:begin + name].decode(), log[begin + name:begin + name + file].decode(),
                                   first, kind, log[begin + name + file:begin + name + file + table])
        self._native = self._array(NATIVE_NODES, NODE_RECORD)
        self._python = self._array(PYTHON_NODES, NODE_RECORD)
        self._stacks = self._array(STACKS, STACK_HEAD, 128)
        del self._data
        self._made: dict[int, Stack] = {}

    def _array(self, kind: int, record: struct.Struct, size: int | None = None) -> list[tuple]:
        section = self.sections.get(kind)
        if section is None:
            return []
        count = min(section.committed, section.size // (size or record.size))
        return [record.unpack_from(self._data, section.offset + i * (size or record.size)) for i in range(count)]

    def _log(self, kind: int, smallest: int):
        """(offset, log) of each record; identity's lengths are of what follows, others' of the whole."""
        section = self.sections.get(kind)
        if section is None:
            return
        log = self._data[section.offset:section.offset + min(section.committed, section.size)]
        at = 0
        while at + smallest <= len(log):
            length = struct.unpack_from("<I", log, at)[0]
            if length == 0 and kind != IDENTITY:  # never written: its writer died
                at += 8
                continue
            yield at, log
            at += (length + 7) // 8 * 8 + (8 if kind == IDENTITY else 0)

    def _chain(self, nodes: list[tuple], leaf: int) -> list[tuple]:
        found = []
        while leaf:
            parent, low, high = nodes[leaf]
            found.append((low, high))
            leaf = parent
            assert len(found) <= 4096, "a chain of nodes has no end"
        return found

    def domain(self, stack: int) -> int:
        return self._stacks[stack][5]

    def stack(self, number: int) -> Stack:
        if number not in self._made:
            native_leaf, python_leaf, _, _, flags, _, _ = self._stacks[number]
            native = []
            for low, high in self._chain(self._native, native_leaf):
                place = high << 32 | low
                native.append((self.modules.get(place >> 48), place & (EVALUATION - 1), bool(place & EVALUATION)))
            python = self._chain(self._python, python_leaf)
            shown = []
            for code, where in python:
                of = self.code.get(code)
                shown.append((of.name, of.file, of.line(where & INSTRUCTION)) if of else ("?", "?", None))
            self._made[number] = Stack(tuple(native), tuple(shown), tuple(bool(where & ENTRY) for _, where in python),
                                       flags)
        return self._made[number]
