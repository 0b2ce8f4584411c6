"""Translation speed beside transformers' generate, CTranslate2 and the reference implementation's way; prints a table.

    python benchmarks/translate_throughput.py --sources wmt22.de --sentences 200

All get the same token ids, stop tokens, limit of new tokens and search, and run one after the other, each in a process
of its own: its peak memory is that of the whole process. An output token is one of the best hypothesis, its stop token
counted. "the same" is how many of a contender's translations are alma's to the letter, chrF how near the others are.
The score is the mean log-probability a token, stop tokens left out, under the same model in fp32, in nats.

The limit is the time in which the machine's matrix peak, measured in the same process, does what must be done: every
prompt token once, and each token of the best hypothesis for every beam; attention is not counted, nor is memory, which
binds only below some 30 rows. generate is given its fix for the copied output matrix (decoding/library.py) and alma's
allocator settings, several batch sizes, and its sentences sorted by length.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# (name, options, share of the sentences that it gets): what takes a second a token is measured on fewer.
CONTENDERS: dict[str, tuple[dict[str, Any], float]] = {
    "alma": ({}, 1),
    "generate, batches of 16": ({"batch": 16}, 1 / 4),
    "generate, batches of 32": ({"batch": 32}, 1),
    "generate, batches of 64": ({"batch": 64}, 1 / 2),
    "CTranslate2 int8": ({"quantization": "int8"}, 1 / 2),
    "CTranslate2 float32": ({"quantization": "float32"}, 1 / 4),
    "reference (batch 2, padded to 256)": ({"batch": 2, "padded": 256}, 1 / 16),
}


def main() -> None:
    """Measure what is asked for."""
    options = _arguments()
    if options.job:
        print(json.dumps(_measured(json.loads(options.job))))
        return
    sources = _sources(options.sources)[: options.sentences]
    rows = []
    for name in options.only or CONTENDERS:
        for beams in options.beams:
            how, share = CONTENDERS[name]
            count = max(1, round(len(sources) * share))
            step = len(sources) // count
            job = {
                "name": name,
                "beams": beams,
                "model": options.model,
                "sources": sources[::step][:count],
                "direction": options.direction,
                "max_new_tokens": options.max_new_tokens,
                **how,
            }
            row = _in_a_process(job)
            rows.append(row)
            print(f"{name}, beam {beams}: {row['tokens_per_second']:.1f} tokens/s", file=sys.stderr)
    _print_table(rows, options)


def _in_a_process(job: dict[str, Any]) -> dict[str, Any]:
    command = [sys.executable, __file__, "--job", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-3000:])
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return job | row


def _measured(job: dict[str, Any]) -> dict[str, Any]:
    from alma_cli.core.process import peak_memory_gib, set_up_process

    set_up_process()
    import torch

    from alma_cli.core.examples import prompt_ids
    from alma_cli.core.languages import Direction
    from alma_cli.core.model import (
        Precision,
        eos_ids_of,
        generation_config_of,
        load_model,
        precision_of,
        text_format_of,
        tokenizer_of,
    )
    from alma_cli.core.model_files import resolve_model
    from alma_cli.core.peak import measured_peak_flops
    from alma_cli.core.recipe import DecodingSettings
    from alma_cli.decoding.engine import Request, Search
    from alma_cli.decoding.translator import stop_ids_of

    files = resolve_model(_tiny_llama() if job["model"] == "tiny" else job["model"])
    tokenizer = tokenizer_of(files)
    style = text_format_of(files, tokenizer, "alma")
    prompts = prompt_ids(tokenizer, style, job["sources"], Direction.parse(job["direction"]))
    requests = [Request(n, tuple(ids), job["max_new_tokens"]) for n, ids in enumerate(prompts)]
    settings = DecodingSettings(beams=job["beams"])
    precision = precision_of()
    search = Search.of(settings, stop_ids=stop_ids_of(tokenizer, eos_ids_of(generation_config_of(files))))
    answers = _contender(job, files, precision, tokenizer, requests, search)
    started = time.perf_counter()
    found = answers()
    seconds = time.perf_counter() - started
    peak_gib = peak_memory_gib()
    model: Any = load_model(files, Precision(torch.device("cpu"), torch.float32), dtype=torch.float32)
    texts = [tokenizer.decode(ids, skip_special_tokens=True).strip() for ids in found]
    body = sum(
        p.numel() for name, p in model.named_parameters() if p.dim() == 2 and "embed" not in name and "head" not in name
    )
    head = model.get_output_embeddings().weight.numel()
    output = sum(map(len, found))
    needed = 2 * body * (sum(map(len, prompts)) + output * job["beams"]) + 2 * head * output * job["beams"]
    return {
        "tokens_per_second": output / seconds,
        "output_tokens": output,
        "peak_gib": peak_gib,
        "share_of_limit": needed / seconds / measured_peak_flops(precision),
        "score": _score(model, prompts, [[token for token in ids if token not in search.stop_ids] for ids in found]),
        "texts": texts,
        "dtype": str(precision.dtype).removeprefix("torch."),
    }


def _contender(
    job: dict[str, Any], files: Any, precision: Any, tokenizer: Any, requests: Sequence[Any], search: Any
) -> Callable[[], list[list[int]]]:
    """What is timed; models are loaded, and CTranslate2's converted, before."""
    import torch

    if "quantization" in job:
        return _ctranslate2(job, files, tokenizer, requests, search)
    if job["name"] == "alma":
        from alma_cli.core.recipe import DecodingSettings
        from alma_cli.decoding.translator import Translator

        engine = Translator.load(files, DecodingSettings(beams=job["beams"])).engine

        def ours() -> list[list[int]]:
            answers = sorted(engine.answers(requests, search), key=lambda one: one.index)
            best = [one.hypotheses[0] for one in answers]
            return [[*one.token_ids, *([search.stop_ids[0]] if one.stopped else [])] for one in best]

        return ours
    from alma_cli.core.model import load_model
    from alma_cli.decoding.library import configuration, small_output_layer

    model: Any = load_model(files, precision, dtype=precision.dtype).eval()

    @torch.inference_mode()
    def generate() -> list[list[int]]:
        found: dict[int, list[int]] = {}
        ordered = requests if "padded" in job else sorted(requests, key=lambda one: -len(one.prompt))
        for start in range(0, len(ordered), job["batch"]):
            batch = ordered[start : start + job["batch"]]
            longest = max(job.get("padded", 0), *(len(one.prompt) for one in batch))
            ids = torch.zeros(len(batch), longest, dtype=torch.int64)
            mask = torch.zeros_like(ids)
            for row, one in enumerate(batch):
                ids[row, longest - len(one.prompt) :] = torch.tensor(one.prompt)
                mask[row, longest - len(one.prompt) :] = 1
            with small_output_layer(model):
                output = model.generate(
                    input_ids=ids,
                    attention_mask=mask,
                    generation_config=configuration(search, job["max_new_tokens"]),
                )
            for one, row in zip(batch, output[:, longest:].tolist(), strict=True):
                stop = next((n + 1 for n, token in enumerate(row) if token in search.stop_ids), len(row))
                found[one.index] = row[:stop]
        return [found[n] for n in range(len(requests))]

    return generate


