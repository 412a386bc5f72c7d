"""MODEL_CARD.md in the form of the Hugging Face hub: YAML front matter, then plain sections."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from study.inference.abstain import MAX_ERROR, MAX_HANDS_ERROR, MAX_UNANSWERED, TOO_FEW, widest_fitted_set
from study.records.shifts import read_gains

_CARD = """---
license: mit
library_name: pytorch
pipeline_tag: image-classification
tags:
{tag}- {family_yaml}
datasets:
- {dataset_yaml}
{results_yaml}---

# {name}

A network of the family {family} that reads single {dataset} images into {n_classes} classes, made by `digit-study`.
{found}
{class_names}
## How to use

```python
from study import Predictor

predictor = Predictor.load("model")
for row in predictor.predict(["photo.png"], coverage=0.9995):
    print(row.status, row.digit, row.probability, row.set)
```

From a shell: `study predict --model model --coverage 0.9995 photo.png`. The answer is the network's. Its probability is
calibrated on validation images; where `second_reader.safetensors` is there, a Gaussian model of stroke directions is
heard too. `set` contains the true {answer} with the coverage, 0.999 by default, for pictures like the
validation images.{alone}

## Input

A picture {pictured}: photo, scan, screenshot or drawing, dark on bright or bright on dark. It is brought into
MNIST's form first: ground flattened, box fitted into 20 x 20, centre of mass in the middle of 28 x 28. The network
itself takes float [B, 1, 28, 28], ink bright: (pixel / 255 - mean) / std, mean {mean}, standard deviation {std}.{light}
{reading}{last_stage}
## Results on the test split

{results}
## Abstention

{abstention}
## Limits

Trained on {dataset} alone. {limits}
A probability is calibrated for pictures like the validation images, not for others.

## Origin

{origin}"""

_INDEX = """model-index:
- name: {name}
  results:
  - task:
      type: image-classification
    dataset:
      name: {dataset}
      type: {dataset}
      split: test
    metrics:
    - type: accuracy
      value: {accuracy:.6f}
"""


_LIGHT = """
`Predictor` and an exported file show it pictures on black alone: where the middle one of the outermost pixels is
brighter than 16 of 255, the ground is taken away first, whatever its light. Its training images are all on black."""

_LIMITS_OF_DIGITS = """Letters that look like digits are read as digits. Strong blur and digits turned by more than
about 15 degrees are read badly, and so are long strings of digits that touch one another."""
_LIMITS = """Whatever looks like one of its classes may be read as that class. Strong blur and pictures turned by more
than about 15 degrees are read badly."""

# Where its configuration comes from; older studies do not say.
_CHOSEN = "It was trained again under fresh seeds and chosen on validation images."
_FOUND = {
    "found": f"Its search found the configuration. {_CHOSEN}",
    "given": f"The configuration was given to the study, which did not find it by search. {_CHOSEN}",
    None: _CHOSEN,
}


def model_card(meta: Mapping[str, Any], metrics: Mapping[str, Any] | None) -> str:
    """The card of a model from its `model.json` and, once the test split was read, its test metrics.

    `metrics` may hold accuracy, nll, f1_macro or any other number of the test split, with or without "test_" before the
    name; None before it was opened. Names that begin with "validation" are left out.
    """
    dataset = dict(meta.get("dataset") or {}).get("name", "unknown")
    classes = meta.get("classes") or ()
    numbered = _numbered(classes)
    return _CARD.format(
        tag="- digits\n" if numbered else "",
        pictured="with one digit" if numbered else "of one of its classes",
        answer="digit" if numbered else "class",
        limits=_LIMITS_OF_DIGITS if numbered else _LIMITS,
        family_yaml=_yaml(meta.get("family", "unknown")),
        dataset_yaml=_yaml(dataset),
        results_yaml=_model_index(meta, dataset, metrics),
        name=_text(_name(meta)),
        family=_text(meta.get("family", "unknown")),
        dataset=_text(dataset),
        n_classes=_text(meta.get("n_classes", "?")),
        found=_FOUND[meta.get("origin")],
        class_names="" if numbered else _class_names(classes),
        mean=_rounded(meta.get("mean")),
        std=_rounded(meta.get("std")),
        light=_LIGHT if meta.get("on_black") else "",
        reading=_reading(meta),
        last_stage=_last_stage(meta),
        alone=_alone(meta),
        results=_results(metrics),
        abstention=_abstention(meta, numbered),
        origin=_origin(meta),
    )


def _yaml(value: object) -> str:
    """A scalar that YAML reads back as the same text: JSON strings are YAML."""
    return json.dumps(str(value), ensure_ascii=True)


def _text(value: object) -> str:
    """A value from outside inside Markdown: one line, its markup switched off."""
    line = " ".join(str(value).split())
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|!" else c for c in line)


def _numbered(classes: Sequence[object]) -> bool:
    """Whether the classes, in the order of the logits, are called by their numbers, as digits are."""
    return [str(name) for name in classes] == [str(number) for number in range(len(classes))]


def _class_names(names: Sequence[object]) -> str:
    """A paragraph with the names in the order of the logits."""
    return f"\nThe classes, in the order of the logits: {', '.join(map(_text, names))}.\n"


def _last_stage(meta: Mapping[str, Any]) -> str:
    """What the network learned last and what that changed; nothing where there was no such stage."""
    judged = dict(dict(meta.get("last_stage") or {}).get("judged") or {})
    if not judged:
        return ""
    examples = f"{meta['last_stage']['examples']:,} images"
    learned = (
        f"Its configuration was trained anew, for longer, on {examples}, three in ten of them"
        if meta["last_stage"].get("anew")
        else f"After its training it learned from {examples} more, three in ten of them"
    )
    return f"""
