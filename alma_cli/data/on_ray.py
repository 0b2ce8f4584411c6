"""The same blocks, cleaned on many machines by Ray Data: a corpus file is one unit of work.

The work directory has to be on a disk that all machines share. Ray finds its cluster by `RAY_ADDRESS`; without one it
starts on this machine.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from alma_cli.data.blocks import Job, clean_block, tasks_of
from alma_cli.errors import AlmaError, MachineError


def clean_on_ray(jobs: Sequence[Job]) -> None:
    """Clean corpora whole; their blocks are on disk then. Raises what a worker raised."""
    jobs = [job for job in jobs if not job.end.is_file()]
    if not jobs:
        return
    ray = _ray()
    ray.init(ignore_reinit_error=True, logging_level="ERROR", log_to_driver=False, include_dashboard=False)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # A file per task: Ray would else put small ones together, and one worker would do them all.
    items = ray.data.from_items([{"job": _anywhere(job)} for job in jobs], override_num_blocks=len(jobs))
    for row in items.map(_clean_corpus).iter_rows():
        if row["error"]:
            error = row["error"]
            raise error


def _clean_corpus(row: dict[str, Any]) -> dict[str, Any]:
    job: Job = row["job"]
    try:
        blocks = 0
        for task in tasks_of(job):
            clean_block(task)
            blocks += 1
        job.mark_whole(blocks)
    except (AlmaError, OSError) as error:  # as a value: Ray's own traceback would hide its one line
        return {"error": error}
    return {"error": None}


def _anywhere(job: Job) -> Job:
    """The job with paths that are right in every process's current directory."""
    held_out, tokenizer = (path and path.absolute() for path in (job.held_out, job.tokenizer))
    return replace(job, directory=job.directory.absolute(), held_out=held_out, tokenizer=tokenizer)


def _ray() -> Any:
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    try:
        importlib.import_module("ray.data")
    except ImportError:
        raise MachineError("Ray is not installed", hint='pip install "alma-cli[ray]"') from None
    return importlib.import_module("ray")
