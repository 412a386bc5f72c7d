"""One HTML page that shows how pictures were read: every step's image, the likeliest answers, why one was left open."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

import jinja2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from study.data.opening import STDIN, open_gray
from study.errors import ImageError
from study.inference.answer import Prediction
from study.inference.grouping import Box
from study.inference.ink import Invert
from study.inference.preprocess import Look, look_at

PAGE = "explain.html"
SHOWN_PARTS = 100  # digits of one picture whose network inputs are shown

_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>How the pictures were read</title>
<meta name="viewport" content="width=device-width">
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
section { border-top: 1px solid #bbb; padding: 1rem 0 }
figure { display: inline-block; margin: 0 1rem 1rem 0; vertical-align: top }
figure img { max-width: 16rem; max-height: 16rem; image-rendering: pixelated; border: 1px solid #bbb; display: block }
figcaption { font-size: .85rem; max-width: 16rem }
h2 { font-size: 1.1rem; overflow-wrap: anywhere }
table { border-collapse: collapse } td, th { padding: 0 .8rem .1rem 0; text-align: left }
</style></head><body><h1>How the pictures were read</h1>
<p>An answer is left open where its probability is under {{ '%.4f' % threshold }}.</p>
"""
_SECTION = """<section><h2>{{ path }}</h2>
{% for step in steps %}<figure><img src="{{ step.image }}" alt="{{ step.caption }}"><figcaption>{{ step.caption }}
</figcaption></figure>
{% endfor %}
{% for answer in answers %}<div><figure>
{% if answer.image %}<img src="{{ answer.image }}" alt="what the network saw" width="112" height="112">{% endif %}
<figcaption>what the network saw</figcaption></figure>
<figure><table><tr><th>status</th><td>{{ answer.said.status }}</td></tr>
{% if answer.said.reason %}<tr><th>why</th><td>{{ answer.said.reason }}</td></tr>{% endif %}
{% if answer.said.flags %}<tr><th>flags</th><td>{{ answer.said.flags | join(', ') }}</td></tr>{% endif %}
{% if answer.said.box %}<tr><th>box</th>
<td>{{ answer.said.box | join(' ') }}, row {{ answer.said.row }}</td></tr>{% endif %}
{% for name, probability in answer.top %}<tr><th>{{ name }}</th><td>{{ '%.4f' % probability }}
<meter value="{{ probability }}"></meter></td></tr>{% endfor %}
</table></figure></div>
{% endfor %}{% if left_out %}<p>{{ left_out }} more digits are not shown.</p>{% endif %}
</section>
"""


@dataclass(frozen=True)
class _Step:
    image: str
    caption: str


@dataclass(frozen=True)
class _Shown:
    """One answer and what the network saw, as a data address."""

    said: Prediction
    image: str | None
    top: tuple[tuple[str, float], ...]


class ExplainPage:
    """`folder`/explain.html, written picture by picture as answers come; used in a `with` statement."""

    def __init__(self, folder: Path, classes: Sequence[str], threshold: float, invert: Invert = "auto") -> None:
        self.path = folder / PAGE
        self._classes, self._threshold, self._invert = tuple(classes), threshold, invert
        self._answers: list[Prediction] = []
        self._file: IO[str] | None = None
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        self._head, self._section = (environment.from_string(text) for text in (_HEAD, _SECTION))

    def __enter__(self) -> ExplainPage:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("w", encoding="utf-8", errors="backslashreplace")
        self._file.write(self._head.render(threshold=self._threshold))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._file is not None
        self._write()
        self._file.write("</body></html>\n")
        self._file.close()

    def add(self, answer: Prediction) -> None:
        """Answers in the order of `Predictor.stream`: those about one picture follow one another."""
        if self._answers and self._answers[-1].path != answer.path:
            self._write()
        self._answers.append(answer)

    def _write(self) -> None:
        if not self._answers:
            return
        assert self._file is not None
        answers, self._answers = self._answers, []
        shown = [self._shown(answer) for answer in answers[:SHOWN_PARTS]]
        steps = list(_steps(answers, self._invert))
        left_out = len(answers) - len(shown)
        self._file.write(self._section.render(path=answers[0].path, steps=steps, answers=shown, left_out=left_out))

    def _shown(self, answer: Prediction) -> _Shown:
        image = None if answer.pixels is None else picture_address(answer.pixels)
        top = tuple((self._classes[int(entry["digit"])], float(entry["probability"])) for entry in answer.top_k)
        return _Shown(answer, image, top)


def _steps(answers: Sequence[Prediction], invert: Invert) -> Iterator[_Step]:
    """The picture again, step by step; nothing where it cannot be opened or stood on stdin."""
    path = answers[0].path
    if path == STDIN:
        return
    try:
        opened = open_gray(path)
    except ImageError:
        return
    yield _Step(picture_address(_bytes(opened.gray)), "the picture in grey, as it was opened")
    look = look_at(opened, invert)
    if look.untouched:
        yield _Step(picture_address(_bytes(opened.gray)), "in MNIST's own form: passed untouched")
        return
    if look.sheet.gray.shape != opened.gray.shape:
        yield _Step(picture_address(_bytes(look.sheet.gray)), "the sheet that was found in it")
    yield _Step(picture_address(_bytes(look.ink)), "its ink, the ground flattened")
    boxes, said = _boxes(look, answers)
    yield _Step(picture_address(_with_boxes(look, boxes)), f"strokes without lines, frames and specks; {said}")


def _boxes(look: Look, answers: Sequence[Prediction]) -> tuple[list[Box], str]:
    """The answers' boxes in work pixels; for one answer about a whole picture the boxes of all that was found."""
    if len(answers) == 1:
        return [part.box for part in look.parts], f"{len(look.parts)} found at this size"
    boxes = [look.in_sheet(answer.box) for answer in answers if answer.box is not None]
    return boxes, f"the boxes of the {len(boxes)} answers"


def _with_boxes(look: Look, boxes: Sequence[Box]) -> NDArray[np.uint8]:
    picture = Image.fromarray(look.mask.astype(np.uint8) * 255).convert("RGB")
    draw = ImageDraw.Draw(picture)
    for left, top, right, bottom in boxes:
        draw.rectangle((left - 1, top - 1, right, bottom), outline=(255, 60, 60))
    return np.asarray(picture)


def _bytes(gray: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.round(np.clip(gray, 0, 1) * 255), dtype=np.uint8)


def picture_address(pixels: NDArray[np.uint8]) -> str:
    """The picture inside the page: a PNG as a data address."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
