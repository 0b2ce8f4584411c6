"""Test sentences hidden in training data as they get there: copied, changed in case and punctuation, embedded."""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alma_cli.core.dataset import Document
from alma_cli.core.languages import Direction
from alma_cli.core.text.characters import Characters
from alma_cli.data.decontamination import HeldOutRecord, HeldOutText
from alma_cli.data.records import Pair, columns_of, languages_of


def alma_pairs(folder: Path, split: str) -> list[HeldOutRecord]:
    """The pairs of one split of ALMA's human-written data, each with the name of its file and its number there."""
    found = []
    for path in sorted(folder.glob(f"alma/human/*/{split}.*.json")):
        direction = Direction.parse(path.name.split(".")[1])
        text = path.read_text(encoding="utf-8")
        rows = json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]
        for place, row in enumerate(rows, 1):
            pair = row["translation"]
            record = Pair(direction, pair[direction.source], pair[direction.target])
            found.append(HeldOutRecord(path.name, place, record))
    return found


def copied(text: str, chance: random.Random) -> str:
    """As it is, but perhaps with its accents as characters of their own."""
    return unicodedata.normalize(chance.choice(("NFC", "NFD")), text)


def recased(text: str, chance: random.Random) -> str:
    """All in capitals, all small, titled, swapped or at random."""
    way: Callable[[str], str] = chance.choice((str.upper, str.lower, str.title, str.swapcase, _any_case(chance)))
    return way(text)


def repunctuated(text: str, chance: random.Random) -> str:
    """With punctuation removed, added and replaced, and other spaces and widths; several of these at once."""
    for index in sorted(chance.sample(range(len(_CHANGES)), chance.randint(1, 4))):
        text = _CHANGES[index](text, chance)
    return text


def embedded(pair: Pair, others: Sequence[Pair], chance: random.Random) -> Pair:
    """Between the sentences of another pair of the same languages."""
    while (other := chance.choice(others)).direction not in (pair.direction, pair.direction.reverse):
        pass
    text = {other.direction.source: other.source, other.direction.target: other.target}
    source, target = text[pair.direction.source], text[pair.direction.target]
    return Pair(pair.direction, f"{source} {pair.source}\n{source}", f"{target}\n{pair.target} {target}")


def side_of(pair: Pair) -> Document:
    """The pair's source alone."""
    return Document(pair.direction.source, pair.source)


def overlaps(held_out: HeldOutText, records: Sequence[Pair] | Sequence[Document]) -> npt.NDArray[np.int64]:
    """As `HeldOutText.overlaps`, a few thousand records at a time."""
    found = []
    for first in range(0, len(records), 1000):
        some = records[first : first + 1000]
        languages = zip(*(languages_of(record) for record in some), strict=True)
        columns = [Characters.of(texts) for texts in columns_of(some)]
        found.append(held_out.overlaps(list(zip(languages, columns, strict=True))))
    return np.concatenate(found)


def nearly_same(text: str, others: Sequence[str], chance: random.Random) -> str:
    """An edited copy: words replaced, left out or added, a clause appended, a number changed, case or punctuation."""
    words = list(text) if " " not in text else text.split(" ")
    strange = chance.choice(others)
    strange_words = list(strange) if " " not in strange else strange.split(" ")
    space = "" if " " not in text else " "
    place = chance.randrange(len(words))
    way = chance.randrange(6)
    if way == 0:
        for place in chance.sample(range(len(words)), min(len(words), chance.randint(1, 3))):
            words[place] = chance.choice(strange_words)
    elif way == 1:
        del words[place : place + chance.randint(1, 2)]
    elif way == 2:
        words[place:place] = strange_words[: chance.randint(1, 3)]
    elif way == 3:
        words += strange_words[: chance.randint(1, 6)]
    elif way == 4:
        return re.sub(r"\d", lambda found: str(chance.randrange(10)), text) + " 7"
    else:
        return repunctuated(recased(text, chance), chance)
    return space.join(words)


def exact_similarity(one: str, other: str) -> float:
    """The Jaccard similarity of the sets of character 5-grams of the folded texts."""
    folded = Characters.of([one, other]).folded
    one, other = folded.text(0), folded.text(1)
    grams, other_grams = ({text[n : n + 5] for n in range(len(text) - 4)} for text in (one, other))
    return len(grams & other_grams) / len(grams | other_grams) if grams or other_grams else float(one == other)


def _any_case(chance: random.Random) -> Callable[[str], str]:
    return lambda text: "".join(chance.choice((char.upper(), char.lower())) for char in text)


def _without_punctuation(text: str, chance: random.Random) -> str:
    return "".join(char for char in text if unicodedata.category(char)[0] != "P")


def _spaces_for_punctuation(text: str, chance: random.Random) -> str:
    return "".join(" " if unicodedata.category(char)[0] == "P" and char not in "'’" else char for char in text)


def _other_quotes(text: str, chance: random.Random) -> str:
    return re.sub('["„“”«»「」]', lambda found: chance.choice("\"„“”«»'"), text)


def _in_quotes(text: str, chance: random.Random) -> str:
    left, right = chance.choice((("„", "“"), ("«", "»"), ("'", "'"), ("(", ")"), ("「", "」"), ("- ", "")))
    return f"{left}{text}{right}"


def _more_punctuation(text: str, chance: random.Random) -> str:
    return re.sub(" ", lambda found: chance.choice((" ",) * 8 + (", ", " – ", "; ", " - ", " … ", ": ")), text)


def _dashes_for_spaces(text: str, chance: random.Random) -> str:
    return re.sub(" ", lambda found: chance.choice((" ",) * 5 + ("-", "–", "—", "/")), text)


def _other_spaces(text: str, chance: random.Random) -> str:
    return re.sub(" ", lambda found: chance.choice((" ", "  ", "\u00a0", "\t", "\u3000", " \u200b")), text)


def _full_width(text: str, chance: random.Random) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" else char for char in text)


def _another_end(text: str, chance: random.Random) -> str:
    return text.rstrip(".!?。！？…") + chance.choice(("", ".", "!", "?!", "...", "。", " …"))


_CHANGES = (
    _without_punctuation,
    _spaces_for_punctuation,
    _other_quotes,
    _in_quotes,
    _more_punctuation,
    _dashes_for_spaces,
    _other_spaces,
    _full_width,
    _another_end,
)
VARIANTS = {"copied": copied, "re-cased": recased, "re-punctuated": repunctuated}
