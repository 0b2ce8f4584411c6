"""Every reason for which a record is left out, in the order in which they are looked for, with what it means."""

from __future__ import annotations

REASONS: dict[str, str] = {
    # A record that could not be read.
    "invalid_json": "a line that is not JSON",
    "missing_field": "a record without the texts it should have, or with something else in their place",
    "invalid_csv": "a line that is not CSV",
    "invalid_po": "an entry that is not in the form of PO files",
    "wrong_columns": "a line that has not the columns it should have",
    "too_long_line": "a line that is longer than a reader takes into memory",
    "too_long_record": "a record that is longer than a reader takes into memory",
    "wrong_charset": "bytes that are not in the charset that the file says it is in",
    "unknown_entity": "an XML entity that the file's own rules would have to explain",
    "untranslated": "an entry without a translation",
    "fuzzy": "an entry whose translation is marked as one to be looked at",
    "obsolete": "an entry that its program no longer has",
    "other_language": "a text marked as another language than the corpus is in",
    "other_direction": "languages, or in a test set a direction, that the recipe does not have",
    # A text that is damaged: data/mojibake.py, data/text_steps.py.
    "invalid_utf8": "bytes that are not UTF-8, half a surrogate pair, or the character that stands for what was lost",
    "empty": "nothing but white space on one side",
    "mojibake": "text that was decoded with the wrong encoding, such as 'fÃ¼r'",
    "control_characters": "NUL and other control characters, or characters of a private font",
    "markup": "HTML that one side has and the other has not, or that a document is full of",
    "boilerplate": "nothing but menus, cookie notices, page numbers and the like",
    "mostly_symbols": "hardly a letter among digits and signs",
    "repetition": "the same over and over",
    # A pair that is none: data/pair_steps.py.
    "copied_source": "a target that is its source",
    "length_ratio": "one side far longer than is usual beside the other",
    "urls": "links or addresses that the sides do not share",
    "numbers": "a number on one side that is another on the other",
    # A text in another language: core/text/language.py.
    "wrong_language": "text that is clearly in another language than it should be",
    "sides_swapped": "a source in the target's language and a target in the source's",
    # A text's size under the recipe's tokenizer.
    "too_short": "fewer tokens than the recipe asks for",
    "too_long": "more tokens than the recipe allows",
    # A record that does not stand alone: found when everything else is clean.
    "in_test_or_valid": "text in common with a test or validation set",
    "duplicate": "the same pair or document was kept before",
    "near_duplicate": "nearly the same pair or document was kept before",
    "another_translation": "the same sentence was kept with as many translations as the recipe allows",
    "same_target": "the same sentence was kept as a target as often as the recipe allows",
    "not_needed": "not lost: more than the mixture takes",
    "held_out": "not lost: moved from train to valid, where the sources have no validation data of their own",
}


def reasons_table() -> str:
    """The reasons as a Markdown table."""
    rows = (f"| `{reason}` | {meaning} |" for reason, meaning in REASONS.items())
    return "\n".join(("| reason | meaning |", "| --- | --- |", *rows)) + "\n"
