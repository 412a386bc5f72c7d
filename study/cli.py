"""The console script of earlier versions; it is `study.command.cli` now."""

from study.command.cli import main as main
