"""Stage mono's text as blocks of token ids: tokenised once into a file, however much it is, and mapped from there.

data/mono/tokens/train-<text>-<tokenizer>.bin   the ids of all documents, EOS after each: uint16, or uint32
data/mono/tokens/train-<text>-<tokenizer>.json  how far that file goes: place in the text, tokens written
data/mono/tokens/train.lock                     held by the process that tokenises; others wait, and find it done

The name says what the ids were made from, so that no run reads those of other text or of another tokenizer. A killed
pass goes on from the last state written; a run that needs more blocks than the one before it adds them at the end.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, overload

import numpy as np

from alma_cli.core.dataset import Document, documents_after, write_atomically
from alma_cli.core.examples import TextFormat, TokenizedExample, document_ids
from alma_cli.core.process import ErrorsNaming
from alma_cli.core.shards import START, Place

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOKENS_VERSION = 2

# What the tokenizer gets at a time: enough for all its threads, and little memory (it needs 100 bytes a token).
_CHUNK_DOCUMENTS, _CHUNK_BYTES = 1000, 2**19
# After so many chunks, a few seconds' work, the disk has all that is written and knows how far that is.
_CHUNKS_A_STATE = 16
_IDS_LOOKED_AT = 2**22  # at a time, of a file that may be larger than memory


class Blocks(Sequence[TokenizedExample]):
    """Tokens cut into full blocks, each read when it is asked for.

    Every token of a block but its first is labelled (paper section 4.2: blocks of 512). Where the model's texts begin
    with BOS, so does each block, most of which begin inside a document: models attend to it all the time (Xiao et al.,
    ICLR 2024, arXiv 2309.17453), and Gemma-3-270M's loss on German is 2.8 nats a token with it and 4.7 without.
    """

    def __init__(self, token_ids: np.ndarray, block_tokens: int, *, bos: int | None = None, left_over: int = 0) -> None:
        self._token_ids = token_ids  # (blocks * _width,) uint16 or uint32, mapped
        self._beginning = () if bos is None else (bos,)
        self._block_tokens = block_tokens
        self._width = text_tokens(block_tokens, bos)
        self.left_over = left_over  # tokens of the text after the last full block
        assert len(token_ids) % self._width == 0, f"{len(token_ids)=}"

    def __len__(self) -> int:
        return len(self._token_ids) // self._width

    @overload
    def __getitem__(self, index: int) -> TokenizedExample: ...
    @overload
    def __getitem__(self, index: slice) -> list[TokenizedExample]: ...
    def __getitem__(self, index: int | slice) -> TokenizedExample | list[TokenizedExample]:
        if isinstance(index, slice):
            return [self[one] for one in range(len(self))[index]]
        start = range(len(self))[index] * self._width
        return TokenizedExample((*self._beginning, *self._token_ids[start : start + self._width].tolist()), 0)

    @property
    def tokens(self) -> int:
        """Of all blocks."""
        return len(self) * self._block_tokens

    @property
    def target_tokens(self) -> int:
        """Of all blocks, how many tokens the loss looks at: all but each block's first."""
        return self.tokens - len(self)

    @property
    def vocabulary(self) -> list[int]:
        """The ids that the text has, each once, in order."""
        seen = np.zeros(self.largest_token_id + 1, dtype=bool)
        for start in range(0, len(self._token_ids), _IDS_LOOKED_AT):
            seen[self._token_ids[start : start + _IDS_LOOKED_AT]] = True
        ids: list[int] = np.flatnonzero(seen).tolist()
        return ids

    @property
    def largest_token_id(self) -> int:
        """Of all blocks; 0 where there is none."""
        return int(max(self._token_ids.max(initial=0), *self._beginning, 0))


def text_tokens(block_tokens: int, bos: int | None) -> int:
    """How many tokens of the text a block holds."""
    return block_tokens - (bos is not None)


@dataclass(frozen=True)
class _State:
    """How far a token file goes."""

    read: Place = START  # in the text
    ended: bool = False  # whether that is known to be all of it
    tokens: int = 0  # written

    def is_enough(self, tokens: int | None) -> bool:
        """Whether there are so many tokens, or no more text."""
        return self.ended or (tokens is not None and self.tokens >= tokens)


