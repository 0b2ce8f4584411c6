"""COMET scores of translations, in this process or by a worker in another environment: the same either way."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from alma_cli.core.comet_checkpoint import CometCheckpoint, find_checkpoint
from alma_cli.core.comet_environment import WORKER, CometEnvironment, comet_environment
from alma_cli.core.comet_worker import CometModel, Refused
from alma_cli.errors import AlmaError, InputError, MachineError, MemoryExhausted, UsageError

CometPrecision = Literal["fp32", "bf16"]
Scored = Callable[[Sequence[int], Sequence[float]], None]
Told = Callable[[str], None]

# For those who know where their checkpoint comes from.
_TRUST_VARIABLE = "ALMA_TRUST_CHECKPOINTS"
_KILLED = -9


@dataclass(frozen=True)
class Triple:
    """A translation with what it is judged by."""

    source: str
    translation: str
    reference: str | None = None


@dataclass(frozen=True)
class CometScores:
    """What a model says, about 0 to 1 and as it is: higher is better."""

    segments: tuple[float, ...]  # in the order of the triples
    system: float  # their mean
    signature: str


def comet_scores(
    model: str,
    triples: Sequence[Triple],
    *,
    precision: CometPrecision = "fp32",
    batch_size: int = 16,
    scored: Scored | None = None,
    told: Told | None = None,
) -> CometScores:
    """The scores of `triples`, all with a reference or all without, by a checkpoint's path or a hub id.

    The model stays loaded for the next call, and so do the embeddings of sources and references. `scored` gets
    positions and their scores as they come, so that they can be kept; `told` lines for the screen. Raises AlmaError.
    """
    assert triples, "nothing to score"
    with_reference = triples[0].reference is not None
    assert all((one.reference is not None) == with_reference for one in triples), "references for all or for none"
    told = told or _not_told
    loaded = _loaded(model, precision, told)
    if loaded.needs_reference and not with_reference:
        raise UsageError(f"{model} needs references", hint="score without them with cometkiwi")
    segments: list[float | None] = [None] * len(triples)
    try:
        for positions, scores in loaded.scorer.score([_sample(one) for one in triples], batch_size, _notes_to(told)):
            for position, score in zip(positions, scores, strict=True):
                segments[position] = score
            if scored is not None:
                scored(positions, scores)
    except Refused as error:
        raise _explained(error, loaded.checkpoint) from None
    found = tuple(score for score in segments if score is not None)
    assert len(found) == len(triples), f"{len(found)=} {len(triples)=}"
    return CometScores(found, sum(found) / len(found), loaded.signature(with_reference))


def comet_signature(model: str, *, with_reference: bool, precision: CometPrecision = "fp32") -> str:
    """The signature of such scores, without loading the model: what a score depends on. Raises AlmaError."""
    environment = comet_environment()  # first: without it, no model need be fetched
    return _signature(find_checkpoint(model), environment, precision, with_reference)


def close_comet() -> None:
    """Let go of the models that are loaded, and end their processes."""
    while _LOADED:
        _LOADED.popitem()[1].scorer.close()


class _Scorer(Protocol):
    def score(
        self, samples: list[dict[str, str]], batch_size: int, told: Callable[[dict[str, Any]], None]
    ) -> Iterator[tuple[list[int], list[float]]]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class _Loaded:
    """A model that is ready."""

    scorer: _Scorer
    needs_reference: bool
    checkpoint: CometCheckpoint
    environment: CometEnvironment
    precision: CometPrecision

    def signature(self, with_reference: bool) -> str:
        return _signature(self.checkpoint, self.environment, self.precision, with_reference)


_LOADED: dict[tuple[Path, Path | None, str], _Loaded] = {}
atexit.register(close_comet)


def _loaded(model: str, precision: CometPrecision, told: Told) -> _Loaded:
    checkpoint, environment = find_checkpoint(model), comet_environment()
    key = (checkpoint.path, environment.python, precision)
    if (found := _LOADED.get(key)) is not None:
        if not isinstance(found.scorer, _WorkerProcess) or found.scorer.runs:
            return found
        del _LOADED[key]
    told(f"loading COMET model {checkpoint.name}")
    # What torch calls safe to unpickle is tried first; some older checkpoints hold more than that.
    trusted = bool(os.environ.get(_TRUST_VARIABLE))
    try:
        try:
            loaded = _load(checkpoint, environment, precision, trusted=trusted)
        except Refused as error:
            if error.kind != "unsafe" or not checkpoint.from_unbabel:
                raise
            told(f"{checkpoint.name} is of an older format that may run code; it comes from its makers: loading it")
            loaded = _load(checkpoint, environment, precision, trusted=True)
    except Refused as error:
        raise _explained(error, checkpoint) from None
    _LOADED[key] = loaded
    return loaded


def _load(
    checkpoint: CometCheckpoint, environment: CometEnvironment, precision: CometPrecision, *, trusted: bool
) -> _Loaded:
    choices: dict[str, Any] = {
        "checkpoint": str(checkpoint.path),
        "precision": precision,
        "device": None,
        "trusted": trusted,
    }
    if environment.python is None:
        with contextlib.redirect_stdout(sys.stderr):
            model = CometModel(**choices)
        return _Loaded(_InProcess(model), model.needs_reference, checkpoint, environment, precision)
    worker = _WorkerProcess(environment.python)
    answer = worker.ask({"load": choices})
    return _Loaded(worker, answer["loaded"]["needs_reference"], checkpoint, environment, precision)


class _InProcess:
    """A model in this process."""

    def __init__(self, model: CometModel) -> None:
        self.model = model

    def score(
        self, samples: list[dict[str, str]], batch_size: int, told: Callable[[dict[str, Any]], None]
    ) -> Iterator[tuple[list[int], list[float]]]:
        return self.model.score(samples, batch_size, told)

    def close(self) -> None:
        """Nothing to end: the memory is free when nobody holds the model."""


class _WorkerProcess:
    """A model in a process of its own, which ends when this one does; raises Refused."""

    def __init__(self, python: Path) -> None:
        self._log: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 -- close() does
        self._process = subprocess.Popen(
            [str(python), "-I", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for us: the worker ends when its input does
        )

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The first answer. Whatever breaks off what is asked ends the process: later answers would be to it."""
        complete = False
        try:
            self._send(request)
            answer = self._receive()
            complete = True
            return answer
        finally:
            if not complete:
                self.close()

    def score(
        self, samples: list[dict[str, str]], batch_size: int, told: Callable[[dict[str, Any]], None]
    ) -> Iterator[tuple[list[int], list[float]]]:
        complete = False
        try:
            self._send({"score": {"samples": samples, "batch_size": batch_size}})
            while "scored" not in (answer := self._receive()):
                if "note" in answer:
                    told(answer)
                else:
                    yield answer["positions"], answer["scores"]
            complete = True
        finally:
            if not complete:
                self.close()

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()

    def _send(self, request: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None

    def _receive(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise Refused(**answer["error"])
        return answer

    def _ended(self) -> Refused:
        code = self._process.wait()
        if code == _KILLED:
            return Refused("memory", "the COMET process was killed, as systems do that run out of memory")
        self._log.seek(0)
        last = (self._log.read().strip().splitlines() or [f"exit code {code}"])[-1]
        return Refused("crash", f"the COMET process ended: {last}")


def _sample(triple: Triple) -> dict[str, str]:
    sample = {"src": triple.source, "mt": triple.translation}
    return sample if triple.reference is None else sample | {"ref": triple.reference}


def _not_told(line: str) -> None:
    pass


def _notes_to(told: Told) -> Callable[[dict[str, Any]], None]:
    return lambda answer: told(answer["note"])


def _signature(
    checkpoint: CometCheckpoint, environment: CometEnvironment, precision: CometPrecision, with_reference: bool
) -> str:
    versions = environment.versions
    parts = {
        "model": checkpoint.name,
        "checkpoint": checkpoint.fingerprint,
        "refs": int(with_reference),
        "precision": precision,
        "unbabel-comet": versions["unbabel-comet"],
        "torch": versions["torch"],
        "transformers": versions["transformers"],
        "python": versions["python"],
    }
    return "|".join(f"{name}:{value}" for name, value in parts.items())


def _explained(error: Refused, checkpoint: CometCheckpoint) -> AlmaError:
    if error.kind == "memory":
        return MemoryExhausted(f"COMET: {error.message}", hint="a smaller model, another device, or more memory")
    if error.kind == "encoder":
        return MachineError(
            f"{checkpoint.name} needs the tokenizer and configuration of the encoder that it was trained from: "
            f"{error.message}",
            hint="go online once; `pretrained_model` in its hparams.yaml names it",
        )
    if error.kind == "unsafe":
        return MachineError(
            f"{checkpoint.path} may run code when it is loaded",
            hint=f"if you know who made it: {_TRUST_VARIABLE}=1",
        )
    if error.kind == "checkpoint":
        return InputError(f"{checkpoint.path} cannot be loaded by COMET: {error.message}")
    return MachineError(f"COMET failed: {error.message}")
