"""How likely a text is in each of the languages that share its script, by py3langid's model, for many texts at once.

py3langid (BSD licence, model in its wheel) is naive Bayes over byte sequences that an automaton finds. Its own loop
takes 0.1 to 0.2 ms a text. Here the automaton walks through many texts in step, and where a short beginning is enough,
the log-probabilities are added up as 16-bit numbers.

    N = texts, K = columns of languages that share a script, F = features of the model, W = bytes of the longest text
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

# What a text in the script may be: a language that is seldom met would only take the place of a frequent one.
_SHARING = {
    "Latin": "af az br ca cs cy da de en eo es et eu fi fo fr fy ga gl ha hr ht hu id is it lb lt lv mg ms mt nl nn no"
    " oc pl pt ro sk sl so sq sv sw tl tr uz vi",
    "Cyrillic": "ba be bg kk ky mk mn ru sr tg tt uk",
    "Arabic": "ar ary arz fa ps sdh ug ur",
    "Devanagari": "gom hi mr ne sa",
}
_SAME = {"nn": "no", "ary": "ar", "arz": "ar"}
SCRIPTS_WITH_MODEL = frozenset(_SHARING)

_STEPS_PER_NAT, _MOST_NATS = 16, 15.0  # so that the sum over 64 bytes stays within 16 bits
_ONCE = np.log(np.float32(2))  # py3langid takes the logarithm of 1 + how often a feature is seen


@dataclass(frozen=True)
class Rivals:
    """The languages of one script, and what each feature says for each of them.

    A margin is by how much the expected language's log-probability leads the best other one's, over the square root of
    the bytes (py3langid's own measure of confidence); it is negative where another language is more likely.
    """

    automaton: _Automaton
    languages: tuple[str, ...]  # (K,)
    weights: Floats  # (F + 1, K) log-probabilities; the last row is for no feature
    steps: npt.NDArray[np.int16]  # (F + 1, K) the same less each row's mean, in 1/16 nats
    priors: Floats  # (K,)

    def quick_margins(self, texts: Sequence[str], expected: str, *, most_bytes: int) -> Floats:
        """Nearly the margins by the first bytes, at most 64, (N,)."""
        data = [_bytes_of(text)[:most_bytes] for text in texts]
        sums = np.zeros((len(data), len(self.languages)), dtype=np.int16)
        row = np.empty_like(sums)
        for features in self.automaton.walk(data):
            np.take(self.steps, features, axis=0, out=row, mode="clip")
            sums += row
        return self._margins(sums * (_ONCE / _STEPS_PER_NAT) + self.priors, data, expected)

    def margins(self, texts: Sequence[str], expected: str, *, most_bytes: int) -> tuple[Floats, list[str]]:
        """The margins by the first bytes, (N,), and the most likely language of each text."""
        data = [_bytes_of(text)[:most_bytes] for text in texts]
        scores = np.empty((len(data), len(self.languages)), dtype=np.float32)
        seen = np.sort(self.automaton.walk(data).T, axis=1)
        # A run of equal features begins where they change, and with each text.
        begins = np.ones(seen.shape, dtype=bool)
        np.not_equal(seen[:, 1:], seen[:, :-1], out=begins[:, 1:])
        places = np.flatnonzero(begins)
        features = seen.ravel()[places]
        logarithms = np.log1p(np.diff(places, append=seen.size).astype(np.float32))
        ends = np.cumsum(begins.sum(axis=1)).tolist()
        for index, (start, end) in enumerate(pairwise([0, *ends])):
            scores[index] = logarithms[start:end] @ self.weights[features[start:end]]
        scores += self.priors
        nearest = [self.languages[place] for place in scores.argmax(axis=1).tolist()]
        return self._margins(scores, data, expected), nearest

    def _margins(self, scores: Floats, data: Sequence[bytes], expected: str) -> Floats:
        own = np.array([language == expected for language in self.languages])
        lead = scores[:, own].max(axis=1) - scores[:, ~own].max(axis=1)
        lengths = np.fromiter(map(len, data), dtype=np.float32, count=len(data))
        return np.asarray(lead / np.sqrt(np.maximum(lengths, 1)), dtype=np.float32)


@cache
def rivals(script: str) -> Rivals:
    """The languages of a script; the model is loaded, in about a second, when the first is asked for."""
    automaton = _automaton()
    wanted = _SHARING[script].split()
    places = [place for place, language in enumerate(automaton.languages) if language in wanted]
    weights = np.zeros((len(automaton.weights) + 1, len(places)), dtype=np.float32)
    weights[:-1] = automaton.weights[:, places]
    relative = np.clip(weights - weights.mean(axis=1, keepdims=True), -_MOST_NATS, _MOST_NATS)
    languages = (automaton.languages[place] for place in places)
    return Rivals(
        automaton=automaton,
        languages=tuple(_SAME.get(language, language) for language in languages),
        weights=weights,
        steps=np.rint(relative * _STEPS_PER_NAT).astype(np.int16),
        priors=automaton.priors[places],
    )


@dataclass(frozen=True)
class _Automaton:
    """What each byte moves the automaton to, and the feature that it has then seen."""

    moves: npt.NDArray[np.uint32]  # (rows * 256,)
    rows: npt.NDArray[np.int64]  # (states,) where a state's moves begin
    features: npt.NDArray[np.int32]  # (states,) F where there is none
    weights: npt.NDArray[np.float16]  # (F, all languages) log-probabilities
    priors: Floats
    languages: tuple[str, ...]

    def walk(self, data: Sequence[bytes]) -> npt.NDArray[np.int32]:
        """The features seen after each byte, (W, N); F where there is none and after a text's end."""
        lengths = np.fromiter(map(len, data), dtype=np.int64, count=len(data))
        width = int(lengths.max(initial=0))
        joined = b"".join([text.ljust(width, b"\0") for text in data])
        columns = np.ascontiguousarray(np.frombuffer(joined, dtype=np.uint8).reshape(len(data), width).T)
        seen = np.empty((width, len(data)), dtype=np.int32)
        states = np.zeros(len(data), dtype=np.uint32)
        for step in range(width):
            states = self.moves[self.rows[states] + columns[step]]
            np.take(self.features, states, out=seen[step], mode="clip")
        seen[np.arange(width)[:, None] >= lengths] = len(self.weights)
        return seen


@cache
def _automaton() -> _Automaton:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model = LanguageIdentifier.from_model_file(MODEL_FILE)
    features = np.asarray(model.tk_output, dtype=np.int32)
    features[features < 0] = len(model.nb_ptc)
    return _Automaton(
        moves=np.asarray(model.tk_nextmove, dtype=np.uint32),
        rows=np.asarray(model.tk_row, dtype=np.int64) << 8,
        features=features,
        weights=model.nb_ptc,
        priors=np.asarray(model.nb_pc, dtype=np.float32),
        languages=tuple(model.nb_classes),
    )


def _bytes_of(text: str) -> bytes:
    """What py3langid reads: capitals only where there are small letters, accents joined to their letters."""
    if text.isupper():
        text = text.lower()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return text.encode("utf-8", "surrogatepass")
