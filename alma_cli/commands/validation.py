"""Validation by translating: BLEU or chrF2 of greedy translations, by the model as it is in training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import TYPE_CHECKING

from alma_cli.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from alma_cli.core.dataset import Example
    from alma_cli.core.languages import Direction
    from alma_cli.core.model import Precision
    from alma_cli.core.plan import StagePlan
    from alma_cli.core.recipe import DecodingSettings, Metric

    Quality = Callable[[PreTrainedModel], float]


def translation_quality(plan: StagePlan) -> Quality | None:
    """What measures a model in training by `validate_by`: 0 to 100, the mean over the directions; None for the loss.

    Raises InputError where there are no pairs to translate, MachineError where BLEU lacks a tokeniser's package.
    """
    from alma_cli.core.dataset import read_examples, split_path

    metric = plan.settings.validate_by
    if metric == "loss":
        return None
    split = split_path(plan.directory.path.parent / "data", "parallel", "valid")
    examples = spread_evenly(read_examples(split), plan.settings.validation_sentences)
    if not examples:
        raise InputError(
            f"stages.{plan.name}.validate_by = '{metric}' translates the pairs in '{split}', and there are none",
            hint="give a source with split = \"valid\" and run `alma prepare --stage parallel`, or validate by 'loss'",
        )
    # Better now than at the first validation.
    mean_score([example.target for example in examples], examples, metric)

    def quality(model: PreTrainedModel) -> float:
        return mean_score(_translations(plan, model, examples), examples, metric)

    return quality


def spread_evenly(examples: Sequence[Example], count: int) -> list[Example]:
    """So many of the examples: the first of each direction, then the second of each, and so on."""
    turns = zip_longest(*_by_direction(examples).values())
    return [example for turn in turns for example in turn if example is not None][:count]


def mean_score(hypotheses: Sequence[str], examples: Sequence[Example], metric: Metric) -> float:
    """The corpus score of each direction, with its target's tokeniser; the mean over the directions."""
    from alma_cli.scoring.metrics import measure

    scores = []
    for direction, indices in _indices_by_direction(examples).items():
        references = [examples[index].target for index in indices]
        (measured,) = measure(metric, [[hypotheses[index] for index in indices]], [references], direction.target)
        scores.append(measured.score)
    return sum(scores) / len(scores)


def _translations(plan: StagePlan, model: PreTrainedModel, examples: Sequence[Example]) -> list[str]:
    """A greedy translation of each example's source, by the prompt and decoding that `alma translate` uses."""
    from alma_cli.decoding.translator import Translator

    translations = [""] * len(examples)
    with _translating(model, plan.precision):
        translator = Translator.of_model(model, plan.tokenizer, plan.text_format, _greedy(plan), name=plan.base.name)
        for direction, indices in _indices_by_direction(examples).items():
            for found in translator.translate([examples[index].source for index in indices], direction):
                translations[indices[found.index]] = found.text
    return translations


def _greedy(plan: StagePlan) -> DecodingSettings:
    """The recipe's decoding without the search; no answer is longer than the targets that the stage trains on."""
    from alma_cli.core.recipe import ParallelStage

    decoding, settings = plan.recipe.decoding, plan.settings
    longest = decoding.max_new_tokens
    if isinstance(settings, ParallelStage):
        longest = min(longest, settings.max_target_tokens)
    return decoding.model_copy(update={"beams": 1, "max_new_tokens": longest})


@contextmanager
def _translating(model: PreTrainedModel, precision: Precision) -> Iterator[None]:
    """A model in training as one that translates: no dropout, the library's attention; all is as before afterwards."""
    import torch

    from alma_cli.core.attention import plain_attention

    was_training = model.training
    devices = [precision.device] if precision.device.type == "cuda" else []
    # Greedy search draws no random numbers; should a model of its own draw some, training's stay where they are.
    with torch.random.fork_rng(devices=devices), plain_attention(model):
        model.eval()
        try:
            yield
        finally:
            model.train(was_training)


def _by_direction(examples: Sequence[Example]) -> dict[Direction, list[Example]]:
    return {
        direction: [examples[index] for index in indices]
        for direction, indices in _indices_by_direction(examples).items()
    }


def _indices_by_direction(examples: Sequence[Example]) -> dict[Direction, list[int]]:
    groups: dict[Direction, list[int]] = {}
    for index, example in enumerate(examples):
        groups.setdefault(example.direction, []).append(index)
    return groups
