"""The README.md of an exported model, in the Hugging Face hub's form, from what the run's manifests say and no more."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from alma_cli.core.dataset import Manifest, is_split, split_path, split_sha256
from alma_cli.core.export import base_hub_id_of, known_hub_id
from alma_cli.core.known_models import KNOWN_MODELS
from alma_cli.core.languages import Direction
from alma_cli.core.model_files import ModelFiles
from alma_cli.core.prompt import alma_prompt

_MOST_STAGES = 10
_EXAMPLE = {
    "cs": "Ten dům je starý.",
    "de": "Das Haus ist alt.",
    "en": "The house is old.",
    "is": "Húsið er gamalt.",
    "ru": "Дом старый.",
    "zh": "房子很旧。",
}
# Those of a stage's settings that say what was learned; the rest is about speed and safety.
_SETTINGS = (
    "method",
    "learning_rate",
    "schedule",
    "warmup_ratio",
    "weight_decay",
    "epochs",
    "max_steps",
    "examples_per_step",
    "block_tokens",
    "lora_rank",
    "lora_alpha",
    "lora_dropout",
    "lora_targets",
)
_LIBRARY = {"merged": "transformers", "adapter": "peft", "ctranslate2": "ctranslate2"}
_METRICS = {"bleu": "BLEU", "chrf": "chrF2", "ter": "TER"}


@dataclass(frozen=True)
class RunRecord:
    """What the directories that a model came from say about it, the oldest stage first."""

    name: str
    base_model: str = ""  # a hub id
    base_name: str = ""  # how a person may call it
    stages: Sequence[Mapping[str, Any]] = ()
    sources: Sequence[Mapping[str, Any]] = ()  # reports of the data's manifest
    scores: Sequence[Mapping[str, Any]] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def directions(self) -> list[str]:
        """What the recipe trained for; empty for a model of unknown origin."""
        return list(self.recipe.get("directions", ()))


def run_record(files: ModelFiles) -> RunRecord:
    """Read what is recorded about a model: its stage and those before it, their data, its scores.

    Data that is no longer what the stage was trained on, and scores older than the stage, are left out.
    """
    own = files.adapter or files.weights
    directories: list[Path] = []
    stages: list[dict[str, Any]] = []
    while own.name == "model" and (facts := _read(own.parent / "stage.json")) and len(stages) < _MOST_STAGES:
        directories.insert(0, own.parent)
        stages.insert(0, facts)
        base = (_read(own / "alma.json") or {}).get("base")
        own = (own / str(base)).resolve() if base else Path()
    if not stages:
        base_model = base_hub_id_of(files)
        return RunRecord(Path(files.name).name, base_model, base_name=base_model or Path(files.name).name)
    named, recipe = str(stages[0].get("base_name", "")), stages[-1].get("recipe", {})
    return RunRecord(
        name=f"{recipe.get('name', 'model')}-{stages[-1].get('stage', 'stage')}",
        base_model=known_hub_id(named),
        base_name=named if named in KNOWN_MODELS or known_hub_id(named) else Path(named).name,
        stages=stages,
        sources=[report for where, facts in zip(directories, stages, strict=True) for report in _sources(where, facts)],
        scores=_scores(directories[-1]),
        recipe=recipe,
    )


def model_card(record: RunRecord, export: Mapping[str, Any]) -> str:
    """The page: front matter, what the model is, how to use it, how it was trained, scores, how it was exported."""
    parts = [
        _front_matter(record, export),
        f"# {_text(record.name)}",
        _introduction(record, export),
        _usage(record, export),
        *(_training(number, facts) for number, facts in enumerate(record.stages, 1)),
        _data(record),
        _scores_table(record),
        _export(export),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _front_matter(record: RunRecord, export: Mapping[str, Any]) -> str:
    """JSON strings are YAML strings, so that `no` (Norwegian) is no boolean and a colon no key."""
    languages = list(dict.fromkeys(code for direction in record.directions for code in direction.split("-")))
    methods = list(dict.fromkeys(str(facts.get("settings", {}).get("method", "")) for facts in record.stages))
    lines = ["---"]
    lines += _yaml_list("language", languages)
    if record.base_model:
        lines.append(f"base_model: {_quoted(record.base_model)}")
        relation = {"merged": "finetune" if record.stages else "", "adapter": "adapter"}.get(export["format"], "")
        lines += [f"base_model_relation: {relation}"] if relation else []
    lines.append(f"library_name: {_LIBRARY[export['format']]}")
    lines.append("pipeline_tag: translation")
    lines += _yaml_list("tags", ["alma", "translation", *filter(None, methods)])
    return "\n".join([*lines, "---"])


def _introduction(record: RunRecord, export: Mapping[str, Any]) -> str:
    what = {
        "merged": "whole weights, as `transformers` reads them",
        "adapter": "a PEFT adapter, without its base model",
        "ctranslate2": "a CTranslate2 model",
    }[export["format"]]
    lines = [f"- Form: {what}" + (f", {export['kind']}" if export["kind"] else "")]
    if record.recipe.get("description"):
        lines.append(f"- Recipe `{_code(record.recipe['name'])}`: {_text(record.recipe['description'])}")
    if record.directions:
        lines.append(f"- Directions: {', '.join(record.directions)}")
    if record.base_name:
        linked = f"[{_text(record.base_name)}](https://huggingface.co/{record.base_model})" if record.base_model else ""
        lines.append(f"- {'Base model' if record.stages else 'Model'}: {linked or _text(record.base_name)}")
    if export.get("note"):
        lines.append(f"- Note: the base weights are {_text(export['note'])}")
    if not record.stages:
        lines.append("- How it was trained is not recorded beside its weights.")
    return "\n".join(lines)


def _usage(record: RunRecord, export: Mapping[str, Any]) -> str:
    direction = Direction.parse(record.directions[0]) if record.directions else Direction("de", "en")
    bos = " after a BOS token" if export["prompt"]["adds_bos"] else ", without a BOS token"
    chat = export["prompt"]["style"] == "chat"
    turn = ", as the user's turn of its chat template" if chat else ""
    parts = [
        "## Use it",
        f"The model reads this text{bos}{turn}, and goes on with the translation and its EOS token; there is no space "
        "after the last colon:",
        _fenced("text", alma_prompt("<source>", direction)),
        _fenced("python", _program(direction, export, beams=_beams(record))),
    ]
    if export["format"] != "ctranslate2":
        command = f"alma translate in.txt --src {direction.source} --tgt {direction.target} --model . -o out.txt"
        parts += ["or, a file at a time:", _fenced("sh", command)]
    return "\n\n".join(parts)


def _program(direction: Direction, export: Mapping[str, Any], *, beams: int) -> str:
    """A program that translates one sentence with the exported directory as it is."""
    source = _EXAMPLE.get(direction.source, _EXAMPLE["en"])
    prompt = json.dumps(alma_prompt(source, direction), ensure_ascii=False)
    chat, bos = export["prompt"]["style"] == "chat", export["prompt"]["adds_bos"]
    turn = 'tokenizer.apply_chat_template([{"role": "user", "content": prompt}], tokenize=False, '
    encode = 'ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]'
    first = {
        "merged": ["import torch", "from transformers import AutoModelForCausalLM, AutoTokenizer"],
        "adapter": [
            "import torch",
            "from peft import PeftConfig, PeftModel",
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
        ],
        "ctranslate2": ["import ctranslate2", "from transformers import AutoTokenizer"],
    }[export["format"]]
    load = {
        "merged": ['model = AutoModelForCausalLM.from_pretrained(directory, dtype="auto")'],
        "adapter": [
            "base = PeftConfig.from_pretrained(directory).base_model_name_or_path",
            'model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype="auto"), directory)',
        ],
        "ctranslate2": ["generator = ctranslate2.Generator(directory)"],
    }[export["format"]]
    if export["format"] == "ctranslate2":
        run = [
            "tokens = tokenizer.convert_ids_to_tokens(ids)",
            f"options = dict(beam_size={beams}, max_length=256, include_prompt_in_result=False)",
            "found = generator.generate_batch([tokens], **options)[0]",
            "print(tokenizer.decode(found.sequences_ids[0], skip_special_tokens=True))",
        ]
    else:
        run = [
            f"found = model.generate(input_ids=torch.tensor([ids]), num_beams={beams}, max_new_tokens=256)",
            "print(tokenizer.decode(found[0, len(ids) :], skip_special_tokens=True))",
        ]
    lines = [
        *first,
        "",
        'directory = "."  # this directory, or its id on the hub',
        "tokenizer = AutoTokenizer.from_pretrained(directory)",
        *load,
        f"prompt = {prompt}",
        *([f"prompt = {turn}add_generation_prompt=True)"] if chat else []),
        encode,
        *(["if ids[:1] != [tokenizer.bos_token_id]:", "    ids = [tokenizer.bos_token_id, *ids]"] if bos else []),
        *run,
    ]
    return "\n".join(lines)


def _training(number: int, facts: Mapping[str, Any]) -> str:
    settings, progress = facts.get("settings", {}), facts.get("progress", {})
    examples = facts.get("examples", {})
    rows = [(name.replace("_", " "), _value(settings[name])) for name in _SETTINGS if settings.get(name) is not None]
    if facts.get("steps"):
        rows.append(("steps", f"{facts['steps']:,}"))
    if progress.get("best_step"):
        rows.append(("weights of step", f"{progress['best_step']:,}"))
    if progress.get("target_tokens"):
        rows.append(("tokens in the loss", f"{progress['target_tokens']:,}"))
    if progress.get("seconds"):
        rows.append(("seconds of training", f"{progress['seconds']:,.0f}"))
    if math.isfinite(best := float(progress.get("best_loss") or math.inf)):
        rows.append(("best validation loss, nats per token", f"{best:.4f}"))
    rows += [(f"{split} examples", f"{examples[split]:,}") for split in ("train", "valid") if split in examples]
    rows += [(f"left out: {reason.replace('_', ' ')}", f"{n:,}") for reason, n in examples.get("dropped", {}).items()]
    if device := facts.get("processor") or facts.get("device"):
        rows.append(("computed on", f"{device}, {facts.get('dtype', '')}".rstrip(", ")))
    rows += [("versions", ", ".join(f"{name} {version}" for name, version in facts.get("versions", {}).items()))]
    return f"## Training, stage {number}: {_text(str(facts.get('stage', '')))}\n\n{_table(('setting', 'value'), rows)}"


def _data(record: RunRecord) -> str:
    if not record.sources:
        return ""
    rows = [
        (one["stage"], _last_parts(one["path"]), one["split"], one["languages"], f"{one['read']:,}", f"{one['kept']:,}")
        for one in record.sources
    ]
    return "## Data\n\n" + _table(("stage", "source", "split", "languages", "read", "kept"), rows)


def _scores_table(record: RunRecord) -> str:
    if not record.scores:
        return ""
    rows = [
        (
            row["system"],
            row["direction"],
            _METRICS.get(row["metric"], row["metric"]),
            f"{row['score']:.2f}",
            row["signature"],
        )
        for row in record.scores
    ]
    about = ""
    if any(row["system"] == "zero-shot" for row in record.scores):
        about = "\n\n`zero-shot` is the recipe's base model before training."
    return "## Scores\n\n" + _table(("system", "direction", "metric", "score", "signature"), rows) + about


def _export(export: Mapping[str, Any]) -> str:
    lines = ["## Export"]
    if logits := export.get("logits"):
        lines.append(
            f"Compared with the model it was made from, its logits for {export['translations']['of']} prompts differ "
            f"by {logits['largest_difference']:.2g} at most and by {logits['typical_difference']:.2g} typically, at a "
            f"spread of {logits['spread']:.2g} (computed in {logits['compared_in']}). "
            f"{export['translations']['same']} of {export['translations']['of']} greedy translations are the same."
        )
    versions = ", ".join(f"{name} {version}" for name, version in export.get("versions", {}).items() if version)
    lines.append(f"Written by `alma export` with {_text(versions)}.")
    return "\n\n".join(lines)


def _sources(stage: Path, facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The manifest's reports for a stage, if its data is still the data that was trained on."""
    data = stage.parent / "data"
    digest = hashlib.sha256()
    for split in ("train", "valid"):
        path = split_path(data, str(facts.get("stage")), split)
        if is_split(path):
            digest.update(bytes.fromhex(split_sha256(path)))
    manifest = Manifest.load(data) if digest.hexdigest() == facts.get("data_sha256") else None
    reports = manifest.sources if manifest else []
    return [vars(report) for report in reports if report.stage == facts.get("stage")]


