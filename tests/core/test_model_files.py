"""A model's name to files: directories, adapters, runs, the hub and its refusals, and names that are wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from alma_cli.core.known_models import KNOWN_MODELS
from alma_cli.core.model import load_model, precision_of, tokenizer_of
from alma_cli.core.model_files import ModelFiles, resolve_model
from alma_cli.errors import InputError, UsageError
from tests.core.fake_hub import COMMIT, FakeHub, fake_hub

REPOSITORY = Path(__file__).resolve().parent.parent.parent
NOWHERE = "http://127.0.0.1:9"  # the discard port: nothing listens


def adapter(directory: Path, base: Path | str) -> Path:
    directory.mkdir(parents=True)
    (directory / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(base)}))
    return directory


def finished_stage(directory: Path, model: Path) -> Path:
    shutil.copytree(model, directory / "model")
    (directory / "stage.json").write_text("{}")
    return directory


def in_new_process(expression: str, *, endpoint: str, home: Path) -> str:
    """What an expression gives, or our error; huggingface_hub reads its environment once, when it is imported."""
    program = (
        "from alma_cli.core.known_models import KNOWN_MODELS\n"
        "from alma_cli.core.model_files import hub_copy, local_state, resolve_model\n"
        "from alma_cli.errors import AlmaError\n"
        f"try: print({expression})\n"
        "except AlmaError as error: print(type(error).__name__ + ': ' + str(error))\n"
    )
    environment = {**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1"}
    for offline in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN"):
        environment.pop(offline, None)
    finished = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout.strip()


# --- on this machine --------------------------------------------------------------------------------------------


def test_a_directory_is_itself(tiny_model: Path) -> None:
    files = resolve_model(str(tiny_model))

    assert files == ModelFiles(str(tiny_model), tiny_model)
    assert files.tokenizer == tiny_model


def test_a_home_directory_is_expanded(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tiny_model.parent))

    assert resolve_model(f"~/{tiny_model.name}").weights == tiny_model


def test_an_adapter_is_over_its_base(tiny_model: Path, tmp_path: Path) -> None:
    directory = adapter(tmp_path / "adapter", tiny_model)

    files = resolve_model(str(directory))

    assert files == ModelFiles(str(directory), tiny_model, adapter=directory)
    assert files.tokenizer == tiny_model  # this adapter has none of its own


def test_an_adapters_own_tokenizer_comes_first(tiny_model: Path, tmp_path: Path) -> None:
    directory = adapter(tmp_path / "adapter", tiny_model)
    shutil.copy(tiny_model / "tokenizer_config.json", directory)

    assert resolve_model(str(directory)).tokenizer == directory


@pytest.mark.parametrize(
    ("stages", "expected"),
    [(["mono"], "mono"), (["parallel"], "parallel"), (["mono", "parallel"], "parallel")],
)
def test_a_run_is_its_newest_finished_stage(stages: list[str], expected: str, tiny_model: Path, tmp_path: Path) -> None:
    for stage in stages:
        finished_stage(tmp_path / stage, tiny_model)

    files = resolve_model(str(tmp_path))

    assert files == ModelFiles(str(tmp_path), tmp_path / expected / "model")


def test_a_stage_that_is_not_finished_is_passed_over(tiny_model: Path, tmp_path: Path) -> None:
    finished_stage(tmp_path / "mono", tiny_model)
    (tmp_path / "parallel" / "checkpoints").mkdir(parents=True)

    assert resolve_model(str(tmp_path)).weights == tmp_path / "mono" / "model"


def test_a_stage_directory_is_its_model(tiny_model: Path, tmp_path: Path) -> None:
    stage = finished_stage(tmp_path / "parallel", tiny_model)

    assert resolve_model(str(stage)).weights == stage / "model"


def test_a_run_whose_stage_left_an_adapter_is_that_adapter(tiny_model: Path, tmp_path: Path) -> None:
    directory = adapter(tmp_path / "parallel" / "model", tiny_model)
    (tmp_path / "parallel" / "stage.json").write_text("{}")

    assert resolve_model(str(tmp_path)) == ModelFiles(str(tmp_path), tiny_model, adapter=directory)


def test_an_adapter_repository_that_also_has_a_config_is_not_its_own_base(tiny_model: Path, tmp_path: Path) -> None:
    directory = adapter(tmp_path / "adapter", tiny_model)
    (directory / "config.json").write_text("{}")

    assert resolve_model(str(directory)) == ModelFiles(str(directory), tiny_model, adapter=directory)


def test_a_converted_model_tells_that_it_was_quantised(tiny_model: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_model, tmp_path / "converted")
    (tmp_path / "converted" / "alma.json").write_text('{"adds_bos": true, "note": "from a quantised export (x.gguf)"}')
    directory = adapter(tmp_path / "adapter", tmp_path / "converted")

    note = "from a quantised export (x.gguf)"
    assert resolve_model(str(tmp_path / "converted")).note == note
    assert resolve_model(str(directory)).note == note


# --- names that are wrong ---------------------------------------------------------------------------------------


def test_a_wrong_known_name_gets_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        resolve_model("smollm2-153m")

    assert str(caught.value) == "unknown model 'smollm2-153m' (did you mean 'smollm2-135m'?)"


def test_a_name_like_no_other_gets_the_list() -> None:
    with pytest.raises(UsageError) as caught:
        resolve_model("zzz")

    assert caught.value.message == "unknown model 'zzz'"
    assert caught.value.hint == f"one of: {', '.join(sorted(KNOWN_MODELS))}"


def test_a_wrong_path_gets_the_nearest_beside_it(tmp_path: Path) -> None:
    (tmp_path / "my-model").mkdir()

    with pytest.raises(UsageError) as caught:
        resolve_model(str(tmp_path / "my-modle"))

    assert str(caught.value) == f"model '{tmp_path / 'my-modle'}' does not exist (did you mean 'my-model'?)"


def test_a_directory_without_a_model_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        resolve_model(str(tmp_path))

    assert caught.value.message == f"'{tmp_path}' is a directory, but no model"
    assert caught.value.hint == "it has neither config.json, adapter_config.json nor a finished stage"


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(b"")

    with pytest.raises(InputError) as caught:
        resolve_model(str(file))

    assert str(caught.value) == f"model '{file}' is a file, but not a .gguf (give a directory or a GGUF file)"


def test_a_name_that_no_hub_can_have_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        resolve_model("some one/tiny model")

    assert str(caught.value) == (
        "model 'some one/tiny model' is neither a directory nor a hub id (hub ids are owner/name)"
    )


@pytest.mark.parametrize("content", ["{", "{}", '{"base_model_name_or_path": null}', '{"base_model_name_or_path": ""}'])
def test_an_adapter_that_names_no_base_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text(content)

    with pytest.raises(InputError) as caught:
        resolve_model(str(tmp_path))

    assert str(caught.value) == (
        f"{tmp_path / 'adapter_config.json'} does not name its base model (set its base_model_name_or_path)"
    )


def test_an_adapter_whose_base_is_gone_names_the_base(tmp_path: Path) -> None:
    (tmp_path / "bases").mkdir()
    directory = adapter(tmp_path / "adapter", tmp_path / "bases" / "gone")

    with pytest.raises(UsageError) as caught:
        resolve_model(str(directory))

    assert caught.value.message == f"model '{tmp_path / 'bases' / 'gone'}' does not exist"


# --- the hub ----------------------------------------------------------------------------------------------------


@pytest.fixture
def hub_repository(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model as repositories are: with a page to read and weights of the old kind beside the safetensors."""
    repository = Path(shutil.copytree(tiny_model, tmp_path / "repository"))
    (repository / "README.md").write_text("A model.")
    (repository / "pytorch_model.bin").write_bytes(b"a pickle")
    return repository


