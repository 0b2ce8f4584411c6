"""A corpus of planted faults: every line says what is wrong with it; and lines that look wrong and are not.

All texts are written for this test. `FAULTS` and `CLEAN` are pairs, `DOCUMENT_FAULTS` and `CLEAN_DOCUMENTS` documents;
`READER_FAULTS` are lines of a JSONL file as bytes. A fault of stage `duplicates` is one beside the clean pair that its
`beside` repeats, which has to come first.
"""

# ruff: noqa: E501 - a table has one pair a line

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

Stage = Literal["reader", "cleaning", "duplicates"]


@dataclass(frozen=True)
class Planted:
    """One pair, its kind of fault in a few words, and the reason that it has to get; None where it is clean."""

    kind: str
    reason: str | None
    direction: str
    source: str
    target: str
    stage: Stage = "cleaning"
    beside: tuple[str, str] | None = None

    @property
    def line(self) -> bytes:
        """The pair as a line of a JSONL file, without its end."""
        source, target = self.direction.split("-")
        return json.dumps({"translation": {source: self.source, target: self.target}}).encode()


@dataclass(frozen=True)
class PlantedLine:
    """One line that no pair can be read from."""

    kind: str
    reason: str
    line: bytes
    stage: Stage = "reader"


@dataclass(frozen=True)
class PlantedDocument:
    """One document, its kind of fault, and the reason that it has to get; `left` is what stays of a clean one."""

    kind: str
    reason: str | None
    language: str
    text: str
    left: str | None = None
    stage: Stage = "cleaning"


def _read_as(text: str, written: str, read: str) -> str:
    """The text as it looks when what was written in one encoding is read in another."""
    return text.encode(written).decode(read)


_UTF8_AS_LATIN = {
    "de": _read_as("Für die Mädchen gibt es große Brötchen und heiße Schokolade.", "utf-8", "latin-1"),
    "cs": _read_as("Příliš žluťoučký kůň úpěl ďábelské ódy.", "utf-8", "latin-1"),
    "is": _read_as("Það er alltaf sól á Íslandi þegar við förum í frí.", "utf-8", "latin-1"),
    "ru": _read_as("Сегодня хорошая погода, и мы пойдём гулять.", "utf-8", "latin-1"),
    "zh": _read_as("今天天气很好，我们去公园散步吧。", "utf-8", "latin-1"),
}
_TRANSLATED = {
    "de": "For the girls there are big rolls and hot chocolate.",
    "cs": "A horse that was too yellow moaned devilish odes.",
    "is": "It is always sunny in Iceland when we go on holiday.",
    "ru": "The weather is fine today, and we are going for a walk.",
    "zh": "The weather is lovely today; let's take a walk in the park.",
}
_BRIDGE_DE, _BRIDGE_EN = "Die alte Brücke wird im Sommer gesperrt.", "The old bridge will be closed in summer."
_LIBRARY_CS, _LIBRARY_EN = (
    "Knihovna je otevřená každý den kromě neděle.",
    "The library is open every day except Sunday.",
)
_FISH_IS, _FISH_EN = (
    "Sjómennirnir komu heim með mikinn afla í gær.",
    "The fishermen came home with a large catch yesterday.",
)
_TRAIN_RU, _TRAIN_EN = "Поезд опоздал на вокзал из-за сильного снега.", "The train was late because of heavy snow."
_TEA_ZH, _TEA_EN = "他每天早上都在阳台上喝一杯绿茶。", "He drinks a cup of green tea on the balcony every morning."

FAULTS = (
    # Bytes that were no text.
    Planted("half a surrogate pair", "invalid_utf8", "de-en", "Ein Lächeln \ud83d für dich.", "A smile for you."),
    Planted("half a surrogate pair", "invalid_utf8", "zh-en", _TEA_ZH, _TEA_EN + " \ude00"),
    Planted("a replacement character", "invalid_utf8", "cs-en", "Knihovna je otev\ufffdená každý den.", _LIBRARY_EN),
    Planted("a run of replacement characters", "invalid_utf8", "ru-en", "Поезд \ufffd\ufffd\ufffd\ufffd опоздал.", _TRAIN_EN),
    Planted("a replacement character", "invalid_utf8", "is-en", _FISH_IS, "The fishermen\ufffds boat came home."),
    # The wrong encoding.
    *(
        Planted("UTF-8 read as Latin-1", "mojibake", f"{language}-en", text, _TRANSLATED[language])
        for language, text in _UTF8_AS_LATIN.items()
    ),
    Planted("UTF-8 read as Windows-1252", "mojibake", "de-en", "â€žKomm herein!â€œ, sagte die Großmutter.", "“Come in!” said Grandmother."),
    Planted("UTF-8 read as Windows-1252", "mojibake", "cs-en", _LIBRARY_CS, "The library isnâ€™t open on Sunday."),
    Planted("UTF-8 read as Windows-1252", "mojibake", "de-en", "GrÃ¶ÃŸe und Gewicht stehen auf dem Schild.", "Size and weight are on the label."),
    Planted("UTF-8 read as Windows-1252", "mojibake", "is-en", "HÃºn bÃ½r Ã­ ReykjavÃ­k.", "She lives in Reykjavik."),
    Planted("UTF-8 read twice as Windows-1252", "mojibake", "de-en", _read_as(_read_as("Schöne Grüße aus Köln", "utf-8", "latin-1"), "utf-8", "latin-1"), "Best wishes from Cologne"),
    Planted("UTF-8 read as Windows-1251", "mojibake", "ru-en", _read_as("Завтра утром будет солнечно", "utf-8", "cp1251"), "Tomorrow morning will be sunny"),
    Planted("UTF-8 read as KOI8-R", "mojibake", "ru-en", _read_as("Дети играют во дворе школы", "utf-8", "koi8-r"), "The children are playing in the school yard"),
    Planted("Windows-1251 read as Latin-1", "mojibake", "ru-en", _read_as("Дети играют во дворе школы", "cp1251", "latin-1"), "The children are playing in the school yard"),
    Planted("KOI8-R read as Windows-1251", "mojibake", "ru-en", _read_as("Дети играют во дворе школы", "koi8-r", "cp1251"), "The children are playing in the school yard"),
    Planted("KOI8-R read as Latin-1", "mojibake", "ru-en", _read_as("Дети играют во дворе школы", "koi8-r", "latin-1"), "The children are playing in the school yard"),
    Planted("Windows-1250 read as Latin-1", "mojibake", "cs-en", _read_as("Příští čtvrtek začne dlouhý víkend v říši her.", "cp1250", "latin-1"), "Next Thursday a long weekend begins in the realm of games."),
    Planted("UTF-8 read as GBK", "mojibake", "zh-en", "浠婂ぉ澶╂皵寰堝ソ锛屾垜浠幓鍏洯鏁ｆ銆傛槑澶╄鍛紝銆", _TRANSLATED["zh"]),
    Planted("lost bytes read as GBK", "mojibake", "zh-en", "会议将于锟斤拷锟斤拷下午举行。", "The meeting will be held on the afternoon."),
    Planted("GBK read as Latin-1", "mojibake", "zh-en", _read_as("今天天气很好", "gbk", "latin-1"), "The weather is lovely today"),
    Planted("letters that became question marks", "mojibake", "de-en", "Die M?dchen sa?en fr?hlich am K?chentisch.", "The girls sat happily at the kitchen table."),
    Planted("letters that became question marks", "mojibake", "cs-en", "P??ští vlak jede a? v pond?lí ve?er.", "The next train does not leave until Monday evening."),
    # Controls.
    Planted("a NUL", "control_characters", "de-en", "Der Brief\0 kam gestern an.", "The letter arrived yesterday."),
    Planted("a terminal's colours", "control_characters", "cs-en", "\x1b[31mPozor\x1b[0m, horká voda!", "Careful, hot water!"),
    Planted("a bell", "control_characters", "is-en", _FISH_IS, "The fishermen\x07 came home."),
    Planted("a control of the upper half", "control_characters", "ru-en", "Поезд\x81 опоздал.", "The train was late."),
    Planted("a private font's characters", "control_characters", "zh-en", "他\ue5d2每天\ue5d3早上喝茶。", "He drinks tea every morning."),
    Planted("a private font's characters", "control_characters", "de-en", "\uf0b7 Erster Punkt der Liste", "First item of the list"),
    # Nothing.
    Planted("an empty target", "empty", "de-en", _BRIDGE_DE, ""),
    Planted("an empty source", "empty", "cs-en", "", _LIBRARY_EN),
    Planted("no-break spaces", "empty", "ru-en", _TRAIN_RU, "\u00a0\u00a0"),
    Planted("ideographic spaces", "empty", "zh-en", "\u3000\u3000", _TEA_EN),
    Planted("line breaks", "empty", "is-en", _FISH_IS, "\r\n\n"),
    # HTML.
    Planted("tags on one side", "markup", "de-en", "<p>Die Brücke ist <b>gesperrt</b>.</p>", "The bridge is closed."),
    Planted("a tag that does not end", "markup", "cs-en", _LIBRARY_CS, 'The library is <span class="open">open every day.'),
    Planted("line breaks as tags", "markup", "ru-en", "Поезд опоздал.<br/><br/>Было холодно.", "The train was late. It was cold."),
    Planted("a link's tag", "markup", "zh-en", '他每天喝<a href="/tea">绿茶</a>。', "He drinks green tea every day."),
    # A page's own lines.
    Planted("a cookie notice", "boilerplate", "de-en", "Diese Website verwendet Cookies, um Ihr Erlebnis zu verbessern.", "This website uses cookies to improve your experience."),
    Planted("a cookie notice", "boilerplate", "cs-en", "Tyto stránky používají soubory cookies.", "These pages use cookies."),
    Planted("a cookie notice", "boilerplate", "is-en", "Þessi vefur notar vafrakökur til að bæta upplifun þína.", "This website uses cookies to improve your experience."),
    Planted("a cookie notice", "boilerplate", "ru-en", "Наш сайт использует файлы cookie.", "Our website uses cookies."),
    Planted("a cookie notice", "boilerplate", "zh-en", "本网站使用cookie以改善您的体验。", "This website uses cookies to improve your experience."),
    Planted("a page number", "boilerplate", "de-en", "Seite 3 von 12", "Page 3 of 12"),
    Planted("a page number", "boilerplate", "zh-en", "第3页，共12页", "Page 3 of 12"),
    Planted("a copyright line", "boilerplate", "cs-en", "© 2019 Obec Horní Lhota. Všechna práva vyhrazena.", "© 2019 Horní Lhota Municipality. All rights reserved."),
    Planted("a menu", "boilerplate", "de-en", "Startseite | Produkte | Über uns | Kontakt", "Home | Products | About us | Contact"),
    Planted("a menu", "boilerplate", "ru-en", "Главная | Новости | О нас | Контакты", "Home | News | About us | Contacts"),
    Planted("a button", "boilerplate", "de-en", "Weiterlesen …", "Read more …"),
    Planted("a button", "boilerplate", "ru-en", "Читать далее", "Read more"),
    Planted("a button", "boilerplate", "zh-en", "阅读更多", "Read more"),
    Planted("filler text", "boilerplate", "is-en", "Lorem ipsum dolor sit amet, consectetur adipiscing elit.", "Lorem ipsum dolor sit amet, consectetur."),
    Planted("a request for JavaScript", "boilerplate", "de-en", "Bitte aktivieren Sie JavaScript in Ihrem Browser.", "Please enable JavaScript in your browser."),
    # Signs.
    Planted("a line of dashes", "mostly_symbols", "de-en", "-----------------", "-----------------"),
    Planted("stars and arrows", "mostly_symbols", "cs-en", "*** >>> === a === <<< ***", "*** >>> === a === <<< ***"),
    Planted("only punctuation", "mostly_symbols", "ru-en", "?!", _TRAIN_EN),
    Planted("a table of numbers", "mostly_symbols", "zh-en", "12 345 678 90 12 345 678 90 12 345 678 90 12 345 678 90 12", "12 345 678 90 12 345 678 90 12 345 678 90 12 345 678 90 12"),
    Planted("a formula's remains", "mostly_symbols", "is-en", "∑∫≤≥ ∀∃ ⊂⊃ x ⊕⊗ ∇∂ √", "∑∫≤≥ ∀∃ ⊂⊃ x ⊕⊗ ∇∂ √"),
    # Loops.
    Planted("one word over and over", "repetition", "de-en", "Die Katze und und und und und und und und und", "The cat and the dog and the mouse"),
    Planted("one phrase over and over", "repetition", "cs-en", _LIBRARY_CS, "The library is open, the library is open, the library is open, the library is open"),
    Planted("one sentence over and over", "repetition", "ru-en", "Это мой дом. Это мой дом. Это мой дом. Это мой дом. Это мой дом.", "This is my house."),
    Planted("one phrase over and over", "repetition", "zh-en", "我们去公园我们去公园我们去公园我们去公园我们去公园我们去公园", "We go to the park with all of our friends today"),
    Planted("one letter over and over", "repetition", "is-en", "Já aaaaaaaaaaaaaaaaaaaaaaaaa", "Yes, that is quite right"),
    Planted("one sign over and over", "repetition", "de-en", "Achtung, liebe Leute, der Zug fährt ein!!!!!!!!!!!!!!!!!!!!!!!!!!!!", "Attention please, the train is coming!"),
    Planted("a list that does not end", "repetition", "is-en", _FISH_IS, "fish and fish and fish and fish and fish and fish and fish and fish"),
    # Copies.
    Planted("a copy", "copied_source", "de-en", _BRIDGE_DE, _BRIDGE_DE),
    Planted("a copy", "copied_source", "is-en", _FISH_EN, _FISH_EN),
    Planted("a copy", "copied_source", "zh-en", _TEA_ZH, _TEA_ZH),
    Planted("a copy in other case", "copied_source", "cs-en", _LIBRARY_CS, _LIBRARY_CS.upper()),
    Planted("a copy with other punctuation", "copied_source", "ru-en", _TRAIN_RU, "«" + _TRAIN_RU.rstrip(".") + "»!"),
    Planted("a copy in full width", "copied_source", "de-en", "please close the door", "ｐｌｅａｓｅ close the door"),
    # Sides of other sizes.
    Planted("a summary for a target", "length_ratio", "de-en", "Nach langen Verhandlungen einigten sich beide Seiten auf einen Vertrag, der die Arbeitszeit, den Lohn und den Urlaub für die nächsten Jahre regelt.", "They agreed."),
    Planted("two paragraphs for one sentence", "length_ratio", "cs-en", "Prší.", "It has been raining since early this morning, and the forecast says that it will not stop before the weekend."),
    Planted("a title for a paragraph", "length_ratio", "ru-en", "После долгих переговоров стороны подписали договор, который определяет рабочее время, зарплату и отпуск на ближайшие годы.", "A treaty"),
    Planted("a paragraph for a few signs", "length_ratio", "zh-en", "好的。", "After long negotiations both sides signed a contract that governs working hours, wages and holidays for years."),
    Planted("a paragraph for a few signs", "length_ratio", "zh-en", "经过长时间的谈判，双方签署了一份合同，规定了未来几年的工作时间、工资和假期。", "Signed."),
    # Addresses.
    Planted("another link", "urls", "de-en", "Mehr steht auf https://www.beispiel.de/bruecken im Netz.", "There is more at https://www.beispiel.de/tunnels on the web."),
    Planted("a link that is missing", "urls", "cs-en", "Program najdete na https://knihovna.example/program/leden.", "You can find the programme on our page."),
    Planted("another e-mail address", "urls", "is-en", "Sendið póst á afli@dalvik.example fyrir föstudag.", "Send mail to office@dalvik.example before Friday."),
    Planted("an e-mail address that is missing", "urls", "zh-en", "请发送邮件至 info@cha.example 报名。", "Please register by sending us a message."),
    Planted("a link too many", "urls", "ru-en", "Расписание есть на сайте.", "The timetable is at http://trains.example/winter on the site."),
    # Numbers.
    Planted("another year", "numbers", "de-en", "Die Brücke wurde 1987 gebaut.", "The bridge was built in 1978."),
    Planted("another price", "numbers", "cs-en", "Vstupné stojí 350 korun.", "Admission is 530 crowns."),
    Planted("another share", "numbers", "is-en", "Um 45% kjósenda voru fylgjandi tillögunni.", "About 54% of the voters were in favour of the proposal."),
    Planted("another quantity", "numbers", "ru-en", "В поезде было 128 пассажиров и 16 вагонов.", "There were 182 passengers and 16 carriages on the train."),
    Planted("another date", "numbers", "zh-en", "展览于2019年6月28日开幕。", "The exhibition opened on 26 June 2019."),
    Planted("another telephone number", "numbers", "de-en", "Rufen Sie uns unter 030 4455667 an.", "Call us on 030 4455776."),
    # Other languages.
    Planted("French for German", "wrong_language", "de-en", "Le vieux pont sera fermé pendant tout l'été à cause des travaux.", "The old bridge will be closed all summer because of the works."),
    Planted("Dutch for German", "wrong_language", "de-en", "De oude brug wordt deze zomer gesloten omdat er gewerkt moet worden.", "The old bridge will be closed this summer because of works."),
    Planted("German for English", "wrong_language", "de-en", "Die alte Brücke ist seit gestern gesperrt.", "Seit gestern ist die alte Brücke über den Fluss leider gesperrt."),
    Planted("Slovak for Czech", "wrong_language", "cs-en", "Knižnica je otvorená každý deň okrem nedele, pretože nemáme dosť ľudí.", "The library is open every day except Sunday because we do not have enough people."),
    Planted("Polish for Czech", "wrong_language", "cs-en", "Biblioteka jest otwarta codziennie oprócz niedzieli i świąt.", "The library is open every day except Sundays and holidays."),
    Planted("Danish for Icelandic", "wrong_language", "is-en", "Fiskerne kom hjem med en stor fangst i går, og alle var glade.", "The fishermen came home with a large catch yesterday, and all were happy."),
    Planted("Norwegian for Icelandic", "wrong_language", "is-en", "Fiskerne kom hjem med mye fisk i går kveld, og alle ble veldig glade.", "The fishermen came home with much fish last night and were very happy."),
    Planted("Ukrainian for Russian", "wrong_language", "ru-en", "Потяг запізнився через сильний сніг, тому ми чекали на вокзалі цілу годину.", "The train was late because of the snow, so we waited at the station for an hour."),
    Planted("Bulgarian for Russian", "wrong_language", "ru-en", "Влакът закъсня заради силния сняг и ние чакахме на гарата цял час.", "The train was late because of the snow and we waited at the station for an hour."),
    Planted("Japanese for Chinese", "wrong_language", "zh-en", "彼は毎朝ベランダで緑茶を一杯飲みます。", _TEA_EN),
    Planted("English for Chinese", "wrong_language", "zh-en", "He always drinks his tea early in the day.", _TEA_EN),
    Planted("English for Russian", "wrong_language", "ru-en", "The snow was so heavy that nothing moved.", _TRAIN_EN),
    Planted("Russian in Latin letters", "wrong_language", "ru-en", "Poezd opozdal na vokzal iz-za silnogo snega, i my zhdali.", _TRAIN_EN),
    Planted("Russian for German", "wrong_language", "de-en", "Старый мост закрыт.", "The old bridge is closed."),
    Planted("Chinese for English", "wrong_language", "cs-en", _LIBRARY_CS, "图书馆每天开放，星期日除外。"),
    Planted("Spanish in capitals for English", "wrong_language", "de-en", "ACHTUNG, DIE BRÜCKE IST HEUTE GESPERRT", "ATENCIÓN, EL PUENTE ESTÁ CERRADO HOY POR OBRAS"),
    # The wrong way round.
    Planted("sides swapped", "sides_swapped", "de-en", _BRIDGE_EN, _BRIDGE_DE),
    Planted("sides swapped", "sides_swapped", "cs-en", _LIBRARY_EN, _LIBRARY_CS),
    Planted("sides swapped", "sides_swapped", "is-en", _FISH_EN, _FISH_IS),
    Planted("sides swapped", "sides_swapped", "ru-en", _TRAIN_EN, _TRAIN_RU),
    Planted("sides swapped", "sides_swapped", "zh-en", _TEA_EN, _TEA_ZH),
    # Said before.
    Planted("the same pair", "duplicate", "de-en", "Im Hafen liegen heute elf Schiffe.", "Eleven ships are in the harbour today.", "duplicates", ("Im Hafen liegen heute elf Schiffe.", "Eleven ships are in the harbour today.")),
    Planted("the same sentence in one other word", "near_duplicate", "cs-en", "Na náměstí se v sobotu dopoledne koná velký jarní trh s květinami a ovocem.", "A big spring market with flowers and fruit takes place on the square on Saturday mornings.", "duplicates", ("Na náměstí se v sobotu dopoledne koná velký jarní trh s květinami a ovocem.", "A big spring market with flowers and fruit takes place on the square on Saturday morning.")),
    Planted("another translation", "another_translation", "ru-en", "Мы вернулись домой поздно вечером.", "It was late at night when we got back to the house.", "duplicates", ("Мы вернулись домой поздно вечером.", "We came home late in the evening.")),
)  # fmt: skip

