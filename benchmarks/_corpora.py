"""Corpora of any size with known faults: German-English sentence pairs, and German documents.

Sentences are recombined, so that there are about as many different lines as lines: two or three sentence pairs become
one, runs of sentences from several documents a new document. They come from real corpora, or are put together from
words of our own. The same seed gives the same bytes.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from _words import sentence

SEED = 42

PAIR_FAULTS = {
    "duplicate": 0.05,
    "near duplicate": 0.02,  # a word or two differ
    "wrong language": 0.02,  # half of them with the sides swapped, half with a third language as the target
    "copied source": 0.01,
    "length ratio": 0.01,  # several sentences beside two words
    "number mismatch": 0.01,
    "repetition": 0.005,  # a few words four to eight times
    "empty": 0.005,  # one side, or both
}
DOCUMENT_FAULTS = {
    "duplicate": 0.05,
    "near duplicate": 0.02,  # one word in fifty differs
    "wrong language": 0.02,
    "repetition": 0.005,  # a few words 60 times
    "empty": 0.005,
}
CLEAN = "clean"

Pair = tuple[str, str]

_LONGEST_PART = 110  # characters of a sentence that is joined with others
_MOST_BASE_BYTES = 150_000_000  # of the documents that runs are taken from
_REMEMBERED = 20_000  # lines that duplicates are taken from
_NUMBER = re.compile(r"(?<!\d)\d+(?!\d)")
_SENTENCE_END = re.compile(r"(?<=[.!?]) (?=[A-ZÄÖÜ])")


@dataclass(frozen=True)
class Material:
    """Text that corpora are made of."""

    pairs: Sequence[Pair]
    other_language: Sequence[str]  # sentences
    documents: Sequence[Sequence[str]]  # German, as sentences
    other_documents: Sequence[Sequence[str]]
    origin: str


def material(data: Path | None) -> Material:
    """The text to make corpora of: below a directory of real corpora, or put together from words."""
    return _real_material(data) if data else _made_up_material()


def write_pairs(text: Material, count: int, sources: Path, targets: Path) -> list[str]:
    """Write so many pairs as two line-aligned files; the planted fault of each, or `clean`."""
    maker = _PairMaker(text)
    kinds: list[str] = []
    with sources.open("w", encoding="utf-8") as source_file, targets.open("w", encoding="utf-8") as target_file:
        for kind, (source, target) in islice(maker.pairs(), count):
            source_file.write(source + "\n")
            target_file.write(target + "\n")
            kinds.append(kind)
    return kinds


def write_documents(text: Material, size: int, path: Path) -> Counter[str]:
    """Write about so many bytes of German text, a document a line; documents by planted fault, or `clean`."""
    numbers = random.Random(SEED)
    remembered: deque[str] = deque(maxlen=_REMEMBERED)
    kinds: Counter[str] = Counter()
    written = 0
    with path.open("w", encoding="utf-8") as file:
        while written < size:
            kind = _kind(DOCUMENT_FAULTS, numbers) if remembered else CLEAN
            document = _document(kind, text, remembered, numbers)
            if kind == CLEAN and _is_remembered(len(remembered), numbers):
                remembered.append(document)
            file.write(document + "\n")
            written += len(document.encode()) + 1
            kinds[kind] += 1
    return kinds


def _is_remembered(count: int, numbers: random.Random) -> bool:
    """Whether the next line is one to copy later: few are, so that copies come after many other lines, too."""
    return count < 100 or numbers.random() < 1 / 30


def _kind(faults: dict[str, float], numbers: random.Random) -> str:
    place = numbers.random()
    for kind, share in faults.items():
        if place < share:
            return kind
        place -= share
    return CLEAN


class _PairMaker:
    """Pairs without an end."""

    def __init__(self, text: Material) -> None:
        self.numbers = random.Random(SEED)
        self.other_language = text.other_language
        self.short = [pair for pair in text.pairs if max(map(len, pair)) <= _LONGEST_PART]
        self.alone = iter(self.numbers.sample(text.pairs, len(text.pairs)))
        self.remembered: deque[Pair] = deque(maxlen=_REMEMBERED)

    def pairs(self) -> Iterator[tuple[str, Pair]]:
        """Each with its planted fault, or `clean`."""
        while True:
            kind = _kind(PAIR_FAULTS, self.numbers) if self.remembered else CLEAN
            pair = self._faulty(kind) if kind != CLEAN else self._new()
            if kind == CLEAN and _is_remembered(len(self.remembered), self.numbers):
                self.remembered.append(pair)
            yield kind, pair

    def _new(self) -> Pair:
        """Each pair as it is, one in ten of what comes; the others are two or three short ones in a row."""
        if self.numbers.random() < 0.1 and (pair := next(self.alone, None)):
            return pair
        parts = self.numbers.choices(self.short, k=2 if self.numbers.random() < 0.8 else 3)
        return " ".join(source for source, _ in parts), " ".join(target for _, target in parts)

    def _new_with_number(self) -> Pair:
        while True:
            source, target = self._new()
            if (found := _NUMBER.findall(source)) and found == _NUMBER.findall(target):
                return source, target

    def _faulty(self, kind: str) -> Pair:
        numbers = self.numbers
        if kind in ("duplicate", "near duplicate"):
            source, target = self.remembered[numbers.randrange(len(self.remembered))]
            return (source, target) if kind == "duplicate" else (_with_other_words(source, numbers, 1), target)
        if kind == "number mismatch":
            source, target = self._new_with_number()
            wrong = numbers.choice(_NUMBER.findall(target))
            return source, re.sub(rf"(?<!\d){wrong}(?!\d)", str(int(wrong) + 11 * numbers.randint(1, 9)), target)
        source, target = self._new()
        if kind == "wrong language":
            return (target, source) if numbers.random() < 0.5 else (source, numbers.choice(self.other_language))
        if kind == "copied source":
            return source, source
        if kind == "length ratio":
            return f"{source} {self._new()[0]}", " ".join(target.split()[:2])
        if kind == "repetition":
            return source, _repeated(target, numbers)
        assert kind == "empty", f"{kind=}"
        side = numbers.randrange(3)
        return "" if side != 1 else source, "" if side != 2 else target


def _document(kind: str, text: Material, remembered: Sequence[str], numbers: random.Random) -> str:
    if kind == "empty":
        return ""
    if kind == "duplicate":
        return remembered[numbers.randrange(len(remembered))]
    if kind == "near duplicate":
        document = remembered[numbers.randrange(len(remembered))]
        return _with_other_words(document, numbers, max(1, document.count(" ") // 50))
    document = _new_document(text.other_documents if kind == "wrong language" else text.documents, numbers)
    return " ".join([document[:200], *[_few_words(document, numbers)] * 60]) if kind == "repetition" else document


def _new_document(documents: Sequence[Sequence[str]], numbers: random.Random) -> str:
    """Runs of three to eight sentences from documents drawn at random, two runs or up to a dozen."""
    parts: list[str] = []
    for _ in range(min(12, 2 + int(numbers.expovariate(0.5)))):
        document = documents[numbers.randrange(len(documents))]
        start = numbers.randrange(max(1, len(document) - 3))
        parts += document[start : start + numbers.randint(3, 8)]
    return " ".join(parts)


def _with_other_words(text: str, numbers: random.Random, count: int) -> str:
    words = text.split(" ")
    for _ in range(count):
        place = numbers.randrange(len(words))
        words[place] = numbers.choice(words)
    return " ".join(words)


def _few_words(text: str, numbers: random.Random) -> str:
    words = text.split()
    start = numbers.randrange(max(1, len(words) - 4))
    return " ".join(words[start : start + 4])


def _repeated(text: str, numbers: random.Random) -> str:
    few = _few_words(text, numbers)
    return " ".join([text[: text.find(few)].strip(), *[few] * numbers.randint(4, 8)]).strip()


def _real_material(data: Path) -> Material:
    """From `parallel/*.de-en.jsonl.gz` and `mono/<language>.*.jsonl.zst` below a directory."""
    pairs = [
        (" ".join(row["de"].split()), " ".join(row["en"].split()))
        for path in sorted((data / "parallel").glob("*.de-en.jsonl.gz"))
        for row in (json.loads(line)["translation"] for line in gzip.decompress(path.read_bytes()).splitlines())
    ]
    pairs = [pair for pair in dict.fromkeys(pairs) if all(pair)]
    german = _documents_of(sorted((data / "mono").glob("de.*.jsonl.zst")), _MOST_BASE_BYTES)
    foreign = _documents_of(sorted((data / "mono").glob("[!d]*.jsonl.zst")), _MOST_BASE_BYTES // 10)
    czech = _documents_of(sorted((data / "mono").glob("cs.*.jsonl.zst")), _MOST_BASE_BYTES // 20)
    sentences = [sentence for document in czech for sentence in document if 30 <= len(sentence) <= 200]
    return Material(pairs, sentences, german, foreign, f"recombined from real text ({len(pairs):,} sentence pairs)")


def _documents_of(paths: Sequence[Path], most_bytes: int) -> list[list[str]]:
    """Documents as sentences, so many bytes from all of the files together."""
    import zstandard

    documents: list[list[str]] = []
    for path in paths:
        taken = 0
        with path.open("rb") as compressed:
            lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(compressed), encoding="utf-8")
            for line in lines:
                paragraphs = json.loads(line)["text"].split("\n")
                sentences = [one for text in paragraphs for one in _SENTENCE_END.split(text.strip()) if one]
                # A volume of records is many documents.
                documents += [sentences[start : start + 50] for start in range(0, len(sentences), 50)]
                taken += sum(map(len, sentences))
                if taken > most_bytes // len(paths):
                    break
    return documents


def _made_up_material() -> Material:
    numbers = random.Random(SEED)
    german_english = [(german, english) for german, english in (sentence(numbers, "de", "en") for _ in range(200_000))]
    french = [sentence(numbers, "fr")[0] for _ in range(20_000)]
    german = [pair[0] for pair in german_english]
    documents = [german[start : start + 50] for start in range(0, len(german), 50)]
    foreign = [french[start : start + 50] for start in range(0, len(french), 50)]
    return Material(german_english, french, documents, foreign, "put together from a few hundred words")
