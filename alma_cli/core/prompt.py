"""The one prompt: training, translation and token counts all call it, so they can never differ.

Style `alma` is the text of the released ALMA checkpoints (arXiv 2309.11674, section 4.1 and its code):

    Translate this from German to English:
    German: <source>
    English:<target><EOS>

Style `chat` sends the same text as the user's turn of the model's own chat template (X-ALMA, arXiv 2410.03115).

What guides one translation stands between the first line and the source, in the form of the released code's few-shot
prompt, with a space after `English:` and no blank lines; the prompt without guidance stays as it is, byte for byte:

    Translate this from German to English:
    German: <source of an example>
    English: <its translation>
    Terms: <word of the source> = <what to call it>, <another> = <...>
    German: <source>
    English:
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from alma_cli.core.languages import Direction, language
from alma_cli.errors import UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PromptStyle = Literal["alma", "chat"]

TextPair = tuple[str, str]  # a source and its translation, each on one line


@dataclass(frozen=True)
class Guidance:
    """What a prompt tells beside its source."""

    shots: tuple[TextPair, ...] = ()
    """Examples, the one that matters most last: nearest to the source."""
    terms: tuple[TextPair, ...] = ()
    """Words of the source, and what they are to be called."""

    @property
    def texts(self) -> tuple[str, ...]:
        """All of it, for telling two apart."""
        if not self.shots and not self.terms:
            return ()
        return (str(len(self.shots)), *(text for pair in (*self.shots, *self.terms) for text in pair))


NO_GUIDANCE = Guidance()

_LINE_BREAKS = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


def one_line(text: str) -> str:
    """A source or target as it is trained on and translated: line breaks as spaces, no outer white space."""
    return " ".join(part for line in _LINE_BREAKS.split(text) if (part := line.strip()))


def alma_prompt(source: str, direction: Direction, guidance: Guidance = NO_GUIDANCE) -> str:
    """The prompt up to and including the last colon; the target follows it with no space.

    Of several ways to tell terms, a line before the source was kept to most (docs/terms.md); what sentences have in
    common, their examples, stays in front, where it is computed once.
    """
    source_name, target_name = language(direction.source).name, language(direction.target).name
    shots = "".join(f"{source_name}: {text}\n{target_name}: {translation}\n" for text, translation in guidance.shots)
    listed = ", ".join(f"{term} = {target}" for term, target in guidance.terms)
    terms = f"Terms: {listed}\n" if listed else ""
    instruction = f"Translate this from {source_name} to {target_name}:\n"
    return f"{instruction}{shots}{terms}{source_name}: {source}\n{target_name}:"


def build_prompt(
    source: str,
    direction: Direction,
    *,
    style: PromptStyle,
    tokenizer: PreTrainedTokenizerBase,
    guidance: Guidance = NO_GUIDANCE,
) -> str:
    """The text before the target. Raises UsageError for style `chat` with a tokenizer that has no chat template."""
    prompt = alma_prompt(source, direction, guidance)
    if style == "alma":
        return prompt
    if not tokenizer.chat_template:
        raise UsageError(
            "prompt.style = 'chat' needs a model with a chat template, and this tokenizer has none",
            hint="use prompt.style = 'alma' or an instruction-tuned model",
        )
    turns = [{"role": "user", "content": prompt}]
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert isinstance(text, str)
    return text
