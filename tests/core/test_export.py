"""What is written for other tools, format by format: the same numbers, complete or absent."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, LlamaConfig, LlamaForCausalLM

from alma_cli.core.examples import TextFormat
from alma_cli.core.export import (
    QUANTIZATIONS,
    ExportPlan,
    base_hub_id_of,
    finished_export,
    known_hub_id,
    load_source,
    load_written,
    plan_export,
    stop_ids,
    write_manifest,
    write_weights,
    writing,
)
from alma_cli.core.languages import Direction
from alma_cli.core.model import add_lora, load_model, precision_of, save_model
from alma_cli.core.model_files import ModelFiles, resolve_model
from alma_cli.core.plan import plan_stage
from alma_cli.core.recipe import ParallelStage
from alma_cli.core.stage import run_stage
from alma_cli.decoding.agreement import (
    Answer,
    Difference,
    Probe,
    adapter_effect,
    answers_of,
    answers_of_ctranslate2,
    compared,
    judged,
    probes_of,
)
from alma_cli.errors import InputError, MachineError, UsageError
from tests.core.conftest import MakeRecipe
from tests.tiny import byte_tokenizer, tiny_llama

FP32 = precision_of("fp32")
PROBES = [Probe(Direction("de", "en"), source) for source in ("Hund und Katze", "Das Haus", "Ein Baum steht dort.")]


def with_lora(base: Path, *targets: str) -> Any:
    """LoRA layers that change the model: B is zero at first."""
    torch.manual_seed(1)
    settings = ParallelStage(method="lora", lora_rank=4, lora_targets=targets or ("all-linear",))
    model = add_lora(load_model(ModelFiles("tiny", base), FP32, dtype=torch.float32), settings)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def save_adapter(base: Path, directory: Path, *targets: str) -> Path:
    files = ModelFiles("tiny", base)
    save_model(with_lora(base, *targets), byte_tokenizer(), TextFormat("alma", True), directory, base=files)
    return directory


@pytest.fixture
def adapter(tiny_model: Path, tmp_path: Path) -> Path:
    """An adapter over the tiny model, as a stage leaves it."""
    return save_adapter(tiny_model, tmp_path / "adapter")


def plan(model: Path, target: Path, **options: Any) -> ExportPlan:
    return plan_export(resolve_model(str(model)), target=target, style="alma", **{"format": "merged", **options})


def answers(plan: ExportPlan, model: Any) -> list[Answer]:
    return answers_of(model, plan.tokenizer, plan.text_format, PROBES, stop_ids(model, plan.tokenizer))


def difference(plan: ExportPlan, folder: Path) -> Difference:
    """How far the written model's logits are from its source's."""
    expected = answers(plan, load_source(plan))
    return compared(expected, answers(plan, load_written(plan, folder)))


def written(plan: ExportPlan) -> Path:
    """The target, after an export without checks."""
    with writing(plan) as folder:
        write_weights(plan, load_source(plan), folder)
        write_manifest(folder, {"identity": plan.identity})
    return plan.target


# --- merged -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "at_most"), [("fp32", 1e-4), ("bf16", 0.5)])
def test_merged_weights_give_the_logits_of_base_and_adapter(
    adapter: Path, tmp_path: Path, dtype: str, at_most: float
) -> None:
    export = plan(adapter, tmp_path / "merged", dtype=dtype)

    found = difference(export, written(export))

    source = load_source(export)
    assert adapter_effect(source, answers(export, source)) > 0.5 * found.spread
    assert found.largest < at_most * found.spread  # bf16 has 8 bits: 0.4% a weight


def test_merged_weights_have_the_precision_that_was_asked_for(adapter: Path, tmp_path: Path) -> None:
    directory = written(plan(adapter, tmp_path / "merged", dtype="bf16"))

    assert {tensor.dtype for tensor in load_file(directory / "model.safetensors").values()} == {torch.bfloat16}
    assert AutoConfig.from_pretrained(directory).dtype == torch.bfloat16


def test_a_merge_is_rounded_once(adapter: Path, tmp_path: Path) -> None:
    exact = load_file(written(plan(adapter, tmp_path / "exact", dtype="fp32")) / "model.safetensors")
    rounded = load_file(written(plan(adapter, tmp_path / "rounded", dtype="bf16")) / "model.safetensors")

    assert all(torch.equal(rounded[name], exact[name].to(torch.bfloat16)) for name in exact)


def test_merged_directory_is_plain_hugging_face_and_names_no_path(adapter: Path, tmp_path: Path) -> None:
    directory = written(plan(adapter, tmp_path / "merged"))

    names = {path.name for path in directory.iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "alma.json"} <= names
    assert AutoModelForCausalLM.from_pretrained(directory).config.eos_token_id == 1
    texts = [path.read_text() for path in directory.glob("*.json") if path.name != "export.json"]
    assert not [text for text in texts if str(tmp_path) in text or ".." in text]
    assert json.loads((directory / "alma.json").read_text()) == {"style": "alma", "adds_bos": True, "note": ""}


def test_generation_ends_at_the_tokenizers_eos_and_draws_no_lots(tiny_model: Path, tmp_path: Path) -> None:
    model = tiny_llama()
    model.generation_config = GenerationConfig(do_sample=True, temperature=0.6, top_p=0.9, eos_token_id=[7, 1])
    model.save_pretrained(tmp_path / "chatty")
    byte_tokenizer().save_pretrained(tmp_path / "chatty")

    directory = written(plan(tmp_path / "chatty", tmp_path / "merged"))

    found = GenerationConfig.from_pretrained(directory)
    assert (found.eos_token_id, found.bos_token_id, found.pad_token_id) == ([1, 7], 0, 2)
    assert not found.do_sample
    assert "temperature" not in json.loads((directory / "generation_config.json").read_text())


def test_whole_weights_are_exported_as_they_are(tiny_model: Path, tmp_path: Path) -> None:
    export = plan(tiny_model, tmp_path / "merged", dtype="fp32")

    assert difference(export, written(export)).largest == 0


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_merge_that_is_another_model_is_an_error(tiny_model: Path, tmp_path: Path) -> None:
    # The output layer is tied to the embeddings, which such an adapter does not change: merged in, it does.
    save_adapter(tiny_model, tmp_path / "adapter", "lm_head")
    export = plan(tmp_path / "adapter", tmp_path / "merged", dtype="fp32")
    expected = answers(export, load_source(export))

    def merge() -> None:
        with writing(export) as folder:
            write_weights(export, load_source(export), folder)
            judged(expected, answers(export, load_written(export, folder)), kind="fp32", dtype=torch.float32)

    with pytest.raises(InputError, match=r"^what was written is not the model it was made from: its logits differ by"):
        merge()
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_a_merge_over_4_bits_is_near_what_was_trained(
    make_recipe: MakeRecipe, qlora_model: Path, work: Path, tmp_path: Path
) -> None:
    settings = {"method": "qlora", "learning_rate": 3e-2, "schedule": "constant", "max_steps": 12}
    list(run_stage(plan_stage(make_recipe(model=qlora_model, parallel=settings), "parallel", work)))
    export = plan(work / "parallel", tmp_path / "merged", dtype="fp32")
    four_bit = load_model(replace(export.files, adapter=None), FP32, dtype=torch.float32, four_bit=True)
    from peft import PeftModel

    trained = answers(export, PeftModel.from_pretrained(four_bit, str(export.files.adapter)).eval())

    apart = compared(trained, answers(export, load_written(export, written(export))))

    # NF4 rounds a weight by 8% of its size on average (Dettmers et al. 2023, table 2: 4 bits, blocks of 64); in two
    # layers a tenth to a fifth of the logits' spread comes of it. The adapter itself changes them by as much as that.
    assert apart.typical < 0.3 * apart.spread
    # What was written is its source again, to fp32's rounding; on some processors a single logit is off by 1.6e-4.
    found = difference(export, export.target)
    assert found.typical < 1e-4 * apart.spread
    assert found.largest < 1e-3 * apart.spread


# --- adapter ------------------------------------------------------------------------------------------------------


def test_the_adapter_is_copied_byte_for_byte_and_loads(adapter: Path, tmp_path: Path) -> None:
    export = plan(adapter, tmp_path / "out", format="adapter")

    directory = written(export)

    name = "adapter_model.safetensors"
    assert (directory / name).read_bytes() == (adapter / name).read_bytes()
    assert difference(export, directory).largest == 0
    assert not (directory / "model.safetensors").exists()


def test_the_adapter_names_its_base_by_hub_id_where_its_stage_knows_it(adapter: Path, tmp_path: Path) -> None:
    stage = tmp_path / "parallel"
    stage.mkdir()
    adapter.rename(stage / "model")
    (stage / "stage.json").write_text(json.dumps({"base_name": "smollm2-135m"}))

    directory = written(plan(stage / "model", tmp_path / "out", format="adapter"))

    config = json.loads((directory / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert resolve_model(str(directory)).weights.is_dir()  # our own note leads to the base on this machine


def test_the_adapter_of_a_base_without_hub_id_names_its_directory(
    adapter: Path, tiny_model: Path, tmp_path: Path
) -> None:
    directory = written(plan(adapter, tmp_path / "out", format="adapter"))

    config = json.loads((directory / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny_model.resolve())
    assert base_hub_id_of(resolve_model(str(adapter))) == ""


@pytest.mark.parametrize(
    ("name", "hub_id"),
    [
        ("alma-7b", "haoranxu/ALMA-7B"),
        ("owner/name-7b.v2", "owner/name-7b.v2"),
        ("mono/model", ""),
        ("/srv/models/x", ""),
        ("./x", ""),
        ("../x", ""),
        ("runs/tiny/mono", ""),
        ("", ""),
    ],
)
def test_a_hub_id_is_told_from_a_path(name: str, hub_id: str) -> None:
    assert known_hub_id(name) == hub_id


def test_a_model_without_adapter_has_none_to_export(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r" has no adapter: its weights are whole \(take --format merged\)$"):
        plan(tiny_model, tmp_path / "out", format="adapter")


def test_an_adapter_that_is_a_pickle_is_not_copied(adapter: Path, tmp_path: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")

    with pytest.raises(InputError, match=r" is not in safetensors \(take --format merged\)$"):
        plan(adapter, tmp_path / "out", format="adapter")


# --- CTranslate2 --------------------------------------------------------------------------------------------------


def ctranslate2_answers(export: ExportPlan, folder: Path) -> list[Answer]:
    stops = [export.tokenizer.eos_token_id]
    return answers_of_ctranslate2(folder, export.tokenizer, export.text_format, PROBES, stops, device="cpu", exact=True)


@pytest.fixture(scope="module")
def ctranslate2() -> Any:
    return pytest.importorskip("ctranslate2", reason="pip install ctranslate2")


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
def test_ctranslate2_gives_the_logits_of_base_and_adapter(
    ctranslate2: Any, adapter: Path, tmp_path: Path, quantization: str
) -> None:
    export = plan(adapter, tmp_path / "ct2", format="ctranslate2", quantization=quantization)
    expected = answers(export, load_source(export))

    found = ctranslate2_answers(export, written(export))

    facts = judged(expected, found, kind=quantization, dtype=torch.float32)
    assert facts["logits"]["largest_difference"] > 0
    if quantization == "float32":
        assert facts["translations"]["same"] == 3


@pytest.mark.parametrize("kind", ["Gemma", "Mistral", "Qwen3"])
def test_ctranslate2_takes_other_architectures_and_a_tokenizer_without_unknown_token(
    ctranslate2: Any, tmp_path: Path, kind: str
) -> None:
    export = plan(save_other_model(tmp_path / kind, kind), tmp_path / "ct2", format="ctranslate2", quantization="int8")

    found = ctranslate2_answers(export, written(export))

    judged(answers(export, load_source(export)), found, kind="int8", dtype=torch.float32)


def test_ctranslate2_keeps_the_rotary_base_of_a_scaled_rope(ctranslate2: Any, tmp_path: Path) -> None:
    scaled = {"rope_type": "linear", "factor": 2.0}
    rope: dict[str, Any] = {"rope_parameters": {**scaled, "rope_theta": 500.0}}
    if not hasattr(LlamaConfig(), "rope_parameters"):
        rope = {"rope_theta": 500.0, "rope_scaling": scaled}
    save_other_model(tmp_path / "scaled", "Llama", **rope)
    export = plan(tmp_path / "scaled", tmp_path / "ct2", format="ctranslate2", quantization="float32")

    found = ctranslate2_answers(export, written(export))

    judged(answers(export, load_source(export)), found, kind="float32", dtype=torch.float32)


def test_a_conversion_that_is_another_model_is_an_error(ctranslate2: Any, tmp_path: Path) -> None:
    # The converter leaves out Gemma 2's soft cap of the logits, here a small one.
    save_other_model(tmp_path / "capped", "Gemma2", final_logit_softcapping=0.5)
    export = plan(tmp_path / "capped", tmp_path / "ct2", format="ctranslate2", quantization="int8")
    found = ctranslate2_answers(export, written(export))

    with pytest.raises(InputError, match=r"^what was written is not the model it was made from"):
        judged(answers(export, load_source(export)), found, kind="int8", dtype=torch.float32)


def test_an_architecture_that_ctranslate2_does_not_know_is_one_line(ctranslate2: Any, tmp_path: Path) -> None:
    export = plan(save_other_model(tmp_path / "cohere", "Cohere"), tmp_path / "ct2", format="ctranslate2")

    with pytest.raises(InputError) as raised:
        written(export)

    assert str(raised.value) == (
        f"CTranslate2 {ctranslate2.__version__} cannot convert a model of the kind Cohere "
        "(take --format merged, which vLLM and llama.cpp can use)"
    )
    assert not export.target.exists()


def test_without_ctranslate2_it_says_how_to_get_it(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)

    with pytest.raises(MachineError, match=r"^CTranslate2 is not installed \(pip install ctranslate2\)$"):
        plan(tiny_model, tmp_path / "out", format="ctranslate2")


def test_a_ctranslate2_that_does_not_import_says_why(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ctranslate2.py").write_text("raise ImportError('libcublas.so.12: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "ctranslate2", raising=False)

    with pytest.raises(
        MachineError, match=r"^CTranslate2 does not import: libcublas\.so\.12: cannot open shared object"
    ):
        plan(tiny_model, tmp_path / "out", format="ctranslate2")


def save_other_model(directory: Path, kind: str, **settings: Any) -> Path:
    """Two random layers of another architecture."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        kind.lower(),
        vocab_size=259,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        **({"head_dim": 16} if kind in ("Gemma", "Gemma2", "Qwen3") else {}),
        **settings,
    )
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # at their start, models are all alike
    model.save_pretrained(directory)
    byte_tokenizer().save_pretrained(directory)
    return directory


