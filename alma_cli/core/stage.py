"""One stage from recipe to weights: the page to read first.

    base model -> tokenised data -> steps of micro-batches -> train_steps -> validations, checkpoints -> best weights

The two stages of the paper (arXiv 2309.11674, section 4) differ in their data only: `mono` reads packed blocks of text
in the languages, `parallel` reads sentence pairs whose prompt carries no loss. Both go through the same loop.
"""

from __future__ import annotations

import errno
import math
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from alma_cli import __version__
from alma_cli.core.attention import choose_layout
from alma_cli.core.batch import Layout
from alma_cli.core.examples import TokenizedExample
from alma_cli.core.kernels import use_kernels
from alma_cli.core.loop import (
    MicroBatchHalved,
    StepReport,
    learning_rate_schedule,
    mean_loss,
    random_state,
    set_random_state,
    train_steps,
)
from alma_cli.core.model import add_lora, causal_lm_of, load_model, save_model
from alma_cli.core.model_files import ModelFiles
from alma_cli.core.objective import SummedLoss, negative_log_likelihood
from alma_cli.core.plan import StagePlan
from alma_cli.core.process import forget_peak_memory, processor_name
from alma_cli.core.processes import Processes
from alma_cli.core.run import Checkpoint, Progress
from alma_cli.core.run_report import write_report
from alma_cli.core.trackers import Trackers, open_trackers
from alma_cli.core.trained import TrainedWeights, adamw
from alma_cli.errors import Interrupted, MachineError, UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Greedy translations' BLEU or chrF2, 0 to 100, of a model as it is in training.
Quality = Callable[["PreTrainedModel"], float]


@dataclass(frozen=True)
class ValidationReport:
    """One look at the validation split."""

    step: int
    loss: float  # nats per target token
    best: bool
    quality: float | None = None  # BLEU or chrF2 of greedy translations, 0 to 100
    metric: str = "loss"  # what decides which weights are the best


@dataclass(frozen=True)
class Resumed:
    """The run goes on from a checkpoint."""

    step: int


@dataclass(frozen=True)
class Finished:
    """The stage is done; `already` when there was nothing left to do."""

    model: Path
    facts: dict[str, Any]
    already: bool = False


_GO_ON = "the same command goes on from there"
StageEvent = StepReport | MicroBatchHalved | ValidationReport | Resumed | Finished


def run_stage(
    plan: StagePlan, *, resume: bool = True, stop: Callable[[], bool] = lambda: False, quality: Quality | None = None
) -> Iterator[StageEvent]:
    """Train, from the start or from the newest checkpoint, and yield what happens; the last event is Finished.

    `stop` is asked after each step: True writes a checkpoint and raises Interrupted. A KeyboardInterrupt raises it
    without one, since it may come in the middle of a step; what came after the last checkpoint is then done again.
    `quality` measures the model at each validation where the recipe validates by translations. Raises UsageError where
    the directory holds a run with other settings, InputError where its files are damaged, MachineError where the disk
    is full or not to be written to: what was kept before is as it was.
    """
    try:
        yield from _run_stage(plan, resume=resume, stop=stop, quality=quality)
    except OSError as error:
        if error.errno is None:
            raise
        kept = plan.directory.newest_step()
        raise MachineError(
            f"{error.strerror} ({error.filename or plan.directory.path})",
            hint=f"{_what_to_do(error)}, and the same command goes on" + (f" after step {kept}" if kept else ""),
        ) from None


