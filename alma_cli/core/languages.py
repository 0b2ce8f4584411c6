"""Language codes: the English name the prompt uses, the script, sacreBLEU's tokeniser; and directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from alma_cli.errors import UsageError, nearest

Side = Literal["source", "target"]  # of a direction


@dataclass(frozen=True)
class Language:
    """One language; `name` is the word in the prompt, so changing it changes what a model was trained on."""

    code: str
    name: str
    script: str

    @property
    def sacrebleu_tokenizer(self) -> str:
        """sacreBLEU's own default for a target language: words are not separated by spaces in zh, ja, ko."""
        return {"zh": "zh", "ja": "ja-mecab", "ko": "ko-mecab"}.get(self.code, "13a")


# ALMA's six (cs de en is ru zh) and the fifty of X-ALMA (arXiv 2410.03115, section 3), as `code name script`.
_TABLE = """
af Afrikaans Latin|ar Arabic Arabic|az Azerbaijani Latin|bg Bulgarian Cyrillic|ca Catalan Latin|cs Czech Latin
da Danish Latin|de German Latin|el Greek Greek|en English Latin|es Spanish Latin|et Estonian Latin|fa Persian Arabic
fi Finnish Latin|fr French Latin|gl Galician Latin|gu Gujarati Gujarati|he Hebrew Hebrew|hi Hindi Devanagari
hu Hungarian Latin|id Indonesian Latin|is Icelandic Latin|it Italian Latin|ja Japanese Japanese|ka Georgian Georgian
kk Kazakh Cyrillic|ko Korean Hangul|ky Kyrgyz Cyrillic|lt Lithuanian Latin|lv Latvian Latin|mg Malagasy Latin
mk Macedonian Cyrillic|mr Marathi Devanagari|ms Malay Latin|ne Nepali Devanagari|nl Dutch Latin|no Norwegian Latin
pl Polish Latin|pt Portuguese Latin|ro Romanian Latin|ru Russian Cyrillic|sk Slovak Latin|sl Slovenian Latin
sr Serbian Cyrillic|sv Swedish Latin|th Thai Thai|tr Turkish Latin|uk Ukrainian Cyrillic|ur Urdu Arabic
uz Uzbek Latin|vi Vietnamese Latin|zh Chinese Han
"""
LANGUAGES = {
    code: Language(code, name, script)
    for code, name, script in (entry.split() for line in _TABLE.split("\n") if line for entry in line.split("|"))
}


def language(code: str) -> Language:
    """The language of an ISO 639-1 code. Raises UsageError with the nearest known code."""
    if code not in LANGUAGES:
        by_name = {known.name.casefold(): known.code for known in LANGUAGES.values()}
        named = by_name.get(code.casefold())
        hint = f"did you mean '{named}'?" if named else nearest(code, LANGUAGES)
        raise UsageError(f"unknown language code '{code}'", hint=hint)
    return LANGUAGES[code]


@dataclass(frozen=True, order=True)
class Direction:
    """From which language into which, written `de-en`."""

    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.source}-{self.target}"

    @property
    def reverse(self) -> Direction:
        """The other way round."""
        return Direction(self.target, self.source)

    @classmethod
    def parse(cls, text: str) -> Direction:
        """Read `de-en`. Raises UsageError for another shape, an unknown code, or a language into itself."""
        parts = text.split("-")
        if len(parts) != 2:
            raise UsageError(f"'{text}' is not a direction", hint="write source-target, such as de-en")
        direction = cls(language(parts[0]).code, language(parts[1]).code)
        if direction.source == direction.target:
            raise UsageError(f"direction '{text}' goes from a language into itself")
        return direction
