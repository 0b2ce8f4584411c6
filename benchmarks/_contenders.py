"""The ways to train: alma's own stage, transformers.Trainer as the reference recipe uses it, and TRL's SFTTrainer."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Contender:
    """One row of the table."""

    library: str  # "alma", "Trainer" or "TRL"
    method: str  # "lora", "qlora" or "full"
    setting: str = ""
    batch: int = 4  # examples (rows, when packed) in a micro-batch of Trainer and TRL
    options: dict[str, Any] = field(default_factory=dict)  # of SFTConfig
    model_options: dict[str, Any] = field(default_factory=dict)  # of from_pretrained
    settings: dict[str, Any] = field(default_factory=dict)  # of alma's stage
    bf16_adapters: bool = False  # and no autocast: everything in bf16, AdamW's moments included
    plain_allocator: bool = False  # the C library's, as whoever installs the library has it; else alma's

    @property
    def key(self) -> str:
        """What --only selects it by."""
        return "-".join(filter(None, (self.library.lower(), self.method, self.setting.replace(" ", "-"))))


@dataclass
class Meter:
    """The same clock for everybody: from the end of one optimizer step to the end of the next, warm-up left out."""

    warmup: int
    rows: list[tuple[float, int, int, float]] = field(default_factory=list)  # seconds, tokens, target tokens, nats
    last: float = field(default_factory=time.perf_counter)
    partial: bool = False  # the last step had fewer micro-batches than the others, and is not timed either

    def step_done(self, tokens: int, target_tokens: int, loss: float) -> None:
        """Call it at the end of each optimizer step; the loss is in nats per target token."""
        now = time.perf_counter()
        self.rows.append((now - self.last, tokens, target_tokens, loss * target_tokens))
        self.last = now
        print(f"  step {len(self.rows)}: {target_tokens / self.rows[-1][0]:.1f} target tok/s", file=sys.stderr)

    def result(self, device: str) -> dict[str, Any]:
        """Totals of the timed steps; the loss is over all steps, so over the same examples for everybody."""
        timed = self.rows[self.warmup : len(self.rows) - self.partial]
        seconds, tokens, target_tokens = (sum(column) for column in list(zip(*timed, strict=True))[:3])
        every, nats = sum(row[2] for row in self.rows), sum(row[3] for row in self.rows)
        memory = {"peak_bytes": _peak_bytes(device), "steps": len(timed)}
        return {"seconds": seconds, "tokens": tokens, "target_tokens": target_tokens, "loss": nats / every, **memory}


def train(job: dict[str, Any]) -> dict[str, Any]:
    """Run one contender in this process."""
    contender = Contender(**job["contender"])
    meter = Meter(job["warmup"])
    runner: Callable[[Contender, dict[str, Any], Meter], int | None]  # how many tokens a label is compared with
    runner = {"alma": _train_alma, "Trainer": _train_trainer, "TRL": _train_trl}[contender.library]
    compared = runner(contender, job, meter)
    return {**meter.result(job["device"]), "compared_tokens": compared}


def _peak_bytes(device: str) -> int:
    if device == "cuda":
        import torch

        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _train_alma(contender: Contender, job: dict[str, Any], meter: Meter) -> int | None:
    from _workload import recipe_of

    from alma_cli.core.loop import StepReport
    from alma_cli.core.plan import plan_stage
    from alma_cli.core.stage import run_stage

    work = Path(job["scratch"])
    (work / "data").symlink_to(Path(job["work"]) / "data")
    plan = plan_stage(recipe_of(job, method=contender.method, **contender.settings), "parallel", work)
    for event in run_stage(plan, resume=False):
        if isinstance(event, StepReport):
            meter.step_done(event.tokens, event.target_tokens, event.loss)
            if event.step == plan.steps.steps:
                break  # what comes after the last step is saving
    return None if plan.sampled_labels is None else 2 * len(plan.sampled_labels)  # and about as many others


def _train_trainer(contender: Contender, job: dict[str, Any], meter: Meter) -> None:
    """As the reference recipe does: every example padded to 512 tokens, logits at every position."""
    import torch
    from transformers import Trainer, TrainingArguments

    def padded(example: tuple[list[int], int]) -> dict[str, Any]:
        ids, prompt_tokens = example
        padding = 512 - len(ids)
        return {
            "input_ids": torch.tensor(ids + [0] * padding),
            "attention_mask": torch.tensor([1] * len(ids) + [0] * padding),
            "labels": torch.tensor([-100] * prompt_tokens + ids[prompt_tokens:] + [-100] * padding),
        }

    trainer = Trainer(
        model=_peer_model(contender, job),
        args=TrainingArguments(**_arguments(contender, job)),
        train_dataset=[padded(example) for step in _steps(job) for example in step],
    )
    _run_metered(trainer, meter)


def _train_trl(contender: Contender, job: dict[str, Any], meter: Meter) -> None:
    """Prompt-completion data with completion-only loss, tokenised already.

    The examples of each optimizer step are in order of length, so that padded micro-batches hold as little padding as
    with transformers' `group_by_length`, which would move examples between the steps.
    """
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    steps = [sorted(step, key=lambda example: -len(example[0])) for step in _steps(job)]
    rows = [
        {"input_ids": ids, "completion_mask": [0] * prompt_tokens + [1] * (len(ids) - prompt_tokens)}
        for step in steps
        for ids, prompt_tokens in step
    ]
    arguments = {"max_length": None, "completion_only_loss": True, **_arguments(contender, job), **contender.options}
    if contender.options.get("packing"):  # rows hold several examples, so that a step takes fewer of them
        lengths = [len(row["input_ids"]) for row in rows]
        arguments["max_length"] = max(arguments["max_length"], *lengths)  # TRL cuts what is longer
        rows_per_step = sum(lengths) / len(steps) / arguments["max_length"] / contender.batch
        arguments |= {"gradient_accumulation_steps": max(1, round(rows_per_step)), "max_steps": -1}
    trainer = SFTTrainer(
        model=_peer_model(contender, job),
        args=SFTConfig(**arguments),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(job["weights"]),
    )
    _run_metered(trainer, meter)


def _steps(job: dict[str, Any]) -> list[list[tuple[list[int], int]]]:
    steps: list[list[tuple[list[int], int]]] = json.loads((Path(job["work"]) / "steps.json").read_text())
    return steps


def _peer_model(contender: Contender, job: dict[str, Any]) -> Any:
    """As these libraries' guides have it: frozen weights in bf16 under fp32 adapters, full weights in fp32."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(job["seed"])
    dtype = torch.float32 if contender.method == "full" else getattr(torch, job["dtype"])
    options = {"dtype": dtype, "device_map": {"": job["device"]}, **contender.model_options}
    if contender.method == "qlora":
        from transformers import BitsAndBytesConfig

        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, job["dtype"]),
        )
    model = AutoModelForCausalLM.from_pretrained(job["weights"], **options)
    model.config.use_cache = False
    if contender.method == "full":
        return model
    config = LoraConfig(
        r=job["rank"],
        lora_alpha=2 * job["rank"],
        lora_dropout=job["dropout"],
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config, autocast_adapter_dtype=not contender.bf16_adapters)