## Last stage

{learned}
as other pens and hands would leave them. A run of the same configuration, which had not seen the validation images,
read {_percent(judged["before"], 2)} of {judged["images"]:,} of them before and {_percent(judged["after"], 2)} after; of
corrupted ones {_percent(judged["corrupted_before"])} before and {_percent(judged["corrupted_after"])} after.
"""


def _reading(meta: Mapping[str, Any]) -> str:
    """How a picture is read that the network is unsure of; nothing where shifts were not looked at."""
    gain = next(iter(read_gains(meta)), None)
    if gain is None:
        return ""
    measured = f"{gain.passes:.2f} passes per image, mended {gain.mended} answers and spoiled {gain.spoiled}"
    if not meta.get("reading"):
        return f"""
## Reading

Each picture is read once. Reading it again, moved by a pixel, was tried on {gain.images:,} validation images: it took
{measured}.
"""
    below = meta["reading"]["below"]
    return f"""
## Reading

Each picture is read once. Where the calibrated probability of that answer is under {below}, it is read
again, moved by one pixel up, down, left and right, and the mean of the five outputs is the answer: five passes
through the network in place of one. `model.onnx` reads in the same way.
On {gain.images:,} validation images that took {measured}.
"""


def _rounded(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, int | float) else "unknown"


def _name(meta: Mapping[str, Any]) -> str:
    return f"{meta.get('study', 'study')} {meta.get('run', 'model')}"


def _numbers(metrics: Mapping[str, Any] | None) -> dict[str, float]:
    """Test metrics by their plain names; validation has chosen the model and is no performance."""
    found = {k: v for k, v in (metrics or {}).items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return {k.removeprefix("test_"): v for k, v in found.items() if not k.startswith("validation")}


def _model_index(meta: Mapping[str, Any], dataset: object, metrics: Mapping[str, Any] | None) -> str:
    numbers = _numbers(metrics)
    if "accuracy" not in numbers:
        return ""
    return _INDEX.format(name=_yaml(_name(meta)), dataset=_yaml(dataset), accuracy=numbers["accuracy"])


def _results(metrics: Mapping[str, Any] | None) -> str:
    numbers = _numbers(metrics)
    if not numbers:
        return "The test split was not opened for this model; there is no performance to quote.\n"
    return _table(("measure", "value"), [(name, f"{value:.6g}") for name, value in numbers.items()])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(_text(cell) for cell in row)} |\n" for row in rows]
    return f"| {' | '.join(header)} |\n|{'---|' * len(header)}\n{''.join(lines)}"


def _abstention(meta: Mapping[str, Any], numbered: bool) -> str:
    fitted = dict(meta.get("abstention") or {})
    threshold = meta.get("threshold", fitted.get("threshold"))
    if threshold is None:
        return "No threshold was fitted for this model.\n"
    text = (
        f"The answer is left open under a calibrated probability of {threshold:.4f}, and for blank pictures, several\n"
    )
    rest = "digits, and what looks like no digit" if numbered else "at once, and what is like none of its classes"
    text += f"{rest}.\n"
    if "error_bound" in fitted and "answered" in fitted:
        text += "\n" + _trade_off(fitted) + "\n" + _refusals(fitted.get("refusals") or [])
    return text


def _trade_off(fitted: Mapping[str, Any]) -> str:
    """What the threshold costs and keeps, beside what others would."""
    text = _WHY.get(str(fitted.get("chosen_by"))) or _why_untold(fitted["error_bound"])
    text += "It was chosen on the validation images, as were these others for `--threshold`:\n\n"
    points = {point["threshold"]: point for point in [*fitted.get("trade_off", []), fitted]}
    rows = [
        (f"{threshold:.4f}", _percent(1 - point["answered"]), _percent(point["error_bound"], 3))
        for threshold, point in sorted(points.items())
    ]
    text += _table(("threshold", "clean images left open", "95 % bound of the error among the others"), rows)
    return text + _hands(fitted["hands"]) if "hands" in fitted else text


def _why_untold(error_bound: float) -> str:
    """Why the threshold is no lower, for models whose file does not say."""
    if error_bound <= MAX_ERROR:
        return f"The threshold is the lowest that holds the upper 95 % bound of the error at {_percent(MAX_ERROR)}.\n"
    text = f"An error bound of {_percent(MAX_ERROR)} would leave more than {_percent(MAX_UNANSWERED)} of clean images "
    return text + "open. The threshold stops there, or\nat one half: this network does not reach the bound.\n"


def _hands(measured: Mapping[str, Any]) -> str:
    """What the threshold does to pictures as people deliver them."""
    opened, wrong, right = 1 - measured["answered"], measured["wrong"], measured["right"]
    text = (
        f"\nThe threshold was chosen on {measured['pictures']} pictures by other pens and hands, too, drawn by program "
    )
    text += (
        f"from\nvalidation images: it leaves {_percent(opened)} of them open and answers {_percent(wrong, 2)} wrongly; "
    )
    return text + f"the best guess\nis right in {_percent(right)}.\n"


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


# Why the threshold is no lower, by what it was chosen by.
_WHY = {
    "clean": f"""The threshold is the lowest that holds the upper 95 % bound of the error among clean images at
{_percent(MAX_ERROR)}.
""",
    "hands": f"""The threshold is the lowest that holds the upper 95 % bound of the error among pictures by other pens
