"""A network layer by layer: what each one does, what it puts out for one image, how many weights it has."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from study.models.layers import IMAGE_SIZE
from study.records.run import Layer

_KINDS: dict[str, str] = {
    "AdaptiveAvgPool2d": "mean of each map",
    "AvgPool2d": "average pooling",
    "BatchNorm1d": "batch normalisation",
    "BatchNorm2d": "batch normalisation",
    "Flatten": "flatten",
    "GroupNorm": "group normalisation",
    "LayerNorm": "layer normalisation",
    "LeakyReLU": "leaky_relu",
    "Linear": "linear",
    "MaxPool2d": "max pooling",
    "PixelsFirst": "flatten",
}


@torch.no_grad()
def layers_of(model: nn.Module) -> tuple[Layer, ...]:
    """In the order in which they read an image, without those that change nothing of it."""
    found: list[Layer] = []

    def hook(kind: str) -> Callable[[nn.Module, object, object], None]:
        def note(module: nn.Module, _: object, output: object) -> None:
            if isinstance(output, Tensor):
                weights = sum(p.numel() for p in module.parameters() if p.requires_grad)
                found.append(Layer(kind, tuple(output.shape[1:]), weights))

        return note

    leaves = [(module, _kind(module)) for module in model.modules() if not any(True for _ in module.children())]
    hooks = [module.register_forward_hook(hook(kind)) for module, kind in leaves if kind is not None]
    parameter, was_training = next(model.parameters()), model.training
    model.eval()
    try:
        model(torch.zeros(1, 1, IMAGE_SIZE, IMAGE_SIZE, device=parameter.device, dtype=parameter.dtype))
    finally:
        for one in hooks:
            one.remove()
        model.train(was_training)
    return tuple(found)


def _kind(module: nn.Module) -> str | None:
    """In words; None for one that passes on what it gets."""
    if isinstance(module, nn.Identity) or (isinstance(module, nn.Dropout) and module.p == 0):
        return None
    if isinstance(module, nn.Dropout):
        return f"dropout {module.p:.2g}"
    if isinstance(module, nn.Conv2d):
        high, wide = module.kernel_size
        return f"{high} × {wide} convolution" + (f", stride {module.stride[0]}" if module.stride[0] > 1 else "")
    name = type(module).__name__
    return _KINDS.get(name, name.lower() if name.isupper() or type(module).__module__.startswith("torch") else name)
