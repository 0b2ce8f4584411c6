"""Text as blocks on disk: the same tokens as in memory, tokenised once, as far as needed, and on after a kill."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from transformers import PreTrainedTokenizerBase

from alma_cli.core.blocks import Blocks, TokenFile
from alma_cli.core.dataset import Document, split_path, split_sha256, write_documents
from alma_cli.core.examples import TextFormat, TokenizedExample, document_ids
from alma_cli.core.plan import plan_stage
from alma_cli.core.stage import run_stage
from alma_cli.errors import InputError
from tests.core.conftest import MakeRecipe
from tests.tiny import byte_tokenizer, merging_tokenizer

ALMA, ALMA_BOS = TextFormat("alma", False), TextFormat("alma", True)
REPOSITORY = Path(__file__).resolve().parent.parent.parent


def written(path: Path, texts: list[str], shard_bytes: int | None = None) -> Path:
    write_documents(path, (Document("de", text) for text in texts), shard_bytes)
    return path


def token_file(
    path: Path, tokenizer: PreTrainedTokenizerBase | None = None, text_format: TextFormat = ALMA_BOS
) -> TokenFile:
    return TokenFile(path, split_sha256(path), tokenizer or byte_tokenizer(), text_format)


def files_beside(path: Path) -> list[str]:
    return sorted(file.name for file in (path.parent / "tokens").iterdir())


def ended_at(file: TokenFile) -> dict[str, int]:
    """The place in the text that the file's tokens end at."""
    place: dict[str, int] = json.loads(file.path.with_suffix(".json").read_text())["read"]
    return place


def in_memory(texts: list[str], block_tokens: int) -> list[TokenizedExample]:
    """What blocks are by definition: documents with BOS and EOS, one after the other, cut; BOS before each piece."""
    ids = [token for row in document_ids(byte_tokenizer(), ALMA_BOS, texts) for token in row]
    width = block_tokens - 1
    starts = range(0, len(ids) - width + 1, width)
    return [TokenizedExample((byte_tokenizer().bos_token_id, *ids[start : start + width]), 0) for start in starts]


# --- blocks -----------------------------------------------------------------------------------------------------


def test_documents_fill_blocks_with_eos_between_and_the_rest_is_counted(tmp_path: Path) -> None:
    # abc EOS de </s>-as-four-bytes EOS = 4 + 6 + 1 = 11 tokens: two blocks of 4, 3 tokens left over.
    path = written(tmp_path / "train", ["abc", "de</s>"])
    blocks = token_file(path, byte_tokenizer(adds_bos=False), ALMA).blocks(4)

    assert [byte_tokenizer().convert_ids_to_tokens(block.token_ids) for block in blocks] == [
        ["a", "b", "c", "</s>"],
        ["d", "e", "<", "/"],
    ]
    assert blocks.left_over == 3


def test_every_block_begins_with_bos_where_texts_do(tmp_path: Path) -> None:
    # BOS abc EOS BOS de </s>-as-four-bytes EOS = 5 + 1 + 6 + 1 = 13 tokens: three times BOS and 4 of them, 1 left over.
    blocks = token_file(written(tmp_path / "train", ["abc", "de</s>"])).blocks(5)

    assert [byte_tokenizer().convert_ids_to_tokens(block.token_ids) for block in blocks] == [
        ["<s>", "<s>", "a", "b", "c"],
        ["<s>", "</s>", "<s>", "d", "e"],
        ["<s>", "<", "/", "s", ">"],
    ]
    assert blocks.left_over == 1


def test_blocks_of_many_documents_lose_no_token(tmp_path: Path) -> None:
    # 2,500 documents of 3 bytes with BOS and EOS are 12,500 tokens: 833 blocks of BOS and 15, and 5 tokens over.
    blocks = token_file(written(tmp_path / "train", ["abc"] * 2500)).blocks(16)

    assert ({len(block.token_ids) for block in blocks}, len(blocks), blocks.left_over) == ({16}, 833, 5)
    assert (blocks.tokens, blocks.target_tokens) == (833 * 16, 833 * 15)  # a block's first is predicted from nothing
    assert {block.target_tokens for block in blocks} == {15}


