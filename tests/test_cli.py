"""The command line itself: one line for every mistake, help, completion, and what happens when a stream goes away."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

import alma_cli
from alma_cli.cli import COMMANDS, app
from tests.typed import finish, start, typed

RECIPE = """
name = "tiny"
model = "smollm2-135m"
directions = ["de-en"]
[data.parallel]
sources = [{ path = "train.de-en.tsv" }]
[stages.mono]
[stages.parallel]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a recipe and a text, and no data."""
    (tmp_path / "alma.toml").write_text(RECIPE)
    (tmp_path / "in.txt").write_text("Hund\n")
    return tmp_path


# --- mistakes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("trian", 2, "no command 'trian' (did you mean 'train'?)"),
        ("Score", 2, "no command 'Score' (did you mean 'score'?)"),
        ("zzz", 2, "no command 'zzz' (one of: doctor, "),
        ("--versoin", 2, "no option '--versoin' in `alma` (did you mean '--version'?)"),
        ("-x", 2, "no option '-x' in `alma` (one of: --help, "),
        ("train --stagee mono", 2, "no option '--stagee' in `alma train` (did you mean '--stage'?)"),
        ("train --no-resum", 2, "no option '--no-resum' in `alma train` (did you mean '--no-resume'?)"),
        ("models --jsn", 2, "no option '--jsn' in `alma models` (did you mean '--json'?)"),
        ("train --stage", 2, "option '--stage' requires an argument (see `alma train --help`)"),
        ("train --json=yes", 2, "option '--json' does not take a value (see `alma train --help`)"),
        ("train mono", 2, "got unexpected extra argument(s) (mono) (see `alma train --help`)"),
        ("train --stage paralel", 2, "there is no stage 'paralel' (did you mean 'parallel'?)"),
        ("prepare --stage Mono", 2, "there is no stage 'Mono' (did you mean 'mono'?)"),
        ("train --stage mono --method loar", 2, "unknown method 'loar' (did you mean 'lora'?)"),
        ("train --stage mono --method LoRA", 2, "unknown method 'LoRA' (did you mean 'lora'?)"),
        ("train --stage mono --model smollm-135m", 2, "unknown model 'smollm-135m' (did you mean 'smollm2-135m'?)"),
        ("train --stage mono --model ./in.tx", 2, "model './in.tx' does not exist (did you mean 'in.txt'?)"),
        ("run --recipe demmo", 2, "unknown recipe 'demmo' (did you mean 'demo'?)"),
        ("run --recipe gone.toml", 2, "recipe file 'gone.toml' does not exist ("),
        ("run --recipe in.txt", 3, "in.txt is not valid TOML: "),
        (
            "run --set stages.paralel.epochs=2",
            2,
            "a problem in recipe alma.toml: unknown key 'stages.paralel', did you",
        ),
        ("run --set stages.mono.epoch=2", 2, "a problem in recipe alma.toml: unknown key 'stages.mono.epoch', did you"),
        ("run --set seed", 2, "--set 'seed' has no '=' (write --set section.key=value)"),
        ("run --set seed=one", 2, "a problem in recipe alma.toml: seed = 'one'"),
        ("run --set model.name=x", 2, "--set model.name: 'model' is a value, not a section"),
        ("run --set name=../x", 2, "a problem in recipe alma.toml: name = '../x'"),
        ("score --metrics blue", 2, "unknown metric 'blue' (did you mean 'bleu'?)"),
        ("score --direction de-Englisch", 2, "unknown language code 'Englisch' (one of: "),
        ("score in.tx --ref in.txt", 3, "'in.tx' does not exist (did you mean 'in.txt'?)"),
        ("translate in.tx -s de -t en", 3, "'in.tx' does not exist (did you mean 'in.txt'?)"),
        ("translate in.txt -s dee -t en", 2, "unknown language code 'dee' (did you mean 'de'?)"),
        ("translate in.txt -s German -t en", 2, "unknown language code 'German' (did you mean 'de'?)"),
        ("translate in\x1b[2Jtxt -s de -t en", 3, "'in [2Jtxt' does not exist (did you mean 'in.txt'?)"),
    ],
)
def test_every_mistake_is_one_line_with_its_exit_code(folder: Path, words: str, code: int, message: str) -> None:
    done = typed(folder, *words.split(" "))

    assert (done.code, done.out) == (code, "")
    assert [line[: len(message) + 7] for line in done.errors] == [f"error: {message}"]


def test_a_work_directory_that_is_a_file_has_no_data(folder: Path, tiny_model: Path) -> None:
    done = typed(folder, "train", "--stage", "mono", "--out", "in.txt", "--model", str(tiny_model))

    assert (done.code, done.out) == (3, "")
    assert done.errors == [
        "error: no training data in in.txt/data/mono/train (run `alma prepare --stage mono --out in.txt` first)"
    ]


def test_the_command_that_an_error_suggests_is_for_the_same_recipe_and_directory(folder: Path) -> None:
    (folder / "alma.toml").rename(folder / "other recipe.toml")

    done = typed(folder, "train", "--stage", "mono", "--recipe", "other recipe.toml", "--out", "here")

    assert done.errors[-1].endswith("(run `alma prepare --stage mono --recipe 'other recipe.toml' --out here` first)")


def test_a_direction_with_a_languages_name_gets_its_code(folder: Path) -> None:
    done = typed(folder, "run", "--set", 'directions=["de-English"]')

    assert done.code == 2
    assert len(done.errors) == 1
    assert "'de-English': unknown language code 'English' (did you mean 'en'?)" in done.errors[0]


def test_an_unexpected_word_with_markup_is_shown_as_it_is(folder: Path) -> None:
    assert typed(folder, "[bold]x").errors[0].startswith("error: no command '[bold]x' (one of: ")


# --- help ---------------------------------------------------------------------------------------------------------


def test_the_version_is_one_line(folder: Path) -> None:
    done = typed(folder, "--version")

    assert (done.code, done.out, done.err) == (0, f"alma {alma_cli.__version__}\n", "")


def test_python_m_is_the_command(folder: Path) -> None:
    done = finish(start(folder, "--version"))

    assert (done.code, done.out, done.err) == (0, f"alma {alma_cli.__version__}\n", "")


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_alma_alone_shows_its_help(folder: Path, words: tuple[str, ...]) -> None:
    done = typed(folder, *words)

    assert (done.code, done.err) == (0, "")
    assert set(re.findall(r"^│ (\w+)  ", done.out, re.MULTILINE)) == COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_sentences_and_an_example(folder: Path, name: str) -> None:
    done = typed(folder, name, "--help")

    assert (done.code, done.err) == (0, "")
    text, example = done.out.split("Example: ")
    assert example.startswith(f"alma {name}")
    assert text.rstrip().endswith(".")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_an_option_is_a_sentence(name: str) -> None:
    command = typer.main.get_command(app)
    options = command.commands[name].params  # type: ignore[attr-defined]

    helps = {option.name: option.help for option in options}

    assert [option for option, text in helps.items() if not re.fullmatch(r"[A-Z].*\.", text or "")] == []


# --- completion ---------------------------------------------------------------------------------------------------


def test_the_script_for_bash_is_shown(folder: Path) -> None:
    # typer asks the parent process which shell it is; under make that is sh, which has no completion.
    named = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = finish(start(folder, "--show-completion", "bash", **named))

    assert (done.code, done.err) == (0, "")
    assert "complete -o default -F _alma_completion alma" in done.out


@pytest.mark.parametrize(
    ("line", "expected"),
    [("alma t", {"train", "translate"}), ("alma ", set(COMMANDS)), ("alma train --re", {"--recipe", "--resume"})],
)
def test_bash_completes_commands_and_options(folder: Path, line: str, expected: set[str]) -> None:
    position = str(line.count(" "))
    asked = {"_ALMA_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": position}

    done = finish(start(folder, **asked))

    assert (set(done.out.split()), done.err) == (expected, "")


# --- streams ------------------------------------------------------------------------------------------------------


def test_a_reader_who_leaves_ends_the_command_quietly(folder: Path) -> None:
    process = start(folder, "models")
    assert process.stdout is not None
    process.stdout.close()

    assert process.wait(60) == 141
    assert process.stderr is not None
    assert process.stderr.read() == b""


@pytest.mark.parametrize("words", ["models", "models --json", "--help"])
def test_a_full_disk_under_stdout_is_one_line(folder: Path, words: str) -> None:
    with Path("/dev/full").open("wb") as full:
        done = finish(start(folder, *words.split(), stdout=full.fileno()))

    hint = "check the path, its permissions and the free space"
    assert (done.code, done.err) == (4, f"error: No space left on device ({hint})\n")


def test_results_are_utf8_in_any_locale(folder: Path) -> None:
    done = finish(start(folder, "models", PYTHONIOENCODING="ascii", LC_ALL="C"))

    assert (done.code, done.err) == (0, "")
    assert "│" in done.out
