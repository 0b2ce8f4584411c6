"""Is a text in the language that it should be in? Many texts at once, offline; where it is not clear, they are right.

First its script is looked at: nothing in Cyrillic is German, whatever it says. Languages that share a script are told
apart by the model of text/language_model.py, which has to be sure: of the whole text, and of what is left of it without
the words with a capital, since names say where people come from and not in which language it is told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from alma_cli.core.languages import LANGUAGES
from alma_cli.core.text.characters import LETTER, Characters
from alma_cli.core.text.language_model import SCRIPTS_WITH_MODEL, Rivals, rivals

# Letters of each script; Japanese is written in Kana and Han, Korean in Hangul and a little Han.
_LETTER_RANGES = {
    "Latin": "41-5A 61-7A AA BA C0-D6 D8-F6 F8-2AF 1E00-1EFF 2C60-2C7F A722-A7FF FB00-FB06 FF21-FF3A FF41-FF5A",
    "Cyrillic": "400-52F 1C80-1C8F 2DE0-2DFF A640-A69F",
    "Greek": "370-3FF 1F00-1FFF",
    "Arabic": "620-6FF 750-77F 8A0-8FF FB50-FDFF FE70-FEFC",
    "Hebrew": "5D0-5F4 FB1D-FB4F",
    "Devanagari": "900-97F A8E0-A8FF",
    "Gujarati": "A80-AFF",
    "Thai": "E00-E7F",
    "Georgian": "10A0-10FF 1C90-1CBF 2D00-2D2F",
    "Hangul": "1100-11FF 3130-318F A960-A97F AC00-D7FF",
    "Kana": "3041-3096 309D-309F 30A1-30FA 30FC-30FF 31F0-31FF FF66-FF9D",
    "Han": "2E80-2FDF 3005-3007 3400-4DBF 4E00-9FFF F900-FAFF 20000-3FFFF",
}
_SCRIPTS = {name: number for number, name in enumerate(_LETTER_RANGES, start=1)}
_WRITTEN_IN = {"Japanese": ("Kana", "Han"), "Hangul": ("Hangul", "Han")}
_ALSO_IN = {"sr": ("Latin",), "uz": ("Cyrillic",), "az": ("Cyrillic", "Arabic"), "kk": ("Latin",), "ky": ("Latin",)}

_FEWEST_LETTERS = 20  # below, only the script is judged
_BORROWED_WORDS, _BORROWED_LETTERS = 2, 25  # Latin ones from which on a text is no longer made of names and terms
_WORDS_BESIDE, _LETTERS_BESIDE = 4, 4  # the same beside letters of its own: words in all, and letters for each of those

_FIRST_BYTES, _MOST_BYTES, _MOST_CHARACTERS = 64, 400, 1000  # that are looked at; the many in case of doubt
_CLEARLY_RIGHT = 0.3  # margins by which the language leads its rivals, see language_model.py
_CLEARLY_WRONG, _PLAINLY_WRONG, _BEYOND_DOUBT = 1.5, 1.0, 5.0  # by which it lags: all in all; without names; with few
_PLAIN_CHARACTERS, _FEW_PLAIN_CHARACTERS = 18, 10  # that are left without names: enough to tell, and hardly enough
_TOGETHER = 1024  # texts, whose scores stay in the cache

_WINDOW, _WINDOWS = 300, 5  # characters of a document that are judged together, and how many such there are
_NO_LANGUAGE = re.compile(
    r"(?:https?://|www\.)\S+|(?<!\S)\S+@\S+|<[^<>]{1,200}>|&\w{2,8};|(?<![\w./-])[\w./-]*\d[\w./-]*"
)
_PARTS_OF_NO_LANGUAGE = ("://", "www.", "@", "<", "&")
_FROM_A_DIGIT = re.compile(r"\d[\w./-]*")
_COMMON_WORD = re.compile(r"(?<![\w./@-])[a-zà-öø-ÿ]{3,}(?![\w/@-])")
_WORD = re.compile(r"[^\W\d_]+")


def other_languages(texts: Sequence[str], characters: Characters, expected: str) -> dict[int, str]:
    """By the number of a text the language it is in, or its script, where that is clearly not the expected language."""
    scripts = characters.look_up(_script_table())
    found = _other_scripts(texts, characters, scripts, expected)
    script = LANGUAGES[expected].script
    if script in SCRIPTS_WITH_MODEL:
        letters = characters.count(scripts == _SCRIPTS[script])
        judged = [index for index in np.flatnonzero(letters >= _FEWEST_LETTERS).tolist() if index not in found]
        of_judged = _other_of_script([texts[index] for index in judged], rivals(script), expected)
        found.update((judged[index], language) for index, language in of_judged.items())
    return found


def other_languages_of_documents(texts: Sequence[str], expected: str) -> dict[int, str]:
    """The same for long texts, each judged by a few windows: wrong where most of those are."""
    windows = [_windows(text) for text in texts]
    # Where one half of the windows is right, most of all cannot be wrong.
    suspects = list(_verdicts([of_text[::2] for of_text in windows], expected))
    verdicts = _verdicts([windows[index] for index in suspects], expected)
    return {
        suspects[number]: Counter(of_text).most_common(1)[0][0]
        for number, of_text in verdicts.items()
        if 2 * len(of_text) > len(windows[suspects[number]])
    }


def _verdicts(windows: Sequence[Sequence[str]], expected: str) -> dict[int, list[str]]:
    """By the number of a text the languages that windows of it are in, where those are not the expected one."""
    owners = [owner for owner, of_text in enumerate(windows) for _ in of_text]
    flat = [window for of_text in windows for window in of_text]
    verdicts: dict[int, list[str]] = {}
    for index, language in other_languages(flat, Characters.of(flat), expected).items():
        verdicts.setdefault(owners[index], []).append(language)
    return verdicts


def script_letters(characters: Characters, scripts: Sequence[str]) -> list[npt.NDArray[np.int64]]:
    """How many letters of each of the scripts every text has, (N,)."""
    of_each = characters.look_up(_script_table())
    return [characters.count(of_each == _SCRIPTS[script]) for script in scripts]


def _windows(text: str) -> list[str]:
    """Up to five pieces of the text at equal distances, cut at spaces where there are some."""
    if len(text) <= 2 * _WINDOW:
        return [text]
    count = min(_WINDOWS, len(text) // _WINDOW)
    starts = (k * (len(text) - _WINDOW) // (count - 1) for k in range(count))
    return [_whole_words(text[start : start + _WINDOW]) for start in starts]


def _whole_words(text: str) -> str:
    first, last = text.find(" "), text.rfind(" ")
    return text[first:last] if 0 <= first < _WINDOW // 4 and last > _WINDOW // 2 else text


def _other_scripts(
    texts: Sequence[str], characters: Characters, scripts: npt.NDArray[np.uint8], expected: str
) -> dict[int, str]:
    """Where most letters are of another script, that script."""
    wanted = LANGUAGES[expected].script
    own = np.zeros(len(_SCRIPTS) + 1, dtype=bool)
    own[[_SCRIPTS[name] for name in _WRITTEN_IN.get(wanted, (wanted, *_ALSO_IN.get(expected, ())))]] = True
    own_letters = characters.count(own[scripts])
    letters = characters.count((characters.kinds == LETTER) | (scripts > 0))
    suspects = 2 * own_letters < letters
    if wanted in ("Han", "Japanese"):
        kana = characters.count(scripts == _SCRIPTS["Kana"])
        # Japanese names things in Kana, and cannot do without for long.
        suspects |= (4 * kana > letters) if wanted == "Han" else (kana == 0) & (own_letters >= _FEWEST_LETTERS)
    names = {number: name for name, number in _SCRIPTS.items()}
    found = {}
    for index in np.flatnonzero(suspects).tolist():
        of_text = Counter(scripts[characters.starts[index] : characters.starts[index + 1]].tolist())
        of_text.pop(0, None)
        script = names[of_text.most_common(1)[0][0]] if of_text else ""
        if script and (script != "Latin" or _says_something(texts[index], int(own_letters[index]))):
            found[index] = script
    return found


def _says_something(text: str, own_letters: int) -> bool:
    """Whether the Latin letters in a text of another script are more than names, terms and addresses."""
    plain = _only_language(text)
    words = _COMMON_WORD.findall(plain)
    if own_letters:
        return len(words) >= _WORDS_BESIDE and sum(map(len, words)) > _LETTERS_BESIDE * own_letters
    return len(words) >= _BORROWED_WORDS or (bool(words) and sum(map(str.isalpha, plain)) >= _BORROWED_LETTERS)


def _other_of_script(texts: Sequence[str], model: Rivals, expected: str) -> dict[int, str]:
    doubted: list[int] = []
    for start in range(0, len(texts), _TOGETHER):
        beginnings = [text[:_FIRST_BYTES] for text in texts[start : start + _TOGETHER]]
        margins = model.quick_margins(beginnings, expected, most_bytes=_FIRST_BYTES)
        doubted += (np.flatnonzero(margins < _CLEARLY_RIGHT) + start).tolist()
    found = {}
    for start in range(0, len(doubted), _TOGETHER):
        some = doubted[start : start + _TOGETHER]
        whole = [_only_language(texts[index][:_MOST_CHARACTERS]) for index in some]
        margins, nearest = model.margins(whole, expected, most_bytes=_MOST_BYTES)
        lagging = np.flatnonzero(margins < -_CLEARLY_WRONG).tolist()
        plain = [_without_names(whole[k]) for k in lagging]
        plain_margins, _ = model.margins(plain, expected, most_bytes=_MOST_BYTES)
        for k, rest, plain_margin in zip(lagging, plain, plain_margins.tolist(), strict=True):
            if _is_wrong(float(margins[k]), len(rest), plain_margin):
                found[some[k]] = nearest[k]
    return found


def _only_language(text: str) -> str:
    """The text with a space in place of each address, tag, entity and word with a digit in it."""
    if any(part in text for part in _PARTS_OF_NO_LANGUAGE):
        return _NO_LANGUAGE.sub(" ", text)
    # The same in a fifth of the time, where there are only words with digits.
    pieces, end = [], 0
    for found in _FROM_A_DIGIT.finditer(text):
        start = found.start()
        while start > end and (text[start - 1].isalnum() or text[start - 1] in "_./-"):
            start -= 1
        pieces.append(text[end:start])
        end = found.end()
    return " ".join([*pieces, text[end:]]) if pieces else text


def _without_names(text: str) -> str:
    """The words that begin with a small letter, if the script has such."""
    words = _WORD.findall(text.lower() if text.isupper() else text)
    has_case = any(word[0].islower() or word[0].isupper() for word in words)
    return " ".join(word for word in words if word[0].islower() or not has_case)


def _is_wrong(margin: float, plain_characters: int, plain_margin: float) -> bool:
    if plain_characters >= _PLAIN_CHARACTERS:
        return plain_margin < -_PLAINLY_WRONG
    return plain_characters >= _FEW_PLAIN_CHARACTERS and plain_margin < -_PLAINLY_WRONG and margin < -_BEYOND_DOUBT


@cache
def _script_table() -> npt.NDArray[np.uint8]:
    """The number of each code point's script, 0 for what is none's letter."""
    table = np.zeros(0x110000, dtype=np.uint8)
    for name, ranges in _LETTER_RANGES.items():
        for text in ranges.split():
            first, _, last = text.partition("-")
            table[int(first, 16) : int(last or first, 16) + 1] = _SCRIPTS[name]
    return table
