# SPDX-License-Identifier: Apache-2.0
"""The arrows between the rooms point one way: who may include whom, and which libraries, read off every #include."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)

# Room -> rooms that it may include, beside itself.
ROOMS = {
    "preload/wire": set(),
    "preload/base": set(),
    "preload/sampler": {"preload/base"},
    "preload/live": {"preload/base"},
    "preload/stack": {"preload/base", "preload/wire"},
    "preload/buffer": {"preload/base", "preload/wire"},
    "preload/recording": {"preload/base", "preload/wire", "preload/buffer"},
    "preload/pools": {"preload/base"},
    "preload/hook": {"preload/*"},
    "analyzer/model": set(),
    "analyzer/reader": {"preload/wire", "analyzer/model"},
    "analyzer/symbolizer": {"analyzer/model"},
    "analyzer/aggregator": {"analyzer/model"},
    "analyzer/output": {"analyzer/model"},
    "analyzer/cli": {"analyzer/*"},
}
# Library -> (how its headers begin, the only rooms that may include them). The preload library lives on libc.
LIBRARIES = {
    "abseil": (r"absl/", {"analyzer/*"}),
    "elfutils": (r"(elfutils/|dwarf\.h|gelf\.h|libelf\.h)", {"analyzer/symbolizer"}),
    "libiberty": (r"(libiberty/|demangle\.h)", {"analyzer/symbolizer"}),
    "zlib": (r"zlib\.h", {"analyzer/output", "analyzer/symbolizer"}),
    "nlohmann_json": (r"nlohmann/", {"analyzer/output"}),
    "libunwind": (r"(libunwind|unwind\.h)", {"preload/stack"}),
}
# Headers of the C++ library without code behind them; the rest of it is not there when the preload library runs.
FREESTANDING = {
    "algorithm", "array", "atomic", "bit", "cerrno", "climits", "compare", "concepts", "cstdarg", "cstddef",
    "cstdint", "cstdlib", "cstring", "limits", "new", "numbers", "tuple", "type_traits", "utility",
}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*")
                  if path.suffix in {".h", ".cc", ".c", ".inc"})


def room_of(path: str) -> str:
    return "/".join(path.split("/")[:2])


def is_ours(path: str) -> bool:
    return path.split("/")[0] in {"preload", "analyzer", "bench", "tests", "tools"}


def allows(rooms: set[str], room: str) -> bool:
    return room in rooms or room.split("/")[0] + "/*" in rooms


def includes(path: Path) -> list[tuple[str, str]]:
    """Returns (quoted, angled) for each #include, one of them empty."""
    return INCLUDE.findall(path.read_text())


def test_every_room_includes_only_the_rooms_below_it():
    wrong = []
    for path in sources("preload", "analyzer"):
        name = path.relative_to(ROOT).as_posix()
        room = room_of(name)
        assert room in ROOMS, f"{name}: {room} is no room that the layering knows"
        for quoted, _ in includes(path):
            if is_ours(quoted) and room_of(quoted) != room and not allows(ROOMS[room], room_of(quoted)):
                wrong.append(f"{name} includes {quoted}; {room} may include only {sorted(ROOMS[room])}")
    assert not wrong, "\n".join(wrong)


def test_every_include_of_ours_is_a_path_from_the_root():
    wrong = [f"{path.relative_to(ROOT)}: {quoted}"
             for path in sources("preload", "analyzer", "bench", "tests")
             for quoted, _ in includes(path)
             if quoted and not re.match(r"(absl|gtest|gmock|benchmark)/", quoted)
             and not (is_ours(quoted) and (ROOT / quoted).exists())]
    assert not wrong, "\n".join(wrong)


def test_every_library_is_included_only_where_it_is_at_home():
    wrong = [f"{path.relative_to(ROOT)} includes <{header}>; {library} is for {sorted(rooms)}"
             for path in sources("preload", "analyzer")
             for pair in includes(path) for header in [pair[0] or pair[1]]
             for library, (pattern, rooms) in LIBRARIES.items()
             if re.match(pattern, header) and not allows(rooms, room_of(path.relative_to(ROOT).as_posix()))]
    assert not wrong, "\n".join(wrong)


def test_one_file_alone_knows_libunwind():
    users = [path.relative_to(ROOT).as_posix() for path in sources("preload")
             if any(re.match(LIBRARIES["libunwind"][0], angled or quoted) for quoted, angled in includes(path))]
    assert len(users) <= 1, f"libunwind is included by {users}"


def test_the_preload_library_includes_nothing_of_the_cxx_library_that_has_code():
    wrong = [f"{path.relative_to(ROOT)}: <{angled}>" for path in sources("preload")
             for _, angled in includes(path)
             if angled and "/" not in angled and not angled.endswith(".h") and angled not in FREESTANDING]
    assert not wrong, "\n".join(wrong)