def _arguments(contender: Contender, job: dict[str, Any]) -> dict[str, Any]:
    """Of TrainingArguments and SFTConfig alike; the examples come in the order that alma sees them in."""
    batch = min(contender.batch, job["examples_per_step"])
    return {
        "output_dir": job["scratch"],
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": job["examples_per_step"] // batch,
        "max_steps": job["warmup"] + job["steps"],
        "num_train_epochs": 1,
        "train_sampling_strategy": "sequential",
        "learning_rate": 1e-9,
        "lr_scheduler_type": "constant",
        "weight_decay": 0.01,
        "max_grad_norm": 1.0,
        "bf16": job["dtype"] == "bfloat16" and not contender.bf16_adapters,
        "gradient_checkpointing": False,
        "use_cpu": job["device"] == "cpu",
        "dataloader_pin_memory": job["device"] == "cuda",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "seed": job["seed"],
    }


def _run_metered(trainer: Any, meter: Meter) -> None:
    """Train, counting the tokens of every micro-batch as the model gets it."""
    import torch
    from transformers import PrinterCallback, TrainerCallback

    counted, micro_batches = {"tokens": 0, "target_tokens": 0}, 0
    training_step = trainer.training_step

    def counting_step(model: Any, inputs: dict[str, Any], *more: Any) -> Any:
        nonlocal micro_batches
        micro_batches += 1
        mask = inputs.get("attention_mask")
        counted["tokens"] += int(inputs["input_ids"].numel() if mask is None else mask.sum())
        counted["target_tokens"] += int((inputs["labels"][:, 1:] != -100).sum())
        return training_step(model, inputs, *more)

    class StepEnds(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            meter.step_done(**counted, loss=0.0)
            counted.update(tokens=0, target_tokens=0)

    trainer.training_step = counting_step
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(StepEnds())
    trainer.train()
    accumulation = trainer.args.gradient_accumulation_steps
    meter.partial = micro_batches % accumulation > 0 and len(meter.rows) > meter.warmup + 1
    losses = [log["loss"] for log in trainer.state.log_history if "loss" in log]
    meter.rows = [(*row[:3], loss * row[2]) for row, loss in zip(meter.rows, losses, strict=True)]


def _packed(length: int, **options: Any) -> dict[str, Any]:
    """TRL's default way of packing, which attends within each example only; the length 0 is the longest example's."""
    return {"packing": True, "packing_strategy": "bfd", "max_length": length, **options}


def _trl(
    setting: str, *, batch: int = 1, method: str = "lora", bf16_adapters: bool = False, **options: Any
) -> Contender:
    return Contender("TRL", method, setting, batch, options, bf16_adapters=bf16_adapters)


def _as_installed(contender: Contender) -> Contender:
    """The same with the allocator that comes with the machine."""
    return replace(contender, setting=f"{contender.setting} plain allocator", plain_allocator=True)


# Found best on two CPU cores, with SmolLM2-135M and with Gemma-3-270M.
BEST_OF_TRL = [_trl("packed bf16", bf16_adapters=True, **_packed(0)), _trl("padded 4", batch=4)]
CONTENDERS = [
    Contender("alma", "lora"),
    Contender("alma", "qlora"),
    Contender("alma", "full"),
    Contender("Trainer", "lora", "padded to 512", batch=2),
    *BEST_OF_TRL,
    _trl("padded 2", batch=2),
    _trl("padded 8", batch=8),
    _trl("padded 16", batch=16),
    _as_installed(BEST_OF_TRL[0]),
    _trl("packed", **_packed(0)),
    _trl("packed 512", **_packed(512)),
    _trl("packed 1024", **_packed(1024)),
    _trl("padding-free 4", batch=4, padding_free=True),
]
ON_REQUEST = [  # only where --only names them
    Contender("alma", "lora", "sampled vocabulary", settings={"loss_vocabulary": "sampled"}),
    Contender("alma", "full", "sampled vocabulary", settings={"loss_vocabulary": "sampled"}),
    _as_installed(Contender("Trainer", "lora", "padded to 512", batch=2)),
    _as_installed(BEST_OF_TRL[1]),
    Contender("Trainer", "lora", "padded to 512 x4", batch=4),
    Contender("Trainer", "lora", "padded to 512 x16", batch=16),
    Contender("Trainer", "full", "padded to 512", batch=2),
    _trl("padded 4 bf16", batch=4, bf16_adapters=True),
    _trl("padded 4 compiled", batch=4, torch_compile=True),
    _trl("padded 32", batch=32),
    _trl("padded 64", batch=64),
    _trl("packed 4096", **_packed(4096)),
    _trl("packed 8192", **_packed(8192)),
    _trl("packed 8192 bf16", bf16_adapters=True, **_packed(8192)),
    Contender(  # needs the package flash-attn
        "TRL", "lora", "packed 8192 flash", 1, _packed(8192), {"attn_implementation": "flash_attention_2"}
    ),
    _trl("padded 4", batch=4, method="qlora"),
    _trl("padded 32", batch=32, method="qlora"),
    _trl("padded 4", batch=4, method="full"),
]


def as_job(contender: Contender) -> dict[str, Any]:
    """A contender as JSON has it."""
    return asdict(contender)