def test_blocks_are_the_documents_in_their_order(tmp_path: Path) -> None:
    texts = [f"Žluťoučký {number} 你好\n\u2028 {'x' * (number % 70)}" for number in range(3000)]

    blocks = token_file(written(tmp_path / "train", texts)).blocks(32)

    assert list(blocks) == in_memory(texts, 32)


def test_blocks_are_read_by_index_from_either_end_and_by_slice(tmp_path: Path) -> None:
    blocks = token_file(written(tmp_path / "train", ["abcdefgh"])).blocks(3)

    every = list(blocks)
    assert len(every) == 5
    assert (blocks[0], blocks[4], blocks[-1], blocks[-5]) == (every[0], every[4], every[4], every[0])
    assert blocks[1:4] == every[1:4]
    with pytest.raises(IndexError):
        blocks[5]
    with pytest.raises(IndexError):
        blocks[-6]
    assert blocks.largest_token_id == max(max(block.token_ids) for block in every)


@pytest.mark.parametrize(("texts", "left_over"), [([], 0), (["cat"], 5)])
def test_text_without_a_full_block_has_none(tmp_path: Path, texts: list[str], left_over: int) -> None:
    blocks = token_file(written(tmp_path / "train", texts)).blocks(32)

    assert (len(blocks), list(blocks), bool(blocks), blocks.left_over) == (0, [], False, left_over)
    assert (blocks.tokens, blocks.target_tokens, blocks.largest_token_id) == (0, 0, 0)


def test_blocks_know_the_ids_of_their_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alma_cli.core.blocks._IDS_LOOKED_AT", 3)
    tokenizer = byte_tokenizer()
    blocks = token_file(written(tmp_path / "train", ["cab", "bad"])).blocks(10)  # BOS cab EOS BOS bad: 9 tokens of it

    assert tokenizer.convert_ids_to_tokens(blocks.vocabulary) == ["<s>", "</s>", "a", "b", "c", "d"]
    assert blocks.vocabulary == sorted(set(blocks[0].token_ids))
    assert token_file(written(tmp_path / "none", [])).blocks(10).vocabulary == []


def test_a_vocabulary_over_two_bytes_takes_four(tmp_path: Path) -> None:
    path = written(tmp_path / "train", ["abc", "<extra_69999>"])
    tokenizer = byte_tokenizer(adds_bos=False)
    tokenizer.add_tokens([f"<extra_{number}>" for number in range(70_000)])  # of plain words, not special

    file = token_file(path, tokenizer, ALMA)

    assert [block.token_ids[0] for block in file.blocks(1)][-2:] == [259 + 69_999, 1]
    assert file.path.stat().st_size == 4 * 6


def test_a_line_that_is_no_document_is_named(tmp_path: Path) -> None:
    by_hand = tmp_path / "train.jsonl"
    by_hand.write_text('{"language": "de", "text": "abc"}\n' * 3 + '{"language": "de", "te')

    with pytest.raises(InputError) as caught:
        token_file(tmp_path / "train").blocks(4)

    assert caught.value.message == f"{by_hand} line 4 is not JSON in UTF-8"


# --- once, and as far as needed -----------------------------------------------------------------------------------


def test_text_is_tokenised_once(tmp_path: Path) -> None:
    path = written(tmp_path / "train", ["abc"] * 3000)
    told: list[int] = []
    first = token_file(path).blocks(16, progress=told.append)
    assert told == [5000, 10_000, 15_000]

    again = token_file(path).blocks(16, progress=told.append)

    assert len(told) == 3
    assert list(again) == list(first)


def test_other_block_lengths_share_the_tokens(tmp_path: Path) -> None:
    path = written(tmp_path / "train", ["abc"] * 100)
    token_file(path).blocks(16)
    told: list[int] = []

    blocks = token_file(path).blocks(100, progress=told.append)

    assert (len(blocks), told) == (5, [])