READER_FAULTS = (
    PlantedLine("not JSON", "invalid_json", b"Das ist kein JSON."),
    PlantedLine("JSON that stops", "invalid_json", b'{"translation": {"de": "Das Ende fehlt", "en": "The end is'),
    PlantedLine("no translation", "missing_field", b'{"text": "Nur ein Text."}'),
    PlantedLine("one language only", "missing_field", '{"translation": {"de": "Nur auf Deutsch, schön."}}'.encode()),
    PlantedLine("a number for a text", "missing_field", b'{"translation": {"de": 12, "en": "twelve"}}'),
    PlantedLine("null for a text", "missing_field", b'{"translation": {"de": "Nichts", "en": null}}'),
    PlantedLine("bytes that are not UTF-8", "invalid_utf8", b'{"translation": {"de": "Gr\xfc\xdfe", "en": "Greetings"}}'),
    PlantedLine("a blank line", "empty", b"   "),
)  # fmt: skip

_CLEAN = {
    "de-en": """
Ja.|Yes.
Nein!|No!
Warum?|Why?
„Komm herein“, sagte sie.|“Come in,” she said.
»Wer da?«|'Who's there?'
1990|1990.
Windows 10|Windows 10
Angela Merkel|Angela Merkel
Johann Wolfgang von Goethe|Johann Wolfgang von Goethe
Volkswagen AG, Wolfsburg|Volkswagen AG, Wolfsburg
Am 3. Oktober 1990|On October 3, 1990
Am 3. 10. 1990 war es so weit.|The day came on 10/3/1990.
Das kostet 1.250,50 Euro.|That costs €1,250.50.
Es waren 10 000 Menschen da.|There were 10,000 people.
Etwa 3,5 Prozent der Wähler|About 3.5% of voters
Er hat zwei Katzen und drei Hunde.|He has 2 cats and 3 dogs.
Um 20.15 Uhr beginnt der Film.|The film starts at 8:15 p.m.
Das Paket wiegt 5 Kilo.|The parcel weighs 11 pounds.
Die Strecke ist 100 km lang.|The route is 62 miles long.
Rund 1,5 Milliarden Euro|About 1.5 billion euros
Die 1960er Jahre|The 1960s
Ha ha ha!|Ha ha ha!
Nein, nein, nein, nein!|No, no, no, no!
Sehr, sehr gut.|Very, very good.
Bäh, bäh, schwarzes Schaf|Baa, baa, black sheep
Schlaf, Kindlein, schlaf, der Vater hüt' die Schaf|Sleep, baby, sleep, your father tends the sheep
Neeeeein!|Nooooo!
ACHTUNG: STARKSTROM!|DANGER: HIGH VOLTAGE!
DIE WÜRDE DES MENSCHEN IST UNANTASTBAR.|HUMAN DIGNITY SHALL BE INVIOLABLE.
Siehe https://www.beispiel.de/hilfe.|See https://www.beispiel.de/hilfe.
Schreiben Sie an info@beispiel.de!|Write to info@beispiel.de.
Mehr unter www.beispiel.de|More at http://www.beispiel.de/
Das Update ist im App Store verfügbar.|The update is available in the App Store.
Wir haben das Meeting gecancelt.|We cancelled the meeting.
Der Film „The Wizard of Oz“ läuft heute.|The film “The Wizard of Oz” is on today.
Sein Motto war: „Carpe diem.“|His motto was “carpe diem”.
Öl, Äpfel, Übung: äöüß|Oil, apples, practice: äöüß
Größe: ÄÖÜ|Size: ÄÖÜ
MENÜ“ stand auf der Karte.|MENU” was on the card.
Sie wohnt in São Paulo.|She lives in São Paulo.
Die Fußballer Ødegaard und Åge|The footballers Ødegaard and Åge
Ein <b>fettes</b> Wort|A <b>bold</b> word
Forschung & Entwicklung|Research & Development
Drücken Sie Strg+Alt+Entf.|Press Ctrl+Alt+Del.
x² + y² = z²|x² + y² = z²
Sie hat 😀 geschrieben.|She wrote 😀.
§ 5 Abs. 2 BGB|Section 5(2) BGB
Teil I: Der Anfang|Part I: The beginning
Kapitel 4|Chapter 4
GmbH & Co. KG|GmbH & Co. KG
Donaudampfschifffahrtsgesellschaftskapitän|Captain of the Danube Steamship Company
Er wollte Cookies backen.|He wanted to bake cookies.
Die Suche nach dem Ring|The search for the ring
Der Kontakt brach ab.|Contact was lost.
1. Platz: Müller (12 Punkte)|1st place: Müller (12 points)
Tel. +49 30 123456|Tel. +49 30 123456
Dortmund - Schalke 2:1|Dortmund v Schalke 2–1
Mendelssohn Bartholdy, Brahms, Schumann|Mendelssohn Bartholdy, Brahms, Schumann
""",
    "cs-en": """
Ano.|Yes.
Proč ne?|Why not?
„Pojď dál,“ řekla.|“Come in,” she said.
Praha 5|Prague 5
Dne 3. 10. 1990|On 3 October 1990
Cena je 1 250,50 Kč.|The price is CZK 1,250.50.
Asi 3,5 % voličů|About 3.5% of voters
Přišlo 10 000 lidí.|10,000 people came.
Tři sta padesát korun|350 crowns
Václav Havel|Václav Havel
Antonín Dvořák, Bedřich Smetana|Antonín Dvořák, Bedřich Smetana
Strč prst skrz krk.|Stick a finger through your throat.
Ne, ne, ne!|No, no, no!
Haló, haló!|Hello, hello!
POZOR, SCHOD!|MIND THE STEP!
Viz https://knihovna.example/program.|See https://knihovna.example/program.
Napište na pomoc@knihovna.example.|Write to pomoc@knihovna.example.
Hraje se hra Romeo a Julie.|The play Romeo and Juliet is on.
Poslouchá skupinu The Beatles.|He listens to The Beatles.
Otevřete nabídku File.|Open the File menu.
Nainstalujte Windows 10.|Install Windows 10.
Žluťoučký kůň|A yellow horse
Příště!|Next time!
Ďáblice, Řeporyje, Šeberov|Ďáblice, Řeporyje, Šeberov
Bydlí v Ústí nad Labem.|He lives in Ústí nad Labem.
Jiří z Poděbrad byl král.|George of Poděbrady was a king.
V roce 1968|In 1968
Odešel v 17.30.|He left at 5:30 p.m.
Vlak jede 160 km/h.|The train goes 100 mph.
Měl 2 psy.|He had two dogs.
Kapitola čtvrtá|Chapter 4
Díky!|Thanks!
Tisk si toho všiml.|The press noticed it.
Byl to tisk z roku 1850.|It was a print from 1850.
Více lidí, více práce|More people, more work
H2O a CO2|H2O and CO2
Je to na straně 12.|It is on page 12.
Ach jo…|Oh dear…
""",
    "is-en": """
Já.|Yes.
Nei, nei.|No, no.
Hvað?|What?
„Komdu inn,“ sagði hún.|“Come in,” she said.
Halldór Laxness|Halldór Laxness
Reykjavík|Reykjavik
Þann 17. júní 1944|On 17 June 1944
Það kostar 1.250 krónur.|It costs 1,250 krónur.
Um 3,5% kjósenda|About 3.5% of voters
Þrír af hverjum tíu|3 out of 10
ATHUGIÐ!|ATTENTION!
Guð minn góður!|My God!
Sjá https://safn.example/opid.|See https://safn.example/opid.
Skrifið á safn@safn.example.|Write to safn@safn.example.
Björk söng „Human Behaviour“.|Björk sang “Human Behaviour”.
Hann á iPhone.|He has an iPhone.
Eyjafjallajökull gaus árið 2010.|Eyjafjallajökull erupted in 2010.
Æ, æ!|Ouch, ouch!
Á Íslandi búa 380.000 manns.|380,000 people live in Iceland.
Vigdís Finnbogadóttir og Guðni Th. Jóhannesson|Vigdís Finnbogadóttir and Guðni Th. Jóhannesson
Klukkan 8|At 8 o'clock
Leit stendur yfir.|A search is under way.
""",
    "ru-en": """
Да.|Yes.
Почему?|Why?
«Войдите», — сказала она.|“Come in,” she said.
Лев Толстой|Leo Tolstoy
Москва, 1980|Moscow, 1980
3 октября 1990 года|October 3, 1990
03.10.1990|3 October 1990
Это стоит 1 250,50 рубля.|It costs 1,250.50 roubles.
Около 3,5% избирателей|About 3.5% of voters
Пришло 10 тысяч человек.|10,000 people came.
Ха-ха-ха!|Ha-ha-ha!
Да, да, да, конечно.|Yes, yes, yes, of course.
ВНИМАНИЕ!|ATTENTION!
СССР и США|The USSR and the USA
Windows 10|Windows 10
iPhone 6 Plus|iPhone 6 Plus
Скачайте Microsoft Office.|Download Microsoft Office.
Группа «The Beatles» распалась.|The Beatles broke up.
См. https://muzey.example/zal.|See https://muzey.example/zal.
Пишите на info@muzey.example.|Write to info@muzey.example.
Мощность 5 кВт|A power of 5 kW
Глава IV|Chapter 4
Пётр I Великий|Peter the Great
Он живёт в доме № 7.|He lives at number 7.
В 20:15 начался фильм.|The film began at 8:15 p.m.
Он весит 80 кг.|He weighs 176 pounds.
Стоит кот у ворот, у ворот стоит кот.|A cat stands at the gate, at the gate stands a cat.
Подъезд, объём, съезд|Entrance, volume, exit
Реклама — двигатель торговли.|Advertising is the engine of trade.
Вход со двора.|The entrance is from the yard.
""",
    "zh-en": """
是的。|Yes.
不！|No!
为什么？|Why?
“请进。”她说。|“Come in,” she said.
北京|Beijing
孔子|Confucius
1990年10月3日|October 3, 1990
１９９０年|1990
价格是1,250.50元。|The price is 1,250.50 yuan.
约3.5%的选民|About 3.5% of voters
有一万人参加。|10,000 people took part.
2万人|20,000 people
哈哈哈！|Ha ha ha!
好好好，我来。|Fine, fine, I'm coming.
人山人海|A sea of people
天天向上|Make progress every day
他用iPhone。|He uses an iPhone.
安装 Windows 10|Install Windows 10
Windows 10|Windows 10
请下载 Microsoft Office 软件。|Please download Microsoft Office.
NBA球员 LeBron James 来了。|NBA player LeBron James has come.
姚明（Yao Ming）|Yao Ming
见 https://bowuguan.example/zhan。|See https://bowuguan.example/zhan.
请写信至 info@bowuguan.example。|Please write to info@bowuguan.example.
第四章|Chapter 4
图1|Figure 1
COVID-19疫情|The COVID-19 epidemic
GDP增长6.5%|GDP grew by 6.5%
穆罕默德·阿里|Muhammad Ali
莱昂纳多·迪卡普里奥、布拉德·皮特|Leonardo DiCaprio, Brad Pitt
“不，不，不。”|“No, no, no.”
他在首页看到了这条新闻。|He saw the news on the front page.
晚上8点15分|8:15 p.m.
会议于2020年7月25日14时至15时举行。|The meeting was held from 2 p.m. to 3 p.m. on July 25, 2020.
""",
}

