#!/usr/bin/env bash
# What each stage is worth, on one large GPU: the ablation of a recipe in two steps, so that the GPU does nothing but its part.
#
#   benchmarks/ablation_gpu.sh prepare DIRECTORY [RECIPE] [--set KEY=VALUE ...]   any machine: data, tokens, model
#   benchmarks/ablation_gpu.sh run     DIRECTORY [RECIPE] [--set KEY=VALUE ...]   the one with the GPU; no network needed
#
# DIRECTORY takes the work directory and the cache with the converted model; copy it whole from the one machine to the
# other. RECIPE is gemma-3-270m unless named; give both steps the same words. Corpora on disk take the place of the hub's:
#   --set 'data.mono.sources=[{path="/data/de.jsonl.zst", language="de"}]' --set 'data.parallel.sources=[{path="/data/deen"}]'
# Tables, figure and manifest are kept in benchmarks/results/RECIPE/ with every translation.
set -euo pipefail
step=${1:?prepare or run} directory=$(realpath -m "${2:?a directory}")
shift 2
recipe=gemma-3-270m
if [[ ${1:-} != "" && ${1:-} != --* ]]; then recipe=$1 && shift; fi
here=$(cd "$(dirname "$0")/.." && pwd)
name=$(basename "$recipe" .toml)
work=$directory/$name
export ALMA_CACHE=$directory/cache ALMA_JOURNALS=$directory/journals PYTHONPATH=$here
alma() { "${PYTHON:-python3}" -m alma_cli "$@"; }

mkdir -p "$directory"
case $step in
prepare)
    alma prepare --recipe "$recipe" --out "$work" "$@"
    # Planning a stage tokenises its text and converts its model; both stay on disk.
    for stage in mono parallel; do
        alma train --recipe "$recipe" --out "$work" --stage "$stage" --dry-run --gpu 80 "$@"
    done
    ;;
run)
    time alma run --recipe "$recipe" --out "$work" --ablate "$@"
    results=$here/benchmarks/results/$name
    mkdir -p "$results"
    cp "$work"/scores/ablation.* "$results"
    cp -r "$work/translations" "$results"
    ;;
*)
    echo "prepare or run, not '$step'" >&2
    exit 2
    ;;
esac
