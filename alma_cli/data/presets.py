"""The corpora of the ALMA papers by name, and a warning where a test set is among what a model was trained on.

preset:alma-human-parallel   haoranxu/ALMA-Human-Parallel: newstest 2017-2020 and FLORES-200; train and valid
preset:oscar-2301            oscar-corpus/OSCAR-2301: web pages, a folder a language; its terms have to be accepted
preset:flores-200            openlanguagedata/flores_plus: dev is valid, devtest is test; its terms have to be accepted
preset:alma-r-preference     haoranxu/ALMA-R-Preference: sources with the translation that scored highest

Names of data sets, configurations, splits and columns are as their cards and other people's code have them; none of
them was read from the hub itself. facebook/flores is a loading script, which `datasets` no longer runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from alma_cli.core.languages import Direction
from alma_cli.core.recipe import LoadedRecipe, ParallelSource, Split
from alma_cli.data.language_tags import FLORES_NAMES
from alma_cli.data.names import split_in
from alma_cli.data.readers.hub import FLORES, HUB_SPLIT, FloresPairs, HubDocuments, HubPairs, PreferredPairs
from alma_cli.data.readers.shapes import PairShape
from alma_cli.data.records import Reader
from alma_cli.errors import UsageError, nearest

PREFIX = "preset:"
T = TypeVar("T")

_HUMAN_PARALLEL = "haoranxu/ALMA-Human-Parallel"
_PREFERENCE = "haoranxu/ALMA-R-Preference"
_OSCAR = "hf://datasets/oscar-corpus/OSCAR-2301/{}_meta/*.jsonl.zst"

# Languages that ALMA translates from and into English; Icelandic has no validation set.
_ALMA_SPLITS: dict[str, tuple[Split, ...]] = {
    "cs": ("train", "valid"), "de": ("train", "valid"), "is": ("train",), "ru": ("train", "valid"),
    "zh": ("train", "valid"),
}  # fmt: skip
_FLORES_SPLITS: dict[Split | None, tuple[tuple[Split, str], ...]] = {
    None: (("valid", "dev"), ("test", "devtest")),
    "train": (("train", "dev"), ("train", "devtest")),
    "valid": (("valid", "dev"),),
    "test": (("test", "devtest"),),
}

_ALMA_MODEL = re.compile(r"(^|/)ALMA-(?!.*Pretrain)\d+B", re.IGNORECASE)  # stage 1 alone has seen no pairs
_ALMA_PAIRS = re.compile(r"ALMA-Human-Parallel", re.IGNORECASE)
_TRAINED_ON = re.compile(r"flores|sacrebleu:wmt(17|18|19|20)(?=[/-]|$)|newstest20(17|18|19|20)", re.IGNORECASE)


@dataclass(frozen=True)
class Part:
    """One corpus of a preset."""

    path: str
    languages: str
    split: Split
    reader: Reader


def parallel_preset(source: ParallelSource, pairs: Sequence[Direction]) -> list[Part]:
    """The corpora of `preset:NAME` for these pairs of languages, none where it has none of them.

    Raises UsageError with the nearest name for a preset that does not exist.
    """
    make = _known(source.path, _PARALLEL, "sentence pairs")
    return [part for pair in pairs for part in make(pair, source.split)]


def mono_preset(path: str, language: str) -> Part:
    """The corpus of `preset:NAME` in a language. Raises UsageError with the nearest name for an unknown preset."""
    return _known(path, _MONO, "monolingual text")(language)


def known_training_data(loaded: LoadedRecipe, sources: Sequence[ParallelSource] | None = None) -> tuple[str, ...]:
    """A warning for each test set, of the recipe or of `sources`, that ALMA's own training data contains.

    ALMA's pairs are newstest 2017-2020 and FLORES-200 (arXiv 2309.11674, Data). They are in the model if it is one of
    the released ones, or if the recipe trains on them.
    """
    recipe = loaded.recipe
    sources = recipe.data.parallel.sources if sources is None else sources
    trained = next((s.path for s in sources if _ALMA_PAIRS.search(s.path) and s.split != "test"), None)
    if _ALMA_MODEL.search(recipe.model):
        trained = recipe.model
    if trained is None:
        return ()
    return tuple(
        f"{source.path} is KNOWN TRAINING DATA: {trained} has newstest 2017-2020 and FLORES-200 in it, "
        "so scores on this test set say nothing"
        for source in sources
        if _is_tested(source) and _TRAINED_ON.search(_full_path(source))
    )


def _known(path: str, presets: dict[str, T], what: str) -> T:
    name = path.removeprefix(PREFIX)
    if name not in presets:
        raise UsageError(f"there is no preset '{name}' of {what}", hint=nearest(name, presets))
    return presets[name]


def _alma_human_parallel(pair: Direction, split: Split | None) -> list[Part]:
    direction = _into_english(pair)
    if direction is None:
        return []
    splits = [known for known in _ALMA_SPLITS[direction.source] if split in (None, known)]
    shape = PairShape(direction)
    path = f"{_HUMAN_PARALLEL}/{direction}"
    return [
        Part(path, str(direction), known, HubPairs(_HUMAN_PARALLEL, str(direction), HUB_SPLIT[known], shape))
        for known in splits
    ]


def _flores(pair: Direction, split: Split | None) -> list[Part]:
    if not {pair.source, pair.target} <= FLORES_NAMES.keys():
        return []
    return [
        Part(f"{FLORES}/{name}", str(pair), known, FloresPairs(pair, name)) for known, name in _FLORES_SPLITS[split]
    ]


def _alma_r_preference(pair: Direction, split: Split | None) -> list[Part]:
    direction = _into_english(pair)
    if direction is None:
        return []
    reader = PreferredPairs(_PREFERENCE, str(direction), direction)
    return [Part(f"{_PREFERENCE}/{direction}", str(direction), split or "train", reader)]


def _oscar(language: str) -> Part:
    path = _OSCAR.format(language)
    return Part(path, language, "train", HubDocuments(path, None, language, "content"))


_PARALLEL: dict[str, Callable[[Direction, Split | None], list[Part]]] = {
    "alma-human-parallel": _alma_human_parallel,
    "flores-200": _flores,
    "alma-r-preference": _alma_r_preference,
}
_MONO: dict[str, Callable[[str], Part]] = {"oscar-2301": _oscar}


def _into_english(pair: Direction) -> Direction | None:
    """The pair as ALMA's data sets name it, None where it is none of theirs."""
    direction = pair.reverse if pair.source == "en" else pair
    return direction if direction.target == "en" and direction.source in _ALMA_SPLITS else None


def _is_tested(source: ParallelSource) -> bool:
    if source.split or not _is_test_collection(source):
        return (source.split or split_in(source.path.rpartition("/")[2])) == "test"
    return True


def _is_test_collection(source: ParallelSource) -> bool:
    return source.format == "sacrebleu" or source.path.startswith(("sacrebleu:", f"{PREFIX}flores"))


def _full_path(source: ParallelSource) -> str:
    is_short = source.format == "sacrebleu" and not source.path.startswith("sacrebleu:")
    return f"sacrebleu:{source.path}" if is_short else source.path
