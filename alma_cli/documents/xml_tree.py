"""XML as elements that know where they stand in their text: checked by expat, no entity is ever expanded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal
from xml.parsers import expat

from alma_cli.documents.decoded import Decoded, decode
from alma_cli.documents.inline import Span
from alma_cli.documents.pieces import Piece
from alma_cli.errors import InputError

_TOKEN = re.compile(
    r"<!--.*?-->|<\?.*?\?>|<!\[CDATA\[.*?\]\]>|<!DOCTYPE[^>\[]*(?:\[.*?\]\s*)?>"
    r"|<(/?)([^\s/>!?]+)(?:[^>\"']++|\"[^\"]*\"|'[^']*')*+>",
    re.S,
)
_DECLARED = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([-\w.]+)["']""")
_ATTRIBUTE = re.compile(r"""([^\s=<>"'/]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_REFERENCE = re.compile(r"&(?:#x[0-9a-fA-F]+|#\d+|[^\s&;]+);")
_NAMED = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&apos;": "'"}
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MOST_LEVELS = 200
_CUT_OFF = {"no element found", "unclosed token", "unclosed CDATA section"}


@dataclass
class Node:
    """An element with its content, or a text, a CDATA section, or anything else between tags."""

    kind: Literal["element", "text", "cdata", "other"]
    start: int
    end: int
    source: str = field(repr=False)  # the whole document's text
    name: str = ""
    inner: Span = (0, 0)  # the content of an element
    parent: Node | None = field(default=None, repr=False)
    children: list[Node] = field(default_factory=list, repr=False)

    @cached_property
    def local(self) -> str:
        """The name without its prefix."""
        return self.name.rpartition(":")[2]

    @cached_property
    def attributes(self) -> dict[str, str]:
        """The attributes by qualified name, references in them as they are written."""
        tag = self.source[self.start : self.inner[0]]
        return {match[1]: match[2] if match[2] is not None else match[3] for match in _ATTRIBUTE.finditer(tag)}

    def elements(self, local: str | None = None) -> Iterator[Node]:
        """The element children, of that name or all."""
        return (node for node in self.children if node.kind == "element" and local in (None, node.local))

    def all(self, local: str) -> Iterator[Node]:
        """Every element of that name below, in the order of the document."""
        for node in self.elements():
            if node.local == local:
                yield node
            yield from node.all(local)

    def setting(self, attribute: str) -> str:
        """The attribute's value, here or at the nearest ancestor that has one; empty if none has."""
        node: Node | None = self
        while node is not None:
            if attribute in node.attributes:
                return node.attributes[attribute]
            node = node.parent
        return ""


def read_xml(content: bytes, name: str) -> tuple[Decoded, Node]:
    """The text and its tree. Raises InputError for what is not well-formed, or declares entities."""
    match = _DECLARED.match(content[:1000].removeprefix(b"\xef\xbb\xbf"))
    decoded = decode(content, name, declared=match[1].decode() if match else "utf-8")
    _check(decoded.text, name)
    return decoded, _tree(decoded.text, name)


def _check(text: str, name: str) -> None:
    parser = expat.ParserCreate("utf-8")

    def refuse(entity: str, *_: object) -> None:
        hint = "write its text where it is used"
        raise InputError(f"'{name}' declares the entity '{entity}': none is expanded here", hint=hint)

    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(text.encode("utf-8"), True)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        hint = "the file seems to be cut off" if reason in _CUT_OFF else ""
        raise InputError(f"'{name}' line {error.lineno} is not well-formed XML: {reason}", hint=hint) from None


def _tree(text: str, name: str) -> Node:
    root = node = Node("element", 0, len(text), text)
    position = depth = 0
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        if position < start:
            node.children.append(Node("text", position, start, text))
        position = end
        if match[2] is None:
            kind: Literal["cdata", "other"] = "cdata" if text.startswith("<![", start) else "other"
            node.children.append(Node(kind, start, end, text))
        elif match[1]:
            node.inner, node.end = (node.inner[0], start), end
            assert node.parent is not None
            node, depth = node.parent, depth - 1
        else:
            child = Node("element", start, end, text, match[2], (end, end), node)
            node.children.append(child)
            if text[end - 2] != "/":
                node, depth = child, depth + 1
        if depth > _MOST_LEVELS:
            raise InputError(f"'{name}': its elements are nested in more than {_MOST_LEVELS} levels")
    return root


def text_pieces(nodes: Iterable[Node]) -> list[Piece]:
    """Texts, references and CDATA sections with their meaning; anything else stands alone."""
    found = []
    for node in nodes:
        if node.kind == "text":
            found += _with_references(node.source, node.start, node.end)
        elif node.kind == "cdata":
            found.append(Piece("text", node.start, node.end, node.source[node.start + 9 : node.end - 3]))
        else:
            found.append(Piece("alone", node.start, node.end))
    return found


def _with_references(text: str, start: int, end: int) -> list[Piece]:
    found = []
    for match in _REFERENCE.finditer(text, start, end):
        found.append(Piece("text", start, match.start(), text[start : match.start()]))
        meaning = _meaning(match[0])
        found.append(Piece("text" if meaning else "alone", *match.span(), meaning))
        start = match.end()
    return [piece for piece in [*found, Piece("text", start, end, text[start:end])] if piece.start < piece.end]


def _meaning(reference: str) -> str:
    """The character; empty for an entity that only a DTD knows."""
    if reference.startswith("&#x"):
        return chr(int(reference[3:-1], 16))
    return chr(int(reference[2:-1])) if reference.startswith("&#") else _NAMED.get(reference, "")


def only_cdata(pieces: Sequence[Piece], text: str) -> tuple[list[Piece], Callable[[str], str]] | None:
    """The inside of the CDATA section that is all the text there is, and how to write there."""
    full = [piece for piece in pieces if piece.kind != "text" or piece.text.strip()]
    if len(full) != 1 or not text.startswith("<![CDATA[", full[0].start):
        return None
    start, end = full[0].start + 9, full[0].end - 3
    return [Piece("text", start, end, text[start:end])], lambda t: legal(t).replace("]]>", "]]]]><![CDATA[>")


def escape_like(pieces: Iterable[Piece], text: str) -> Callable[[str], str]:
    """Writes text as XML; a character that the source writes as a reference is written so again."""
    written = {
        piece.text: text[piece.start : piece.end]
        for piece in pieces
        if piece.kind == "text" and len(piece.text) == 1 and not piece.is_literal and text[piece.start] == "&"
    }
    table = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"} | written)
    return lambda translation: legal(translation).translate(table)


def legal(text: str) -> str:
    """The text without the control characters that XML cannot have."""
    return _ILLEGAL.sub("", text)
