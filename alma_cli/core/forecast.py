"""What a planned stage will take: memory and whether it fits, time, and what becomes of each token of an example."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import psutil
import torch

from alma_cli.core.examples import TokenizedExample
from alma_cli.core.fates import TokenFate, fates_of_ids
from alma_cli.core.memory import MemoryEstimate, Rehearsal
from alma_cli.core.model import Precision
from alma_cli.core.peak import measured_peak_flops
from alma_cli.core.plan import StagePlan
from alma_cli.core.process import free_memory
from alma_cli.errors import UsageError, nearest

# Of the peak of matrix products that training reaches: a typical share, no promise.
SHARE_OF_PEAK = {"cpu": 0.5, "cuda": 0.4}
_USABLE = 0.97  # of a GPU's memory: the driver and the screen keep the rest
_QUANTILES = (0.0, 0.5, 0.9, 0.99, 1.0)
_LENGTHS_LOOKED_AT = 20_000
_SAMPLE_TOKENS = 200


@dataclass(frozen=True)
class Gpu:
    """One GPU to plan for."""

    name: str
    gib: float
    teraflops: float | None = None  # dense matrix products in bf16, summed in fp32
    bf16: bool = True


# NVIDIA's data sheets (their bf16 figures with sparsity, halved) and, for the RTX cards, the GA102 and Ada whitepapers.
GPUS = (
    Gpu("T4", 16, 8.1, bf16=False),  # has fp16 only: trained in fp32
    Gpu("L4", 24, 121),
    Gpu("RTX 3090", 24, 71),
    Gpu("RTX 4090", 24, 165),
    Gpu("A100 40GB", 40, 312),
    Gpu("A100 80GB", 80, 312),
    Gpu("H100 80GB", 80, 989),
    Gpu("H200 141GB", 141, 989),
)


@dataclass(frozen=True)
class Forecast:
    """What a stage will take. Bytes, seconds, tokens."""

    where: str
    memory: MemoryEstimate
    room: int  # bytes that are free there, with what this process has already
    changes: dict[str, Any] | None  # settings with which it fits; None where nothing helps, empty where nothing need be
    tokens: int  # of the whole run
    target_tokens: int
    flops: float
    peak_flops: float | None  # a second
    share_of_peak: float

    @property
    def fits(self) -> bool:
        """Whether there is room for it."""
        return self.memory.total <= self.room

    @property
    def seconds(self) -> float | None:
        """The whole run, validations left out; None where the peak is not known."""
        return None if self.peak_flops is None else self.flops / (self.peak_flops * self.share_of_peak)


def gpu_named(text: str) -> Gpu:
    """A GPU by its name, or by its memory in GB. Raises UsageError with the nearest name."""
    wanted = _plain(text)
    spellings = [(spelling, gpu) for gpu in GPUS for spelling in (_plain(gpu.name), _plain(gpu.name.split()[0]))]
    if found := [gpu for spelling, gpu in spellings if spelling == wanted]:
        return found[0]
    if re.fullmatch(r"\d+(\.\d+)?", wanted.removesuffix("gb")):
        return Gpu(f"a GPU with {wanted.removesuffix('gb')} GB", float(wanted.removesuffix("gb")))
    names = [gpu.name for gpu in GPUS]
    raise UsageError(f"unknown GPU '{text}'", hint=nearest(text, names) or f"known: {', '.join(names)}; or its GB")


def room_for(precision: Precision) -> int:
    """Bytes that this process can have here, what it has already included."""
    free = free_memory(precision.device)
    return free if precision.device.type == "cuda" else free + int(psutil.Process().memory_info().rss)


def foresee(plan: StagePlan, gpu: Gpu | None = None) -> Forecast:
    """The forecast for this machine, or for another GPU."""
    if gpu is not None:
        dtype = torch.bfloat16 if gpu.bf16 and plan.settings.precision != "fp32" else torch.float32
        plan = replace(plan, precision=Precision(torch.device("cuda", 0), dtype))
    rehearsal = Rehearsal.of(plan)
    memory = rehearsal.memory(plan.train, plan.steps, plan.tokens_per_micro_batch)
    room = room_for(plan.precision) if gpu is None else int(gpu.gib * 2**30 * _USABLE)
    # The last step of an epoch has fewer examples.
    passes = plan.steps.steps / plan.steps.steps_per_epoch
    tokens, targets = (round(passes * one) for one in (plan.train_tokens, plan.train_target_tokens))
    if gpu is None:
        peak: float | None = measured_peak_flops(plan.precision)
    else:
        peak = gpu.teraflops * 1e12 if gpu.teraflops else None
    return Forecast(
        where=gpu.name if gpu else "this machine",
        memory=memory,
        room=room,
        changes={} if memory.total <= room else _changes_that_fit(plan, room),
        tokens=tokens,
        target_tokens=targets,
        flops=rehearsal.flops.useful(tokens, targets),
        peak_flops=peak,
        share_of_peak=SHARE_OF_PEAK[plan.precision.device.type],
    )


def lengths_of(plan: StagePlan) -> dict[str, int]:
    """Tokens of the examples at some quantiles."""
    every = max(1, len(plan.train) // _LENGTHS_LOOKED_AT)
    lengths = sorted(len(plan.train[index].token_ids) for index in range(0, len(plan.train), every))
    return {f"{share:.0%}": lengths[round(share * (len(lengths) - 1))] for share in _QUANTILES}


def sample_of(plan: StagePlan) -> tuple[TokenFate, ...]:
    """The run's first example, token by token, as far as it is short."""
    example = plan.train[plan.steps.indices(1)[0]]
    return fates_of_ids(plan.tokenizer, TokenizedExample(example.token_ids[:_SAMPLE_TOKENS], example.prompt_tokens))


