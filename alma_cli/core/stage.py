"""One stage from recipe to weights: the page to read first.

    base model -> tokenised data -> steps of micro-batches -> train_steps -> validations, checkpoints -> best weights

The two stages of the paper (arXiv 2309.11674, section 4) differ in their data only: `mono` reads packed blocks of text
in the languages, `parallel` reads sentence pairs whose prompt carries no loss. Both go through the same loop.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import alma_cli
from alma_cli.core.examples import Batch, micro_batches
from alma_cli.core.loop import StepReport, adamw, learning_rate_schedule, mean_loss, train_steps
from alma_cli.core.model import add_lora, load_model, save_model
from alma_cli.core.model_files import ModelFiles
from alma_cli.core.objective import negative_log_likelihood
from alma_cli.core.plan import StagePlan
from alma_cli.core.run import Progress
from alma_cli.errors import Interrupted

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class ValidationReport:
    """One look at the validation split."""

    step: int
    loss: float  # nats per target token
    best: bool


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
StageEvent = StepReport | ValidationReport | Resumed | Finished


def run_stage(
    plan: StagePlan, *, resume: bool = True, stop: Callable[[], bool] = lambda: False
) -> Iterator[StageEvent]:
    """Train, from the start or from the newest checkpoint, and yield what happens; the last event is Finished.

    `stop` is asked after each step: True writes a checkpoint and raises Interrupted. A KeyboardInterrupt raises it
    without one, since it may come in the middle of a step; what came after the last checkpoint is then done again.
    Raises UsageError where the directory holds a run with other settings.
    """
    directory, settings = plan.directory, plan.settings
    directory.begin(plan.identity, resume=resume)
    if (facts := directory.finished) is not None:
        yield Finished(directory.model, facts, already=True)
        return

    torch.manual_seed(plan.recipe.seed)
    base = _merged_base(plan)
    model = _trainable_model(plan, base)
    optimizer = adamw(model, weight_decay=settings.weight_decay)
    progress = directory.load_checkpoint(model, optimizer) or Progress(step=0)
    directory.forget_metrics_after(progress.step if progress.step else -1)  # step 0 has a row, of its validation
    if progress.step:
        yield Resumed(progress.step)
    else:
        progress = yield from _validated(plan, model, progress)

    reports = train_steps(
        model,
        _steps_of_batches(plan, first=progress.step + 1),
        objective=negative_log_likelihood,
        optimizer=optimizer,
        learning_rate_at=learning_rate_schedule(
            settings.schedule,
            peak=settings.peak_learning_rate,
            steps=plan.steps.steps,
            warmup_ratio=settings.warmup_ratio,
        ),
        max_gradient_norm=settings.max_gradient_norm,
        autocast=plan.precision.autocast,
    )
    try:
        for report in reports:
            progress = replace(
                progress,
                step=report.step,
                target_tokens=progress.target_tokens + report.target_tokens,
                seconds=progress.seconds + report.seconds,
            )
            directory.log(asdict(report))
            yield report
            if (due := report.step in _validation_steps(plan)) or stop():
                if due:
                    progress = yield from _validated(plan, model, progress)
                directory.save_checkpoint(progress, model, optimizer, keep=settings.keep_checkpoints)
            if stop():
                raise Interrupted(f"stopped after step {report.step} of {plan.steps.steps}", hint=_GO_ON)
    except KeyboardInterrupt:
        kept = directory.newest_step()
        raise Interrupted(
            f"stopped during step {progress.step + 1} of {plan.steps.steps}; {kept} steps are kept", hint=_GO_ON
        ) from None

    if progress.best_step:
        directory.load_weights(model, progress.best_step)
    _save_result(plan, model, base)
    facts = _facts(plan, progress)
    directory.finish(facts)
    yield Finished(directory.model, facts)


def _merged_base(plan: StagePlan) -> ModelFiles:
    """The plain weights that the stage starts from; an adapter is merged into them first."""
    if plan.base.adapter is None:
        return plan.base
    merged = plan.directory.path / "base"
    if not merged.is_dir():
        model = load_model(plan.base, plan.precision, dtype=torch.bfloat16)
        save_model(model, plan.tokenizer, plan.text_format, merged, base=plan.base)
    return ModelFiles(plan.base.name, merged, note=plan.base.note)


def _trainable_model(plan: StagePlan, base: ModelFiles) -> PreTrainedModel:
    """Full weights train in fp32; under adapters the frozen weights are in the device's precision, or in 4 bits."""
    method = plan.settings.method
    dtype = torch.float32 if method == "full" else plan.precision.dtype
    model = load_model(base, plan.precision, dtype=dtype, four_bit=method == "qlora")
    if plan.settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if method == "full":
        return model
    for parameter in model.parameters():
        parameter.requires_grad = False
    return add_lora(model, plan.settings)


