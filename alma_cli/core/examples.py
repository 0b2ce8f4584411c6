"""Text to token ids and the positions of labels, and the order in which a run sees them.

A pair becomes `prompt tokens | target tokens | EOS`; labels are set by position, never by looking for a pad or EOS id:

    token_ids   BOS Translate ... English :   The  goods  EOS
    labels       -      -     ...    -    -   The  goods  EOS
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alma_cli.core.dataset import Example
from alma_cli.core.languages import Direction
from alma_cli.core.prompt import NO_GUIDANCE, Guidance, PromptStyle, alma_prompt, build_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class TextFormat:
    """What training and translation must agree on; saved beside the weights."""

    style: PromptStyle
    adds_bos: bool


@dataclass(frozen=True, slots=True)
class TokenizedExample:
    """One example's ids; the loss looks at `token_ids[prompt_tokens:]` only."""

    token_ids: tuple[int, ...]
    prompt_tokens: int

    @property
    def target_tokens(self) -> int:
        """How many tokens the loss looks at; the first token of a text is predicted from nothing and never counts."""
        return len(self.token_ids) - max(self.prompt_tokens, 1)


def text_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], *, parse_special: bool) -> list[list[int]]:
    """Token ids of plain texts, with no BOS or EOS added.

    Unless `parse_special`, words such as `</s>` inside a text are text: a source must not be able to end its prompt.
    """
    encoded = tokenizer(list(texts), add_special_tokens=False, split_special_tokens=not parse_special)
    ids: list[list[int]] = encoded["input_ids"]
    return ids


def prompt_ids(
    tokenizer: PreTrainedTokenizerBase,
    text_format: TextFormat,
    sources: Sequence[str],
    direction: Direction,
    guidance: Sequence[Guidance] = (),
) -> list[list[int]]:
    """The ids that a model reads before it writes a target: the same in training and in translation.

    `guidance` has one for each source, or is empty: nothing but the source is told.
    """
    rows = list(zip(sources, guidance or [NO_GUIDANCE] * len(sources), strict=True))
    style = text_format.style
    prompts = [build_prompt(s, direction, style=style, tokenizer=tokenizer, guidance=told) for s, told in rows]
    ids = _prompt_text_ids(tokenizer, text_format, prompts, [alma_prompt(s, direction, told) for s, told in rows])
    return [_with_bos(tokenizer, text_format, row) for row in ids]


def tokenize_examples(
    tokenizer: PreTrainedTokenizerBase,
    text_format: TextFormat,
    examples: Sequence[Example],
    *,
    max_prompt_tokens: int,
    max_target_tokens: int,
) -> tuple[list[TokenizedExample], Counter[str]]:
    """The examples as token ids, and how many were left out by reason. An over-long example is never cut."""
    kept: list[TokenizedExample] = []
    dropped: Counter[str] = Counter()
    for direction, group in _by_direction(examples):
        prompts = prompt_ids(tokenizer, text_format, [e.source for e in group], direction)
        targets = target_ids(tokenizer, text_format, group, direction)
        for prompt, target in zip(prompts, targets, strict=True):
            if len(prompt) > max_prompt_tokens:
                dropped["prompt_too_long"] += 1
            elif len(target) + 1 > max_target_tokens:
                dropped["target_too_long"] += 1
            else:
                kept.append(TokenizedExample((*prompt, *target, _eos_id(tokenizer)), len(prompt)))
    return kept, dropped


def target_ids(
    tokenizer: PreTrainedTokenizerBase, text_format: TextFormat, examples: Sequence[Example], direction: Direction
) -> list[list[int]]:
    """The targets' ids, as they follow the prompt's ids, without EOS.

    `English:` and the target are one text with no space between, so a SentencePiece target must not get the space that
    such a tokenizer puts before a text's first word. Where joining would merge the colon with the target's first
    character into one token, the target is cut off from a line break instead: the prompt's ids stay what they are.
    """
    prompts = [build_prompt(e.source, direction, style=text_format.style, tokenizer=tokenizer) for e in examples]
    parse = text_format.style == "chat"
    heads = _prompt_text_ids(tokenizer, text_format, prompts, [alma_prompt(e.source, direction) for e in examples])
    wholes = text_ids(tokenizer, [p + e.target for p, e in zip(prompts, examples, strict=True)], parse_special=parse)
    special = _special_words(tokenizer) if parse else []
    rows = []
    for example, head, whole in zip(examples, heads, wholes, strict=True):
        if whole[: len(head)] == head and not any(word in example.target for word in special):
            rows.append(whole[len(head) :])
        else:
            rows.append(_ids_after_line_break(tokenizer, example.target))
    return rows


