"""What a stage will do, before it does it: base model, tokenised data, steps; and which stage is due."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alma_cli.core.blocks import Blocks, TokenFile
from alma_cli.core.dataset import is_split, read_examples, split_path, split_sha256
from alma_cli.core.examples import StepPlan, TextFormat, TokenizedExample, tokenize_examples
from alma_cli.core.model import Precision, precision_of, text_format_of, tokenizer_of
from alma_cli.core.model_files import ModelFiles, resolve_model
from alma_cli.core.processes import Processes
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
    train: Sequence[TokenizedExample]  # what the steps can use of it
    valid: Sequence[TokenizedExample]
    dropped: dict[str, int]  # training examples left out, by reason
    data_sha256: str
    steps: StepPlan

    @property
    def tokens_per_micro_batch(self) -> int:
        """As set, or what suits the device: on a CPU more tokens at once are no faster, and take more memory."""
        fitting = 8192 if self.precision.device.type == "cuda" else 1024
        return self.settings.tokens_per_micro_batch or fitting

    @property
    def train_tokens(self) -> int:
        """Of all training examples, with prompts."""
        examples = self.train
        return examples.tokens if isinstance(examples, Blocks) else sum(len(one.token_ids) for one in examples)

    @property
    def train_target_tokens(self) -> int:
        """Of all training examples, how many tokens the loss looks at."""
        examples = self.train
        return examples.target_tokens if isinstance(examples, Blocks) else sum(one.target_tokens for one in examples)

    @cached_property
    def sampled_labels(self) -> list[int] | None:
        """All labels of the steps, ids in order, where a sample of tokens stands for the vocabulary."""
        if self.settings.loss_vocabulary == "whole":
            return None
        if isinstance(self.train, Blocks):
            return self.train.vocabulary
        steps = range(1, min(self.steps.steps, self.steps.steps_per_epoch) + 1)
        examples = (self.train[index] for step in steps for index in self.steps.indices(step))
        return sorted({token for example in examples for token in example.token_ids[example.prompt_tokens :]})

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


def plan_stage(
    recipe: Recipe,
    stage: StageName,
    work: Path,
    *,
    model: str | None = None,
    runs: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> StagePlan:
    """Read and tokenise a stage's data and decide its steps. Raises InputError where there is no data.

    The run's directory is made in `runs`, else in the work directory, which has the data. `progress` is told now and
    then how many tokens a long text has come to.
    """
    directory = StageDirectory((runs or work) / stage)
    settings = recipe.stage(stage)
    if settings is None:
        raise UsageError(f"recipe {recipe.name} has no stage {stage}", hint=f"it has: {', '.join(recipe.stage_names)}")
    with Processes().first_goes_ahead():  # it may be downloaded, or converted
        base = resolve_model(base_of_stage(recipe, stage, work, model))
    own = directory.path.resolve()
    if any(path.resolve().is_relative_to(own) for path in (base.weights, base.adapter) if path is not None):
        raise UsageError(f"stage {stage} cannot start from its own output in {own}", hint="--out DIR trains elsewhere")
    tokenizer = tokenizer_of(base)
    text_format = text_format_of(base, tokenizer, recipe.prompt.style)
    train_split, valid_split = (split_path(work / "data", stage, split) for split in ("train", "valid"))
    if not is_split(train_split):
        raise InputError(f"no training data in {train_split}", hint=f"run `alma prepare --stage {stage}` first")
    hashes = [split_sha256(split) for split in (train_split, valid_split) if is_split(split)]
    train: Sequence[TokenizedExample]
    valid: Sequence[TokenizedExample]
    if isinstance(settings, MonoStage):
        files = [
            TokenFile(split, sha256, tokenizer, text_format)
            for split, sha256 in zip((train_split, valid_split), hashes, strict=False)
        ]
        with Processes().first_goes_ahead():
            train, valid, dropped = _blocks(files, settings, progress)
    else:
        train, dropped = _tokenized(train_split, tokenizer, text_format, settings)
        valid = _tokenized(valid_split, tokenizer, text_format, settings)[0][: settings.validation_examples]
    _require_embeddings(base, tokenizer, train, valid)
    if not train:
        why = ", ".join(f"{count} {reason}" for reason, count in dropped.items()) or "it is empty"
        raise InputError(f"nothing to train on in {train_split}: {why}")
    return StagePlan(
        name=stage,
        recipe=recipe,
        settings=settings,
        directory=directory,
        base=base,
        precision=precision_of(settings.precision),
        tokenizer=tokenizer,
        text_format=text_format,
        train=train,
        valid=valid,
        dropped=dropped,
        data_sha256=hashlib.sha256(b"".join(bytes.fromhex(one) for one in hashes)).hexdigest(),
        steps=StepPlan(len(train), settings.examples_per_step, settings.epochs, settings.max_steps, recipe.seed),
    )


def _blocks(
    files: Sequence[TokenFile], settings: MonoStage, progress: Callable[[int], None] | None
) -> tuple[Blocks, Sequence[TokenizedExample], dict[str, int]]:
    """As many blocks to train on as the steps can use, blocks to validate on, and what is left out of the first.

    Documents are in mixed order already, so that their beginning is a fair part of them.
    """
    most = None if settings.max_steps is None else settings.max_steps * settings.examples_per_step
    train = files[0].blocks(settings.block_tokens, most=most, progress=progress)
    measured = settings.validation_examples
    valid = files[1].blocks(settings.block_tokens, most=measured, progress=progress) if len(files) > 1 else ()
    return train, valid, {"tokens_after_the_last_full_block": train.left_over} if train.left_over else {}


def _tokenized(
    split: Path, tokenizer: PreTrainedTokenizerBase, text_format: TextFormat, settings: StageSettings
) -> tuple[list[TokenizedExample], dict[str, int]]:
    assert isinstance(settings, ParallelStage), f"{settings=}"
    examples, dropped = tokenize_examples(
        tokenizer,
        text_format,
        read_examples(split),
        max_prompt_tokens=settings.max_prompt_tokens,
        max_target_tokens=settings.max_target_tokens,
    )
    return examples, dict(dropped)


def _require_embeddings(
    files: ModelFiles, tokenizer: PreTrainedTokenizerBase, *splits: Sequence[TokenizedExample]
) -> None:
    """Raise InputError where an example has a token that the model does not know.

    A tokenizer with more of them is common, and no harm as long as none of its own is in the data (a pad token).
    """
    config = json.loads((files.weights / "config.json").read_text(encoding="utf-8"))
    rows = config.get("vocab_size") or config.get("text_config", {}).get("vocab_size")
    if rows is None or len(tokenizer) <= rows:
        return
    largest = max(_largest_token_id(examples) for examples in splits)
    if largest >= rows:
        raise InputError(
            f"the tokenizer in {files.tokenizer} has {len(tokenizer):,} tokens, the model in {files.weights} {rows:,}, "
            f"and token {largest} is in the data",
            hint="they are not of one model, or its embeddings were not resized",
        )


def _largest_token_id(examples: Sequence[TokenizedExample]) -> int:
    if isinstance(examples, Blocks):
        return examples.largest_token_id
    return max((max(example.token_ids) for example in examples), default=0)
