"""The shipped recipes and the way a recipe is found, read, overridden and refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from alma_cli.cli import run_command
from alma_cli.core.recipe_file import builtin_recipes, load_recipe, recipe_directory
from alma_cli.core.recipe_reference import updated
from alma_cli.errors import InputError

SHIPPED = builtin_recipes()
RECIPE = 'name = "mine"\nmodel = "smollm2-135m"\ndirections = ["de-en"]\n'
# WMT'22 and WMT'21 (is), and the directions of the paper's tables: five into English, five out of it.
PAPER_DIRECTIONS = {"cs-en", "de-en", "is-en", "ru-en", "zh-en", "en-cs", "en-de", "en-is", "en-ru", "en-zh"}
# --interleave_probs of runs/mono_ft.sh.
PAPER_MIXTURE = {"de": 0.20, "cs": 0.14, "is": 0.08, "zh": 0.19, "ru": 0.22, "en": 0.17}
# arXiv 2309.11674, Training Setup, with runs/mono_ft.sh; 1B tokens = 7,600 steps of 256 blocks of 512 tokens.
PAPER_MONO = {
    "method": "full",
    "learning_rate": 2e-5,
    "schedule": "cosine",
    "warmup_ratio": 0.01,
    "weight_decay": 0.01,
    "max_gradient_norm": 1.0,
    "examples_per_step": 256,
    "block_tokens": 512,
    "max_steps": 7600,
}
# The same section, with runs/parallel_ft.sh and runs/parallel_ft_lora.sh.
PAPER_PARALLEL = {
    "schedule": "inverse_sqrt",
    "warmup_ratio": 0.01,
    "weight_decay": 0.01,
    "max_gradient_norm": 1.0,
    "examples_per_step": 256,
    "epochs": 1,
    "max_prompt_tokens": 256,
    "max_target_tokens": 256,
}
PAPER_FULL = {"method": "full", "learning_rate": 2e-5}
PAPER_LORA = {
    "method": "lora",
    "learning_rate": 2e-3,
    "lora_rank": 16,
    "lora_alpha": 32,
    "lora_dropout": 0.05,
    "lora_targets": ("down_proj",),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipe_loads_under_the_name_of_its_file(name: str) -> None:
    recipe = load_recipe(name).recipe

    assert recipe.name == name
    assert recipe.description
    assert recipe.stage_names


@pytest.mark.parametrize("name", SHIPPED)
def test_every_number_in_a_shipped_recipe_says_where_it_comes_from(name: str) -> None:
    assert _uncommented_numbers(SHIPPED[name].read_text(encoding="utf-8")) == []


def test_a_number_without_a_comment_is_found() -> None:
    text = '# why\na = 1\nb = 2\nc = 3  # why\nd = "4 # no"\ne = ["x", 5]\n'

    assert _uncommented_numbers(text) == ["b = 2", 'e = ["x", 5]']


@pytest.mark.parametrize("name", SHIPPED)
def test_local_sources_of_a_shipped_recipe_are_shipped_too(name: str) -> None:
    loaded = load_recipe(name)
    data = loaded.recipe.data
    local = [source.path for source in data.mono.sources if source.format != "hub"]
    local += [source.path for source in data.parallel.sources if source.format != "hub"]

    assert [path for path in local if not loaded.resolve(path).is_file()] == []


@pytest.mark.parametrize("name", ["alma-7b", "alma-7b-8gpu", "alma-7b-lora", "alma-13b-lora"])
def test_stage_mono_has_the_numbers_of_the_paper(name: str) -> None:
    recipe = load_recipe(name).recipe
    assert recipe.stages.mono is not None

    assert recipe.stages.mono.model_dump(include=set(PAPER_MONO)) == PAPER_MONO
    assert recipe.data.mono.mixture == PAPER_MIXTURE
    assert {source.language for source in recipe.data.mono.sources} == set(PAPER_MIXTURE)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("alma-7b", PAPER_FULL),
        ("alma-7b-8gpu", PAPER_FULL),
        ("alma-7b-lora", PAPER_LORA),
        ("alma-13b-lora", PAPER_LORA),
        ("alma-7b-qlora", PAPER_LORA | {"method": "qlora"}),
    ],
)
def test_stage_parallel_has_the_numbers_of_the_paper(name: str, method: dict[str, Any]) -> None:
    recipe = load_recipe(name).recipe
    expected = PAPER_PARALLEL | method
    assert recipe.stages.parallel is not None

    assert recipe.stages.parallel.model_dump(include=set(expected)) == expected
    assert (recipe.decoding.beams, recipe.decoding.max_new_tokens) == (5, 256)
    assert set(recipe.directions) == PAPER_DIRECTIONS


@pytest.mark.parametrize("name", ["alma-7b", "alma-7b-8gpu", "alma-7b-lora", "alma-13b-lora", "alma-7b-qlora"])
def test_paper_data_has_five_corpora_to_train_four_to_validate_and_ten_to_test(name: str) -> None:
    sources = load_recipe(name).recipe.data.parallel.sources
    by_split = {split: [source.pair for source in sources if source.split == split] for split in ("train", "valid")}

    assert by_split["train"] == ["cs-en", "de-en", "is-en", "ru-en", "zh-en"]
    assert by_split["valid"] == ["cs-en", "de-en", "ru-en", "zh-en"]  # WMT'21's Icelandic is the test set
    assert {source.pair for source in sources if source.split == "test"} == PAPER_DIRECTIONS
    assert all(source.config == source.pair for source in sources)


def test_readme_has_a_row_for_every_recipe_and_for_nothing_else() -> None:
    page = (recipe_directory() / "README.md").read_text(encoding="utf-8")
    table = page[: page.index("**Expected scores.**")]

    assert sorted(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)) == sorted(SHIPPED)


def test_readme_reference_is_that_of_the_code() -> None:
    page = (recipe_directory() / "README.md").read_text(encoding="utf-8")

    assert page == updated(page), "run: python -m alma_cli.core.recipe_reference"


def test_page_without_markers_is_refused() -> None:
    with pytest.raises(InputError, match="the page has no <!-- reference -->"):
        updated("# Recipes\n")


def test_override_changes_one_key_and_keeps_the_rest() -> None:
    changed = load_recipe("demo", ["stages.parallel.epochs=5", "model=other", 'scoring.metrics=["ter"]']).recipe
    plain = load_recipe("demo").recipe
    assert changed.stages.parallel is not None
    assert plain.stages.parallel is not None

    assert (changed.stages.parallel.epochs, changed.model, changed.scoring.metrics) == (5, "other", ("ter",))
    assert changed.stages.parallel.model_copy(update={"epochs": plain.stages.parallel.epochs}) == plain.stages.parallel


@pytest.mark.usefixtures("folder")
def test_alma_toml_of_the_current_directory_is_used_and_told() -> None:
    Path("alma.toml").write_text(RECIPE)

    loaded = load_recipe()

    assert loaded.recipe.name == "mine"
    assert loaded.origin == str(Path("alma.toml").resolve())
    assert loaded.resolve("pairs.tsv") == Path("pairs.tsv").resolve()


@pytest.mark.usefixtures("folder")
def test_demo_is_used_where_there_is_no_alma_toml() -> None:
    loaded = load_recipe()

    assert loaded.recipe.name == "demo"
    assert loaded.origin == "built-in (no alma.toml here, no --recipe)"


@pytest.mark.usefixtures("folder")
def test_file_with_a_byte_order_mark_is_read() -> None:
    Path("windows.toml").write_bytes(b"\xef\xbb\xbf" + RECIPE.replace("\n", "\r\n").encode())

    assert load_recipe("windows.toml").recipe.name == "mine"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            RECIPE + "[stages.parallel]\nlearning_rat = 1.0\n",
            "a problem in recipe bad.toml: unknown key 'stages.parallel.learning_rat' (line 5), "
            "did you mean 'learning_rate'?",
        ),
        (
            RECIPE + '[[data.parallel.sources]]\npath = "a.tsv"\nsplitt = "test"\n',
            "unknown key 'data.parallel.sources.0.splitt' (line 6), did you mean 'split'?",
        ),
        (
            RECIPE.replace("de-en", "dee-en"),
            "directions.0 = 'dee-en': unknown language code 'dee' (did you mean 'de'?)",
        ),
        (RECIPE.replace("de-en", "en-en"), "direction 'en-en' goes from a language into itself"),
        ('name = "mine"\ndirections = ["de-en"]\n', "a problem in recipe bad.toml: 'model' is missing"),
        (
            RECIPE + "seed = -1\n[decoding]\nbeams = 0\nbeam = 4\n",
            "3 problems in recipe bad.toml: seed = -1 (line 4): input should be greater than or equal to 0; "
            "decoding.beams = 0 (line 6): input should be greater than 0; "
            "unknown key 'decoding.beam' (line 7), did you mean 'beams'?",
        ),
    ],
)
def test_wrong_recipe_is_refused_in_one_line(text: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.toml").write_text(text)

    assert run_command(["prepare", "--recipe", "bad.toml"]) == 2
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        ("--recipe dmeo", 2, "unknown recipe 'dmeo' (did you mean 'demo'?)"),
        ("--recipe no/such.toml", 2, "recipe file 'no/such.toml' does not exist (built-in recipes: alma-13b-lora, "),
        ("--recipe broken.toml", 3, "broken.toml is not valid TOML: "),
        ("--recipe latin.toml", 3, "recipe latin.toml is not UTF-8 (byte 11)"),
        ("--recipe demo --set stages.parallel.epochs", 2, "--set 'stages.parallel.epochs' has no '='"),
        ("--recipe demo --set seed.x=1", 2, "--set seed.x: 'seed' is a value, not a section"),
        ("--recipe demo --set stages.paralel.epochs=1", 2, "unknown key 'stages.paralel', did you mean 'parallel'?"),
        ("--recipe demo --set seed=many", 2, "seed = 'many': input should be a valid integer"),
        ("--recipe demo --set stages.paralel=", 2, "unknown key 'stages.paralel', did you mean 'parallel'?"),
        ("--recipe demo --set model=", 2, "'model' is missing"),
        ("--recipe demo --set data.shard_megabytes=", 2, "'data.shard_megabytes=' has no value, and the recipe no"),
    ],
)
def test_recipe_that_cannot_be_used_says_why(
    arguments: str, exit_code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken.toml").write_text("name = \n")
    Path("latin.toml").write_bytes(b'name = "sch\xf6n"\n')

    assert run_command(["prepare", *arguments.split()]) == exit_code
    assert message in capsys.readouterr().err


def test_key_or_section_without_a_value_is_left_out_of_the_recipe() -> None:
    whole = load_recipe("gemma-3-270m-cpu").recipe
    short = load_recipe("gemma-3-270m-cpu", ["stages.mono=", "data.mono=", "decoding.beams="]).recipe

    assert (whole.stage_names, short.stage_names) == (("mono", "parallel"), ("parallel",))
    assert whole.decoding.beams == 1
    assert short.decoding.beams == type(short.decoding)().beams == 5
    assert short.data.mono.sources == ()
    assert short.stages.parallel == whole.stages.parallel


def _uncommented_numbers(text: str) -> list[str]:
    """The lines with a number outside of quotes and comments that have no comment, nor one on the line above."""
    lines = text.splitlines()
    bare = [re.sub(r'"[^"]*"', '""', line) for line in lines]
    return [
        line
        for line, code, above in zip(lines, bare, ["", *lines], strict=False)
        if re.search(r"[=,\[]\s*[-+.]?\d", code.partition("#")[0]) and "#" not in code and not above.startswith("#")
    ]