def _run_stage(
    plan: StagePlan, *, resume: bool, stop: Callable[[], bool], quality: Quality | None
) -> Iterator[StageEvent]:
    processes = Processes()
    directory = plan.directory
    _require_shardable(plan, processes)
    processes.require_same({key: value for key, value in plan.identity.items() if key != "base"}, "data and settings")
    directory.begin(plan.identity, resume=resume, processes=processes)
    processes.require_same((directory.finished is not None, directory.newest_step()), "finished steps")
    if (facts := directory.finished) is not None:
        if processes.is_first:
            directory.discard_checkpoints()  # should it have been killed when it was about to
        yield Finished(directory.model, facts, already=True)
        return
    forget_peak_memory()  # of what `alma run` did before
    torch.manual_seed(plan.recipe.seed)  # LoRA starts the same in every process
    base = _merged_base(plan, processes)
    training = _Training(plan, base, processes, quality)
    with open_trackers(
        plan.settings.trackers if processes.is_first else (),
        directory.path,
        f"{plan.recipe.name}-{plan.name}",
        plan.identity["settings"],
        after_step=training.progress.step,
    ) as trackers:
        yield from training.run(stop, trackers)
    progress = training.progress
    del training
    if processes.is_first:
        _save_result(plan, base, progress)
        facts = _facts(plan, progress)
        write_report(directory, facts)
        directory.finish(facts)
        directory.discard_checkpoints()
    processes.wait()
    assert directory.finished is not None
    yield Finished(directory.model, directory.finished)


