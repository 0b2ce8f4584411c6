"""How many tokens texts have under the model's tokenizer, each text counted once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


class TokenCounter:
    """Tokens of texts without special tokens; by the tokenizer's own file, which needs no torch to be loaded.

    No text is tokenised again before it is forgotten: what the limits let pass is counted once more for the manifest.
    """

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer

        self.tokenizer: Any = Tokenizer.from_file(str(path))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.known: dict[str, int] = {}

    def __call__(self, texts: Sequence[str]) -> list[int]:
        new = list(dict.fromkeys(text for text in texts if text not in self.known))
        encoded = self.tokenizer.encode_batch_fast(new, add_special_tokens=False)
        self.known.update(zip(new, map(len, encoded), strict=True))
        return [self.known[text] for text in texts]
