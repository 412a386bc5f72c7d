"""Muon: each weight matrix moves by the orthogonal matrix nearest to its momentum (Jordan et al. 2024)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

# Jordan's quintic a X + b (X Xᵀ) X + c (X Xᵀ)² X, five times, brings every singular value of some size near one.
_POLYNOMIALS = ((3.4445, -4.7750, 2.0315),) * 5
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

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # a closure's gradients would come too late
        for group in self.param_groups:
            if group.get("orthogonal"):
                self._move([(p, p.grad) for p in group["params"] if p.grad is not None], group)
        super().step(closure)

    def _move(self, found: list[tuple[Tensor, Tensor]], group: dict[str, Any]) -> None:
        if not found:
            return
        weights, gradients = [weight for weight, _ in found], [gradient for _, gradient in found]
        momenta = [self._momentum_of(weight) for weight in weights]
        torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
        wanted = torch._foreach_lerp(gradients, momenta, group["momentum"])
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        matrices = [as_matrix(update, weight) for update, weight in zip(wanted, weights, strict=True)]
        steps = orthogonalised(matrices, group["lr"])
        torch._foreach_sub_([as_matrix(weight, weight) for weight in weights], steps)
        for weight in weights:
            weight.grad = None  # used up: AdamW passes over it

    def _momentum_of(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if not state:  # under AdamW's names: on loading a state it looks for a step of every weight
            state |= {"step": torch.zeros(()), "exp_avg": torch.zeros_like(weight)}
        momentum: Tensor = state["exp_avg"]
        return momentum


def is_matrix(weight: Tensor) -> bool:
    """Whether Muon can take it: two rows and columns at least, and in memory a matrix as it lies."""
    dense = weight.is_contiguous() or (weight.ndim == 4 and weight.is_contiguous(memory_format=torch.channels_last))
    return weight.ndim > 1 and dense and min(weight.shape[0], weight[0].numel()) > 1


def as_matrix(values: Tensor, weight: Tensor) -> Tensor:
    """[C, ...] as [C, rest], columns in the order in which `weight` has them in memory: of `weight` itself a view."""
    return (values if weight.is_contiguous() else values.permute(0, 2, 3, 1)).flatten(1)


def orthogonalised(matrices: list[Tensor], rate: float | Tensor) -> list[Tensor]:
    """For each matrix the nearest with singular values near one, times `rate` and the scale of its shape.

    Newton–Schulz runs on the small matrices X Xᵀ in fp32, where it takes half of the arithmetic that it takes on X,
    matrices of one short side in one batch; in bf16 the small eigenvalues would drown.
    """
    by_shape = _grouped(range(len(matrices)), lambda i: tuple(matrices[i].shape))
    wide = [_wide(torch.stack([matrices[i] for i in members])) for members in by_shape]  # [K, m, n] each, m <= n
    factors = _factors([torch.bmm(x, x.mT) for x in wide])
    found: dict[int, Tensor] = {}
    for members, x, factor in zip(by_shape, wide, factors, strict=True):
        scale = rate * (_RMS_OF_ADAMW * x.shape[2] ** 0.5)
        moved = torch.bmm(factor * scale, x)
        turned = matrices[members[0]].shape != moved.shape[1:]
        found |= dict(zip(members, (moved.mT if turned else moved).unbind(), strict=True))
    return [found[i] for i in range(len(matrices))]


def _wide(x: Tensor) -> Tensor:
    return x.mT if x.shape[1] > x.shape[2] else x


def _factors(grams: list[Tensor]) -> list[Tensor]:
    """For each batch [K, m, m] of X Xᵀ the symmetric matrices that bring X's singular values near one."""
    found: dict[int, Tensor] = {}
    for members in _grouped(range(len(grams)), lambda i: _side(grams[i])):
        side = _side(grams[members[0]])
        padded = [torch.nn.functional.pad(grams[i], (0, side - grams[i].shape[1]) * 2) for i in members]
        factors = torch.split(_newton_schulz(torch.cat(padded)), [len(grams[i]) for i in members])
        for i, factor in zip(members, factors, strict=True):
            found[i] = factor[:, : grams[i].shape[1], : grams[i].shape[1]]
    return [found[i] for i in range(len(grams))]


def _side(gram: Tensor) -> int:
    return max(gram.shape[1], _LEAST_SIDE_ON_GPU) if gram.is_cuda else gram.shape[1]


def _newton_schulz(gram: Tensor) -> Tensor:
    """[K, m, m] of X Xᵀ to the factors [K, m, m] by which X is to be multiplied: the product of the iterations'
    polynomials a + b X Xᵀ + c (X Xᵀ)², which all commute."""
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
    scaled: Tensor = factor * bound.rsqrt()
    return scaled


def _grouped(items: Iterable[int], key: Callable[[int], object]) -> list[list[int]]:
    groups: dict[object, list[int]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())
