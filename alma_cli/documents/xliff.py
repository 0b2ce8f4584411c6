"""XLIFF 1.2 and 2.x: targets that are missing are filled; notes, states of others, skeletons stay.

1.2: `<target state="needs-review-translation" state-qualifier="mt-suggestion">`; 2.x: `<segment state="translated">`,
which is less than `reviewed`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from alma_cli.documents.inline_xml import has_text, segmented_slots, target_slots
from alma_cli.documents.options import DocumentOptions
from alma_cli.documents.splice import Slot, SplicedDocument
from alma_cli.documents.xml_tree import Node, read_xml
from alma_cli.errors import InputError, UsageError

_UNTRANSLATED = {"new", "needs-translation", "needs-l10n", "initial"}
_STATE_1 = ' state="needs-review-translation" state-qualifier="mt-suggestion"'


def read_xliff(content: bytes, name: str, options: DocumentOptions) -> SplicedDocument:
    """The units without a translation; with retranslate, all that may be translated."""
    decoded, document = read_xml(content, name)
    root = next(document.elements())
    if root.local != "xliff":
        raise InputError(f"'{name}' is no XLIFF file: its root is <{root.name}>")
    is_first = root.attributes.get("version", "").startswith("1")
    slots: list[Slot] = []
    kept = 0
    for unit in root.all("trans-unit" if is_first else "segment"):
        source, target = next(unit.elements("source"), None), next(unit.elements("target"), None)
        if source is None or unit.setting("translate") == "no":
            continue
        if target and has_text(target) and not options.retranslate and not _is_due(unit, target):
            kept += 1
        elif is_first:
            slots += _first(unit, next(unit.elements("seg-source"), source), target)
        else:
            slots += _second(unit, source, target)
    notes = (f"{kept} translations that were there are kept",) if kept else ()
    additions = () if is_first or not slots else tuple(_target_language(root, options, name))
    return SplicedDocument(
        content, decoded.text, tuple(slots), decoded.codec, decoded.bom, "xmlcharrefreplace", notes, additions
    )


def xliff_units(content: bytes, name: str, _: DocumentOptions) -> list[tuple[str, str]]:
    """Each unit's source and target; empty where it has none."""
    _decoded, document = read_xml(content, name)
    root = next(document.elements())
    is_first = root.attributes.get("version", "").startswith("1")
    found: list[tuple[str, str]] = []
    for unit in root.all("trans-unit" if is_first else "segment"):
        sides = (next(unit.elements(side), None) for side in ("source", "target"))
        source, target = (" ".join(slot.segment for slot in segmented_slots(one)) if one else "" for one in sides)
        found.append((source, target))
    return found


def _is_due(unit: Node, target: Node) -> bool:
    if unit.attributes.get("approved") == "yes":
        return False
    return target.attributes.get("state") in _UNTRANSLATED or unit.attributes.get("state") == "initial"


def _first(unit: Node, source: Node, target: Node | None) -> list[Slot]:
    location = f"unit {unit.attributes.get('id', '?')}"
    name = source.name.replace("seg-source", "target").replace("source", "target")
    if target is None:
        place, opening = (source.end, source.end), f"{_indent(source)}<{name}{_STATE_1}>"
    else:
        place, opening = (target.start, target.end), _without(target, "state", "state-qualifier") + _STATE_1 + ">"
    return target_slots(source, segmented_slots(source), place, opening, f"</{name}>", location)


def _second(segment: Node, source: Node, target: Node | None) -> list[Slot]:
    """The slot begins with the segment's own tag, because the state stands there."""
    unit = segment.parent
    location = f"unit {unit.attributes.get('id', '?') if unit else '?'}"
    name = source.name.replace("source", "target")
    between = segment.source[segment.inner[0] : target.start if target else source.end]
    opening = _without(target, "state") + ">" if target else f"{_indent(source)}<{name}>"
    before = _without(segment, "state", "subState") + ' state="translated">' + between + opening
    place = (segment.start, target.end if target else source.end)
    return target_slots(source, segmented_slots(source), place, before, f"</{name}>", location)


def _without(element: Node, *names: str) -> str:
    """The element's opening tag without those attributes and without its end."""
    tag = element.source[element.start : element.inner[0]].rstrip(">").rstrip("/").rstrip()
    for name in names:
        tag = re.sub(rf"""\s{name}\s*=\s*("[^"]*"|'[^']*')""", "", tag)
    return tag


def _indent(element: Node) -> str:
    match = re.search(r"\s*\Z", element.source[: element.start][-200:])
    return match[0] if match else ""


def _target_language(root: Node, options: DocumentOptions, name: str) -> Iterator[tuple[int, str]]:
    """The `trgLang` that XLIFF 2 asks for where there are targets. Raises UsageError where it is not known."""
    if "trgLang" not in root.attributes:
        if not options.target:
            raise UsageError(f"'{name}' names no target language", hint="name it with --tgt")
        yield root.inner[0] - 1, f' trgLang="{options.target}"'