def _ctranslate2(
    job: dict[str, Any], files: Any, tokenizer: Any, requests: Sequence[Any], search: Any
) -> Callable[[], list[list[int]]]:
    import importlib

    import torch

    from alma_cli.decoding.ct2 import converted

    directory = converted(files, "alma", quantization=job["quantization"])
    ctranslate2: Any = importlib.import_module("ctranslate2")
    generator = ctranslate2.Generator(str(directory), device="cpu", intra_threads=torch.get_num_threads())
    tokens = [tokenizer.convert_ids_to_tokens(list(one.prompt)) for one in requests]

    def generate() -> list[list[int]]:
        results = generator.generate_batch(
            tokens,
            max_batch_size=2048,
            batch_type="tokens",
            beam_size=job["beams"],
            max_length=job["max_new_tokens"],
            min_length=1,
            end_token=list(search.stop_ids),
            return_end_token=True,
            include_prompt_in_result=False,
        )
        return [list(result.sequences_ids[0]) for result in results]

    return generate


def _score(model: Any, prompts: Sequence[Sequence[int]], found: Sequence[Sequence[int]]) -> float:
    """Mean over the sentences of the log-probability a token, in nats."""
    import torch

    values = []
    with torch.inference_mode():
        for prompt, ids in zip(prompts, found, strict=True):
            row = torch.tensor([[*prompt, *ids]])
            logits = model(input_ids=row, use_cache=False).logits[0, len(prompt) - 1 : -1]
            values.append(float(torch.log_softmax(logits, -1).gather(1, row[0, len(prompt) :, None]).mean()))
    return sum(values) / len(values)


