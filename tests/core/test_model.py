"""Loading, merging and saving: the same numbers before and after, and a plain error where a directory will not do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from alma_cli.core.attention import choose_layout
from alma_cli.core.batch import Batch
from alma_cli.core.examples import TextFormat, TokenizedExample, prompt_ids
from alma_cli.core.kernels import use_kernels
from alma_cli.core.languages import Direction
from alma_cli.core.loop import mean_loss
from alma_cli.core.model import (
    add_lora,
    computes_bf16,
    load_model,
    load_tokenizer,
    precision_of,
    save_model,
    text_format_of,
    tokenizer_of,
)
from alma_cli.core.model_files import ModelFiles, resolve_model
from alma_cli.core.objective import SummedLoss, negative_log_likelihood
from alma_cli.core.processes import Processes
from alma_cli.core.recipe import ParallelStage, StageSettings
from alma_cli.errors import InputError
from tests.tiny import byte_tokenizer, sentencepiece_tokenizer, tiny_llama

FP32 = precision_of("fp32")
ALMA_BOS = TextFormat("alma", True)
IDS = torch.tensor([[0, 50, 60, 70, 80, 90]])


def load(files: ModelFiles, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    return load_model(files, FP32, dtype=dtype).eval()


def with_lora(base: Path) -> PreTrainedModel:
    """LoRA layers that change the model: B is zero at first."""
    torch.manual_seed(1)
    model = add_lora(load(ModelFiles("tiny", base)), ParallelStage(method="lora", lora_rank=4))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


@torch.no_grad()
def logits(model: PreTrainedModel) -> torch.Tensor:
    return model(input_ids=IDS).logits


@pytest.fixture
def adapter(tiny_model: Path, tmp_path: Path) -> Path:
    """An adapter over the tiny model, as a stage leaves it."""
    save_model(
        with_lora(tiny_model), byte_tokenizer(), ALMA_BOS, tmp_path / "adapter", base=ModelFiles("tiny", tiny_model)
    )
    return tmp_path / "adapter"


@pytest.fixture
def damaged(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model, to be spoilt."""
    return Path(shutil.copytree(tiny_model, tmp_path / "damaged"))


# --- adapters ---------------------------------------------------------------------------------------------------


def test_new_lora_layers_start_as_the_identity(tiny_model: Path) -> None:
    plain = logits(load(ModelFiles("tiny", tiny_model)))

    model = add_lora(load(ModelFiles("tiny", tiny_model)), ParallelStage(method="lora"))

    torch.testing.assert_close(logits(model.eval()), plain, rtol=0, atol=0)


