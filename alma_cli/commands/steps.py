"""The four steps of a recipe, library and screen together, as their commands and `alma run` both take them."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from alma_cli import console
from alma_cli.errors import Interrupted, MachineError, UsageError

if TYPE_CHECKING:
    from alma_cli.core.forecast import Gpu
    from alma_cli.core.languages import Direction
    from alma_cli.core.model_files import ModelFiles
    from alma_cli.core.plan import StagePlan
    from alma_cli.core.recipe import LoadedRecipe, Metric, Recipe, ScoringSettings, StageName
    from alma_cli.core.stage import Finished
    from alma_cli.data.prepare import Engine, PreparedStage
    from alma_cli.scoring.score import Comparison, Means, Scored


def prepare_stages(
    loaded: LoadedRecipe,
    stages: Sequence[StageName],
    work: Path,
    *,
    sources: list[Path] | None,
    resume: bool,
    workers: int | None = None,
    engine: Engine = "local",
) -> list[PreparedStage]:
    """Prepare the stages' data and tell what came of it; pairs first, since no other text may hold their test sets."""
    from alma_cli.data.prepare import Means, prepare_stage
    from alma_cli.data.reasons import REASONS
    from alma_cli.data.report import write_report
    from alma_cli.data.workers import processors

    tokenizer = _tokenizer_file(loaded.recipe.model, work / "data")
    prepared = []
    for name in sorted(stages, key=lambda stage: stage != "parallel"):
        with console.preparing() as progress:
            means = Means(tokenizer, workers or processors(), engine, progress)
            one = prepare_stage(loaded, name, work / "data", sources=sources, means=means, resume=resume)
        for warning in one.warnings:
            console.warn(warning)
        for note in one.notes:
            console.note(note)
        if one.unchanged:
            console.note(f"stage {name} is prepared already; --no-resume prepares it again")
        prepared.append(one)
        title = f"Data of {loaded.recipe.name}"
        write_report(work / "data", one.manifest, REASONS, title=title, warnings=one.warnings)
    return prepared


def choose_few_shot_examples(recipe: Recipe, work: Path, count: int) -> None:
    """Write so many examples of each direction for prompts, out of the validation data."""
    from alma_cli.core.dataset import read_examples, split_path
    from alma_cli.data.shots import shots_by_direction, write_shots

    chosen = shots_by_direction(read_examples(split_path(work / "data", "parallel", "valid")), count, recipe.seed)
    for direction in recipe.direction_pairs:
        if (found := len(chosen.get(direction, ()))) < count:
            console.warn(f"{found} few-shot examples for {direction}, not {count}: there is no more validation data")
    write_shots(work / "data", chosen)


def show_data(recipe: Recipe, stages: Sequence[StageName], work: Path, count: int, *, as_json: bool) -> None:
    """Print some of the prepared data with the fate of every token."""
    from alma_cli.core.dataset import read_documents, read_examples, split_path
    from alma_cli.core.model import text_format_of, tokenizer_of
    from alma_cli.core.model_files import resolve_model
    from alma_cli.data.shown import shown_as_json, shown_documents, shown_examples

    files = resolve_model(recipe.model)
    tokenizer = tokenizer_of(files)
    text_format = text_format_of(files, tokenizer, recipe.prompt.style)
    shown = []
    if "parallel" in stages and (parallel := recipe.stages.parallel):
        examples = read_examples(split_path(work / "data", "parallel", "train"))
        shown += shown_examples(examples, count, tokenizer, text_format, parallel, seed=recipe.seed)
    if "mono" in stages and (mono := recipe.stages.mono):
        documents = read_documents(split_path(work / "data", "mono", "train"))
        shown += shown_documents(documents, count, tokenizer, text_format, mono, seed=recipe.seed)
    if as_json:
        console.result_json(shown_as_json(shown))
    else:
        console.shown(shown)