def test_only_what_is_needed_is_tokenised_and_more_is_added_later(tmp_path: Path) -> None:
    # A thousand documents of 5 tokens at a time are 312 blocks of BOS and 16.
    texts = [f"{number:03}" for number in range(1000)] * 3
    path = written(tmp_path / "train", texts)
    expected = in_memory(texts, 17)
    few = token_file(path)

    blocks = few.blocks(17, most=300)

    assert (list(blocks), blocks.left_over, ended_at(few)["lines"]) == (expected[:300], 0, 1000)
    more = token_file(path).blocks(17, most=400)
    assert (list(more), ended_at(few)["lines"]) == (expected[:400], 2000)
    assert list(blocks) == expected[:300]  # who has the file open sees what it saw
    every = token_file(path).blocks(17, most=9999)
    assert (list(every), every.left_over) == (expected, 8)  # 15000 tokens are 937 blocks and 8 more
    assert list(token_file(path).blocks(17, most=300)) == expected[:300]  # whatever the file has by now


def test_the_left_over_tokens_do_not_depend_on_earlier_runs(tmp_path: Path) -> None:
    path = written(tmp_path / "train", ["abc"] * 7)  # 35 tokens: two blocks of BOS and 16, and 3 tokens
    limited = token_file(path)

    assert [limited.blocks(17, most=most).left_over for most in (1, 2, 3)] == [0, 0, 3]
    assert [limited.blocks(17, most=most).left_over for most in (1, 2, 3)] == [0, 0, 3]
    assert limited.blocks(17).left_over == 3


@pytest.mark.parametrize(
    ("tokenizer", "text_format"), [(merging_tokenizer(), ALMA_BOS), (byte_tokenizer(), ALMA)], ids=["other", "no BOS"]
)
def test_another_tokenizer_or_format_has_its_own_tokens(
    tmp_path: Path, tokenizer: PreTrainedTokenizerBase, text_format: TextFormat
) -> None:
    path = written(tmp_path / "train", ["abc :)"] * 10)
    file = token_file(path)
    before = list(file.blocks(4))

    other = token_file(path, tokenizer, text_format)

    assert list(other.blocks(4)) != before
    assert other.path != file.path
    assert list(token_file(path).blocks(4)) == before


def test_a_tokenizer_is_the_same_after_use(tmp_path: Path) -> None:
    path = written(tmp_path / "train", ["abc"])
    tokenizer = byte_tokenizer()
    before = token_file(path, tokenizer).path
    tokenizer(["abc", "d"], padding=True, truncation=True, max_length=2, split_special_tokens=True)

    assert token_file(path, tokenizer).path == before


def test_the_tokens_of_other_text_are_deleted_and_not_read(tmp_path: Path) -> None:
    path = written(tmp_path / "train", ["abc"] * 10)
    held = token_file(path).blocks(10)
    valid = token_file(written(tmp_path / "valid", ["xyz"]))
    valid.blocks(5)
    written(path, ["abd"] * 10)

    blocks = token_file(path).blocks(10)

    assert list(blocks) == in_memory(["abd"] * 10, 10)
    assert list(held) == in_memory(["abc"] * 10, 10)  # a run that has them open keeps them
    now = [token_file(path).path, valid.path]
    files = [name for one in now for name in (one.name, one.with_suffix(".json").name)]
    assert files_beside(path) == sorted([*files, "train.lock", "valid.lock"])


@pytest.mark.parametrize("damage", ["", "{", '{"version": 0}', "[]"])
def test_a_damaged_state_is_done_again(tmp_path: Path, damage: str) -> None:
    file = token_file(written(tmp_path / "train", ["abc"] * 10))
    expected = list(file.blocks(10))
    file.path.with_suffix(".json").write_text(damage)

    assert list(file.blocks(10)) == expected
    assert file.path.stat().st_size == 2 * 50


def test_tokens_that_the_disk_lost_are_made_again(tmp_path: Path) -> None:
    file = token_file(written(tmp_path / "train", ["abc"] * 10))
    expected = list(file.blocks(10))
    file.path.write_bytes(file.path.read_bytes()[:20])

    assert list(file.blocks(10)) == expected


# --- killed, and a full disk --------------------------------------------------------------------------------------

