# SPDX-License-Identifier: Apache-2.0
"""A second reader of recordings, for what tests must know of the file itself without trusting the analyzer.

Written against preload/wire/format.h, version 1. Knows the header, counters, live records and events.
"""

import mmap
import struct
from collections import namedtuple
from pathlib import Path

MASK = (1 << 64) - 1
MAGIC = 0x4F48434550414548
VERSION = 1
HEADER_BYTES = 4096
FIXED_POINT_ONE = 256

COUNTERS, LIVE, EVENTS, RANGES = 2, 8, 9, 13               # SectionKind
RUNNING, EXITED, EXEC = 0, 1, 2                            # ProcessEnd
COMPLETE, DISK_FULL, REMAP, IO_ERROR = 0, 1, 2, 3          # RecordingEnd
ALLOCATE, FREE = 1, 2                                      # EventKind

STATIC_BYTES = 160
HEADER = struct.Struct("<QIIQ16s16s16sIIIIQQQQQQQQIIQ" "QIiQIiQQQ" "8Q" "6d" "QIIQQ")
Header = namedtuple("Header", (
    "magic version header_size file_size id parent_id boot_id pid ppid uid pid_namespace start_ticks "
    "process_start_ns begin_ns begin_realtime_ns begin_boottime_ns forked_at_ns interval_configured budget "
    "section_count reserved0 static_check "
    "last_event_ns process_end exit_status process_end_ns recording_end recording_end_errno recording_end_ns "
    "interval_now samples "
    "allocated_bytes allocated_objects freed_bytes freed_objects live_bytes live_objects peak_bytes peak_objects "
    "allocated_variance allocated_object_variance live_variance live_object_variance peak_variance "
    "peak_object_variance "
    "peak_ns peak_mark threads_seen own_ns cpu_ns"))
SECTIONS_AT = 368
KEEPING_AT = 916
SECTION = struct.Struct("<IIQQQ")
Section = namedtuple("Section", "kind record_size offset size committed")

LIVE_RECORD = struct.Struct("<QQQdIIIIQ")
Live = namedtuple("Live", "address size time_ns weight stack thread interval reserved check")
EVENT_RECORD = struct.Struct("<QQQQdIIIBBHQ")
Event = namedtuple("Event", "time_ns address size allocated_ns weight stack thread interval kind domain reserved check")
BLOCK_HEADER = struct.Struct("<QQIIQ")
RANGE_RECORD = struct.Struct("<QQQQIIIIBBHIQ")
Range = namedtuple("Range", "start length time_ns counted stack weight thread interval kind domain flags objects check")
COUNTER = struct.Struct("<40sQ")

assert HEADER.size == SECTIONS_AT and LIVE_RECORD.size == 56 and EVENT_RECORD.size == 64


def check_words(data: bytes, seed: int) -> int:
    """The check over whole 64-bit words."""
    value = seed ^ 0x9E3779B97F4A7C15
    for word in struct.unpack(f"<{len(data) // 8}Q", data):
        value = ((value ^ word) * 0xFF51AFD7ED558CCD) & MASK
        value ^= value >> 32
    return value or 1


def read_header(path: Path) -> Header:
    """The header alone, of a file that may be written to meanwhile."""
    with open(path, "rb") as file:
        head = Header._make(HEADER.unpack(file.read(HEADER.size)))
    assert head.magic == MAGIC and head.version == VERSION, path
    return head


