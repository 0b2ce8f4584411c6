"""Forward and backward passes written by hand, put in the place of a model's own where they compute the same.

    N = rows, I = inputs of a layer, O = outputs, R = rank of the LoRA

Frozen weights get no gradient work, nothing is computed in fp32 that bf16 holds, and what the backward pass can cheaply
compute again is not kept. On two CPU cores they made a LoRA step of SmolLM2-135M three times as fast as PEFT's layers
under autocast (benchmarks/train_throughput.py measures it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from alma_cli.core.model import causal_lm_of

_CPU = torch.device("cpu")


def use_kernels(model: Any, *, device: torch.device | None = None) -> list[str]:
    """Replace what can be replaced in the model, and name it: `lora`, and on a CPU `norm` and `gated unit`.

    A norm or a gated unit is replaced when ours gives the same for a random input: names alone prove nothing. `device`
    is where the model computes, if not where it is.
    """
    used = set()
    on_cpu = (device or next(model.parameters()).device).type == "cpu"
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


def order_for_few_rows(model: Any) -> None:
    """Keep the weights of a CPU's fp32 linear layers transposed in memory; the model stays the same otherwise.

    A step of decoding has few rows. With weights as they are loaded, (O, I), a product of 8 to 32 rows reached a tenth
    to a third of the speed of one of 80 rows on two cores; in the order (I, O) all of them came near it.
    """
    for module in model.modules():
        if type(module) is torch.nn.Linear and module.weight.dtype == torch.float32 and module.weight.device == _CPU:
            module.weight.data = module.weight.data.t().contiguous().t()


# --- LoRA -------------------------------------------------------------------------------------------------------


def _lora_forward(layer: Any) -> Callable[..., Tensor] | None:
    """A forward pass for one of PEFT's LoRA layers over a linear layer, plain or in 4 bits; None for anything else."""
    from peft.tuners.lora import LoraLayer

    if not isinstance(layer, LoraLayer) or list(layer.lora_A) != ["default"]:
        return None
    if any(layer.use_dora.values()) or any(layer.lora_bias.values()) or getattr(layer, "lora_variant", None):
        return None
    whole: Any = layer  # a torch module as well, which its types do not say
    base, peft_forward = whole.get_base_layer(), whole.forward
    four_bit = type(base).__name__ == "Linear4bit"
    frozen = not any(parameter.requires_grad for parameter in base.parameters())
    if not frozen or (not four_bit and type(base) is not torch.nn.Linear):
        return None
    read = partial(_dequantized, base) if four_bit else partial(getattr, base, "weight")
    dropout = layer.lora_dropout["default"]
    probability = dropout.p if isinstance(dropout, torch.nn.Dropout) else 0.0
    lora_a, lora_b, scale = layer.lora_A["default"], layer.lora_B["default"], layer.scaling["default"]

    def forward(x: Tensor, *_: Any, again: _Again | None = None, **__: Any) -> Tensor:
        if whole.disable_adapters or whole.merged:
            plain: Tensor = peft_forward(x)
            return plain
        kept = _dropout_mask(x, probability) if probability and whole.training else None
        make, *parts = again or (None,)
        result: Tensor = _LoraLinear.apply(  # type: ignore[no-untyped-call]
            x, read, base.bias, lora_a.weight, lora_b.weight, scale, kept, make, *parts
        )
        return result

    forward.takes_again = True  # type: ignore[attr-defined]
    return forward


# A function and the tensors from which it makes a layer's input again, so that the input need not be kept.
_Again = tuple[Callable[..., Tensor], Tensor, Tensor]


