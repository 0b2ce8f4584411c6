"""The two tools as commands: the same kinds of filters in OpusFilter's configuration and in alma's recipe."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from _decisions import Pair
from _process_tree import Measured, measure

OPUSFILTER = "3.3.1"
# py3langid 0.4 no longer has what OpusFilter's LangidFilter calls.
_ITS_PACKAGES = (f"opusfilter[pycld2,heliport]=={OPUSFILTER}", "py3langid<0.4")

# Each of its jobs is a process: numpy's threads would only be in each other's way (LangidFilter takes 7 times longer).
_ITS_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}

# OpusFilter takes them one after the other, each on what the others have left: the dearest come last.
_PAIR_FILTERS: dict[str, dict[str, Any]] = {
    "LengthFilter": {},
    "LengthRatioFilter": {},
    "CharacterScoreFilter": {"scripts": ["Latin", "Latin"]},
    "NonZeroNumeralsFilter": {},
    "SimilarityFilter": {},
    "LangidFilter": {"languages": ["de", "en"]},
    "RepetitionFilter": {},
}
_DOCUMENT_FILTERS: dict[str, dict[str, Any]] = {
    "LengthFilter": {"max_length": 10**9},
    "CharacterScoreFilter": {"scripts": ["Latin"]},
    "LangidFilter": {"languages": ["de"]},
    "RepetitionFilter": {},
}
_OTHER_LANGUAGE_FILTERS = {
    name: {"languages": ["de", "en"]} for name in ("Cld2Filter", "HeliportSimpleFilter", "LinguaFilter")
}

# alma's steps that OpusFilter has nothing like are off: tokens (there is no tokenizer of that name), near duplicates,
# links, boilerplate, a cap on translations of one sentence, test sets. `characters` does more than its counterpart.
_RECIPE = """\
name = "prepare-speed"
model = "no-tokenizer/none"
directions = ["de-en"]
[data.decontamination]
enabled = false
[data.{stage}]
{of_stage}
[[data.{stage}.sources]]
{source}
[data.{stage}.filters]
{filters}
[stages.{stage}]
"""
_OF_STAGE = {"parallel": "held_out_pairs = 0", "mono": "held_out_documents = 0"}
_SOURCE = {"parallel": 'path = "{path}"\nformat = "lines"\npair = "de-en"', "mono": 'path = "{path}"\nlanguage = "de"'}
_FILTERS = {
    "parallel": "boilerplate = false\nurls = false\nnear_duplicates = 1.0\ntargets_per_source = 1000000\n",
    "mono": "boilerplate = false\nnear_duplicates = 1.0\n",
}


@dataclass(frozen=True)
class Input:
    """What is filtered: two line-aligned files of pairs (`x.de` and `x.en`), or one of documents (`x.txt`)."""

    stage: Literal["parallel", "mono"]
    files: tuple[Path, ...]
    lines: int

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(file.stat().st_size for file in self.files)


@dataclass(frozen=True)
class Tool:
    """A way to filter: OpusFilter, or alma with the same kinds of filters, or alma as it comes."""

    name: Literal["OpusFilter", "alma, same filters", "alma, all filters"]
    processes: int
    repetition: bool = True
    with_cld2: bool = False  # in place of OpusFilter's LangidFilter, whose model is the one that alma has

    def __str__(self) -> str:
        return (
            self.name
            + ("" if self.repetition else ", without repetition")
            + (", with Cld2Filter" if self.with_cld2 else "")
        )

    def run(self, given: Input, directory: Path, python: Path) -> Measured:
        """Filter into an empty directory; `python` has OpusFilter."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        if self.name == "OpusFilter":
            command: list[str | Path] = [
                python.parent / "opusfilter",
                _configuration(self, given, directory),
                "--n-jobs",
            ]
        else:
            recipe = directory / "recipe.toml"
            recipe.write_text(_recipe(self, given))
            command = [sys.executable, "-m", "alma_cli", "prepare", "--recipe", recipe, "--out", directory]
            command += ["--quiet", "--workers"]
        environment = _ITS_ENVIRONMENT if self.name == "OpusFilter" else {}
        return measure([*command, str(self.processes)], log=directory / "log", environment=environment)


def opusfilter_output(given: Input, directory: Path) -> list[Path]:
    """The files that OpusFilter writes: as many as it reads."""
    return [directory / f"kept.{number}" for number in range(len(given.files))]


def alma_output(given: Input, directory: Path) -> Path:
    """The split that alma writes."""
    return directory / "data" / given.stage / "train"


