"""How well held-out text and near duplicates are found in real data, and what is found there by mistake.

    python benchmarks/duplicates_quality.py ../shared/data [--only planted unplanted mono near speed]

DATA holds `alma/human/` (ALMA's human-written data) and `mono/*.jsonl.zst` (documents).
"""

from __future__ import annotations

import argparse
import io
import json
import random
import re
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import zstandard

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from alma_cli.core.dataset import Document
from alma_cli.core.text.characters import Characters
from alma_cli.data.decontamination import HeldOutText
from alma_cli.data.duplicates import beyond_the_cap, near_duplicates
from alma_cli.data.keys import exact_keys, signatures
from alma_cli.data.letters import WORD, Letters
from alma_cli.data.records import Pair, texts_of
from tests.data.hidden_text import VARIANTS, alma_pairs, embedded, exact_similarity, nearly_same, overlaps, side_of

LANGUAGES = ("cs", "de", "is", "ru", "zh")
MONO_CHARACTERS = 12_000_000  # of each corpus
NEAR_SENTENCES = 4000  # of each language
SPEED_ROWS = 1_000_000
SIMILARITY = 0.8
SEEDS = 3


def main() -> None:
    """Print a table for each question."""
    sections: dict[str, Callable[[Path], None]] = {
        "planted": planted,
        "unplanted": unplanted,
        "mono": mono,
        "near": near,
        "speed": speed,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="+", choices=sections, default=list(sections))
    asked = parser.parse_args()
    for name in asked.only:
        sections[name](asked.data)
        print(flush=True)


def planted(data: Path) -> None:
    """Of 200 test pairs hidden in training data, how many are found."""
    test, train = alma_pairs(data, "test"), [one.record for one in alma_pairs(data, "train")]
    held_out = HeldOutText.of(test + alma_pairs(data, "valid"), ngram_words=8)
    print("Found of 200 planted WMT test pairs; documents: of those whose source has at least 4 words\n")
    print("| seed | variant | as a pair | in a longer pair | in a document |\n| --- | --- | --- | --- | --- |")
    for seed in range(SEEDS):
        chance = random.Random(seed)
        chosen = [one.record for one in chance.sample(test, 200)]
        for name, change in VARIANTS.items():
            hidden = [Pair(one.direction, change(one.source, chance), change(one.target, chance)) for one in chosen]
            longer = [embedded(pair, train, chance) for pair in hidden]
            telling = Letters.of(Characters.of([pair.source for pair in chosen])).text_weights >= 4 * WORD
            documents = [side_of(pair) for pair, told in zip(longer, telling, strict=True) if told]
            counts = [
                f"{int((overlaps(held_out, some) >= 0).sum())}/{len(some)}" for some in (hidden, longer, documents)
            ]
            print(f"| {seed} | {name} | {' | '.join(counts)} |")
    chance = random.Random(SEEDS)
    longer = [embedded(one.record, train, chance) for one in test]
    missed = np.flatnonzero(overlaps(held_out, longer) < 0)
    print(f"\nOf all {len(test)} test pairs, each in a longer pair: {len(test) - len(missed)} found; not found:")
    print("; ".join(" = ".join(texts_of(test[index].record)) for index in missed[:30].tolist()), "...")


def unplanted(data: Path) -> None:
    """What training data has in common with the test and validation sets as it is."""
    held_out = HeldOutText.of(alma_pairs(data, "test") + alma_pairs(data, "valid"), ngram_words=8)
    train = [one.record for one in alma_pairs(data, "train")]
    start = time.process_time()
    hits = overlaps(held_out, train)
    seconds = time.process_time() - start
    characters = sum(len(text) for pair in train for text in texts_of(pair))
    print(
        f"{int((hits >= 0).sum())} of {len(train)} training pairs overlap with WMT'22 test or WMT'21 valid sets "
        f"({seconds / characters * 1e9:.0f} ns a character, with taking characters apart)\n"
    )
    _print_found(held_out, hits, 25)


def mono(data: Path) -> None:
    """The same in documents."""
    held_out = HeldOutText.of(alma_pairs(data, "test") + alma_pairs(data, "valid"), ngram_words=8)
    print("| corpus | documents | characters each | overlap | of these saved by cutting lines |\n" + "| --- " * 5 + "|")
    for path in sorted((data / "mono").glob("*.zst")):
        documents = list(_documents(path, MONO_CHARACTERS))
        hits = overlaps(held_out, documents)
        cut = [held_out.cut(documents[index]) for index in np.flatnonzero(hits >= 0).tolist()]
        length = sum(len(one.text) for one in documents) // len(documents)
        saved = sum(one is not None for one in cut)
        print(f"| {path.name} | {len(documents)} | {length} | {len(cut)} | {saved} |")
        _print_found(held_out, hits, 5)


