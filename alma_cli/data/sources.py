"""From the sources of a recipe, or the paths of --source, to corpora that are found and ready to be read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from alma_cli.core import sacrebleu_sets
from alma_cli.core.dataset import SourceReport
from alma_cli.core.languages import Direction
from alma_cli.core.recipe import Format, LoadedRecipe, MonoSource, ParallelSource, Recipe, Split, StageName
from alma_cli.core.sacrebleu_sets import SACREBLEU
from alma_cli.data.files import existing_file, is_folder, plain_name, sha256_of
from alma_cli.data.names import MONO_ENDINGS, PARALLEL_ENDINGS, format_by_ending, language_in, pair_in, split_in
from alma_cli.data.paths import aligned_files, matching_files
from alma_cli.data.presets import PREFIX, mono_preset, parallel_preset
from alma_cli.data.readers.hub import HUB_SPLIT, HubDocuments, HubPairs
from alma_cli.data.readers.json_values import JsonDocuments, JsonPairs
from alma_cli.data.readers.lines import LinePairs, TextDocuments
from alma_cli.data.readers.parquet import ParquetDocuments, ParquetPairs
from alma_cli.data.readers.po import PoPairs, translated_language
from alma_cli.data.readers.shapes import PairShape
from alma_cli.data.readers.tables import CsvPairs, TsvPairs
from alma_cli.data.readers.tmx import TmxPairs
from alma_cli.data.readers.xliff import XliffPairs
from alma_cli.data.records import Reader
from alma_cli.errors import InputError, UsageError

BY_ROW = "by row"
"""Stands for a corpus's languages where each of its records has its own."""

_NAMED = (PREFIX, SACREBLEU)
_OSCAR_FIELD = "content"


@dataclass(frozen=True)
class Corpus:
    """One corpus, found and ready to be read."""

    path: str
    files: tuple[Path, ...]
    languages: str
    split: Split
    reader: Reader
    how: tuple[str, ...] = ()
    """What decides how the files are read: format, fields, configuration."""

    @cached_property
    def sha256(self) -> str:
        """Of the file, or of the hashes of several; empty for a corpus on the hub, which is never whole here."""
        hashes = [sha256_of(path) for path in self.files]
        return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest() if hashes else ""

    @property
    def endless(self) -> bool:
        """Whether it is somewhere else, and nobody here knows how much there is of it."""
        return not self.files

    def report(self, stage: StageName) -> SourceReport:
        """The corpus's account, with nothing read yet."""
        return SourceReport(self.path, self.sha256, stage, self.split, self.languages)


@dataclass(frozen=True)
class _Wanted:
    """What of the corpora is of use to the recipe."""

    directions: tuple[Direction, ...]

    @property
    def pairs(self) -> tuple[Direction, ...]:
        """Each pair of languages once, as the direction that the recipe names first."""
        firsts: dict[frozenset[str], Direction] = {}
        for direction in self.directions:
            firsts.setdefault(frozenset((direction.source, direction.target)), direction)
        return tuple(firsts.values())

    def has(self, pair: Direction) -> bool:
        return pair in self.directions or pair.reverse in self.directions

    def pairs_of(self, source: ParallelSource) -> tuple[Direction, ...]:
        """The pair that the source is said to have, or all."""
        return (Direction.parse(source.pair),) if source.pair else self.pairs


def parallel_sources(paths: Iterable[Path]) -> tuple[ParallelSource, ...]:
    """The sources of `--source` for stage parallel; everything about them is read from their names."""
    return tuple(ParallelSource(path=_as_given(path)) for path in paths)


def mono_sources(paths: Iterable[Path], recipe: Recipe) -> tuple[MonoSource, ...]:
    """The sources of `--source` for stage mono. Raises UsageError where neither name nor recipe tells the language."""
    return tuple(MonoSource(path=_as_given(path), language=language_in(path, recipe)) for path in paths)


def parallel_corpora(loaded: LoadedRecipe, sources: Sequence[ParallelSource]) -> tuple[list[Corpus], tuple[str, ...]]:
    """The corpora with pairs of the recipe's languages, and a warning for each source that has none.

    Raises InputError for what is not there, UsageError where the format or the languages cannot be known, MachineError
    for a test set of sacreBLEU's that is neither here nor to be downloaded.
    """
    wanted = _Wanted(loaded.recipe.direction_pairs)
    corpora: list[Corpus] = []
    warnings: list[str] = []
    for source in sources:
        is_other = source.pair is not None and not wanted.has(Direction.parse(source.pair))
        found = [] if is_other else _pair_corpora(loaded, source, wanted)
        useful = [corpus for corpus in found if "-" not in corpus.languages or _serves(corpus, wanted)]
        corpora += useful
        if not useful:
            warnings.append(f"{source.path} is not read: its languages are in no direction of the recipe")
    return corpora, tuple(warnings)


