"""Whether an exported model is the model it was made from: the same logits for a few prompts, the same translations.

T = tokens of a prompt, V = vocabulary. Logits are compared in units of their own spread, which is the standard
deviation over the vocabulary, averaged over positions.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from alma_cli.core.dataset import read_examples, split_path
from alma_cli.core.examples import TextFormat, prompt_ids
from alma_cli.core.languages import Direction
from alma_cli.core.prompt import one_line
from alma_cli.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_PROBES = 3
_MOST_CHARACTERS = 200  # of a source from the run's data
_MOST_NEW_TOKENS = 128

# Ours, for runs without data. A language that is missing here is asked about with the English ones: whether two models
# say the same does not depend on what they were asked.
_SENTENCES = {
    "cs": ("Zítra pojedeme vlakem do Brna.", "Ta kniha leží na stole.", "Kolik stojí ten chléb?"),
    "de": ("Morgen fahren wir mit dem Zug nach Bremen.", "Das Buch liegt auf dem Tisch.", "Was kostet das Brot?"),
    "en": ("Tomorrow we are taking the train to Leeds.", "The book is on the table.", "How much is the bread?"),
    "is": ("Bókin liggur á borðinu.", "Hvað kostar brauðið?", "Við förum heim á morgun."),
    "ru": ("Завтра мы едем на поезде в Тверь.", "Книга лежит на столе.", "Сколько стоит хлеб?"),
    "zh": ("我们明天坐火车去南京。", "书在桌子上。", "这本书很有意思。"),
}


@dataclass(frozen=True)
class Probe:
    """One sentence that both models are asked to translate."""

    direction: Direction
    source: str


@dataclass(frozen=True)
class Answer:
    """What a model says to one probe."""

    prompt: list[int]
    logits: Tensor  # (T, V) fp32, on the CPU
    text: str  # its greedy translation
    ended: bool  # by itself, not at the token limit


@dataclass(frozen=True)
class Tolerance:
    """The most that logits may differ, in spreads: any of them, and their root mean square."""

    largest: float
    typical: float


# Two to thirty times what was measured, computed in fp32, with SmolLM2-135M and Gemma-3-270M under a LoRA of rank 16:
# merged weights differ by 3e-5 and 4e-6 (fp32), 0.14 and 0.016 (bf16), CTranslate2's by 6e-5 and 6e-6 (float32), 1.5
# and 0.17 (int8). A RoPE that was converted wrongly gives a typical difference of 0.4 even in a model of two layers.
_ROUNDED = {
    "": Tolerance(1e-3, 1e-4),
    "fp32": Tolerance(1e-3, 1e-4),
    "float32": Tolerance(1e-3, 1e-4),
    "float16": Tolerance(0.3, 0.01),
    "bf16": Tolerance(1.0, 0.05),
    "bfloat16": Tolerance(1.0, 0.05),
    "int16": Tolerance(2.0, 0.2),
}
_INT8 = Tolerance(5.0, 0.3)
# Where memory is too small for fp32, rounding at every step comes to it: 0.65 and 0.09 in bf16, 2.5 and 0.42 in int8.
_COMPUTED_IN_BF16, _COMPUTED_IN_INT8 = Tolerance(2.0, 0.3), Tolerance(8.0, 0.8)


@dataclass(frozen=True)
class Difference:
    """How far two models' logits are apart, in the logits' own unit."""

    largest: float
    typical: float
    spread: float


def probes_of(work: Path, directions: Sequence[Direction]) -> list[Probe]:
    """Three short sources, from the run's test or validation data where it has them, else sentences of ours."""
    for split in ("test", "valid"):
        examples = read_examples(split_path(work / "data", "parallel", split))
        short = [e for e in examples if e.direction in directions and 0 < len(e.source.strip()) <= _MOST_CHARACTERS]
        if short:
            by_direction = [[e for e in short if e.direction == direction] for direction in directions]
            turns = [group[turn] for turn in range(_PROBES) for group in by_direction if turn < len(group)]
            return [Probe(example.direction, one_line(example.source)) for example in turns[:_PROBES]]
    asked = [directions[turn % len(directions)] for turn in range(_PROBES)]
    sentences = (_SENTENCES.get(direction.source, _SENTENCES["en"]) for direction in asked)
    return [Probe(direction, three[turn]) for turn, (direction, three) in enumerate(zip(asked, sentences, strict=True))]


