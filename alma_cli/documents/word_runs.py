"""The runs of a Word paragraph: which formats its text has, and a translation written as runs of those formats."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from alma_cli.documents.inline import Event, Span
from alma_cli.documents.pieces import Piece
from alma_cli.documents.splice import Markup
from alma_cli.documents.xml_tree import Node, escape_like

_NO_FORMAT = re.compile(r"<\w+:(?:lang|noProof|webHidden|bCs|iCs|szCs)\b[^>]*/>|\s+(?=<)")


@dataclass
class Flow:
    """A paragraph's content in one row."""

    pieces: list[Piece] = field(default_factory=list)
    formats: dict[int, Span] = field(default_factory=dict)  # of a text, or of an element inside a run: by its start
    texts: dict[int, Node] = field(default_factory=dict)  # the <w:t> of a text, by the start of any of its pieces
    front: list[Span] = field(default_factory=list)
    back: list[Span] = field(default_factory=list)


class RunWriter:
    """Writes a translation as runs, for the stretch of a paragraph that its pieces cover."""

    def __init__(self, source: str, flow: Flow, prefix: str, pieces: Sequence[Piece]) -> None:
        self.source, self.flow, self.prefix, self.pieces = source, flow, prefix, pieces
        self.escape = escape_like(pieces, source)
        first, last = pieces[0], pieces[-1]
        texts = [flow.texts.get(self._own(piece)) for piece in (first, last)]
        self.span = (texts[0].start if texts[0] else first.start, texts[1].end if texts[1] else last.end)
        self.leading = source[texts[0].inner[0] : first.start] if texts[0] else ""
        self.trailing = source[last.end : texts[1].inner[1]] if texts[1] else ""
        self.begins_in = flow.formats.get(self._own(first))  # None: between runs
        self.ends_in = flow.formats.get(self._own(last))
        self.usual = self._usual_formats()

    def _own(self, piece: Piece) -> int:
        """The start that the piece had before it was trimmed."""
        if piece.kind == "text" and piece.start not in self.flow.texts:
            return max(start for start in self.flow.texts if start <= piece.start)
        return piece.start

    def _key(self, format_: Span) -> str:
        """What the format looks like, without what cannot be seen."""
        return _NO_FORMAT.sub("", self.source[slice(*format_)]).replace(f"<{self.prefix}rPr></{self.prefix}rPr>", "")

    def _usual_formats(self) -> dict[int, Span]:
        """The format that most of the text has: in each link, by its start, and (at -1) outside of all."""
        counts: dict[int, Counter[str]] = {}
        spans: dict[str, Span] = {}
        inside = [-1]
        for piece in self.pieces:
            if piece.kind == "open":
                inside.append(piece.start)
            elif piece.kind == "close" and len(inside) > 1:
                inside.pop()
            elif piece.kind == "text":
                format_ = self.flow.formats[self._own(piece)]
                spans.setdefault(self._key(format_), format_)
                counts.setdefault(inside[-1], Counter())[self._key(format_)] += len(piece.text.strip())
        usual = {place: spans[count.most_common(1)[0][0]] for place, count in counts.items()}
        return {-1: next(iter(usual.values())), **usual}

    def with_formats(self) -> Iterator[Piece]:
        """The pieces, and tags around the texts of an unusual format."""
        inside, current = [-1], ""
        for piece in self.pieces:
            is_text = piece.kind == "text"
            format_ = self.flow.formats[self._own(piece)] if is_text else (0, 0)
            usual = self.usual.get(inside[-1], self.usual[-1])
            is_unusual = is_text and self._key(format_) != self._key(usual)
            wanted = f"format {self._key(format_)}" if is_unusual else ""
            if is_text and not piece.text.strip():
                wanted = current
            if wanted != current:
                if current:
                    yield Piece("close", *format_, key=current)
                if wanted:
                    yield Piece("open", *format_, key=wanted)
                current = wanted
            if piece.kind == "open":
                inside.append(piece.start)
            elif piece.kind == "close" and len(inside) > 1:
                inside.pop()
            yield piece
        if current:
            yield Piece("close", 0, 0, key=current)

    def write(self, events: Sequence[Event], markup: Markup) -> str:
        """The runs, from where the first piece began to where the last one ended."""
        written: list[str] = []
        run = self.begins_in
        inside, formats = [-1], list[Span]()
        stream: list[str | Event] = [*self._hidden(self.flow.front), *self._framed(events)]
        for event in [*stream, *self._hidden(self.flow.back)]:
            if isinstance(event, str):  # markup between runs
                written += [self._leave(run), event]
                run = None
            elif event.tag is None:
                wanted = formats[-1] if formats else self.usual.get(inside[-1], self.usual[-1])
                name = f"{self.prefix}t"
                text = f'<{name} xml:space="preserve">{event.text}</{name}>'
                written += [self._enter(run, wanted), text]
                run = wanted
            elif self._is_format(event.tag.opening):
                formats = [*formats, event.tag.opening] if event.kind == "open" else formats[:-1]
            elif event.kind == "alone" and event.tag.opening[0] in self.flow.formats:
                wanted = self.flow.formats[event.tag.opening[0]]
                written += [self._enter(run, wanted), markup(event.tag.opening)]
                run = wanted
            else:
                closing = event.tag.closing if event.kind == "close" else None
                written += [self._leave(run), markup(closing or event.tag.opening)]
                run = None
                if event.kind == "open":
                    inside.append(event.tag.opening[0])
                elif event.kind == "close":
                    inside.pop()
        written.append(self._leave(run) if self.ends_in is None else self._enter(run, self.ends_in))
        return "".join(written)

    def _framed(self, events: Sequence[Event]) -> Iterator[Event]:
        """The events with their texts escaped and the white space at the edges in front and behind."""
        before = self.leading
        for event in events:
            if event.tag is None:
                before += self.escape(event.text)
                continue
            if before:
                yield Event("text", before)
            before = ""
            yield event
        if before + self.trailing:
            yield Event("text", before + self.trailing)

    def _hidden(self, spans: Iterable[Span]) -> list[str]:
        """Bookmarks and the like that stand inside the stretch: they go to its edges."""
        return [self.source[slice(*span)] for span in spans if self.span[0] <= span[0] < self.span[1]]

    def _is_format(self, opening: Span) -> bool:
        return opening[0] == opening[1] or self.source.startswith(f"<{self.prefix}rPr", opening[0])

    def _enter(self, run: Span | None, wanted: Span) -> str:
        if run is not None and self.source[slice(*run)] == self.source[slice(*wanted)]:
            return ""
        return f"{self._leave(run)}<{self.prefix}r>{self.source[slice(*wanted)]}"

    def _leave(self, run: Span | None) -> str:
        return "" if run is None else f"</{self.prefix}r>"
