"""Numbers in a text, and whether those of a translation can be those of its source."""

from __future__ import annotations

import re
import unicodedata

from alma_cli.core.text.addresses import without_addresses

# The number of COVID-19 is its name.
# A digit comes first in the pattern, since then all else is passed over quickly.
_NUMBER = re.compile(r"\d(?<!\d\d)(?<![A-Za-z]-\d)\d*(?:[.,:]\d+|[ \u00a0\u202f'’]\d{3}(?!\d))*")
# Where numbers are converted or rounded, written in words or by another count of zeros, they differ in good pairs.
_NO_DIGIT = re.compile(r":00$|\D")
_CONVERTED = re.compile(
    r"\b(?:miles?|mph|feet|foot|ft|inch(?:es)?|yards?|pounds?|lbs?|ounces?|oz|gallons?|acres?|fahrenheit|degrees?|stone"
    r"|sq|square|[ap]\.\s?m|half|quarter|million\w*|billion\w*|trillion\w*|thousand\w*|hundred\w*|dozens?|mio|mrd|mld"
    r"|mil\.|bn|uhr|tis|tisíc\w*|mili[óo]n\w*|miliar\w*|tausend\w*|hundert\w*|milljón\w*|milljarð\w*|þúsund\w*|тыс|млн|млрд"
    r"|миллион\w*|миллиард\w*|тысяч\w*|[xiv]{2,})\b"
    r"|\d\s?(?:[ap]\.?m\b|ft\b|mi\b|lbs?\b|k\b|m\b|[km]m\b|km/h|kg\b|cm\b|км|кг|[公英]?里|英尺|磅|[\"'′″”’])|°|[万萬億亿千百十兆点]"
    r"|\d0s\b|\d0er\b|\d\s?(?:bn|tn)\b|\bin\b\s?\.",
    re.IGNORECASE,
)
TELLING_DIGITS = 2  # 5 may well be `fünf` and 9 the month of September
_NAMED_DIGITS = 3  # that nobody writes in words
# 16.3. or 03.01.21 or 2021.6.11, which another language writes in another order, or with the month's name.
_DAY, _MONTH = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])"
_DATE = re.compile(
    rf"(?<![\d.,:])(?:{_DAY}\.\s?{_MONTH}(?:\.(?:\s?(?:[12]\d)?\d\d)?)?|[12]\d{{3}}[.-]{_MONTH}[.-]{_DAY})(?![\d%‰]|[.,:]\d)"
)
_BY = re.compile(r"(?<=\d)\s?[xх×]\s?(?=\d)")  # 16x9 is 16:9
_ALL = re.compile(r"(?<!\d)100\s?[%％]")  # `fully` as well


def numbers_disagree(source: str, target: str) -> bool:
    """Whether a number of one side stands on the other with other digits, and nothing explains it."""
    source, target = (unicodedata.normalize("NFKC", without_addresses(text)) for text in (source, target))
    here, there = numbers_in(source), numbers_in(target)
    if here == there:
        return False
    lengths = {len(number) for number in here - there if len(number) >= TELLING_DIGITS}
    if not any(len(number) in lengths for number in there - here):
        return False
    return not _CONVERTED.search(source) and not _CONVERTED.search(target)


def numbers_in(text: str) -> set[str]:
    """The digits of each number, without separators, leading zeros and full hours."""
    found = _NUMBER.findall(text)
    return {(number if number.isdigit() else _NO_DIGIT.sub("", number)).lstrip("0") for number in found}


def missing_numbers(source: str, target: str) -> set[str]:
    """Numbers of three or more digits that the target has in no form, where nothing was converted or rounded.

    A date is missing where neither its day nor its month is there; 100% is the same as `all`.
    """
    if not any(char.isdigit() for char in source):
        return set()
    source, target = (unicodedata.normalize("NFKC", without_addresses(text)) for text in (source, target))
    rest = _ALL.sub(" ", _DATE.sub(_year_alone, source))
    missing = {number for number in numbers_in(rest) if len(number) >= _NAMED_DIGITS} - numbers_in(target)
    if missing:
        digits = re.sub(r"\D", "", target)
        missing = {number for number in missing if number not in digits}
    missing |= _missing_dates(source, target)
    return missing if not (_CONVERTED.search(source) or _CONVERTED.search(target)) else set()


def changed_numbers(source: str, target: str) -> set[str]:
    """Numbers of two or more digits in whose place the target has as many other ones, and nothing explains it."""
    if not any(char.isdigit() for char in source):
        return set()
    source, target = (_BY.sub(":", text) for text in (source, target))
    return numbers_in(source) - numbers_in(target) if numbers_disagree(source, target) else set()


def _year_alone(date: re.Match[str]) -> str:
    """The years of the four digits that stay a number like others."""
    return " " + " ".join(re.findall(r"\d{4}", date[0])) + " "


def _missing_dates(source: str, target: str) -> set[str]:
    there = {part.lstrip("0") for part in re.findall(r"\d+", target)}
    dates = _DATE.findall(source)
    return {date for date in dates if not there & {part.lstrip("0") for part in re.findall(r"\b\d\d?\b", date)}}
