"""Links and e-mail addresses in a text, which a translation keeps as they are."""

from __future__ import annotations

import re

PARTS_OF_ADDRESSES = ("://", "@", "www.", "WWW.")
_ADDRESS = re.compile(
    r"(?:https?://|ftp://|www\.)[^\s<>\"“”„«»「」（）()，。；、]+|(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+",
    re.IGNORECASE,
)


def addresses_disagree(source: str, target: str) -> bool:
    """Whether one side has an address that the other has not.

    A site that one side calls by its name and the other by its host is the same to the reader.
    """
    of_source, of_target = addresses_in(source), addresses_in(target)
    here, there = of_source - of_target, of_target - of_source
    return bool(here and there) or any("/" in address or "@" in address for address in here | there)


def addresses_in(text: str) -> set[str]:
    """The addresses without case, scheme and the stops around them."""
    found = (address.rstrip(".,;:!?'’)]}*_").casefold() for address in _ADDRESS.findall(text))
    return {re.sub(r"^(?:https?://)?(?:www\.)?", "", address).rstrip("/") for address in found}


def without_addresses(text: str) -> str:
    """The text with a space in place of each address."""
    return _ADDRESS.sub(" ", text) if any(part in text for part in PARTS_OF_ADDRESSES) else text
