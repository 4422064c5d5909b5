# make demo    set-up, then the chain on the bundled data
# make test    set-up, then every check and test (.ci/run)
SHELL := /bin/bash
SNAKEMAKE := .venv/bin/snakemake
DEMO := --configfile config/demo/config.yaml --workflow-profile profiles/local

# One thread a process: OpenMP threads of several processes fight for shared cores.
export OMP_NUM_THREADS := 1

.PHONY: setup demo test test-faults bench bench-quality bench-model rules lock clean

setup:
	@envs/setup.sh

demo: setup
	@$(SNAKEMAKE) $(DEMO)
	@echo "The report: $(CURDIR)/results/report/index.html"

test: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/snakefmt --check Snakefile rules
	.venv/bin/mypy
	$(SNAKEMAKE) --lint --configfile config/demo/config.yaml
	# Two at a time; tests of one file share what they have made.
	.venv/bin/python -m pytest -m "not faults" -n 2 --dist loadfile

test-faults: setup
	.venv/bin/python -m pytest -m faults

bench: setup
	PYTHONPATH=scripts .venv/bin/python tests/bench.py

# The tables of docs/buckets.md, eight minutes.
bench-quality: setup
	PYTHONPATH=scripts:tests .venv/bin/python tests/bench_quality.py

# The tables of docs/models.md, twenty minutes.
bench-model: setup
	PYTHONPATH=scripts:tests .venv/bin/python tests/bench_model.py

# Which rule reads from which, for the report, and the flow chart of README.md.
rules: setup
	PYTHONPATH=scripts:tests .venv/bin/python tests/rule_graph.py

# The newest versions pyproject.toml allows, written down; torch stays at the version named there.
lock:
	rm -rf .venv-lock
	python3 -m venv .venv-lock
	.venv-lock/bin/pip install --quiet "$$(grep -o 'torch==[0-9.]*' pyproject.toml)"
	.venv-lock/bin/pip install --quiet ".[dev]"
	{ head -n 1 envs/requirements.lock; .venv-lock/bin/pip freeze --exclude pip --exclude setuptools --exclude helixflow \
	    | sed 's/+cpu//'; } > .requirements.lock
	mv .requirements.lock envs/requirements.lock
	rm -rf .venv-lock build scripts/*.egg-info

# Results of the demo and caches; the set-up stays.
clean:
	rm -rf results work logs benchmarks .snakemake .mypy_cache .ruff_cache .pytest_cache .hypothesis