def _tiny_llama() -> str:
    """A LLaMA of random weights: two layers, 4.2M parameters, SmolLM2's tokenizer."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from alma_cli.core.known_models import cache_directory
    from alma_cli.core.model import tokenizer_of
    from alma_cli.core.model_files import resolve_model

    directory = cache_directory() / "benchmarks" / "tiny-llama"
    if not (directory / "tokenizer.json").is_file():
        tokenizer = tokenizer_of(resolve_model("smollm2-135m"))
        torch.manual_seed(0)
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=192,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            tie_word_embeddings=True,
            initializer_range=0.3,
        )
        LlamaForCausalLM(config).save_pretrained(directory)
        tokenizer.save_pretrained(directory)
    return str(directory)


def _sources(path: Path) -> list[str]:
    """The first column of a file, a sentence a line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split("\t")[0] for line in lines if line.strip()]


def _print_table(rows: Sequence[dict[str, Any]], options: argparse.Namespace) -> None:
    import platform

    import torch
    import transformers
    from sacrebleu.metrics.chrf import CHRF

    ours = {row["beams"]: row for row in rows if row["name"] == "alma"}
    heads = ["contender", "search", "sentences", "output tok/s", "alma is", "share of limit", "GiB", "score"]
    heads += ["the same", "chrF"]
    print("| " + " | ".join(heads) + " |")
    print("| --- | --- |" + " ---: |" * (len(heads) - 2))
    for row in rows:
        mine, ratio, same, agreement = ours.get(row["beams"]), "-", "-", "-"
        if mine:
            ratio = f"{mine['tokens_per_second'] / row['tokens_per_second']:.2f}x"
            by_source = dict(zip(mine["sources"], mine["texts"], strict=True))
            expected = [by_source[one] for one in row["sources"]]
            same = f"{sum(a == b for a, b in zip(expected, row['texts'], strict=True)) / len(expected):.0%}"
            agreement = f"{CHRF().corpus_score(row['texts'], [expected]).score:.1f}"
        cells = (
            row["name"],
            "greedy" if row["beams"] == 1 else f"beam {row['beams']}",
            len(row["sources"]),
            f"{row['tokens_per_second']:.1f}",
            ratio,
            f"{row['share_of_limit']:.0%}",
            f"{row['peak_gib']:.2f}",
            f"{row['score']:.4f}",
            same,
            agreement,
        )
        print("| " + " | ".join(map(str, cells)) + " |")
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    limit = f"at most {options.max_new_tokens} new tokens"
    print(f"\n{time.strftime('%Y-%m-%d')}; {options.model}, {rows[0]['dtype']}; {limit};")
    print(f"{platform.machine()}, {torch.get_num_threads()} threads; {versions}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="a model's name, or `tiny`: random weights")
    parser.add_argument("--sources", type=Path, default=ROOT / "recipes/demo/train.de-en.tsv", help="a sentence a line")
    parser.add_argument("--direction", default="de-en")
    parser.add_argument("--sentences", type=int, default=200)
    parser.add_argument("--max-new-tokens", type=int, default=128)
    parser.add_argument("--beams", type=int, nargs="+", default=[5, 1])
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS))
    parser.add_argument("--job", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
