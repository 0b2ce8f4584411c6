"""An ablation: which systems tell what each stage is worth, and what has to be trained for them.

    zero-shot        the base model
    five-shot        the base model with examples in its prompt
    mono             stage 1 alone
    parallel-only    stage 2 alone
    parallel         stage 1, then stage 2: the recipe itself
    parallel-0.25    the same with a quarter of stage 2's steps
    mono-0.25        a quarter of stage 1's steps, then the whole stage 2

The comparison is the paper's (arXiv 2309.11674, sections 3 and 5): how much monolingual text and how many pairs it
takes, and what the one is worth without the other. A shorter run has a schedule of its own, down to its own last step:
a checkpoint from the middle of the long one would still have a high learning rate, and say less of its data.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from alma_cli.core.recipe import ZERO_SHOT, Recipe, StageName

STAGE_2_ALONE, BOTH_STAGES = "parallel-only", "parallel"  # whose difference is what stage 1 adds
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class Training:
    """One run of a stage: from the weights of another run, or of the base model."""

    stage: StageName
    folder: str = ""  # below ablation/; empty: the recipe's own run, in the work directory itself
    start: Training | None = None
    portion: float = 1.0  # of the stage's steps

    def runs(self, work: Path) -> Path:
        """The directory that holds the run's own."""
        return work / "ablation" / self.folder if self.folder else work

    def directory(self, work: Path) -> Path:
        """The run's own directory."""
        return self.runs(work) / self.stage


@dataclass(frozen=True)
class AblationSystem:
    """One system to compare: its name below translations/, what it is, and the run whose weights it has."""

    name: str
    words: str
    training: Training | None = None  # None: the base model
    shots: int = 0


def ablation_systems(recipe: Recipe) -> tuple[AblationSystem, ...]:
    """What is compared, the base model first; a run that others start from comes before them."""
    settings, stages = recipe.ablation, recipe.stage_names
    systems = [AblationSystem(ZERO_SHOT, "base model")]
    if settings.shots:
        name = _NUMBERS[settings.shots] if settings.shots < len(_NUMBERS) else str(settings.shots)
        systems.append(AblationSystem(f"{name}-shot", f"base model, {settings.shots} examples", shots=settings.shots))
    mono = Training("mono") if "mono" in stages else None
    if mono:
        systems.append(AblationSystem("mono", "stage 1", mono))
    if "parallel" not in stages:
        return tuple(systems)
    if mono:
        alone = Training("parallel", STAGE_2_ALONE)
        systems.append(AblationSystem(STAGE_2_ALONE, "stage 2", alone))
    before = "stage 1 + stage 2" if mono else "stage 2"
    for portion in sorted(settings.parallel_portions):
        part = Training("parallel", f"parallel-{portion:g}", mono, portion)
        systems.append(AblationSystem(part.folder, f"{before} with {100 * portion:g}% of its steps", part))
    for portion in sorted(settings.mono_portions if mono else ()):
        folder = f"mono-{portion:g}"
        part = Training("parallel", folder, Training("mono", folder, portion=portion))
        systems.append(AblationSystem(folder, f"stage 1 with {100 * portion:g}% of its steps + stage 2", part))
    systems.append(AblationSystem(BOTH_STAGES, before, Training("parallel", start=mono)))
    return tuple(systems)


def trainings(systems: tuple[AblationSystem, ...]) -> tuple[Training, ...]:
    """All runs that the systems need, each after the one that it starts from."""
    found: dict[Training, None] = {}
    for training in (system.training for system in systems):
        chain: list[Training] = []
        while training is not None:
            chain.append(training)
            training = training.start
        found.update(dict.fromkeys(reversed(chain)))
    return tuple(found)
