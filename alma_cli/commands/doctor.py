"""`alma doctor`: what works on this machine, and the command that fixes what does not."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from alma_cli import console
from alma_cli.commands.options import JsonOption
from alma_cli.errors import MachineError


def doctor(
    online: Annotated[bool, typer.Option("--online", help="Ask the Hugging Face hub for an answer too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Try everything that alma needs or can use: packages, device, memory, disk, models, extras.

    The exit code is 0 if alma can work, 4 if something at its core fails. What
    is only missing among the extras is told, and is no failure.

    Example: alma doctor --online
    """
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
