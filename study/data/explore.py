"""What is in a data set: counts, pixels, samples; as JSON, as a picture, as one HTML page.

Of the test split only labels and repeated pictures are counted.
"""

from __future__ import annotations

import base64
import html
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from plotly.offline import get_plotlyjs

from study.data.datasets import IMAGE_SIZE, Dataset, pixel_histogram
from study.data.remarks import Survey
from study.records.files import write_text

PLOT_CONFIG = {"showSendToCloud": False, "displaylogo": False, "responsive": True}
BAR_COLOURS = {"train": "#0072B2", "test": "#E69F00"}
LABEL_MARGIN = 12
MARKDOWN_OF_PLOTLY = str.maketrans({"<": "‹", ">": "›"})


def summarise(survey: Survey, seed: int = 0) -> dict[str, Any]:
    """A data set for JSON; `seed` is recorded as the one that draws the sample grid."""
    dataset, test = survey.dataset, survey.test
    histogram = pixel_histogram(dataset.images)
    seen = np.flatnonzero(histogram)
    share = histogram / histogram.sum()
    mean = float(share @ np.arange(256))
    return {
        "dataset": dataset.name,
        "seed": seed,
        "classes": list(dataset.classes),
        "counts": {
            "train": torch.bincount(dataset.labels, minlength=len(dataset.classes)).tolist(),
            "test": [0] * len(dataset.classes) if test is None else list(test.counts),
        },
        "image_size": list(dataset.images.shape[1:]),
        "pixels": {
            "mean": mean / 255,
            "std": float(np.sqrt(share @ (np.arange(256) - mean) ** 2)) / 255,
            "min": int(seen[0]),
            "max": int(seen[-1]),
            "zero_share": float(share[0]),
            "histogram": histogram.tolist(),
        },
        "tone": asdict(dataset.tone),
        "duplicates": survey.repeats.within_train,
        "repeats": asdict(survey.repeats),
        "remarks": survey.remarks,
        "sha256": {**dataset.sha256, **({} if test is None else test.sha256)},
    }


def class_means(dataset: Dataset) -> NDArray[np.float64]:
    """Mean picture of each class, [C, 28, 28] in grey levels 0 to 255."""
    means = [dataset.images[dataset.labels == label].double().mean(0) for label in range(len(dataset.classes))]
    return torch.stack(means).numpy()


def sample_indices(dataset: Dataset, per_class: int, seed: int) -> list[list[int]]:
    """Up to `per_class` distinct random examples of each class."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    labels = dataset.labels.numpy()
    return [
        rng.permutation(np.flatnonzero(labels == label))[:per_class].tolist() for label in range(len(dataset.classes))
    ]


def sample_grid(dataset: Dataset, per_class: int = 10, seed: int = 0) -> Image.Image:
    """A grey picture with one row a class, its name on the left, and `per_class` samples each."""
    step = IMAGE_SIZE + 2
    left = LABEL_MARGIN + 6 * min(20, max(len(name) for name in dataset.classes))
    sheet = Image.new("L", (left + step * per_class, step * len(dataset.classes)), 255)
    draw = ImageDraw.Draw(sheet)
    for row, indices in enumerate(sample_indices(dataset, per_class, seed)):
        draw.text((4, row * step + 8), _latin(dataset.classes[row][:20]), fill=0)
        for column, index in enumerate(indices):
            picture = Image.fromarray(dataset.images[index].numpy())
            sheet.paste(picture, (left + column * step, row * step + 1))
    return sheet


def _latin(text: str) -> str:
    """Pillow's built-in face may know nothing else."""
    return text.encode("latin-1", "replace").decode("latin-1")


def write_page(path: Path, summary: dict[str, Any], dataset: Dataset) -> None:
    """One HTML file that works offline: counts, mean pictures, grey levels and samples."""
    names = [name.translate(MARKDOWN_OF_PLOTLY) for name in summary["classes"]]
    figures = [
        ("Examples per class", _counts_figure(summary["counts"], names)),
        ("Mean picture of each class", _means_figure(class_means(dataset), names)),
        ("Grey levels of the training pixels", _histogram_figure(summary["pixels"]["histogram"])),
    ]
    drawn = "\n".join(f"<h2>{title}</h2>\n{_fragment(figure)}" for title, figure in figures)
    write_text(path, _page(summary, drawn, _png(sample_grid(dataset, seed=summary["seed"]))))


