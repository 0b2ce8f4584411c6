"""Damage that can be undone without a doubt: Windows-1252 bytes that became controls, entities that were left in."""

from __future__ import annotations

import html
import re

_CONTROLS = re.compile("[\x80-\x84\x86-\x9f]")
_WINDOWS = {
    code: bytes([code]).decode("cp1252")
    for code in range(0x80, 0xA0)
    if code not in (0x81, 0x85, 0x8D, 0x8F, 0x90, 0x9D)
}
_ENTITY = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,30}|#\d{2,6}|#[xX][0-9A-Fa-f]{2,5});")


def repaired_text(text: str) -> str:
    """The text with Windows-1252's quotes and dashes in place of the controls that Latin-1 has there.

    Not within UTF-8 that was read as Latin-1, of which they are a part, nor for 85, which is a line break to Unicode.
    """
    if text.isprintable() or not _CONTROLS.search(text) or _IN_MOJIBAKE.search(text):
        return text
    return text.translate(_WINDOWS)


def repaired_sides(source: str, target: str) -> tuple[str, str]:
    """The same for a pair; and entities are resolved where the sides do not have the same ones."""
    if "&" in source or "&" in target:
        here, there = _ENTITY.findall(source), _ENTITY.findall(target)
        if sorted(here) != sorted(there):
            source, target = _unescaped(source, here), _unescaped(target, there)
    return repaired_text(source), repaired_text(target)


def _unescaped(text: str, entities: list[str]) -> str:
    return html.unescape(text) if entities else text


_IN_MOJIBAKE = re.compile("[\xc2-\xf4][\x80-\x9f]")