class TokenFile:
    """The token ids of a split's documents, on disk beside it."""

    def __init__(
        self, documents: Path, sha256: str, tokenizer: PreTrainedTokenizerBase, text_format: TextFormat
    ) -> None:
        self._documents = documents
        self._tokenizer = tokenizer
        self._text_format = text_format
        self._made_from = {"text": sha256, "tokenizer": _fingerprint(tokenizer, text_format)}
        self._dtype = np.dtype(np.uint16 if max(tokenizer.get_vocab().values()) < 2**16 else np.uint32)
        text, ids = (value[:12] for value in self._made_from.values())
        self.path = documents.parent / "tokens" / f"{documents.name}-{text}-{ids}.bin"

    def blocks(
        self, block_tokens: int, *, most: int | None = None, progress: Callable[[int], None] | None = None
    ) -> Blocks:
        """The text's full blocks, the first `most` of them; what is not tokenised yet is tokenised now.

        `progress` is told the tokens in the file after each chunk. Raises OSError with the path where the disk is full.
        """
        bos = self._tokenizer.bos_token_id if self._text_format.adds_bos else None
        width = text_tokens(block_tokens, bos)
        needed = None if most is None else most * width
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self.path.with_name(f"{self._documents.name}.lock")):
            state = self._extended(needed, progress)
            full = state.tokens // width
            count = full if most is None else min(most, full)
            token_ids = (
                np.memmap(self.path, self._dtype, mode="r", shape=(count * width,))
                if count
                else np.zeros(0, self._dtype)
            )
        # Whoever takes a part of the text leaves the rest for good reason; only the text's end can be in the way.
        ended = most is None or count < most
        return Blocks(token_ids, block_tokens, bos=bos, left_over=state.tokens - len(token_ids) if ended else 0)

    def _extended(self, needed: int | None, progress: Callable[[int], None] | None) -> _State:
        """The file's state once it has as many tokens as are needed, or all."""
        state = self._state()
        if state.is_enough(needed):
            return state
        if not state.tokens:
            self._forget_other_texts()
        with ErrorsNaming(self.path), self.path.open("ab") as stream:
            stream.truncate(state.tokens * self._dtype.itemsize)
            for number, (texts, read) in enumerate(_chunks(documents_after(self._documents, state.read)), 1):
                rows = document_ids(self._tokenizer, self._text_format, texts)
                ids = np.fromiter(chain.from_iterable(rows), self._dtype)
                stream.write(ids.tobytes())
                state = _State(read, tokens=state.tokens + len(ids))
                if progress:
                    progress(state.tokens)
                if state.is_enough(needed):
                    break
                if number % _CHUNKS_A_STATE == 0:
                    self._keep(state, stream)
            else:
                state = replace(state, ended=True)
            self._keep(state, stream)
        return state

    def _state(self) -> _State:
        """As it was last written; that of no file where there is none that fits it."""
        try:
            content = json.loads(self.path.with_suffix(".json").read_text(encoding="utf-8"))
            state = _State(Place(**content["read"]), content["ended"], content["tokens"])
            fits = self._description(state) == content
            complete = self.path.stat().st_size >= state.tokens * self._dtype.itemsize
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return _State()
        return state if fits and complete else _State()

    def _keep(self, state: _State, stream: BinaryIO) -> None:
        """See the tokens on the disk, then write down how many they are."""
        stream.flush()
        os.fsync(stream.fileno())
        write_atomically(self.path.with_suffix(".json"), json.dumps(self._description(state), indent=1) + "\n")

    def _description(self, state: _State) -> dict[str, Any]:
        return {"version": TOKENS_VERSION, "made_from": self._made_from, "dtype": self._dtype.name, **asdict(state)}

    def _forget_other_texts(self) -> None:
        """Delete the ids of text that was here before; a run that still maps them keeps them until it ends."""
        same_text = f"{self._documents.name}-{self._made_from['text'][:12]}-"
        for old in self.path.parent.glob(f"{self._documents.name}-*-*"):
            if not old.name.startswith(same_text):
                old.unlink()


def _fingerprint(tokenizer: PreTrainedTokenizerBase, text_format: TextFormat) -> str:
    """Of all that decides a document's ids."""
    backend: Any = getattr(tokenizer, "backend_tokenizer", None)  # Hugging Face's slow tokenizers have none
    rules = json.loads(backend.to_str()) if backend is not None else tokenizer.get_vocab()
    if backend is not None:
        # How rows are cut and filled up is set by each call.
        rules = {key: value for key, value in rules.items() if key not in ("truncation", "padding")}
    ids = [type(tokenizer).__name__, tokenizer.bos_token_id, tokenizer.eos_token_id, asdict(text_format)]
    return hashlib.sha256(json.dumps([ids, rules], sort_keys=True).encode()).hexdigest()


def _chunks(documents: Iterable[tuple[Document, Place]]) -> Iterator[tuple[list[str], Place]]:
    """The texts a chunk at a time, each with the place where it ends; never half a document."""
    texts: list[str] = []
    size = 0
    for document, place in documents:
        texts.append(document.text)
        size += len(document.text.encode())
        if len(texts) == _CHUNK_DOCUMENTS or size >= _CHUNK_BYTES:
            yield texts, place
            texts, size = [], 0
    if texts:
        yield texts, place


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the kernel takes back when the process ends, however it ends; wait for it first."""
    with path.open("ab") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
