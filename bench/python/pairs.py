# SPDX-License-Identifier: Apache-2.0
"""pairs.py LIBRARY DOMAIN KIND COUNT: makes pairs of this interpreter's allocation calls; see calls.cc."""

import ctypes
import sys

library = ctypes.PyDLL(sys.argv[1])  # with the GIL held
library.heapecho_bench_pairs.restype = ctypes.c_bool
library.heapecho_bench_pairs.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_long]
if not library.heapecho_bench_pairs(sys.argv[2].encode(), sys.argv[3].encode(), int(sys.argv[4])):
    sys.exit(f"no pairs of {sys.argv[2]} {sys.argv[3]} here")