class _Training:
    """A stage between its start and its last step."""

    def __init__(self, plan: StagePlan, base: ModelFiles, processes: Processes, quality: Quality | None) -> None:
        self.plan = plan
        self.processes = processes
        self.quality = quality
        model = _trainable_model(plan, base, processes)
        use_kernels(model)
        self.layout: Layout = choose_layout(model)
        if plan.settings.gradient_checkpointing:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.loss_of = SummedLoss(model, negative_log_likelihood, labels=plan.sampled_labels, seed=plan.recipe.seed)
        if processes.sharded:
            processes.shard(self.loss_of, plan.precision, layers=causal_lm_of(model)._no_split_modules)
        self.weights = TrainedWeights(self.loss_of.model)
        eight_bit = plan.settings.optimizer == "adamw8bit"
        self.optimizer = adamw(self.weights, weight_decay=plan.settings.weight_decay, eight_bit=eight_bit)
        checkpoint = plan.directory.newest_checkpoint()
        self.progress = checkpoint.progress if checkpoint else Progress(step=0)
        self.resumed = checkpoint is not None
        if processes.rank:  # each process has dropout of its own
            torch.manual_seed(plan.recipe.seed + processes.rank)
        if checkpoint:
            self._load(checkpoint)
        processes.wait()
        if processes.is_first:  # step 0 has its validation's row
            plan.directory.forget_metrics_after(self.progress.step if checkpoint else -1)

    def run(self, stop: Callable[[], bool], trackers: Trackers) -> Iterator[StageEvent]:
        """The steps that are left, with their validations and checkpoints."""
        plan, settings, directory = self.plan, self.plan.settings, self.plan.directory
        if self.resumed:
            yield Resumed(self.progress.step)
        else:
            yield from self._validated()
        reports = train_steps(
            self.loss_of,
            _steps_of_examples(plan, first=self.progress.step + 1),
            weights=self.weights,
            optimizer=self.optimizer,
            learning_rate_at=learning_rate_schedule(
                settings.schedule,
                peak=settings.peak_learning_rate,
                steps=plan.steps.steps,
                warmup_ratio=settings.warmup_ratio,
            ),
            max_gradient_norm=settings.max_gradient_norm,
            tokens_per_micro_batch=plan.tokens_per_micro_batch,
            layout=self.layout,
            processes=self.processes,
        )
        validation_steps = _validation_steps(plan)
        saved = time.monotonic()
        try:
            for report in reports:
                if isinstance(report, MicroBatchHalved):
                    yield report
                    continue
                self.progress = replace(
                    self.progress,
                    step=report.step,
                    target_tokens=self.progress.target_tokens + report.target_tokens,
                    seconds=self.progress.seconds + report.seconds,
                )
                self._log(asdict(report))
                trackers.log({key: value for key, value in asdict(report).items() if value is not None}, report.step)
                yield report
                late = time.monotonic() - saved > 60 * settings.checkpoint_minutes
                stopping, late_somewhere = self.processes.summed(stop(), late)
                if due := report.step in validation_steps:
                    for event in self._validated():
                        trackers.log({"valid_loss": event.loss, **_named(event)}, event.step)
                        yield event
                if due or stopping or late_somewhere:
                    self._save()
                    saved = time.monotonic()
                if stopping:
                    raise Interrupted(f"stopped after step {report.step} of {plan.steps.steps}", hint=_GO_ON)
        except KeyboardInterrupt:
            kept = directory.newest_step()
            during = min(self.progress.step + 1, plan.steps.steps)
            raise Interrupted(
                f"stopped during step {during} of {plan.steps.steps}; {kept} steps are kept",
                hint=_GO_ON,
            ) from None

    def _validated(self) -> Generator[ValidationReport]:
        """Measure the validation split, log it, and keep in mind which step was the best."""
        plan, progress = self.plan, self.progress
        if not plan.valid:
            self.progress = replace(progress, best_step=progress.step)
            return
        loss = mean_loss(
            self.loss_of,
            plan.valid,
            tokens_per_micro_batch=plan.tokens_per_micro_batch,
            layout=self.layout,
            processes=self.processes,
        )
        if not math.isfinite(loss):
            hint = "lower stages.*.learning_rate" if progress.step else "the model's weights, or its copy, are damaged"
            raise UsageError(f"the validation loss is {loss} after step {progress.step}", hint=hint)
        metric = plan.settings.validate_by
        found = self._quality() if metric != "loss" else None
        # The weights before the first step are measured to compare with, but they are no result of training.
        better = loss < progress.best_loss if found is None else found > progress.best_quality
        best = progress.step > 0 and better
        if best:
            known = progress.best_quality if found is None else found
            self.progress = replace(progress, best_step=progress.step, best_loss=loss, best_quality=known)
        event = ValidationReport(progress.step, loss, best, found, metric)
        self._log({"step": progress.step, "valid_loss": loss, "best": best, **_named(event)})
        if self.processes.is_first:
            write_report(plan.directory, plan.identity)
        yield event

    def _quality(self) -> float:
        """The first process translates, while the others wait for what it finds."""
        assert self.quality is not None, "the recipe validates by translations"
        return self.processes.summed(self.quality(self.loss_of.model) if self.processes.is_first else 0.0)[0]

    def _log(self, row: dict[str, Any]) -> None:
        if self.processes.is_first:
            self.plan.directory.log(row)

    def _save(self) -> None:
        first = self.processes.is_first
        checkpoint = Checkpoint(
            self.progress,
            self.weights.state(kept=first),
            self.weights.optimizer_state(self.optimizer, kept=first),
            self.processes.gathered(random_state()),
        )
        if first:
            self.plan.directory.save_checkpoint(checkpoint, keep=self.plan.settings.keep_checkpoints)
        self.processes.wait()

    def _load(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint; another number of processes may, too, with other random numbers."""
        self.weights.load(checkpoint.weights)
        self.weights.load_optimizer_state(self.optimizer, checkpoint.optimizer)
        if self.processes.rank < len(checkpoint.random):
            set_random_state(checkpoint.random[self.processes.rank])


def _what_to_do(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room on the disk"
    return "see to the path and its permissions"


def _require_shardable(plan: StagePlan, processes: Processes) -> None:
    """Raises UsageError for what does not go with weights in pieces."""
    if not processes.sharded:
        return
    if plan.settings.method == "qlora":
        raise UsageError("4-bit weights cannot be sharded", hint="torchrun without FSDP trains qlora on every GPU")
    if plan.settings.optimizer == "adamw8bit":
        raise UsageError("optimizer adamw8bit cannot be sharded", hint="adamw, sharded, takes less from 4 GPUs on")
    if plan.settings.validate_by != "loss":
        raise UsageError(
            f"validate_by = '{plan.settings.validate_by}' cannot translate with sharded weights",
            hint=f"--set stages.{plan.name}.validate_by=loss, or torchrun without FSDP",
        )


def _merged_base(plan: StagePlan, processes: Processes) -> ModelFiles:
    """The plain weights that the stage starts from; an adapter is merged into them first."""
    if plan.base.adapter is None:
        return plan.base
    merged = plan.directory.path / "base"
    with processes.first_goes_ahead():
        if not merged.is_dir():
            model = load_model(plan.base, plan.precision, dtype=torch.bfloat16)
            save_model(model, plan.tokenizer, plan.text_format, merged, base=plan.base)
    return ModelFiles(plan.base.name, merged, note=plan.base.note)


def _trainable_model(plan: StagePlan, base: ModelFiles, processes: Processes) -> PreTrainedModel:
    """The model in the precision it computes in, frozen below its adapters, or whole; in 4 bits for QLoRA."""
    method = plan.settings.method
    # What is sharded is kept in fp32 and computed in the device's precision, layer by layer.
    dtype = torch.float32 if processes.sharded else plan.precision.dtype
    model = load_model(base, plan.precision, dtype=dtype, four_bit=method == "qlora")
    if method == "full":
        return model
    return add_lora(model, plan.settings)


def _steps_of_examples(plan: StagePlan, *, first: int) -> Iterator[tuple[int, Sequence[TokenizedExample]]]:
    for step in range(first, plan.steps.steps + 1):
        yield step, [plan.train[index] for index in plan.steps.indices(step)]


def _validation_steps(plan: StagePlan) -> set[int]:
    """Evenly spread over the run, the last step always among them."""
    steps, wanted = plan.steps.steps, min(plan.settings.validations, plan.steps.steps)
    return {round(steps * (n + 1) / wanted) for n in range(wanted)} | {steps}


def _named(event: ValidationReport) -> dict[str, float]:
    return {} if event.quality is None else {f"valid_{event.metric}": event.quality}


def _save_result(plan: StagePlan, base: ModelFiles, progress: Progress) -> None:
    """Stage parallel leaves an adapter; stage mono plain weights, which the next stage builds on.

    The weights come from the best checkpoint on disk. A merge happens in bf16 over the unquantised base, whatever the
    adapter was trained over.
    """
    directory, method = plan.directory, plan.settings.method
    stored = directory.weights_of(progress.best_step or progress.step)
    model: Any = load_model(base, plan.precision, dtype=torch.bfloat16)
    if method != "full":
        model = add_lora(model, plan.settings)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in stored:
                parameter.copy_(stored.pop(name))
    assert not stored, f"{stored.keys()}"
    adapter = directory.path / "adapter" if plan.name == "mono" else directory.model
    save_model(model, plan.tokenizer, plan.text_format, adapter if method != "full" else directory.model, base=base)
    if method != "full" and plan.name == "mono":
        merged = load_model(replace(base, adapter=adapter), plan.precision, dtype=torch.bfloat16)
        save_model(merged, plan.tokenizer, plan.text_format, directory.model, base=base)
        shutil.rmtree(adapter)


def _facts(plan: StagePlan, progress: Progress) -> dict[str, Any]:
    """The finished stage's manifest."""
    return {
        **plan.identity,
        "recipe": plan.recipe.model_dump(mode="json"),
        "base_name": plan.base.name,
        "base_note": plan.base.note,
        "examples": {"train": len(plan.train), "valid": len(plan.valid), "dropped": plan.dropped},
        "progress": asdict(progress),
        "steps": plan.steps.steps,
        "device": str(plan.precision.device),
        "processor": processor_name(plan.precision.device),
        "processes": Processes().count,
        "dtype": str(plan.precision.dtype).removeprefix("torch."),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "versions": {"alma": __version__, **{name: version(name) for name in ("torch", "transformers", "peft")}},
    }
