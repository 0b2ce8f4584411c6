"""`alma train`: one stage, from the previous stage's weights or a named model."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from alma_cli import console
from alma_cli.commands.options import (
    DryRunOption,
    JsonOption,
    ModelOption,
    OutOption,
    QuietOption,
    RecipeOption,
    ResumeOption,
    SetOption,
    open_recipe,
    recipe_words,
    stage_choice,
    work_directory,
)
from alma_cli.commands.steps import foretell_training, plan_training, run_training
from alma_cli.errors import UsageError, nearest


def train(
    recipe: RecipeOption = None,
    stage: Annotated[str | None, typer.Option("--stage", metavar="mono|parallel", help="The stage to train.")] = None,
    method: Annotated[
        str | None,
        typer.Option("--method", metavar="full|lora|qlora", help="Method; sets the paper's learning rate for it, too."),
    ] = None,
    model: ModelOption = None,
    overrides: SetOption = None,
    out: OutOption = None,
    resume: ResumeOption = True,
    dry_run: DryRunOption = False,
    gpu: Annotated[
        str | None,
        typer.Option("--gpu", metavar="NAME|GB", help="With --dry-run: what it takes there, such as `H100` or `24`."),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Train one stage of the recipe: `mono` on monolingual text, `parallel` on sentence pairs.

    It starts from the stage before it, or from --model, and writes its weights below the work directory. Stopped or
    killed, the same command goes on from the last checkpoint.

    Example: alma train --stage parallel --method lora
    """
    console.be_quiet(quiet)
    from alma_cli.core.process import set_up_process

    set_up_process()
    from alma_cli.core.forecast import gpu_named
    from alma_cli.core.plan import next_stage
    from alma_cli.core.recipe_file import method_override

    if gpu is not None and not dry_run:
        raise UsageError("--gpu is for --dry-run", hint="training runs on the GPU that this machine has")
    loaded = open_recipe(recipe, overrides)
    work = work_directory(loaded, out)
    if stage is None:
        due = next_stage(loaded.recipe, work)
        hint = f"next due: `alma train --stage {due}`" if due else "every stage of the recipe is finished"
        raise UsageError("--stage is missing", hint=hint)
    name = stage_choice(loaded.recipe, stage)
    if method is not None:
        if method not in ("full", "lora", "qlora"):
            raise UsageError(f"unknown method '{method}'", hint=nearest(method, ("full", "lora", "qlora")))
        values = method_override(name, method)
        # What the user sets by hand wins over what comes with the method.
        kept = {key: value for key, value in values.items() if not any(o.startswith(key) for o in overrides or ())}
        loaded = open_recipe(recipe, overrides, kept, told=True)
    if dry_run:
        there = gpu_named(gpu) if gpu is not None else None
        foretell = partial(foretell_training, gpu=there, as_json=as_json)
        plan_training(loaded.recipe, name, work, model=model, foretell=foretell)
        return
    plan = plan_training(loaded.recipe, name, work, model=model)
    finished = run_training(plan, resume=resume)
    if as_json:
        console.result_json(finished.facts)
    due = next_stage(loaded.recipe, work)
    following = f"alma train --stage {due}" if due else "alma translate"
    console.done(f"weights are in {finished.model}", next_command=following + recipe_words(recipe, out))
