"""Translations with planted faults, and good ones that look like faulty ones, with the flags that they should have.

Each language has its sentences of its own, with English on the other side. Where a list of one direction holds a
duplicate, the line before it is what it duplicates. Faults that are hard to find are in here as well: the table is
to measure with, not to be right by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from alma_cli.core.flags import FLAG_NAMES, FlagName, flag_segments
from alma_cli.core.languages import Direction


@dataclass(frozen=True)
class Planted:
    """One translation and the flags that a careful reader would give it."""

    source: str
    translation: str
    flags: tuple[FlagName, ...] = ()


# The last five directions hold the hard ones: near languages, ends cut by a word, halves, good lines that look odd.
PLANTED: dict[str, tuple[Planted, ...]] = {
    "cs-en": (
        Planted("Vlak do Brna dnes odjíždí o dvacet minut později.", "", ("empty",)),
        Planted("Na stole ležela kniha, kterou nikdo nečetl.", "\u200b \u00a0", ("empty",)),
        Planted("Na stole ležela kniha, kterou nikdo nečetl.", "...", ("empty",)),
        Planted(
            "Včera večer jsme šli na procházku podél řeky.",
            "Wir sind gestern Abend am Fluss spazieren gegangen.",
            ("wrong_language",),
        ),
        Planted("Prosím, zavolejte mi zítra ráno.", "Prosím, zavolejte mi zítra ráno.", ("copied_source",)),
        Planted(
            "Učitelka vysvětlila dětem, proč v zimě padá sníh.",
            "The teacher explained to the children why the children why the children why the children why",
            ("looping",),
        ),
        Planted(
            "Město letos opraví tři mosty, dvě školy a celou ulici u nádraží.",
            "This year the city will repair three bridges,",
            ("cut_off",),
        ),
        Planted(
            "Ministr uvedl, že nový zákon pomůže hlavně rodinám s malými dětmi a lidem, kteří se starají o své rodiče.",
            "The minister said that the new law",
            ("cut_off",),
        ),
        Planted(
            "Nevím.",
            "I do not know, but if you ask me again tomorrow, after I have talked to my colleagues about it, I may "
            "have a better answer for you and for everyone else who is waiting.",
            ("length_outlier",),
        ),
        Planted("Dobrý den, jak se máte?", "Good day,\\nhow are you?", ("several_lines",)),
        Planted(
            "Pes spí pod stolem.",
            "The dog is sleeping under the table. It had a long day. Tomorrow it will go out again.",
            ("several_lines",),
        ),
        Planted("Klepněte na <b>Uložit</b> a počkejte.", "Tap Save and wait.", ("markup_lost",)),
        Planted("Pište na podpora@obchod.cz kdykoli.", "Write to us any time.", ("address_lost",)),
        Planted("Smlouva byla podepsána v roce 1998.", "The contract was signed back then.", ("number_lost",)),
        Planted("Děti si hrály na zahradě až do tmy.", "The children played in the garden until dark."),
        Planted(
            "Ráno bude pršet a odpoledne sněžit.", "The children played in the garden until dark.", ("duplicated",)
        ),
        Planted("Škoda Octavia 1.9 TDI", "Škoda Octavia 1.9 TDI"),
        Planted("Schůzka se koná 3. 10. 2019 v Praze.", "The meeting takes place in Prague on October 3, 2019."),
        Planted("Je 100% jisté, že přijde.", "She is certainly going to come."),
        Planted("Ahoj!", "Hi there!"),
        Planted("Mohu vám ještě s něčím dalším pomoci?", "Is there anything else I can help you with?"),
        Planted("Mohu vám dnes ještě s něčím pomoci?", "Is there anything else I can help you with?"),
    ),
    "de-en": (
        Planted("Der Vertrag läuft am Ende des Jahres aus.", "\u3000", ("empty",)),
        Planted("Wir haben lange auf den Bus gewartet.", "-", ("empty",)),
        Planted(
            "Die Kinder haben den ganzen Tag im Garten gespielt.",
            "Les enfants ont joué toute la journée dans le jardin.",
            ("wrong_language",),
        ),
        Planted(
            "Der Präsident sprach gestern vor dem Parlament.",
            "Президент вчера выступил перед парламентом.",
            ("wrong_language",),
        ),
        Planted(
            "Bitte schicken Sie mir die Rechnung noch einmal.",
            "Bitte schicken Sie mir die Rechnung noch einmal.",
            ("copied_source",),
        ),
        Planted(
            "Der Hund des Nachbarn bellt jede Nacht.",
            "The neighbour's dog barks and barks and barks and barks and barks and barks and barks and barks.",
            ("looping",),
        ),
        Planted(
            "Sie öffnete das Fenster, sah hinaus und schwieg.",
            "She opened the window. She opened the window. She opened the window. She opened the window.",
            ("looping",),
        ),
        Planted(
            "Nach dem Spiel sagte der Trainer, seine Mannschaft habe verdient gewonnen und freue sich auf das Finale.",
            "After the match the coach said that his team had won deservedly and was looking forward to the",
            ("cut_off",),
        ),
        Planted(
            "Die Bibliothek ist montags geschlossen, am Wochenende aber bis zehn Uhr abends geöffnet.",
            "The library is closed on",
            ("cut_off",),
        ),
        Planted(
            "Das Museum zeigt bis Mai Bilder aus drei Jahrhunderten, darunter viele, die noch nie öffentlich zu sehen "
            "waren, und lädt jeden Sonntag zu einer Führung ein.",
            "The museum is open.",
            ("length_outlier",),
        ),
        Planted("Öffnen Sie die Datei und lesen Sie sie.", "Open the file\nand read it.", ("several_lines",)),
        Planted("Die Datei {name} fehlt.", "The file is missing.", ("markup_lost",)),
        Planted(
            "Mehr dazu unter https://www.beispiel.de/hilfe/konto lesen.",
            "Read more about it there.",
            ("address_lost",),
        ),
        Planted("Das Schloss wurde 1721 fertiggestellt.", "The castle was completed in 1712.", ("number_lost",)),
        Planted("Am 14.11. schließt das Büro früher.", "The office closes early that day.", ("number_lost",)),
        Planted("Der Wein schmeckt nach Kirschen und Holz.", "The wine tastes of cherries and wood."),
        Planted("Die Sitzung wurde auf Freitag verschoben.", "The wine tastes of cherries and wood.", ("duplicated",)),
        Planted("Microsoft Surface Pro 7 Plus", "Microsoft Surface Pro 7 Plus"),
        Planted("Die Lieferung kommt am 16.3.2021.", "The delivery will arrive on 03/16/2021."),
        Planted("Das kostet 1.250,50 Euro.", "That costs 1,250.50 euros."),
        Planted("Donaudampfschifffahrtsgesellschaft", "Danube Steamboat Shipping Company"),
        Planted("Zeile eins\\nZeile zwei", "Line one\\nLine two"),
    ),
    "en-is": (
        Planted("The ferry leaves at noon.", "", ("empty",)),
        Planted("The weather was fine all week.", "The weather was fine all week.", ("copied_source",)),
        Planted(
            "We met an old fisherman by the harbour.",
            "Vi mødte en gammel fisker ved havnen.",
            ("wrong_language",),
        ),
        Planted("She bought bread and milk.", "Она купила хлеб и молоко.", ("wrong_language",)),
        Planted(
            "He asked whether the road was open.",
            "Hann spurði hvort vegurinn væri opinn opinn opinn opinn opinn opinn opinn opinn opinn.",
            ("looping",),
        ),
        Planted(
            "The museum on the hill shows tools, clothes and boats from the time of the settlement.",
            "Safnið á hæðinni sýnir verkfæri, föt og",
            ("cut_off",),
        ),
        Planted(
            "The road over the heath is closed because of heavy snow and strong winds in the north.",
            "Vegurinn yfir heiðina er lokaður,",
            ("cut_off",),
        ),
        Planted(
            "Yes.",
            "Já, það er alveg rétt hjá þér og ég er þér hjartanlega sammála um það allt saman, en þó verður að hafa í "
            "huga að margt getur breyst þegar líður á veturinn.",
            ("length_outlier",),
        ),
        Planted("First line of the poem.", "Fyrsta lína<br>ljóðsins.", ("several_lines",)),
        Planted(
            "The bus is late.",
            "Strætó er seinn. Hann kemur vonandi bráðum. Við bíðum bara hér.",
            ("several_lines",),
        ),
        Planted("Press <1>Save</1> now.", "Ýttu á Vista núna.", ("markup_lost",)),
        Planted("Write to info@example.is today.", "Skrifaðu okkur í dag.", ("address_lost",)),
        Planted("The church was built in 1847.", "Kirkjan var byggð fyrir löngu.", ("number_lost",)),
        Planted("The horses ran across the black sand.", "Hestarnir hlupu yfir svartan sandinn."),
        Planted("My sister works at the hospital now.", "Hestarnir hlupu yfir svartan sandinn.", ("duplicated",)),
        Planted("Björk Guðmundsdóttir, Reykjavík", "Björk Guðmundsdóttir, Reykjavík"),
        Planted("The glacier has shrunk a lot since then.", "Jökullinn hefur minnkað mikið síðan þá."),
        Planted("It happened on 17 June 1944.", "Það gerðist 17. júní 1944."),
        Planted("Thank you very much for your help!", "Kærar þakkir fyrir hjálpina!"),
    ),
    "ru-en": (
        Planted("Поезд опоздал на два часа.", "\ufeff", ("empty",)),
        Planted("Мы долго гуляли по старому городу.", "?", ("empty",)),
        Planted("Он живёт на третьем этаже.", "Он живёт на третьем этаже.", ("copied_source",)),
        Planted("Она купила хлеб, сыр и яблоки.", "Она приобрела хлеб, сыр и яблоки.", ("wrong_language",)),
        Planted(
            "Завтра утром мы поедем к бабушке.",
            "Mañana por la mañana iremos a casa de la abuela.",
            ("wrong_language",),
        ),
        Planted(
            "Директор школы поздравил выпускников.",
            "The head of the school, the head of the school, the head of the school, the head of the school, the head",
            ("looping",),
        ),
        Planted("Как хорошо!", "Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaah", ("looping",)),
        Planted(
            "По словам врача, больному нужно больше спать, меньше работать и каждый день гулять на свежем воздухе.",
            "According to the doctor, the patient needs to",
            ("cut_off",),
        ),
        Planted(
            "Писатель родился в маленькой деревне, вырос в столице и много лет провёл за границей.",
            "The writer was born in a small village;",
            ("cut_off",),
        ),
        Planted(
            "Да.",
            "Yes, of course, and I would like to add that everything we talked about last week is still true, and that "
            "nobody has any reason at all to doubt it.",
            ("length_outlier",),
        ),
        Planted("Откройте окно и проветрите комнату.", "Open the window\u2028and air the room.", ("several_lines",)),
        Planted("Осталось %d минут.", "Some minutes are left.", ("markup_lost",)),
        Planted("Подробности на www.primer.ru/novosti/2020 здесь.", "Details are here.", ("address_lost",)),
        Planted("Население города составляет 845 человек.", "The town has 854 people.", ("number_lost",)),
        Planted("В комнате пахло кофе и свежим хлебом.", "The room smelled of coffee and fresh bread."),
        Planted(
            "Экзамен перенесли на следующую неделю.", "The room smelled of coffee and fresh bread.", ("duplicated",)
        ),
        Planted("Samsung Galaxy S21 Ultra 5G", "Samsung Galaxy S21 Ultra 5G"),
        Planted("Встреча пройдёт 05.09.2022 в Москве.", "The meeting will be held in Moscow on September 5, 2022."),
        Planted("Нет!", "No!"),
        Planted("Он сказал: «Приходите завтра».", "He said, “Come back tomorrow.”"),
    ),
    "en-zh": (
        Planted("The shop opens at nine.", "", ("empty",)),
        Planted("The shop opens at nine every morning.", "。", ("empty",)),
        Planted("Please read the manual before use.", "Please read the manual before use.", ("copied_source",)),
        Planted("He has lived in Beijing for years.", "彼は何年も北京に住んでいます。", ("wrong_language",)),
        Planted(
            "The river floods the fields in spring.",
            "The river overflows its banks and the fields in spring.",
            ("wrong_language",),
        ),
        Planted(
            "The team won the match yesterday.",
            "球队昨天赢了比赛球队昨天赢了比赛球队昨天赢了比赛球队昨天赢了比赛球队昨天赢了比赛",
            ("looping",),
        ),
        Planted(
            "The new line connects the airport with the old town and will carry forty thousand people a day.",
            "新线路连接机场和老城，",
            ("cut_off",),
        ),
        Planted(
            "Experts warn that prices may rise again in autumn if the harvest is as poor as it was last year.",
            "专家警告说",
            ("cut_off",),
        ),
        Planted(
            "Good.",
            "很好，非常感谢您的来信，我们会尽快处理您提出的所有问题，并在本周内给您一个满意的答复，请您耐心等待我们的消息。",
            ("length_outlier",),
        ),
        Planted("Open the door and come in.", "打开门<0x0A>请进。", ("several_lines",)),
        Planted("It is raining.", "下雨了。我们回家吧。路上要小心。", ("several_lines",)),
        Planted("You have {count} new messages.", "您有新消息。", ("markup_lost",)),
        Planted("See https://example.com/zh/help for more.", "更多信息请看帮助。", ("address_lost",)),
        Planted("The bridge is 1385 metres long.", "这座桥很长。", ("number_lost",)),
        Planted("The old man feeds the birds each morning.", "老人每天早上喂鸟。老人很喜欢这些鸟儿，它们也喜欢他。"),
        Planted(
            "Our flight was cancelled due to thick fog.",
            "老人每天早上喂鸟。老人很喜欢这些鸟儿，它们也喜欢他。",
            ("duplicated",),
        ),
        Planted("iPhone 13 Pro Max 256GB", "iPhone 13 Pro Max 256GB"),
        Planted("The order was shipped on 18.12.", "订单已于12月18日发货。"),
        Planted("We strive for 100% service.", "我们致力于提供全方位的服务。"),
        Planted("Wow!", "哇！"),
    ),
    "en-cs": (
        Planted(
            "The children have been looking forward to the holidays since Christmas.",
            "Deti sa na prázdniny tešia už od Vianoc.",
            ("wrong_language",),
        ),
        Planted("Good morning.", "Dobré ráno."),
        Planted("Good evening.", "Guten Abend.", ("wrong_language",)),
        Planted(
            "The old bridge will be closed to all traffic until the end of next month.",
            "Starý most bude pro veškerou dopravu uzavřen až do konce příštího",
            ("cut_off",),
        ),
        Planted("The price rose to 345 crowns.", "Cena stoupla na tři sta čtyřicet pět korun."),
        Planted(
            "The shop sells fresh bread, and the baker gets up at three.",
            "The shop sells čerstvý chléb, and the baker gets up at three.",
            ("wrong_language",),
        ),
        Planted("He ran, ran, ran until he could run no more.", "Běžel, běžel, běžel, až už běžet nemohl."),
        Planted("We do not know when he comes.", "Nevíme, kdy přijde."),
        Planted("We do not know when she comes.", "Nevíme, kdy přijde."),
        Planted("Turn left after 75 metres.", "Za několik metrů zahněte doleva.", ("number_lost",)),
    ),
    "en-de": (
        Planted(
            "The committee will meet again in the new year.",
            "De commissie komt in het nieuwe jaar weer bijeen.",
            ("wrong_language",),
        ),
        Planted("Heavy metal is back.", "Heavy Metal ist zurück."),
        Planted("What a wonderful day", "What a wonderful day", ("copied_source",)),
        Planted("The song is called Let It Be.", "Das Lied heißt Let It Be."),
        Planted(
            "When the last guests had gone, she sat down and cried.",
            "Als die letzten Gäste gegangen waren, setzte sie sich",
            ("cut_off",),
        ),
        Planted("It is ten past nine.", "Es ist 9:10 Uhr."),
        Planted(
            "Our tickets cost 12.50 euros each.",
            "Unsere Karten kosten je 12,50 Euro und sind jeden Cent wert, wie alle sagten, die dabei waren.",
            ("length_outlier",),
        ),
        Planted("The flat has 98 square metres.", "Die Wohnung hat 89 Quadratmeter.", ("number_lost",)),
        Planted("Very, very, very good!", "Sehr, sehr, sehr gut!"),
        Planted("Chapter 7. The storm. Part two.", "Kapitel 7. Der Sturm. Zweiter Teil."),
    ),
    "en-ru": (
        Planted(
            "The tea is cold, and nobody wants to drink it any more.",
            "Чай охолов, і ніхто більше не хоче його пити.",
            ("wrong_language",),
        ),
        Planted("I bought it on eBay for my sister.", "Я купил это на eBay для сестры."),
        Planted("Read me.", "Read me.", ("copied_source",)),
        Planted(
            "The doctor said that he should stay in bed for at least a week.",
            "Врач сказал, что ему следует оставаться в постели не меньше",
            ("cut_off",),
        ),
        Planted("The show starts at 7:30 p.m.", "Представление начинается в 19:30."),
        Planted("There were 250 guests at the wedding.", "На свадьбе было двести пятьдесят гостей."),
        Planted("No, no, no, no!", "Нет, нет, нет, нет!"),
        Planted(
            "Snow fell all night, and in the morning the roads were closed.",
            "Снег шёл всю ночь. Снег шёл всю ночь. Утром дороги были закрыты.",
            ("looping",),
        ),
        Planted("See <a href='/help'>the help</a>.", "Смотрите <a href='/help'>справку</a>."),
    ),
    "is-en": (
        Planted(
            "Hann las bókina í einni lotu um nóttina.",
            "Han læste bogen på en gang i løbet af natten.",
            ("wrong_language",),
        ),
        Planted("Bless, bless!", "Bye, bye!"),
        Planted("Góðan dag.", "Góðan dag.", ("copied_source",)),
        Planted(
            "Þegar skipið kom að landi um kvöldið stóð öll fjölskyldan á bryggjunni og veifaði.",
            "When the ship came ashore in the evening, the whole family stood on",
            ("cut_off",),
        ),
        Planted("Hún er fædd 12.5. og verður sextug.", "She was born on May 12 and will be sixty."),
        Planted("Sími: 555 1234.", "Phone: 555-1234."),
        Planted("Veðrið er gott.", "The weather is good. Veðrið er gott.", ("several_lines",)),
    ),
    "zh-en": (
        Planted("请在门口等我。", "请在门口等我。", ("copied_source",)),
        Planted("他昨天买了一本新书。", "Er hat gestern ein neues Buch gekauft.", ("wrong_language",)),
        Planted(
            "由于大雾，今天早上有四十多个航班被取消，数千名旅客滞留在机场。",
            "Because of thick fog, more than forty flights were cancelled this morning, and thousands of",
            ("cut_off",),
        ),
        Planted("今年有1.2亿人出门旅行。", "This year 120 million people went on a trip."),
        Planted("会议定于2022.3.15举行。", "The meeting is set for March 15, 2022."),
        Planted("这家饭馆的菜又便宜又好吃。", "The food here is cheap 又好吃.", ("wrong_language",)),
        Planted("慢慢慢慢地走", "Walk slowly, slowly"),
        Planted("哈哈哈哈哈哈哈哈哈哈", "Hahahahahahahahahaha"),
    ),
}


@dataclass(frozen=True)
class Verdict:
    """A planted case, and the flags that were found."""

    direction: str
    case: Planted
    found: frozenset[str]


def verdicts() -> list[Verdict]:
    """What is found in the planted cases, each direction as one file."""
    return [
        Verdict(direction, case, frozenset(flag.name for flag in flags))
        for direction, cases in PLANTED.items()
        for case, flags in zip(cases, _flags(direction, cases), strict=True)
    ]


def planted_table(found: list[Verdict]) -> Iterator[str]:
    """A row a flag: planted, found, found where it was not planted, precision, recall."""
    clean = sum(not one.case.flags for one in found)
    flagged = sum(bool(one.found) for one in found if not one.case.flags)
    yield "| flag | planted | found | found wrongly | precision | recall |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    totals = Counter[str]()
    for name in FLAG_NAMES:
        counts = Counter[str](
            planted=sum(name in one.case.flags for one in found),
            right=sum(name in one.found and name in one.case.flags for one in found),
            wrong=sum(name in one.found and name not in one.case.flags for one in found),
        )
        totals += counts
        yield _row(f"`{name}`", counts)
    yield _row("all", totals)
    yield f"\n{len(found)} cases in {len(PLANTED)} directions; of {clean} good ones {flagged} are flagged"


def _flags(direction: str, cases: tuple[Planted, ...]) -> list[list[object]]:
    sources, translations = [case.source for case in cases], [case.translation for case in cases]
    return [list(flags) for flags in flag_segments(sources, translations, Direction.parse(direction))]


def _row(name: str, counts: Counter[str]) -> str:
    planted, right, wrong = counts["planted"], counts["right"], counts["wrong"]
    precision = f"{right / (right + wrong):.2f}" if right + wrong else "-"
    recall = f"{right / planted:.2f}" if planted else "-"
    return f"| {name} | {planted} | {right} | {wrong} | {precision} | {recall} |"