def test_only_lora_layers_train_and_in_fp32(tiny_model: Path) -> None:
    model = add_lora(load(ModelFiles("tiny", tiny_model), torch.bfloat16), ParallelStage(method="lora"))

    trained = {name: parameter.dtype for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    assert set(trained.values()) == {torch.float32}


def test_merged_lora_equals_unmerged(adapter: Path, tiny_model: Path) -> None:
    unmerged = with_lora(tiny_model)

    merged = load(resolve_model(str(adapter)))

    assert not any("lora_" in name for name, _ in merged.named_parameters())
    torch.testing.assert_close(logits(merged), logits(unmerged), rtol=1e-4, atol=1e-4)
    assert (logits(merged) - logits(load(ModelFiles("tiny", tiny_model)))).abs().max() > 0.01


def test_an_adapter_is_saved_alone_with_tokenizer_and_format(adapter: Path, tiny_model: Path) -> None:
    config = json.loads((adapter / "adapter_config.json").read_text())

    assert config["base_model_name_or_path"] == str(tiny_model.resolve())
    assert all("lora_" in name for name in load_file(adapter / "adapter_model.safetensors"))
    assert not (adapter / "model.safetensors").exists()
    recorded = json.loads((adapter / "alma.json").read_text())
    assert (recorded["style"], recorded["adds_bos"]) == ("alma", True)
    assert (adapter / recorded["base"]).resolve() == tiny_model.resolve()
    assert resolve_model(str(adapter)).tokenizer == adapter


def test_an_adapter_over_a_hub_model_names_it_by_its_id(tiny_model: Path, tmp_path: Path) -> None:
    base = ModelFiles("tiny", tiny_model, hub_id="someone/tiny")

    save_model(with_lora(tiny_model), byte_tokenizer(), ALMA_BOS, tmp_path / "adapter", base=base)

    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "someone/tiny"


def test_an_adapter_of_another_model_says_that_it_does_not_fit(adapter: Path, qlora_model: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(ModelFiles("other", qlora_model, adapter))

    assert caught.value.message.startswith(f"adapter {adapter} does not fit its base model: ")
    assert "\n" not in caught.value.message


# --- saving -----------------------------------------------------------------------------------------------------


def test_a_saved_model_is_the_model(tiny_model: Path, tmp_path: Path) -> None:
    model = load(ModelFiles("tiny", tiny_model))

    save_model(model, byte_tokenizer(), ALMA_BOS, tmp_path / "saved", base=ModelFiles("tiny", tiny_model))

    torch.testing.assert_close(logits(load(resolve_model(str(tmp_path / "saved")))), logits(model), rtol=0, atol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]  # nothing temporary is left


def test_saving_takes_the_place_of_what_was_there(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "adapter_config.json").write_text("stale")

    save_model(tiny_llama(), byte_tokenizer(), ALMA_BOS, tmp_path / "saved", base=ModelFiles("tiny", tiny_model))

    assert not (tmp_path / "saved" / "adapter_config.json").exists()


# --- what a text begins with ------------------------------------------------------------------------------------


@pytest.mark.parametrize("adds_bos", [True, False])
def test_the_tokenizer_decides_whether_a_text_begins_with_bos(adds_bos: bool, damaged: Path) -> None:
    byte_tokenizer(adds_bos=adds_bos).save_pretrained(damaged)
    files = ModelFiles("tiny", damaged)

    assert text_format_of(files, tokenizer_of(files), "alma") == TextFormat("alma", adds_bos)


def test_what_training_recorded_comes_first(damaged: Path) -> None:
    (damaged / "alma.json").write_text('{"style": "chat", "adds_bos": false}')
    files = ModelFiles("tiny", damaged)

    assert text_format_of(files, tokenizer_of(files), "alma") == TextFormat("chat", False)


def test_a_llama_2_directory_adds_bos_under_either_transformers(tmp_path: Path) -> None:
    # What meta-llama/Llama-2-7b-hf holds: tokenizer.model, and these keys of tokenizer_config.json.
    sentencepiece_tokenizer(tmp_path)
    config = {
        "tokenizer_class": "LlamaTokenizer",
        "add_bos_token": True,
        "add_eos_token": False,
        "legacy": False,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tiny_llama(vocabulary=340).save_pretrained(tmp_path)
    files = ModelFiles("llama", tmp_path)

    assert text_format_of(files, tokenizer_of(files), "alma") == ALMA_BOS


def test_a_trained_tokenizer_gives_the_prompt_that_training_saw(tiny_model: Path, tmp_path: Path) -> None:
    save_model(tiny_llama(), byte_tokenizer(), ALMA_BOS, tmp_path / "saved", base=ModelFiles("tiny", tiny_model))
    direction, sources = Direction("de", "en"), ["Größe </s> 你好"]

    loaded = load_tokenizer(str(tmp_path / "saved"))

    assert prompt_ids(loaded, ALMA_BOS, sources, direction) == prompt_ids(
        byte_tokenizer(), ALMA_BOS, sources, direction
    )


# --- directories that cannot be used ----------------------------------------------------------------------------


def message_of(files: ModelFiles) -> str:
    with pytest.raises(InputError) as caught:
        load(files)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_only_safetensors_are_loaded(damaged: Path) -> None:
    state: dict[str, Any] = tiny_llama().state_dict()
    torch.save(state, damaged / "pytorch_model.bin")
    (damaged / "model.safetensors").unlink()

    message = message_of(ModelFiles("tiny", damaged))

    assert message.startswith(f"cannot load the model in {damaged}: ")
    assert "safetensors" in message


def test_an_unknown_architecture_is_an_input_error(damaged: Path) -> None:
    config = json.loads((damaged / "config.json").read_text())
    (damaged / "config.json").write_text(json.dumps({**config, "model_type": "no-such-type"}))

    assert message_of(ModelFiles("tiny", damaged)).startswith(f"cannot load the model in {damaged}: ")


def test_a_damaged_file_of_weights_is_an_input_error(damaged: Path) -> None:
    content = (damaged / "model.safetensors").read_bytes()
    (damaged / "model.safetensors").write_bytes(content[: len(content) // 2])

    assert message_of(ModelFiles("tiny", damaged)).startswith(f"cannot load the model in {damaged}: ")


def test_code_in_a_model_directory_is_not_run(damaged: Path) -> None:
    config = json.loads((damaged / "config.json").read_text())
    code = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"}}
    (damaged / "config.json").write_text(json.dumps({**config, **code}))
    (damaged / "evil.py").write_text(f"open({str(damaged / 'ran')!r}, 'w')")

    message_of(ModelFiles("tiny", damaged))

    assert not (damaged / "ran").exists()


def test_a_tokenizer_without_eos_is_refused(damaged: Path) -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer().backend_tokenizer)
    for path in [*damaged.glob("tokenizer*"), *damaged.glob("special*")]:
        path.unlink()
    bare.save_pretrained(damaged)

    with pytest.raises(InputError) as caught:
        tokenizer_of(ModelFiles("tiny", damaged))

    assert str(caught.value) == f"the tokenizer in {damaged} has no EOS token (a translation could never end)"


def test_a_directory_without_a_tokenizer_is_refused(damaged: Path) -> None:
    for path in damaged.glob("tokenizer*"):
        path.unlink()

    with pytest.raises(InputError) as caught:
        tokenizer_of(ModelFiles("tiny", damaged))

    assert str(caught.value) == (
        f"{damaged} has no usable tokenizer: there is neither tokenizer.json nor tokenizer.model "
        "(copy the tokenizer's files of its base model there)"
    )


# --- precision --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("setting", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_a_precision_is_what_was_asked_for(setting: str, dtype: torch.dtype) -> None:
    assert precision_of(setting).dtype == dtype


def test_by_default_bf16_is_computed_where_it_is_fast() -> None:
    precision = precision_of()

    assert (precision.dtype == torch.bfloat16) == computes_bf16(precision.device)


def test_a_validation_does_not_cut_the_gradient_through_four_bit_layers(qlora_model: Path) -> None:
    precision = precision_of("bf16")
    files = ModelFiles("tiny", qlora_model)
    model = load_model(files, precision, dtype=precision.dtype, four_bit=True)
    model = add_lora(model, StageSettings(method="qlora", lora_dropout=0.0))
    use_kernels(model)
    layout = choose_layout(model)
    loss_of = SummedLoss(model, negative_log_likelihood).train()
    examples = [TokenizedExample(tuple(range(3, 35)), 8)]

    before = _first_layer_gradient(loss_of, layout(examples))
    mean_loss(loss_of, examples, tokens_per_micro_batch=99, layout=layout, processes=Processes())
    after = _first_layer_gradient(loss_of, layout(examples))

    assert before.abs().max() > 0
    torch.testing.assert_close(after, before)


def _first_layer_gradient(loss_of: SummedLoss, batch: Batch) -> torch.Tensor:
    """Of a LoRA B matrix: the last layer's does not need the gradient to pass through any frozen layer."""
    weight = next(p for name, p in loss_of.named_parameters() if "layers.0.self_attn.q_proj.lora_B" in name)
    return torch.autograd.grad(loss_of(batch), weight)[0]
