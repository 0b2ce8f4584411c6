"""What cleaning does to good text, by reason, and how well it tells languages apart; with what time it takes.

    python benchmarks/cleaning_quality.py SHARED/data                     # the tables
    python benchmarks/cleaning_quality.py SHARED/data --show numbers      # and the pairs that a reason takes

Good text is human-translated: whatever is taken of it is lost, unless it is broken after all (as some of newstest is).
The language step is asked about every text of the six languages once as what it is, and once as each of the others.
Times are of one process, in seconds of its own processor time.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import zstandard

from alma_cli.core.dataset import Document
from alma_cli.core.languages import Direction
from alma_cli.core.recipe import Filters, PairFilters
from alma_cli.core.text.characters import Characters
from alma_cli.core.text.language import other_languages
from alma_cli.data.cleaning import Cleaner
from alma_cli.data.records import Pair

LANGUAGES = ("cs", "de", "is", "ru", "zh")
RECORDS, CHARACTERS = 1000, 2**18  # in a block, as in `alma prepare`
DOCUMENT_BYTES = 8_000_000  # of each corpus
SENTENCES, LETTERS = 2000, 20  # of a language for the language step; shorter ones are not judged but for their script

Rows = list[tuple[str, str]]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path, help="the folder with alma/, parallel/ and mono/")
    parser.add_argument("--show", metavar="REASON", help="print the pairs and documents that it takes")
    arguments = parser.parse_args()
    corpora = dict(pair_corpora(arguments.data))
    pairs_table(corpora, arguments.show)
    documents_table(sorted((arguments.data / "mono").glob("*.jsonl.zst")), arguments.show)
    languages_table(corpora)


def pair_corpora(data: Path) -> Iterator[tuple[str, Rows]]:
    """The corpora of human-translated pairs, each with its texts and their translations into English."""
    for language in LANGUAGES:
        text = (data / f"alma/human/{language}en/train.{language}-en.json").read_text(encoding="utf-8")
        rows = json.loads(text) if text.lstrip().startswith("[") else map(json.loads, text.splitlines())
        yield f"alma.{language}", both_sides(rows, language)
    for name in ("newstest-not-in-alma", "multi30k.train", "gnome-user-docs"):
        for language in LANGUAGES:
            path = data / f"parallel/{name}.{language}-en.jsonl.gz"
            if path.exists():
                with gzip.open(path, "rt", encoding="utf-8") as file:
                    yield f"{name.split('-')[0]}.{language}", both_sides(map(json.loads, file), language)


def both_sides(rows: Iterable[dict[str, dict[str, str]]], language: str) -> Rows:
    """The texts of ALMA's JSON."""
    return [(row["translation"][language], row["translation"]["en"]) for row in rows]


def pairs_table(corpora: dict[str, Rows], shown: str | None) -> None:
    """What is lost of each corpus of pairs."""
    clean = Cleaner(PairFilters(), "train")
    print("| pairs | of | pairs/s | lost | by reason |\n| --- | ---: | ---: | ---: | --- |")
    everything: Counter[str | None] = Counter()
    for name, rows in corpora.items():
        direction = Direction(name.rpartition(".")[2], "en")
        pairs = [Pair(direction, source, target) for source, target in rows]
        clean(pairs[:RECORDS])  # loads the language model
        start = time.process_time()
        reasons = [
            reason
            for first in range(0, len(pairs), RECORDS)
            for reason in clean(pairs[first : first + RECORDS]).reasons
        ]
        print(row_of(name, reasons, f"{len(pairs) / (time.process_time() - start):,.0f}"))
        everything.update(reasons)
        for pair, reason in zip(pairs, reasons, strict=True):
            if shown and reason == shown:
                print(f"    {pair.source}\n    {pair.target}\n")
    print(row_of("all", list(everything.elements()), ""), end="\n\n")


def documents_table(paths: Sequence[Path], shown: str | None) -> None:
    """What is lost of each corpus of documents."""
    clean = Cleaner(Filters(), "train")
    print("| documents | of | MB/s | lost | by reason |\n| --- | ---: | ---: | ---: | --- |")
    for path in paths:
        documents = list(read_documents(path))
        clean(documents[:1])
        start = time.process_time()
        reasons = [reason for block in blocks(documents) for reason in clean(block).reasons]
        seconds = time.process_time() - start
        megabytes = sum(len(document.text.encode()) for document in documents) / 1e6
        print(row_of(path.name.removesuffix(".jsonl.zst"), reasons, f"{megabytes / seconds:.1f}"))
        for document, reason in zip(documents, reasons, strict=True):
            if shown and reason == shown:
                print(f"    {document.text[:300]!r}\n")
    print()


def read_documents(path: Path) -> Iterator[Document]:
    """A corpus's first documents."""
    size = 0
    with path.open("rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"):
            text = json.loads(line)["text"]
            yield Document(path.name[:2], text)
            size += len(text.encode())
            if size > DOCUMENT_BYTES:
                return


def blocks(documents: Sequence[Document]) -> Iterator[list[Document]]:
    """The documents in blocks of the size that prepare has."""
    block: list[Document] = []
    characters = 0
    for document in documents:
        block.append(document)
        characters += len(document.text)
        if len(block) >= RECORDS or characters >= CHARACTERS:
            yield block
            block, characters = [], 0
    yield block


def row_of(name: str, reasons: Sequence[str | None], speed: str) -> str:
    """One corpus's row."""
    counts = Counter(reason for reason in reasons if reason)
    by_reason = ", ".join(f"{reason} {count} ({count / len(reasons):.3%})" for reason, count in counts.most_common())
    return f"| {name} | {len(reasons):,} | {speed} | {counts.total() / len(reasons):.3%} | {by_reason} |"


def languages_table(corpora: dict[str, Rows]) -> None:
    """Precision and recall of the verdict `this is another language` for each language."""
    sentences = {name.rpartition(".")[2]: [source for source, _ in rows] for name, rows in corpora.items()}
    sentences |= {name.rpartition(".")[2]: [source for source, _ in rows] for name, rows in newest_first(corpora)}
    sentences["en"] = [target for _, target in corpora["newstest.de"]]
    some = {
        language: [text for text in texts if sum(map(str.isalpha, text)) >= LETTERS][:SENTENCES]
        for language, texts in sentences.items()
    }
    print("| expected | right | of them lost | wrong | of them found | precision | recall |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for expected, right in some.items():
        wrong = [text for language, texts in some.items() if language != expected for text in texts]
        lost = len(other_languages(right, Characters.of(right), expected))
        found = len(other_languages(wrong, Characters.of(wrong), expected))
        precision, recall = found / max(1, found + lost), found / len(wrong)
        print(f"| {expected} | {len(right):,} | {lost} | {len(wrong):,} | {found:,} | {precision:.4f} | {recall:.4f} |")


def newest_first(corpora: dict[str, Rows]) -> Iterator[tuple[str, Rows]]:
    """News where there is some, else the paper's own pairs."""
    for kind in ("alma", "newstest"):
        yield from ((name, rows) for name, rows in corpora.items() if name.startswith(kind))


if __name__ == "__main__":
    main()
