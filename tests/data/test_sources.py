"""A source's path finds its files, their format, languages and split, or says in one line what is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from alma_cli.core.dataset import Document
from alma_cli.core.languages import LANGUAGES, Direction
from alma_cli.core.recipe import LoadedRecipe, MonoSource, ParallelSource, Recipe
from alma_cli.data.language_tags import FLORES_NAMES
from alma_cli.data.presets import known_training_data
from alma_cli.data.records import Pair, rows_of
from alma_cli.data.sources import Corpus, mono_corpora, mono_sources, parallel_corpora, parallel_sources
from alma_cli.errors import InputError, MachineError, UsageError

DE_EN, EN_DE = Direction("de", "en"), Direction("en", "de")
HALLO, HELLO = Pair(DE_EN, "Hallo", "Hello"), Pair(EN_DE, "Hello", "Hallo")

XLIFF = (
    '<xliff version="1.2"><file source-language="en" target-language="de"><body><trans-unit><source>Hello</source>'
    "<target>Hallo</target></trans-unit></body></file></xliff>"
)
TMX = '<tmx><tu><tuv lang="de"><seg>Hallo</seg></tuv><tuv lang="en"><seg>Hello</seg></tuv></tu></tmx>'
JSON = '{"translation": {"de": "Hallo", "en": "Hello"}}'


def loaded(directory: Path, *, directions: tuple[str, ...] = ("de-en", "en-de"), **content: Any) -> LoadedRecipe:
    recipe = Recipe.model_validate({"name": "test", "model": "tiny", "directions": directions} | content)
    return LoadedRecipe(recipe=recipe, origin="test", directory=directory)


def pairs_of(directory: Path, path: str, **options: Any) -> list[Corpus]:
    found, _ = parallel_corpora(loaded(directory), [ParallelSource(path=path, **options)])
    return found


def write(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


@pytest.fixture
def closed_folder() -> Iterator[Path]:
    """A folder that may not be looked into, in one that may; root becomes nobody, whom permissions hold."""
    with TemporaryDirectory() as name:
        folder = Path(name) / "closed"
        write(folder / "train.de-en.tsv", "Hallo\tHello\n")
        Path(name).chmod(0o755)
        folder.chmod(0)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if is_root:
                os.seteuid(0)
            folder.chmod(0o755)


@pytest.mark.parametrize(
    ("name", "content", "pair"),
    [
        ("a.de-en.tsv", "Hallo\tHello\n", HALLO),
        ("a.de-en.csv", "Hallo,Hello\n", HALLO),
        ("a.json", f"[{JSON}]", HALLO),
        ("a.jsonl", JSON, HALLO),
        ("a.tmx", TMX, HALLO),
        ("a.en-de.tmx", TMX, HELLO),
        ("a.xlf", XLIFF, HELLO),
        ("a.xliff", XLIFF, HELLO),
        ("de.po", 'msgid "Hello"\nmsgstr "Hallo"\n', HELLO),
        ("a.de-en.po", 'msgid ""\nmsgstr "Language: de\\n"\n\nmsgid "Hello"\nmsgstr "Hallo"\n', HELLO),
    ],
)
def test_the_ending_tells_the_format_and_the_name_or_the_file_the_languages(
    tmp_path: Path, name: str, content: str, pair: Pair
) -> None:
    write(tmp_path / name, content.replace('"Language', '"\n"Language'))
    [corpus] = pairs_of(tmp_path, name)
    assert list(rows_of(corpus.reader)) == [pair]
    assert corpus.files == (tmp_path / name,)
    assert not corpus.endless


@pytest.mark.parametrize("ending", ["gz", "xz", "zst"])
def test_the_ending_of_a_compression_is_no_format(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"dev.de-en.tmx.{ending}").write_bytes(b"")
    [corpus] = pairs_of(tmp_path, f"dev.de-en.tmx.{ending}")
    assert (corpus.how[0], corpus.languages, corpus.split) == ("tmx", "de-en", "valid")


def test_a_pattern_stands_for_all_its_files_in_their_order(tmp_path: Path) -> None:
    for name in ("b/train.de-en.tsv", "a/valid.de-en.tsv", "a/x.de-en.tsv", "a/notes.md"):
        write(tmp_path / name, "Hallo\tHello\n")
    found = pairs_of(tmp_path, "*/*.tsv")
    names = [str(corpus.files[0].relative_to(tmp_path)) for corpus in found]
    assert names == ["a/valid.de-en.tsv", "a/x.de-en.tsv", "b/train.de-en.tsv"]
    assert [corpus.split for corpus in found] == ["valid", "train", "train"]
    assert len(pairs_of(tmp_path, "**/*.tsv")) == 3
    with pytest.raises(InputError, match=r"no file matches '.*/\*\.tmx' \(check the folder and the ending\)"):
        pairs_of(tmp_path, "*.tmx")


def test_a_file_whose_name_looks_like_a_pattern_is_itself(tmp_path: Path) -> None:
    write(tmp_path / "a[1].de-en.tsv", "Hallo\tHello\n")
    [corpus] = pairs_of(tmp_path, "a[1].de-en.tsv")
    assert list(rows_of(corpus.reader)) == [HALLO]


def test_line_aligned_files_are_joined_by_what_their_wildcards_stand_for(tmp_path: Path) -> None:
    for name, texts in (("news", ("Hallo", "Hello")), ("den", ("Ja", "Yes"))):
        write(tmp_path / f"{name}.de", texts[0] + "\n")
        write(tmp_path / f"{name}.en", texts[1] + "\n")
    found = pairs_of(tmp_path, "*.{lang}", pair="de-en")
    assert [row for corpus in found for row in rows_of(corpus.reader)] == [Pair(DE_EN, "Ja", "Yes"), HALLO]
    assert [len(corpus.files) for corpus in found] == [2, 2]
    (tmp_path / "news.en").unlink()
    with pytest.raises(InputError, match=r"news\.de has no counterpart in 'en'"):
        pairs_of(tmp_path, "*.{lang}", pair="de-en")


def test_an_alma_folder_has_a_file_a_split_and_test_files_for_their_direction(tmp_path: Path) -> None:
    for name in ("train.de-en", "valid.de-en", "test.de-en", "test.en-de"):
        write(tmp_path / "deen" / f"{name}.json", f"[{JSON}]")
    found = pairs_of(tmp_path, ".")
    assert [(corpus.split, corpus.languages) for corpus in found] == [
        ("test", "de-en"), ("test", "en-de"), ("valid", "de-en"), ("train", "de-en"),
    ]  # fmt: skip
    [row] = rows_of(found[1].reader)
    assert isinstance(row, Pair)
    assert row.directed


def test_fields_choose_what_is_read(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", '{"x": {"a": "Hallo"}, "b": "Hello"}\n')
    [corpus] = pairs_of(tmp_path, "a.jsonl", pair="de-en", fields=("x.a", "b"))
    assert list(rows_of(corpus.reader)) == [HALLO]
    assert corpus.how == ("jsonl", "x.a", "b")
    with pytest.raises(UsageError, match=r"languages of .*a\.jsonl are not known \(name it like news\.de-en\.jsonl"):
        pairs_of(tmp_path, "a.jsonl", fields=("x.a", "b"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.de-en.docx", {}, r"the ending of .*docx does not tell its format \(\.json, .*\.parquet, or set `format`\)"),
        ("a.tsv", {}, r"the languages of .*a\.tsv are not known \(name it like news\.de-en\.tsv, or set its `pair`\)"),
        ("b.tsv.gz", {}, r"the languages of .*b\.tsv\.gz are not known \(name it like news\.de-en\.tsv\.gz, or"),
        ("a.de-en.tsv", {"format": "text"}, r"format 'text' of .* is not one of sentence pairs"),
        ("a.tsv", {"format": "lines"}, r"format 'lines' needs '\{lang\}' in the path"),
        ("messages.po", {}, r"the languages of .*messages\.po are not known \(name it like de\.po"),
    ],
)
def test_what_cannot_be_known_is_asked_for(tmp_path: Path, name: str, options: dict[str, Any], message: str) -> None:
    write(tmp_path / name, "")
    with pytest.raises(UsageError, match=message):
        pairs_of(tmp_path, name, **options)


def test_sources_in_other_languages_are_left_out_with_a_warning(tmp_path: Path) -> None:
    write(tmp_path / "a.cs-en.tsv", "Ahoj\tHello\n")
    source = ParallelSource(path="a.cs-en.tsv")
    assert parallel_corpora(loaded(tmp_path), [source]) == (
        [],
        ("a.cs-en.tsv is not read: its languages are in no direction of the recipe",),
    )


@pytest.mark.parametrize("path", ["closed/train.de-en.tsv", "closed", "closed/*.tsv", "*/*.tsv", "closed/x.{lang}"])
def test_a_folder_without_permission_is_named(closed_folder: Path, path: str) -> None:
    with pytest.raises(InputError, match=r"cannot read .*closed.*: [Pp]ermission denied"):
        pairs_of(closed_folder.parent, path)


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("de.txt", "Hallo\n", {}),
        ("news.de", "Hallo\n", {}),
        ("a.jsonl", '{"text": "Hallo"}\n', {}),
        ("a.jsonl", '{"content": "Hallo"}\n', {"format": "oscar"}),
        ("a.jsonl", '{"meta": {"body": "Hallo"}}\n', {"field": "meta.body"}),
    ],
)
def test_documents_are_read_by_their_ending(tmp_path: Path, name: str, content: str, options: dict[str, Any]) -> None:
    write(tmp_path / name, content)
    [corpus] = mono_corpora(loaded(tmp_path), [MonoSource(path=name, language="de", **options)])
    assert list(rows_of(corpus.reader)) == [Document("de", "Hallo")]


def test_sources_of_the_command_line_tell_what_they_are_by_name(tmp_path: Path) -> None:
    recipe = loaded(tmp_path).recipe
    [named] = parallel_sources([Path("sacrebleu:wmt19/de-en")])
    [source] = mono_sources([tmp_path / "mono.de.txt"], recipe)
    assert named.path == "sacrebleu:wmt19/de-en"
    assert (source.language, source.path) == ("de", str(tmp_path / "mono.de.txt"))
    with pytest.raises(UsageError, match=r"the language of .*x\.txt is not known"):
        mono_sources([tmp_path / "x.txt"], recipe)


def test_a_sacrebleu_test_set_is_read_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sacrebleu.utils import DATASETS

    monkeypatch.setattr(DATASETS["wmt19"], "_outdir", str(tmp_path))
    for field in DATASETS["wmt19"].fieldnames("de-en"):
        write(tmp_path / f"wmt19.de-en.{field}", "Hallo\n" if field == "src" else "Hello\n")
    [corpus] = pairs_of(tmp_path, "sacrebleu:wmt19/de-en")
    assert list(rows_of(corpus.reader)) == [Pair(DE_EN, "Hallo", "Hello", directed=True)]
    assert (corpus.split, corpus.languages, corpus.endless) == ("test", "de-en", False)
    assert pairs_of(tmp_path, "wmt19/de-en", format="sacrebleu") == [corpus]


def test_a_sacrebleu_test_set_that_is_not_here_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sacrebleu.utils import DATASETS

    monkeypatch.setattr(DATASETS["wmt19"], "_outdir", str(tmp_path))
    monkeypatch.setattr(DATASETS["wmt19"], "_rawdir", str(tmp_path))
    monkeypatch.setattr(DATASETS["wmt19"], "data", ["http://127.0.0.1:9/wmt19.tgz"])  # nobody listens there
    message = r"test set wmt19/de-en is not in .* and cannot be downloaded: .*\(run `sacrebleu -t wmt19 -l de-en"
    with pytest.raises(MachineError, match=message):
        pairs_of(tmp_path, "sacrebleu:wmt19/de-en")
    with pytest.raises(UsageError, match=r"no test set 'wtm19' \(did you mean 'wmt19'\?\)"):
        pairs_of(tmp_path, "sacrebleu:wtm19/de-en")
    is_en = ParallelSource(path="sacrebleu:wmt19/is-en")
    with pytest.raises(UsageError, match="test set wmt19 has no is-en"):
        parallel_corpora(loaded(tmp_path, directions=("is-en",)), [is_en])


def test_presets_stand_for_the_papers_corpora_in_the_recipes_languages(tmp_path: Path) -> None:
    human = pairs_of(tmp_path, "preset:alma-human-parallel")
    assert [(corpus.path, corpus.split) for corpus in human] == [
        ("haoranxu/ALMA-Human-Parallel/de-en", "train"),
        ("haoranxu/ALMA-Human-Parallel/de-en", "valid"),
    ]
    flores = pairs_of(tmp_path, "preset:flores-200")
    assert [(corpus.path[-8:], corpus.split) for corpus in flores] == [("plus/dev", "valid"), ("/devtest", "test")]
    assert [corpus.split for corpus in pairs_of(tmp_path, "preset:flores-200", split="train")] == ["train", "train"]
    [preference] = pairs_of(tmp_path, "preset:alma-r-preference")
    oscar = MonoSource(path="preset:oscar-2301", language="is")
    [pages] = mono_corpora(loaded(tmp_path), [oscar])
    assert pages.path == "hf://datasets/oscar-corpus/OSCAR-2301/is_meta/*.jsonl.zst"
    assert all(corpus.endless and corpus.sha256 == "" for corpus in (*human, *flores, preference, pages))
    with pytest.raises(UsageError, match=r"no preset 'flores' of sentence pairs \(did you mean 'flores-200'\?\)"):
        pairs_of(tmp_path, "preset:flores")


def test_flores_has_a_name_for_every_language() -> None:
    assert FLORES_NAMES.keys() == LANGUAGES.keys()


@pytest.mark.parametrize(
    ("model", "sources", "warned"),
    [
        ("haoranxu/ALMA-7B", ["sacrebleu:wmt19/de-en", "sacrebleu:wmt22/de-en"], ["sacrebleu:wmt19/de-en"]),
        ("haoranxu/ALMA-13B-R", ["preset:flores-200"], ["preset:flores-200"]),
        ("tiny", ["preset:alma-human-parallel", "test.newstest2018.de-en.tsv"], ["test.newstest2018.de-en.tsv"]),
        ("tiny", ["data/ALMA-Human-Parallel", "newstest2016.test.de-en.tsv"], []),
        ("haoranxu/ALMA-7B-Pretrain", ["preset:flores-200", "sacrebleu:wmt20/tworefs/de-en"], []),
        ("tiny", ["preset:flores-200", "sacrebleu:wmt17"], []),
    ],
)
def test_a_test_set_that_alma_was_trained_on_is_warned_of(
    tmp_path: Path, model: str, sources: list[str], warned: list[str]
) -> None:
    recipe = loaded(tmp_path, model=model, data={"parallel": {"sources": [{"path": path} for path in sources]}})
    warnings = known_training_data(recipe)
    assert [warning.partition(" is KNOWN TRAINING DATA")[0] for warning in warnings] == warned
