"""How much memory a stage will take at most, by rehearsing one step of it with tensors that have no memory.

torch's fake tensors have shape, type and device, but no values. The stage's own code runs on them, forward and
backward, while a ledger adds up every block that is made and takes off every one that is given back. So whatever
core.kernels and core.attention keep, and whatever a model's own code does, is in the estimate without a formula for it.
A model of 7B takes seconds, and its weights need not be there.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import psutil
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from alma_cli.core.attention import FUSED, choose_layout, forget_masks
from alma_cli.core.batch import Batch, Layout, flattened, grouped
from alma_cli.core.examples import StepPlan, TokenizedExample
from alma_cli.core.flops import Flops
from alma_cli.core.kernels import dropout_pool_size, use_kernels
from alma_cli.core.model import Precision, add_lora, causal_lm_of, config_of
from alma_cli.core.model_files import ModelFiles
from alma_cli.core.objective import SummedLoss, negative_log_likelihood
from alma_cli.core.plan import StagePlan
from alma_cli.core.recipe import StageSettings
from alma_cli.core.trained import TrainedWeights
from alma_cli.errors import UsageError

# bitsandbytes' NF4 with double quantisation (QLoRA, arXiv 2305.14314 section 3): 4 bits a weight, 8 for each 64 of
# them, 32 for each 256 of those.
_FOUR_BIT_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
# AdamW's two moments in fp32; in 8 bits with a scale in fp32 for each 256, tensors below 4096 numbers excepted.
_ADAMW_BYTES, _ADAMW8BIT_BYTES, _SMALLEST_IN_8_BITS = 8.0, 2 * (1 + 4 / 256), 4096
# Fitted, not derived: what a CPU's process has beyond what its blocks add up to, as a share of activations and
# temporaries. It was 0.8 to 1.1 in nine runs of SmolLM2 (benchmarks/memory_estimate.py), with glibc keeping all freed
# memory and large blocks on huge pages (core.process); holes between blocks explain a part of it only.
_HOLES = 0.9
# What CUDA's context and cuBLAS take beside torch's own allocations.
_CUDA_CONTEXT = 2**29
# Steps among which the largest micro-batches are looked for: more would only find the same lengths again.
_STEPS_LOOKED_AT = 300


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes at the fullest moment of a stage, by what they hold; on a GPU those of the GPU."""

    runtime: int  # the interpreter with its libraries and the data; on a GPU the context
    weights: int  # the model as it computes
    adapters: int  # LoRA, fp32
    masters: int  # fp32 copies of bf16 weights that train
    gradients: int
    optimizer: int
    activations: int  # kept by the forward pass for the backward pass
    temporaries: int  # logits, products under way, dequantised weights, the draws for dropout
    holes: int  # in a CPU's heap, and what else these two bring there: a fitted share of them
    saving: int  # the files that are read and written at the end, as far as they count

    @property
    def parts(self) -> dict[str, int]:
        """Bytes by name, in the order of the fields."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.parts.values())


def estimate_memory(plan: StagePlan) -> MemoryEstimate:
    """What a planned stage will take, in this process."""
    return Rehearsal.of(plan).memory(plan.train, plan.steps, plan.tokens_per_micro_batch)


class Rehearsal:
    """A stage's model without its values: how much memory and arithmetic its steps need."""

    def __init__(
        self,
        base: ModelFiles,
        settings: StageSettings,
        precision: Precision,
        sampled_labels: Sequence[int] | None = None,
    ) -> None:
        self.settings = settings
        self.precision = precision
        self._fake = FakeTensorMode(allow_non_fake_inputs=True)
        with torch.device("meta"):
            model = _model_of(base, precision)
            self._model_bytes = _bytes_of_model(model, four_bit=settings.method == "qlora")
            self._whole_bytes = _bytes_of_model(model, four_bit=False)
            self._shapes = [(layer.in_features, layer.out_features) for layer in _linear_layers(model)]
            self._layers = model.config.get_text_config().num_hidden_layers
            if settings.method != "full":
                model = _with_adapters(model, settings)
        with _rehearsing(self._fake):
            _pretend_on_cpu(model)
            model.train()
            use_kernels(model, device=precision.device)
            self._layout = choose_layout(model)
            if precision.device.type == "cuda" and self._layout is flattened:
                causal_lm_of(model).set_attn_implementation(FUSED)
            if settings.gradient_checkpointing:
                model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
            self._loss_of = SummedLoss(model, negative_log_likelihood, labels=sampled_labels)
            self.flops = Flops.of(model, compared=self._loss_of.compared_tokens)
            self._weights = TrainedWeights(model)

    @classmethod
    def of(cls, plan: StagePlan) -> Rehearsal:
        """The rehearsal of a planned stage."""
        return cls(plan.base, plan.settings, plan.precision, plan.sampled_labels)

    def memory(
        self, examples: Sequence[TokenizedExample], steps: StepPlan, tokens_per_micro_batch: int
    ) -> MemoryEstimate:
        """What training on these examples takes."""
        chosen, alone = _largest(examples, steps, tokens_per_micro_batch, self._layout)
        peak, kept = max(self._step(group, gradients_are_there=not alone) for group in chosen)
        trained = sum(master.numel() for master in self._weights.masters.values())
        gradients = 4 * trained
        working = max(0, peak - gradients) if alone else peak
        on_cpu = self.precision.device.type == "cpu"
        outside = self._outside_the_rehearsal(chosen)
        return MemoryEstimate(
            runtime=psutil.Process().memory_info().rss if on_cpu else _CUDA_CONTEXT,
            weights=self._model_bytes,
            adapters=0 if self.settings.method == "full" else 4 * trained,
            masters=4 * trained if self._is_copied else 0,
            gradients=gradients,
            optimizer=self._optimizer_bytes,
            activations=min(kept, working),
            temporaries=max(0, working - kept) + outside,
            holes=round(_HOLES * working) if on_cpu else 0,
            # At the end the stored values are read into the unquantised model: files in memory, beside the heap.
            saving=4 * trained + self._whole_bytes - self._model_bytes if on_cpu else 0,
        )

    @property
    def least(self) -> int:
        """Bytes before a first example is looked at: weights, gradients, optimizer."""
        trained = sum(master.numel() for master in self._weights.masters.values())
        copies = 2 if self.settings.method != "full" or self._is_copied else 1
        return self._model_bytes + 4 * copies * trained + self._optimizer_bytes

    def _step(self, group: Sequence[TokenizedExample], *, gradients_are_there: bool) -> tuple[int, int]:
        """Forward and backward over a micro-batch: the most bytes there were, and those when forward had ended."""
        batch = self._layout(group)
        ledger = _Ledger()
        with _rehearsing(self._fake, batch):
            for master in self._weights.masters.values():
                master.grad = torch.zeros_like(master) if gradients_are_there else None
            with ledger:
                loss = self._loss_of(batch)
                kept = ledger.live
                loss.backward()
        self._weights.forget_gradients()
        return ledger.peak, kept

    @property
    def _is_copied(self) -> bool:
        return self.settings.method == "full" and self.precision.dtype != torch.float32

    @property
    def _optimizer_bytes(self) -> int:
        eight_bit = self.settings.optimizer == "adamw8bit"
        sizes = [master.numel() for master in self._weights.masters.values()]
        of_each = (_ADAMW8BIT_BYTES if eight_bit and n >= _SMALLEST_IN_8_BITS else _ADAMW_BYTES for n in sizes)
        return round(sum(n * each for n, each in zip(sizes, of_each, strict=True)))

    def _outside_the_rehearsal(self, groups: Sequence[Sequence[TokenizedExample]]) -> int:
        """One weight out of 4 bits, and dropout: on a CPU the draws that all masks are windows of, else the masks."""
        settings, size = self.settings, self.precision.dtype.itemsize
        whole = max(i * o for i, o in self._shapes) * size if settings.method == "qlora" else 0
        if settings.method == "full" or settings.lora_dropout == 0:
            return whole
        rows = {self._layout(group).input_ids.numel() for group in groups}
        if self.precision.device.type == "cpu":
            pools = {dropout_pool_size(count * inputs) for count in rows for inputs, _ in self._shapes}
            return whole + size * sum(pools)
        inputs = sum(inputs for inputs, _ in self._shapes)
        kept_at_once = 1 if not settings.gradient_checkpointing else 1 / self._layers
        return whole + round(max(rows) * inputs * size * kept_at_once)


