"""The `alma` command: its subcommands and the one error boundary."""

from __future__ import annotations

import inspect
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from alma_cli import __version__, console
from alma_cli.commands import doctor, export, models, prepare, run, score, train, translate
from alma_cli.commands.options import recipe_words
from alma_cli.core.launch import Launch, this_launch
from alma_cli.core.process import set_up_process
from alma_cli.errors import AlmaError, Interrupted, MachineError, UsageError, nearest

app = typer.Typer(
    name="alma",
    help="Turn an open language model into a translator (ALMA, arXiv 2309.11674).\n\n"
    "Try it: [bold]alma run --recipe demo[/bold] prepares data, trains, translates and scores in ten minutes on a CPU.",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    suggest_commands=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: dict[str, Callable[..., None]] = {
    "prepare": prepare.prepare,
    "train": train.train,
    "translate": translate.translate,
    "score": score.score,
    "run": run.run,
    "export": export.export,
    "models": models.models,
    "doctor": doctor.doctor,
}

# As errors write it: "run `alma prepare --stage mono` first".
_SUGGESTED_COMMAND = re.compile(r"`(alma (?:prepare|train|translate|score)\b[^`]*)`")

# Those that `torchrun` and `accelerate launch` may start.
_SEVERAL_PROCESSES = ("train", "translate")


def _paragraphs(function: Callable[..., None]) -> str:
    """A command's docstring with one line a paragraph: the terminal's width decides where lines break."""
    return "\n\n".join(" ".join(part.split()) for part in (inspect.getdoc(function) or "").split("\n\n"))


def _of_one_recipe(function: Callable[..., None]) -> Callable[..., None]:
    """The command, whose errors suggest commands with the recipe and work directory that it was typed with itself."""

    @wraps(function)
    def command(**options: Any) -> None:
        try:
            function(**options)
        except AlmaError as error:
            words = recipe_words(options.get("recipe"), options.get("out"))
            error.hint = _SUGGESTED_COMMAND.sub(lambda suggested: f"`{suggested[1]}{words}`", error.hint)
            raise

    return command


for _name, _function in COMMANDS.items():
    app.command(_name, help=_paragraphs(_function))(_of_one_recipe(_function))


def _print_version(wanted: bool) -> None:
    if wanted:
        console.result(f"alma {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback has printed it
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    launch = _launch_of(context.invoked_subcommand)
    if launch.count > 1 and context.invoked_subcommand not in _SEVERAL_PROCESSES:
        raise UsageError(
            f"`alma {context.invoked_subcommand}` runs in one process, and {launch.count} were started",
            hint="only train and translate run in several: start this one without torchrun or accelerate launch",
        )


def main() -> None:
    """Run the command line; every user's error becomes one line on stderr and its exit code."""
    if isinstance(sys.stdout, TextIOWrapper):
        # Results are UTF-8 in any locale, and file names the bytes that they are.
        sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    if "_ALMA_COMPLETE" in os.environ:
        app(prog_name="alma")  # the shell asks for completions; typer answers and exits
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """One command, from its words to its exit code; a bug of ours escapes with its traceback (exit 1)."""
    command = typer.main.get_command(app)
    try:
        # Not command.main(), which swallows Ctrl-C and a reader who leaves, and says nothing.
        with _joined(_launch_of(*arguments[:1])):
            code = _invoke(command, arguments)
        sys.stdout.flush()
        return code
    except typer.TyperException as error:
        failure: AlmaError = _usage_error(error, arguments)
    except AlmaError as error:
        failure = error
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # it ends now; a second one would only cut the line short
        failure = Interrupted("stopped", hint="run the same command again: what is complete is not done again")
    except BrokenPipeError:
        # The reader of our stdout left (`| head`): nothing more to say, and nobody to say it to.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.filename is None and error.errno is None:
            raise
        where = f" ({error.filename})" if error.filename else ""
        failure = MachineError(f"{error.strerror}{where}", hint="check the path, its permissions and the free space")
    console.fail(failure)
    return failure.exit_code


def _invoke(command: Any, arguments: list[str]) -> int:
    try:
        with command.make_context("alma", list(arguments) or ["--help"]) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    return 0


def _launch_of(command: str | None = None) -> Launch:
    """This process among those of the launch; what a scheduler left in the environment matters to two commands only."""
    try:
        return this_launch()
    except UsageError:
        if command in _SEVERAL_PROCESSES:
            raise
        return Launch()


@contextmanager
def _joined(launch: Launch) -> Iterator[None]:
    """With the other processes of the launch, of which the first speaks for all."""
    if launch.count == 1:
        yield
        return
    set_up_process()
    if launch.rank > 0:
        console.leave_it_to_another()
    from alma_cli.core.processes import Processes

    with Processes():
        yield


def _usage_error(error: typer.TyperException, arguments: list[str]) -> AlmaError:
    """Typer's complaint about the command line as ours, with the nearest right name."""
    message = error.format_message()
    context: Any = getattr(error, "ctx", None)
    if message.startswith("No such option") and context is not None:
        word = str(getattr(error, "option_name", ""))
        parameters = context.command.get_params(context)
        options = [name for one in parameters for name in (*one.opts, *one.secondary_opts) if name.startswith("--")]
        return UsageError(f"no option '{word}' in `{context.command_path}`", hint=nearest(word, options))
    if message.startswith("No such command"):
        word = next((argument for argument in arguments if not argument.startswith("-")), "")
        return UsageError(f"no command '{word}'", hint=nearest(word, COMMANDS))
    named = [*COMMANDS.keys() & arguments[:1]]
    path = context.command_path if context else " ".join(["alma", *named])
    return UsageError(message[:1].lower() + message[1:].rstrip("."), hint=f"see `{path} --help`")
