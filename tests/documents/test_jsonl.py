"""JSON lines: one field changes; spaces, order, numbers and escapes of the rest do not."""

from __future__ import annotations

import json
import random

import pytest

from alma_cli.errors import InputError
from tests.documents.changed import all_changed, changed, is_byte_faithful, read

CHAT = (
    '{"id": 1.0e2, "text": "other",  "a" : {"b":[{"t":"Gr\\u00fc\\u00dfe,\\nzwei \\"Zeilen\\"\\ud83d\\ude00"}'
    ' , {"t":"Und 日"},{"u":"no"}]} }\r\n'
    "\n"
    '  {"a":{"b":{"t":"Ein\\/Zwei"},"b2":"t"},"a2":{"b":{"t":"falsch"}},"z":"\\u0000"}\n'
    '{"a":{"b":null},"n":NaN}\n'
    '{"a":{"b":[{"t":["Liste","zwei"]},{"t":"  "},{"t":"12"}]}}'
)


def test_only_the_strings_of_the_field_change() -> None:
    document = read(CHAT, "chat.jsonl", field="a.b.t")

    assert document.segments == ("Grüße,", 'zwei "Zeilen"😀', "Und 日", "Ein/Zwei", "Liste", "zwei")
    assert document.locations == ("line 1", "line 1", "line 1", "line 3", "line 5", "line 5")
    assert document.notes == ("1 lines without the field 'a.b.t' are left as they are",)
    assert is_byte_faithful(document)
    before, after = (json.loads(text.split("\n")[0]) for text in (CHAT, all_changed(document)))
    before["a"]["b"][0]["t"] = changed(before["a"]["b"][0]["t"])
    before["a"]["b"][1]["t"] = "UND 日"
    assert after == before


def test_letters_are_escaped_where_the_source_escapes_them() -> None:
    document = read('{"text":"Gr\\u00fcn"}\n{"text":"Grün"}\n', "x.jsonl")

    assert document.render(["zelený", 'žlutý "\\']) == '{"text":"zelen\\u00fd"}\n{"text":"žlutý \\"\\\\"}\n'.encode()


@pytest.mark.parametrize(
    "line", ['{"de":"Haus","en":"x"}', '{"text":"Haus","n":1}', '{"only":"Haus","n":1}', '"Haus"', '["Haus"]']
)
def test_the_field_may_be_left_out_where_there_is_no_doubt(line: str) -> None:
    assert read(line + "\n", "x.jsonl", source="de").segments == ("Haus",)


@pytest.mark.parametrize("seed", range(20))
def test_any_lines_come_back_byte_for_byte(seed: int) -> None:
    chance = random.Random(seed)
    texts = ["".join(chance.choices('aä日🙂"\\/\n\t\x01\x7f\u2028', k=12)) for _ in range(20)]
    values = [{"x": chance.random(), "t": {"u": text}, "v": [None, {}, []]} for text in texts]
    content = "\n".join(json.dumps(value, ensure_ascii=chance.random() < 0.5) for value in values)

    document = read(content, "x.jsonl", field="t.u")

    assert [json.loads(line)["t"]["u"] for line in all_changed(document).split("\n")] == [t.upper() for t in texts]


@pytest.mark.parametrize(
    ("content", "field", "message"),
    [
        ('{"a":"b"}\n{"a":', "", "'x.jsonl' line 2 is not JSON: Expecting value: line 1 column 6 (char 5)"),
        ('{"a":"b","c":"d"}\n', "", "'x.jsonl': which field is to be translated? It has: a, c (name one with --field)"),
        ('{"abc":"b"}\n', "abd", "'x.jsonl': no line has text in the field 'abd' (did you mean 'abc'?)"),
        ("[" * 100_000 + "\n", "a", "'x.jsonl' line 1 is nested too deeply"),
        ("", "", "'x.jsonl' is empty"),
    ],
)
def test_what_cannot_be_read_is_said(content: str, field: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(content, "x.jsonl", field=field)

    assert str(caught.value) == message
