"""A sentence pair or a document out of an object with fields, as JSON, Parquet and the hub have them.

{"translation": {"de": "...", "en": "..."}}              the pair of ALMA and of many data sets
{"de": "...", "en": "..."}
{"direction": "de-en", "source": "...", "target": "..."}  a pair for this direction only
{"de-en": {"de": "...", "en": "..."}}                     haoranxu/WMT22-Test
{"translation": {...}, "meta": {"text": "..."}}           with fields such as translation.de, meta.text: anything
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

from alma_cli.core.dataset import Document
from alma_cli.core.languages import LANGUAGES, Direction
from alma_cli.data.files import shown
from alma_cli.data.records import Pair, Unreadable
from alma_cli.errors import AlmaError

OWN_PAIR = ("direction", "source", "target")
NESTED = "translation"


@final
@dataclass(frozen=True)
class PairShape:
    """Where an object has its pair; without a direction, the languages are those that the object names."""

    direction: Direction | None = None
    fields: tuple[str, str] | None = None
    directed: bool = False

    def read(self, value: Any) -> Pair | Unreadable:
        """The object's pair."""
        pair = self._by_fields(value) if self.fields else self._by_languages(value)
        if pair is None:
            return _missing(value)
        return replace(pair, directed=True) if self.directed else pair

    def _by_fields(self, value: Any) -> Pair | None:
        assert self.fields is not None
        assert self.direction is not None
        return _pair(self.direction, *(value_at(value, field) for field in self.fields))

    def _by_languages(self, value: Any) -> Pair | None:
        if not isinstance(value, dict):
            return None
        if value.keys() >= set(OWN_PAIR):
            return _own_pair(value)
        nested = value.get(NESTED, value.get(str(self.direction)))
        texts = nested if isinstance(nested, dict) else value
        direction = self.direction
        if direction is None:
            codes = [code for code in texts if code in LANGUAGES]
            if len(codes) != 2:
                return None
            direction = Direction(*codes)
        return _pair(direction, texts.get(direction.source), texts.get(direction.target))


ANY_PAIR = PairShape()


def document_at(value: Any, field: str, language: str) -> Document | Unreadable:
    """The object's text under a field."""
    text = value_at(value, field)
    return Document(language, text) if isinstance(text, str) else _missing(value)


def value_at(value: Any, field: str) -> Any:
    """What an object has under a key, or under keys inside each other with dots between them; None for nothing."""
    if isinstance(value, dict) and field in value:
        return value[field]
    for key in field.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _own_pair(value: dict[str, Any]) -> Pair | None:
    try:
        pair = _pair(Direction.parse(str(value["direction"])), value["source"], value["target"])
    except AlmaError:
        return None
    return replace(pair, directed=True) if pair else None


def _pair(direction: Direction, source: Any, target: Any) -> Pair | None:
    if not isinstance(source, str) or not isinstance(target, str):
        return None
    return Pair(direction, source, target)


def _missing(value: Any) -> Unreadable:
    return Unreadable("missing_field", shown(str(value)))