def _steps_of_batches(plan: StagePlan, *, first: int) -> Iterator[tuple[int, Sequence[Batch]]]:
    for step in range(first, plan.steps.steps + 1):
        examples = [plan.train[index] for index in plan.steps.indices(step)]
        yield step, list(micro_batches(examples, plan.settings.tokens_per_micro_batch))


def _validation_steps(plan: StagePlan) -> set[int]:
    """Evenly spread over the run, the last step always among them."""
    steps, wanted = plan.steps.steps, min(plan.settings.validations, plan.steps.steps)
    return {round(steps * (n + 1) / wanted) for n in range(wanted)} | {steps}


def _validated(
    plan: StagePlan, model: PreTrainedModel, progress: Progress
) -> Generator[ValidationReport, None, Progress]:
    """Measure the validation loss, log it, yield it, and return the progress with the best step so far."""
    if not plan.valid:
        return replace(progress, best_step=progress.step)
    loss = mean_loss(
        model,
        micro_batches(plan.valid, plan.settings.tokens_per_micro_batch),
        objective=negative_log_likelihood,
        autocast=plan.precision.autocast,
    )
    best = loss < progress.best_loss and progress.step > 0
    plan.directory.log({"step": progress.step, "valid_loss": loss})
    yield ValidationReport(progress.step, loss, best)
    return replace(progress, best_step=progress.step, best_loss=loss) if best else progress


def _save_result(plan: StagePlan, model: Any, base: ModelFiles) -> None:
    """Stage parallel leaves an adapter; stage mono plain weights, which the next stage builds on.

    The merge happens in bf16 over the unquantised base, whatever the adapter was trained over.
    """
    directory = plan.directory
    if plan.settings.method == "full":
        model = model.to(torch.bfloat16)
        save_model(model, plan.tokenizer, plan.text_format, directory.model, base=base)
        return
    adapter = directory.path / "adapter" if plan.name == "mono" else directory.model
    save_model(model, plan.tokenizer, plan.text_format, adapter, base=base)
    if plan.name == "mono":
        merged = load_model(replace(base, adapter=adapter), plan.precision, dtype=torch.bfloat16)
        save_model(merged, plan.tokenizer, plan.text_format, directory.model, base=base)
        shutil.rmtree(adapter)


def _facts(plan: StagePlan, progress: Progress) -> dict[str, Any]:
    """The finished stage's manifest."""
    import peft
    import transformers

    return {
        **plan.identity,
        "recipe": plan.recipe.model_dump(mode="json"),
        "base_name": plan.base.name,
        "base_note": plan.base.note,
        "examples": {"train": len(plan.train), "valid": len(plan.valid), "dropped": plan.dropped},
        "progress": asdict(progress),
        "steps": plan.steps.steps,
        "device": str(plan.precision.device),
        "dtype": str(plan.precision.dtype).removeprefix("torch."),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "versions": {
            "alma": alma_cli.__version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "peft": peft.__version__,
        },
    }
