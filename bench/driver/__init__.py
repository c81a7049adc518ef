# SPDX-License-Identifier: Apache-2.0
"""What bench/run measures: one module a kind of measurement."""
