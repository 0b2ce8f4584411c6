"""HTML in a text: which tags and entities, how often."""

from __future__ import annotations

import re
from collections import Counter

_MARKUP = re.compile(r"</?([A-Za-z][A-Za-z0-9]{0,10})(?:\s[^<>]{0,300})?\s?/?>|&(#?\w{2,8});")
_TAGS = """
a abbr article aside b big blockquote body br button center code dd div dl dt em figure font footer form h1 h2 h3 h4 h5
h6 head header hr html i iframe img input label li link main meta nav ol option p pre s script section select small span
strong style sub sup table tbody td th thead tr tt u ul
"""
_ENTITIES = """
amp apos auml copy gt hellip laquo ldquo lsquo lt mdash nbsp ndash ouml quot raquo rdquo reg rsquo szlig uuml
"""
_NAMES = frozenset((_TAGS + _ENTITIES).split())


def html_in(text: str) -> Counter[str]:
    """How often each tag, opening or closing, and each entity is in the text."""
    names = ((tag or entity).lower() for tag, entity in _MARKUP.findall(text))
    return Counter(name for name in names if name in _NAMES or name.startswith("#"))
