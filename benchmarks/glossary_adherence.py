"""How many of a glossary's terms translations keep to, without and with telling them, and chosen among hypotheses.

python benchmarks/glossary_adherence.py gnome.de-en.jsonl terms.tsv --model gemma-3-270m --sentences 40 --beams 1
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from alma_cli.core.languages import Direction
from alma_cli.core.model_files import resolve_model
from alma_cli.core.prompt import TextPair
from alma_cli.core.recipe import DecodingSettings
from alma_cli.data.memory import read_memory
from alma_cli.decoding.glossary import Glossary
from alma_cli.decoding.guide import NO_GUIDE, Guide
from alma_cli.decoding.reranker import Reranker
from alma_cli.decoding.translator import Translator


def fitting_pairs(pairs: tuple[TextPair, ...], glossary: Glossary, count: int) -> list[TextPair]:
    """Sentences of 6 to 28 words that have a term and whose references keep to all of theirs."""
    fit = [
        (source, target)
        for source, target in pairs
        if 6 <= len(source.split()) <= 28 and glossary.terms_in(source) and not glossary.missing(source, target)
    ]
    random.Random(1).shuffle(fit)
    return fit[:count]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("glossary", type=Path)
    parser.add_argument("--direction", default="de-en")
    parser.add_argument("--model", default="gemma-3-270m")
    parser.add_argument("--style", choices=("alma", "chat"), default="alma")
    parser.add_argument("--sentences", type=int, default=40)
    parser.add_argument("--beams", type=int, default=1)
    options = parser.parse_args()
    direction = Direction.parse(options.direction)
    glossary = Glossary.read(options.glossary, direction)
    chosen = fitting_pairs(read_memory(options.pairs, direction).pairs, glossary, options.sentences)
    sources, references = [source for source, _ in chosen], [target for _, target in chosen]
    settings = DecodingSettings(beams=options.beams, n_best=options.beams, max_new_tokens=80)
    translator = Translator.load(resolve_model(options.model), settings, style=options.style)
    print(f"{options.model}, {len(chosen)} sentences {direction}, beams {options.beams}\n")
    print("| terms | kept | chrF2 | BLEU | seconds |\n| --- | --- | --- | --- | --- |")
    for name, guide in (("not told", NO_GUIDE), ("told", Guide(glossary=glossary))):
        started = time.monotonic()
        found = list(translator.translate(sources, direction, [guide.guidance(source) for source in sources]))
        seconds = time.monotonic() - started
        ways = {name: found}
        if options.beams > 1:
            ways[f"{name}, and chosen by them"] = list(Reranker(None, glossary.kept_in).reranked(found, sources))
        for way, translations in ways.items():
            texts = [one.text for one in sorted(translations, key=lambda one: one.index)]
            kept = glossary.adherence(sources, texts)
            chrf, bleu = CHRF().corpus_score(texts, [references]).score, BLEU().corpus_score(texts, [references]).score
            print(
                f"| {way} | {kept.kept} of {kept.matched} ({kept.rate:.0%}) | {chrf:.1f} | {bleu:.1f} | {seconds:.0f} |"
            )


if __name__ == "__main__":
    main()
