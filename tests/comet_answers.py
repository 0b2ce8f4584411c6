"""What the COMET package itself says of samples, and alma in its process; needs unbabel-comet.

    python tests/comet_answers.py CHECKPOINTS SAMPLES.json ANSWERS.json

reads {KIND: [{"src", "mt", "ref"?}...]} and writes {KIND: the answers below}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from comet import load_from_checkpoint

from alma_cli.core import comet
from alma_cli.core.comet import Triple, comet_scores


def answers(path: Path, samples: list[dict[str, str]]) -> dict[str, Any]:
    """The package's scores; ours; what was encoded for a second system; ours where only three sentences fit."""
    predicted = load_from_checkpoint(str(path)).predict(samples, batch_size=8, gpus=0, progress_bar=False)
    triples = [Triple(one["src"], one["mt"], one.get("ref")) for one in samples]
    ours = comet_scores(str(path), triples, batch_size=8)

    model = next(iter(comet._LOADED.values())).scorer.model  # type: ignore[attr-defined]
    encoded: list[str] = []
    prepare = model._model.encoder.prepare_sample
    model._model.encoder.prepare_sample = lambda texts, *rest: encoded.extend(texts) or prepare(texts, *rest)
    second = [Triple(one.source, one.translation + " x", one.reference) for one in triples]
    comet_scores(str(path), second, batch_size=8)
    for_second = list(encoded)

    model._embeddings.clear()
    model._model.encoder.forward = _with_room_for_three(model._model.encoder.forward)
    notes: list[str] = []
    halved = comet_scores(str(path), triples, batch_size=8, told=notes.append)
    comet.close_comet()
    return {
        "predict": [*predicted.scores, predicted.system_score],
        "in_process": [*ours.segments, ours.system],
        "signature": ours.signature,
        "encoded": for_second,
        "halved": [*halved.segments, halved.system],
        "notes": notes,
    }


def _with_room_for_three(forward: Any) -> Any:
    def limited(input_ids: torch.Tensor, attention_mask: torch.Tensor, **rest: Any) -> Any:
        if len(input_ids) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(input_ids, attention_mask, **rest)

    return limited


if __name__ == "__main__":
    checkpoints, questions, target = map(Path, sys.argv[1:])
    found = {
        kind: answers(checkpoints / kind / "checkpoints" / "model.ckpt", samples)
        for kind, samples in json.loads(questions.read_text()).items()
    }
    target.write_text(json.dumps(found))
