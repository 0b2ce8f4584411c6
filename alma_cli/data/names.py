"""What the name of a corpus file tells: its format, its split and its languages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from alma_cli.core.languages import LANGUAGES, Direction
from alma_cli.core.recipe import Format, Recipe, Split
from alma_cli.data.files import plain_name
from alma_cli.errors import UsageError

PARALLEL_ENDINGS: dict[str, Format] = {
    ".json": "alma", ".jsonl": "jsonl", ".tsv": "tsv", ".csv": "csv", ".tmx": "tmx", ".xlf": "xliff", ".xliff": "xliff",
    ".po": "po", ".parquet": "parquet",
}  # fmt: skip
MONO_ENDINGS: dict[str, Format] = {
    ".json": "jsonl", ".jsonl": "jsonl", ".txt": "text", ".parquet": "parquet",
    **{f".{code}": "text" for code in LANGUAGES},
}  # fmt: skip
_SPLIT_WORDS: dict[str, Split] = {"train": "train", "valid": "valid", "dev": "valid", "test": "test"}
_SPLIT_IN_NAME = re.compile(r"(?:^|[._-])(train|valid|dev|test)\d*(?=[._-])")
_PAIR_IN_NAME = re.compile(r"(?:^|[._])([a-z]{2})-([a-z]{2})(?=[._]|$)")


def format_by_ending(path: Path, endings: Mapping[str, Format]) -> Format:
    """The format, by the ending before that of a compression. Raises UsageError for one that is not known."""
    ending = Path(plain_name(path)).suffix.lower()
    if ending in endings:
        return endings[ending]
    listed = [known for known in endings if known[1:] not in LANGUAGES]
    raise UsageError(f"the ending of {path} does not tell its format", hint=f"{', '.join(listed)}, or set `format`")


def split_in(name: str) -> Split:
    """The split that a file's name has in it as a word; train where there is none."""
    match = _SPLIT_IN_NAME.search(name)
    return _SPLIT_WORDS[match[1]] if match else "train"


def pair_in(name: str) -> Direction | None:
    """The pair of languages that a file's name has in it, as in news.de-en.tsv."""
    for source, target in _PAIR_IN_NAME.findall(name):
        if source in LANGUAGES and target in LANGUAGES and source != target:
            return Direction(source, target)
    return None


def language_in(path: Path, recipe: Recipe) -> str:
    """The one language that a file's name has in it, or that the recipe's documents are in. Raises UsageError."""
    named = {part for part in path.name.split(".") if part in LANGUAGES}
    pools = {name for name in recipe.data.mono.mixture if name in LANGUAGES}
    known = {source.language for source in recipe.data.mono.sources} | pools
    for choices in (named, known):
        if len(choices) == 1:
            return choices.pop()
        if choices:
            break
    raise UsageError(f"the language of {path} is not known", hint="name the file like de.news.txt or mono.de.jsonl.zst")
