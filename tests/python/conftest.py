# SPDX-License-Identifier: Apache-2.0
"""Makes importable what is shared: the programs under tools/ that carry no .py, and tests/e2e's harness."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"
sys.path.append(str(ROOT / "tests" / "e2e"))


@pytest.fixture(scope="session")
def tool():
    """Returns the module of tools/NAME."""
    def load(name: str):
        loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(TOOLS / name))
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
        sys.modules[loader.name] = module  # dataclasses look themselves up there
        loader.exec_module(module)
        return module
    return load


@pytest.fixture
def directory(tmp_path):
    """Where a test's recordings go."""
    path = tmp_path / "recordings"
    path.mkdir()
    return path
