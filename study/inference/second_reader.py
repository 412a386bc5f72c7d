"""A second reader of another kind, which doubts the network and never answers in its place.

It models the directions of strokes by one Gaussian a class (the modified quadratic discriminant function of Kimura et
al. 1987, on the gradient features of Liu et al. 2003, "Handwritten digit recognition: benchmarking of state-of-the-art
techniques"). Alone it reads 98.4 % of MNIST's validation images; its mistakes are others than a network's, so the two
together know better when to say nothing, and its distance tells what is no digit. A class may have further forms, each
with a Gaussian of its own, which the network has not seen: a 1 with an upstroke.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIZE, CELLS, DIRECTIONS = 28, 7, 8
FEATURES = DIRECTIONS * CELLS * CELLS
AXES = 20  # principal axes kept for each class; the rest of the variance is taken as equal in all directions
MAX_IMAGES = 5_000  # to fit on, 500 of each digit: twice as many answer no more questions
_BATCH = 100  # planes of 2.5 MB stay in the cache
_SMOOTH = 0.7  # pixels, standard deviation of the Gaussian before the gradient
_SPREAD = 1.5  # Gaussians per cell: their standard deviation is a cell's side divided by this


class SecondReader(nn.Module):
    """Images uint8 [N, 28, 28] to log-likelihoods [N, C] of the classes, up to a constant."""

    mean: Tensor
    axes: Tensor
    constant: Tensor
    rest: Tensor

    def __init__(self, n_classes: int, forms: Sequence[int] = ()) -> None:
        """`forms`: the class of each further Gaussian, beside one of every class."""
        super().__init__()
        self.n_classes, self.forms = n_classes, tuple(forms)
        count = n_classes + len(self.forms)
        self.register_buffer("mean", torch.zeros(count, FEATURES))
        self.register_buffer("axes", torch.zeros(count, AXES, FEATURES))  # scaled, see `fit_second_reader`
        self.register_buffer("constant", torch.zeros(count))
        self.register_buffer("rest", torch.ones(()))

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self._of_batch(batch) for batch in torch.split(images, _BATCH)])

    def _of_batch(self, images: Tensor) -> Tensor:
        x = stroke_directions(images)  # [B, F]
        apart = torch.cdist(x, self.mean, compute_mode="donot_use_mm_for_euclid_dist").square()  # [B, C]
        along = torch.einsum("bf,caf->bca", x, self.axes) - torch.einsum("cf,caf->ca", self.mean, self.axes)
        each = -0.5 * (apart / self.rest - along.square().sum(-1) + self.constant)
        of_classes = each[:, : self.n_classes]
        for number, c in enumerate(self.forms, self.n_classes):
            of_classes[:, c] = torch.maximum(of_classes[:, c], each[:, number])
        return of_classes


def stroke_directions(images: Tensor) -> Tensor:
    """uint8 [N, 28, 28] to [N, 392]: strength of the grey-level gradient by direction and place, square-rooted, which
    brings its distribution nearer to a Gaussian."""
    kernel = _gaussian(torch.arange(-2.0, 3.0), _SMOOTH)
    x = images.unsqueeze(1).float() / 255  # [N, 1, 28, 28]
    x = F.conv2d(F.conv2d(x, kernel.view(1, 1, 5, 1), padding=(2, 0)), kernel.view(1, 1, 1, 5), padding=(0, 2))
    dy, dx = torch.gradient(x.squeeze(1), dim=(1, 2))
    side = SIZE / CELLS
    centres = (torch.arange(CELLS) + 0.5) * side - 0.5
    pool = torch.stack([_gaussian(torch.arange(float(SIZE)) - centre, side / _SPREAD) for centre in centres])
    return (pool @ _planes(dy, dx) @ pool.T).flatten(1).sqrt()


def _planes(dy: Tensor, dx: Tensor) -> Tensor:
    """Each gradient as the sum of its parts along the two nearest of eight directions: [N, 8, 28, 28]."""
    straight = [F.relu(dx - dy.abs()), F.relu(-dx - dy.abs()), F.relu(dy - dx.abs()), F.relu(-dy - dx.abs())]
    halves = [(F.relu(sx * dx), F.relu(sy * dy)) for sx in (1, -1) for sy in (1, -1)]
    return torch.stack(straight + [2**0.5 * torch.minimum(*half) for half in halves], dim=1)


def _gaussian(x: Tensor, deviation: float) -> Tensor:
    weights = torch.exp(-0.5 * (x / deviation) ** 2)
    return weights / weights.sum()


def fit_second_reader(
    images: Tensor, labels: Tensor, n_classes: int, forms: Mapping[int, Tensor] | None = None
) -> SecondReader:
    """Fitted on images uint8 [N, 28, 28] that the network may have been trained on, the same number of each class;
    `forms`: images [M, 28, 28] of another form of a class."""
    each = max(1, MAX_IMAGES // n_classes)
    chosen = torch.cat([torch.nonzero(labels == c).flatten()[:each] for c in range(n_classes)])
    rows = torch.cat([stroke_directions(batch) for batch in torch.split(images[chosen], _BATCH)]).double()
    owners = labels[chosen]
    # A class without images is given those of all: it is seldom the likeliest and never divides by zero.
    models = [_principal_axes(rows[owners == c] if (owners == c).any() else rows) for c in range(n_classes)]
    rest = max(sum(left for *_, left in models) / n_classes, 1e-6)
    forms = forms or {}
    models += [_principal_axes(stroke_directions(other).double()) for other in forms.values()]
    reader = SecondReader(n_classes, tuple(forms))
    for c, (mean, variances, axes, _) in enumerate(models):
        kept = variances.clamp_min(rest)
        reader.mean[c] = mean
        # Along the kept axes the Mahalanobis distance takes back what |gap|^2 / rest counts too much.
        reader.axes[c] = axes * (1 / rest - 1 / kept).sqrt()[:, None]
        reader.constant[c] = (kept / rest).log().sum()
    reader.rest.fill_(rest)
    return reader.eval()


def _principal_axes(rows: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
    """Mean [F], largest variances [A], their axes [A, F], and the mean variance along the other axes."""
    mean = rows.mean(0)
    variances, axes = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))  # in rising order
    return mean, variances[-AXES:], axes[:, -AXES:].T, float(variances[:-AXES].clamp_min(0).mean())
