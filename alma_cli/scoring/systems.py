"""Which system translated what: hypotheses and their references, from files, published trees or a work directory.

<system>/<direction>.txt                       ours; also as translations/<system>/<direction>.txt
<system>/<srctgt>/test.<src>-<tgt>.<tgt>       ALMA's published outputs; a test set holds both sides: .<src>, .<tgt>
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alma_cli.core.dataset import Example
from alma_cli.core.languages import Direction
from alma_cli.core.text_files import missing_file
from alma_cli.errors import InputError, UsageError
from alma_cli.scoring.layout import (
    Tree,
    direction_in_name,
    direction_in_note,
    distinct_names,
    name_parts,
    system_folders,
    systems_in,
)
from alma_cli.scoring.lines import ReadSegments, read_plain, read_segments, require_same_count
from alma_cli.scoring.references import ReferenceFiles, References, references_of, require_others, side_of


@dataclass(frozen=True)
class TranslationSet:
    """One system's output in one direction, line by line beside its references: one or several sets of them."""

    system: str
    direction: Direction
    hypotheses: tuple[str, ...]
    references: tuple[tuple[str, ...], ...]  # (sets, segments)
    sources: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Found:
    """What is to be scored, what was decided on the way (notes), and what was left out (warnings)."""

    sets: tuple[TranslationSet, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def find_translations(
    translations: Path, examples: Sequence[Example], directions: Sequence[Direction] = ()
) -> list[TranslationSet]:
    """Every system's output below `translations` beside the test examples; `zero-shot` first, then by name.

    Raises InputError where there is nothing to score, and for a file with more or fewer lines than examples.
    """
    references: dict[Direction, tuple[str, ...]] = {}
    sources: dict[Direction, tuple[str, ...]] = {}
    for direction in directions or dict.fromkeys(example.direction for example in examples):
        if targets := tuple(example.target for example in examples if example.direction == direction):
            references[direction] = targets
            sources[direction] = tuple(example.source for example in examples if example.direction == direction)
    if not references:
        wanted = ", ".join(map(str, directions)) or "any direction"
        raise InputError(f"the test set has no examples of {wanted}", hint="see what `alma prepare` made of the data")
    sets = []
    for system in system_folders(translations) if translations.is_dir() else ():
        for direction, targets in references.items():
            path = system / f"{direction}.txt"
            if path.is_file():
                hypotheses = read_segments(path)
                test_set = f"the test set of {direction}"
                hint = "the data has changed since: run `alma translate --no-resume`"
                require_same_count(f"'{path}'", hypotheses, test_set, targets, hint=hint)
                sets.append(TranslationSet(system.name, direction, hypotheses, (targets,), sources[direction]))
    if not sets:
        wanted = ", ".join(map(str, references))
        raise InputError(f"no translations of {wanted} in '{translations}'", hint="run `alma translate` first")
    return sets


def find_hypotheses(
    paths: Sequence[Path],
    *,
    references: Sequence[str] = (),
    source_text: Path | None = None,
    direction: Direction | None = None,
    recipe_directions: Sequence[Direction] = (),
    read: ReadSegments = read_plain,
) -> Found:
    """The sets of files and directories named by hand, in the order given, each with all the references named.

    Without any, the one directory among `paths` that holds both sides of its directions is the reference set.
    Raises UsageError for what the command line leaves open, InputError for files that do not fit together.
    """
    for path in (*paths, *([source_text] if source_text else ())):
        if not path.exists():
            raise missing_file(path)
    for position, path in enumerate(paths):
        if path in paths[:position]:
            raise UsageError(f"'{path}' is given twice")
    systems = {path: systems_in(path) for path in paths if path.is_dir()}
    notes: list[str] = []
    known = references_of(references)
    if not known:
        known = [_test_set([system for found in systems.values() for system in found])]
        notes.append(f"references: '{known[0]}' (it holds both sides)")
    roots = [one.root for one in known if isinstance(one, ReferenceFiles)]
    outputs: list[_Output] = []
    for path in paths:
        if path in systems:
            # The reference set is not a system, also when a glob such as wmt22/* names it.
            others = [(root, tree) for root, tree in systems[path] if not any(map(root.samefile, roots))]
            outputs += [output for root, tree in others for output in _outputs_of_tree(root, tree, direction)]
        else:
            told, note = (direction, "") if direction else _direction_of(path, known, recipe_directions)
            outputs.append(_output_of_file(path, told, named=direction is None))
            notes += [note] if note else []
    return _pair(outputs, known, source_text, notes, read)


@dataclass(frozen=True)
class _Output:
    """One hypothesis file; `parts` is its system's name, preceded by the directories that may tell it from another."""

    parts: tuple[str, ...]
    direction: Direction
    path: Path


def _test_set(systems: list[tuple[Path, Tree]]) -> References:
    holders = [root for root, tree in systems if any({d.source, d.target} <= set(tree[d]) for d in tree)]
    if not holders:
        hint = "give --ref FILE or --ref DIR, or one of sacreBLEU's: --ref sacrebleu:wmt22"
        raise UsageError("no references to score against", hint=hint)
    if len(holders) > 1:
        names = ", ".join(f"'{root}'" for root in holders)
        raise UsageError(f"{names} all hold both sides of a test set", hint="say which one with --ref DIR")
    return ReferenceFiles(holders[0])


def _direction_of(
    path: Path, references: Sequence[References], recipe_directions: Sequence[Direction]
) -> tuple[Direction | None, str]:
    """The direction of a file by its name, or by what else tells it, with the note that says so."""
    if named := direction_in_name(path):
        return named, ""
    if named := direction_in_note(path):
        return named, f"'{path}' is taken as {named}: its note says so"
    for one in references:
        if named := one.direction:
            return named, f"'{path}' is taken as {named}: the direction of '{one}'"
    if len(recipe_directions) == 1:
        return recipe_directions[0], f"'{path}' is taken as {recipe_directions[0]}: the recipe's only direction"
    return None, ""


def _outputs_of_tree(root: Path, tree: Tree, only: Direction | None) -> list[_Output]:
    outputs = []
    for direction in sorted(tree, key=lambda d: (d.source != "en", d)):
        path = tree[direction].get(direction.target) or tree[direction].get("txt")
        if path and only in (None, direction):
            outputs.append(_Output(name_parts(root, None), direction, path))
    return outputs


def _output_of_file(path: Path, direction: Direction | None, *, named: bool) -> _Output:
    if direction is None:
        raise UsageError(f"the name of '{path}' does not tell its direction", hint="give --direction, such as de-en")
    if named and path.suffix == f".{direction.source}":
        raise InputError(
            f"'{path}' is the source side of {direction}", hint=f"if not, give --direction {direction.reverse}"
        )
    return _Output(name_parts(path, direction), direction, path)


def _pair(
    outputs: list[_Output],
    references: Sequence[References],
    source_text: Path | None,
    notes: list[str],
    read: ReadSegments,
) -> Found:
    """Each output beside its references, every count checked."""
    directions = sorted({output.direction for output in outputs})
    single = ["--ref"] if not all(one.holds_many for one in references) else []
    single += ["--src-text"] if source_text and not source_text.is_dir() else []
    if single and len(directions) > 1:
        several = ", ".join(map(str, directions))
        raise UsageError(f"{single[0]} is one file for {several}", hint="give a directory, or one --direction")
    names = distinct_names([(output.parts, output.direction) for output in outputs])
    beside = {direction: _Beside.find(direction, references, source_text) for direction in directions}
    read = functools.cache(read)
    sets: list[TranslationSet] = []
    warnings: list[str] = []
    for name, output in zip(names, outputs, strict=True):
        there = beside[output.direction]
        if not there.targets:
            known = ", ".join(f"'{one}'" for one in references)
            warnings.append(f"{name} {output.direction} is not scored: {known} has no references for it")
            continue
        if source_text and not there.source:
            warnings.append(f"'{source_text}' has no source of {output.direction}")
        sets.append(_set_of(name, output, there, read))
    if not sets:
        hint = warnings[0] if warnings else "give the systems' files or directories beside the reference set"
        raise InputError("there is nothing to score", hint=hint)
    return Found(tuple(sets), tuple(notes), tuple(warnings))


@dataclass(frozen=True)
class _Beside:
    """What the translations into a direction are scored with."""

    targets: tuple[Path, ...]
    source: Path | None

    @classmethod
    def find(cls, direction: Direction, references: Sequence[References], source_text: Path | None) -> _Beside:
        """The files; a test set that holds both sides has the source text, too."""
        targets = tuple(path for one in references for path in one.targets(direction))
        if source_text:
            return cls(targets, side_of(source_text, direction, direction.source))
        sources = (one.source(direction) for one in references) if targets else ()
        return cls(targets, next(filter(None, sources), None))


def _set_of(name: str, output: _Output, beside: _Beside, read: ReadSegments) -> TranslationSet:
    direction = output.direction
    require_others(output.path, beside.targets)
    hypotheses = read(output.path, direction, "target")
    references = tuple(read(path, direction, "target") for path in beside.targets)
    sources = read(beside.source, direction, "source") if beside.source else None
    hint = "line N must be the same segment in both"
    for path, segments in zip(beside.targets, references, strict=True):
        require_same_count(f"'{output.path}'", hypotheses, f"'{path}'", segments, hint=hint)
    if sources is not None:
        require_same_count(f"'{beside.source}'", sources, f"'{beside.targets[0]}'", references[0], hint=hint)
    return TranslationSet(name, direction, hypotheses, references, sources)