def as_json(plan: StagePlan, forecast: Forecast) -> dict[str, Any]:
    """All of it in a form for programs."""
    return {
        "version": 1,
        "stage": plan.name,
        "model": plan.base.name,
        "method": plan.settings.method,
        "examples": {"train": len(plan.train), "valid": len(plan.valid), "dropped": plan.dropped},
        "steps": plan.steps.steps,
        "examples_per_step": plan.settings.examples_per_step,
        "tokens_per_step": round(forecast.tokens / plan.steps.steps),
        "tokens": forecast.tokens,
        "target_tokens": forecast.target_tokens,
        "length_quantiles": lengths_of(plan),
        "sample": [asdict(token) for token in sample_of(plan)],
        "where": forecast.where,
        "memory_bytes": {**forecast.memory.parts, "total": forecast.memory.total},
        "room_bytes": forecast.room,
        "fits": forecast.fits,
        "changes_that_fit": forecast.changes,
        "useful_flops": forecast.flops,
        "peak_flops_per_second": forecast.peak_flops,
        "share_of_peak": forecast.share_of_peak,
        "seconds": forecast.seconds,
    }


def _changes_that_fit(plan: StagePlan, room: int) -> dict[str, Any] | None:
    """The first of some changes, those that cost least first, with which the stage fits."""
    for changes in _possible_changes(plan):
        changed = replace(plan, settings=plan.settings.model_copy(update=changes))
        rehearsal = Rehearsal.of(changed)
        if rehearsal.least > room:  # whatever the examples are
            continue
        if rehearsal.memory(changed.train, changed.steps, changed.tokens_per_micro_batch).total <= room:
            return changes
    return None


def _possible_changes(plan: StagePlan) -> Iterator[dict[str, Any]]:
    """Smaller micro-batches cost little, recomputed activations a third of the time, another method another result."""
    longest = lengths_of(plan)["100%"]
    fewer = {"tokens_per_micro_batch": max(longest, plan.tokens_per_micro_batch // 4)}
    recomputed = {} if plan.settings.gradient_checkpointing else {"gradient_checkpointing": True}
    yield fewer
    if recomputed:
        yield {**fewer, **recomputed}
    methods = ("full", "lora", "qlora")
    for method in methods[methods.index(plan.settings.method) :]:
        other: dict[str, Any] = {} if method == plan.settings.method else {"method": method}
        if method == "full" and plan.settings.optimizer == "adamw":
            other = {"optimizer": "adamw8bit"}
        if other:
            yield other
            yield {**other, **fewer, **recomputed}


def _plain(name: str) -> str:
    return name.lower().replace(" ", "").replace("-", "").removeprefix("nvidia").removeprefix("rtx")
