"""From a stranger's file, picture or array to one grey plane of moderate size."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from study.errors import ImageError

Gray = NDArray[np.float32]
Source = str | Path | io.BytesIO | Image.Image | NDArray[Any]

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
MAX_PIXELS = 25_000_000
MAX_WEBP_PIXELS = 13_000_000  # its decoder holds three copies of the picture
MAX_FILE_BYTES = 200_000_000
WORK_SIDE = 512  # longest side that the recipe looks at: a digit of a tenth of it still has 50 pixels
STDIN = "-"

_WIDE_MODES = {"I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, as Pillow's convert("L")


@dataclass(frozen=True)
class Opened:
    """`gray` [H, W] in 0 … 1, its longest side at most about the one asked; `size` (width, height) of the picture."""

    gray: Gray
    size: tuple[int, int]

    @property
    def scale(self) -> float:
        """Pixels of the picture per pixel of `gray`."""
        return float(max(self.size) / max(self.gray.shape))


def open_gray(source: Source, side: int = WORK_SIDE) -> Opened:
    """Read a path, '-' (one picture's bytes on stdin), PIL image or array; ImageError says what is wrong with it.

    Arrays: [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]; bool, uint8 (0 … 255), others by their range.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source, side)
    if isinstance(source, Image.Image):
        return _guarded(lambda: _from_picture(source, side), "picture")
    if isinstance(source, io.BytesIO):
        return _guarded(lambda: _decode(source, "stdin", side), "stdin")
    return _guarded(lambda: _decode(_stream(source), str(source), side), str(source))


def held(source: Source) -> Source:
    """The source, or where it is '-' the bytes on stdin, which can be opened more than once."""
    return _stream(source) if isinstance(source, str | Path) and str(source) == STDIN else source


def _stream(source: str | Path) -> Path | io.BytesIO:
    """A file that exists and is neither empty nor enormous, or what stands on stdin."""
    if str(source) == STDIN:
        data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        _check_bytes(len(data), "stdin")
        return io.BytesIO(data)
    path = Path(source)
    try:
        if path.is_dir():
            raise ImageError(f"{path}: is a folder; expected a picture, or a folder that holds pictures")
        if not path.is_file():
            raise ImageError(f"{path}: no such file; check the path")
        _check_bytes(path.stat().st_size, str(path))
    except (OSError, ValueError) as error:
        raise ImageError(f"{str(path)!a}: cannot be read ({error}); check the path and its permissions") from None
    return path


def _check_bytes(count: int, name: str) -> None:
    if not count:
        raise ImageError(f"{name}: empty file; expected a picture ({', '.join(FORMATS)})")
    if count > MAX_FILE_BYTES:
        raise ImageError(f"{name}: more than {MAX_FILE_BYTES // 10**6} MB; make the file smaller")


