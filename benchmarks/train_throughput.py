"""Training throughput, side by side: alma, transformers.Trainer as the reference recipe uses it, and TRL.

    python benchmarks/train_throughput.py --model smollm2-135m                 one table, on stdout
    python benchmarks/train_throughput.py --model gemma-3-270m --quick         of TRL only its best setting
    python benchmarks/train_throughput.py --random-llama 7b --only 'alma-*'    7B shapes with random weights
    python benchmarks/train_throughput.py --pairs train.de-en.json             your own pairs

Everybody trains the same model on the same token ids with the same LoRA, each in a process of its own, one after the
other. TRL needs `pip install trl`.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from _contenders import BEST_OF_TRL, CONTENDERS, ON_REQUEST, Contender, as_job
from _workload import FLOPS_FORMULA, LLAMA_SHAPES, SEED, Shape, assignment

COLUMNS = ("contender", "method", "target tok/s", "all tok/s", "peak memory (GiB)", "share of peak", "loss")


def main() -> int:
    """Measure and print."""
    if sys.argv[1:2] == ["--worker"]:
        return _worker(*sys.argv[2:])
    options = _options()
    contenders = _chosen(options)
    work = Path(tempfile.mkdtemp(prefix="alma-benchmark-", dir=options.work))
    try:
        job = {**vars(options), "work": str(work), "seed": SEED, "set": dict(map(assignment, options.set))}
        data = _run("prepare", job, work)
        assert data is not None, "the model or the data cannot be read; see above"
        job |= data
        job["rows"] = options.rows or (8192 if data["device"] == "cuda" else 1024)
        results: dict[str, list[dict[str, Any]]] = {contender.key: [] for contender in contenders}
        peaks = []
        for round_number in range(options.repeat):
            peaks.append(_run("peak", job, work) or sys.exit("the matrix peak could not be measured"))
            for contender in contenders:
                print(f"round {round_number + 1} of {options.repeat}: {contender.key}", file=sys.stderr)
                result = _run("train", {**job, "contender": as_job(contender)}, work)
                if result:
                    rate, memory = result["target_tokens"] / result["seconds"], result["peak_bytes"] / 2**30
                    print(f"  {rate:.1f} target tok/s, {memory:.2f} GiB", file=sys.stderr)
                    results[contender.key].append(result)
        report = _report(contenders, results, peaks, job)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(_markdown(report))
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
    return 0 if all(results.values()) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", default="smollm2-135m", help="known name, directory or hub id")
    add("--random-llama", choices=LLAMA_SHAPES, help="random weights of this size take the place of --model")
    add("--pairs", help="a .tsv file, or JSON as ALMA has it; without it, random words with the lengths of real pairs")
    add("--direction", default="de-en", choices=("de-en", "en-de"))
    add("--only", nargs="+", metavar="GLOB", help="names such as 'alma-*' 'trl-lora-padded-*'; --list prints them")
    add("--list", action="store_true")
    add("--quick", action="store_true", help="of TRL only the settings that were found best")
    add("--steps", type=int, default=3, help="timed optimizer steps")
    add("--warmup", type=int, default=1, help="steps before them that are not timed")
    add("--repeat", type=int, default=1, help="rounds over all contenders; the table has their medians")
    add("--examples-per-step", type=int, default=32)
    add("--tokens-per-micro-batch", type=int, help="alma's; without it, what suits the device")
    add("--rank", type=int, default=16, help="of the LoRA; alpha is twice that")
    add("--dropout", type=float, default=0.0, help="before the LoRA matrices")
    add(
        "--set",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="settings of alma's stage, such as optimizer=adamw8bit",
    )
    add("--rows", type=int, help="of the matrices whose products give the peak; default 1024, on a GPU 8192")
    add("--work", help="a directory for temporary files; a 7B model takes 14 GB there")
    add("--json", help="write all results to this file, too")
    return parser.parse_args()


def _chosen(options: argparse.Namespace) -> list[Contender]:
    everyone = [*CONTENDERS, *ON_REQUEST]
    if options.list:
        sys.exit("\n".join(contender.key for contender in everyone))
    if options.only:
        chosen = [c for c in everyone if any(fnmatch(c.key, glob) for glob in options.only)]
    else:
        chosen = [c for c in CONTENDERS if c.library != "TRL" or c in BEST_OF_TRL or not options.quick]
    if importlib.util.find_spec("trl") is None and any(c.library == "TRL" for c in chosen):
        print("TRL is not installed and is left out: pip install trl", file=sys.stderr)
        chosen = [c for c in chosen if c.library != "TRL"]
    return chosen or sys.exit("no contender has such a name; --list prints them")


def _run(task: str, job: dict[str, Any], work: Path) -> dict[str, Any] | None:
    """One task in a process of its own, so that its peak memory is its own; None if it failed.

    This process never imports torch: on Linux a child's peak begins with its parent's memory.
    """
    scratch = Path(tempfile.mkdtemp(dir=work))
    (scratch / "job.json").write_text(json.dumps({**job, "scratch": str(scratch)}))
    command = [sys.executable, __file__, "--worker", task, str(scratch / "job.json")]
    status = subprocess.run(command, stdout=sys.stderr, check=False).returncode
    result = scratch / "result.json"
    answer = json.loads(result.read_text()) if result.is_file() else None
    shutil.rmtree(scratch)
    if answer is None:
        print(f"  failed with status {status}", file=sys.stderr)
    return answer


def _worker(task: str, file: str) -> int:
    from alma_cli.core.process import set_up_process

    job = json.loads(Path(file).read_text())
    if not (task == "train" and job["contender"]["plain_allocator"]):
        set_up_process()
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    import _contenders
    import _workload
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(_cores())
    tasks = {"prepare": _workload.prepare, "peak": _workload.matrix_peak, "train": _contenders.train}
    Path(file).with_name("result.json").write_text(json.dumps(tasks[task](job)))
    return 0


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _report(
    contenders: list[Contender],
    results: dict[str, list[dict[str, Any]]],
    peaks: list[dict[str, Any]],
    job: dict[str, Any],
) -> dict[str, Any]:
    peak = {name: statistics.median(p[name] for p in peaks) for name in peaks[0]}
    shape = Shape(**job["shape"])
    rows = []
    for contender in contenders:
        row: dict[str, Any] = {"contender": f"{contender.library} {contender.setting}".strip(), "key": contender.key}
        row["method"] = contender.method
        if runs := results[contender.key]:
            run = sorted(runs, key=lambda r: r["target_tokens"] / r["seconds"])[(len(runs) - 1) // 2]
            amounts = {"tokens": run["tokens"], "target_tokens": run["target_tokens"]}
            compared = run["compared_tokens"]
            flops = shape.flops(contender.method, **amounts, rank=job["rank"], compared_tokens=compared)
            row |= run | {
                "target_tokens_per_second": run["target_tokens"] / run["seconds"],
                "tokens_per_second": run["tokens"] / run["seconds"],
                "peak_gib": max(r["peak_bytes"] for r in runs) / 2**30,
                "share": flops / run["seconds"] / peak["trained" if contender.method == "full" else "frozen"],
            }
        rows.append(row)
    data_keys = (
        "model",
        "random_llama",
        "pairs",
        "direction",
        "device",
        "dtype",
        "examples",
        "tokens",
        "target_tokens",
    )
    settings = ("examples_per_step", "rank", "dropout", "set", "warmup", "steps", "repeat", "rows")
    return {
        "version": 1,
        "rows": rows,
        "peak_flops": peak,
        "data": {key: job[key] for key in data_keys},
        "settings": {key: job[key] for key in settings},
        "machine": _machine(job["device"]),
        "date": time.strftime("%Y-%m-%d"),
        "flops": FLOPS_FORMULA,
    }


def _machine(device: str) -> dict[str, Any]:
    packages = ("torch", "transformers", "peft", "trl", "bitsandbytes")
    installed = {d.name.lower() for d in importlib.metadata.distributions() if d.name}
    cpu = platform.processor() or platform.machine()
    if (info := Path("/proc/cpuinfo")).is_file():
        cpu = next((line.split(": ")[1] for line in info.read_text().split("\n") if line.startswith("model name")), cpu)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    if device == "cuda":
        query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
        cpu = subprocess.run(query, capture_output=True, text=True, check=False).stdout.split("\n")[0] + ", " + cpu
    versions = {name: importlib.metadata.version(name) for name in packages if name in installed}
    return {"name": cpu, "cores": _cores(), "memory_gib": round(memory, 1), "versions": versions}


def _markdown(report: dict[str, Any]) -> str:
    data, settings, machine, peak = (report[key] for key in ("data", "settings", "machine", "peak_flops"))
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * 2 + " ---: |" * (len(COLUMNS) - 2)]
    for row in report["rows"]:
        cells = ["failed", "", "", "", ""]
        if "seconds" in row:
            cells = [f"{row['target_tokens_per_second']:,.1f}", f"{row['tokens_per_second']:,.1f}"]
            cells += [f"{row['peak_gib']:.2f}", f"{row['share']:.0%}", f"{row['loss']:.3f}"]
        lines.append("| " + " | ".join([row["contender"], row["method"], *cells]) + " |")
    gflops = {name: f"{value / 1e9:,.0f}" for name, value in peak.items()}
    model = f"LLaMA-{data['random_llama']} with random weights" if data["random_llama"] else data["model"]
    text = data["pairs"] and Path(data["pairs"]).name
    text = text or f"random words with the lengths of real {data['direction']} pairs"
    notes = [
        f"{report['date']}; {machine['name']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
        + ", ".join(f"{name} {version}" for name, version in machine["versions"].items()),
        f"{model}, {data['dtype']} on {data['device']}; LoRA rank {settings['rank']} on all linear layers, dropout "
        f"{settings['dropout']:g}; {settings['examples_per_step']} examples a step, {settings['steps']} steps timed "
        f"after {settings['warmup']}, {settings['repeat']} rounds; alma's settings {settings['set'] or 'as they come'}",
        f"data: {text}; {data['examples']} examples, {data['tokens']:,} tokens, {data['target_tokens']:,} of them "
        "targets, in the timed steps",
        f"matrix peak at {settings['rows']} rows: {gflops['frozen']} GFLOP/s over frozen weights (y = xW' "
        f"{gflops['y']}, dx = dyW {gflops['dx']}), {gflops['trained']} over trained ones (dW = dy'x {gflops['dW']})",
        report["flops"],
        *(
            f"{row['contender']}: a label is compared with {row['compared_tokens']:,} tokens"
            for row in report["rows"]
            if row.get("compared_tokens")
        ),
        "loss: nats per target token of the base model over all steps; equal where all train on the same",
        "allocator: alma's settings for all (freed memory is kept) but for rows with `plain allocator`, who have the C "
        "library's; peak memory is the process's, model and libraries included",
    ]
    return "\n".join([*lines, "", *(f"- {note}" for note in notes)])


if __name__ == "__main__":
    sys.exit(main())