def document_ids(
    tokenizer: PreTrainedTokenizerBase, text_format: TextFormat, texts: Sequence[str]
) -> Iterator[list[int]]:
    """The ids of whole documents, each ended by EOS."""
    for ids in text_ids(tokenizer, texts, parse_special=False):
        yield [*_with_bos(tokenizer, text_format, ids), _eos_id(tokenizer)]


@dataclass(frozen=True)
class StepPlan:
    """Which examples each optimizer step sees: a function of the seed, so a resumed run goes on with the same ones."""

    examples: int
    examples_per_step: int
    epochs: int
    max_steps: int | None
    seed: int

    @property
    def steps_per_epoch(self) -> int:
        """The last step of an epoch takes what is left; nothing is dropped."""
        return -(-self.examples // self.examples_per_step)

    @property
    def steps(self) -> int:
        """Optimizer steps in the whole run."""
        every = self.steps_per_epoch * self.epochs
        return every if self.max_steps is None else min(every, self.max_steps)

    def indices(self, step: int) -> list[int]:
        """The examples of step 1, 2, ... `steps`."""
        assert 1 <= step <= self.steps, f"{step=}"
        epoch, within = divmod(step - 1, self.steps_per_epoch)
        start = within * self.examples_per_step
        end = min(start + self.examples_per_step, self.examples)
        order = hashlib.sha256(f"{self.seed}/{epoch}".encode()).digest()
        return [shuffled(index, self.examples, order) for index in range(start, end)]


_ROUNDS = 8  # with 4, the orders of five examples are not yet equally likely


def shuffled(index: int, count: int, key: bytes) -> int:
    """Where a shuffle of range(count), one for each key of at most 64 bytes, puts an index; it takes no memory.

    A Feistel network permutes the numbers below a power of four, and what falls outside the range goes through it again
    until it is inside (Black and Rogaway 2002, "Ciphers with Arbitrary Finite Domains", methods 2 and 3).
    """
    assert 0 <= index < count, f"{index=} {count=}"
    bits = ((count - 1).bit_length() + 1) // 2  # of each half
    mask = (1 << bits) - 1
    while True:
        left, right = index >> bits, index & mask
        for number in range(_ROUNDS):
            digest = hashlib.blake2b(b"%d/%d" % (number, right), key=key, digest_size=8).digest()
            left, right = right, left ^ (int.from_bytes(digest, "little") & mask)
        index = left << bits | right
        if index < count:
            return index


def _prompt_text_ids(
    tokenizer: PreTrainedTokenizerBase, text_format: TextFormat, prompts: Sequence[str], user_texts: Sequence[str]
) -> list[list[int]]:
    """The prompts' ids without BOS. A chat template's special words are parsed, those in the user's text are not."""
    if text_format.style == "alma":
        return text_ids(tokenizer, prompts, parse_special=False)
    special = _special_words(tokenizer)
    rows = text_ids(tokenizer, prompts, parse_special=True)
    for row, (prompt, user_text) in enumerate(zip(prompts, user_texts, strict=True)):
        if any(word in user_text for word in special):
            before, _, after = prompt.partition(user_text)
            template = text_ids(tokenizer, [before, after], parse_special=True)
            rows[row] = [*template[0], *_ids_after_line_break(tokenizer, user_text), *template[1]]
    return rows


def _special_words(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    return [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]


def _with_bos(tokenizer: PreTrainedTokenizerBase, text_format: TextFormat, ids: list[int]) -> list[int]:
    """A chat template may have written the BOS already."""
    bos = tokenizer.bos_token_id
    return [bos, *ids] if text_format.adds_bos and ids[:1] != [bos] else ids


def _eos_id(tokenizer: PreTrainedTokenizerBase) -> int:
    eos = tokenizer.eos_token_id
    assert isinstance(eos, int), f"{eos=}"
    return eos


def _ids_after_line_break(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    anchor, joined = text_ids(tokenizer, ["\n", "\n" + text], parse_special=False)
    assert joined[: len(anchor)] == anchor, f"{text[:40]=}"
    return joined[len(anchor) :]


def _by_direction(examples: Sequence[Example]) -> Iterator[tuple[Direction, list[Example]]]:
    groups: dict[Direction, list[Example]] = {}
    for example in examples:
        groups.setdefault(example.direction, []).append(example)
    yield from groups.items()
