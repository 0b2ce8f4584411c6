"""From the sources of a recipe, or the paths of --source, to corpora that are found and ready to be read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Generic, TypeVar

from alma_cli.core.dataset import Document, SourceReport
from alma_cli.core.languages import LANGUAGES, Direction
from alma_cli.core.recipe import Format, LoadedRecipe, MonoSource, ParallelSource, Recipe, Split, StageName
from alma_cli.data import readers
from alma_cli.data.files import Unreadable, existing_file, plain_name, sha256_of
from alma_cli.data.readers import Pair
from alma_cli.errors import InputError, UsageError

Record = TypeVar("Record", Pair, Document)

_PARALLEL_ENDINGS: dict[str, Format] = {".json": "alma", ".jsonl": "jsonl", ".tsv": "tsv"}
_MONO_ENDINGS: dict[str, Format] = {".json": "jsonl", ".jsonl": "jsonl", ".txt": "text"}
_SPLIT_WORDS: dict[str, Split] = {"train": "train", "valid": "valid", "dev": "valid", "test": "test"}
_SPLIT_IN_NAME = re.compile(r"(?:^|[._-])(train|valid|dev|test)\d*(?=[._-])")
_PAIR_IN_NAME = re.compile(r"(?:^|[._])([a-z]{2})-([a-z]{2})(?=[._]|$)")


@dataclass(frozen=True)
class Corpus(Generic[Record]):
    """One corpus, found and ready to be read."""

    path: str
    files: tuple[Path, ...]
    languages: str
    split: Split
    read: Callable[[], Iterator[Record | Unreadable]]
    how: tuple[str, ...] = ()
    """What decides how the files are read: format, field, configuration."""

    @cached_property
    def sha256(self) -> str:
        """Of the file, or of the hashes of several; empty for a corpus on the hub, which is never whole here."""
        hashes = [sha256_of(path) for path in self.files]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest() if hashes else ""

    def report(self, stage: StageName) -> SourceReport:
        """The corpus's account, with nothing read yet."""
        return SourceReport(self.path, self.sha256, stage, self.split, self.languages)


@dataclass(frozen=True)
class _Wanted:
    """What of the corpora is of use to the recipe."""

    directions: tuple[Direction, ...]

    @property
    def pairs(self) -> list[Direction]:
        """Each pair of languages once, as the direction that the recipe names first."""
        firsts: dict[frozenset[str], Direction] = {}
        for direction in self.directions:
            firsts.setdefault(frozenset((direction.source, direction.target)), direction)
        return list(firsts.values())

    def has(self, pair: Direction) -> bool:
        return pair in self.directions or pair.reverse in self.directions


def parallel_sources(paths: Iterable[Path]) -> tuple[ParallelSource, ...]:
    """The sources of `--source` for stage parallel; everything about them is read from their names."""
    return tuple(ParallelSource(path=str(path.absolute())) for path in paths)


def mono_sources(paths: Iterable[Path], recipe: Recipe) -> tuple[MonoSource, ...]:
    """The sources of `--source` for stage mono. Raises UsageError where neither name nor recipe tells the language."""
    return tuple(MonoSource(path=str(path.absolute()), language=_language_of(path, recipe)) for path in paths)


def parallel_corpora(
    loaded: LoadedRecipe, sources: Sequence[ParallelSource]
) -> tuple[list[Corpus[Pair]], tuple[str, ...]]:
    """The corpora with pairs of the recipe's languages, and a warning for each source that has none.

    Raises InputError for what is not there, UsageError where the format or the languages cannot be known.
    """
    wanted = _Wanted(loaded.recipe.direction_pairs)
    corpora: list[Corpus[Pair]] = []
    warnings: list[str] = []
    for source in sources:
        if source.pair is not None and not wanted.has(Direction.parse(source.pair)):
            found = []
        elif source.format == "hub":
            found = [_hub_pairs(loaded, source)]
        elif (root := loaded.resolve(source.path)).is_dir() and source.format in ("auto", "alma"):
            found = _alma_directory(root, source, wanted)
        else:
            found = [_pair_file(loaded, source, wanted)]
        useful = [corpus for corpus in found if _serves(corpus, wanted)]
        corpora += useful
        if not useful:
            warnings.append(f"{source.path} is not read: its languages are in no direction of the recipe")
    return corpora, tuple(warnings)


def mono_corpora(loaded: LoadedRecipe, sources: Sequence[MonoSource]) -> list[Corpus[Document]]:
    """The corpora of monolingual text. Raises InputError for what is not there, UsageError for an unknown format."""
    return [_mono_corpus(loaded, source) for source in sources]


def _serves(corpus: Corpus[Pair], wanted: _Wanted) -> bool:
    return "-" not in corpus.languages or wanted.has(Direction.parse(corpus.languages))


def _alma_directory(root: Path, source: ParallelSource, wanted: _Wanted) -> list[Corpus[Pair]]:
    pairs = [Direction.parse(source.pair)] if source.pair else wanted.pairs
    splits: tuple[Split, ...] = (source.split,) if source.split else ("test", "valid", "train")
    found = []
    for pair in pairs:
        folders = [root / f"{pair.source}{pair.target}", root / f"{pair.target}{pair.source}", root]
        for split in splits:
            # A test file is for its own direction, so one that the recipe does not have is left alone.
            names = [d for d in (pair, pair.reverse) if split != "test" or d in wanted.directions]
            paths = [folder / f"{split}.{direction}.json" for direction in names for folder in folders]
            found += [_json_pairs(path, "alma", _pair_in(path.name), split) for path in paths if path.is_file()]
    if not found:
        example = root / f"{pairs[0].source}{pairs[0].target}" / f"train.{pairs[0]}.json"
        raise InputError(f"{root} has no file of the ALMA layout for the recipe", hint=f"there is no {example}")
    return found


