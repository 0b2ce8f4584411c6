"""Text that was decoded with the wrong encoding: the traces that UTF-8 and old 8-bit encodings leave in one another.

What is looked for cannot be part of any language: `Ã` before a sign is `Ã¼`, while in `São` it stands before a letter.
A glance at pairs of neighbouring characters finds the few texts that the patterns are then tried on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from alma_cli.core.text.characters import LETTER, Characters

# What bytes 80 to BF, the second and later ones of a character in UTF-8, are in other encodings.
_IN_LATIN = "\x80-\xbf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"
_IN_CYRILLIC = "ЂЃѓЉЊЌЋЏђљњќћџЎўЈҐЄЇІіґєЅѕїё№‚„…†‡€‰‹‘’“”•–—™›\xa0¤¦§©«¬\xad®°±µ¶·»"
_QUOTES = "“”„‘’‚…–—•\xa0«»·°§"  # signs that good text has after a letter, too
_BOXES = "─-▟═-╬"

_PATTERNS = (
    # UTF-8 read as Latin-1 or Windows-1252: für, „, že, привет, 中文, an emoji, the mark at a file's start.
    rf"[ÂÃÄÅÆÇ](?![{_QUOTES}\s])[{_IN_LATIN}]",
    r"[ÃÄÅ][–“”„‘’…](?=[a-zß-ÿ])|(?<=[a-zß-ÿ])[ÃÄÅ][“”„‘’…]",
    r"Â[\xa0«»°·§](?=\S)|â€|ï»¿|ï¿½|ðŸ|â[‚„ˆ†][\x80-\xbf¢¬’“œ”—˜]",
    rf"(?:[ÐÑ][{_IN_LATIN}]){{2}}|(?:[ÎÏ][{_IN_LATIN}]){{2}}",
    rf"[ã-é](?:(?![{_QUOTES}\s])[{_IN_LATIN}]){{2}}",
    # UTF-8 read as Windows-1251 or KOI8-R.
    rf"(?:[РС][{_IN_CYRILLIC}]){{3}}|[A-Za-z]Г[¤¶јџ±і]|вЂ[™“”њќ\x9d¦“]",
    rf"(?:[а-яА-ЯёЁ][{_BOXES}]){{2}}",
    # Windows-1251, KOI8-R or GBK read as Latin-1; German lists of umlauts are none.
    r"(?![ÄÖÜäöüßÉé]{5})[À-ÿ]{5}|(?:[À-ÿ][¡-¿À-ÿ]){4}",
    # Windows-1251 and KOI8-R read as one another: the case is upside down.
    r"(?<!\w)[а-я][А-Я]{3,}(?!\w)[^\n]*?(?<!\w)[а-яА-Я][А-Я]{2,}(?!\w)",
    # UTF-8 read as GBK, and what GBK makes of lost characters.
    r"锟斤拷|烫烫烫|屯屯屯|[鈥銆锛][^\n]*[鈥銆锛]",
    # Letters that became question marks, but in links.
    r"(?<![\w/?=&.])[^\W\d_]+\?[^\W\d_][^\n=/]*\s[^\W\d_]+\?[^\W\d_]",
)
_MOJIBAKE = re.compile("|".join(_PATTERNS))

# Latin-2 or Windows-1250 read as Latin-1: letters that the language does not have.
_ALIEN = {"cs": "ìøèùò¾¹", "sk": "èò¾¹¼", "pl": "³¹ê¿æñ¶¼", "sl": "è¾¹", "hu": "õûÕÛ"}
_DIFFERENT_ALIENS, _ALIENS, _ALIENS_PER_CHARACTER = 2, 3, 0.03

_LEAD, _TRAIL, _HIGH, _SMALL, _CAPITAL, _SURE, _QUESTION, _STRANGE = (1 << bit for bit in range(8))


def count_mojibake(text: str, language: str) -> int:
    """How many such traces the text has."""
    count = sum(1 for _ in _MOJIBAKE.finditer(text))
    aliens = [found for letter in _ALIEN.get(language, "") if (found := text.count(letter))]
    telling = len(aliens) >= _DIFFERENT_ALIENS and sum(aliens) >= max(_ALIENS, _ALIENS_PER_CHARACTER * len(text))
    return count + telling * sum(aliens)


def suspicious_places(characters: Characters, languages: Sequence[str]) -> npt.NDArray[np.int64]:
    """In how many places of each text there may be a trace, (N,); where there is none, there is no mojibake."""
    flags = characters.look_up(_flags())
    seen = flags & _SURE
    here, after = flags[:-1], flags[1:]
    seen[:-1] |= (here & _LEAD) & -((after & _TRAIL) // _TRAIL)
    seen[:-1] |= (here & _QUESTION) & -(characters.kinds[1:] == LETTER).view(np.uint8)
    seen[:-2] |= (flags[:-2] & _SMALL) & -((flags[1:-1] & flags[2:] & _CAPITAL) // _CAPITAL)
    seen[:-4] |= flags[:-4] & flags[1:-3] & flags[2:-2] & flags[3:-1] & flags[4:] & _HIGH
    places = characters.count(seen > 0)
    if not _ALIEN.keys().isdisjoint(languages):
        have_aliens = np.array([language in _ALIEN for language in languages])
        places += have_aliens * characters.count((flags & _STRANGE) > 0)
    return places


@cache
def _flags() -> npt.NDArray[np.uint8]:
    table = np.zeros(0x110000, dtype=np.uint8)
    marks = (
        (_LEAD, r"[Â-ÇÎ-Ñâ-éРСГ]"),
        (_TRAIL, rf"(?![{_QUOTES}šžŠŽ])[{_IN_LATIN}{_IN_CYRILLIC}]"),
        (_HIGH, r"[À-ÿ]"),
        (_SMALL, r"[а-я]"),
        (_CAPITAL, r"[А-Я]"),
        (_SURE, rf"[鈥銆锛锟烫屯ÂÃÅЂ{_BOXES}]"),
        (_QUESTION, r"\?"),
        (_STRANGE, f"[{''.join(_ALIEN.values())}]"),
    )
    for code in (*range(0x2E80), *map(ord, "鈥銆锛锟烫屯")):
        for bit, pattern in marks:
            if re.match(pattern, chr(code)):
                table[code] |= bit
    return table