TOKENISE = (
    "import sys\n"
    "from pathlib import Path\n"
    "from alma_cli.core.blocks import TokenFile\n"
    "from alma_cli.core.dataset import split_sha256\n"
    "from alma_cli.core.examples import TextFormat\n"
    "from tests.tiny import byte_tokenizer\n"
    "path = Path(sys.argv[1])\n"
    "TokenFile(path, split_sha256(path), byte_tokenizer(), TextFormat('alma', True)).blocks(512)\n"
)


def long_texts() -> list[str]:
    """24,000 short documents, 790 kB as JSON: 24 chunks, of which the 16th leaves a state behind."""
    return [f"{number % 97}" for number in range(24_000)]


@pytest.mark.parametrize(
    ("shard_bytes", "kept_at", "ends_at"),
    # A document takes 32.9 bytes: 3,040 of them fill a shard, and 16,000 are five shards and 800 documents.
    [(None, (0, 16_000), (0, 24_000)), (100_000, (5, 800), (7, 2720))],
)
def test_a_killed_pass_goes_on_and_gives_the_same_bytes(
    tmp_path: Path, shard_bytes: int | None, kept_at: tuple[int, int], ends_at: tuple[int, int]
) -> None:
    path = written(tmp_path / "killed" / "train", long_texts(), shard_bytes)
    whole = token_file(Path(shutil.copytree(path, tmp_path / "train")))
    whole.blocks(512)
    file = token_file(path)
    process = subprocess.Popen([sys.executable, "-c", TOKENISE, str(path)], cwd=REPOSITORY, env=os.environ)
    while not file.path.with_suffix(".json").exists() and process.poll() is None:
        time.sleep(0.001)

    process.send_signal(signal.SIGKILL)

    assert process.wait() == -signal.SIGKILL
    kept = ended_at(file)
    assert (kept["shard"], kept["lines"]) == kept_at
    told: list[int] = []
    file.blocks(512, progress=told.append)
    assert len(told) == 8
    assert file.path.read_bytes() == whole.path.read_bytes()
    end = ended_at(file)
    assert (end["shard"], end["lines"]) == ends_at


@pytest.mark.parametrize("moment", ["tokenising", "training"])
def test_a_run_killed_at_any_moment_ends_with_the_same_weights(
    moment: str, make_recipe: MakeRecipe, work: Path, tmp_path: Path
) -> None:
    written(split_path(work / "data", "mono", "train"), long_texts())
    uninterrupted = Path(shutil.copytree(work, tmp_path / "uninterrupted"))
    # An epoch needs all of the text; thirty steps of 8 blocks, with a checkpoint each, the first chunk or two of it.
    steps = {"max_steps": None, "epochs": 1, "examples_per_step": 512, "validations": 1}
    if moment == "training":
        steps = {"max_steps": 30, "examples_per_step": 8, "validations": 30}
    common = {"method": "lora", "lora_dropout": 0.3, "block_tokens": 64, "tokens_per_micro_batch": 8192}
    recipe = make_recipe(mono={**common, **steps})
    program = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from alma_cli.core.recipe import Recipe\n"
        "from alma_cli.core.plan import plan_stage\n"
        "from alma_cli.core.stage import run_stage\n"
        "recipe = Recipe.model_validate_json(sys.argv[1])\n"
        "list(run_stage(plan_stage(recipe, 'mono', Path(sys.argv[2]))))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, recipe.model_dump_json(), str(work)], cwd=REPOSITORY, env=os.environ
    )
    begun = {"tokenising": "data/mono/tokens/train-*.json", "training": "mono/checkpoints/step-000003"}[moment]
    while not any(work.glob(begun)) and process.poll() is None:
        time.sleep(0.001)

    process.send_signal(signal.SIGKILL)

    assert process.wait() == -signal.SIGKILL
    assert (work / "mono").exists() == (moment == "training")
    list(run_stage(plan_stage(recipe, "mono", work)))
    list(run_stage(plan_stage(recipe, "mono", uninterrupted)))
    weights = [(where / "mono" / "model" / "model.safetensors").read_bytes() for where in (work, uninterrupted)]
    assert weights[0] == weights[1]


