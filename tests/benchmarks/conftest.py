"""The scripts of benchmarks/ import each other as they do when one of them is run; studies to read are synthetic."""

import sys
from pathlib import Path

from small_study import opened_study, small_study

__all__ = ["opened_study", "small_study"]

TESTS = Path(__file__).parents[1]
sys.path += [str(TESTS.parent / "benchmarks"), str(TESTS / "report")]
