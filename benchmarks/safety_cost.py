"""What safety costs: `study run` as it is, against the same without anything that only a crash would miss.

    python benchmarks/safety_cost.py [--turns 3] [--n-trials 20] [--families mlp cnn]

Without: no fsync, SQLite neither syncs nor keeps a journal on disk, and runs leave no state to go on from. Both train
the same, with one worker and a fixed number of trials, at the same time on a core each; whoever starts first takes
turns. The MLP's trials are the shortest, so that safety's share is the largest there. Prints the ratio of wall-clocks.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from _commands import study_command

# Python runs this before anything else in every process whose path has its folder, so in the driver and its workers.
WITHOUT = """
import importlib.abc, importlib.machinery, os, sqlite3, sys

os.fsync = lambda descriptor: None
_connect = sqlite3.connect

def connect(*arguments, **options):
    connection = _connect(*arguments, **options)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("PRAGMA journal_mode=MEMORY")
    return connection

sqlite3.connect = sqlite3.dbapi2.connect = connect

class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name != "study.execution.jobs":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        run = spec.loader.exec_module
        def exec_module(module):
            run(module)
            *others, seconds = module.RunTarget.__init__.__defaults__
            assert seconds > 0
            module.RunTarget.__init__.__defaults__ = (*others, float("inf"))
        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Finder())
"""


def one_turn(folder: Path, n_trials: int, families: list[str], first: str) -> dict[str, float]:
    """Seconds that either took, both run at the same time."""
    custom = folder / "without"
    custom.mkdir(parents=True)
    (custom / "sitecustomize.py").write_text(WITHOUT)
    started, seconds, running = {}, {}, {}
    for arm in sorted(("safe", "bare"), key=lambda arm: arm != first):
        words = [*study_command(), "run", "--n-trials", str(n_trials), "--workers", "1", "--no-evaluate", "--quiet"]
        words += ["--families", ",".join(families)]
        words += ["--results", str(folder / arm)]
        paths = [str(custom)] if arm == "bare" else []
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")])}
        started[arm] = time.perf_counter()
        running[arm] = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while running:
        for arm, process in list(running.items()):
            if process.poll() is not None:
                seconds[arm] = time.perf_counter() - started[arm]
                if process.returncode:
                    assert process.stderr is not None
                    raise SystemExit(f"{arm}: {process.stderr.read().decode()[-500:]}")
                del running[arm]
        time.sleep(0.02)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--n-trials", type=int, default=20)
    parser.add_argument("--families", nargs="+", default=["mlp", "cnn"])
    options = parser.parse_args()
    ratios = []
    for turn in range(options.turns):
        with tempfile.TemporaryDirectory() as folder:
            first = ("safe", "bare")[turn % 2]
            seconds = one_turn(Path(folder), options.n_trials, options.families, first)
        ratios.append(seconds["safe"] / seconds["bare"])
        print(f"safe {seconds['safe']:.1f} s, bare {seconds['bare']:.1f} s: {ratios[-1]:.3f}", flush=True)
    print(f"wall-clock, safe / bare: median {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