CLEAN = tuple(
    Planted("clean", None, direction, *line.split("|"))
    for direction, lines in _CLEAN.items()
    for line in lines.strip().split("\n")
)

_HARBOUR_DE = (
    "Der Hafen liegt am Rand der alten Stadt. Früher kamen hier jeden Tag zwanzig Schiffe an, heute sind es nur noch"
    " wenige. Am Ufer stehen Häuser, in denen einmal die Händler wohnten, und auf dem Platz davor spielen die Kinder."
)
_HARBOUR_EN = (
    "The harbour lies at the edge of the old town. Twenty ships used to arrive here every day, and today there are only"
    " a few. On the bank there are houses in which the merchants once lived, and the children play on the square."
)
_FARM_IS = (
    "Bærinn stendur undir hárri hlíð og þaðan sést vítt yfir sveitina. Á vorin flæðir áin yfir bakka sína og þá komast"
    " menn ekki leiðar sinnar nema á hestum. Amma sagði að þetta hefði alltaf verið svona."
)
_VILLAGE_CS = (
    "Vesnice leží v údolí mezi dvěma kopci. V zimě tam bývá hodně sněhu a děti chodí do školy na lyžích. Na jaře potok"
    " vystoupí z břehů a cesta je několik dní neprůjezdná, ale nikdo si nestěžuje."
)
_RIVER_RU = (
    "Река течёт через весь город, и вечером на набережной гуляют люди. Летом здесь продают мороженое, а зимой дети"
    " катаются на коньках. Старики говорят, что раньше вода была чище и рыбы было больше."
)
_STREET_ZH = (
    "这条老街已经有三百多年的历史了。每到周末，街上都挤满了来买东西的人。路边的茶馆里，老人们一边喝茶一边聊天，"
    "孩子们在院子里跑来跑去。"
)
_TABLE = "\n".join(f"{row} {row * 17} {row * 23} | {row * 31} -- {row * 47}" for row in range(11, 31))