@torch.inference_mode()
def answers_of(
    model: Any,
    tokenizer: PreTrainedTokenizerBase,
    text_format: TextFormat,
    probes: Sequence[Probe],
    stops: Sequence[int],
) -> list[Answer]:
    """What a transformers model says, one probe at a time, so that no padding comes into it."""
    answers = []
    for probe, prompt in zip(probes, _prompts(tokenizer, text_format, probes), strict=True):
        output = model(input_ids=torch.tensor([prompt], device=model.device), use_cache=True)
        logits = output.logits[0].float().cpu()
        new: list[int] = []
        while (token := int(output.logits[0, -1].argmax())) not in stops and len(new) < _limit(probe):
            new.append(token)
            step = torch.tensor([[token]], device=model.device)
            output = model(input_ids=step, past_key_values=output.past_key_values, use_cache=True)
        answers.append(Answer(prompt, logits, _text(tokenizer, new), ended=token in stops))
    return answers


def answers_of_ctranslate2(
    directory: Path,
    tokenizer: PreTrainedTokenizerBase,
    text_format: TextFormat,
    probes: Sequence[Probe],
    stops: Sequence[int],
    *,
    device: str,
    exact: bool,
) -> list[Answer]:
    """What a CTranslate2 model says: translations as it computes by itself; logits, with `exact`, in fp32.

    Raises InputError for a model that CTranslate2 wrote and cannot run.
    """
    ctranslate2: Any = importlib.import_module("ctranslate2")
    ctranslate2.set_log_level(logging.ERROR)  # that a processor lacks bf16 is no news
    prompts = _prompts(tokenizer, text_format, probes)
    options = {"device": device, "intra_threads": torch.get_num_threads()}
    try:
        generator = ctranslate2.Generator(str(directory), compute_type="float32" if exact else "default", **options)
        rows = [_ctranslate2_logits(ctranslate2, generator, prompt) for prompt in prompts]
        generator = ctranslate2.Generator(str(directory), **options)
        answers = []
        for probe, prompt, logits in zip(probes, prompts, rows, strict=True):
            # Asked for a stop token in the result, it also says whether one ended it.
            found = generator.generate_batch(
                [tokenizer.convert_ids_to_tokens(prompt)],
                max_length=_limit(probe) + 1,
                include_prompt_in_result=False,
                end_token=list(stops),
                return_end_token=True,
            )[0].sequences_ids[0]
            ended = bool(found) and found[-1] in stops
            answers.append(Answer(prompt, logits, _text(tokenizer, found[:-1]), ended))
    except (RuntimeError, ValueError) as error:
        why = str(error).splitlines()[0][:160]
        raise InputError(f"CTranslate2 cannot run what it converted: {why}", hint="take --format merged") from None
    return answers


@torch.inference_mode()
def adapter_effect(source: Any, expected: Sequence[Answer]) -> float:
    """How much the source's adapter changes the logits: their typical difference without it."""
    with source.disable_adapter():
        rows = [source(input_ids=torch.tensor([answer.prompt], device=source.device)) for answer in expected]
    without = [replace(one, logits=row.logits[0].float().cpu()) for one, row in zip(expected, rows, strict=True)]
    return compared(expected, without).typical


