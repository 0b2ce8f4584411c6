"""Lines that stand on every page and say nothing: menus, cookie notices, page numbers, filler text."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Said by itself on a line, without regard to case and outer punctuation.
_LABELS = frozenset(
    line
    for lines in (
        # English
        "home|menu|search|login|log in|log out|sign in|sign up|register|subscribe|subscribe now|read more"
        "|learn more|show more|load more|click here|skip to content|skip to main content|skip to navigation"
        "|back to top"
        "|share|share this|share this article|share on facebook|share on twitter|tweet|follow us|follow us on twitter"
        "|like us on facebook|print|print this page|contact us|about us|privacy policy|terms of use|terms of service"
        "|terms and conditions|cookie policy|cookie settings|accept all cookies|accept cookies|all rights reserved"
        "|leave a comment|leave a reply|post a comment|no comments|no comments yet|related articles|related posts"
        "|previous page|next page|previous post|next post|advertisement|sponsored content|add to cart"
        "|site map|sitemap",
        # German
        "startseite|menü|suche|anmelden|abmelden|registrieren|jetzt anmelden|jetzt registrieren"
        "|mehr lesen|mehr erfahren|weiterlesen|mehr anzeigen|zum inhalt springen|zum hauptinhalt springen"
        "|zur navigation springen|nach oben|seite drucken|artikel teilen|auf facebook teilen"
        "|auf twitter teilen|folgen sie uns|impressum|datenschutz"
        "|datenschutzerklärung|kontakt|über uns|allgemeine geschäftsbedingungen|agb|cookie-einstellungen"
        "|alle cookies akzeptieren|cookies akzeptieren|alle rechte vorbehalten|kommentar schreiben|keine kommentare"
        "|ähnliche artikel|nächste seite|vorherige seite|anzeige|werbung|in den warenkorb|newsletter abonnieren",
        # Czech
        "domů|úvodní stránka|hledat|přihlásit se|přihlásit|odhlásit|registrovat se|registrace|číst dále|číst více|více"
        "|více informací|celý článek|přeskočit na obsah|přejít na obsah|přejít k hlavnímu obsahu|zpět nahoru|sdílet"
        "|sdílet na facebooku|vytisknout|tisk|kontakt|kontakty|o nás|ochrana osobních údajů|obchodní podmínky"
        "|nastavení cookies|přijmout vše|souhlasím s cookies|všechna práva vyhrazena|přidat komentář|žádné komentáře"
        "|související články|další strana|předchozí strana|reklama|přidat do košíku|mapa stránek",
        # Icelandic
        "forsíða|leita|leit|innskráning|skrá inn|útskráning|nýskráning|lesa meira|sjá meira|fara í efni|efst á síðu"
        "|deila|deila á facebook|prenta|hafa samband|hafðu samband|um okkur|persónuverndarstefna|skilmálar|vafrakökur"
        "|samþykkja allar vafrakökur|allur réttur áskilinn|öll réttindi áskilin|tengdar fréttir|næsta síða|fyrri síða"
        "|auglýsing|setja í körfu|veftré",
        # Russian
        "главная|главная страница|меню|поиск|войти|вход|выйти|регистрация|зарегистрироваться|читать далее"
        "|читать дальше|подробнее|узнать больше|показать ещё|показать еще|перейти к содержанию|перейти к содержимому"
        "|наверх|поделиться|поделиться в facebook|распечатать|версия для печати|контакты|о нас"
        "|политика конфиденциальности"
        "|пользовательское соглашение|принять все файлы cookie|все права защищены|оставить комментарий"
        "|нет комментариев|похожие статьи|следующая страница|предыдущая страница|реклама|добавить в корзину"
        "|карта сайта",
        # Chinese
        "首页|返回首页|登录|注册|登录注册|搜索|阅读更多|了解更多|查看更多|点击这里|返回顶部|回到顶部|上一页|下一页"
        "|上一篇|下一篇"
        "|联系我们|关于我们|隐私政策|服务条款|使用条款|版权所有|分享到微信|分享到微博|分享到朋友圈|发表评论|暂无评论|相关文章"
        "|相关阅读|广告|加入购物车|网站地图|跳到内容|跳至内容|接受所有 cookie",
    )
    for line in lines.split("|")
)

# Wherever in a short line it is said.
_NOTICES = re.compile(
    r"(?:lorem ipsum|(?:we|this (?:web)?site|our (?:web)?site) uses? cookies|by continuing to (?:use|browse) "
    r"(?:this|our) (?:web)?site|accept (?:all|the use of) cookies|(?:please )?enable javascript"
    r"|javascript (?:is disabled|must be enabled)"
    r"|powered by (?:wordpress|phpbb|vbulletin|drupal|blogger)|sign up for our newsletter|subscribe to our newsletter"
    r"|share (?:this )?on (?:facebook|twitter|linkedin|whatsapp)|your browser does not support"
    r"|diese (?:web)?(?:seite|site|website) (?:verwendet|benutzt|nutzt) cookies|wir (?:verwenden|nutzen) cookies"
    r"|durch die weitere nutzung (?:der|dieser) (?:web)?(?:seite|site)|(?:bitte )?aktivieren sie javascript"
    r"|(?:tyto|tento|naše) (?:stránky|web|webové stránky) (?:používají|používá|využívají|využívá) (?:soubory )?cookies?"
    r"|používáním (?:těchto stránek|tohoto webu) souhlasíte|povolte (?:si )?javascript"
    r"|(?:þessi vefur|þessi vefsíða|vefurinn|við) notar?(?:um)? (?:vafrakökur|vefkökur|fótspor)"
    r"|(?:этот|наш|данный) сайт использует (?:файлы )?(?:cookie|куки)|мы используем (?:файлы )?(?:cookie|куки)"
    r"|включите javascript|本(?:网站|站)使用\s?cookie|我们使用\s?cookie|请启用\s?javascript)",
    re.IGNORECASE,
)
PARTS_OF_NOTICES = (
    *("ookie", "ipsum", "cript", "owered", "hare", "ewsletter", "rowser", "ökur", "ótspor", "уки"),
    *("|", "›"),
)
LONGEST_LABEL, LONGEST_LINE = 40, 250  # characters; a longer one is a paragraph about these things

_FOOTERS = re.compile(
    # Page 3 of 10, - 12 -, © 2019 Someone
    r"(?:page|seite|strana|stránka|síða|страница|стр\.)\s+\d{1,4}(?:\s*(?:of|von|z|ze|af|из|/)\s*\d{1,4})?"
    r"|第\s*\d{1,4}\s*页(?:\s*[,，/]?\s*共\s*\d{1,4}\s*页)?"
    r"|(?:copyright\s*)?(?:©|\(c\)|copyright)\s*(?:copyright\s*)?\d{4}(?:\s*[-–]\s*\d{2,4})?[^.!?。]{0,60}"
    r"(?:[.,|]?\s*(?:all rights reserved|alle rechte vorbehalten|všechna práva vyhrazena|все права защищены"
    r"|öll réttindi áskilin|allur réttur áskilinn|版权所有|保留所有权利)\.?)?",
    re.IGNORECASE,
)
FOOTER_STARTS = tuple("pssс第cс©(PSCС")
# Home | About us | Contact
_MENU = re.compile(r"\s*[|›]?\s*[^|›.!?]{1,30}(?:[|›][^|›.!?]{1,30}){3,}[|›]?\s*")
_EDGES = " \t\xa0.:!?…»«›‹>|*•·→←↑▲-–—[]()"


def is_label(line: str) -> bool:
    """Whether the line is what stands on a button or in a menu; such a line may be translated text, too."""
    return 0 < len(line) <= LONGEST_LABEL and line.strip(_EDGES).casefold() in _LABELS


def is_notice(line: str, parts: Sequence[str] = PARTS_OF_NOTICES) -> bool:
    """Whether the line is a notice, a footer or a whole menu; `parts` are those that may be in it."""
    if len(line) > LONGEST_LINE:
        return False
    if line.startswith(FOOTER_STARTS) and _FOOTERS.fullmatch(line):
        return True
    if not [part for part in parts if part in line]:
        return False
    return bool(_NOTICES.search(line)) or bool(_MENU.fullmatch(line))


def without_boilerplate(text: str) -> str:
    """The text without such lines."""
    parts = [part for part in PARTS_OF_NOTICES if part in text]
    lines = text.split("\n")
    kept = [line for line in lines if not _is_boilerplate(line.strip(), parts)]
    return text if len(kept) == len(lines) else "\n".join(kept)


def _is_boilerplate(line: str, parts: Sequence[str]) -> bool:
    return is_label(line) or is_notice(line, parts)
