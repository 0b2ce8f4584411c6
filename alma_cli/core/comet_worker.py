"""The process that runs COMET where unbabel-comet works: a script without alma, JSON lines in and out.

    in   {"load": {"checkpoint", "precision", "device", "trusted"}}      out  {"loaded": {"needs_reference", "device"}}
    in   {"score": {"samples": [{"src", "mt", "ref"?}...], "batch_size"}}
                          out  {"positions": [...], "scores": [...]}...  {"note": TEXT}...  {"scored": COUNT}
    out, of any request   {"error": {"kind", "message"}}

`--versions` instead prints what the environment has, without loading it.
It ends when its standard input does. Python 3.10 or later.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.metadata
import json
import os
import queue
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any

PACKAGES = ("unbabel-comet", "torch", "transformers")
# Batches whose sentences are encoded together, so that sentences of like length meet.
_BATCHES_AT_ONCE = 8
# Embeddings of sentences kept for the next system: of 1,024 numbers, 400 MB.
_MOST_EMBEDDINGS = 100_000

Sample = dict[str, str]
Told = Callable[[dict[str, Any]], None]


class Refused(Exception):
    """What cannot be done; `kind` is memory, encoder, checkpoint or unsafe."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


def versions() -> dict[str, str]:
    """This environment's Python and the packages that a score depends on; one that is missing has no key."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


class CometModel:
    """A checkpoint that scores; raises Refused."""

    def __init__(self, checkpoint: str, *, precision: str, device: str | None, trusted: bool) -> None:
        import torch
        from comet.models.regression.referenceless import ReferencelessRegression
        from comet.models.regression.regression_metric import RegressionMetric

        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self._model = _load(checkpoint, trusted).eval()
        try:
            self._model.to(self.device)
        except torch.OutOfMemoryError:
            raise Refused("memory", f"the model does not fit into the memory of {self.device}") from None
        self._bf16 = precision == "bf16"
        # These score from one embedding a sentence, which the next system's samples can use again; what reads the
        # sentences together (UnifiedMetric, XCOMET) cannot. Subclasses may do as they like.
        self._reuses = type(self._model) in (RegressionMetric, ReferencelessRegression)
        self._embeddings: OrderedDict[str, Any] = OrderedDict()
        self.needs_reference = bool(self._model.requires_references())

    def score(
        self,
        samples: list[Sample],
        batch_size: int,
        told: Told,
    ) -> Iterator[tuple[list[int], list[float]]]:
        """Positions in `samples` and their scores as they come, short ones first; each different one is scored once.

        Where memory runs out the batch is halved, and that is `told`.
        """
        places: dict[tuple[tuple[str, str], ...], list[int]] = {}
        for position, sample in enumerate(samples):
            places.setdefault(tuple(sorted(sample.items())), []).append(position)
        waiting = sorted(places, key=lambda sample: (sum(len(text) for _, text in sample), sample))
        start = 0
        while start < len(waiting):
            window = waiting[start : start + batch_size * _BATCHES_AT_ONCE]
            scores = self._scores_or_none([dict(sample) for sample in window], batch_size)
            if scores is None:
                if batch_size == 1:
                    raise Refused("memory", f"out of memory on {self.device} with one sentence at a time")
                batch_size //= 2
                told({"note": f"out of memory on {self.device}: going on with batches of {batch_size}"})
                continue
            start += len(window)
            positions = [places[sample] for sample in window]
            yield (
                [p for group in positions for p in group],
                [s for s, g in zip(scores, positions, strict=True) for _ in g],
            )

    def _scores_or_none(self, samples: list[Sample], batch_size: int) -> list[float] | None:
        import torch

        try:
            with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
                score = self._from_embeddings if self._reuses else self._from_sequences
                return score(samples, batch_size)
        except (torch.OutOfMemoryError, MemoryError):
            pass
        except RuntimeError as error:
            if "DefaultCPUAllocator" not in str(error):
                raise
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _from_sequences(self, samples: list[Sample], batch_size: int) -> list[float]:
        scores: list[float] = []
        for start in range(0, len(samples), batch_size):
            batch = self._model.prepare_for_inference(samples[start : start + batch_size])
            # Of models that read the sentences together one dict a combination, of others one dict.
            moved = self._moved(batch) if isinstance(batch, dict) else tuple(self._moved(inputs) for inputs in batch)
            outputs = self._model.predict_step(moved)
            scores += outputs["scores"].float().tolist()
        return scores

    def _from_embeddings(self, samples: list[Sample], batch_size: int) -> list[float]:
        import torch

        texts = {text for sample in samples for text in sample.values()}
        embedded = {text: self._embeddings[text] for text in texts if text in self._embeddings}
        for text in embedded:
            self._embeddings.move_to_end(text)
        missing = sorted(texts - embedded.keys(), key=lambda text: (len(text), text))
        for start in range(0, len(missing), batch_size):
            batch = missing[start : start + batch_size]
            inputs = self._moved(self._model.encoder.prepare_sample(batch))
            vectors = self._model.get_sentence_embedding(inputs["input_ids"], inputs["attention_mask"])
            embedded.update(zip(batch, vectors.float().cpu(), strict=True))
        columns = [
            torch.stack([embedded[sample[side]] for sample in samples]).to(self.device)
            for side in ("src", "mt", "ref")
            if side in samples[0]
        ]
        scores: list[float] = self._estimate(*columns).float().tolist()
        self._embeddings.update(embedded)
        while len(self._embeddings) > _MOST_EMBEDDINGS:
            self._embeddings.popitem(last=False)
        return scores

    def _estimate(self, source: Any, translation: Any, reference: Any = None) -> Any:
        """Scores (B,) from embeddings (B, hidden): the last lines of the package's own `forward`."""
        import torch

        if reference is not None:
            return self._model.estimate(source, translation, reference)["score"]
        products = (translation, source, translation * source, torch.abs(translation - source))
        return self._model.estimator(torch.cat(products, dim=1)).view(-1)

    def _moved(self, inputs: Any) -> dict[str, Any]:
        return {key: value.to(self.device) if hasattr(value, "to") else value for key, value in inputs.items()}


