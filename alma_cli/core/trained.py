"""The weights that a stage trains: in fp32, with their gradients and their optimizer, whatever the model computes in.

Under LoRA they are the adapters, which are in fp32 anyway. Full training in bf16 has the model in bf16 and a copy of it
in fp32, the master weights: each micro-batch's bf16 gradients are added to the master's in fp32 as soon as they are
there, the optimizer changes the master, and the model gets its values back, rounded (Micikevicius et al., ICLR 2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from alma_cli.core.processes import copy_whole, whole

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_OF = "//"  # between a weight's name and that of a value which the optimizer keeps for it


class TrainedWeights:
    """The trained weights by name, shared ones once."""

    def __init__(self, model: PreTrainedModel) -> None:
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.masters: dict[str, Tensor] = {}  # fp32; each a parameter of the model itself, or a copy
        self._copied: list[tuple[Tensor, Tensor]] = []  # a bf16 parameter and its master
        for name, parameter in trained.items():
            self.masters[name] = parameter
            if parameter.dtype != torch.float32:
                self.masters[name] = torch.nn.Parameter(parameter.detach().float())
                self._copied.append((parameter, self.masters[name]))
                parameter.register_post_accumulate_grad_hook(partial(_move_gradient, self.masters[name]))

    def forget_gradients(self) -> None:
        """Drop what backward passes left, those broken off as well: in the masters, and on its way to them."""
        for weight in (*self.masters.values(), *(parameter for parameter, _ in self._copied)):
            weight.grad = None

    def update_model(self) -> None:
        """Give the model the masters' values."""
        with torch.no_grad():
            for parameter, master in self._copied:
                parameter.copy_(master)

    def state(self, *, kept: bool = True) -> dict[str, Tensor]:
        """The values in full on the host, for a checkpoint; every process has to call it, those that do not keep it get
        nothing."""
        full = ((name, whole(master.detach())) for name, master in self.masters.items())
        return {name: value.cpu().contiguous() for name, value in full if kept}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Put a checkpoint's values in place, in the model, too."""
        assert state.keys() == self.masters.keys(), f"{state.keys() ^ self.masters.keys()}"
        with torch.no_grad():
            for name, master in self.masters.items():
                copy_whole(master, state[name])
        self.update_model()

    def optimizer_state(self, optimizer: torch.optim.Optimizer, *, kept: bool = True) -> dict[str, Tensor]:
        """What the optimizer keeps for each weight, as `weight//value`; in full, on the host and kept as `state` is."""
        full = (
            (f"{name}{_OF}{key}", whole(value) if isinstance(value, Tensor) else torch.tensor(value))
            for name, master in self.masters.items()
            for key, value in optimizer.state[master].items()
        )
        return {name: value.to("cpu", copy=True) for name, value in full if kept}

    def load_optimizer_state(self, optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
        """Put it back."""
        for key, value in state.items():
            name, _, kept = key.rpartition(_OF)
            master = self.masters[name]
            optimizer.state[master][kept] = _like_kept(value, master)


def adamw(weights: TrainedWeights, *, weight_decay: float, eight_bit: bool = False) -> torch.optim.Optimizer:
    """AdamW over the trained weights; norms and biases (one-dimensional) do not decay. With `eight_bit` its moments
    are in 8 bits (Dettmers et al., ICLR 2022), those of small tensors in fp32."""
    masters = list(weights.masters.values())
    groups = [
        {"params": [p for p in masters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in masters if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if eight_bit:
        import bitsandbytes

        library: Any = bitsandbytes.optim
        optimizer: torch.optim.Optimizer = library.AdamW8bit(groups, lr=0.0)
        return optimizer
    return torch.optim.AdamW(groups, lr=0.0, fused=True)


def _move_gradient(master: Tensor, parameter: Tensor) -> None:
    """Add the parameter's gradient, which has just been completed, to the master's."""
    assert parameter.grad is not None
    if master.grad is None:
        master.grad = parameter.grad.float()
    else:
        master.grad.add_(parameter.grad)
    parameter.grad = None


def _like_kept(value: Tensor, master: Tensor) -> Any:
    """A value as the optimizer had it: a count as a number or as it was, a moment sharded as its weight is."""
    if value.ndim == 0:
        return int(value) if value.dtype == torch.int64 else value.to(master.device)
    if hasattr(master, "placements") and value.shape == master.shape:
        moment = torch.zeros_like(master.detach())
        copy_whole(moment, value)
        return moment
    return value.to(master.device)