class _Ledger(TorchDispatchMode):
    """Bytes of the blocks that operations have made and nobody has given back."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = {_key(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and _key(leaf) not in before:
                self._add(leaf.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(storage, self._remove, key, size)

    def _remove(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.live -= size


class _ToldOfPadding(TorchDispatchMode):
    """transformers 4 asks even fakes whether nothing is padded, to do without a mask; 5 asks none."""

    def __init__(self, *, padded: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._padded = padded

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].dtype == torch.bool:
            return not self._padded
        return func(*args, **(kwargs or {}))


@contextmanager
def _rehearsing(fake: FakeTensorMode, batch: Batch | None = None) -> Iterator[None]:
    """What fakes leave behind goes with them. Raises UsageError for a model whose code wants to see values."""
    forget_masks()
    mask = batch.attention_mask if batch else None
    told = _ToldOfPadding(padded=mask is not None and not bool(mask.all()))  # asked here, where values are real
    try:
        with fake, told:
            yield
    except (RuntimeError, NotImplementedError) as error:
        why = str(error).split("\n")[0] or type(error).__name__
        raise UsageError(f"the memory of this model cannot be estimated: {why}") from error
    finally:
        forget_masks()


def _key(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _model_of(base: ModelFiles, precision: Precision) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_config(config_of(base), dtype=precision.dtype)


def _with_adapters(model: Any, settings: StageSettings) -> Any:
    """With a LoRA over plain weights: over 4-bit ones it keeps the same. Without dropout, whose masks are windows at
    random places, which a fake tensor cannot choose; they are counted apart."""
    return add_lora(model, settings.model_copy(update={"lora_dropout": 0.0}))


def _pretend_on_cpu(model: Any) -> None:
    """Fakes on the CPU in the place of parameters and buffers on the meta device, whose kernels are not a CPU's."""
    fakes: dict[int, Tensor] = {}
    for module in model.modules():
        for name, value in module._parameters.items():
            if value is not None:
                fake = torch.nn.Parameter(torch.empty_like(value, device="cpu"), requires_grad=value.requires_grad)
                module._parameters[name] = fakes.setdefault(id(value), fake)
        for name, value in module._buffers.items():
            if value is not None:
                module._buffers[name] = fakes.setdefault(id(value), torch.empty_like(value, device="cpu"))