# --- the target ---------------------------------------------------------------------------------------------------


def test_the_same_export_is_not_done_again_and_another_one_is_refused(adapter: Path, tmp_path: Path) -> None:
    export = plan(adapter, tmp_path / "out")
    written(export)

    assert finished_export(export, resume=True) is not None
    assert finished_export(export, resume=False) is None
    with pytest.raises(UsageError, match=r"^.*out holds an export with another kind \(--no-resume replaces it, --to"):
        finished_export(plan(adapter, tmp_path / "out", dtype="fp32"), resume=True)


def test_an_export_of_another_version_is_not_taken_for_this_ones(adapter: Path, tmp_path: Path) -> None:
    export = plan(adapter, tmp_path / "out")
    write_manifest(written(export), {"identity": {**export.identity, "version": 0}})

    with pytest.raises(UsageError, match=r"^.*out holds an export with another version \("):
        finished_export(export, resume=True)


def test_an_export_of_weights_that_changed_since_is_refused(adapter: Path, tmp_path: Path) -> None:
    written(plan(adapter, tmp_path / "out"))
    tensors = load_file(adapter / "adapter_model.safetensors")
    save_file({name: 2 * tensor for name, tensor in tensors.items()}, adapter / "adapter_model.safetensors")

    with pytest.raises(UsageError, match=r"^.*out holds an export of other weights \("):
        finished_export(plan(adapter, tmp_path / "out"), resume=True)


