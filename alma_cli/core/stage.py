"""One stage from recipe to weights: the page to read first.

    base model -> tokenised data -> steps of micro-batches -> train_steps -> validations, checkpoints -> best weights

The two stages of the paper (arXiv 2309.11674, section 4) differ in their data only: `mono` reads packed blocks of text
in the languages, `parallel` reads sentence pairs whose prompt carries no loss. Both go through the same loop.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import alma_cli
from alma_cli.core.dataset import read_documents, read_examples, split_path
from alma_cli.core.examples import (
    Batch,
    StepPlan,
    TextFormat,
    TokenizedExample,
    micro_batches,
    pack_documents,
    tokenize_examples,
)
from alma_cli.core.loop import StepReport, adamw, learning_rate_schedule, mean_loss, train_steps
from alma_cli.core.model import Precision, add_lora, load_model, precision_of, save_model, text_format_of, tokenizer_of
from alma_cli.core.model_files import ModelFiles, resolve_model
from alma_cli.core.objective import negative_log_likelihood
from alma_cli.core.recipe import STAGES, MonoStage, ParallelStage, Recipe, StageName, StageSettings
from alma_cli.core.run import Progress, StageDirectory
from alma_cli.errors import InputError, Interrupted, UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


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


StageEvent = StepReport | ValidationReport | Resumed | Finished


@dataclass(frozen=True)
class StagePlan:
    """Everything a stage will do, before it does it."""

    name: StageName
    recipe: Recipe
    settings: StageSettings
    directory: StageDirectory
    base: ModelFiles
    precision: Precision
    tokenizer: PreTrainedTokenizerBase
    text_format: TextFormat
    train: list[TokenizedExample]
    valid: list[TokenizedExample]
    dropped: dict[str, int]  # training examples left out, by reason
    data_sha256: str
    steps: StepPlan

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for a run to be resumed."""
        settings = self.settings.model_dump(mode="json", exclude={"keep_checkpoints"})
        base = {"weights": str(self.base.weights.resolve()), "adapter": str(self.base.adapter or "")}
        text_format = asdict(self.text_format)
        return {
            "stage": self.name,
            "seed": self.recipe.seed,
            "base": base,
            "data_sha256": self.data_sha256,
            "text_format": text_format,
            "settings": settings,
        }


def base_of_stage(recipe: Recipe, stage: StageName, work: Path, model: str | None) -> str:
    """What a stage starts from: `model` if given, else the stage before it, else the recipe's base model.

    Raises UsageError where the recipe has an earlier stage that is not finished.
    """
    if model is not None:
        return model
    names = recipe.stage_names
    earlier = names[: names.index(stage)]
    if not earlier:
        return recipe.model
    if StageDirectory(work / earlier[-1]).finished is None:
        raise UsageError(
            f"stage {stage} of recipe {recipe.name} starts from stage {earlier[-1]}, which is not finished in {work}",
            hint=f"run `alma train --stage {earlier[-1]}` first, or name a start with --model",
        )
    return str(work / earlier[-1] / "model")


def next_stage(recipe: Recipe, work: Path) -> StageName | None:
    """The first stage of the recipe that is not finished."""
    return next((name for name in recipe.stage_names if StageDirectory(work / name).finished is None), None)


def newest_finished_stage(work: Path) -> StageName | None:
    """The last stage that is finished in a work directory."""
    return next((name for name in reversed(STAGES) if StageDirectory(work / name).finished is not None), None)


