"""Placeholders and tags in a text (`%s`, `{name}`, `<b>`, `</1>`), which a translation keeps as they are."""

from __future__ import annotations

import re
from collections import Counter

_PLACEHOLDER = re.compile(
    r"(?<![\d%])%(?:\(\w+\))?(?:\d+\$)?[-+#0]?\d*(?:\.\d+)?(?:l{1,2}|h)?[sdiufxXc@](?![^\W_])"  # %s %1$d %(name)s %.2f
    r"|\$?\{\{?\s?[\w.:\-]*\s?\}?\}"  # {} {0} {name} {{ name }} ${name}
    r"|</?[A-Za-z][\w:-]{0,20}(?:\s[^<>]{0,300})?/?>"  # <b> </b> <br/> <a href="...">
    r"|</?\d{1,3}/?>"  # <1> </1> <2/>
)
_TAG_NAME = re.compile(r"<(/?)([\w:-]+)")


def placeholders_in(text: str) -> Counter[str]:
    """How often each is in the text; tags without their attributes, and `<br/>` as `<br>`."""
    if not ("%" in text or "{" in text or "<" in text):
        return Counter()
    return Counter(_plain(found) for found in _PLACEHOLDER.findall(text))


def _plain(placeholder: str) -> str:
    tag = _TAG_NAME.match(placeholder)
    return f"<{tag[1]}{tag[2].lower()}>" if tag else placeholder.replace(" ", "")
