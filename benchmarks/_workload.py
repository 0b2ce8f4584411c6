"""What every contender trains on: the model, the token ids, their useful FLOPs, and the machine's matrix peak.

T = tokens of an example, W = weights of a matrix
"""

from __future__ import annotations

import json
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SEED = 42

# Token lengths of the paper's 14,211 human-written de-en pairs with prompt and EOS, at these quantiles, under a
# tokenizer made for English (SmolLM2's, 49k) and under a multilingual one (Gemma 3's, 262k): (prompt, target).
QUANTILES = (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1)
LENGTHS = {
    ("english", "de-en"): (
        (16, 23, 30, 34, 42, 49, 55, 62, 69, 78, 89, 109, 131, 193, 256),
        (3, 6, 10, 12, 16, 19, 23, 26, 30, 34, 40, 50, 61, 93, 170),
    ),
    ("english", "en-de"): (
        (15, 19, 23, 25, 29, 32, 36, 39, 43, 47, 53, 63, 74, 106, 183),
        (3, 10, 17, 22, 29, 36, 42, 49, 56, 65, 76, 96, 119, 182, 256),
    ),
    ("multilingual", "de-en"): (
        (16, 20, 24, 27, 32, 36, 40, 44, 49, 54, 62, 74, 89, 133, 249),
        (2, 6, 10, 12, 16, 19, 22, 25, 29, 33, 39, 48, 60, 93, 195),
    ),
    ("multilingual", "en-de"): (
        (15, 19, 23, 25, 28, 32, 35, 38, 42, 46, 51, 61, 73, 106, 208),
        (3, 7, 11, 14, 19, 23, 27, 31, 36, 41, 49, 62, 76, 120, 237),
    ),
}

# Random-weight LLaMA shapes: (hidden, intermediate, layers, heads, key-value heads, vocabulary).
LLAMA_SHAPES = {
    "tiny": (64, 192, 2, 4, 2, 2000),
    "1b": (2048, 5632, 22, 32, 4, 32000),  # TinyLlama-1.1B
    "7b": (4096, 11008, 32, 32, 32, 32000),  # LLaMA-2-7B
    "13b": (5120, 13824, 40, 40, 40, 32000),  # LLaMA-2-13B
}


@dataclass(frozen=True)
class Shape:
    """What the FLOP count needs to know of a model."""

    linear: list[tuple[int, int, int]]  # (out, in, how many) of the layers' matrices
    head: tuple[int, int]  # (vocabulary, hidden)
    attention_width: int  # heads times head size, summed over the layers
    context: float  # sum of T^2 over sum of T

    def flops(
        self, method: str, *, tokens: int, target_tokens: int, rank: int, compared_tokens: int | None = None
    ) -> float:
        """Useful floating point operations of training on so many tokens; FLOPS_FORMULA in words."""
        weights = sum(out * into * count for out, into, count in self.linear)
        adapters = 0 if method == "full" else sum(rank * (out + into) * count for out, into, count in self.linear)
        per_weight = 6 if method == "full" else 4
        attention = 6 * self.context * self.attention_width
        vocabulary, hidden = self.head
        return tokens * (per_weight * weights + 6 * adapters + attention) + target_tokens * per_weight * (
            (compared_tokens or vocabulary) * hidden
        )


FLOPS_FORMULA = (
    "useful FLOPs: 4 per frozen and 6 per trained matrix weight (adapters included) and token, the output matrix at "
    "target tokens only, causal attention 6*T*width a token and layer; no padding, no recomputation"
)