def test_starting_a_stage_afresh_tokenises_nothing_again(make_recipe: MakeRecipe, work: Path) -> None:
    recipe = make_recipe(mono={"block_tokens": 32, "max_steps": 2})
    list(run_stage(plan_stage(recipe, "mono", work)))
    told: list[int] = []

    list(run_stage(plan_stage(recipe, "mono", work, progress=told.append), resume=False))

    assert told == []


def test_a_full_disk_names_the_file_and_the_pass_goes_on_later(tmp_path: Path) -> None:
    # A limit on the size of files stops a write in the middle, as a full disk does; the tokens take 2 bytes each.
    path = written(tmp_path / "train", ["abc"] * 20_000)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (190_000, 190_000))\n"
    limited = TOKENISE.replace("path = ", limit + "path = ")  # once all is imported

    done = subprocess.run(
        [sys.executable, "-c", limited, str(path)], cwd=REPOSITORY, env=os.environ, capture_output=True, text=True
    )

    file = token_file(path)
    assert done.stderr.splitlines()[-1] == f"OSError: [Errno 27] File too large: '{file.path}'"
    assert ended_at(file)["lines"] == 16_000
    assert list(file.blocks(10)) == in_memory(["abc"] * 20_000, 10)


def test_two_processes_at_once_leave_one_file(tmp_path: Path) -> None:
    path = written(tmp_path / "train", long_texts())
    both = [
        subprocess.Popen([sys.executable, "-c", TOKENISE, str(path)], cwd=REPOSITORY, env=os.environ) for _ in range(2)
    ]

    assert [process.wait() for process in both] == [0, 0]

    told: list[int] = []
    blocks = token_file(path).blocks(32, progress=told.append)
    assert (list(blocks), told) == (in_memory(long_texts(), 32), [])


# --- memory -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work directory with 50 MB of text."""
    work = tmp_path_factory.mktemp("long")
    text = "Die Ware hat im letzten Jahr gekostet, was sie wert war. " * 40  # 2,280 bytes
    written(split_path(work / "data", "mono", "train"), [f"{number} {text}" for number in range(22_000)], 20_000_000)
    return work


def test_planning_a_short_run_over_a_long_text_tokenises_only_its_beginning(
    make_recipe: MakeRecipe, long_file: Path
) -> None:
    # 6 steps of 8 blocks of 512 are 24,576 tokens: one chunk of text, of about half a MiB.
    plan = plan_stage(make_recipe(mono={"block_tokens": 512}), "mono", long_file)

    assert (len(plan.train), plan.train_tokens, plan.train_target_tokens) == (48, 48 * 512, 48 * 511)
    assert (plan.steps.steps, plan.steps.steps_per_epoch) == (6, 6)
    [state] = (long_file / "data" / "mono" / "tokens").glob("train-*.json")
    assert json.loads(state.read_text())["read"]["bytes"] < 1.1 * 2**19
    assert plan.dropped == {}


def test_tokenising_a_long_text_takes_little_memory(long_file: Path) -> None:
    # As tuples in a list, 50 million tokens would be 400 MB of pointers alone.
    program = (
        f"{TOKENISE.rpartition('TokenFile')[0]}"
        "high = lambda: next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM')) // 1024\n"
        "before = high()\n"
        "blocks = TokenFile(path, split_sha256(path), byte_tokenizer(), TextFormat('alma', True)).blocks(512)\n"
        "print(len(blocks), high() - before)\n"
    )
    file = split_path(long_file / "data", "mono", "train")

    done = subprocess.run(
        [sys.executable, "-c", program, str(file)], cwd=REPOSITORY, env=os.environ, capture_output=True, text=True
    )

    blocks, mebibytes = map(int, done.stdout.split())
    assert blocks > 95_000
    assert mebibytes < 150


def test_blocks_refuse_half_a_block() -> None:
    with pytest.raises(AssertionError, match="len\\(token_ids\\)=5"):
        Blocks(np.zeros(5, np.uint16), 2)