def compared(expected: Sequence[Answer], found: Sequence[Answer]) -> Difference:
    """How far the logits are apart. Raises InputError where not even the prompts are the same."""
    if [answer.prompt for answer in expected] != [answer.prompt for answer in found]:
        raise InputError("the tokenizer as it was written reads the prompt otherwise", hint="please report this model")
    spread = torch.cat([answer.logits.std(dim=1) for answer in expected]).mean()
    # CTranslate2 may leave out vocabulary rows that no token uses, at the end.
    apart = torch.cat(
        [
            (one.logits - other.logits[:, : one.logits.shape[1]]).flatten()
            for one, other in zip(expected, found, strict=True)
        ]
    )
    return Difference(float(apart.abs().max()), float(apart.square().mean().sqrt()), float(spread))


def tolerance_of(kind: str, dtype: torch.dtype) -> Tolerance:
    """What is allowed for numbers written as `kind` and compared in `dtype`."""
    if kind.startswith("int8"):
        return _INT8 if dtype == torch.float32 else _COMPUTED_IN_INT8
    return _ROUNDED[kind] if dtype == torch.float32 else _COMPUTED_IN_BF16


def judged(expected: Sequence[Answer], found: Sequence[Answer], *, kind: str, dtype: torch.dtype) -> dict[str, Any]:
    """The check's facts for the manifest. Raises InputError where the written model is another than its source."""
    difference, tolerance = compared(expected, found), tolerance_of(kind, dtype)
    spread = max(difference.spread, 1e-12)
    largest, typical = difference.largest / spread, difference.typical / spread
    # Not `>`: a NaN is no agreement.
    if not (largest <= tolerance.largest and typical <= tolerance.typical):
        raise InputError(
            f"what was written is not the model it was made from: its logits differ by {largest:.2g} of their spread "
            f"at most and by {typical:.2g} typically, {tolerance.largest:g} and {tolerance.typical:g} are allowed",
            hint="nothing is kept; another --format may do",
        )
    sentences = [one.text == other.text for one, other in zip(expected, found, strict=True)]
    same = sum(sentences)
    if kind == "fp32" and same < len(sentences):
        raise InputError(
            f"only {same} of {len(sentences)} translations are the same after the merge in fp32",
            hint="nothing is kept; --format adapter writes the adapter as it is",
        )
    sound = [other for one, other in zip(expected, found, strict=True) if one.ended and one.text]
    if sound and not any(other.ended and other.text for other in sound):
        raise InputError(
            f"what was written no longer translates: none of {len(sound)} translations is complete",
            hint="nothing is kept; another --quantization may do",
        )
    return {
        "logits": {
            "largest_difference": difference.largest,
            "typical_difference": difference.typical,
            "spread": difference.spread,
            "tolerance": asdict(tolerance),
            "compared_in": str(dtype).removeprefix("torch."),
        },
        "translations": {
            "same": same,
            "of": len(sentences),
            "texts": [{"expected": one.text, "found": other.text} for one, other in zip(expected, found, strict=True)],
        },
    }


def _ctranslate2_logits(ctranslate2: Any, generator: Any, prompt: list[int]) -> Tensor:
    numpy: Any = importlib.import_module("numpy")
    found = generator.forward_batch([prompt]).to(ctranslate2.DataType.float32).to_device(ctranslate2.Device.cpu)
    return torch.from_numpy(numpy.array(found))[0]


def _prompts(tokenizer: PreTrainedTokenizerBase, text_format: TextFormat, probes: Sequence[Probe]) -> list[list[int]]:
    return [prompt_ids(tokenizer, text_format, [probe.source], probe.direction)[0] for probe in probes]


def _limit(probe: Probe) -> int:
    """More tokens than a translation takes, even byte by byte."""
    return min(_MOST_NEW_TOKENS, 2 * len(probe.source.encode()) + 16)


def _text(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    """The translation as `alma translate` has it: nothing after a line break belongs to it."""
    text = tokenizer.decode(ids, skip_special_tokens=True)
    assert isinstance(text, str)
    return one_line(text.strip().split("\n")[0])
