# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the end-to-end tests."""

import pytest

import harness


@pytest.fixture(scope="session", autouse=True)
def built():
    for path in (harness.LIBRARY, harness.COMMAND, harness.program("sizes")):
        assert path.exists(), f"{path} is not built (BUILD_DIR names the build directory)"


@pytest.fixture
def directory(tmp_path):
    """Where a test's recordings go."""
    path = tmp_path / "recordings"
    path.mkdir()
    return path
