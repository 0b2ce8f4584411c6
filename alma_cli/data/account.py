"""What became of a corpus's records: each is kept, or left out for a reason, with samples to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from alma_cli.data.reasons import REASONS

_SAMPLES, _KEPT_SAMPLES, _SAMPLE_CHARACTERS = 5, 5, 300


@dataclass(frozen=True)
class Sample:
    """One record to look at: the number of its line or record in its file, and its text, or the beginning of it."""

    place: int
    text: str
    file: str = ""  # of a corpus with several


@dataclass
class Account:
    """Records by what became of them; `read` = `kept` + the sum of `dropped`, always."""

    read: int = 0
    kept: int = 0
    repaired: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    samples: dict[str, list[Sample]] = field(default_factory=dict)
    kept_samples: list[Sample] = field(default_factory=list)

    def keep(self, count: int, samples: Iterator[Sample]) -> None:
        """Count records as kept; of their samples, only as many are asked for as are wanted."""
        self.kept += count
        self.kept_samples += map(short, islice(samples, _KEPT_SAMPLES - len(self.kept_samples)))

    def drop(self, reason: str, sample: Sample) -> None:
        """Count one record as left out."""
        assert reason in REASONS, f"{reason=}"
        self.dropped[reason] = self.dropped.get(reason, 0) + 1
        samples = self.samples.setdefault(reason, [])
        if len(samples) < _SAMPLES:
            samples.append(short(sample))

    def drop_after_all(self, reason: str, count: int, samples: list[Sample]) -> None:
        """Count records as left out that were counted as kept."""
        self.kept -= count
        self.dropped[reason] = self.dropped.get(reason, 0) + count
        before = self.samples.setdefault(reason, [])
        before += [short(sample) for sample in samples[: _SAMPLES - len(before)]]

    def add(self, other: Account) -> None:
        """Take the account of a later part of the same corpus in."""
        self.read += other.read
        self.kept += other.kept
        self.repaired += other.repaired
        for reason, count in other.dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + count
        for reason, samples in other.samples.items():
            before = self.samples.setdefault(reason, [])
            before += samples[: _SAMPLES - len(before)]
        self.kept_samples += other.kept_samples[: _KEPT_SAMPLES - len(self.kept_samples)]

    def as_json(self) -> dict[str, Any]:
        """In a form for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Account:
        """The account again."""
        samples = {reason: [Sample(**one) for one in some] for reason, some in content["samples"].items()}
        kept = [Sample(**one) for one in content["kept_samples"]]
        return cls(**{**content, "samples": samples, "kept_samples": kept})


def short(sample: Sample) -> Sample:
    """The sample as it can be written: of a long text the beginning, half a character as its number."""
    text = sample.text[: _SAMPLE_CHARACTERS + 1]
    if len(text) > _SAMPLE_CHARACTERS:
        text = text[: _SAMPLE_CHARACTERS - 1] + "…"
    return Sample(sample.place, text.encode("utf-8", "backslashreplace").decode(), sample.file)