DOCUMENT_FAULTS = (
    PlantedDocument("nothing", "empty", "de", " \n \t"),
    PlantedDocument("half a surrogate pair", "invalid_utf8", "en", _HARBOUR_EN + "\udc00"),
    PlantedDocument("many replacement characters", "invalid_utf8", "ru", _RIVER_RU.replace("о", "\ufffd")),
    PlantedDocument("a NUL", "control_characters", "cs", _VILLAGE_CS.replace(".", "\0", 1)),
    PlantedDocument("a private font's characters", "control_characters", "zh", _STREET_ZH.replace("，", "\ue123")),
    PlantedDocument("UTF-8 read as Latin-1", "mojibake", "is", _read_as(_FARM_IS, "utf-8", "latin-1")),
    PlantedDocument("UTF-8 read as Windows-1251", "mojibake", "ru", _RIVER_RU.encode().decode("cp1251", "ignore")),
    PlantedDocument("Windows-1250 read as Latin-1", "mojibake", "cs", _read_as(_VILLAGE_CS, "cp1250", "latin-1")),
    PlantedDocument("HTML", "markup", "de", "".join(f"<li><a href='/'>{word}</a></li>" for word in _HARBOUR_DE.split())),
    PlantedDocument("only a menu", "boilerplate", "de", "Startseite\nImpressum\nAnmelden\nNewsletter abonnieren\n© 2020"),
    PlantedDocument("only filler text", "boilerplate", "en", "Lorem ipsum dolor sit amet.\nRead more\nPage 1 of 3"),
    PlantedDocument("only a menu", "boilerplate", "zh", "首页\n关于我们\n联系我们\n版权所有"),
    PlantedDocument("a table of numbers", "mostly_symbols", "en", _TABLE),
    PlantedDocument("one line over and over", "repetition", "cs", "\n".join([_VILLAGE_CS[:70]] * 12)),
    PlantedDocument("one word over and over", "repetition", "ru", "очень " * 200 + "хорошо"),
    PlantedDocument("one phrase over and over", "repetition", "zh", "这条老街很长" * 40),
    PlantedDocument("English for German", "wrong_language", "de", _HARBOUR_EN),
    PlantedDocument("German for English", "wrong_language", "en", "\n".join([_HARBOUR_DE, "Es ist still.", _HARBOUR_DE[:90]])),
    PlantedDocument("Slovak for Czech", "wrong_language", "cs", "Dedina leží v údolí medzi dvoma kopcami. V zime tam býva veľa snehu a deti chodia do školy na lyžiach. Na jar potok vystúpi z brehov a cesta je niekoľko dní neprejazdná."),
    PlantedDocument("Norwegian for Icelandic", "wrong_language", "is", "Gården ligger under en høy li, og derfra ser man langt utover bygda. Om våren går elva over sine bredder, og da kommer man seg ikke fram uten hest."),
    PlantedDocument("Ukrainian for Russian", "wrong_language", "ru", "Річка тече через усе місто, і ввечері на набережній гуляють люди. Улітку тут продають морозиво, а взимку діти катаються на ковзанах."),
    PlantedDocument("Japanese for Chinese", "wrong_language", "zh", "この古い通りには三百年以上の歴史があります。週末になると、買い物に来る人でいっぱいになります。"),
)  # fmt: skip

