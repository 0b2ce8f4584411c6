"""Language tags as files and data sets write them (`de-DE`, `deu`, `deu_Latn`), as the codes that recipes use."""

from __future__ import annotations

import re

from alma_cli.core.languages import LANGUAGES

# The names of FLORES+ (openlanguagedata/flores_plus); FLORES-200 itself has zho_Hans and est_Latn.
FLORES_NAMES = {
    "af": "afr_Latn", "ar": "arb_Arab", "az": "azj_Latn", "bg": "bul_Cyrl", "ca": "cat_Latn", "cs": "ces_Latn",
    "da": "dan_Latn", "de": "deu_Latn", "el": "ell_Grek", "en": "eng_Latn", "es": "spa_Latn", "et": "ekk_Latn",
    "fa": "pes_Arab", "fi": "fin_Latn", "fr": "fra_Latn", "gl": "glg_Latn", "gu": "guj_Gujr", "he": "heb_Hebr",
    "hi": "hin_Deva", "hu": "hun_Latn", "id": "ind_Latn", "is": "isl_Latn", "it": "ita_Latn", "ja": "jpn_Jpan",
    "ka": "kat_Geor", "kk": "kaz_Cyrl", "ko": "kor_Hang", "ky": "kir_Cyrl", "lt": "lit_Latn", "lv": "lvs_Latn",
    "mg": "plt_Latn", "mk": "mkd_Cyrl", "mr": "mar_Deva", "ms": "zsm_Latn", "ne": "npi_Deva", "nl": "nld_Latn",
    "no": "nob_Latn", "pl": "pol_Latn", "pt": "por_Latn", "ro": "ron_Latn", "ru": "rus_Cyrl", "sk": "slk_Latn",
    "sl": "slv_Latn", "sr": "srp_Cyrl", "sv": "swe_Latn", "th": "tha_Thai", "tr": "tur_Latn", "uk": "ukr_Cyrl",
    "ur": "urd_Arab", "uz": "uzn_Latn", "vi": "vie_Latn", "zh": "cmn_Hans",
}  # fmt: skip

# Codes that mean the same: of ISO 639-2 and 639-3, withdrawn ones, and what is written for Norwegian.
_SAME = {
    **{name.split("_")[0]: code for code, name in FLORES_NAMES.items()},
    "ara": "ar", "aze": "az", "alb": "sq", "chi": "zh", "zho": "zh", "cze": "cs", "dut": "nl", "est": "et", "fas": "fa",
    "per": "fa", "fre": "fr", "geo": "ka", "ger": "de", "gre": "el", "ice": "is", "lav": "lv", "mac": "mk", "may": "ms",
    "msa": "ms", "mlg": "mg", "nep": "ne", "nor": "no", "nno": "no", "nb": "no", "nn": "no", "rum": "ro", "slo": "sk",
    "uzb": "uz", "iw": "he", "in": "id",
}  # fmt: skip


def language_of_tag(tag: str) -> str | None:
    """The code of the tag's language, None for one that is not known: `de` for `de`, `DE-at`, `de_CH`, `deu_Latn`."""
    first = re.split(r"[-_@.]", tag.strip().lower(), maxsplit=1)[0]
    code = _SAME.get(first, first)
    return code if code in LANGUAGES else None
