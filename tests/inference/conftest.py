"""A small model folder, and the generator of strangers' pictures."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from small_model import digits, make_bundle, second_reader, trained

__all__ = ["digits", "make_bundle", "second_reader", "trained"]


@pytest.fixture(scope="session")
def strangers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("strangers", Path(__file__).with_name("strangers.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["strangers"] = module
    spec.loader.exec_module(module)
    return module