def _linear_layers(model: Any) -> list[torch.nn.Linear]:
    """What gets quantised: all linear layers but the output layer."""
    head = model.get_output_embeddings()
    return [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head]


def _bytes_of_model(model: Any, *, four_bit: bool) -> int:
    whole: int = sum(value.numel() * value.element_size() for value in [*model.parameters(), *model.buffers()])
    if not four_bit:
        return whole
    weights = [layer.weight for layer in _linear_layers(model)]
    return round(whole + sum(w.numel() * (_FOUR_BIT_BYTES - w.element_size()) for w in weights))


def _largest(
    examples: Sequence[TokenizedExample], steps: StepPlan, tokens_per_micro_batch: int, layout: Layout
) -> tuple[list[list[TokenizedExample]], bool]:
    """The largest micro-batch for each way of being large, and whether all are alone in their step."""
    found: dict[str, tuple[int, list[TokenizedExample]]] = {}
    alone = True
    for step in range(1, min(steps.steps, _STEPS_LOOKED_AT) + 1):
        groups = grouped([examples[index] for index in steps.indices(step)], tokens_per_micro_batch, layout)
        alone = alone and len(groups) == 1
        for group in groups:
            longest = max(len(example.token_ids) for example in group)
            sizes = {
                "tokens": sum(len(example.token_ids) for example in group),
                "labels": sum(example.target_tokens for example in group),
                "attention": len(group) * longest**2,
            }
            for name, size in sizes.items():
                if size > found.get(name, (0, []))[0]:
                    found[name] = size, group
    return list({id(group): group for _, group in found.values()}.values()), alone