def plan_training(
    recipe: Recipe,
    stage: StageName,
    work: Path,
    *,
    model: str | None,
    runs: Path | None = None,
    foretell: Callable[[StagePlan], None] | None = None,
) -> StagePlan:
    """Plan a stage and show the choices that matter; `foretell` says more than the one line about memory."""
    from alma_cli.core.plan import missing_stage, plan_stage

    with console.tokenising() as progress:
        plan = plan_stage(recipe, stage, work, model=model, runs=runs, progress=progress)
    settings, steps = plan.settings, plan.steps
    bos = "with" if plan.text_format.adds_bos else "without"
    labels = plan.sampled_labels
    among = "" if labels is None else f" among the data's {len(labels):,} different ones and a sample of the others"
    facts = {
        "model": _with_note(plan.base.name, plan.base.note),
        "method": f"{settings.method}, learning rate {settings.peak_learning_rate:g} {settings.schedule}",
        "data": f"{len(plan.train):,} examples, {plan.train_tokens:,} tokens, {plan.train_target_tokens:,} in the loss"
        + among,
        "validation": f"{len(plan.valid):,} examples",
        "steps": f"{steps.steps:,} of {settings.examples_per_step} examples",
        "prompt": f"{plan.text_format.style}, {bos} BOS",
        "device": f"{plan.precision.device}, {str(plan.precision.dtype).removeprefix('torch.')}",
        "into": str(plan.directory.path),
    }
    too_much = ""
    if foretell is None and not plan.directory.is_finished:
        facts["memory"], too_much = _memory_words(plan)
    console.panel(f"stage {plan.name}", facts)
    if foretell is not None:
        foretell(plan)
    if too_much:
        console.warn(too_much)
    for reason, count in plan.dropped.items():
        console.warn(f"left out of training: {count:,} {reason.replace('_', ' ')}")
    if model is None and (missing := missing_stage(recipe, stage, work)):
        console.warn(
            f"stage {missing} of recipe {recipe.name} is not finished: stage {stage} starts from the base model "
            f"{recipe.model} (`alma train --stage {missing}` comes first)"
        )
    if not plan.valid:
        console.warn("no validation data: the last weights are kept, not the best")
    return plan


def foretell_training(plan: StagePlan, gpu: Gpu | None, *, as_json: bool) -> None:
    """Tell what a planned stage will take here or on another GPU, and do nothing."""
    from alma_cli.core import forecast

    foreseen = forecast.foresee(plan, gpu)
    facts = forecast.as_json(plan, foreseen)
    if as_json:
        console.result_json(facts)
    else:
        console.foretold(facts)


def _memory_words(plan: StagePlan) -> tuple[str, str]:
    """About how much memory a stage takes, and a warning where there is less."""
    from alma_cli.core.forecast import room_for
    from alma_cli.core.memory import estimate_memory

    try:
        memory, room = estimate_memory(plan), room_for(plan.precision)
    except UsageError as error:  # it is no reason not to train
        return "unknown", error.message
    parts = ((name, count) for name, count in memory.parts.items() if count >= 0.05 * 2**30)
    words = f"about {console.gib(memory.total)} ({', '.join(f'{name} {count / 2**30:.1f}' for name, count in parts)})"
    if memory.total <= room:
        return words, ""
    return words, (
        f"it takes about {console.gib(memory.total)} of memory, and {console.gib(room)} are free: "
        "`alma train --dry-run` finds settings that fit"
    )


def run_training(plan: StagePlan, *, resume: bool) -> Finished:
    """Train a planned stage and show how it goes."""
    from alma_cli.commands.validation import translation_quality
    from alma_cli.core.peak import measured_peak_flops
    from alma_cli.core.stage import run_stage

    finished_before = resume and plan.directory.is_finished
    peak = None if finished_before else measured_peak_flops(plan.precision)
    with _ctrl_c_as_a_wish() as stop:
        events = run_stage(plan, resume=resume, stop=stop, quality=translation_quality(plan))
        finished = console.follow_training(events, steps=plan.steps.steps, peak_flops=peak)
        if stop():
            raise Interrupted(f"stopped; stage {plan.name} is finished", hint="the same command goes on from there")
    if finished.already:
        console.note(f"stage {plan.name} is finished already; --no-resume trains it again")
    return finished


def comparison_of(settings: ScoringSettings, baseline: str | None = None) -> Comparison | None:
    """How the systems are compared; None: they are not."""
    from alma_cli.scoring.score import Comparison
    from alma_cli.scoring.significance import Resampling

    if settings.significance == "none":
        return None
    resampling = Resampling.of(settings.significance, settings.resamples, settings.resampling_seed)
    return Comparison(resampling, baseline)


