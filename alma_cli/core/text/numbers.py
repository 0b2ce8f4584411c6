"""Numbers in a text, and whether those of a translation can be those of its source."""

from __future__ import annotations

import re
import unicodedata

from alma_cli.core.text.addresses import without_addresses

# The number of COVID-19 is its name.
_NUMBER = re.compile(r"(?<![A-Za-z]-)(?<!\d)\d+(?:[.,:]\d+|[ \u00a0\u202f'’]\d{3}(?!\d))*")
# Where numbers are converted or rounded, written in words or by another count of zeros, they differ in good pairs.
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


def numbers_disagree(source: str, target: str) -> bool:
    """Whether a number of one side stands on the other with other digits, and nothing explains it."""
    source, target = (unicodedata.normalize("NFKC", without_addresses(text)) for text in (source, target))
    here, there = numbers_in(source), numbers_in(target)
    lengths = {len(number) for number in here - there if len(number) >= TELLING_DIGITS}
    if not any(len(number) in lengths for number in there - here):
        return False
    return not _CONVERTED.search(source) and not _CONVERTED.search(target)


def numbers_in(text: str) -> set[str]:
    """The digits of each number, without separators, leading zeros and full hours."""
    found = (re.sub(r":00$|\D", "", number) for number in _NUMBER.findall(text))
    return {number.lstrip("0") for number in found}


def missing_numbers(source: str, target: str) -> set[str]:
    """Numbers of three or more digits that the target has in no form, where nothing was converted or rounded."""
    if not any(char.isdigit() for char in source):
        return set()
    source, target = (unicodedata.normalize("NFKC", without_addresses(text)) for text in (source, target))
    missing = {number for number in numbers_in(source) if len(number) >= _NAMED_DIGITS} - numbers_in(target)
    if missing:
        digits = re.sub(r"\D", "", target)
        missing = {number for number in missing if number not in digits}
    return missing if not (_CONVERTED.search(source) or _CONVERTED.search(target)) else set()
