"""A small finished study on disk for every test of this folder that asks for one."""

from __future__ import annotations

import sys
from pathlib import Path

from small_study import opened_study, small_study

__all__ = ["opened_study", "small_study"]

sys.path.insert(0, str(Path(__file__).parent))
