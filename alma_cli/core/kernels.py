"""Forward and backward passes written by hand, put in the place of a model's own where they compute the same.

    N = rows, I = inputs of a layer, O = outputs, R = rank of the LoRA

Frozen weights get no gradient work, nothing is computed in fp32 that bf16 holds, and what the backward pass can cheaply
compute again is not kept. On two CPU cores they made a LoRA step of SmolLM2-135M three times as fast as PEFT's layers
under autocast (benchmarks/train_throughput.py measures it).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from alma_cli.core.model import causal_lm_of


def use_kernels(model: Any) -> list[str]:
    """Replace what can be replaced in the model, and name it: `lora`, and on a CPU `norm` and `gated unit`.

    A norm or a gated unit is replaced when ours gives the same for a random input: names alone prove nothing.
    """
    used = set()
    on_cpu = next(model.parameters()).device.type == "cpu"
    for module in model.modules():
        if (lora := _lora_forward(module)) is not None:
            module.forward = lora
            used.add("lora")
        elif on_cpu and (norm := _norm_forward(module)) is not None:
            module.forward = norm
            used.add("norm")
    if on_cpu:
        for module in causal_lm_of(model).modules():
            if (unit := _gated_unit_forward(module)) is not None:
                module.forward = unit
                used.add("gated unit")
    return sorted(used)


# --- LoRA -------------------------------------------------------------------------------------------------------


def _lora_forward(layer: Any) -> Callable[..., Tensor] | None:
    """A forward pass for one of PEFT's LoRA layers over a linear layer, plain or in 4 bits; None for anything else."""
    from peft.tuners.lora import LoraLayer

    if not isinstance(layer, LoraLayer) or list(layer.lora_A) != ["default"] or any(layer.use_dora.values()):
        return None
    whole: Any = layer  # a torch module as well, which its types do not say
    base = whole.get_base_layer()
    four_bit = type(base).__name__ == "Linear4bit"
    if not four_bit and type(base) is not torch.nn.Linear:
        return None
    read = partial(_dequantized, base) if four_bit else partial(getattr, base, "weight")
    dropout = layer.lora_dropout["default"]
    probability = dropout.p if isinstance(dropout, torch.nn.Dropout) else 0.0
    lora_a, lora_b, scale = layer.lora_A["default"], layer.lora_B["default"], layer.scaling["default"]

    def forward(x: Tensor, *_: Any, **__: Any) -> Tensor:
        kept = _dropout_mask(x, probability) if probability and whole.training else None
        result: Tensor = _LoraLinear.apply(x, read, base.bias, lora_a.weight, lora_b.weight, scale, kept)  # type: ignore[no-untyped-call]
        return result

    return forward


class _LoraLinear(torch.autograd.Function):
    """x W' + bias + scale (x A') B' with W frozen: keeps x (N, I) and x A' (N, R), and reads W again for the backward
    pass, so that 4-bit weights are never kept in full."""

    @staticmethod
    def forward(
        context: Any,
        x: Tensor,  # (..., I)
        read_weight: Callable[[], Tensor],  # -> (O, I)
        bias: Tensor | None,
        lora_a: Tensor,  # (R, I)
        lora_b: Tensor,  # (O, R)
        scale: float,
        kept: Tensor | None,  # (N, I): 0 where dropped, 1 / (1 - p) elsewhere
    ) -> Tensor:
        weight = read_weight()
        rows = x.reshape(-1, x.shape[-1]).to(weight.dtype)
        a, b = lora_a.to(rows.dtype), lora_b.to(rows.dtype)
        inner = (rows if kept is None else rows * kept) @ a.t()
        y = torch.nn.functional.linear(rows, weight, bias).addmm_(inner, b.t(), alpha=scale)
        context.save_for_backward(rows, a, b, inner)
        context.read_weight, context.scale, context.kept, context.of_x = read_weight, scale, kept, x.dtype
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, a, b, inner = context.saved_tensors
        kept: Tensor | None = context.kept
        shape = gradients[0].shape
        gradient = gradients[0].reshape(-1, shape[-1]).to(rows.dtype)
        of_inner = (gradient @ b).mul_(context.scale)
        of_b = (gradient.t() @ inner).float().mul_(context.scale)
        of_a = (of_inner.t() @ (rows if kept is None else rows * kept)).float()
        of_x = None
        if context.needs_input_grad[0]:
            of_x = gradient @ context.read_weight()
            if kept is None:
                of_x.addmm_(of_inner, a)
            else:
                of_x.addcmul_(of_inner @ a, kept)
            of_x = of_x.view(*shape[:-1], -1).to(context.of_x)
        return of_x, None, None, of_a, of_b, None, None


def _dequantized(base: Any) -> Tensor:
    """(O, I): a 4-bit layer's weight in its compute type."""
    import bitsandbytes.functional

    weight = base.weight
    whole: Tensor = bitsandbytes.functional.dequantize_4bit(weight.data, weight.quant_state)
    return whole.to(base.compute_dtype or whole.dtype)


