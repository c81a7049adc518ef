# SPDX-License-Identifier: Apache-2.0
"""The Django service that tools/demo records."""