class _LoraLinear(torch.autograd.Function):
    """x W' + bias + scale (x A') B' with W frozen: keeps x (N, I), or the parts it is made of, and x A' (N, R), and
    reads W again for the backward pass, so that 4-bit weights are never kept in full."""

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
        make: Callable[..., Tensor] | None,  # parts -> x
        *parts: Tensor,
    ) -> Tensor:
        weight = read_weight()
        rows = x.reshape(-1, x.shape[-1]).to(weight.dtype)
        a, b = lora_a.to(rows.dtype), lora_b.to(rows.dtype)
        kept = None if kept is None else kept.to(rows.dtype)
        inner = (rows if kept is None else rows * kept) @ a.t()
        y = torch.nn.functional.linear(rows, weight, bias).addmm_(inner, b.t(), alpha=scale)
        context.save_for_backward(a, b, inner, *(parts or (rows,)))
        context.read_weight, context.scale, context.kept, context.make = read_weight, scale, kept, make
        context.of_x = x.dtype
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        a, b, inner, *parts = context.saved_tensors
        rows = parts[0] if context.make is None else context.make(*parts).reshape(-1, a.shape[1]).to(a.dtype)
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
        return of_x, None, None, of_a, of_b, None, None, None, *(None for _ in parts if context.make)


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
    pool = _pool(probability, dtype, dropout_pool_size(rows * width))
    start = int(torch.randint(len(pool) - rows * width, (1,)))
    return pool[start : start + rows * width].view(rows, width)


_pools: dict[tuple[float, torch.dtype, int], Tensor] = {}


def dropout_pool_size(needed: int) -> int:
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

    def forward(x: Tensor, *, one_more: float) -> Tensor:
        weight = module.weight + one_more if one_more else module.weight
        result: Tensor = _RmsNorm.apply(x, weight, epsilon)  # type: ignore[no-untyped-call]
        return result

    candidates = [partial(forward, one_more=one_more) for one_more in (0.0, 1.0)]
    return _computing_the_same(module, candidates, len(module.weight))


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
    takes_again = getattr(module.down_proj.forward, "takes_again", False)
    width = getattr(module.gate_proj, "in_features", None)
    if width is None:
        return None

    def forward(x: Tensor, *, activation: str) -> Tensor:
        gate, up = module.gate_proj(x), module.up_proj(x)
        unit: Tensor = _GatedUnit.apply(gate, up, activation)  # type: ignore[no-untyped-call]
        again = {"again": (partial(_gated, activation), gate, up)} if takes_again else {}
        result: Tensor = module.down_proj(unit, **again)
        return result

    return _computing_the_same(module, [partial(forward, activation=name) for name in _ACTIVATIONS], width)


_ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]]] = {
    "silu": (torch.nn.functional.silu, torch.ops.aten.silu_backward),
    "gelu_tanh": (
        partial(torch.nn.functional.gelu, approximate="tanh"),
        partial(torch.ops.aten.gelu_backward, approximate="tanh"),
    ),
    "gelu": (torch.nn.functional.gelu, torch.ops.aten.gelu_backward),
}


def _gated(activation: str, gate: Tensor, up: Tensor) -> Tensor:
    return _ACTIVATIONS[activation][0](gate).mul_(up)


class _GatedUnit(torch.autograd.Function):
    """act(gate) * up: keeps these two only."""

    @staticmethod
    def forward(context: Any, gate: Tensor, up: Tensor, activation: str) -> Tensor:
        context.save_for_backward(gate, up)
        context.activation = activation
        return _gated(activation, gate, up)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        gate, up = context.saved_tensors
        act, act_backward = _ACTIVATIONS[context.activation]
        return act_backward(gradients[0] * up, gate), act(gate).mul_(gradients[0]), None


@torch.no_grad()
def _computing_the_same(
    module: Any, candidates: Sequence[Callable[[Tensor], Tensor]], width: int
) -> Callable[[Tensor], Tensor] | None:
    """The candidate closest to the module for a random input, if it is the same to the rounding of the weights' type:
    in bf16 two kinds of GELU are. Without values, the first."""
    if any(isinstance(parameter, FakeTensor) for parameter in module.parameters()):
        return candidates[0]
    # None is in floating point where all layers are in four bits.
    dtype = next((weight.dtype for weight in module.parameters() if weight.is_floating_point()), torch.float32)
    x = torch.randn(4, width, generator=torch.Generator().manual_seed(0)).to(dtype)
    was_training = module.training
    module.eval()
    expected = module(x).float()
    differences = [float((candidate(x).float() - expected).norm()) for candidate in candidates]
    module.train(was_training)
    tolerance = 2e-2 if dtype in (torch.bfloat16, torch.float16) else 1e-5
    closest = min(range(len(candidates)), key=differences.__getitem__)
    return candidates[closest] if differences[closest] <= tolerance * expected.norm() else None