@pytest.mark.parametrize("resume", [True, False])
def test_a_directory_that_is_no_export_is_never_replaced(adapter: Path, tmp_path: Path, resume: bool) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.txt").write_text("1")

    with pytest.raises(UsageError, match=r"thesis is not empty, and no export of ours \(--to DIR writes elsewhere\)$"):
        finished_export(plan(adapter, tmp_path / "thesis"), resume=resume)


def test_a_file_and_the_current_directory_are_no_targets(
    adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    with pytest.raises(UsageError, match=r"file is a file \(--to DIR names a directory\)$"):
        finished_export(plan(adapter, tmp_path / "file"), resume=True)
    with pytest.raises(UsageError, match=r"^\. is the current directory \(--to DIR names one below it\)$"):
        finished_export(plan(adapter, Path()), resume=True)


def test_a_model_is_not_exported_over_itself(adapter: Path) -> None:
    with pytest.raises(UsageError, match=r"adapter is the model itself \(--to DIR writes elsewhere\)$"):
        plan(adapter, adapter)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "full"), InputError("another model")], ids=repr)
def test_after_an_error_the_old_export_is_there_and_nothing_else(
    adapter: Path, tmp_path: Path, error: BaseException
) -> None:
    export = plan(adapter, tmp_path / "exports/out")
    before = (written(export) / "model.safetensors").stat()

    def fail() -> None:
        with writing(export) as folder:
            write_weights(export, load_source(export), folder)
            raise error

    with pytest.raises(type(error)):
        fail()
    assert (export.target / "model.safetensors").stat() == before
    assert [path.name for path in export.target.parent.iterdir()] == ["out"]