def _guarded(work: Callable[[], Opened], name: str) -> Opened:
    """Whatever a damaged picture makes a decoder raise becomes one ImageError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return work()
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"{name}: not a picture; expected one of {', '.join(FORMATS)}") from None
    except (Image.DecompressionBombError, MemoryError):
        raise ImageError(f"{name}: more than {MAX_PIXELS // 10**6} million pixels; make it smaller") from None
    except Exception as error:
        raise ImageError(f"{name}: damaged picture ({str(error) or type(error).__name__}); save it again") from None


def _decode(source: Path | io.BytesIO, name: str, side: int) -> Opened:
    with Image.open(source, formats=FORMATS) as picture:
        _check_size(picture.size, name, MAX_WEBP_PIXELS if picture.format == "WEBP" else MAX_PIXELS)
        size = picture.size
        # JPEG decodes at a half, a quarter or an eighth at once: less time and memory for phone photos.
        picture.draft(None, (side, side))
        return _from_picture(picture, side, size)


def _check_size(size: tuple[int, int], name: str, most: int = MAX_PIXELS) -> None:
    width, height = size
    if width * height > most:
        raise ImageError(
            f"{name}: {width} x {height} pixels; at most {most // 10**6} million are read: make it smaller"
        )
    if width < 1 or height < 1:
        raise ImageError(f"{name}: {width} x {height} pixels; expected a picture with pixels in it")


def _from_picture(picture: Image.Image, side: int, size: tuple[int, int] | None = None) -> Opened:
    _check_size(picture.size, "picture")
    orientation = picture.getexif().get(0x0112, 1)
    width, height = size or picture.size
    gray = (_wide_gray if picture.mode in _WIDE_MODES else _byte_gray)(picture, side)
    upright = ImageOps.exif_transpose(_with_orientation(Image.fromarray(gray), orientation))
    turned = orientation in (5, 6, 7, 8)
    return Opened(np.array(upright, dtype=np.float32), (height, width) if turned else (width, height))


def _with_orientation(picture: Image.Image, orientation: int) -> Image.Image:
    picture.getexif()[0x0112] = orientation
    return picture


def _reduced(picture: Image.Image, mode: str, side: int) -> Image.Image:
    """The picture in `mode`, averaged down to `side`: by whole factors first, band by band, to save memory."""
    factor = max(picture.size) // side
    if factor > 1:
        picture = _reduced_in_bands(picture, mode, min(factor, picture.width), min(factor, picture.height))
    picture = picture.convert(mode)
    if max(picture.size) > side:
        scale = side / max(picture.size)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BOX)
    return picture


def _reduced_in_bands(picture: Image.Image, mode: str, fx: int, fy: int) -> Image.Image:
    width, height = picture.size
    rows = 64 * fy
    made = Image.new(mode, (-(-width // fx), -(-height // fy)))
    for top in range(0, height, rows):
        band = picture.crop((0, top, width, min(top + rows, height))).convert(mode)
        made.paste(band.reduce((fx, fy)), (0, top // fy))
    return made


def _byte_gray(picture: Image.Image, side: int) -> Gray:
    if picture.has_transparency_data:
        return _composited(_reduced(picture, "RGBA", side))
    if picture.mode in ("1", "L"):
        return np.asarray(_reduced(picture, "L", side), dtype=np.float32) / np.float32(255)
    return _colour_to_gray(np.asarray(_reduced(picture, "RGB", side), dtype=np.float32) / np.float32(255))


def _composited(picture: Image.Image) -> Gray:
    """Transparency on white and on black: the one with more contrast. Black ink on nothing is invisible on black."""
    planes = []
    for shade in (255, 0):
        ground = Image.new("RGBA", picture.size, (shade, shade, shade, 255))
        flat = Image.alpha_composite(ground, picture).convert("RGB")
        planes.append(_colour_to_gray(np.asarray(flat, dtype=np.float32) / np.float32(255)))
    return max(planes, key=lambda plane: float(plane.std()))


def _colour_to_gray(rgb: Gray) -> Gray:
    """[H, W, 3] to [H, W]: luminance, or the principal colour axis where luminance hides the ink (yellow on white)."""
    luminance: Gray = rgb @ _LUMINANCE
    pixels = rgb.reshape(-1, 3)
    if len(pixels) < 2:
        return luminance
    variances, axes = np.linalg.eigh(np.cov(pixels[:: max(1, len(pixels) // 20_000)].T.astype(np.float64)))
    if luminance.std() ** 2 * 4 >= variances[-1]:
        return luminance
    axis = axes[:, -1] * np.sign(axes[:, -1].sum() or 1.0)
    plane: Gray = np.asarray(rgb @ axis, dtype=np.float32)
    low, high = float(plane.min()), float(plane.max())
    return np.asarray((plane - low) / max(high - low, 1e-6), dtype=np.float32)


def _wide_gray(picture: Image.Image, side: int) -> Gray:
    """16-bit, 32-bit and float pictures: `convert("L")` would clip them to white."""
    return _by_range(_block_mean(np.asarray(picture), side))


def _block_mean(plane: NDArray[Any], side: int) -> Gray:
    """[H, W] averaged over whole blocks down to about `side`; rows and columns that fill no block are left out."""
    factor = max(1, max(plane.shape) // side)
    fy, fx = min(factor, plane.shape[0]), min(factor, plane.shape[1])
    height, width = plane.shape[0] // fy, plane.shape[1] // fx
    out = np.zeros((height, width), dtype=np.float32)
    for dy in range(fy):
        for dx in range(fx):
            out += plane[dy : height * fy : fy, dx : width * fx : fx]
    return np.asarray(out / (fy * fx), dtype=np.float32)


def _by_range(values: NDArray[Any]) -> Gray:
    """Any numbers to 0 … 1: by their nominal range (1, 255 or 65,535) where they use it, else by their own."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite([low, high]).all():
        raise ImageError("picture holds values that are not finite; expected numbers")
    nominal = next((top for top in (1.0, 255.0, 65_535.0) if high <= top), high)
    if low < 0 or (high - low < 0.25 * nominal and high - low > 0.02 * high):
        return np.asarray((values - low) / max(high - low, 1e-12), dtype=np.float32)
    return np.asarray(values / np.float32(nominal), dtype=np.float32)


def _from_array(array: NDArray[Any], side: int) -> Opened:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    shape = array.shape
    if array.ndim not in (2, 3) or 0 in shape or (array.ndim == 3 and shape[2] not in (3, 4)):
        raise ImageError(f"array of shape {list(shape)}; expected [H, W], [H, W, 1], [H, W, 3] or [H, W, 4]")
    if array.dtype.kind not in "buif":
        raise ImageError(f"array of dtype {array.dtype}; expected bool, integers or floats")
    _check_size((shape[1], shape[0]), "array")
    if array.dtype == np.uint8:
        return _from_picture(Image.fromarray(array), side)
    if array.ndim == 3:
        return _from_picture(Image.fromarray(np.asarray(np.round(_by_range(array) * 255), dtype=np.uint8)), side)
    return Opened(_by_range(_block_mean(array, side)), (shape[1], shape[0]))
