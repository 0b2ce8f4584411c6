"""`alma translate` on files as people have them: N lines in, N lines out, or one line that says why not."""

from __future__ import annotations

import os
import random
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from tests.typed import Typed, finish, start, typed, wait_for

BOM = b"\xef\xbb\xbf"
NOT_TUNED = "no stage of recipe tiny is finished in runs/tiny: the base model is not fine-tuned"


def translate(folder: Path, *words: str) -> Typed:
    return typed(folder, "translate", *words, "--src", "de", "--tgt", "en")


def translated(folder: Path, content: bytes, *words: str) -> bytes:
    """The bytes that come out for a file with these bytes."""
    (folder / "given.txt").write_bytes(content)
    done = translate(folder, "given.txt", "--quiet", *words)
    assert done.code == 0, done.err
    return done.stdout


# --- what is around the text --------------------------------------------------------------------------------------


def test_line_ends_and_blank_lines_are_kept(folder: Path) -> None:
    out = translated(folder, b"Hund\r\n\r\n  \nKatze\n\n")

    lines = out.split(b"\n")
    assert [line.endswith(b"\r") for line in lines] == [True, True, False, False, False, False]
    assert (lines[1], lines[2], lines[4], lines[5]) == (b"\r", b"  ", b"", b"")
    assert lines[0].strip()
    assert lines[3].strip()


@pytest.mark.parametrize("content", [b"\n", b"\n\n\n", b" \r\n\t", BOM + b"\n"])
def test_blank_lines_alone_come_back(folder: Path, content: bytes) -> None:
    assert translated(folder, content) == content


def test_a_byte_order_mark_is_kept(folder: Path) -> None:
    assert translated(folder, BOM + b"Hund\n").startswith(BOM)


def test_a_last_line_without_line_feed_stays_so(folder: Path) -> None:
    assert translated(folder, b"Hund\nKatze").count(b"\n") == 1


@pytest.mark.parametrize(
    "text", ["a\u2028b\x85c\x0cd\x0be\rf", "🙂 \u202e\u05e9\u05dc\u05d5\u05dd", "a\\nEnglish: b", "</s>", "\x1b[31mrot"]
)
def test_one_line_stays_one_line_in_every_readers_eyes(folder: Path, text: str) -> None:
    out = translated(folder, f"{text}\n".encode()).decode()

    assert len(out.splitlines()) == 1
    assert out.endswith("\n")


def test_three_hundred_hostile_lines_give_three_hundred_lines(folder: Path) -> None:
    chance = random.Random(7)
    codes = [code for code in range(1, 0x11000) if code != 10 and not 0xD800 <= code < 0xE000]
    lines = ["".join(map(chr, chance.sample(codes, k=chance.randrange(8)))) for _ in range(300)]
    framed = [" " * chance.randrange(3) + line + "\t" * chance.randrange(3) for line in lines]

    out = translated(folder, ("\n".join(framed) + "\n").encode(), "--beams", "1").decode().split("\n")[:-1]

    assert len(out) == 300
    assert [not line.strip() for line in out] == [not line.strip() for line in framed]
    starts = [(line, line[: len(line) - len(line.lstrip())]) for line in framed if line.strip()]
    given = [result for result, line in zip(out, framed, strict=True) if line.strip()]
    assert all(result.startswith(start) for result, (_, start) in zip(given, starts, strict=True))


def test_nothing_of_a_line_of_a_hundred_thousand_characters_is_left_out(folder: Path) -> None:
    (folder / "given.txt").write_text("Hund\n" + "Wort " * 20_000 + "\nKatze\n")

    done = translate(folder, "given.txt", "--quiet", "--beams", "1", "--set", "decoding.max_source_letters=300")

    lines = done.out.split("\n")
    assert (done.code, len(lines)) == (0, 4)
    assert len(lines[1].split()) >= 100_000 // 300
    assert "were cut" not in done.err


# --- streams and files --------------------------------------------------------------------------------------------


def test_stdin_goes_to_stdout_and_nothing_else_does(folder: Path) -> None:
    done = finish(start(folder, "translate", "-", "-s", "de", "-t", "en"), b"Hund\r\n\r\nKatze")

    assert done.code == 0
    assert done.stdout.count(b"\r\n") == 2
    assert done.err.startswith("recipe tiny: ")
    assert NOT_TUNED in done.err


def test_quiet_leaves_results_and_warnings(folder: Path) -> None:
    done = translate(folder, "in.txt", "--quiet")

    assert done.out.count("\n") == 3
    assert all(line.startswith("warning: ") for line in done.err.strip().split("\n"))


