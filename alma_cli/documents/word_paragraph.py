"""A paragraph of WordprocessingML as slots: runs of another format than most of the text become numbered tags.

    <w:r><w:t>Das </w:t></w:r><w:r><w:rPr><w:b/></w:rPr><w:t>rote</w:t></w:r><w:r><w:t> Haus</w:t></w:r>

is `Das <1>rote</1> Haus` to a model. Links, insertions and content controls are tags around their text; notes, pictures
and fields are tags that stand alone; tabs and line breaks end a segment; deleted text and bookmarks are not shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alma_cli.documents.inline import Span
from alma_cli.documents.pieces import Piece, numbered, trimmed
from alma_cli.documents.splice import Slot
from alma_cli.documents.word_runs import Flow, RunWriter
from alma_cli.documents.xml_tree import Node, text_pieces

_MAIN = (
    "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
    "http://purl.oclc.org/ooxml/wordprocessingml/main",
)
_AROUND_RUNS = {"hyperlink", "ins", "smartTag", "moveTo", "bdo", "dir", "customXml"}
_TO_THE_FRONT = {"bookmarkStart", "commentRangeStart", "permStart", "moveToRangeStart", "moveFromRangeStart"}
_TO_THE_BACK = {"bookmarkEnd", "commentRangeEnd", "permEnd", "moveToRangeEnd", "moveFromRangeEnd", "del", "moveFrom"}
_LEFT_OUT = {"pPr", "rPr", "proofErr", "lastRenderedPageBreak", "softHyphen"}
_BREAKS = {"tab", "br", "cr", "ptab", "fldChar", "instrText"}


def paragraphs(document: Node) -> Iterator[Node]:
    """Every paragraph, those in tables and text boxes, too."""
    root = next(document.elements())
    prefix = next(
        (key[6:] for key, value in root.attributes.items() if value in _MAIN and key.startswith("xmlns:")), "w"
    )
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node.name == f"{prefix}:p":
            yield node
        waiting += reversed(list(node.elements()))


def paragraph_slots(paragraph: Node, location: str) -> Iterator[Slot]:
    """The slots of one paragraph; those in its text boxes belong to paragraphs of their own."""
    flow = Flow()
    _add(paragraph, flow)
    group: list[Piece] = []
    for piece in [*flow.pieces, Piece("break", 0, 0)]:
        if piece.kind != "break":
            group.append(piece)
            continue
        if slot := _slot(group, flow, paragraph, location):
            yield slot
        group = []


def _add(container: Node, flow: Flow) -> None:
    children = list(container.elements())
    i = 0
    while i < len(children):
        node, last = children[i], i
        if node.local == "r" and _field_mark(node) == "begin" and (last := _field_end(children, i)) > i:
            _add_field(children[i : last + 1], flow)
        elif node.local == "r":
            _add_run(node, flow)
        elif node.local in _AROUND_RUNS:
            _add_pair(node, (node.start, node.inner[0]), (node.inner[1], node.end), node, flow)
        elif node.local == "sdt" and (inside := next(node.elements("sdtContent"), None)):
            _add_pair(inside, (node.start, inside.inner[0]), (inside.inner[1], node.end), node, flow)
        elif node.local in _TO_THE_FRONT or node.local in _TO_THE_BACK:
            (flow.front if node.local in _TO_THE_FRONT else flow.back).append((node.start, node.end))
        elif node.local not in _LEFT_OUT:
            flow.pieces.append(Piece("alone", node.start, node.end))
        i = max(i, last) + 1


def _add_pair(container: Node, opening: Span, closing: Span, node: Node, flow: Flow) -> None:
    flow.pieces.append(Piece("open", *opening, key=str(node.start)))
    _add(container, flow)
    flow.pieces.append(Piece("close", *closing, key=str(node.start)))


def _add_run(run: Node, flow: Flow) -> None:
    properties = next(run.elements("rPr"), None)
    format_ = (properties.start, properties.end) if properties else (run.inner[0], run.inner[0])
    for node in run.elements():
        if node.local == "t":
            for piece in text_pieces(node.children):
                flow.pieces.append(piece)
                flow.formats[piece.start] = format_
                flow.texts[piece.start] = node
        elif node.local in _BREAKS:
            flow.pieces.append(Piece("break", node.start, node.end))
        elif node.local not in _LEFT_OUT:
            flow.pieces.append(Piece("alone", node.start, node.end))
            flow.formats[node.start] = format_


def _field_mark(run: Node) -> str:
    mark = next(run.elements("fldChar"), None)
    return next((value for key, value in mark.attributes.items() if key.endswith("fldCharType")), "") if mark else ""


def _field_end(siblings: Sequence[Node], begin: int) -> int:
    """The index of the run that ends the field; 0 where it ends in another paragraph."""
    depth = 0
    for i in range(begin, len(siblings)):
        mark = _field_mark(siblings[i]) if siblings[i].local == "r" else ""
        depth += {"begin": 1, "end": -1}.get(mark, 0)
        if not depth:
            return i
    return 0


def _add_field(runs: Sequence[Node], flow: Flow) -> None:
    """A link's text is text; the result of any other field is computed by Word, and stands alone."""
    separator = next((i for i, run in enumerate(runs) if _field_mark(run) == "separate"), 0)
    code = "".join(run.source[run.start : run.end] for run in runs[:separator])
    if "HYPERLINK" not in code:
        flow.pieces.append(Piece("alone", runs[0].start, runs[-1].end))
        return
    flow.pieces.append(Piece("open", runs[0].start, runs[separator].end, key=str(runs[0].start)))
    for run in runs[separator + 1 : -1]:
        if run.local == "r":
            _add_run(run, flow)
    flow.pieces.append(Piece("close", runs[-1].start, runs[-1].end, key=str(runs[0].start)))


def _slot(group: Sequence[Piece], flow: Flow, paragraph: Node, location: str) -> Slot | None:
    source = paragraph.source
    bare = trimmed(group, tags_outside=True)
    plain = "".join(piece.text for piece in bare if piece.kind == "text")
    if not any(map(str.isalpha, plain)):
        return None
    writer = RunWriter(source, flow, paragraph.name.removesuffix("p"), bare)
    tags, segment = numbered(list(writer.with_formats()), plain)
    return Slot(*writer.span, segment, tags, writer.write, location=location)
