"""How much arithmetic training needs at least: the matrix products of weights with tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alma_cli.core.model import causal_lm_of


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of one forward and backward pass; attention and element-wise work are left out.

    A weight costs 2 for each token forward, 2 for the gradient of its input, and 2 more for its own if it is trained.
    """

    per_token: float
    per_target_token: float  # the output layer's, which only labelled positions need

    @classmethod
    def of(cls, model: Any, *, compared: int | None = None) -> Flops:
        """Count a model's linear layers, quantised or not, with their adapters.

        `compared`: how many tokens of the vocabulary a label is compared with; None: all.
        """
        head = set(causal_lm_of(model).get_output_embeddings().modules())
        per_token = per_target_token = 0.0
        for module in model.modules():
            inputs = getattr(module, "in_features", getattr(module, "nx", None))  # nx and nf are GPT-2's
            outputs = getattr(module, "out_features", getattr(module, "nf", None))
            weight = getattr(module, "weight", None)
            if inputs is None or outputs is None or weight is None or hasattr(module, "base_layer"):
                continue
            cost = inputs * outputs * (6 if weight.requires_grad else 4)
            if module in head:
                per_target_token += cost if compared is None else cost * compared / outputs
            else:
                per_token += cost
        return cls(per_token, per_target_token)

    def useful(self, tokens: int, target_tokens: int) -> float:
        """What so many tokens need, every beginning counted as often as it occurs."""
        return self.per_token * tokens + self.per_target_token * target_tokens
