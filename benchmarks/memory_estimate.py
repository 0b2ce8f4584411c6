"""How true `alma train`'s memory estimate is: estimated and measured peak of real training runs, as a Markdown table.

    python benchmarks/memory_estimate.py                                   SmolLM2, three methods, three lengths
    python benchmarks/memory_estimate.py --model gemma-3-270m --methods lora --tokens 512
    python benchmarks/memory_estimate.py --set gradient_checkpointing=true --set optimizer=adamw8bit

Each row is a process of its own: it plans a stage as the command does, estimates, trains a few steps on random tokens
with a validation and a checkpoint, saves the result, and reads the most memory it has had (VmHWM on a CPU, the most
allocated on a GPU).
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from _workload import assignment

STEPS = 2
MICRO_BATCHES = 2  # in a step
SMALLEST_MICRO_BATCH = 1024  # tokens


def main() -> int:
    """Measure and print."""
    if sys.argv[1:2] == ["--worker"]:
        return _worker(json.loads(sys.argv[2]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--methods", nargs="+", default=["full", "lora", "qlora"])
    parser.add_argument("--tokens", nargs="+", type=int, default=[128, 512, 1024], help="tokens of an example")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the stage")
    options = parser.parse_args()
    settings = dict(map(assignment, options.set))
    print("| method | tokens of an example | estimated (GiB) | measured (GiB) | difference |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for method in options.methods:
        for tokens in options.tokens:
            job = {"model": options.model, "method": method, "tokens": tokens, "settings": settings}
            command = [sys.executable, __file__, "--worker", json.dumps(job)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
            found = json.loads(done.stdout)
            estimated, measured = found["estimated"], found["measured"]
            difference = f"{estimated / measured - 1:+.1%}"
            print(f"| {method} | {tokens} | {estimated:.2f} | {measured:.2f} | {difference} |", flush=True)
            print(json.dumps(found), file=sys.stderr)
    print(f"\n{options.model}, {STEPS} steps, {found['device']}" + "".join(f", {one}" for one in options.set))
    return 0


def _worker(job: dict[str, Any]) -> int:
    from alma_cli.core.process import set_up_process

    set_up_process()
    from alma_cli.core.loop import StepReport
    from alma_cli.core.memory import estimate_memory
    from alma_cli.core.process import peak_memory_gib
    from alma_cli.core.stage import run_stage

    with tempfile.TemporaryDirectory(prefix="alma-memory-") as folder:
        plan = _plan(job, Path(folder))
        estimate = estimate_memory(plan)
        before = peak_memory_gib()
        steps = [event.memory_gib for event in run_stage(plan) if isinstance(event, StepReport)]
    report = {
        "device": f"{plan.precision.device.type} {str(plan.precision.dtype).removeprefix('torch.')}",
        "estimated": estimate.total / 2**30,
        "parts": {name: round(count / 2**30, 3) for name, count in estimate.parts.items()},
        "measured": peak_memory_gib(),
        "before": before,
        "after each step": steps,
    }
    print(json.dumps(report))
    return 0


def _plan(job: dict[str, Any], work: Path) -> Any:
    """A stage as `alma train` plans it, on examples of random tokens that have nothing in common."""
    from alma_cli.core.dataset import Example, split_path, write_examples
    from alma_cli.core.examples import StepPlan, TokenizedExample
    from alma_cli.core.languages import Direction
    from alma_cli.core.plan import plan_stage
    from alma_cli.core.recipe import ParallelStage, Recipe, Stages

    tokens = job["tokens"]
    micro_batch = max(SMALLEST_MICRO_BATCH, tokens)
    per_step = MICRO_BATCHES * micro_batch // tokens
    stage = ParallelStage(
        **{
            "method": job["method"],
            "examples_per_step": per_step,
            "tokens_per_micro_batch": micro_batch,
            "validations": 1,
            **job["settings"],
        }
    )
    recipe = Recipe(name="memory", model=job["model"], directions=("de-en",), stages=Stages(parallel=stage))
    write_examples(split_path(work / "data", "parallel", "train"), [Example(Direction("de", "en"), "Hund", "dog")])
    plan = plan_stage(recipe, "parallel", work)
    numbers, most = random.Random(0), len(plan.tokenizer) - 1
    examples = [
        TokenizedExample(tuple(numbers.randint(3, most) for _ in range(tokens)), tokens // 2)
        for _ in range(STEPS * per_step + 2)
    ]
    steps = StepPlan(STEPS * per_step, per_step, 1, None, 0)
    return replace(plan, train=examples[:-2], valid=examples[-2:], steps=steps)


if __name__ == "__main__":
    sys.exit(main())