def test_a_second_export_takes_the_place_of_the_first(adapter: Path, tmp_path: Path) -> None:
    written(plan(adapter, tmp_path / "exports/out", dtype="bf16"))

    written(plan(adapter, tmp_path / "exports/out", dtype="fp32"))

    assert [path.name for path in (tmp_path / "exports").iterdir()] == ["out"]
    assert load_file(tmp_path / "exports/out/model.safetensors")["model.norm.weight"].dtype == torch.float32


def test_what_a_killed_export_left_is_removed_and_a_running_ones_is_not(adapter: Path, tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    for name in (f".out.{ended.pid}.tmp", f"..out.{ended.pid}.tmp.{ended.pid}.tmp", f".out.{os.getppid()}.tmp", ".out"):
        (tmp_path / "exports" / name).mkdir(parents=True)

    written(plan(adapter, tmp_path / "exports/out"))

    assert {path.name for path in (tmp_path / "exports").iterdir()} == {"out", ".out", f".out.{os.getppid()}.tmp"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Any:
    """A directory on a file system with room for a quarter of the tiny model."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small disk takes root")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=20k", "none", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine does not let root mount")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_too_small_is_told_before_the_work(adapter: Path, small_disk: Path) -> None:
    export = plan(adapter, small_disk / "out")

    with pytest.raises(MachineError, match=r"^not enough space in .*disk: about 0\.1 GiB are needed, 0\.0 are free"):
        written(export)
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize("format", ["merged", "adapter"])
def test_a_disk_that_fills_up_is_the_machines_error(adapter: Path, small_disk: Path, format: str) -> None:
    export = plan(adapter, small_disk / "out", format=format)
    (small_disk / "folder").mkdir()

    with pytest.raises(OSError, match=r"No space left on device: '.*/out'$"):
        write_weights(export, load_source(export), small_disk / "folder")


# --- the checks ---------------------------------------------------------------------------------------------------


def told(text: str, *, ended: bool = True, shift: float = 0.0) -> Answer:
    logits = torch.linspace(-1, 1, 30).reshape(3, 10)
    return Answer([1, 2, 3], logits + shift, text, ended)


def test_another_translation_is_an_error_in_fp32_and_told_in_bf16() -> None:
    expected, found = [told("dog"), told("cat")], [told("dog"), told("cats")]

    facts = judged(expected, found, kind="bf16", dtype=torch.float32)

    assert (facts["translations"]["same"], facts["translations"]["of"]) == (1, 2)
    with pytest.raises(InputError, match=r"^only 1 of 2 translations are the same after the merge in fp32 \("):
        judged(expected, found, kind="fp32", dtype=torch.float32)


@pytest.mark.parametrize("broken", [told(""), told("dog dog dog", ended=False)])
def test_a_model_that_no_longer_ends_or_says_anything_is_an_error(broken: Answer) -> None:
    with pytest.raises(InputError, match=r"^what was written no longer translates: none of 2 translations is complete"):
        judged([told("dog"), told("cat")], [broken, broken], kind="int8", dtype=torch.float32)


def test_a_source_that_never_ended_is_not_the_exports_fault() -> None:
    endless = told("dog dog", ended=False)

    assert judged([endless], [endless], kind="bf16", dtype=torch.float32)["translations"]["same"] == 1


@pytest.mark.parametrize("shift", [0.5, float("nan"), float("inf")])
def test_logits_that_are_others_or_no_numbers_are_an_error(shift: float) -> None:
    with pytest.raises(InputError, match=r"^what was written is not the model it was made from"):
        judged([told("dog")], [told("dog", shift=shift)], kind="bf16", dtype=torch.float32)


def test_a_tokenizer_that_reads_the_prompt_otherwise_is_an_error() -> None:
    with pytest.raises(InputError, match=r"^the tokenizer as it was written reads the prompt otherwise"):
        compared([told("dog")], [replace(told("dog"), prompt=[1, 2])])


def test_probes_are_short_sources_of_the_run_in_turns_of_direction(work: Path) -> None:
    assert [probe.source for probe in probes_of(work, [Direction("de", "en")])] == [
        "Wort Hund",
        "Wort Katze",
        "Wort Haus",
    ]


@pytest.mark.parametrize("directions", [["de-en"], ["de-en", "en-de"], ["is-en"], ["ka-en", "en-zh", "en-ru", "en-cs"]])
def test_without_data_there_are_three_sentences_of_our_own(tmp_path: Path, directions: list[str]) -> None:
    probes = probes_of(tmp_path, [Direction.parse(text) for text in directions])

    assert [str(probe.direction) for probe in probes] == (directions * 3)[:3]
    assert len({probe.source for probe in probes}) == 3


def test_a_damaged_adapter_is_one_line(adapter: Path, tmp_path: Path) -> None:
    shutil.copytree(adapter, tmp_path / "damaged")
    config = json.loads((tmp_path / "damaged/adapter_config.json").read_text())
    (tmp_path / "damaged/adapter_config.json").write_text(json.dumps({**config, "r": 3}))

    with pytest.raises(InputError, match=r"^adapter .*damaged does not fit its base model: "):
        written(plan(tmp_path / "damaged", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_large_weights_are_sharded_as_transformers_does(tmp_path: Path) -> None:
    LlamaForCausalLM(tiny_llama().config).save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    byte_tokenizer().save_pretrained(tmp_path / "sharded")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 1

    export = plan(tmp_path / "sharded", tmp_path / "out", dtype="fp32")

    assert difference(export, written(export)).largest == 0