def _dropout_mask(x: Tensor, probability: float) -> Tensor:
    """(N, I): 0 with this probability, else 1 / (1 - p).

    torch draws on one core of a CPU only, which costs a fifth of a training step. There the masks are windows, at
    random offsets, of one long pool of draws.
    """
    rows, width = x.numel() // x.shape[-1], x.shape[-1]
    dtype = x.dtype if x.dtype != torch.float64 else torch.float32
    if x.device.type != "cpu":
        return torch.empty(rows, width, dtype=dtype, device=x.device).bernoulli_(1 - probability).div_(1 - probability)
    pool = _pool(probability, dtype, _pool_size(rows * width))
    start = int(torch.randint(len(pool) - rows * width, (1,)))
    return pool[start : start + rows * width].view(rows, width)


_pools: dict[tuple[float, torch.dtype, int], Tensor] = {}


def _pool_size(needed: int) -> int:
    """At least four times what one mask needs, and 2^22."""
    return max(2**22, 1 << (4 * needed - 1).bit_length())


def _pool(probability: float, dtype: torch.dtype, size: int) -> Tensor:
    """The draws, the same in every process: the offsets are what is random."""
    key = (probability, dtype, size)
    if key not in _pools:
        drawn = torch.empty(size).bernoulli_(1 - probability, generator=torch.Generator().manual_seed(size))
        _pools[key] = drawn.div_(1 - probability).to(dtype)
    return _pools[key]


# --- norms ------------------------------------------------------------------------------------------------------


def _norm_forward(module: Any) -> Callable[[Tensor], Tensor] | None:
    """A forward pass for an RMS norm, scaled by its weight or, as Gemma's, by one more than it."""
    if not type(module).__name__.endswith("RMSNorm") or getattr(module, "weight", None) is None:
        return None
    epsilon = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if epsilon is None or module.weight.ndim != 1:
        return None
    for one_more in (0.0, 1.0):

        def forward(x: Tensor, one_more: float = one_more) -> Tensor:
            weight = module.weight + one_more if one_more else module.weight
            result: Tensor = _RmsNorm.apply(x, weight, epsilon)  # type: ignore[no-untyped-call]
            return result

        if _computes_the_same(module, forward, len(module.weight)):
            return forward
    return None


class _RmsNorm(torch.autograd.Function):
    """x / rms(x) * weight: keeps x and one number a row."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        inverse = norm.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()
        context.save_for_backward(x, weight, inverse)
        scaled: Tensor = (x * inverse.to(x.dtype)).mul_(weight.to(x.dtype))
        return scaled

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, weight, inverse = context.saved_tensors
        scaled = gradients[0] * weight.to(x.dtype)
        share = (scaled * x).sum(-1, keepdim=True, dtype=torch.float32).mul_(inverse.square()).div_(x.shape[-1])
        of_x = scaled.addcmul_(x, share.to(x.dtype), value=-1).mul_(inverse.to(x.dtype))
        of_weight = None
        if context.needs_input_grad[1]:
            of_weight = (gradients[0] * x).mul_(inverse.to(x.dtype)).flatten(0, -2).sum(0, dtype=torch.float32)
            of_weight = of_weight.to(weight.dtype)
        return of_x, of_weight, None


# --- gated units ------------------------------------------------------------------------------------------------


def _gated_unit_forward(module: Any) -> Callable[[Tensor], Tensor] | None:
    """A forward pass for down(act(gate(x)) * up(x)), with SiLU or GELU."""
    if not all(isinstance(getattr(module, f"{name}_proj", None), torch.nn.Module) for name in ("gate", "up", "down")):
        return None
    for activation in _ACTIVATIONS:

        def forward(x: Tensor, activation: str = activation) -> Tensor:
            unit: Tensor = _GatedUnit.apply(module.gate_proj(x), module.up_proj(x), activation)  # type: ignore[no-untyped-call]
            result: Tensor = module.down_proj(unit)
            return result

        width = getattr(module, "hidden_size", None) or module.config.hidden_size
        if _computes_the_same(module, forward, width):
            return forward
    return None


_ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "silu": (torch.nn.functional.silu, torch.ops.aten.silu_backward),
    "gelu_tanh": (
        partial(torch.nn.functional.gelu, approximate="tanh"),
        partial(torch.ops.aten.gelu_backward, approximate="tanh"),
    ),
    "gelu": (torch.nn.functional.gelu, torch.ops.aten.gelu_backward),
}


class _GatedUnit(torch.autograd.Function):
    """act(gate) * up: keeps these two only."""

    @staticmethod
    def forward(context: Any, gate: Tensor, up: Tensor, activation: str) -> Tensor:
        context.save_for_backward(gate, up)
        context.activation = activation
        return _ACTIVATIONS[activation][0](gate).mul_(up)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        gate, up = context.saved_tensors
        act, act_backward = _ACTIVATIONS[context.activation]
        return act_backward(gradients[0] * up, gate), act(gate).mul_(gradients[0]), None


@torch.no_grad()
def _computes_the_same(module: Any, ours: Callable[[Tensor], Tensor], width: int) -> bool:
    """Whether both give the same for a random input, to the rounding of the weights' type."""
    weight = next(parameter for parameter in module.parameters() if parameter.is_floating_point())
    x = torch.randn(4, width, generator=torch.Generator().manual_seed(0)).to(weight.dtype)
    was_training = module.training
    module.eval()
    expected, given = module(x).float(), ours(x).float()
    module.train(was_training)
    tolerance = 1e-5 if weight.dtype == torch.float32 else 2e-2
    return bool((given - expected).norm() <= tolerance * expected.norm())
