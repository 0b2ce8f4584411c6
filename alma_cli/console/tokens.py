"""Tokens by their fate: prompt, target, cut, dropped; in colours on a terminal, in words elsewhere."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich.text import Text

from alma_cli.console.screen import err, out

if TYPE_CHECKING:
    from alma_cli.core.fates import TokenFate
    from alma_cli.data.shown import ShownRecord

_FATE_STYLES = {"prompt": "dim", "target": "bold green", "EOS": "bold magenta", "cut": "yellow", "dropped": "red"}
_WHITE_SPACE = {" ": "·", "\n": "↵", "\t": "⇥"}
_TOKENS_AT_THE_START, _TOKENS_AT_THE_END = 300, 100  # of a record that is longer than both, the rest is left out


def shown(records: Sequence[ShownRecord]) -> None:
    """The command's result: records with every token by its fate, in colours or as a line for each run of one fate.

    On a terminal every other token is underlined; elsewhere `│` is between tokens. White space is `·`, `↵`, `⇥`.
    """
    from alma_cli.core.fates import FATES

    in_colour = out.color_system is not None and not out.no_color
    seen = {token.fate for record in records for token in record.tokens}
    for record in records:
        facts = [f"{sum(t.fate == fate for t in record.tokens):,} {fate}" for fate in FATES]
        counts = ", ".join(fact for fact in facts if not fact.startswith("0 "))
        head = f"{record.name}, row {record.row:,}: {counts}" + (f" ({record.dropped})" if record.dropped else "")
        out.print(Text(head, style="bold"), soft_wrap=True)
        start, end = record.tokens, record.tokens[:0]
        if len(record.tokens) > _TOKENS_AT_THE_START + _TOKENS_AT_THE_END:
            start, end = record.tokens[:_TOKENS_AT_THE_START], record.tokens[-_TOKENS_AT_THE_END:]
        _draw_tokens(start, in_colour=in_colour)
        if end:
            between = len(record.tokens) - len(start) - len(end)
            out.print(Text(f"  ... {between:,} tokens more ...", style="dim"), soft_wrap=True)
            _draw_tokens(end, in_colour=in_colour)
        out.print()
    legend = Text("  ").join(
        Text.assemble((fate, _FATE_STYLES[fate]), f": {meaning}") for fate, meaning in FATES.items() if fate in seen
    )
    out.print(legend, soft_wrap=True)


def _draw_tokens(tokens: Sequence[TokenFate], *, in_colour: bool) -> None:
    if in_colour:
        line = Text("  ")
        for index, token in enumerate(tokens):
            line.append(_token_text(token.text), _FATE_STYLES[token.fate] + (" underline" if index % 2 else ""))
        out.print(line, soft_wrap=True)
        return
    for fate, run in groupby(tokens, key=lambda token: token.fate):
        words = "│".join(_token_text(token.text) for token in run)
        out.print(Text(f"  {fate:<7} {words}"), soft_wrap=True)


def _token_text(text: str) -> str:
    """A token with nothing in it that a screen would not show; a mark that sits on the letter before it has a stand."""
    stand = "◌" if text and unicodedata.category(text[0]).startswith("M") else ""
    return stand + "".join(map(_visible, text))


def sample_line(pieces: Iterable[Mapping[str, str]]) -> Text:
    """An example with each token's fate: in colours on a terminal, else `prompt | target |EOS`."""
    text, before = Text("sample: "), "prompt"
    for piece in pieces:
        fate = piece["fate"]
        if fate != before and not err.is_terminal:
            text.append(" |")
        before = fate
        words = "EOS" if fate == "EOS" else "".join(c if c == " " else _visible(c) for c in piece["text"])
        text.append(words, _FATE_STYLES[fate] if err.is_terminal else "")
    return text


def _visible(character: str) -> str:
    if character in _WHITE_SPACE:
        return _WHITE_SPACE[character]
    return character if character.isprintable() else f"<U+{ord(character):04X}>"
