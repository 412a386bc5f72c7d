"""How fast `study predict` starts and reads, on one core. Half a minute.

    python benchmarks/predict_speed.py results/mnist/model [--files 400]

Pictures are drawn by program, saved as files and read through the Predictor: what a folder of them costs, decoding
included. The start is a whole `study predict` of one picture.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from study.data.datasets import load_train
from study.inference.predictor import Predictor

Picture = NDArray[np.uint8]


def enlarged(side: int) -> Callable[[Picture], Image.Image]:
    """Dark ink on white paper, the digit over half of it."""

    def made(digit: Picture) -> Image.Image:
        paper = Image.new("L", (side, side), 255)
        half = Image.fromarray(255 - digit).resize((side // 2, side // 2), Image.Resampling.BICUBIC)
        paper.paste(half, (side // 4, side // 4))
        return paper

    return made


KINDS: dict[str, tuple[str, Callable[[Picture], Image.Image]]] = {
    "MNIST's form, 28 x 28, PNG": ("png", Image.fromarray),
    "inverted, 28 x 28, PNG": ("png", lambda digit: Image.fromarray(255 - digit)),
    "on paper, 64 x 64, PNG": ("png", enlarged(64)),
    "on paper, 100 x 100, JPEG": ("jpg", enlarged(100)),
    "on paper, 400 x 400, JPEG": ("jpg", enlarged(400)),
    "on paper, 2000 x 2000, JPEG": ("jpg", enlarged(2000)),
}


def seconds_of(predictor: Predictor, paths: list[Path]) -> float:
    started = time.perf_counter()
    for _ in predictor.stream(paths):
        pass
    return time.perf_counter() - started


def start_seconds(model: Path, picture: Path) -> float:
    command = [sys.executable, "-m", "study", "predict", "--model", str(model), str(picture)]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="a model folder")
    parser.add_argument("--files", type=int, default=400, help="of each small kind; a tenth of the large ones")
    options = parser.parse_args()
    torch.set_num_threads(1)
    predictor, digits = Predictor.load(options.model), load_train("mnist").images[: options.files].numpy()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{'files':30} {'a second':>9} {'ms each':>8}   best of three")
        for kind, (suffix, made) in KINDS.items():
            chosen = digits if made(digits[0]).width <= 100 else digits[: max(1, len(digits) // 10)]
            paths = [folder / f"{i}.{suffix}" for i in range(len(chosen))]
            for path, digit in zip(paths, chosen, strict=True):
                made(digit).save(path)
            best = min(seconds_of(predictor, paths) for _ in range(3)) / len(paths)
            print(f"{kind:30} {1 / best:9.0f} {1000 * best:8.2f}", flush=True)
        Image.fromarray(digits[0]).save(folder / "one.png")
        starts = [start_seconds(options.model, folder / "one.png") for _ in range(5)]
        print(f"start to answer: median {statistics.median(starts):.2f} s, worst of five {max(starts):.2f} s")


if __name__ == "__main__":
    main()
