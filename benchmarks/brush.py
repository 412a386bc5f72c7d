"""Milliseconds that a brush over the report's explorer of trials takes at each move, in headless Chromium.

    python benchmarks/brush.py results/mnist [--trials 10000] [--moves 40]

Works on a copy of the study in a temporary folder, with invented trials added to its own, equally for every family.
`handled` is from a move of the pointer until the selection, the lines, the points and the table are drawn; `shown`
until the browser asks for the next picture, which includes whatever else the machine does. Needs chromium, chromedriver
and selenium.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
from report_time import copy_study, grow
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

from study.records.settings import load_settings
from study.report.page import write_report

_READY = "return document.getElementById('explorer').dataset.ready === 'yes'"
_BRUSH = """
const [moves, done] = arguments, over = document.querySelector("#explorer [data-part=over]"), times = [];
const box = over.getBoundingClientRect();
const fire = (kind, y) => over.dispatchEvent(
  new PointerEvent(kind, {clientX: box.left + 40, clientY: box.top + y, bubbles: true}));
over.setPointerCapture = () => {};
fire("pointerdown", 14);
const step = move => {
  const began = performance.now();
  fire("pointermove", 20 + 240 * move / moves);
  const handled = performance.now() - began;
  requestAnimationFrame(() => {
    times.push([handled, performance.now() - began]);
    if (move < moves) step(move + 1); else done(times);
  });
};
step(1);
"""


def milliseconds(page: Path, moves: int) -> np.ndarray:
    """(handled, shown) of each move [moves, 2]."""
    options = Options()
    options.binary_location = shutil.which("chromium") or shutil.which("google-chrome") or ""
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "window-size=1200,900"):
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        driver.set_script_timeout(120)
        driver.get(f"{page.as_uri()}#mattered?sort=-accuracy")
        WebDriverWait(driver, 120).until(lambda d: d.execute_script(_READY))
        return np.array(driver.execute_async_script(_BRUSH, moves))
    finally:
        driver.quit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--trials", type=int, default=10_000, help="of each family (default: 10000)")
    parser.add_argument("--moves", type=int, default=40)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as parent:
        files = copy_study(args.study, Path(parent))
        n_families = len(load_settings(files.settings).families)
        n = grow(files, files.trials_jsonl.read_bytes(), args.trials * n_families)
        times = milliseconds(write_report(files), args.moves)
    print(f"{n:,} trials of {n_families} families, {args.moves} moves of a brush")
    for name, column in zip(("handled", "shown"), times.T, strict=True):
        print(f"{name}: median {np.median(column):.0f} ms, 90 % {np.quantile(column, 0.9):.0f} ms")


if __name__ == "__main__":
    main()