def corpus_of_pairs(path: Path, direction: Direction) -> Corpus:
    """One file with pairs in these languages; of a file that does not tell their order, in the direction's.

    Raises InputError for what is not there, UsageError for a format that is not one of sentence pairs.
    """
    named = pair_in(plain_name(path))
    is_marked = plain_name(path).endswith((".jsonl", ".json", ".parquet"))  # these name their texts
    pair = named if named in (direction, direction.reverse) else None if is_marked else direction
    source = ParallelSource(path=str(path), pair=str(pair) if pair else None)
    return _pair_file(existing_file(path), source, _Wanted((direction,)))


def mono_corpora(loaded: LoadedRecipe, sources: Sequence[MonoSource]) -> list[Corpus]:
    """The corpora of monolingual text. Raises InputError for what is not there, UsageError for an unknown format."""
    return [corpus for source in sources for corpus in _document_corpora(loaded, source)]


def _serves(corpus: Corpus, wanted: _Wanted) -> bool:
    return wanted.has(Direction.parse(corpus.languages))


def _pair_corpora(loaded: LoadedRecipe, source: ParallelSource, wanted: _Wanted) -> list[Corpus]:
    if source.path.startswith(PREFIX):
        parts = parallel_preset(source, wanted.pairs_of(source))
        return [Corpus(p.path, (), p.languages, p.split, p.reader, ("preset", source.path, p.path)) for p in parts]
    if source.format == "sacrebleu" or source.path.startswith(SACREBLEU):
        return list(_test_sets(source, wanted))
    if source.format == "hub":
        return [_hub_pairs(loaded, source)]
    path = loaded.resolve(source.path)
    if "{lang}" in source.path or source.format == "lines":
        return list(_aligned_lines(path, source, wanted))
    if source.format in ("auto", "alma") and is_folder(path):
        return _alma_folder(path, source, wanted)
    return [_pair_file(file, source, wanted) for file in matching_files(path)]


def _test_sets(source: ParallelSource, wanted: _Wanted) -> Iterator[Corpus]:
    """wmt19/de-en, or wmt19 with each of the recipe's directions that it has."""
    name = source.path.removeprefix(SACREBLEU)
    split = source.split or "test"
    last = name.rpartition("/")
    directions: tuple[Direction, ...]
    if direction_named := _direction_or_none(last[2]):
        name, directions = last[0], (direction_named,)
    else:
        known = sacrebleu_sets.directions_of(name)
        chosen = (Direction.parse(source.pair),) if source.pair else wanted.directions
        directions = tuple(direction for direction in chosen if str(direction) in known)
    for direction in directions:
        if wanted.has(direction):
            source_file, (reference, *_) = sacrebleu_sets.files_of(name, direction)
            files = (source_file, reference)
            reader = LinePairs(*files, direction, directed=split == "test")
            yield Corpus(f"{SACREBLEU}{name}/{direction}", files, str(direction), split, reader, ("sacrebleu", name))


def _alma_folder(root: Path, source: ParallelSource, wanted: _Wanted) -> list[Corpus]:
    pairs = wanted.pairs_of(source)
    splits: tuple[Split, ...] = (source.split,) if source.split else ("test", "valid", "train")
    found = []
    for pair in pairs:
        names = (f"{pair.source}{pair.target}", f"{pair.target}{pair.source}")
        folders = [folder for folder in (*(root / name for name in names), root) if is_folder(folder)]
        for split in splits:
            # A test file is for its own direction, so one that the recipe does not have is left alone.
            ways = [d for d in (pair, pair.reverse) if split != "test" or d in wanted.directions]
            paths = [folder / f"{split}.{direction}.json" for direction in ways for folder in folders]
            found += [_json_pairs(path, "alma", pair_in(path.name), split) for path in paths if path.is_file()]
    if not found:
        example = root / f"{pairs[0].source}{pairs[0].target}" / f"train.{pairs[0]}.json"
        raise InputError(f"{root} has no file of the ALMA layout for the recipe", hint=f"there is no {example}")
    return found


def _aligned_lines(path: Path, source: ParallelSource, wanted: _Wanted) -> Iterator[Corpus]:
    if "{lang}" not in source.path:
        raise UsageError(f"format 'lines' needs '{{lang}}' in the path '{source.path}'", hint="as in news.{lang}")
    only_pair = wanted.pairs[0] if len(wanted.pairs) == 1 else None
    pair = _pair_named(source, path) or only_pair
    if pair is None:
        raise _unknown_languages(path, "news.de-en.{lang}")
    split = source.split or split_in(path.name)
    couples = aligned_files(path, pair)
    for files in couples:
        name = str(path if len(couples) == 1 else files[0])
        yield Corpus(name, files, str(pair), split, LinePairs(*files, pair), ("lines",))


def _pair_file(path: Path, source: ParallelSource, wanted: _Wanted) -> Corpus:
    form = format_by_ending(path, PARALLEL_ENDINGS) if source.format == "auto" else source.format
    pair = _pair_named(source, path)
    split = source.split or split_in(path.name)
    fields = source.fields
    if form in ("alma", "jsonl", "parquet") and (pair or not fields):
        return _json_pairs(path, form, pair, split, fields)
    if form in ("tmx", "xliff"):
        return _marked_up_pairs(path, form, pair, split, wanted)
    if form == "po":
        return _catalogue(path, pair, split)
    if form not in ("tsv", "csv", "alma", "jsonl", "parquet"):
        formats = ", ".join(dict.fromkeys(PARALLEL_ENDINGS.values()))
        raise UsageError(f"format '{form}' of {path} is not one of sentence pairs", hint=f"{formats}, lines or hub")
    # Not even a recipe with one pair of languages tells which of them is in the first column.
    if pair is None:
        raise _unknown_languages(path, "news.de-en" + path.name.removeprefix(Path(plain_name(path)).stem))
    reader = (TsvPairs if form == "tsv" else CsvPairs).of(path, pair, fields)
    return Corpus(str(path), (path,), str(pair), split, reader, (form, *(fields or ())))


