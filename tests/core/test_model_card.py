"""The model card: a page that the hub accepts, that says what the manifests say and no more, and whose programs run."""

from __future__ import annotations

import json
import os
import re
from contextlib import chdir, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard

from alma_cli.core.dataset import Manifest, SourceReport
from alma_cli.core.languages import Direction
from alma_cli.core.model_card import RunRecord, model_card, run_record
from alma_cli.core.model_files import ModelFiles, resolve_model
from alma_cli.core.prompt import alma_prompt
from tests.tiny import save_tiny_model

NASTY = 'a | b `c` <script> *d* [e](f) "g": no\n---\n# h \\ \x1b[0m'
STAGE = {
    "stage": "parallel",
    "base_name": "smollm2-135m",
    "settings": {"method": "lora", "learning_rate": 2e-3, "max_steps": None, "lora_targets": ["all-linear"]},
    "recipe": {"name": "demo", "description": "one line", "directions": ["de-en", "en-no"], "decoding": {"beams": 3}},
    "examples": {"train": 1000, "valid": 60, "dropped": {"prompt_too_long": 2}},
    "progress": {"step": 31, "best_step": 28, "best_loss": 1.23456, "target_tokens": 12345, "seconds": 345.6},
    "steps": 31,
    "device": "cpu",
    "processor": "AMD EPYC",
    "dtype": "bfloat16",
    "versions": {"torch": "2.9", "peft": "0.21"},
}
SOURCE = {
    "path": "/home/somebody/secret/corpora/train.de-en.tsv",
    "stage": "parallel",
    "split": "train",
    "languages": "de-en",
    "read": 1006,
    "kept": 1000,
}
SCORE = {
    "system": "parallel",
    "direction": "de-en",
    "metric": "bleu",
    "score": 13.678,
    "signature": "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0",
}
RECORD = RunRecord(
    name="demo-parallel",
    base_model="HuggingFaceTB/SmolLM2-135M-Instruct",
    base_name="smollm2-135m",
    stages=[STAGE],
    sources=[SOURCE],
    scores=[SCORE, {**SCORE, "system": "zero-shot", "score": 1.8}],
    recipe=STAGE["recipe"],
)
EXPORT: dict[str, Any] = {
    "format": "merged",
    "kind": "bf16",
    "note": "",
    "prompt": {"style": "alma", "adds_bos": True},
    "versions": {"alma_cli": "0.1", "ctranslate2": ""},
    "logits": {"largest_difference": 0.02, "typical_difference": 0.002, "spread": 3.1, "compared_in": "float32"},
    "translations": {"same": 3, "of": 3},
}


def card(record: RunRecord = RECORD, **export: Any) -> str:
    return model_card(record, {**EXPORT, **export})


def front_matter(text: str) -> dict[str, Any]:
    """As the hub reads it."""
    return ModelCard(text).data.to_dict()


def test_the_front_matter_is_what_the_hub_wants() -> None:
    assert front_matter(card()) == {
        "language": ["de", "en", "no"],  # not False, which a bare `no` is in YAML
        "base_model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "base_model_relation": "finetune",
        "library_name": "transformers",
        "pipeline_tag": "translation",
        "tags": ["alma", "translation", "lora"],
    }


@pytest.mark.parametrize(
    ("format", "library", "relation"),
    [("merged", "transformers", "finetune"), ("adapter", "peft", "adapter"), ("ctranslate2", "ctranslate2", None)],
)
def test_each_format_names_its_library(format: str, library: str, relation: str | None) -> None:
    found = front_matter(card(format=format))

    assert (found["library_name"], found.get("base_model_relation")) == (library, relation)


def test_a_base_model_that_the_hub_does_not_have_is_no_base_model() -> None:
    text = card(replace(RECORD, base_model="", base_name="my-model"))

    assert "base_model" not in front_matter(text)
    assert "- Base model: my-model\n" in text


def test_training_data_and_scores_are_told_as_the_manifests_have_them() -> None:
    text = card()

    for line in (
        "- Recipe `demo`: one line",
        "## Training, stage 1: parallel",
        "| method | lora |",
        "| learning rate | 0.002 |",
        "| lora targets | all-linear |",
        "| steps | 31 |",
        "| weights of step | 28 |",
        "| tokens in the loss | 12,345 |",
        "| seconds of training | 346 |",
        "| best validation loss, nats per token | 1.2346 |",
        "| computed on | AMD EPYC, bfloat16 |",
        "| left out: prompt too long | 2 |",
        "| versions | torch 2.9, peft 0.21 |",
        "| parallel | corpora/train.de-en.tsv | train | de-en | 1,006 | 1,000 |",
        r"| parallel | de-en | BLEU | 13.68 | nrefs:1\|case:mixed\|eff:no\|tok:13a\|smooth:exp\|version:2.6.0 |",
        "`zero-shot` is the recipe's base model before training.",
        "3 of 3 greedy translations are the same.",
        "Written by `alma export` with alma_cli 0.1.",
    ):
        assert line in text.replace("Written", "\nWritten"), line
    assert "max steps" not in text  # it has none
    assert "somebody" not in text


def test_what_was_not_measured_is_not_told() -> None:
    stage = {**STAGE, "progress": {"step": 31, "best_loss": float("inf")}, "examples": {}}

    text = card(replace(RECORD, stages=[stage], sources=(), scores=()))

    assert not [word for word in ("validation loss", "## Data", "## Scores", "seconds", "inf") if word in text]


