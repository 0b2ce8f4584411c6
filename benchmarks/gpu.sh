#!/usr/bin/env bash
# A 7B LLaMA with random weights on one large GPU: alma beside TRL and transformers' Trainer, within 24 GB and 80 GB.
#
#   benchmarks/gpu.sh [DIRECTORY for the results, default benchmarks/results]
#
# Needs a CUDA build of the torch in constraints.txt and `pip install trl`; some 30 minutes. Prints the tables, and keeps
# them with their figures as JSON.
set -euo pipefail
cd "$(dirname "$0")/.."
results=${1:-benchmarks/results}
mkdir -p "$results"
python=${PYTHON:-python3}

measure() {  # name, words
    local name=$1
    shift
    "$python" benchmarks/train_throughput.py --random-llama 7b --examples-per-step 256 --steps 3 \
        --json "$results/$name.json" "$@" | tee "$results/$name.md"
}

# 24 GB: adapters only, activations computed again in the backward pass.
measure gpu-24gb --only alma-lora alma-qlora trl-lora-padded-4 trl-qlora-padded-4 \
    --tokens-per-micro-batch 2048 --set gradient_checkpointing=true
# 80 GB: adapters with all activations kept.
measure gpu-80gb --only alma-lora alma-qlora 'trl-lora-padded-32' 'trl-lora-packed-8192*' 'trl-qlora-padded-32' \
    trainer-lora-padded-to-512-x16 --tokens-per-micro-batch 8192
# Full weights: 18 bytes each, which only the largest cards have for 7B; 8-bit moments take 12.
measure gpu-full --only alma-full --tokens-per-micro-batch 8192 --set gradient_checkpointing=true optimizer=adamw8bit
