"""The processes that train together: one by default, more under `torchrun` or `accelerate launch`.

Every process reads the same recipe and data and cuts each step into the same micro-batches; process r of W takes the
micro-batches r, r + W, ... and the gradients are summed once a step. With `accelerate launch --use_fsdp` weights,
gradients and optimizer are sharded, too (torch's fully_shard). Process 0 alone writes files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from alma_cli.core.batch import Batch
from alma_cli.core.launch import this_launch
from alma_cli.errors import AlmaError, MachineError, UsageError

if TYPE_CHECKING:
    from alma_cli.core.model import Precision

# Gradients travel in pieces of at most so many numbers.
_BUCKET = 2**25
# While one process downloads, translates or saves, the others wait: NCCL's own ten minutes are too short.
_PATIENCE = timedelta(hours=12)
_SECONDS_FOR_THE_FIRST = 5.0  # to fail in the same way as another process, whose error is then not worth a line


class Processes:
    """This process among `count`; with one, nothing here costs anything.

    As a context it leaves the others at the end. An error that several processes have is then raised by one to be
    shown, and by the others not to be: AlmaError.process names the one that has an error of its own; the first
    process's errors are always shown.
    """

    def __init__(self) -> None:
        launch = this_launch()
        self.count, self.rank, self.sharded = launch.count, launch.rank, launch.sharded
        self._turn = 0 if launch.rank == 0 else 1 if launch.local_rank == 0 else 2
        if self.count > 1 and not torch.distributed.is_initialized():
            from accelerate import PartialState

            # Every process reads the weights; with it transformers 4 would leave those of all but the first empty.
            os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
            # Joins the others: NCCL on GPUs, gloo on CPUs.
            PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.count > 1 and error is None:
            torch.distributed.destroy_process_group()
        elif self.count > 1:
            _blame_one(self, error)

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

    def require_same(self, value: Any, what: str) -> None:
        """Raise UsageError where the processes have different values, as on hosts that do not share a directory."""
        different = [rank for rank, other in enumerate(self.gathered(value)) if other != value]
        if different:
            raise UsageError(
                f"the processes do not have the same {what}: {self.rank} has another than {different[0]}",
                hint="all hosts need the same work directory, on a file system that they share",
            )

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            torch.distributed.barrier()

    @contextmanager
    def first_goes_ahead(self) -> Iterator[None]:
        """Done by the first process, then by the first of each other host, then by the rest: what the first ones leave
        on disk, such as a downloaded model, the later ones find. Where one fails, those after it do not begin."""
        if self.count == 1:
            yield
            return
        for turn in range(3):
            done = turn != self._turn
            try:
                if not done:
                    yield
                    done = True
            finally:
                failed = self.gathered(not done)
            if any(failed):
                raise _AnotherFailed(f"process {failed.index(True)} failed")

    def shard(self, module: Any, precision: Precision, *, layers: Iterable[str]) -> None:
        """Shard a module's weights over the processes, `layers` (class names) each on its own; in place."""
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

        if not hasattr(FSDPModule, "set_force_sum_reduction_for_comms"):
            raise MachineError(f"torch {torch.__version__} is too old to shard", hint="pip install --upgrade torch")
        policy = MixedPrecisionPolicy(param_dtype=precision.dtype, reduce_dtype=torch.float32)
        mesh = init_device_mesh(precision.device.type, (self.count,))
        for part in [part for part in module.modules() if type(part).__name__ in set(layers)] + [module]:
            fully_shard(part, mesh=mesh, mp_policy=policy)
            # Sums, as without sharding; and gloo cannot take means.
            part.set_gradient_divide_factor(1.0)
            part.set_force_sum_reduction_for_comms(True)


class _AnotherFailed(AlmaError):
    """What ends a process that has nothing wrong with it."""


def _blame_one(processes: Processes, error: BaseException | None) -> None:
    """Return, or raise another error, so that what all processes suffer from is told once."""
    store = torch.distributed.distributed_c10d._get_default_store()

    def failed(*ranks: int) -> list[int]:
        try:
            return [rank for rank in ranks if store.check([f"alma/failed/{rank}"])]
        except (RuntimeError, OSError):  # the store is gone, with the process that had it
            return list(ranks)

    def wait_for(*ranks: int, seconds: float) -> list[int]:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not failed(*ranks):
            time.sleep(0.1)
        return failed(*ranks)

    others = [rank for rank in range(processes.count) if rank != processes.rank]
    # A connection that breaks is what another process's failure looks like.
    broken = not isinstance(error, (AlmaError, OSError, KeyboardInterrupt)) and bool(failed(*others))
    if broken or isinstance(error, _AnotherFailed):
        told = wait_for(*others, seconds=2 * _SECONDS_FOR_THE_FIRST)
        raise AlmaError(f"process {told[0]} failed" if told else str(error), hint="its error is above") from None
    if processes.is_first:
        store.set("alma/failed/0", "1")
        return
    if wait_for(0, seconds=_SECONDS_FOR_THE_FIRST):
        time.sleep(1.0)  # the launcher ends the others when one is gone: the first has its line to say
        same = AlmaError("as process 0")
        same.exit_code = getattr(error, "exit_code", AlmaError.exit_code)
        raise same from None
    store.set(f"alma/failed/{processes.rank}", "1")
    if isinstance(error, OSError):
        error = MachineError(str(error))
    if isinstance(error, AlmaError):
        error.process = processes.rank
        raise error from None


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
