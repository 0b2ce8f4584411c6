"""Records that only a parser can tell apart, gathered into blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from alma_cli.data.records import RawBlock

Numbered = tuple[int, Any]
"""A record, as far as it is taken apart, after its place in its file."""


def blocks_of(records: Iterable[Numbered], block_bytes: int) -> Iterator[RawBlock]:
    """Blocks whose content is a list of numbered records, with texts of about `block_bytes` characters in all."""
    group: list[Numbered] = []
    size = 0
    for record in records:
        group.append(record)
        size += size_of(record[1]) + 1
        if size >= block_bytes:
            yield RawBlock(group[0][0], group)
            group, size = [], 0
    if group:
        yield RawBlock(group[0][0], group)


def size_of(value: Any) -> int:
    """About how many characters a value of strings, lists and dicts has."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + size_of(inner) for key, inner in value.items())
    return sum(map(size_of, value)) if isinstance(value, list | tuple) else 8
