"""SubRip and WebVTT: the text of each cue; numbers, timings, notes, styles and positions are never touched."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Literal

from alma_cli.documents.decoded import decode
from alma_cli.documents.inline import Event
from alma_cli.documents.options import DocumentOptions
from alma_cli.documents.pieces import Piece, lines, references, slot_of
from alma_cli.documents.splice import Markup, Slot, SplicedDocument, Write, written_with
from alma_cli.errors import InputError

_TIMING = re.compile(r"^[ \t]*(?:\d+:)?\d+:\d+[.,]\d+[ \t]+-->[ \t]+(?:\d+:)?\d+:\d+[.,]\d+[^\n]*(?:\n|\Z)", re.M)
_NUMBER_AT_END = re.compile(r"(?:^|(?<=\n))[ \t]*\d+[ \t]*\r?\n\Z")  # of a cue that no blank line parts from this one
_CUE = re.compile(r"(?:[^\n]*[^\s][^\n]*(?:\n|\Z))*")
_SPEAKER = re.compile(r"[ \t]*[-\u2010-\u2015][ \t]*")
_SRT_TAG = re.compile(r"<(/?)([a-zA-Z]+)[^<>\n]*>|\{\\[^{}\n]*\}")
_VTT_TAG = re.compile(r"<(/?)(\w*)[^<>]*>")
_VTT_REFERENCE = re.compile(r"&(?:amp|lt|gt|nbsp|lrm|rlm);")
_VTT_MEANING = {"&amp;": "&", "&lt;": "<", "&gt;": ">", "&nbsp;": "\u00a0", "&lrm;": "\u200e", "&rlm;": "\u200f"}
_NONE = re.compile(r"(?!)")
_TAG_OR_SPACE = re.compile(r"<[^<>]*>|( )")


def read_srt(content: bytes, name: str, _: DocumentOptions) -> SplicedDocument:
    """The cues of a SubRip file."""
    return _document(content, name, _SRT_TAG, lambda text: text.replace("-->", "->"))


def read_vtt(content: bytes, name: str, _: DocumentOptions) -> SplicedDocument:
    """The cues of a WebVTT file."""
    if not content.removeprefix(b"\xef\xbb\xbf").startswith((b"WEBVTT", b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"'{name}' line 1 is not `WEBVTT`: it is no WebVTT file", hint="SubRip files end in .srt")
    return _document(content, name, _VTT_TAG, _vtt_escape)


def _vtt_escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _document(content: bytes, name: str, tag: re.Pattern[str], escape: Callable[[str], str]) -> SplicedDocument:
    decoded = decode(content, name)
    text = decoded.text
    timings = list(_TIMING.finditer(text))
    if not timings and text.strip().removeprefix("WEBVTT"):
        raise InputError(f"'{name}' has no line with the times of a cue, such as 00:01:02,000 --> 00:01:04,500")
    slots: list[Slot] = []
    for timing, after in zip_longest(timings, timings[1:]):
        cue = _CUE.match(text, timing.end(), after.start() if after else len(text))
        assert cue is not None
        number = _NUMBER_AT_END.search(cue[0]) if after and after.start() == cue.end() else None
        slots += _cue_slots(text, cue.start(), cue.start() + number.start() if number else cue.end(), tag, escape)
    return SplicedDocument(content, text, tuple(slots), decoded.codec, decoded.bom)


def _cue_slots(text: str, start: int, end: int, tag: re.Pattern[str], escape: Callable[[str], str]) -> Iterator[Slot]:
    """One slot for the cue, its lines taken for one sentence; a slot a line where each begins with a speaker's dash."""
    rows = list(lines(_pieces(text, start, end, tag)))
    rows = [row for row in rows if any(piece.text.strip() or piece.kind != "text" for piece in row)]
    if not rows:
        return
    speakers = [_SPEAKER.match(text, row[0].start) for row in rows]
    if len(rows) > 1 and all(speakers):
        for row, speaker in zip(rows, speakers, strict=True):
            assert speaker is not None
            if slot := slot_of(_pieces(text, speaker.end(), row[-1].end, tag), escape=escape):
                yield slot
        return
    feed = "\r\n" if "\r\n" in text[start:end] else "\n"
    if slot := slot_of(_pieces(text, start, end, tag), write=_wrapped(len(rows), feed, escape), one_space=True):
        yield slot


def _pieces(text: str, start: int, end: int, tag: re.Pattern[str]) -> list[Piece]:
    found = []
    for match in tag.finditer(text, start, end):
        found += _words(text, start, match.start(), tag)
        is_pair = match.lastindex == 2 and match[2] != ""
        paired: Literal["open", "close"] = "close" if match[1] else "open"
        found.append(Piece(paired if is_pair else "alone", match.start(), match.end(), key=match[2] or ""))
        start = match.end()
    return found + _words(text, start, end, tag)


def _words(text: str, start: int, end: int, tag: re.Pattern[str]) -> list[Piece]:
    pattern = _VTT_REFERENCE if tag is _VTT_TAG else _NONE
    return references(text, start, end, pattern, lambda reference: _VTT_MEANING[reference])


def _wrapped(rows: int, feed: str, escape: Callable[[str], str]) -> Write:
    """Writes over as many lines as the cue had, at most, about equally long."""
    written = written_with(escape)

    def write(events: Sequence[Event], markup: Markup) -> str:
        return feed.join(_rows_of(written(events, markup), rows))

    return write


def _rows_of(line: str, rows: int) -> list[str]:
    spaces = [match.start() for match in _TAG_OR_SPACE.finditer(line) if match[1]]
    if rows == 1 or not spaces:
        return [line]
    at = min(spaces, key=lambda space: abs(space - len(line) / rows))
    return [line[:at], *_rows_of(line[at + 1 :], rows - 1)]