def test_an_output_file_is_written_whole_and_its_link_stays(folder: Path) -> None:
    (folder / "real.txt").write_text("old")
    (folder / "link.txt").symlink_to("real.txt")

    done = translate(folder, "in.txt", "-o", "link.txt")

    assert (done.code, done.stdout) == (0, b"")
    assert "2 segments translated into link.txt" in done.err
    assert (folder / "link.txt").is_symlink()
    assert (folder / "real.txt").read_text().count("\n") == 3
    assert not list(folder.glob(".*tmp"))


def test_a_full_disk_is_one_line_and_a_device_stays_a_device(folder: Path) -> None:
    done = translate(folder, "in.txt", "--quiet", "-o", "/dev/full")

    assert done.code == 4
    assert done.errors[-1].startswith("error: No space left on device")
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_an_output_that_is_a_stream_is_written_to(folder: Path) -> None:
    process = start(folder, "translate", "in.txt", "-s", "de", "-t", "en", "-q", "-o", "/dev/stdout")

    assert finish(process).stdout.count(b"\n") == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk takes root")
def test_a_full_disk_leaves_the_old_output(folder: Path) -> None:
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "none", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this machine does not let root mount")
    try:
        (disk / "out.txt").write_text("old")
        (folder / "long.txt").write_text("Hund und Katze\n" * 300)
        done = translate(folder, "long.txt", "--quiet", "--beams", "1", "-o", "disk/out.txt")
        left = {path.name: path.read_text() for path in disk.iterdir()}
    finally:
        subprocess.run(["umount", str(disk)], check=True)

    assert done.code == 4
    assert done.errors[-1].startswith("error: No space left on device")
    assert left == {"out.txt": "old"}


@pytest.mark.parametrize("beams", ["1", "3"])
def test_any_number_of_beams_translates(folder: Path, beams: str) -> None:
    assert translated(folder, b"Hund\nKatze\n", "--beams", beams).count(b"\n") == 2


def test_translations_are_in_the_order_of_their_sources(folder: Path) -> None:
    lines = [b"Hund", b"Die Katze und der Baum und das Haus", b"Ja", b"Das ist ein Wort."]
    words = ("--set", "decoding.sentences_at_once=1")  # one a batch: bf16 rounds otherwise in other company
    alone = [translated(folder, line + b"\n", *words) for line in lines]

    together = translated(folder, b"\n".join(lines) + b"\n", *words)

    assert together == b"".join(alone)


