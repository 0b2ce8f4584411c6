"""The `alma` command: its subcommands and the one error boundary."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from alma_cli import __version__, console
from alma_cli.commands import doctor, export, models, prepare, run, score, train, translate
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


def _paragraphs(function: Callable[..., None]) -> str:
    """A command's docstring with one line a paragraph: the terminal's width decides where lines break."""
    return "\n\n".join(" ".join(part.split()) for part in (inspect.getdoc(function) or "").split("\n\n"))


for _name, _function in COMMANDS.items():
    app.command(_name, help=_paragraphs(_function))(_function)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.result(f"alma {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


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
        with command.make_context("alma", list(arguments) or ["--help"]) as context:
            command.invoke(context)
        sys.stdout.flush()
        return 0
    except typer.Exit as done:
        return done.exit_code
    except typer.TyperException as error:
        failure: AlmaError = _usage_error(error, arguments)
    except AlmaError as error:
        failure = error
    except KeyboardInterrupt:
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
