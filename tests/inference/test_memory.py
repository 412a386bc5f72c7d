"""Memory stays where it was, over many files and over the largest ones (RELIABILITY.md F16: growth under 200 MB)."""

import gc
import subprocess
import sys
import tracemalloc
import weakref

import numpy as np
import psutil
import pytest
from PIL import Image

from study.inference.predictor import BATCH, Predictor
from study.inference.render import render

N_FILES = 1500


@pytest.fixture
def predictor(make_bundle, second_reader):
    return Predictor.load(make_bundle(second_reader=second_reader))


def test_nothing_is_left_of_a_file_that_was_answered(predictor, digits, tmp_path):
    """Whatever a file leaves behind, times the files of a large folder, must stay far under 200 MB."""
    paths = []
    for i in range(50):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(np.pad(digits[0][i], 10) if i % 10 == 0 else digits[0][i]).save(paths[-1])

    def read(count):
        for _ in render(predictor.stream(paths[i % 50] for i in range(count)), "csv"):
            pass
        gc.collect()

    tracemalloc.start()
    try:
        read(100)
        before, resident = tracemalloc.get_traced_memory()[0], psutil.Process().memory_info().rss
        read(N_FILES)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    # A single 28 x 28 picture of float32 takes 3,136 bytes.
    assert grown < 500 * N_FILES
    assert psutil.Process().memory_info().rss - resident < 200e6


def test_a_picture_is_let_go_once_its_batch_is_answered(predictor, digits):
    taken = []

    def source():
        for i in range(10 * BATCH):
            picture = digits[0][i].copy()
            taken.append(weakref.ref(picture))
            yield picture
            del picture

    most = max(sum(ref() is not None for ref in taken) for _ in predictor.stream(source()))
    assert most <= BATCH + 1


# Written by one process and read by another, whose peak is then the reader's own.
WRITE = """
import sys
import numpy as np
from PIL import Image
plane = np.full((5000, 5000), 255, np.uint8)
plane[1000:4000, 2300:2700] = 0
folder = sys.argv[1] + "/"
Image.merge("RGBA", [Image.fromarray(plane)] * 3 + [Image.new("L", plane.shape, 255)]).save(
    folder + "a.png", compress_level=1
)
Image.fromarray(plane.astype(np.float32)).save(folder + "b.tiff")
"""
READ = """
import resource, sys
import numpy as np
from study import Predictor
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
predictor = Predictor.load(sys.argv[1])
predictor.predict([np.zeros((40, 40), np.uint8)])
before = peak()
answers = predictor.predict([sys.argv[2] + "/a.png", sys.argv[2] + "/b.tiff"])
print(*(answer.status for answer in answers), peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss differs")
def test_a_picture_of_25_million_pixels_grows_the_process_by_less_than_200_mb(make_bundle, tmp_path):
    subprocess.run([sys.executable, "-c", WRITE, tmp_path], check=True)
    command = [sys.executable, "-c", READ, make_bundle(), tmp_path]
    *statuses, grown = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert "error" not in statuses
    assert float(grown) < 200
