"""Real digits the way strangers deliver them: one encoded picture per digit and kind, drawn by program.

Every picture is drawn as light: paper or ground [H, W, 3] in 0 … 1, ink laid on by its coverage, light and lens last.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

Plane = NDArray[np.float32]
Rng = np.random.Generator


@dataclass
class Scene:
    """How one picture is made; a kind sets what it is about and leaves the rest."""

    canvas: int = 160  # pixels of the picture's longer side
    share: tuple[float, float] = (0.4, 0.75)  # digit's box of the canvas
    weight: float = 0.0  # of the strokes, in MNIST pixels: below 0 thinner, above 0 thicker
    rotate: float = 8.0  # degrees at most
    ink: tuple[float, float, float] = (0.1, 0.1, 0.15)
    paper: tuple[float, float, float] = (0.97, 0.97, 0.96)
    opacity: float = 1.0
    grain: float = 0.0  # share of the ink that the paper's texture takes
    noise: float = 0.01
    blur: float = 0.0  # standard deviation as a share of the canvas
    light: Callable[[Plane, Plane, Rng], Plane] | None = None
    drawn: Callable[[ImageDraw.ImageDraw, int, int, Rng], None] | None = None  # black on white, laid over as ink
    drawn_ink: tuple[float, float, float] = (0.3, 0.4, 0.7)
    encode: Callable[[Plane, Plane, Rng], bytes] = field(default=lambda rgb, ink, rng: as_png(rgb))


def strangers(digits: NDArray[np.uint8], kind: str, seed: int) -> Iterator[bytes]:
    """Encoded pictures of MNIST digits [N, 28, 28], one each, of one kind of KINDS."""
    for i, digit in enumerate(digits):
        rng = np.random.default_rng((seed, sorted(KINDS).index(kind), i))
        yield draw(digit, KINDS[kind](rng), rng)


def draw(digit: NDArray[np.uint8], scene: Scene, rng: Rng) -> bytes:
    ink = coverage(digit, scene, rng)
    height, width = ink.shape
    rgb = np.ones((height, width, 3), np.float32) * np.array(scene.paper, np.float32)
    if scene.drawn is not None:
        rgb = _laid(rgb, _drawing(scene, height, width, rng), scene.drawn_ink)
    if scene.grain:
        texture = ndimage.gaussian_filter(rng.standard_normal(ink.shape), max(0.6, width / 250))
        ink = ink * np.clip(1 - scene.grain * (0.5 + texture / max(texture.std(), 1e-6) * 0.5), 0, 1)
    rgb = _laid(rgb, ink * scene.opacity, scene.ink)
    if scene.light is not None:
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
        rgb = rgb * scene.light(x, y, rng)[..., None]
    if scene.blur:
        rgb = ndimage.gaussian_filter(rgb, (scene.blur * width, scene.blur * width, 0))
    rgb = np.clip(rgb + rng.normal(0, scene.noise, rgb.shape), 0, 1).astype(np.float32)
    return scene.encode(rgb, ink.astype(np.float32), rng)


def coverage(digit: NDArray[np.uint8], scene: Scene, rng: Rng) -> Plane:
    """The digit's ink [H, W] in 0 … 1: enlarged smoothly, turned, made thin or bold, put somewhere on the canvas."""
    height, width = scene.canvas, max(16, round(scene.canvas * rng.uniform(0.75, 1.0)))
    if rng.random() < 0.5:
        height, width = width, height
    field_ = np.pad(np.asarray(digit, np.float32) / 255, 4)
    if scene.weight > 0:
        bold = ndimage.grey_dilation(field_, footprint=ndimage.generate_binary_structure(2, 1))
        field_ += scene.weight * (bold - field_)
    rows, columns = np.flatnonzero(field_.max(1) > 0.3), np.flatnonzero(field_.max(0) > 0.3)
    box = (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1)
    turn = np.deg2rad(rng.uniform(-scene.rotate, scene.rotate))
    size = rng.uniform(*scene.share) * min(height, width)
    scale = max(box[1] - box[0], box[3] - box[2]) / size
    spare_y, spare_x = max(0.0, (height - size) / 2 - 1), max(0.0, (width - size) / 2 - 1)
    middle = (height / 2 + rng.uniform(-spare_y, spare_y), width / 2 + rng.uniform(-spare_x, spare_x))
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    source = np.array([(box[0] + box[1] - 1) / 2, (box[2] + box[3] - 1) / 2])
    smooth = ndimage.gaussian_filter(field_, 0.7 if scale < 0.7 else 0.35)
    made = ndimage.affine_transform(smooth, matrix, source - matrix @ np.array(middle), (height, width), order=3)
    level, edge = 0.38 - 0.12 * min(scene.weight, 0), max(0.06, 0.25 * scale)
    return np.clip((made - level) / edge + 0.5, 0, 1).astype(np.float32)