def near(data: Path) -> None:
    """Precision and recall of near duplicates, of planted ones; and how many there are in real text."""
    print(
        f"Near duplicates at {SIMILARITY}: a sentence and an edited copy; truth is the exact Jaccard similarity of the"
    )
    print("folded texts' character 5-grams\n")
    print("| language | copies | of these >= 0.8 | recall | precision | lowest dropped | found in real sentences |")
    print("| --- " * 7 + "|")
    for language in LANGUAGES:
        chance = random.Random(language)
        sentences = list(dict.fromkeys(_sentences(data, language)))
        chance.shuffle(sentences)
        again, _ = _near_duplicates(sentences)
        apart = np.ones(len(sentences), bool)
        apart[again] = False
        originals = [sentences[index] for index in np.flatnonzero(apart)[:NEAR_SENTENCES]]
        copies = [nearly_same(text, originals, chance) for text in originals]
        rows = originals + copies
        dropped, like = _near_duplicates(rows)
        truth = np.array([exact_similarity(a, b) for a, b in zip(originals, copies, strict=True)])
        found = np.isin(np.arange(len(originals)) + len(originals), dropped)
        right = np.array([exact_similarity(rows[a], rows[b]) for a, b in zip(dropped, like, strict=True)])
        same = truth >= SIMILARITY
        print(
            f"| {language} | {len(copies)} | {int(same.sum())} | {found[same].mean():.4f} "
            f"| {(right >= SIMILARITY).mean():.4f} | {right.min():.2f} | {len(again)} of {len(sentences)} |"
        )


def speed(data: Path) -> None:
    """Seconds and memory for a million rows."""
    sentences = [text for language in LANGUAGES for text in _sentences(data, language, SPEED_ROWS // 4)]
    random.Random(0).shuffle(sentences)
    sentences = sentences[:SPEED_ROWS]
    characters = sum(map(len, sentences))
    start = time.process_time()
    blocks = [signatures(Characters.of(sentences[n : n + 1000])) for n in range(0, len(sentences), 1000)]
    print(f"signatures, with folding: {(time.process_time() - start) / characters * 1e9:.0f} ns a character")
    start = time.process_time()
    keys = exact_keys(sentences)
    print(f"exact keys: {(time.process_time() - start) / len(sentences) * 1e9:.0f} ns a text")
    kept = np.ones(len(keys), bool)
    start = time.process_time()
    kept[beyond_the_cap(lambda: [keys], kept, 1)] = False
    print(
        f"{len(keys)} rows: {len(keys) - int(kept.sum())} equal ones in {time.process_time() - start:.1f} s", end="; "
    )
    tracemalloc.start()
    start = time.process_time()
    dropped, _ = near_duplicates(lambda: blocks, kept, SIMILARITY)
    seconds, peak = time.process_time() - start, tracemalloc.get_traced_memory()[1] / 2**20
    print(f"{len(dropped)} near duplicates in {seconds:.1f} s of one core, with at most {peak:.0f} MiB")


def _near_duplicates(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    rows = signatures(Characters.of(texts))
    return near_duplicates(lambda: [rows], np.ones(len(texts), bool), SIMILARITY)


def _print_found(held_out: HeldOutText, hits: np.ndarray, most: int) -> None:
    for number, count in Counter(hits[hits >= 0].tolist()).most_common(most):
        found = held_out.found(number)
        print(f"    {count} x {found.set} {found.place}: {found.text[:100]}")


def _documents(path: Path, characters: int) -> Iterator[Document]:
    with path.open("rb") as stream:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(stream), "utf-8"):
            text = json.loads(line)["text"]
            yield Document(path.name[:2], text)
            characters -= len(text)
            if characters < 0:
                return


def _sentences(data: Path, language: str, most: int = 30_000) -> Iterator[str]:
    paths: Sequence[Path] = sorted((data / "mono").glob(f"{language}.*.zst"))
    for path in paths:
        count = 0
        for document in _documents(path, 10**9):
            for sentence in re.split(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])|\n", document.text):
                if len(sentence.strip()) >= (12 if language == "zh" else 40):
                    yield sentence.strip()
                    count += 1
            if count >= most // len(paths):
                break


if __name__ == "__main__":
    main()