def _scores(stage: Path) -> list[dict[str, Any]]:
    """The stage's scores and the base model's, if they are younger than the stage."""
    path = stage.parent / "scores" / "scores.json"
    if not path.is_file() or path.stat().st_mtime < (stage / "stage.json").stat().st_mtime:
        return []
    rows = (_read(path) or {}).get("rows", [])
    return [row for row in rows if row["system"] in (stage.name, "zero-shot")]


def _read(path: Path) -> dict[str, Any] | None:
    return cast("dict[str, Any]", json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def _beams(record: RunRecord) -> int:
    return int(record.recipe.get("decoding", {}).get("beams", 5))


def _yaml_list(name: str, values: Sequence[str]) -> list[str]:
    return [f"{name}:", *(f"- {_quoted(value)}" for value in values)] if values else []


def _quoted(text: str) -> str:
    return json.dumps(_one_line(text), ensure_ascii=False)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *([_text(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(text: str) -> str:
    """Any text as plain Markdown, on one line."""
    return re.sub(r"([\\`*\[\]<>|#])", r"\\\1", _one_line(text))


def _code(text: str) -> str:
    return _one_line(text).replace("`", "'")


def _fenced(language: str, text: str) -> str:
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in " ".join(str(text).split()))


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _last_parts(path: str) -> str:
    """A file without the folders of the machine it was on."""
    return "/".join(Path(path).parts[-2:])