def test_a_hub_model_is_downloaded_and_loads(hub_repository: Path, tmp_path: Path) -> None:
    with fake_hub({"someone/tiny": hub_repository}) as hub:
        printed = in_new_process("resolve_model('someone/tiny').weights", endpoint=hub.endpoint, home=tmp_path / "hf")

    directory = Path(printed)
    assert directory.is_relative_to(tmp_path / "hf")
    files = ModelFiles("someone/tiny", directory)
    assert load_model(files, precision_of("fp32"), dtype=torch.float32).config.hidden_size == 32
    assert tokenizer_of(files).eos_token == "</s>"
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= set(hub.served)
    assert not {"README.md", "pytorch_model.bin"} & set(hub.served)


def test_a_downloaded_model_needs_no_hub(hub_repository: Path, tmp_path: Path) -> None:
    home = tmp_path / "hf"
    with fake_hub({"someone/tiny": hub_repository}) as hub:
        online = in_new_process("resolve_model('someone/tiny').weights", endpoint=hub.endpoint, home=home)

    assert in_new_process("resolve_model('someone/tiny').weights", endpoint=NOWHERE, home=home) == online
    assert in_new_process("hub_copy('someone/tiny')", endpoint=NOWHERE, home=home) == online


def test_a_known_model_that_was_downloaded_is_taken_from_the_cache(hub_repository: Path, tmp_path: Path) -> None:
    home, hub_id = tmp_path / "hf", KNOWN_MODELS["alma-7b"].hub_id
    with fake_hub({hub_id: hub_repository}) as hub:
        online = in_new_process("resolve_model('alma-7b').weights", endpoint=hub.endpoint, home=home)

    assert in_new_process("local_state(KNOWN_MODELS['alma-7b'])", endpoint=NOWHERE, home=home) == "hub cache"
    assert in_new_process("resolve_model('alma-7b').weights", endpoint=NOWHERE, home=home) == online