and hands at {_percent(MAX_HANDS_ERROR)}; a lower one would hold that of {_percent(MAX_ERROR)} among clean images.
""",
    "floor": """The threshold is at its least: every answer to a clean image that is likelier than not is given.
""",
    "cost": f"""A higher threshold would leave more than {_percent(MAX_UNANSWERED)} of clean images open. It stops
there, though it would have to be higher to hold the bounds of the error: this network does not reach them.
""",
}


def _refusals(measured: Sequence[Mapping[str, Any]]) -> str:
    if not measured:
        return ""
    text = "Pictures drawn by program, unseen in fitting, read by the run of the same configuration that was trained\n"
    text += f"without the validation images; {measured[0]['pictures']} of each kind:\n\n"
    rows = [(row["picture"], _percent(row["abstained"]), _percent(row["wrong"])) for row in measured]
    return text + _table(("picture", "left open", "wrong answers"), rows)


def _alone(meta: Mapping[str, Any]) -> str:
    """Up to which coverage a set has one class: the answer is always in it, and of two one has less than a half."""
    fitted = dict(meta.get("abstention") or {})
    alone = [float(coverage) for coverage, level in dict(fitted.get("sets") or {}).items() if level > 0.5]
    told = (
        ""
        if not alone
        else f"\nUp to a coverage of {max(alone):g} it is the answer alone: this network is right so often."
    )
    widest = widest_fitted_set(fitted)
    return told if widest is None else told + f"\nBeyond {widest:g} it holds all classes: there were {TOO_FEW}."


def _origin(meta: Mapping[str, Any]) -> str:
    keys = ("study", "trial", "run", "created", "weights_sha256")
    lines = [f"- {key}: {_text(meta[key])}" for key in keys if meta.get(key) is not None]
    versions = ", ".join(f"{_text(k)} {_text(v)}" for k, v in dict(meta.get("versions") or {}).items())
    return "\n".join(lines + ([f"- versions: {versions}"] if versions else [])) + "\n"
