r"""gettext: msgstrs are filled; comments, contexts, flags, previous and obsolete messages do not change."""

from __future__ import annotations

import polib
import pytest

from alma_cli.errors import InputError
from tests.documents.changed import all_changed, changed, read

CATALOGUE = r"""# Translators: nobody yet.
#
#, fuzzy
msgid ""
msgstr ""
"Language: de\n"
"Content-Type: text/plain; charset=UTF-8\n"
"Plural-Forms: nplurals=3; plural=(n==1 ? 0 : n<5 ? 1 : 2);\n"

#. Comment of a programmer
#: main.c:12 gui.c:40
#, c-format
msgid "%d file in \"%s\"\n"
msgid_plural "%d files in \"%s\"\n"
msgstr[0] ""
msgstr[1] ""
msgstr[2] ""

msgctxt "menu"
msgid "Open"
msgstr ""

msgctxt "door"
msgid "Open"
msgstr "Offen"

#, fuzzy
#| msgid "Old text"
msgid "New text"
msgstr "Alter Text"

msgid ""
"Usage:\n"
"  tool [options] "
"FILE\n"
"\n"
"Options:\n"
msgstr ""

	msgid "Tab\there \\ slash"
	msgstr ""

msgid "100"
msgstr ""

#~ msgid "Gone"
#~ msgstr "Weg"
"""


def test_messages_without_a_translation_are_filled() -> None:
    document = read(CATALOGUE, "de.po")

    assert document.segments == (
        '%d file in "%s"',
        '%d files in "%s"',
        '%d files in "%s"',
        "Open",
        "New text",
        "Usage:",
        "tool [options] FILE",
        "Options:",
        "Tab\there \\ slash",
        "100",
    )
    assert document.locations[:4] == ("line 13", "line 13", "line 13", "line 19")
    assert document.notes == ("1 translations that were there are kept",)


def test_only_msgstrs_change_and_the_catalogue_opens() -> None:
    document = read(CATALOGUE, "de.po")

    before, after = polib.pofile(CATALOGUE), polib.pofile(all_changed(document))

    filled = [entry for entry in before if not entry.translated() and not entry.obsolete]
    for entry in filled:
        entry.msgstr = "" if entry.msgid_plural else changed(entry.msgid)
        plurals = {0: changed(entry.msgid), 1: changed(entry.msgid_plural), 2: changed(entry.msgid_plural)}
        entry.msgstr_plural = plurals if entry.msgid_plural else {}
    assert len(filled) == 6
    assert str(after) == str(before)


def test_what_is_no_msgstr_comes_back_byte_for_byte() -> None:
    kept = [line for line in CATALOGUE.split("\n") if not line.strip().startswith(("msgstr", '"'))]

    after = all_changed(read(CATALOGUE, "de.po")).split("\n")

    assert [line for line in after if not line.strip().startswith(("msgstr", '"'))] == kept


def test_lines_of_a_message_stay_lines() -> None:
    document = read(CATALOGUE, "de.po")

    assert 'msgstr ""\n"USAGE:\\n"\n"  TOOL [OPTIONS] FILE\\n"\n"\\n"\n"OPTIONS:\\n"\n\n' in all_changed(document)


def test_a_catalogue_with_a_bom_and_crlf_keeps_them() -> None:
    content = "\ufeff" + CATALOGUE.replace("\n", "\r\n")

    document = read(content, "de.po")

    rendered = document.render([changed(segment) for segment in document.segments])
    assert rendered == ("\ufeff" + all_changed(read(CATALOGUE, "de.po")).replace("\n", "\r\n")).encode()


def test_a_language_with_one_form_gets_the_plural() -> None:
    document = read('msgid "a file"\nmsgid_plural "%d files"\nmsgstr[0] ""\n', "zh.po")

    assert document.segments == ("%d files",)


def test_what_is_not_translated_yet_stays_without_a_translation() -> None:
    content = 'msgid "a\\nb"\nmsgstr ""\n\nmsgid "c"\nmsgstr ""\n\nmsgid "d\\ne"\nmsgstr ""\n'

    document = read(content, "x.po")

    assert document.segments == ("a", "b", "c", "d", "e")
    assert document.render([None] * 5) == content.encode()
    filled = content[: content.rindex('""')] + '""\n"d\\n"\n"E"\n'
    assert document.render([None, None, None, None, "E"]).decode() == filled


def test_translations_are_made_again_on_request() -> None:
    document = read('msgid "a"\nmsgstr "a"\n\nmsgid "b"\nmsgstr ""\n"b"\n', "x.po", retranslate=True)

    assert document.segments == ("a", "b")
    assert document.render(["x", 'y"\\']) == b'msgid "a"\nmsgstr "x"\n\nmsgid "b"\nmsgstr "y\\"\\\\"\n'


def test_what_is_translated_stays_where_others_are_filled() -> None:
    content = 'msgid "a"\nmsgstr "a"\n\nmsgid "b"\nmsgstr ""\n'

    assert read(content, "x.po").render(["c"]) == content.replace('""', '"c"').encode()


@pytest.mark.parametrize("translation", ["", "a\nb", '"', "\\", "\\n", 'a"\nmsgid "b', "\t"])
def test_the_catalogue_opens_whatever_a_translation_holds(translation: str) -> None:
    document = read(CATALOGUE, "de.po")

    after = polib.pofile(document.render([translation] * len(document.segments)).decode())

    assert after.find("Open", msgctxt="menu").msgstr == translation.replace("\n", " ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'msgid "a"\nmsgstr "b\n', "'x.po' line 2 is no line of a PO file: msgstr \"b (msgfmt --check shows more)"),
        (b"Hello\n", "'x.po' line 1 is no line of a PO file: Hello (msgfmt --check shows more)"),
        (
            b'msgid ""\nmsgstr "Content-Type: text/plain; charset=ISO-8859-1\\n"\n',
            "'x.po' is in ISO-8859-1, which has not every letter (msgconv -t UTF-8 converts it)",
        ),
        (b"", "'x.po' is empty"),
        (b'msgid "\xe4"\n', "'x.po' line 1 is not UTF-8 (convert the file to UTF-8)"),
    ],
)
def test_what_cannot_be_read_is_said(content: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(content, "x.po")

    assert str(caught.value) == message
