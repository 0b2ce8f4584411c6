"""What to cite for a table of scores, as BibTeX."""

from __future__ import annotations

from collections.abc import Iterable

_ENTRIES = {
    "bleu": """\
@inproceedings{papineni-etal-2002-bleu,
  title = {{B}leu: a Method for Automatic Evaluation of Machine Translation},
  author = {Papineni, Kishore and Roukos, Salim and Ward, Todd and Zhu, Wei-Jing},
  booktitle = {Proceedings of the 40th Annual Meeting of the Association for Computational Linguistics},
  year = {2002}, pages = {311--318}, doi = {10.3115/1073083.1073135},
}""",
    "chrf": """\
@inproceedings{popovic-2015-chrf,
  title = {chr{F}: character n-gram {F}-score for automatic {MT} evaluation},
  author = {Popovi{\\'c}, Maja},
  booktitle = {Proceedings of the Tenth Workshop on Statistical Machine Translation},
  year = {2015}, pages = {392--395}, doi = {10.18653/v1/W15-3049},
}""",
    "ter": """\
@inproceedings{snover-etal-2006-study,
  title = {A Study of Translation Edit Rate with Targeted Human Annotation},
  author = {Snover, Matthew and Dorr, Bonnie and Schwartz, Rich and Micciulla, Linnea and Makhoul, John},
  booktitle = {Proceedings of the 7th Conference of the Association for Machine Translation in the Americas},
  year = {2006}, pages = {223--231},
}""",
    "sacrebleu": """\
@inproceedings{post-2018-call,
  title = {A Call for Clarity in Reporting {BLEU} Scores},
  author = {Post, Matt},
  booktitle = {Proceedings of the Third Conference on Machine Translation: Research Papers},
  year = {2018}, pages = {186--191}, doi = {10.18653/v1/W18-6319},
}""",
    "comet": """\
@inproceedings{rei-etal-2022-comet,
  title = {{COMET}-22: Unbabel-{IST} 2022 Submission for the Metrics Shared Task},
  author = {Rei, Ricardo and C. de Souza, Jos{\\'e} G. and Alves, Duarte and Zerva, Chrysoula and Farinha, Ana C
    and Glushkova, Taisiya and Lavie, Alon and Coheur, Luisa and Martins, Andr{\\'e} F. T.},
  booktitle = {Proceedings of the Seventh Conference on Machine Translation (WMT)},
  year = {2022}, pages = {578--585},
}""",
    "cometkiwi": """\
@inproceedings{rei-etal-2022-cometkiwi,
  title = {{C}omet{K}iwi: {IST}-Unbabel 2022 Submission for the Quality Estimation Shared Task},
  author = {Rei, Ricardo and Treviso, Marcos and Guerreiro, Nuno M. and Zerva, Chrysoula and Farinha, Ana C
    and Maroti, Christine and C. de Souza, Jos{\\'e} G. and Glushkova, Taisiya and Alves, Duarte and Coheur, Luisa
    and Lavie, Alon and Martins, Andr{\\'e} F. T.},
  booktitle = {Proceedings of the Seventh Conference on Machine Translation (WMT)},
  year = {2022}, pages = {634--645},
}""",
    "xcomet": """\
@article{guerreiro-etal-2024-xcomet,
  title = {{xCOMET}: Transparent Machine Translation Evaluation through Fine-grained Error Detection},
  author = {Guerreiro, Nuno M. and Rei, Ricardo and van Stigt, Daan and Coheur, Luisa and Colombo, Pierre
    and Martins, Andr{\\'e} F. T.},
  journal = {Transactions of the Association for Computational Linguistics},
  year = {2024}, volume = {12}, pages = {979--995}, doi = {10.1162/tacl_a_00683},
}""",
    "significance": """\
@inproceedings{koehn-2004-statistical,
  title = {Statistical Significance Tests for Machine Translation Evaluation},
  author = {Koehn, Philipp},
  booktitle = {Proceedings of the 2004 Conference on Empirical Methods in Natural Language Processing},
  year = {2004}, pages = {388--395},
}""",
}
# By metric, of which the first name that a metric begins with counts; BLEU, chrF and TER are computed by sacreBLEU.
_CITED = {
    "spbleu": ("bleu", "sacrebleu"),
    "bleu": ("bleu", "sacrebleu"),
    "chrf": ("chrf", "sacrebleu"),
    "ter": ("ter", "sacrebleu"),
    "cometkiwi": ("cometkiwi",),
    "comet": ("comet",),
    "xcomet": ("xcomet",),
}


def bibtex(metrics: Iterable[str], *, significance: bool) -> str:
    """The entries of these metrics, of sacreBLEU where it computed one, and of the significance test."""
    cited = [next((keys for name, keys in _CITED.items() if metric.startswith(name)), ()) for metric in metrics]
    wanted = dict.fromkeys([key for keys in cited for key in keys] + ["significance"] * significance)
    return "\n\n".join(_ENTRIES[key] for key in wanted)
