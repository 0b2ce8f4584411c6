"""What a stage will do, before it does it: base model, tokenised data, steps; and which stage is due."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alma_cli.core.dataset import read_documents, read_examples, split_path
from alma_cli.core.examples import StepPlan, TextFormat, TokenizedExample, pack_documents, tokenize_examples
from alma_cli.core.model import Precision, precision_of, text_format_of, tokenizer_of
from alma_cli.core.model_files import ModelFiles, resolve_model
from alma_cli.core.recipe import STAGES, MonoStage, ParallelStage, Recipe, StageName, StageSettings
from alma_cli.core.run import StageDirectory
from alma_cli.errors import InputError, UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# They decide how fast a run goes, or what is kept of it, but not what it computes.
_NO_MATTER_FOR_RESUMING = {"tokens_per_micro_batch", "keep_checkpoints", "checkpoint_minutes", "trackers"}


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
    def tokens_per_micro_batch(self) -> int:
        """As set, or what suits the device: on a CPU more tokens at once are no faster, and take more memory."""
        fitting = 8192 if self.precision.device.type == "cuda" else 1024
        return self.settings.tokens_per_micro_batch or fitting

    @property
    def identity(self) -> dict[str, Any]:
        """What must be the same for a run to be resumed."""
        settings = self.settings.model_dump(mode="json", exclude=_NO_MATTER_FOR_RESUMING)
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


def missing_stage(recipe: Recipe, stage: StageName, work: Path) -> StageName | None:
    """The stage of the recipe that should come just before `stage` and is not finished."""
    earlier = recipe.stage_names[: recipe.stage_names.index(stage)]
    return earlier[-1] if earlier and StageDirectory(work / earlier[-1]).finished is None else None


def base_of_stage(recipe: Recipe, stage: StageName, work: Path, model: str | None) -> str:
    """What a stage starts from: `model` if given, else the stage before it if finished, else the base model.

    Training on pairs alone, without stage 1, is one of the paper's own comparisons.
    """
    earlier = recipe.stage_names[: recipe.stage_names.index(stage)]
    if model is not None or not earlier or missing_stage(recipe, stage, work):
        return model or recipe.model
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
    own = (work / stage).resolve()
    if any(path.resolve().is_relative_to(own) for path in (base.weights, base.adapter) if path is not None):
        raise UsageError(f"stage {stage} cannot start from its own output in {own}", hint="--out DIR trains elsewhere")
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


def _sha256(*files: Path) -> str:
    digest = hashlib.sha256()
    for file in files:
        if file.is_file():
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()