def _laid(rgb: Plane, ink: Plane, colour: tuple[float, float, float]) -> Plane:
    return rgb * (1 - ink[..., None]) + np.array(colour, np.float32) * ink[..., None]


def _drawing(scene: Scene, height: int, width: int, rng: Rng) -> Plane:
    sheet = Image.new("L", (width, height), 0)
    assert scene.drawn is not None
    scene.drawn(ImageDraw.Draw(sheet), width, height, rng)
    return np.asarray(sheet, np.float32) / 255


# --- light, drawings, encodings --------------------------------------------------------------------------------------


def slope_light(x: Plane, y: Plane, rng: Rng) -> Plane:
    angle = rng.uniform(0, 2 * np.pi)
    return 0.75 + rng.uniform(0.12, 0.25) * (x * np.cos(angle) + y * np.sin(angle)) - 0.06 * (x * x + y * y)


def shadow_light(x: Plane, y: Plane, rng: Rng) -> Plane:
    angle, place = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5)
    edge = (x * np.cos(angle) + y * np.sin(angle) - place) / rng.uniform(0.1, 0.5)
    return 0.95 - rng.uniform(0.25, 0.5) / (1 + np.exp(-4 * edge))


def ruled(draw_: ImageDraw.ImageDraw, width: int, height: int, rng: Rng) -> None:
    pitch, slant = height * rng.uniform(0.14, 0.3), width * rng.uniform(-0.03, 0.03)
    for y in np.arange(rng.uniform(0, pitch), height, pitch):
        draw_.line([(0, y), (width, y + slant)], fill=255, width=max(1, width // 150))


def squared(draw_: ImageDraw.ImageDraw, width: int, height: int, rng: Rng) -> None:
    pitch = height * rng.uniform(0.12, 0.25)
    for y in np.arange(rng.uniform(0, pitch), height, pitch):
        draw_.line([(0, y), (width, y)], fill=255, width=max(1, width // 150))
    for x in np.arange(rng.uniform(0, pitch), width, pitch):
        draw_.line([(x, 0), (x, height)], fill=255, width=max(1, width // 150))


def framed(draw_: ImageDraw.ImageDraw, width: int, height: int, rng: Rng) -> None:
    inset = rng.uniform(0, 0.06)
    box = [width * inset, height * inset, width * (1 - inset) - 1, height * (1 - inset) - 1]
    draw_.rectangle(box, outline=255, width=max(1, round(width * rng.uniform(0.008, 0.025))))


def specked(draw_: ImageDraw.ImageDraw, width: int, height: int, rng: Rng) -> None:
    for _ in range(int(rng.integers(4, 25))):
        x, y, r = rng.uniform(0, width), rng.uniform(0, height), width * rng.uniform(0.002, 0.009)
        draw_.ellipse([x - r, y - r, x + r, y + r], fill=255)


def _picture(rgb: Plane) -> Image.Image:
    return Image.fromarray(np.round(rgb * 255).astype(np.uint8))


def _saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def as_png(rgb: Plane) -> bytes:
    return _saved(_picture(rgb), "PNG")


def as_jpeg(low: int, high: int) -> Callable[[Plane, Plane, Rng], bytes]:
    return lambda rgb, ink, rng: _saved(_picture(rgb), "JPEG", quality=int(rng.integers(low, high)))


def transparent(rgb: Plane, ink: Plane, rng: Rng) -> bytes:
    shade = (0.0, 0.0, 0.0) if rng.random() < 0.6 else (1.0, 1.0, 1.0)
    colour = np.ones_like(rgb) * np.array(shade, np.float32)
    rgba = np.round(np.concatenate([colour, ink[..., None]], axis=-1) * 255).astype(np.uint8)
    return _saved(Image.fromarray(rgba), ("PNG", "WEBP")[int(rng.integers(2))], lossless=True)


def wide(rgb: Plane, ink: Plane, rng: Rng) -> bytes:
    gray = rgb.mean(-1)
    match int(rng.integers(3)):
        case 0:
            return _saved(Image.fromarray(np.round(gray * 65_535).astype(np.uint16)), "PNG")
        case 1:
            return _saved(Image.fromarray(np.round(gray * 4_095).astype(np.uint16)), "TIFF")
        case _:
            return _saved(Image.fromarray((gray * rng.uniform(0.5, 300)).astype(np.float32)), "TIFF")


def turned(rgb: Plane, ink: Plane, rng: Rng) -> bytes:
    """A phone held sideways: pixels stored turned, the way back in EXIF."""
    orientation, back = ((3, 2), (6, 1), (8, 3))[int(rng.integers(3))]
    exif = Image.Exif()
    exif[0x0112] = orientation
    return _saved(_picture(np.rot90(rgb, back)), "JPEG", quality=85, exif=exif)


def palette(rgb: Plane, ink: Plane, rng: Rng) -> bytes:
    return _saved(_picture(rgb).convert("P", palette=Image.Palette.ADAPTIVE), ("GIF", "PNG")[int(rng.integers(2))])


def bilevel(rgb: Plane, ink: Plane, rng: Rng) -> bytes:
    plane = Image.fromarray(rgb.mean(-1) > 0.55)
    return _saved(plane, ("PNG", "TIFF", "BMP")[int(rng.integers(3))])


# --- kinds -----------------------------------------------------------------------------------------------------------

BLUE, RED, GREEN, GREY = (0.1, 0.2, 0.65), (0.8, 0.1, 0.15), (0.05, 0.5, 0.2), (0.35, 0.35, 0.36)


def _one_of(rng: Rng, *choices: Any) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _size(rng: Rng, low: int, high: int) -> int:
    return round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))


KINDS: dict[str, Callable[[Rng], Scene]] = {
    "pen on white paper": lambda r: Scene(canvas=_size(r, 80, 400), ink=_one_of(r, BLUE, (0.05, 0.05, 0.1))),
    "coloured paper": lambda r: Scene(
        canvas=_size(r, 80, 400),
        paper=_one_of(r, (0.95, 0.9, 0.5), (0.75, 0.85, 0.95), (0.9, 0.7, 0.75), (0.7, 0.6, 0.45)),
    ),
    "coloured pen": lambda r: Scene(
        canvas=_size(r, 80, 400), ink=_one_of(r, RED, GREEN, (0.95, 0.8, 0.1), (0.3, 0.75, 0.95))
    ),
    "lighting gradient": lambda r: Scene(
        canvas=_size(r, 150, 700), light=slope_light, noise=0.02, encode=as_jpeg(60, 95)
    ),
    "shadow": lambda r: Scene(canvas=_size(r, 150, 700), light=shadow_light, noise=0.015, encode=as_jpeg(60, 95)),
    "pencil": lambda r: Scene(
        canvas=_size(r, 150, 600),
        ink=GREY,
        opacity=float(r.uniform(0.5, 0.9)),
        grain=0.5,
        weight=-0.8,
        light=slope_light,
        noise=0.015,
        encode=as_jpeg(70, 95),
    ),
    "thin pen": lambda r: Scene(canvas=_size(r, 150, 800), weight=-1.4),
    "marker": lambda r: Scene(canvas=_size(r, 100, 500), weight=0.5, ink=_one_of(r, (0.05, 0.05, 0.05), RED, BLUE)),
    "chalk on a board": lambda r: Scene(
        canvas=_size(r, 100, 500),
        paper=_one_of(r, (0.1, 0.2, 0.15), (0.08, 0.08, 0.08)),
        ink=(0.9, 0.9, 0.88),
        grain=0.35,
        noise=0.02,
        encode=as_jpeg(60, 90),
    ),
    "white on black": lambda r: Scene(canvas=_size(r, 28, 400), paper=(0, 0, 0), ink=(1, 1, 1), noise=0.0),
    "tiny": lambda r: Scene(canvas=_size(r, 20, 40), share=(0.6, 0.85)),
    "huge": lambda r: Scene(canvas=_size(r, 1000, 2000), encode=as_jpeg(80, 95)),
    "far off centre": lambda r: Scene(canvas=_size(r, 150, 600), share=(0.15, 0.3)),
    "tight crop": lambda r: Scene(canvas=_size(r, 40, 300), share=(0.9, 0.96), rotate=4),
    "rotated to 15 degrees": lambda r: Scene(canvas=_size(r, 80, 400), rotate=15),
    "JPEG artefacts": lambda r: Scene(canvas=_size(r, 60, 300), encode=as_jpeg(6, 20)),
    "transparent": lambda r: Scene(canvas=_size(r, 60, 400), encode=transparent),
    "16 bits and float": lambda r: Scene(canvas=_size(r, 60, 400), encode=wide),
    "palette": lambda r: Scene(canvas=_size(r, 60, 400), encode=palette),
    "black and white scan": lambda r: Scene(canvas=_size(r, 60, 500), encode=bilevel, noise=0.0),
    "EXIF orientation": lambda r: Scene(canvas=_size(r, 150, 800), encode=turned),
    "frame": lambda r: Scene(canvas=_size(r, 100, 500), share=(0.35, 0.65), drawn=framed, drawn_ink=(0.1, 0.1, 0.1)),
    "ruled lines": lambda r: Scene(
        canvas=_size(r, 150, 600), drawn=ruled, drawn_ink=_one_of(r, (0.6, 0.7, 0.9), (0.4, 0.5, 0.7))
    ),
    "squared paper": lambda r: Scene(canvas=_size(r, 150, 600), drawn=squared, drawn_ink=(0.65, 0.72, 0.85)),
    "specks": lambda r: Scene(canvas=_size(r, 100, 500), drawn=specked, drawn_ink=(0.15, 0.15, 0.15), noise=0.02),
    "blurred photo": lambda r: Scene(
        canvas=_size(r, 150, 500), blur=float(r.uniform(0.01, 0.025)), encode=as_jpeg(60, 90)
    ),
}
