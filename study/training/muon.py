"""Muon: each weight matrix moves by the orthogonal matrix nearest to its momentum (Jordan et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

# Jordan's quintic a X + b (X Xᵀ) X + c (X Xᵀ)² X brings the singular values near one. He applies it five times; here
# three were as good (benchmarks/fewer_steps.py).
_POLYNOMIALS = ((3.4445, -4.7750, 2.0315),) * 3
# Moonlight's scale (arXiv:2502.16982): an update is then as large as one of AdamW's, and one learning rate serves both.
_RMS_OF_ADAMW = 0.2
# A GPU computes a batch of 64 x 64 in the time of its launch: smaller ones are padded to share one.
_LEAST_SIDE_ON_GPU = 64


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
            steps = orthogonalised([update for _, update in batch], group["lr"] * self._scale([w for w, _ in batch]))
            torch._foreach_sub_([weight for weight, _ in batch], steps)
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
    return max(min(matrix.shape), _LEAST_SIDE_ON_GPU) if matrix.is_cuda else min(matrix.shape)


def orthogonalised(matrices: Sequence[Tensor], scale: Tensor) -> list[Tensor]:
    """For each matrix of a batch the nearest with singular values near one, times its `scale` [K, 1, 1].

    Newton–Schulz runs on the small matrices X Xᵀ, where it takes half of the arithmetic that it takes on X, and in
    fp32: in bf16 their small eigenvalues would drown. Zeros beyond a matrix's own shape change nothing within it.
    """
    wide = [matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix for matrix in matrices]
    side, length = _side(matrices[0]), max(x.shape[1] for x in wide)
    if all(x.shape == (side, length) for x in wide):
        together = torch.stack(wide)
    else:
        together = wide[0].new_zeros(len(wide), side, length)
        torch._foreach_copy_([together[k, : x.shape[0], : x.shape[1]] for k, x in enumerate(wide)], wide)
    moved = torch.bmm(_factors(torch.bmm(together, together.mT), scale), together)  # [K, side, length]
    cut = [one[: x.shape[0], : x.shape[1]] for one, x in zip(moved.unbind(), wide, strict=True)]
    return [one if one.shape == matrix.shape else one.mT for one, matrix in zip(cut, matrices, strict=True)]


def _factors(gram: Tensor, scale: Tensor) -> Tensor:
    """[K, m, m] of X Xᵀ to the factors [K, m, m] by which X is to be multiplied: `scale` [K, 1, 1] times the product of
    the iterations' polynomials a + b X Xᵀ + c (X Xᵀ)², which all commute."""
    # A bound on the largest eigenvalue, closer than the trace, which is the squared norm of X.
    bound = torch.linalg.matrix_norm(gram, keepdim=True).clamp_(min=1e-19)
    gram = gram / bound
    (last, b, c), *later = _POLYNOMIALS
    rest = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
    factor = rest.clone()
    factor.diagonal(dim1=1, dim2=2).add_(last)
    for a, b, c in later:
        half = torch.baddbmm(gram, rest, gram, beta=last)
        gram = torch.baddbmm(half, half, rest, beta=last)  # of X after the last iteration
        rest = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor = torch.baddbmm(factor, rest, factor, beta=a)
        last = a
    return factor.mul_(bound.rsqrt_().mul_(scale))
