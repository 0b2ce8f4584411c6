"""`alma doctor`: what works on this machine, and the command that fixes what does not."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from alma_cli import console
from alma_cli.commands.options import JsonOption
from alma_cli.errors import MachineError, UsageError, nearest


def doctor(
    online: Annotated[bool, typer.Option("--online", help="Ask the Hugging Face hub for an answer too.")] = False,
    install: Annotated[
        str | None, typer.Option("--install", metavar="comet", help="Make the environment that COMET runs in.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Try everything that alma needs or can use: packages, device, memory, disk, models, extras.

    The exit code is 0 if alma can work, 4 if something at its core fails. What
    is only missing among the extras is told, and is no failure.

    `--install comet` makes an environment for unbabel-comet, whose pins exclude
    transformers 5, in the cache directory; it uses the torch of this one.

    Example: alma doctor --online
    """
    if install is not None:
        _install(install)
        return
    console.note("trying packages and devices: some ten seconds")
    from alma_cli.core.doctor import examine

    checks = list(examine(online=online))
    if as_json:
        console.result_json({"version": 1, "checks": [asdict(check) for check in checks]})
    else:
        console.health(checks)
    failing = [check.name for check in checks if check.fails]
    if failing:
        raise MachineError(f"alma cannot work here: {', '.join(failing)}", hint="see the column `fix`")


def _install(name: str) -> None:
    from alma_cli.core.comet_environment import install_comet

    if name != "comet":
        raise UsageError(f"--install {name}: nothing of that name", hint=nearest(name, ["comet"]))
    install_comet(console.note)