def test_a_model_of_unknown_origin_claims_nothing() -> None:
    text = card(RunRecord("ALMA-7B", "haoranxu/ALMA-7B", "haoranxu/ALMA-7B"))

    assert front_matter(text).keys() == {"base_model", "library_name", "pipeline_tag", "tags"}
    assert "- How it was trained is not recorded beside its weights.\n" in text
    assert "## Training" not in text


def test_the_note_of_the_weights_is_told() -> None:
    text = card(note="from a quantised export (SmolLM2.gguf)")

    assert "- Note: the base weights are from a quantised export (SmolLM2.gguf)\n" in text


def test_nothing_in_a_value_breaks_out_of_its_place() -> None:
    stage = {**STAGE, "stage": NASTY, "settings": {"method": NASTY}, "versions": {NASTY: NASTY}}
    recipe = {**STAGE["recipe"], "description": NASTY}
    record = replace(RECORD, name=NASTY, base_name=NASTY, stages=[stage], recipe=recipe)
    record = replace(record, base_model="", scores=[{**SCORE, "system": NASTY, "signature": NASTY}])

    text = card(record, note=NASTY)

    assert front_matter(text)["tags"][-1] == 'a | b `c` <script> *d* [e](f) "g": no --- # h \\  [0m'
    assert "\x1b" not in text
    body = text.split("\n---\n", 1)[1]
    assert not re.search(r"(?<!\\)<script|^---|^# h", body, re.MULTILINE)
    rows = [line for line in body.split("\n") if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} <= {3, 6, 7}  # as many as its table has columns


def test_the_front_matter_is_yaml_to_any_reader() -> None:
    assert yaml.safe_load(card().split("---\n")[1])["language"][2] == "no"


# --- the programs on the page -------------------------------------------------------------------------------------


def printed(text: str, directory: Path) -> str:
    """What the page's Python program prints in the exported directory."""
    program = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert program
    with chdir(directory), redirect_stdout(out := StringIO()):
        exec(program[1], {})
    return out.getvalue()


@pytest.mark.parametrize("adds_bos", [True, False])
@pytest.mark.parametrize("style", ["alma", "chat"])
def test_the_program_sends_the_prompt_that_training_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, style: Any, adds_bos: bool
) -> None:
    from transformers import LlamaForCausalLM

    from alma_cli.core.examples import TextFormat, prompt_ids
    from tests.tiny import byte_tokenizer

    save_tiny_model(tmp_path)
    sent: list[list[int]] = []
    generate = LlamaForCausalLM.generate

    def recording(self: Any, **options: Any) -> Any:
        sent.append(options["input_ids"][0].tolist())
        return generate(self, **{**options, "max_new_tokens": 3})

    monkeypatch.setattr(LlamaForCausalLM, "generate", recording)

    printed(card(prompt={"style": style, "adds_bos": adds_bos}), tmp_path)

    text_format = TextFormat(style, adds_bos)
    assert sent == prompt_ids(byte_tokenizer(), text_format, ["Das Haus ist alt."], Direction("de", "en"))


def test_the_prompt_is_on_the_page_literally() -> None:
    assert f"```text\n{alma_prompt('<source>', Direction('de', 'en'))}\n```" in card()
    assert "alma translate in.txt --src de --tgt en --model . -o out.txt" in card()


# --- what the directories say -------------------------------------------------------------------------------------


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run of two stages, of files only: mono over smollm2-135m, parallel over mono."""
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # sha256 of no bytes
    for stage, base in (("mono", "../../base"), ("parallel", "../../mono/model")):
        write(tmp_path / stage / "model/alma.json", {"base": base})
        write(tmp_path / stage / "model/config.json", {})
        facts = {**STAGE, "stage": stage, "data_sha256": empty}
        write(tmp_path / stage / "stage.json", facts | ({"base_name": "runs/mono/model"} if stage != "mono" else {}))
    report = SourceReport("/x/y/train.tsv", "", "parallel", "train", "de-en", read=5, kept=5)
    Manifest([report], {"parallel": {}}, 42, {}, {}).save(tmp_path / "data")
    write(tmp_path / "scores/scores.json", {"rows": [SCORE, {**SCORE, "system": "somebody else's"}]})
    return tmp_path


def files(run: Path) -> ModelFiles:
    return resolve_model(str(run / "parallel"))


def test_the_record_goes_back_through_the_stages_to_the_base(run: Path) -> None:
    record = run_record(files(run))

    assert [facts["stage"] for facts in record.stages] == ["mono", "parallel"]
    assert record.name == "demo-parallel"
    assert (record.base_model, record.base_name) == ("HuggingFaceTB/SmolLM2-135M-Instruct", "smollm2-135m")
    assert [source["path"] for source in record.sources] == ["/x/y/train.tsv"]
    assert [row["system"] for row in record.scores] == ["parallel"]


def test_data_that_was_prepared_anew_since_is_not_claimed(run: Path) -> None:
    write(run / "data/parallel/train.jsonl", {"direction": "de-en", "source": "a", "target": "b"})

    assert run_record(files(run)).sources == []


def test_scores_from_before_the_training_are_not_claimed(run: Path) -> None:
    os.utime(run / "scores/scores.json", (1, 1))

    assert run_record(files(run)).scores == []


def test_a_model_that_is_no_stages_has_no_stages(tiny_model: Path) -> None:
    record = run_record(resolve_model(str(tiny_model)))

    assert (record.stages, record.base_model, record.directions) == ((), "", [])
    assert record.name == tiny_model.name