# --- what cannot be translated ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("empty.txt", 3, "'empty.txt' is empty"),
        ("latin.txt", 3, "'latin.txt' line 2 is not UTF-8 (convert the file to UTF-8)"),
        ("nul.txt", 3, "'nul.txt' line 3 has a NUL byte: it is not a text file"),
        ("inn.txt", 3, "'inn.txt' does not exist (did you mean 'in.txt'?)"),
        ("no/in.txt", 3, "'no/in.txt' does not exist (there is no folder 'no')"),
        (".", 2, "several files need a place to go to (name a directory with --output)"),
        ("in.txt latin.txt", 2, "several files need a place to go to (name a directory with --output)"),
        ("in.txt latin.txt -o in.txt", 2, "--output in.txt is a file, and there are several inputs (name a directory)"),
        ("in.txt - -o into", 2, "stdin is translated alone (leave out - or the other inputs)"),
        ("in.txt ./in.txt -o into", 2, "'in.txt' and './in.txt' would both become 'into/in.txt' (translate them one"),
        ("in.txt nul.txt -o .", 2, "--output in.txt is the input itself (name another directory)"),
        ("nothing -o into", 3, "'nothing' has no file of a known format (known endings: .txt "),
        ("nothing -o nothing", 2, "--output nothing is the input itself (name another directory)"),
        ("nothing -o nothing/in", 2, "--output nothing/in is inside the input nothing (name a directory beside it)"),
        ("nothing -o no/into", 2, "--output no/into: there is no directory no"),
        ("in.txt --format doc", 2, "unknown format 'doc' ("),
        ("in.txt --json", 2, "--json and the translation cannot both go to stdout (name a file with --output)"),
        ("in.txt --partial --no-resume", 2, "--partial shows what --no-resume ignores (leave one of them out)"),
        ("in.txt --partial --dry-run", 2, "--partial and --dry-run do not go together (leave one of them out)"),
        ("--partial", 2, "--partial needs an INPUT file (test sets go to translations/ in the work directory)"),
        ("in.txt -o in.txt", 2, "--output in.txt is the input itself (name another file)"),
        ("in.txt -o ./in.txt", 2, "--output in.txt is the input itself"),
        ("in.txt -o .", 2, "--output in.txt is the input itself (name another file)"),
        ("in.txt -o no/out.txt", 2, "--output no/out.txt: there is no directory no"),
        ("in.txt -o /proc/out.txt", 4, "--output /proc/out.txt: cannot write there: "),
        ("in.txt --beams 0", 2, "invalid value for '--beams': "),
        ("in.txt --beams many", 2, "invalid value for '--beams': "),
        ("in.txt --set decoding.beams=0", 2, "a problem in recipe alma.toml: decoding.beams = 0"),
        ("in.txt --set decoding.beam=1", 2, "a problem in recipe alma.toml: unknown key 'decoding.beam', did you mean"),
        ("in.txt --model smolm2-135m", 2, "unknown model 'smolm2-135m' (did you mean 'smollm2-135m'?)"),
        ("in.txt --model nothing", 3, "'nothing' is a directory, but no model"),
        ("in.txt --model in.txt", 3, "model 'in.txt' is a file, but not a .gguf"),
        ("in.txt --set model=bare", 3, "cannot load the model in bare: "),
        ("in.txt --model bare", 3, "cannot load the model in bare: "),
        ("in.txt --model broken", 3, "cannot load the model in broken: "),
        ("in.txt --model cut", 3, "cannot load the model in cut: "),
        ("in.txt --model mute", 3, "mute has no usable tokenizer: "),
        ("in.txt --model torn", 3, "'torn/config.json' is not valid JSON: "),
        ("--output out.txt", 2, "--output needs an INPUT file"),
        ("", 3, "no test examples in 'runs/tiny/data/parallel/test'"),
        ("in.txt more.txt -o into", 3, "'more.txt' does not exist ("),
    ],
)
def test_what_cannot_be_translated_is_refused_in_one_line(
    folder: Path, tiny_model: Path, words: str, code: int, message: str
) -> None:
    (folder / "empty.txt").write_bytes(b"")
    (folder / "latin.txt").write_bytes(b"ok\nsch\xf6n\n")
    (folder / "nul.txt").write_bytes(b"ok\nok\na\0b\n")
    (folder / "nothing").mkdir()
    for name in ("bare", "broken", "cut", "mute", "torn"):
        shutil.copytree(tiny_model, folder / name)
    (folder / "bare/model.safetensors").unlink()
    (folder / "broken/model.safetensors").write_bytes(random.Random(0).randbytes(100))
    (folder / "cut/model.safetensors").write_bytes((tiny_model / "model.safetensors").read_bytes()[:5000])
    [path.unlink() for path in (folder / "mute").glob("token*")]
    (folder / "torn/config.json").write_text("{")

    done = translate(folder, *words.split())

    shown = [line for line in done.errors if not line.startswith(("warning: no stage", "model "))]
    assert (done.code, done.stdout) == (code, b"")
    assert len(shown) == 1
    assert shown[0].startswith(f"error: {message}")
    assert not (folder / "out.txt").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "--src and --tgt is missing (name both languages, such as --src de --tgt en)"),
        ("--src German --tgt en", "unknown language code 'German' (did you mean 'de'?)"),
        ("--src de --tgt english", "unknown language code 'english' (did you mean 'en'?)"),
        ("--src DE --tgt en", "unknown language code 'DE' (did you mean 'de'?)"),
        ("--src zh-CN --tgt en", "unknown language code 'zh-CN' (one of: af, "),
        ("--src xx", "unknown language code 'xx' (one of: af, "),
        ("--src de --tgt de", "direction 'de-de' goes from a language into itself"),
        ("--tgt fr", "--src is missing (name both languages, such as --src de --tgt en)"),
        ("--src", "option '--src' requires an argument (see `alma translate --help`)"),
    ],
)
def test_a_wrong_language_is_one_line(folder: Path, words: str, message: str) -> None:
    done = typed(folder, "translate", "in.txt", *words.split())

    assert (done.code, done.stdout) == (2, b"")
    assert [line[: len(message) + 7] for line in done.errors] == [f"error: {message}"]


def test_one_language_is_enough_where_the_recipe_has_one_direction_for_it(folder: Path) -> None:
    done = typed(folder, "translate", "in.txt", "--src", "de")

    assert done.code == 0
    assert "direction de-en: the only one of the recipe that fits\n" in done.err


def test_ctrl_c_says_how_to_go_on_and_leaves_the_old_output(folder: Path) -> None:
    (folder / "long.txt").write_text("".join(f"Hund und {number}\n" for number in range(3000)))
    (folder / "out.txt").write_text("old")
    process = start(folder, "translate", "long.txt", "-s", "de", "-t", "en", "-o", "out.txt")
    wait_for(process.stderr, "segments")

    process.send_signal(signal.SIGINT)
    done = finish(process)

    assert (done.code, done.stdout) == (130, b"")
    last = "error: stopped (run the same command again: what is complete is not done again)"
    assert [line for line in done.errors if not line.startswith("long.txt de-en: ")] == [last]
    assert (folder / "out.txt").read_text() == "old"
