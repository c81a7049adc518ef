# SPDX-License-Identifier: Apache-2.0
"""What the dynamic loader sees of libheapecho.so: names, libraries, versions, thread-local storage."""

import os
import re
import subprocess
from pathlib import Path

import pytest

LIBRARY = Path(os.environ["BUILD_DIR"]) / "libheapecho.so"
LOADER_OR_LIBC = {"libc.so.6", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
OLDEST_GLIBC = (2, 17)
MOST_TLS_BYTES = 64

# The functions that heapecho stands in front of. Any other name that it showed would bind in the application too.
INTERPOSED = {
    "malloc": """malloc calloc realloc reallocarray free free_sized free_aligned_sized posix_memalign aligned_alloc
        memalign valloc pvalloc""",
    "jemalloc": "mallocx rallocx xallocx dallocx sdallocx",
    "operator new": """_Znwm _Znam _ZnwmRKSt9nothrow_t _ZnamRKSt9nothrow_t _ZnwmSt11align_val_t _ZnamSt11align_val_t
        _ZnwmSt11align_val_tRKSt9nothrow_t _ZnamSt11align_val_tRKSt9nothrow_t""",
    "operator delete": """_ZdlPv _ZdaPv _ZdlPvRKSt9nothrow_t _ZdaPvRKSt9nothrow_t _ZdlPvm _ZdaPvm
        _ZdlPvSt11align_val_t _ZdaPvSt11align_val_t _ZdlPvSt11align_val_tRKSt9nothrow_t
        _ZdaPvSt11align_val_tRKSt9nothrow_t _ZdlPvmSt11align_val_t _ZdaPvmSt11align_val_t""",
    "a process's life": """fork _Fork execve execv execvp execvpe fexecve execveat execl execlp execle
        _exit _Exit quick_exit""",
    "others' ends": "wait wait3 wait4 waitpid waitid kill killpg tgkill sigqueue pidfd_send_signal",
    "libraries that come and go": "dlopen dlclose",
    "mapped memory": "mmap mmap64 munmap mremap madvise brk sbrk",
}


@pytest.fixture(scope="module")
def readelf():
    def run(*options: str) -> str:
        return subprocess.run(["readelf", "--wide", *options, LIBRARY], check=True, capture_output=True, text=True,
                              env=os.environ | {"LC_ALL": "C"}).stdout
    return run


def dynamic_symbols(readelf) -> list[tuple[str, str, str]]:
    """Returns (binding, section, name with version) of each dynamic symbol."""
    rows = (line.split() for line in readelf("--dyn-syms").splitlines())
    return [(row[4], row[6], row[7]) for row in rows if len(row) >= 8 and row[0].rstrip(":").isdigit()]


def test_it_shows_the_interposed_functions_and_no_other_name(readelf):
    shown = {name.partition("@")[0] for binding, section, name in dynamic_symbols(readelf) if section != "UND"}
    expected = {name for names in INTERPOSED.values() for name in names.split()}
    assert sorted(shown - expected) == [], "shown but interposes nothing"
    assert sorted(expected - shown) == [], "to be interposed but not shown"


def test_it_needs_libc_and_the_loader_and_nothing_else(readelf):
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", readelf("--dynamic")))
    assert needed <= LOADER_OR_LIBC


def test_it_loads_on_a_glibc_that_lacks_what_came_after_2_17(readelf):
    # The loader refuses a library for a version that it misses unless the need itself is marked weak.
    needs = re.findall(r"Name: GLIBC_(\d+)\.(\d+)\S*\s+Flags: (\S+)", readelf("--version-info"))
    assert needs
    strong = [f"GLIBC_{major}.{minor}" for major, minor, flags in needs
              if (int(major), int(minor)) > OLDEST_GLIBC and flags != "WEAK"]
    assert not strong, f"needed and not weak: {strong}"


def test_no_strong_symbol_is_newer_than_glibc_2_17(readelf):
    newer = [name for binding, section, name in dynamic_symbols(readelf)
             if section == "UND" and binding != "WEAK"
             and (version := re.search(r"@GLIBC_(\d+)\.(\d+)", name))
             and (int(version[1]), int(version[2])) > OLDEST_GLIBC]
    assert not newer


def test_it_takes_little_thread_local_storage(readelf):
    segments = re.findall(r"^\s*TLS\s+(?:0x[0-9a-f]+\s+){4}(0x[0-9a-f]+)", readelf("--program-headers"), re.MULTILINE)
    assert sum(int(size, 16) for size in segments) <= MOST_TLS_BYTES


def test_its_thread_local_storage_is_reached_without_a_call(readelf):
    relocations = readelf("--relocs")
    others = set(re.findall(r"R_\S*(?:DTPMOD|DTPOFF|TLSDESC)\S*", relocations))
    assert not others, f"not the initial-exec model: {others}"
    assert not [name for _, _, name in dynamic_symbols(readelf) if name.startswith("__tls_get_addr")]


def test_its_code_is_never_relocated_nor_its_stack_executable(readelf):
    assert "TEXTREL" not in readelf("--dynamic")
    stack = re.search(r"GNU_STACK.*", readelf("--program-headers"))
    assert stack and " RWE " not in stack[0]


def test_it_is_bound_at_load_and_stays_for_the_life_of_the_process(readelf):
    flags = " ".join(re.findall(r"\((?:FLAGS|FLAGS_1)\).*", readelf("--dynamic")))
    assert "NOW" in flags
    assert "NODELETE" in flags