def prepare(job: dict[str, Any]) -> dict[str, Any]:
    """Write `data/` as `alma prepare` does, and the same examples as token ids by optimizer step, in `steps.json`."""
    from alma_cli.core.dataset import split_path, write_examples
    from alma_cli.core.model import text_format_of, tokenizer_of
    from alma_cli.core.model_files import resolve_model
    from alma_cli.core.plan import plan_stage

    work = Path(job["work"])
    if job["random_llama"]:
        job["model"] = str(_save_random_llama(job["random_llama"], work / "model"))
    files = resolve_model(job["model"])
    tokenizer = tokenizer_of(files)
    count = job["examples_per_step"] * (job["warmup"] + job["steps"])
    if job["pairs"]:
        examples = list(_read_pairs(Path(job["pairs"]), job["direction"]))
        random.Random(SEED).shuffle(examples)
    else:
        examples = _synthetic_examples(tokenizer, text_format_of(files, tokenizer, "alma"), job["direction"], count)
    if len(examples) < count:
        raise SystemExit(f"{len(examples)} pairs are too few: {count} are needed")
    write_examples(split_path(work / "data", "parallel", "train"), examples)
    plan = plan_stage(recipe_of(job, method="lora"), "parallel", work)
    steps = [[plan.train[index] for index in plan.steps.indices(n + 1)] for n in range(plan.steps.steps)]
    (work / "steps.json").write_text(json.dumps([[(e.token_ids, e.prompt_tokens) for e in step] for step in steps]))
    timed = [example for step in steps[job["warmup"] :] for example in step]
    return {
        "model": job["model"],
        "weights": str(files.weights),
        "device": plan.precision.device.type,
        "dtype": str(plan.precision.dtype).removeprefix("torch."),
        "shape": _shape_of(files.weights, [len(e.token_ids) for step in steps for e in step]),
        "examples": len(timed),
        "tokens": sum(len(e.token_ids) for e in timed),
        "target_tokens": sum(e.target_tokens for e in timed),
        "dropped": plan.dropped,
    }


def recipe_of(job: dict[str, Any], *, method: str, **settings: Any) -> Any:
    """The experiment as alma runs it. The learning rate is next to nothing, so that every step's loss is the base
    model's and must be the same for all contenders."""
    from alma_cli.core.recipe import ParallelStage, Recipe, Stages

    stage = ParallelStage(
        method=method,
        learning_rate=1e-9,
        schedule="constant",
        warmup_ratio=0.0,
        examples_per_step=job["examples_per_step"],
        max_steps=job["warmup"] + job["steps"],
        tokens_per_micro_batch=job["tokens_per_micro_batch"],
        lora_rank=job["rank"],
        lora_alpha=2 * job["rank"],
        lora_dropout=job["dropout"],
        validations=0,
        **(job["set"] | settings),
    )
    stages = Stages(parallel=stage)
    return Recipe(name="benchmark", model=job["model"], directions=(job["direction"],), seed=SEED, stages=stages)


def assignment(text: str) -> tuple[str, Any]:
    """A setting of alma's stage, from KEY=VALUE."""
    key, _, value = text.partition("=")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def matrix_peak(job: dict[str, Any]) -> dict[str, Any]:
    """FLOP/s of the model's own matrix products, each alone and weighted by its share of the FLOPs: y = x W' and
    dx = dy W for frozen weights, and dW = dy' x for trained ones."""
    import torch

    device, dtype, rows = job["device"], getattr(torch, job["dtype"]), job["rows"]
    shape = Shape(**job["shape"])
    products = [(out, into, rows, count) for out, into, count in shape.linear]
    products.append((*shape.head, max(1, round(rows * job["target_tokens"] / job["tokens"])), 1))
    flops, seconds = 0.0, Counter[str]()
    for out, into, n, count in products:
        x, dy, w = (torch.randn(*size, device=device).to(dtype) for size in ((n, into), (n, out), (out, into)))
        flops += 2 * out * into * n * count
        seconds["y"] += count * _seconds_of(lambda x=x, w=w: torch.nn.functional.linear(x, w), device)
        seconds["dx"] += count * _seconds_of(lambda dy=dy, w=w: dy @ w, device)
        seconds["dW"] += count * _seconds_of(lambda dy=dy, x=x: dy.t() @ x, device)
    return {
        "frozen": 2 * flops / (seconds["y"] + seconds["dx"]),
        "trained": 3 * flops / seconds.total(),
        **{product: flops / value for product, value in seconds.items()},
    }


def _seconds_of(product: Callable[[], Any], device: str) -> float:
    """The median of a few timings, after one that is not counted."""
    import torch

    times: list[float] = []
    while len(times) < 4 or (sum(times) < 0.2 and len(times) < 200):
        started = time.perf_counter()
        product()
        if device == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def _shape_of(weights: Path, lengths: list[int]) -> dict[str, Any]:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(weights)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    head = model.get_output_embeddings()
    matrices = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head]
    counts = Counter((m.out_features, m.in_features) for m in matrices)
    text = config.get_text_config()
    head_size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return {
        "linear": [(out, into, count) for (out, into), count in counts.items()],
        "head": (head.out_features, head.in_features),
        "attention_width": text.num_hidden_layers * text.num_attention_heads * head_size,
        "context": sum(n * n for n in lengths) / sum(lengths),
    }


