"""TMX: each unit that has the source language gets the target language, too; what is there stays as it is."""

from __future__ import annotations

import re

from alma_cli.documents.inline_xml import content_slot, has_text, target_slots
from alma_cli.documents.options import DocumentOptions
from alma_cli.documents.splice import Slot, SplicedDocument
from alma_cli.documents.xml_tree import Node, read_xml
from alma_cli.errors import InputError, UsageError


def read_tmx(content: bytes, name: str, options: DocumentOptions) -> SplicedDocument:
    """The units without a translation into the target language; with retranslate, all in the source language."""
    if not options.source or not options.target:
        raise UsageError(f"'{name}' has many languages", hint="name both with --src and --tgt")
    decoded, document = read_xml(content, name)
    root = next(document.elements())
    if root.local != "tmx":
        raise InputError(f"'{name}' is no TMX file: its root is <{root.name}>")
    slots: list[Slot] = []
    kept, seen = 0, set[str]()
    for number, unit in enumerate(root.all("tu"), start=1):
        variants = {_language(variant): variant for variant in reversed(list(unit.elements("tuv")))}
        seen |= variants.keys()
        source, target = variants.get(options.source), variants.get(options.target)
        text = next(source.elements("seg"), None) if source else None
        filled = next(target.elements("seg"), None) if target else None
        if source is None or text is None:
            continue
        if filled and has_text(filled) and not options.retranslate:
            kept += 1
        elif slot := content_slot(text):
            location = f"unit {unit.attributes.get('tuid', number)}"
            slots += _slots(source, text, target, filled, slot, options.target, location)
    if seen and options.source not in seen:
        raise InputError(f"'{name}' has no text in '{options.source}'", hint=f"it has: {', '.join(sorted(seen))}")
    notes = (f"{kept} translations that were there are kept",) if kept else ()
    return SplicedDocument(content, decoded.text, tuple(slots), decoded.codec, decoded.bom, "xmlcharrefreplace", notes)


def tmx_units(content: bytes, name: str, options: DocumentOptions) -> list[tuple[str, str]]:
    """Each unit's text in the source and in the target language; empty where it has none."""
    _decoded, document = read_xml(content, name)
    found: list[tuple[str, str]] = []
    for unit in next(document.elements()).all("tu"):
        variants = {_language(variant): variant for variant in reversed(list(unit.elements("tuv")))}
        texts = [
            next(variants[code].elements("seg"), None) if code in variants else None
            for code in (options.source, options.target)
        ]
        source, target = (slot.segment if text and (slot := content_slot(text)) else "" for text in texts)
        found.append((source, target))
    return found


def _language(variant: Node) -> str:
    """The language code without its region."""
    value = variant.attributes.get("xml:lang", variant.attributes.get("lang", ""))
    return re.split("[-_]", value.lower())[0]


def _slots(
    source: Node, text: Node, target: Node | None, filled: Node | None, slot: Slot, language: str, location: str
) -> list[Slot]:
    tags = f"<{text.name}>", f"</{text.name}>"
    if filled:
        return target_slots(text, [slot], (filled.start, filled.end), *tags, location)
    if target:
        return target_slots(text, [slot], (target.inner[1], target.inner[1]), *tags, location)
    indent = re.search(r"\s*\Z", source.source[: source.start][-200:])
    before = f'{indent[0] if indent else ""}<{source.name} xml:lang="{language}">{tags[0]}'
    return target_slots(text, [slot], (source.end, source.end), before, f"{tags[1]}</{source.name}>", location)