def _pair_file(loaded: LoadedRecipe, source: ParallelSource, wanted: _Wanted) -> Corpus[Pair]:
    path = loaded.resolve(source.path)
    form = source.format
    if form == "auto":
        form = "lines" if "{lang}" in source.path else _format_by_ending(existing_file(path), _PARALLEL_ENDINGS)
    pair = Direction.parse(source.pair) if source.pair else _pair_in(plain_name(path))
    split = source.split or _split_in(path.name)
    if form == "lines":
        only_pair = wanted.pairs[0] if len(wanted.pairs) == 1 else None
        return _line_pairs(loaded, source.path, pair or only_pair, split)
    if form == "tsv":
        return _tsv_pairs(existing_file(path), pair, split)
    if form in ("alma", "jsonl"):
        return _json_pairs(existing_file(path), form, pair, split)
    raise UsageError(f"format '{form}' of {path} is not one of sentence pairs", hint="alma, jsonl, tsv, lines or hub")


def _line_pairs(loaded: LoadedRecipe, pattern: str, pair: Direction | None, split: Split) -> Corpus[Pair]:
    if "{lang}" not in pattern:
        raise UsageError(f"format 'lines' needs '{{lang}}' in the path '{pattern}'", hint="as in news.{lang}")
    if pair is None:
        raise _unknown_languages(pattern, "news.de-en.{lang}")
    files = [existing_file(loaded.resolve(pattern.replace("{lang}", code))) for code in (pair.source, pair.target)]
    read = partial(readers.read_line_pairs, files[0], files[1], pair)
    return Corpus(str(loaded.resolve(pattern)), tuple(files), str(pair), split, read, ("lines",))


def _tsv_pairs(path: Path, pair: Direction | None, split: Split) -> Corpus[Pair]:
    # Not even a recipe with one pair of languages tells which of them is in the first column.
    if pair is None:
        raise _unknown_languages(str(path), "news.de-en.tsv")
    return Corpus(str(path), (path,), str(pair), split, partial(readers.read_tsv_pairs, path, pair), ("tsv",))


def _unknown_languages(path: str, example: str) -> UsageError:
    return UsageError(f"the languages of {path} are not known", hint=f"name it like {example}, or set its `pair`")


def _json_pairs(path: Path, form: Format, pair: Direction | None, split: Split) -> Corpus[Pair]:
    read = partial(readers.read_json_pairs, path, pair, directed=form == "alma" and split == "test")
    return Corpus(str(path), (path,), str(pair) if pair else "by row", split, read, (form,))


def _hub_pairs(loaded: LoadedRecipe, source: ParallelSource) -> Corpus[Pair]:
    location, files = _hub_location(loaded, source.path)
    pair = Direction.parse(source.pair) if source.pair else None
    split = source.split or "train"
    read = partial(readers.read_hub_pairs, location, source.config, split, pair)
    how = ("hub", source.path, source.config or "")
    return Corpus(location, files, str(pair) if pair else "by row", split, read, how)


def _mono_corpus(loaded: LoadedRecipe, source: MonoSource) -> Corpus[Document]:
    if source.format == "hub":
        location, files = _hub_location(loaded, source.path)
        read = partial(readers.read_hub_documents, location, source.config, source.language, source.field)
        how = ("hub", source.path, source.config or "", source.field)
        return Corpus(location, files, source.language, "train", read, how)
    path = existing_file(loaded.resolve(source.path))
    form = _format_by_ending(path, _MONO_ENDINGS) if source.format == "auto" else source.format
    if form == "text":
        read = partial(readers.read_text_documents, path, source.language)
    elif form == "jsonl":
        read = partial(readers.read_json_documents, path, source.language, source.field)
    else:
        raise UsageError(f"format '{form}' of {path} is not one of monolingual text", hint="text, jsonl or hub")
    return Corpus(str(path), (path,), source.language, "train", read, (form, source.field))


def _hub_location(loaded: LoadedRecipe, path: str) -> tuple[str, tuple[Path, ...]]:
    """A dataset's id on the hub, or a directory of data files here with the files in it."""
    local = loaded.resolve(path)
    if not local.is_dir():
        return path, ()
    return str(local), tuple(sorted(file for file in local.rglob("*") if file.is_file()))


def _format_by_ending(path: Path, endings: dict[str, Format]) -> Format:
    ending = Path(plain_name(path)).suffix
    if ending in endings:
        return endings[ending]
    if endings is _MONO_ENDINGS and ending[1:] in LANGUAGES:
        return "text"
    raise UsageError(f"the ending of {path} does not tell its format", hint=f"{', '.join(endings)}, or set `format`")


def _split_in(name: str) -> Split:
    match = _SPLIT_IN_NAME.search(name)
    return _SPLIT_WORDS[match[1]] if match else "train"


def _pair_in(name: str) -> Direction | None:
    for source, target in _PAIR_IN_NAME.findall(name):
        if source in LANGUAGES and target in LANGUAGES and source != target:
            return Direction(source, target)
    return None


def _language_of(path: Path, recipe: Recipe) -> str:
    named = {part for part in path.name.split(".") if part in LANGUAGES}
    known = {source.language for source in recipe.data.mono.sources} | set(recipe.data.mono.mixture)
    for choices in (named, known):
        if len(choices) == 1:
            return choices.pop()
        if choices:
            break
    raise UsageError(f"the language of {path} is not known", hint="name the file like de.news.txt or mono.de.jsonl.zst")