def _read_pairs(path: Path, direction_text: str) -> Iterator[Any]:
    from alma_cli.core.dataset import Example
    from alma_cli.core.languages import Direction
    from alma_cli.data.readers.json_values import JsonPairs
    from alma_cli.data.readers.shapes import PairShape
    from alma_cli.data.readers.tables import TsvPairs
    from alma_cli.data.records import Pair, rows_of

    direction = Direction.parse(direction_text)
    is_table = path.suffix == ".tsv"
    reader = TsvPairs.of(path, direction) if is_table else JsonPairs(path, PairShape(direction))
    for pair in rows_of(reader):
        if isinstance(pair, Pair):
            yield Example(direction, pair.source, pair.target)


def _synthetic_examples(tokenizer: Any, text_format: Any, direction_text: str, count: int) -> list[Any]:
    """Random words, as many as the measured lengths have tokens; long sources have long targets, as in real pairs."""
    from alma_cli.core.dataset import Example
    from alma_cli.core.examples import prompt_ids
    from alma_cli.core.languages import Direction

    direction = Direction.parse(direction_text)
    kind = "multilingual" if len(tokenizer) > 100_000 else "english"
    prompts, targets = LENGTHS[kind, direction_text]
    [empty_prompt] = prompt_ids(tokenizer, text_format, [""], direction)
    words, rng = _one_token_words(tokenizer), random.Random(SEED)

    def text(tokens: int) -> str:
        return " ".join(rng.choices(words, k=max(1, tokens)))

    examples = []
    for _ in range(count):
        quantile = rng.random()
        near = min(1.0, max(0.0, quantile + rng.gauss(0, 0.08)))  # gives the real pairs' correlation of 0.94
        source = text(_at(prompts, quantile) - len(empty_prompt))
        examples.append(Example(direction, source, text(_at(targets, near) - 1)))  # one is the EOS
    return examples


def _at(values: tuple[int, ...], quantile: float) -> int:
    """The value at a quantile, between the measured ones by a straight line."""
    upper = next(i for i, q in enumerate(QUANTILES) if q >= quantile and i > 0)
    share = (quantile - QUANTILES[upper - 1]) / (QUANTILES[upper] - QUANTILES[upper - 1])
    return round(values[upper - 1] + share * (values[upper] - values[upper - 1]))


def _one_token_words(tokenizer: Any) -> list[str]:
    """Words of a vocabulary that are one token after a space."""
    decoded = {tokenizer.decode([index]).strip() for index in range(min(len(tokenizer), 50_000))}
    words = sorted(word for word in decoded if len(word) > 2 and word.isascii() and word.isalpha() and word.islower())
    rows = tokenizer([f"a {word}" for word in ["a", *words]], add_special_tokens=False)["input_ids"]
    return [word for word, row in zip(words, rows[1:], strict=True) if len(row) == len(rows[0])][:5000]


def _save_random_llama(size: str, directory: Path) -> Path:
    """A LLaMA of this size with random bf16 weights, and a tokenizer for which each word is one token."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    hidden, intermediate, layers, heads, kv_heads, vocabulary = LLAMA_SHAPES[size]
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=4096,
        dtype="bfloat16",
    )
    torch.manual_seed(SEED)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        LlamaForCausalLM(config).save_pretrained(directory)
    torch.set_default_dtype(before)

    prompt = ["Translate", "this", "from", "to", "English", "German", ":"]
    specials = ["<unk>", "<s>", "</s>"]
    letters = "abcdefghijklmnopqrstuvwxyz"
    spelt = (a + b + c for a in letters for b in letters for c in letters)
    known = list(dict.fromkeys([*specials, *prompt, *letters, *spelt]))
    ids = {word: index for index, word in enumerate(known[:vocabulary])}
    backend = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<unk>"
    ).save_pretrained(directory)
    return directory
