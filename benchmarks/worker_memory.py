"""Memory of a worker over many different runs, and what bounding its kernel caches costs.

    python benchmarks/worker_memory.py [--configs 20] [--steps 20] [--repeats 3]

Trains random configurations of both families, one after the other in one process of one thread, `--steps` steps each,
once with torch's own cache sizes and once with the workers', in turn. Prints anonymous memory (Linux) before, after a
quarter, half, three quarters and all of the runs, and the ratio of processor seconds. Nothing is recorded.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path


def anonymous_mib() -> float:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss_Anon:"))


def train_all(n_configs: int, steps: int) -> dict[str, list[float]]:
    """In this process: `memory` [MiB] before and after each pair of runs, `seconds` of processor time of each pair."""
    import torch
    from _data import build_model, cpu_seconds, dev_data, precision, random_configs
    from _speed import fit_steps

    torch.set_num_threads(1)
    data, _ = dev_data()
    pairs = list(zip(random_configs("cnn", n_configs, 0), random_configs("mlp", n_configs, 0), strict=True))
    memory, seconds = [anonymous_mib()], []
    for pair in pairs:
        began = cpu_seconds()
        for config in pair:
            fit_steps(build_model(config, 0), data, config, steps, precision())
        seconds.append(cpu_seconds() - began)
        memory.append(anonymous_mib())
    return {"memory": memory, "seconds": seconds}


def measure(n_configs: int, steps: int, caches: dict[str, str]) -> dict[str, list[float]]:
    """The same in a fresh process with these environment variables; the caches' sizes are read once."""
    environment = {name: value for name, value in os.environ.items() if name not in kernel_caches()} | caches
    words = [sys.executable, __file__, "--child", "--configs", str(n_configs), "--steps", str(steps)]
    found: dict[str, list[float]] = json.loads(
        subprocess.run(words, env=environment, check=True, capture_output=True, text=True).stdout
    )
    return found


def kernel_caches() -> dict[str, str]:
    from study.execution.processes import KERNEL_CACHES

    return KERNEL_CACHES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", type=int, default=20, help="of each family")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(train_all(options.configs, options.steps)))
        return
    ratios = []
    for _ in range(options.repeats):
        runs = {
            name: measure(options.configs, options.steps, c) for name, c in [("own", {}), ("ours", kernel_caches())]
        }
        for name, run in runs.items():
            steps = [round(quarter * options.configs / 4) for quarter in range(5)]
            print(f"{name:<5}" + "".join(f"{run['memory'][step]:>8.0f}" for step in steps) + " MiB")
        ratios.append(sum(runs["ours"]["seconds"]) / sum(runs["own"]["seconds"]))
    print(f"processor seconds, ours / own: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


if __name__ == "__main__":
    main()