def test_a_hub_adapter_is_over_its_hub_base(hub_repository: Path, tmp_path: Path) -> None:
    lora = adapter(tmp_path / "lora", "someone/tiny")

    with fake_hub({"someone/tiny": hub_repository, "someone/tiny-lora": lora}) as hub:
        printed = in_new_process(
            "[files := resolve_model('someone/tiny-lora'), files.weights, files.adapter][1:]",
            endpoint=hub.endpoint,
            home=tmp_path / "hf",
        )

    cache = tmp_path / "hf" / "hub"
    base = cache / "models--someone--tiny" / "snapshots" / COMMIT
    assert printed == repr([base, cache / "models--someone--tiny-lora" / "snapshots" / COMMIT])


@pytest.fixture
def refusing_hub(tiny_model: Path) -> FakeHub:
    """A hub with a gated model."""
    with fake_hub({}, gated=("meta/llama", "meta-llama/Llama-2-7b-hf")) as hub:
        yield hub


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "meta/llama",
            "MachineError: 'meta/llama' is gated "
            "(accept its terms at huggingface.co/meta/llama and run `hf auth login`)",
        ),
        (
            "llama-2-7b",
            "MachineError: 'meta-llama/Llama-2-7b-hf' is gated "
            "(accept its terms at huggingface.co/meta-llama/Llama-2-7b-hf and run `hf auth login`)",
        ),
        (
            "no/such",
            "MachineError: the hub has no model 'no/such', or it is private (check the id, or run `hf auth login`)",
        ),
    ],
)
def test_the_hubs_refusals_are_explained(name: str, message: str, refusing_hub: FakeHub, tmp_path: Path) -> None:
    printed = in_new_process(f"resolve_model({name!r})", endpoint=refusing_hub.endpoint, home=tmp_path / "hf")

    assert printed == message


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "someone/tiny",
            "MachineError: 'someone/tiny' is not on this machine, and the hub cannot be reached "
            "(go online once, or give a directory with --model)",
        ),
        (
            "alma-7b",
            "MachineError: 'haoranxu/ALMA-7B' is not on this machine, and the hub cannot be reached "
            "(go online once, or give a directory with --model)",
        ),
    ],
)
def test_without_the_hub_the_error_is_one_line(name: str, message: str, tmp_path: Path) -> None:
    assert in_new_process(f"resolve_model({name!r})", endpoint=NOWHERE, home=tmp_path / "hf") == message


def test_a_connection_that_breaks_during_the_download_is_one_line(hub_repository: Path, tmp_path: Path) -> None:
    with fake_hub({"someone/tiny": hub_repository}, broken=("model.safetensors",)) as hub:
        printed = in_new_process("resolve_model('someone/tiny')", endpoint=hub.endpoint, home=tmp_path / "hf")

    assert printed.startswith("MachineError: the download of 'someone/tiny' broke off: ")
    assert printed.endswith("then run the same command: it goes on where it was)")


def test_a_download_without_a_config_is_not_taken_for_a_model(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "data.json").write_text("{}")

    with fake_hub({"someone/empty": tmp_path / "empty"}) as hub:
        printed = in_new_process("resolve_model('someone/empty')", endpoint=hub.endpoint, home=tmp_path / "hf")

    assert printed == "MachineError: 'someone/empty' was only partly downloaded (run the command again)"