class Recording:
    """What one file says. `torn_*` count records that were being written; `stale_events` are whole ones of an
    earlier round of their block; `broken_*` are neither, which no kill explains."""

    def __init__(self, path: Path, events: bool = False):
        with open(path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with data:
            self.header = Header._make(HEADER.unpack_from(data, 0))
            self.is_mapped = struct.unpack_from("<I", data, KEEPING_AT)[0] == 0
            head = self.header
            assert head.magic == MAGIC and head.version == VERSION and head.header_size == HEADER_BYTES, path
            assert check_words(data[:STATIC_BYTES], MAGIC) == head.static_check, f"{path}: the header is torn"
            self.sections = {}
            for i in range(head.section_count):
                section = Section._make(SECTION.unpack_from(data, SECTIONS_AT + i * SECTION.size))
                assert section.offset + section.size <= len(data), f"{path}: section {section.kind} lies outside"
                self.sections[section.kind] = section
            self._read_counters(data)
            self._read_live(data)
            self._read_ranges(data)
            self.events: list[Event] = []
            self.torn_events = self.stale_events = self.broken_events = 0
            if events:
                self._read_events(data)

    def _read_counters(self, data) -> None:
        section = self.sections[COUNTERS]
        self.counters = {}
        for at in range(section.offset, section.offset + section.size - COUNTER.size + 1, section.record_size):
            name, value = COUNTER.unpack_from(data, at)
            if name.strip(b"\0"):
                self.counters[name.rstrip(b"\0").decode()] = value

    def _read_live(self, data) -> None:
        section = self.sections[LIVE]
        self.live: list[Live] = []
        self.torn_live = self.broken_live = 0
        count = min(section.committed, section.size // LIVE_RECORD.size)
        table = data[section.offset:section.offset + count * LIVE_RECORD.size]
        for slot in range(count):
            record = table[slot * LIVE_RECORD.size:(slot + 1) * LIVE_RECORD.size]
            live = Live._make(LIVE_RECORD.unpack(record))
            if live.check == 0:  # a record that is gone keeps its other words
                self.torn_live += live.address != 0
            elif live.check == check_words(record[:-8], slot):
                self.live.append(live)
            else:
                self.broken_live += 1

    def _read_ranges(self, data) -> None:
        section = self.sections[RANGES]
        self.ranges: list[Range] = []
        self.torn_ranges = self.broken_ranges = 0
        for slot in range(min(section.committed, section.size // RANGE_RECORD.size)):
            at = section.offset + slot * RANGE_RECORD.size
            record = data[at:at + RANGE_RECORD.size]
            mapped = Range._make(RANGE_RECORD.unpack(record))
            if mapped.check == 0:
                self.torn_ranges += mapped.start != 0
            elif mapped.check == check_words(record[:-8], slot):
                self.ranges.append(mapped)
            else:
                self.broken_ranges += 1
        self.ranges.sort()

    def _read_events(self, data) -> None:
        section = self.sections[EVENTS]
        empty = bytes(EVENT_RECORD.size)
        for at in range(section.offset, section.offset + section.size, section.record_size):
            header = data[at:at + BLOCK_HEADER.size]
            sequence, _, _, _, check = BLOCK_HEADER.unpack(header)
            if check == 0:
                continue
            assert check == check_words(header[:-8], MAGIC), "a block's header is broken"
            block = data[at:at + section.record_size]
            index = 0
            for start in range(BLOCK_HEADER.size, len(block) - EVENT_RECORD.size + 1, EVENT_RECORD.size):
                record = block[start:start + EVENT_RECORD.size]
                if record[-8:] == empty[-8:]:
                    self.torn_events += record != empty
                else:
                    event = Event._make(EVENT_RECORD.unpack(record))
                    if event.check == check_words(record[:-8], (sequence << 20) + index):
                        self.events.append(event)
                    elif self._is_stale(record, sequence, index) or self._is_half_stale(record, at + start):
                        self.stale_events += 1
                    else:
                        self.broken_events += 1
                index += 1

    def _is_half_stale(self, record: bytes, at: int) -> bool:
        """Whether its first half, on the page before, was let go of with the block and its second is of an earlier life.

        So it is in a file that is written, where a block that was taken again has got no further than to that page.
        """
        before = -at % 4096
        return not self.is_mapped and 0 < before < len(record) and not any(record[:before])

    @staticmethod
    def _is_stale(record: bytes, sequence: int, index: int) -> bool:
        check = struct.unpack_from("<Q", record, len(record) - 8)[0]
        return any(check == check_words(record[:-8], (earlier << 20) + index)
                   for earlier in range(sequence - 1, max(0, sequence - 4096), -1))
