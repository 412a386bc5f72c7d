"""Muon: each weight matrix moves by the orthogonal matrix nearest to its momentum (Jordan et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

# Singular values are brought near one by polynomials a X + b (X Xᵀ) X + c (X Xᵀ)² X, each the closest to one on what
# the one before leaves of [0.02, 1], as in Polar Express (Amsel et al. 2025): they end in [0.49, 1.51]. Jordan applies
# one quintic five times; these two were as good as three of his (benchmarks/fewer_steps.py).
_POLYNOMIALS = ((7.7110, -22.1138, 16.2487), (3.2153, -2.4112, 0.5013))
# Moonlight's scale (arXiv:2502.16982): an update is then as large as one of AdamW's, and one learning rate serves both.
_RMS_OF_ADAMW = 0.2
# Smaller matrices are padded to share a batch: a GPU computes one of 64 x 64 in the time of its launch, and on a core
# the calls of a batch cost more than what is computed in vain.
_LEAST_SIDE = 64


class Muon(torch.optim.AdamW):
    """Muon with Nesterov momentum for groups that have `orthogonal` true, AdamW for all others.

    A weight [C, ...] is the matrix [C, rest]. Decay is decoupled and the rate is AdamW's, scaled by the matrix's longer
    side. torch.optim.Muon takes no weights of more than two dimensions, walks through matrices one at a time, and reads
    its learning rate back from a GPU, which no recorded step may do.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float | Tensor, momentum: float, *, capturable: bool) -> None:
        super().__init__(groups, lr=lr, fused=True, capturable=capturable)
        for group in self.param_groups:
            group["momentum"] = momentum
        self._scales: dict[tuple[int, ...], Tensor] = {}

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # a closure's gradients would come too late
        for group in self.param_groups:
            if group.get("orthogonal"):
                self._move([(p, p.grad) for p in group["params"] if p.grad is not None], group)
        super().step(closure)

    def _move(self, found: Sequence[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        if not found:
            return
        weights, gradients = [weight for weight, _ in found], [gradient for _, gradient in found]
        momenta = [self._momentum_of(weight) for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        wanted = torch._foreach_lerp(gradients, momenta, group["momentum"])
        if group["weight_decay"]:
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        pairs = [(as_matrix(w, w), as_matrix(update, w)) for w, update in zip(weights, wanted, strict=True)]
        for batch in batches_of(pairs):
            subtract_orthogonal(batch, group["lr"] * self._scale([weight for weight, _ in batch]))
        for weight in weights:
            weight.grad = None  # used up: AdamW passes over it

    def _momentum_of(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:  # under AdamW's names: on loading a state it looks for a step of every weight
            state |= {"step": torch.zeros(()), "exp_avg": torch.zeros_like(weight)}
        momentum: Tensor = state["exp_avg"]
        return momentum

    def _scale(self, matrices: Sequence[Tensor]) -> Tensor:
        """[K, 1, 1] by which orthogonal matrices of these shapes are as large as AdamW's updates; made once, since a
        recorded step takes no numbers from outside."""
        sides = tuple(max(matrix.shape) for matrix in matrices)
        if sides not in self._scales:
            scales = _RMS_OF_ADAMW * torch.tensor(sides, dtype=torch.float32).sqrt()
            self._scales[sides] = scales.view(-1, 1, 1).to(matrices[0].device)
        return self._scales[sides]


def is_matrix(weight: Tensor) -> bool:
    """Whether Muon can take it: two rows and columns at least, and in memory a matrix as it lies."""
    dense = weight.is_contiguous() or (weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last))
    return weight.ndim > 1 and dense and min(weight.shape[0], weight[0].numel()) > 1


def as_matrix(values: Tensor, weight: Tensor) -> Tensor:
    """[C, ...] as [C, rest], columns in the order in which `weight` has them in memory: of `weight` itself a view."""
    return (values if weight.is_contiguous() else values.permute(0, 2, 3, 1)).flatten(1)


def batches_of(pairs: Sequence[tuple[Tensor, Tensor]]) -> list[list[tuple[Tensor, Tensor]]]:
    """Weights and their updates by the shorter side, which decides what the iterations cost."""
    batches: dict[int, list[tuple[Tensor, Tensor]]] = {}
    for pair in pairs:
        batches.setdefault(_side(pair[0]), []).append(pair)
    return list(batches.values())


def _side(matrix: Tensor) -> int:
    return max(min(matrix.shape), _LEAST_SIDE)


def subtract_orthogonal(batch: Sequence[tuple[Tensor, Tensor]], scale: Tensor) -> None:
    """From each matrix of a batch take the one that is nearest to its update among those with singular values near
    one, times its `scale` [K, 1, 1].

    Newton–Schulz runs on the small matrices X Xᵀ, where it takes half of the arithmetic that it takes on X, and in
    fp32: in bf16 their small eigenvalues would drown. Zeros beyond a matrix's own side change nothing within it.
    """
    wide = [x.mT if x.shape[0] > x.shape[1] else x for _, x in batch]
    side = _side(wide[0])
    gram = wide[0].new_zeros(len(wide), side, side)
    own = [gram[k, : len(x), : len(x)] for k, x in enumerate(wide)]
    for place, x in zip(own, wide, strict=True):
        torch.mm(x, x.mT, out=place)
    for factor, x, (weight, update) in zip(_factors(gram, scale), wide, batch, strict=True):
        cut = factor[: len(x), : len(x)]
        weight.addmm_(*((cut, x) if x is update else (update, cut)), alpha=-1)


def _factors(gram: Tensor, scale: Tensor) -> Tensor:
    """[K, m, m] of X Xᵀ to the factors [K, m, m] by which X is to be multiplied: `scale` [K, 1, 1] times the product of
    the iterations' polynomials a + b X Xᵀ + c (X Xᵀ)², which all commute."""
    # A bound on the largest eigenvalue, closer than the trace, which is the squared norm of X.
    bound = torch.linalg.matrix_norm(gram, keepdim=True).clamp_(min=1e-19)
    gram = gram / bound
    first, *later = _POLYNOMIALS
    product = factor = _polynomial(gram, *first)
    for about in later:
        gram = factor @ gram @ factor  # of X after the iteration before
        factor = _polynomial(gram, *about)
        product = factor @ product
    return product.mul_(bound.rsqrt_().mul_(scale))


def _polynomial(gram: Tensor, a: float, b: float, c: float) -> Tensor:
    found = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
    found.diagonal(dim1=1, dim2=2).add_(a)
    return found
