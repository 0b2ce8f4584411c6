"""A file's bytes as text, in the encoding that its BOM or it itself names, so that it can be written again."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

from alma_cli.core.text_files import decode_text
from alma_cli.errors import InputError

_WIDE = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True)
class Decoded:
    """bom + text.encode(codec) are the bytes again."""

    text: str
    codec: str = "utf-8"
    bom: bytes = b""


def decode(content: bytes, name: str, *, declared: str = "utf-8") -> Decoded:
    """The text in the encoding of the BOM, else the declared one. Raises InputError that names the line."""
    for bom, codec in _WIDE:
        if content.startswith(bom):
            return Decoded(_decoded_by(codec, content[len(bom) :], name), codec, bom)
    try:
        codec = codecs.lookup(declared).name
    except LookupError:
        raise InputError(f"'{name}' says it is in an unknown encoding '{declared}'", hint="convert to UTF-8") from None
    if content.startswith(codecs.BOM_UTF8):
        return Decoded(decode_text(content, name), bom=codecs.BOM_UTF8)
    if codec in ("utf-8", "ascii"):
        return Decoded(decode_text(content, name))
    return Decoded(_decoded_by(codec, content, name), codec)


def _decoded_by(codec: str, content: bytes, name: str) -> str:
    try:
        text = content.decode(codec)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"'{name}' line {line} is not {codec.upper()}", hint="convert the file to UTF-8") from None
    if (nul := text.find("\0")) >= 0:
        raise InputError(f"'{name}' line {text.count(chr(10), 0, nul) + 1} has a NUL byte: it is not a text file")
    if text.encode(codec) != content:
        raise InputError(f"'{name}' cannot be written again in {codec} as it is", hint="convert the file to UTF-8")
    return text