def _load(checkpoint: str, trusted: bool) -> Any:
    """The package's model. Its encoder's configuration and tokenizer come from the hub where they are not here."""
    import logging
    import pickle

    for library in ("comet", "pytorch_lightning", "lightning.pytorch", "transformers"):
        logging.getLogger(library).setLevel(logging.ERROR)
    from comet.models import load_from_checkpoint

    # A pickle may run code: torch then unpickles tensors and plain values only.
    before = os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    if not trusted:
        os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    try:
        try:
            return load_from_checkpoint(checkpoint, local_files_only=True)
        except OSError:
            return load_from_checkpoint(checkpoint)
    except pickle.UnpicklingError as error:
        reason = str(error).replace("\n", " ")
        kind = "unsafe" if "eights only load failed" in reason else "checkpoint"
        raise Refused(kind, reason[:300]) from None
    except OSError as error:
        raise Refused("encoder", _first_line(error)) from None
    except (RuntimeError, KeyError, TypeError, EOFError) as error:
        raise Refused("checkpoint", _first_line(error)) from None
    finally:
        if before is None:
            os.environ.pop("TORCH_FORCE_WEIGHTS_ONLY_LOAD", None)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"


class _Worker:
    """The two ends of the pipes."""

    def __init__(self) -> None:
        # Whatever any library prints goes to standard error: standard output carries the protocol alone.
        self._answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._requests: queue.Queue[str] = queue.Queue()
        self._model: CometModel | None = None

    def run(self) -> None:
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            request = json.loads(self._requests.get())
            try:
                self._load(**request["load"]) if "load" in request else self._score(**request["score"])
            except Refused as error:
                self._tell({"error": {"kind": error.kind, "message": error.message}})
            except Exception as error:
                import traceback

                traceback.print_exc()
                self._tell({"error": {"kind": "crash", "message": _first_line(error)}})

    def _listen(self) -> None:
        for line in sys.stdin:
            self._requests.put(line)
        os._exit(0)  # whoever asked has closed the pipe, or is dead: what is being computed is for nobody

    def _load(self, **choices: Any) -> None:
        self._model = CometModel(**choices)
        self._tell({"loaded": {"needs_reference": self._model.needs_reference, "device": str(self._model.device)}})

    def _score(self, samples: list[Sample], batch_size: int) -> None:
        assert self._model is not None, "score before load"
        for positions, scores in self._model.score(samples, batch_size, self._tell):
            self._tell({"positions": positions, "scores": scores})
        self._tell({"scored": len(samples)})

    def _tell(self, message: dict[str, Any]) -> None:
        self._answers.write(json.dumps(message) + "\n")
        self._answers.flush()


if __name__ == "__main__":
    if "--versions" in sys.argv:
        sys.stdout.write(json.dumps(versions()) + "\n")
    else:
        _Worker().run()
