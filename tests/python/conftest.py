# SPDX-License-Identifier: Apache-2.0
"""Makes the programs under tools/ that are written in Python importable: they carry no .py."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


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