def _pair_named(source: ParallelSource, path: Path) -> Direction | None:
    return Direction.parse(source.pair) if source.pair else pair_in(plain_name(path))


def _unknown_languages(path: Path, example: str) -> UsageError:
    return UsageError(f"the languages of {path} are not known", hint=f"name it like {example}, or set its `pair`")


def _json_pairs(
    path: Path, form: Format, pair: Direction | None, split: Split, fields: tuple[str, str] | None = None
) -> Corpus:
    shape = PairShape(pair, fields, directed=form == "alma" and split == "test")
    reader = ParquetPairs(path, shape) if form == "parquet" else JsonPairs(path, shape)
    return Corpus(str(path), (path,), str(pair) if pair else BY_ROW, split, reader, (form, *(fields or ())))


def _marked_up_pairs(path: Path, form: Format, pair: Direction | None, split: Split, wanted: _Wanted) -> Corpus:
    directions = (pair,) if pair else wanted.pairs
    reader = TmxPairs(path, directions) if form == "tmx" else XliffPairs(path, directions, pair)
    how = (form, *map(str, directions))
    return Corpus(str(path), (path,), str(pair) if pair else BY_ROW, split, reader, how)


def _catalogue(path: Path, pair: Direction | None, split: Split) -> Corpus:
    translated = translated_language(path)
    if pair is None:
        if translated is None or translated == "en":
            raise _unknown_languages(path, "de.po")
        pair = Direction("en", translated)  # in whose catalogues are the messages not in English?
    elif translated == pair.source:
        pair = pair.reverse
    return Corpus(str(path), (path,), str(pair), split, PoPairs.of(path, pair), ("po",))


def _hub_pairs(loaded: LoadedRecipe, source: ParallelSource) -> Corpus:
    location, files = _hub_location(loaded, source.path)
    pair = Direction.parse(source.pair) if source.pair else None
    if source.fields and pair is None:
        raise UsageError(f"the languages of data set {source.path} are not known", hint="set its `pair`")
    split = source.split or "train"
    # The published test sets are one configuration a direction.
    shape = PairShape(pair, source.fields, directed=split == "test" and pair is not None)
    reader = HubPairs(location, source.config, HUB_SPLIT[split], shape)
    how = ("hub", source.path, source.config or "", *(source.fields or ()))
    return Corpus(location, files, str(pair) if pair else BY_ROW, split, reader, how)


def _document_corpora(loaded: LoadedRecipe, source: MonoSource) -> list[Corpus]:
    if source.path.startswith(PREFIX):
        part = mono_preset(source.path, source.language)
        return [Corpus(part.path, (), part.languages, part.split, part.reader, ("preset", source.path))]
    if source.format == "hub":
        location, files = _hub_location(loaded, source.path)
        hub_reader = HubDocuments(location, source.config, source.language, source.field)
        how = ("hub", source.path, source.config or "", source.field)
        return [Corpus(location, files, source.language, "train", hub_reader, how)]
    return [_document_file(file, source) for file in matching_files(loaded.resolve(source.path))]


def _document_file(path: Path, source: MonoSource) -> Corpus:
    form = format_by_ending(path, MONO_ENDINGS) if source.format == "auto" else source.format
    field, language = source.field, source.language
    if form == "oscar" and "field" not in source.model_fields_set:
        field = _OSCAR_FIELD
    reader: Reader
    if form == "text":
        reader = TextDocuments(path, language)
    elif form in ("jsonl", "oscar"):
        reader = JsonDocuments(path, language, field)
    elif form == "parquet":
        reader = ParquetDocuments(path, language, field)
    else:
        hint = "text, jsonl, oscar, parquet or hub"
        raise UsageError(f"format '{form}' of {path} is not one of monolingual text", hint=hint)
    return Corpus(str(path), (path,), language, "train", reader, (form, field))


def _hub_location(loaded: LoadedRecipe, path: str) -> tuple[str, tuple[Path, ...]]:
    """A dataset's id on the hub, or a directory of data files here with the files in it."""
    local = loaded.resolve(path)
    if "://" in path or not is_folder(local):
        return path, ()
    return str(local), tuple(sorted(file for file in local.rglob("*") if file.is_file()))


def _direction_or_none(text: str) -> Direction | None:
    parts = text.split("-")
    return Direction.parse(text) if len(parts) == 2 and all(len(part) == 2 for part in parts) else None


def _as_given(path: Path) -> str:
    return str(path) if str(path).startswith(_NAMED) else str(path.absolute())
