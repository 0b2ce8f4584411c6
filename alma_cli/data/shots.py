"""Few-shot examples for each direction, chosen from validation data; written and read for `alma translate --shots`.

data/shots/de-en.jsonl     {"source", "target", "direction"} one example a line
"""

from __future__ import annotations

import json
import math
import random
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from alma_cli.core.dataset import Example, write_atomically
from alma_cli.core.languages import Direction
from alma_cli.core.prompt import one_line
from alma_cli.core.text_files import decode_text, read_bytes, split_lines
from alma_cli.errors import AlmaError, InputError

# How many times longer or shorter than the median a side may be, first choice first: of 1,002 sentences of WMT'21 these
# have 59%, 83%, 95% and 99%. Farther off are headlines and paragraphs.
_LENGTHS = (1.5, 2.0, 3.0, 5.0)
# How far the ratio of the sides may be from the usual one: more is a free translation, or a wrong one.
_LENGTH_RATIO = 1.5
# Two that have more of their character 4-grams in common are of one text, or one pattern.
_MOST_IN_COMMON = 0.2
_GRAM = 4

_SAME_END = {"。": ".", "।": ".", "؟": "?"}
_QUOTES_AND_BRACKETS = {"Ps", "Pe", "Pi", "Pf"}
_QUOTES = set('"„“”«»「」『』')


def shots_by_direction(examples: Iterable[Example], count: int, seed: int) -> dict[Direction, list[Example]]:
    """So many examples for each direction that there is, in the directions' order; fewer where there are no more."""
    by_direction: dict[Direction, list[Example]] = {}
    for example in examples:
        by_direction.setdefault(example.direction, []).append(example)
    return {
        direction: choose_shots(by_direction[direction], count, seed) for direction in sorted(by_direction, key=str)
    }


def choose_shots(examples: Sequence[Example], count: int, seed: int) -> list[Example]:
    """Examples of one direction to show a model: of usual length, both sides ending alike, no two similar.

    The same examples and seed give the same choice. Fewer than `count` where no more are fit.
    """
    assert len({example.direction for example in examples}) <= 1, f"{examples[0].direction=}"
    fit = [example for example in dict.fromkeys(examples) if _is_fit(example)]
    if not fit:
        return []
    random.Random(seed).shuffle(fit)
    distances = dict(zip(fit, _distances_from_usual(fit), strict=True))
    chosen: list[Example] = []
    for limit in _LENGTHS:
        for example in fit:
            if len(chosen) == count:
                return chosen
            if distances[example] <= math.log(limit) and not any(_are_similar(example, other) for other in chosen):
                chosen.append(example)
    return chosen


def write_shots(directory: Path, by_direction: Mapping[Direction, Sequence[Example]]) -> list[Path]:
    """Write `shots/<direction>.jsonl` below the data directory, each complete or not at all; the files' paths.

    Those of other directions, from before, are deleted.
    """
    for old in (directory / "shots").glob("*-*.jsonl"):
        if old.stem not in map(str, by_direction):
            old.unlink()
    paths = []
    for direction, examples in by_direction.items():
        rows = [{"source": e.source, "target": e.target, "direction": str(e.direction)} for e in examples]
        path = directory / "shots" / f"{direction}.jsonl"
        write_atomically(path, (json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        paths.append(path)
    return paths


def read_shots(path: Path) -> list[Example]:
    """The examples of a file: ours, or a JSON list of `source` and `target` as ALMA's `shots.de-en.json` is.

    Rows that do not say their direction have the file's, from its name. Raises InputError naming the file and line.
    """
    text = decode_text(read_bytes(path), str(path))
    if text.lstrip().startswith("["):
        rows = [(f"'{path}' example {n}", row) for n, row in enumerate(_parsed(text, f"'{path}'"), 1)]
    else:
        lines = [(f"'{path}' line {n}", line) for n, line in enumerate(split_lines(text), 1) if line.strip()]
        rows = [(where, _parsed(line, where)) for where, line in lines]
    if not rows:
        raise InputError(f"'{path}' has no examples")
    named = _direction_in(path.name)
    return [_example(row, where, named) for where, row in rows]


def _is_fit(example: Example) -> bool:
    """Whether both sides have text, which is not the same, whole quotations, and a beginning and an end alike."""
    source, target = example.source.strip(), example.target.strip()
    if not source or not target or source.casefold() == target.casefold():
        return False
    if any(sum(character in _QUOTES for character in side) % 2 for side in (source, target)):
        return False  # a sentence out of the middle of somebody's speech
    return _end(source) == _end(target) and _is_quote_or_bracket(source[0]) == _is_quote_or_bracket(target[0])


def _end(text: str) -> str:
    """How a text ends before closing quotes and brackets, whatever the script: `.`, `?`, `!`, `:`, `;`, or nothing."""
    while text and (_is_quote_or_bracket(text[-1]) or text[-1].isspace()):
        text = text[:-1]
    last = unicodedata.normalize("NFKC", text[-1:])[-1:]
    last = _SAME_END.get(last, last)
    return last if last in ".?!:;" else ""


def _is_quote_or_bracket(character: str) -> bool:
    return character in "\"'" or unicodedata.category(character) in _QUOTES_AND_BRACKETS


def _distances_from_usual(examples: Sequence[Example]) -> list[float]:
    """How far each example's longer or shorter side is from the median, as a logarithm; infinite where the sides do
    not go together."""
    sources = [math.log(len(example.source)) for example in examples]
    targets = [math.log(len(example.target)) for example in examples]
    usual_source, usual_target = median(sources), median(targets)
    usual_ratio = median(target - source for source, target in zip(sources, targets, strict=True))
    return [
        max(abs(source - usual_source), abs(target - usual_target))
        if abs(target - source - usual_ratio) <= math.log(_LENGTH_RATIO)
        else math.inf
        for source, target in zip(sources, targets, strict=True)
    ]


def _are_similar(one: Example, other: Example) -> bool:
    return any(
        _in_common(_grams(mine), _grams(its)) > _MOST_IN_COMMON
        for mine, its in ((one.source, other.source), (one.target, other.target))
    )


def _grams(text: str) -> set[str]:
    plain = " ".join(re.findall(r"\w+", text.casefold()))
    return {plain[start : start + _GRAM] for start in range(max(1, len(plain) - _GRAM + 1))}


def _in_common(one: set[str], other: set[str]) -> float:
    """Jaccard similarity."""
    return len(one & other) / len(one | other)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{where} is not JSON", hint='one {"source": ..., "target": ...} a line, or a list') from None


def _example(row: object, where: str, named: Direction | None) -> Example:
    source, target = (row.get(key) for key in ("source", "target")) if isinstance(row, dict) else (None, None)
    if not isinstance(row, dict) or not isinstance(source, str) or not isinstance(target, str):
        raise InputError(f"{where} has no texts 'source' and 'target'")
    said = row.get("direction")
    try:
        direction = named if said is None else Direction.parse(str(said))
    except AlmaError as error:
        raise InputError(f"{where}: {error.message}", hint=error.hint) from None
    if direction is None:
        raise InputError(f"{where} has no 'direction'", hint="or name the file as in shots.de-en.json")
    source, target = one_line(source), one_line(target)
    if not source or not target:
        raise InputError(f"{where} has an empty text")
    return Example(direction, source, target)


def _direction_in(name: str) -> Direction | None:
    """The direction that a file's name has between dots, such as `shots.de-en.json` or `de-en.jsonl`."""
    for part in name.split("."):
        try:
            return Direction.parse(part)
        except AlmaError:
            continue
    return None