def _counts_figure(counts: dict[str, list[int]], names: list[str]) -> go.Figure:
    bars = [go.Bar(name=split, x=names, y=n, marker_color=BAR_COLOURS[split]) for split, n in counts.items()]
    figure = go.Figure(bars)
    return figure.update_layout(barmode="group", xaxis={"type": "category", "title": "class"}, yaxis_title="examples")


def _means_figure(means: NDArray[np.float64], names: list[str]) -> go.Figure:
    """All classes in one heatmap, five to a row: one trace draws faster than one for each class."""
    columns = min(5, len(means))
    rows = -(-len(means) // columns)
    sheet = np.zeros((rows * IMAGE_SIZE, columns * IMAGE_SIZE))
    figure = go.Figure()
    for i, mean in enumerate(means):
        top, left = (i // columns) * IMAGE_SIZE, (i % columns) * IMAGE_SIZE
        sheet[top : top + IMAGE_SIZE, left : left + IMAGE_SIZE] = mean
        figure.add_annotation(x=left + 2, y=top + 3, text=names[i], showarrow=False, font={"color": "white"})
    figure.add_trace(go.Heatmap(z=np.round(sheet).astype(np.uint8), colorscale="Greys_r", zmin=0, zmax=255))
    figure.update_xaxes(visible=False)
    return figure.update_yaxes(visible=False, autorange="reversed", scaleanchor="x").update_layout(
        height=160 + 130 * rows
    )


def _histogram_figure(histogram: list[int]) -> go.Figure:
    figure = go.Figure(go.Bar(x=list(range(256)), y=histogram, marker_color=BAR_COLOURS["train"]))
    return figure.update_layout(xaxis_title="grey level", yaxis={"type": "log", "title": "pixels (log)"}, bargap=0)


def _fragment(figure: go.Figure) -> str:
    figure.update_layout(template="none", margin={"t": 20})
    return str(figure.to_html(full_html=False, include_plotlyjs=False, config=PLOT_CONFIG))


def _png(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.NEAREST).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _page(summary: dict[str, Any], figures: str, png: str) -> str:
    name = html.escape(summary["dataset"])
    pixels = summary["pixels"]
    counts = {split: sum(n) for split, n in summary["counts"].items()}
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Data set {name}</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
img {{ max-width: 100% }} th {{ text-align: left }} th, td {{ padding: 0.1rem 1rem 0.1rem 0 }}
.wide {{ overflow-x: auto }}</style>
<script>{get_plotlyjs()}</script>
</head>
<body>
<h1>Data set {name}</h1>
<p>{counts["train"]:,} images to train on and {counts["test"]:,} to test on in {len(summary["classes"])} classes,
{summary["image_size"][0]} × {summary["image_size"][1]} pixels. Of the test split only labels were counted, and
pictures that are there twice.</p>
<p>Training pixels, scaled to 0–1: mean {pixels["mean"]:.4f}, standard deviation {pixels["std"]:.4f}. Grey levels
{pixels["min"]} to {pixels["max"]}; {pixels["zero_share"]:.1%} of all pixels are 0. {_repeats(summary["repeats"])}</p>
{_notes(summary["remarks"])}
<h2>Samples</h2>
<img alt="Random training images, one row for each class" src="data:image/png;base64,{png}">
{figures}
<h2>Numbers</h2>
<div class="wide"><table>
<tr><th>class</th><th>train</th><th>test</th></tr>
{_rows(summary)}
</table></div>
<h2>sha256 of the raw bytes</h2>
<div class="wide"><table>
{_digests(summary["sha256"])}
</table></div>
</body>
</html>
"""


def _repeats(repeats: dict[str, Any]) -> str:
    text = f"{repeats['within_train']:,} training images repeat another one exactly"
    return (
        text
        + ("" if repeats["n_test"] is None else f", {repeats['test_in_train']:,} test images a training image")
        + "."
    )


def _notes(remarks: list[str]) -> str:
    return "\n".join(f"<p><strong>Note:</strong> {html.escape(remark)}.</p>" for remark in remarks)


def _rows(summary: dict[str, Any]) -> str:
    counted = zip(summary["classes"], summary["counts"]["train"], summary["counts"]["test"], strict=True)
    return "\n".join(f"<tr><td>{html.escape(c)}</td><td>{a:,}</td><td>{b:,}</td></tr>" for c, a, b in counted)


def _digests(sha256: dict[str, str]) -> str:
    return "\n".join(
        f"<tr><td>{html.escape(role)}</td><td><code>{html.escape(digest)}</code></td></tr>"
        for role, digest in sha256.items()
    )
