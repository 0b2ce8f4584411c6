"""How this process was started: alone, or as one of several by `torchrun` or `accelerate launch`; without torch."""

from __future__ import annotations

import os
from dataclasses import dataclass

from alma_cli.errors import UsageError

_NEEDED = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launch:
    """This process among those of the launch."""

    count: int = 1
    rank: int = 0
    local_rank: int = 0  # among those of this host
    sharded: bool = False  # weights, gradients and optimizer, over all processes


def this_launch() -> Launch:
    """What the launcher left in the environment. Raises UsageError where it makes no sense."""
    try:
        count = int(os.environ.get("WORLD_SIZE") or 1)
        if count <= 1:
            return Launch()
        missing = [name for name in _NEEDED if not os.environ.get(name)]
        if missing:
            raise UsageError(
                f"WORLD_SIZE is {count}, but {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set",
                hint="start with torchrun or accelerate launch, or unset WORLD_SIZE to train in one process",
            )
        rank, local_rank = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    except ValueError as error:
        raise UsageError(f"WORLD_SIZE, RANK or LOCAL_RANK is no number: {error}") from None
    if os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() == "true":
        raise UsageError("training does not run under DeepSpeed", hint="accelerate launch --use_fsdp shards as much")
    return Launch(count, rank, local_rank, sharded=os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true")