def plan_stage(recipe: Recipe, stage: StageName, work: Path, *, model: str | None = None) -> StagePlan:
    """Read and tokenise a stage's data and decide its steps. Raises InputError where there is no data."""
    settings = recipe.stage(stage)
    if settings is None:
        raise UsageError(f"recipe {recipe.name} has no stage {stage}", hint=f"it has: {', '.join(recipe.stage_names)}")
    base = resolve_model(base_of_stage(recipe, stage, work, model))
    tokenizer = tokenizer_of(base)
    text_format = text_format_of(base, tokenizer, recipe.prompt.style)
    train_file, valid_file = (split_path(work / "data", stage, split) for split in ("train", "valid"))
    if not train_file.is_file():
        raise InputError(f"no training data in {train_file}", hint=f"run `alma prepare --stage {stage}` first")
    train, dropped = _tokenized(train_file, tokenizer, text_format, settings)
    valid, _ = _tokenized(valid_file, tokenizer, text_format, settings)
    if not train:
        why = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "the file is empty"
        raise InputError(f"nothing to train on in {train_file}: {why}")
    return StagePlan(
        name=stage,
        recipe=recipe,
        settings=settings,
        directory=StageDirectory(work / stage),
        base=base,
        precision=precision_of(settings.precision),
        tokenizer=tokenizer,
        text_format=text_format,
        train=train,
        valid=valid,
        dropped=dropped,
        data_sha256=_sha256(train_file, valid_file),
        steps=StepPlan(len(train), settings.examples_per_step, settings.epochs, settings.max_steps, recipe.seed),
    )


def run_stage(plan: StagePlan, *, resume: bool = True) -> Iterator[StageEvent]:
    """Train, from the start or from the newest checkpoint, and yield what happens; the last event is Finished.

    Raises UsageError where the directory holds a run with other settings, Interrupted after Ctrl-C (what
    came after the last checkpoint is done again).
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
            if report.step in _validation_steps(plan):
                progress = yield from _validated(plan, model, progress)
                directory.save_checkpoint(progress, model, optimizer, keep=settings.keep_checkpoints)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped during step {progress.step + 1} of {plan.steps.steps}",
            hint=f"the same command goes on from the last checkpoint in {directory.checkpoints}",
        ) from None

    if progress.best_step:
        directory.load_weights(model, progress.best_step)
    _save_result(plan, model, base)
    facts = _facts(plan, progress)
    directory.finish(facts)
    yield Finished(directory.model, facts)


def _tokenized(
    file: Path, tokenizer: PreTrainedTokenizerBase, text_format: TextFormat, settings: StageSettings
) -> tuple[list[TokenizedExample], dict[str, int]]:
    if isinstance(settings, MonoStage):
        blocks, left_over = pack_documents(tokenizer, text_format, read_documents(file), settings.block_tokens)
        return blocks, {"tokens_after_the_last_full_block": left_over} if left_over else {}
    assert isinstance(settings, ParallelStage), f"{settings=}"
    examples, dropped = tokenize_examples(
        tokenizer,
        text_format,
        read_examples(file),
        max_prompt_tokens=settings.max_prompt_tokens,
        max_target_tokens=settings.max_target_tokens,
    )
    return examples, dict(dropped)


def _merged_base(plan: StagePlan) -> Path:
    """The directory of plain weights that the stage starts from; an adapter is merged into one first."""
    if plan.base.adapter is None:
        return plan.base.weights
    merged = plan.directory.path / "base"
    if not merged.is_dir():
        model = load_model(plan.base, plan.precision, dtype=torch.bfloat16)
        save_model(model, plan.tokenizer, plan.text_format, merged, base=plan.base.weights)
    return merged


def _trainable_model(plan: StagePlan, base: Path) -> PreTrainedModel:
    """Full weights train in fp32; under adapters the frozen weights are in the device's precision, or in 4 bits."""
    method = plan.settings.method
    dtype = torch.float32 if method == "full" else plan.precision.dtype
    files = ModelFiles(plan.base.name, base)
    model = load_model(files, plan.precision, dtype=dtype, four_bit=method == "qlora")
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


def _save_result(plan: StagePlan, model: Any, base: Path) -> None:
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
        merged = load_model(ModelFiles(plan.base.name, base, adapter), plan.precision, dtype=torch.bfloat16)
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


def _sha256(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        if file.is_file():
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
