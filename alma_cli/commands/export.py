"""`alma export`: a model as merged weights, as an adapter, or for CTranslate2, checked against its source."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from alma_cli import console
from alma_cli.commands.options import (
    JsonOption,
    ModelOption,
    OutOption,
    QuietOption,
    RecipeOption,
    ResumeOption,
    SetOption,
    open_recipe,
    recipe_words,
    work_directory,
)
from alma_cli.errors import UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alma_cli.core.export import ExportPlan
    from alma_cli.decoding.agreement import Answer, Probe

# "merged|adapter|..." in the help; the library has the same names, and a test holds them together.
_FORMATS = ("merged", "adapter", "ctranslate2")
_Name = TypeVar("_Name", bound=str)


def export(
    format_: Annotated[
        str | None, typer.Option("--format", "-f", metavar="|".join(_FORMATS), help="What to write; see above.")
    ] = None,
    model: ModelOption = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", metavar="DIR", help="Where it goes; else export/FORMAT in the work directory."),
    ] = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", metavar="bf16|fp32", help="Merged weights' precision; else bf16.")
    ] = None,
    quantization: Annotated[
        str | None,
        typer.Option("--quantization", metavar="TYPE", help="CTranslate2's: int8 (if none is given), float16, ..."),
    ] = None,
    recipe: RecipeOption = None,
    overrides: SetOption = None,
    out: OutOption = None,
    resume: ResumeOption = True,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write a model for other tools, with a model card, and check that it is still the same model.

    `merged` is a Hugging Face directory for transformers, vLLM and llama.cpp, an adapter merged into its unquantised
    base. `adapter` is the PEFT adapter alone. `ctranslate2` is for CTranslate2, fast on a CPU.

    The model is --model, else the newest finished stage of the recipe. What is written is loaded again, has to give the
    logits of its source for a few prompts, and translates three sentences to compare.

    Example: alma export --format merged
    """
    console.be_quiet(quiet)
    from alma_cli.core.process import set_up_process

    set_up_process()
    from alma_cli.core.export import FORMATS, QUANTIZATIONS, finished_export, plan_export
    from alma_cli.core.model_files import resolve_model
    from alma_cli.core.recipe import ZERO_SHOT
    from alma_cli.decoding.agreement import probes_of
    from alma_cli.decoding.system import system_of

    if format_ is None:
        raise UsageError("--format is missing", hint=f"one of: {', '.join(FORMATS)}")
    chosen = _one_of("--format", format_, FORMATS)
    for option, value, its in (("--dtype", dtype, "merged"), ("--quantization", quantization, "ctranslate2")):
        if value is not None and chosen != its:
            raise UsageError(f"{option} does not go with --format {chosen}", hint=f"it is for --format {its}")
    precision = _one_of("--dtype", dtype or "bf16", ("bf16", "fp32"))
    numbers = _one_of("--quantization", quantization or "int8", QUANTIZATIONS)
    loaded = open_recipe(recipe, overrides)
    work = work_directory(loaded, out)
    system = system_of(loaded.recipe, work, model)
    if system.name == ZERO_SHOT and model is None:
        console.warn(f"no stage of recipe {loaded.recipe.name} is finished in {work}: the base model is not fine-tuned")
    plan = plan_export(
        resolve_model(system.model),
        format=chosen,
        target=to or work / "export" / chosen,
        style=loaded.recipe.prompt.style,
        dtype=precision,
        quantization=numbers,
    )
    facts = finished_export(plan, resume=resume)
    if facts is not None:
        console.note(f"{plan.target} holds this export already; --no-resume writes it again")
    else:
        facts = _export(plan, probes_of(work, loaded.recipe.direction_pairs))
    _tell(plan, facts)
    if as_json:
        console.result_json({**facts, "directory": str(plan.target)})
    follow = "" if chosen == "ctranslate2" else f"alma translate{recipe_words(recipe, out)} --model {plan.target}"
    card = f"; {plan.target / 'README.md'} has a program that uses it" if chosen == "ctranslate2" else ""
    console.done(f"{_megabytes(plan.target)} are in {plan.target}{card}", next_command=follow)