@contextmanager
def means_of_scoring(settings: ScoringSettings, *, resume: bool) -> Iterator[Means]:
    """What scores are computed with: the cache of segments' scores, and the screen."""
    from alma_cli.core.known_models import score_cache_directory
    from alma_cli.scoring.score import Means
    from alma_cli.scoring.score_cache import ScoreCache

    with (
        console.scoring() as progress,
        ScoreCache(score_cache_directory(), told=console.warn, reads=resume) as cache,
    ):
        yield Means(settings, cache, console.note, progress)


def require_comet(settings: ScoringSettings, metrics: Sequence[Metric]) -> None:
    """Raises AlmaError where one of the metrics is COMET's and cannot be had: better now than after hours of work."""
    from alma_cli.scoring.comet import comet_metrics

    comet_metrics(metrics, settings, told=console.note)


def score_work_directory(
    work: Path,
    directions: Sequence[Direction],
    metrics: tuple[Metric, ...],
    comparison: Comparison | None,
    means: Means,
    *,
    flags: bool = True,
) -> Scored:
    """Score all of the work directory's translations. Raises InputError where there is no test set."""
    from alma_cli.core.dataset import read_test_examples
    from alma_cli.scoring.score import score_translations

    examples = read_test_examples(work / "data", means.settings.test_sentences)
    translations = work / "translations"
    return score_translations(
        translations, examples, metrics, directions, comparison=comparison, flags=flags, means=means
    )


def save_scores(scored: Scored, work: Path) -> tuple[Path, Path]:
    """Keep a score report as JSON in the work directory, and as a page beside it."""
    from alma_cli.core.dataset import write_atomically

    path, page = work / "scores" / "scores.json", work / "scores" / "report.html"
    write_atomically(path, json.dumps(scored.report.as_json(), ensure_ascii=False, indent=1) + "\n")
    save_score_page(scored, page, title=f"Scores of {work.name}")
    return path, page


def save_score_page(scored: Scored, path: Path, *, title: str) -> None:
    """Write the page of scores and segments."""
    from importlib.metadata import version

    from alma_cli import __version__
    from alma_cli.scoring.score_page import write_score_page

    facts = {"Made with": f"alma {__version__}, sacrebleu {version('sacrebleu')}"}
    if resampled := scored.report.significance:
        facts["Compared"] = f"with {resampled.baseline}, by {resampled.words}"
    write_score_page(path, title, scored.report, scored.segments, facts)


@contextmanager
def _ctrl_c_as_a_wish() -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C was typed, so that the step can end first; a second one stops at once."""
    typed: list[int] = []

    def note_it(signal_number: int, _: FrameType | None) -> None:
        if typed:
            raise KeyboardInterrupt
        typed.append(signal_number)
        console.note("stopping after this step; Ctrl-C again stops at once, and the step is lost")

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # a job in a shell's background has it ignored, and is to stay so
        signal.signal(signal.SIGINT, note_it)
    try:
        yield lambda: bool(typed)
    finally:
        signal.signal(signal.SIGINT, before)


def _with_note(name: str, note: str) -> str:
    return f"{name}, {note}" if note else name


def _tokenizer_file(model: str, directory: Path) -> Path | None:
    """The model's tokenizer as one file that counts without torch; None, with a warning, if it is not to be had."""
    from alma_cli.core.model_files import resolve_model

    try:
        files = resolve_model(model)
        own = files.tokenizer / "tokenizer.json"
        return own if own.is_file() else _written_tokenizer(files, directory)
    except (MachineError, UsageError) as error:
        console.warn(f"token counts are left out: {error.message}")
        return None


def _written_tokenizer(files: ModelFiles, directory: Path) -> Path | None:
    from alma_cli.core.dataset import write_atomically
    from alma_cli.core.model import tokenizer_of

    backend: Any = getattr(tokenizer_of(files), "backend_tokenizer", None)
    if backend is None:
        console.warn(f"token counts are left out: the tokenizer in {files.tokenizer} is one of Python only")
        return None
    written = directory / ".cleaned" / "tokenizer.json"
    write_atomically(written, backend.to_str())
    return written
