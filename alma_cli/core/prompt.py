"""The one prompt: training, translation and token counts all call it, so they can never differ.

Style `alma` is the text of the released ALMA checkpoints (arXiv 2309.11674, section 4.1 and its code):

    Translate this from German to English:
    German: <source>
    English:<target><EOS>

Style `chat` sends the same text as the user's turn of the model's own chat template (X-ALMA, arXiv 2410.03115).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from alma_cli.core.languages import Direction, language
from alma_cli.errors import UsageError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PromptStyle = Literal["alma", "chat"]

_LINE_BREAKS = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


def one_line(text: str) -> str:
    """A source or target as it is trained on and translated: line breaks as spaces, no outer white space."""
    return " ".join(part for line in _LINE_BREAKS.split(text) if (part := line.strip()))


def alma_prompt(source: str, direction: Direction) -> str:
    """The prompt up to and including the last colon; the target follows it with no space."""
    source_name, target_name = language(direction.source).name, language(direction.target).name
    return f"Translate this from {source_name} to {target_name}:\n{source_name}: {source}\n{target_name}:"


def build_prompt(source: str, direction: Direction, *, style: PromptStyle, tokenizer: PreTrainedTokenizerBase) -> str:
    """The text before the target. Raises UsageError for style `chat` with a tokenizer that has no chat template."""
    prompt = alma_prompt(source, direction)
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