def python_with_opusfilter(given: Path | None) -> Path:
    """A Python that has OpusFilter: the given one, or of an environment below the cache directory, made once."""
    if given:
        return given
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    directory = cache / "alma-benchmarks" / f"opusfilter-{OPUSFILTER}"
    python = directory / "bin" / "python"
    if not (directory / "bin" / "opusfilter").is_file():
        print(f"installing OpusFilter {OPUSFILTER} into {directory}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", directory], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *_ITS_PACKAGES], check=True)
    return python


def reasons_of_opusfilter(python: Path, pairs: Sequence[Pair], directory: Path) -> list[str]:
    """For each pair the first of OpusFilter's filters that rejects it; empty where all accept."""
    request = directory / "rejected.json"
    request.write_text(json.dumps({"filters": _listed(_PAIR_FILTERS), "pairs": pairs}))
    answer: list[str] = _answer(python, _WHO_REJECTS, request)
    return answer


def reasons_of_alma(pairs: Sequence[Pair]) -> list[str]:
    """For each pair alma's reason to leave it out, were there no other pairs; empty where it is kept."""
    from alma_cli.core.languages import Direction
    from alma_cli.core.recipe import PairFilters
    from alma_cli.data.cleaning import Cleaner
    from alma_cli.data.records import Pair as Record

    clean = Cleaner(PairFilters(**tomllib.loads(_FILTERS["parallel"])), "train")
    records = [Record(Direction("de", "en"), *pair) for pair in pairs]
    return [
        reason or ""
        for start in range(0, len(records), 1000)
        for reason in clean(records[start : start + 1000]).reasons
    ]


def filter_speeds(python: Path, pairs: Sequence[Pair], directory: Path) -> dict[str, float]:
    """Pairs a second, on one core, of each of OpusFilter's filters and of its other language filters."""
    request = directory / "pairs.json"
    request.write_text(json.dumps({"filters": _listed(_PAIR_FILTERS | _OTHER_LANGUAGE_FILTERS), "pairs": pairs}))
    answer: dict[str, float] = _answer(python, _HOW_FAST, request)
    return answer


def _answer(python: Path, script: str, request: Path) -> Any:
    environment = os.environ | _ITS_ENVIRONMENT
    done = subprocess.run([python, "-c", script, request], capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


_WHO_REJECTS = """
import json, sys
from opusfilter.pipeline import FilterPipeline

request = json.load(open(sys.argv[1]))
filters = FilterPipeline.from_config(request["filters"]).filters
names = []
for pair in request["pairs"]:
    rejecting = (type(one).__name__ for one in filters if not next(one.decisions([pair])))
    names.append(next(rejecting, ""))
print(json.dumps(names))
"""


_HOW_FAST = """
import json, sys, time
from opusfilter.pipeline import FilterPipeline

request = json.load(open(sys.argv[1]))
speeds = {}
for one in FilterPipeline.from_config(request["filters"]).filters:
    next(one.decisions(request["pairs"][:1]))
    start, done = time.perf_counter(), 0
    for _ in one.decisions(request["pairs"]):
        done += 1
        if time.perf_counter() > start + 2:
            break
    speeds[type(one).__name__] = done / (time.perf_counter() - start)
print(json.dumps(speeds))
"""


def _configuration(tool: Tool, given: Input, directory: Path) -> Path:
    """OpusFilter's: exact duplicates first, as in its examples, then the filters at their own settings."""
    filters = dict(_PAIR_FILTERS if given.stage == "parallel" else _DOCUMENT_FILTERS)
    if not tool.repetition:
        del filters["RepetitionFilter"]
    if tool.with_cld2:
        filters["Cld2Filter"] = filters.pop("LangidFilter")
    unique = [f"unique.{number}" for number in range(len(given.files))]
    kept = [file.name for file in opusfilter_output(given, directory)]
    deduplicate = {"inputs": list(map(str, given.files)), "outputs": unique}
    steps = [
        {"type": "remove_duplicates", "parameters": deduplicate},
        {"type": "filter", "parameters": {"inputs": unique, "outputs": kept, "filters": _listed(filters)}},
    ]
    path = directory / "config.yaml"
    # YAML takes JSON as it is.
    path.write_text(json.dumps({"common": {"output_directory": str(directory)}, "steps": steps}))
    return path


def _recipe(tool: Tool, given: Input) -> str:
    file = given.files[0]
    path = file.with_name(f"{file.stem}.{{lang}}") if given.stage == "parallel" else file
    filters = _FILTERS[given.stage] if tool.name == "alma, same filters" else ""
    return _RECIPE.format(
        stage=given.stage,
        of_stage=_OF_STAGE[given.stage],
        source=_SOURCE[given.stage].format(path=path),
        filters=filters if tool.repetition else f"{filters}repetition = false\n",
    )


def _listed(filters: dict[str, dict[str, Any]]) -> list[dict[str, dict[str, Any]]]:
    return [{name: settings} for name, settings in filters.items()]
