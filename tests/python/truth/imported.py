# SPDX-License-Identifier: Apache-2.0
"""Is imported by a point; allocates while it is."""

from marks import at

BLOCK = bytearray(at())


def __getattr__(name):
    if name != "dynamic":
        raise AttributeError(name)
    return bytearray(at())


from imported import dynamic  # noqa: E402,F401
