"""A Word file as people hand them over, made with python-docx and by hand what python-docx has no words for."""

from __future__ import annotations

import io
import zipfile
from functools import cache

import docx

RED = "<w:r><w:rPr><w:b/><w:lang w:val='de-DE'/></w:rPr><w:t>{}</w:t></w:r>"
PLAIN = '<w:r w:rsidR="00A1"><w:t xml:space="preserve">{}</w:t></w:r>'
FIELD = (
    '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText> {} </w:instrText></w:r>'
    '<w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>{}</w:t></w:r>'
    '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
)
NOTE = '<w:r><w:rPr><w:rStyle w:val="FootnoteReference"/></w:rPr><w:footnoteReference w:id="2"/></w:r>'
BOX = (
    "<w:r><w:pict><v:shape xmlns:v='urn:schemas-microsoft-com:vml'><v:textbox><w:txbxContent><w:p>"
    "<w:r><w:t>Im Kasten</w:t></w:r></w:p></w:txbxContent></v:textbox></v:shape></w:pict></w:r>"
)
BODY = (
    f"<w:p><w:pPr><w:jc w:val='center'/></w:pPr>{PLAIN.format(' Das ')}<w:proofErr w:type='spellStart'/>"
    f"{RED.format('rote')}<w:bookmarkStart w:id='7' w:name='ziel'/>{PLAIN.format(' Haus &amp; ')}"
    "<w:bookmarkEnd w:id='7'/>"
    f"<w:hyperlink w:anchor='ziel'>{PLAIN.format('der Garten')}</w:hyperlink>{NOTE}{PLAIN.format(' sind alt. ')}</w:p>"
    f"<w:p>{PLAIN.format('Seite ')}{FIELD.format('PAGE', '12')}{PLAIN.format(' von Anna')}<w:r><w:t>links</w:t><w:tab/>"
    "<w:t>rechts</w:t><w:br/><w:t>unten</w:t></w:r></w:p>"
    f"<w:p>{PLAIN.format('Siehe ')}{FIELD.format('HYPERLINK &quot;https://a.de&quot;', 'unsere Seite')}{BOX}"
    f"{PLAIN.format(' heute')}<w:del w:id='9' w:author='A'><w:r><w:delText>weg</w:delText></w:r></w:del>"
    f"<w:ins w:id='8' w:author='A'>{PLAIN.format(' neu')}</w:ins></w:p>"
    f"<w:p><w:sdt><w:sdtPr/><w:sdtContent>{PLAIN.format('Im Feld')}</w:sdtContent></w:sdt></w:p>"
    f"<w:p>{PLAIN.format('12,5 %')}</w:p><w:p/>"
)
NOTES = (
    '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\r\n<w:footnotes '
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:footnote w:id="2"><w:p><w:r>'
    "<w:footnoteRef/></w:r><w:r><w:t xml:space='preserve'> Eine Fußnote.</w:t></w:r></w:p></w:footnote></w:footnotes>"
)


@cache
def word_file() -> bytes:
    """Paragraphs with all kinds of runs, a table, a header, a footer, a footnote."""
    document = docx.Document()
    document.add_heading("Die Überschrift", 1)
    table = document.add_table(rows=1, cols=2)
    table.cell(0, 0).text, table.cell(0, 1).text = "Zelle eins", "42"
    document.sections[0].header.paragraphs[0].text = "Kopfzeile"
    document.sections[0].footer.paragraphs[0].text = "Fußzeile"
    document.core_properties.title = "Titel in den Eigenschaften"
    made = io.BytesIO()
    document.save(made)
    return with_part(
        with_part(made.getvalue(), "word/footnotes.xml", NOTES), "word/document.xml", "", before="<w:sectPr"
    )


def with_part(content: bytes, name: str, part: str, *, before: str = "") -> bytes:
    """The archive with that part, or with BODY in front of `before` in it."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename == name and before:
                data = data.replace(before.encode(), BODY.encode() + before.encode(), 1)
            if info.filename != name or before:
                new.writestr(info, data)
        if not before:
            new.writestr(name, part)
    return made.getvalue()


def parts_of(content: bytes) -> dict[str, bytes]:
    """What is in the archive, in its order."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