CLEAN_DOCUMENTS = (
    PlantedDocument("plain", None, "de", _HARBOUR_DE),
    PlantedDocument("plain", None, "en", _HARBOUR_EN),
    PlantedDocument("plain", None, "is", _FARM_IS),
    PlantedDocument("plain", None, "cs", _VILLAGE_CS),
    PlantedDocument("plain", None, "ru", _RIVER_RU),
    PlantedDocument("plain", None, "zh", _STREET_ZH),
    PlantedDocument("with a page's lines", None, "de", f"Startseite\n{_HARBOUR_DE}\nWeiterlesen\n© 2020", _HARBOUR_DE),
    PlantedDocument("with a page's lines", None, "cs", f"{_VILLAGE_CS}\n\nSdílet na Facebooku", _VILLAGE_CS),
    PlantedDocument("with a refrain", None, "en", "Row, row, row your boat\nGently down the stream\nMerrily, merrily, merrily, merrily\nLife is but a dream"),
    PlantedDocument("with a quotation", None, "de", _HARBOUR_DE + "\n„The town is asleep“, schrieb ein Engländer.\n" + _HARBOUR_DE[:119]),
    PlantedDocument("with one character lost", None, "ru", _RIVER_RU * 8 + "\ufffd"),
    PlantedDocument("with numbers", None, "en", "In 1910 the town had 2,340 people; in 1950, 5,120; in 2000, 9,875. The harbour is 12 metres deep."),
    PlantedDocument("with a word that buttons have", None, "de", "Die Suche begann am Morgen.\nKein Kontakt, keine Anzeige, nichts.\n" + _HARBOUR_DE),
    PlantedDocument("one sentence", None, "zh", "今天下雨了。"),
)  # fmt: skip
