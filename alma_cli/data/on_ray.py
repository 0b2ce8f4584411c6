"""The same blocks, cleaned on many machines by Ray Data: a corpus file is one unit of work.

The work directory has to be on a disk that all machines share. Ray finds its cluster by `RAY_ADDRESS`; without one it
starts on this machine.
"""

from __future__ import annotations

import importlib
import logging
import os
import pickle
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from alma_cli.data.blocks import Job, clean_block, tasks_of
from alma_cli.errors import AlmaError, MachineError


def clean_on_ray(jobs: Sequence[Job]) -> None:
    """Clean corpora whole; their blocks are on disk then. Raises what a worker raised, MachineError without Ray."""
    jobs = [job for job in jobs if not job.end.is_file()]
    if not jobs:
        return
    ray = _ray()
    # A file per task: Ray would else put small ones together, and one worker would do them all.
    rows = [{"job": pickle.dumps(_anywhere(job))} for job in jobs]
    for row in ray.data.from_items(rows, override_num_blocks=len(jobs)).map(_clean_corpus).iter_rows():
        if row["error"]:
            raise pickle.loads(row["error"])


def _clean_corpus(row: dict[str, Any]) -> dict[str, Any]:
    job: Job = pickle.loads(row["job"])
    try:
        blocks = 0
        for task in tasks_of(job):
            clean_block(task)
            blocks += 1
        job.mark_whole(blocks)
    except (AlmaError, OSError) as error:  # as a value: Ray's own traceback would hide its one line
        return {"error": pickle.dumps(error)}
    return {"error": b""}


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
    ray = importlib.import_module("ray")
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        ray.init(ignore_reinit_error=True, logging_level="ERROR", log_to_driver=False, include_dashboard=False)
    except ConnectionError as error:
        problem = str(error).splitlines()[0]
        raise MachineError(f"the Ray cluster cannot be reached: {problem}", hint="see to RAY_ADDRESS") from None
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray
