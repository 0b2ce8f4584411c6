"""The processes that train together: one by default, more under `torchrun` or `accelerate launch`.

Every process reads the same recipe and data and cuts each step into the same micro-batches; process r of W takes the
micro-batches r, r + W, ... and the gradients are summed once a step. With `accelerate launch --use_fsdp` weights,
gradients and optimizer are sharded, too (torch's fully_shard). Process 0 alone writes files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from alma_cli.core.batch import Batch
from alma_cli.errors import UsageError

if TYPE_CHECKING:
    from alma_cli.core.model import Precision

# Gradients travel in pieces of at most so many numbers.
_BUCKET = 2**25


class Processes:
    """This process among `count`; with one, nothing here costs anything."""

    def __init__(self) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0")) if self.count > 1 else 0
        self.sharded = self.count > 1 and os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"
        if os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() == "true":
            raise UsageError(
                "training does not run under DeepSpeed", hint="accelerate launch --use_fsdp shards as much"
            )
        if self.count > 1:
            from accelerate import PartialState

            PartialState()  # joins the others: NCCL on GPUs, gloo on CPUs

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def share(self, batches: Sequence[Batch]) -> list[Batch]:
        """This process's micro-batches; all processes have as many, the last ones perhaps without a label."""
        rounds = -(-len(batches) // self.count)
        mine = list(batches[self.rank :: self.count])
        return mine + [batches[-1].unlabelled()] * (rounds - len(mine))

    def summed(self, *values: float) -> list[float]:
        """Each value summed over the processes."""
        if self.count == 1:
            return list(values)
        together = torch.tensor(values, dtype=torch.float64, device=_collective_device())
        torch.distributed.all_reduce(together)
        return [float(value) for value in together]

    def sum_gradients(self, weights: Iterable[Tensor]) -> None:
        """Sum the gradients over the processes, in place; sharded ones are summed already."""
        if self.count == 1 or self.sharded:
            return
        for bucket in _buckets([weight.grad for weight in weights if weight.grad is not None]):
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            torch.distributed.all_reduce(flat)
            for gradient, summed in zip(bucket, flat.split([g.numel() for g in bucket]), strict=True):
                gradient.copy_(summed.view_as(gradient))

    def gathered(self, value: Any) -> list[Any]:
        """One value of each process, in their order."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            torch.distributed.barrier()

    def shard(self, module: Any, precision: Precision, *, layers: Iterable[str]) -> None:
        """Shard a module's weights over the processes, `layers` (class names) each on its own; in place."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        policy = MixedPrecisionPolicy(param_dtype=precision.dtype, reduce_dtype=torch.float32)
        mesh = init_device_mesh(precision.device.type, (self.count,))
        for part in [part for part in module.modules() if type(part).__name__ in set(layers)]:
            fully_shard(part, mesh=mesh, mp_policy=policy)
        fully_shard(module, mesh=mesh, mp_policy=policy)


def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor in full, on every process; any other as it is."""
    full = getattr(tensor, "full_tensor", None)
    return full() if full is not None else tensor


def copy_whole(into: Tensor, tensor: Tensor) -> None:
    """Put a full tensor's values into one that may be sharded."""
    if hasattr(into, "placements"):
        from torch.distributed.tensor import DTensor, distribute_tensor

        assert isinstance(into, DTensor)
        tensor = distribute_tensor(tensor.to(into.device, into.dtype), into.device_mesh, into.placements)
    into.copy_(tensor)


def _collective_device() -> torch.device:
    """Where a small tensor has to be for the processes to exchange it."""
    return torch.device("cuda" if torch.distributed.get_backend() == "nccl" else "cpu")


def _buckets(gradients: list[Tensor]) -> Iterable[list[Tensor]]:
    bucket: list[Tensor] = []
    for gradient in gradients:
        if bucket and sum(g.numel() for g in bucket) + gradient.numel() > _BUCKET:
            yield bucket
            bucket = []
        bucket.append(gradient)
    if bucket:
        yield bucket