def _export(plan: ExportPlan, probes: Sequence[Probe]) -> dict[str, Any]:
    """Load, ask, write, load what was written, ask again, compare; only then is it in place."""
    from alma_cli.core.export import facts_of, load_source, stop_ids, write_manifest, write_weights, writing
    from alma_cli.core.model_card import model_card, run_record
    from alma_cli.core.process import explained_memory_errors
    from alma_cli.decoding.agreement import adapter_effect, answers_of, judged

    note = f", {plan.files.note}" if plan.files.note else ""
    console.note(f"model {plan.files.name}{note}")
    record = run_record(plan.files)
    with writing(plan) as folder, explained_memory_errors("close other programs, or take a machine with more memory"):
        source: Any = load_source(plan)
        stops = stop_ids(source, plan.tokenizer)
        expected = answers_of(source, plan.tokenizer, plan.text_format, probes, stops)
        effect = adapter_effect(source, expected) if plan.files.adapter else None
        console.note(f"writing {plan.format}{' ' + plan.kind if plan.kind else ''}")
        write_weights(plan, source, folder)
        del source
        console.note("checking what was written")
        found = _answers_of_written(plan, folder, probes, stops)
        checks = judged(expected, found, kind=plan.kind, dtype=plan.precision.dtype)
        facts = {**facts_of(plan), **checks, "adapter_effect": effect}
        facts["translations"]["directions"] = [str(probe.direction) for probe in probes]
        (folder / "README.md").write_text(model_card(record, facts), encoding="utf-8")
        write_manifest(folder, facts)
    return facts


def _answers_of_written(plan: ExportPlan, folder: Path, probes: Sequence[Probe], stops: Sequence[int]) -> list[Answer]:
    """Of the directory alone: its own weights, tokenizer and prompt style."""
    from dataclasses import replace

    import torch

    from alma_cli.core.export import load_written
    from alma_cli.core.model import text_format_of, tokenizer_of
    from alma_cli.decoding.agreement import answers_of, answers_of_ctranslate2

    files = replace(plan.files, weights=folder, adapter=None)
    tokenizer = tokenizer_of(files)
    text_format = text_format_of(files, tokenizer, plan.text_format.style)
    if plan.format != "ctranslate2":
        return answers_of(load_written(plan, folder), tokenizer, text_format, probes, stops)
    exact = plan.precision.dtype == torch.float32
    device = plan.precision.device.type
    return answers_of_ctranslate2(folder, tokenizer, text_format, probes, stops, device=device, exact=exact)


def _tell(plan: ExportPlan, facts: dict[str, Any]) -> None:
    logits, translations = facts["logits"], facts["translations"]
    spread = max(logits["spread"], 1e-12)
    largest, allowed = logits["largest_difference"] / spread, logits["tolerance"]["largest"]
    console.note(f"logits differ by {largest:.2g} of their spread at most (limit {allowed:g})")
    console.note(f"{translations['same']} of {translations['of']} translations the same")
    effect = facts["adapter_effect"]
    if effect is not None and effect <= logits["typical_difference"]:
        what = f"less than the export's own rounding: {plan.kind} cannot hold it" if effect else "nothing at all"
        console.warn(f"the adapter changes {what}")
    if plan.format == "adapter" and not facts["base"]:
        console.warn(f"the adapter's base model is on this machine only: {plan.files.weights}")


def _one_of(option: str, value: str, choices: Iterable[_Name]) -> _Name:
    known = {str(choice): choice for choice in choices}
    if value not in known:
        raise UsageError(f"unknown {option} '{value}'", hint=nearest(value, known))
    return known[value]


def _megabytes(directory: Path) -> str:
    return f"{sum(path.stat().st_size for path in directory.rglob('*') if path.is_file()) / 1e6:,.1f} MB"
