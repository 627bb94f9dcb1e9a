# The commands that people use. `make demo` and `make test` set up what they need by themselves.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/locked
export PATH := $(CURDIR)/$(BIN):$(PATH)
export OMP_NUM_THREADS ?= 2

.PHONY: help setup programs browser demo real test check bench validate lock format clean

help:  ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) programs  ## the locked Python environment, WSClean and AOFlagger

$(STAMP): envs/requirements.txt
	@tools/make_venv $(PYTHON) $(VENV) envs/requirements.txt
	@touch $@

programs:
	@tools/need_programs wsclean aoflagger

browser:
	@tools/need_programs chromium

demo: setup  ## the main job on a small simulated observation, about ten minutes
	@tools/demo

real: setup  ## the VLA observation of NGC 5921 through the same rules
	@tools/real

test: setup browser  ## all tests
	@tools/run_tests

check: $(STAMP)  ## linters, formatters, types, the workflow's own lint
	@tools/check

bench: setup  ## time and memory at full size, beside the plain way
	@tools/bench

validate: setup  ## the accuracies of docs/validation.md, measured again
	@tools/validate

lock: $(STAMP)  ## solve envs/requirements.in anew
	pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	    --output-file envs/requirements.txt envs/requirements.in

format: $(STAMP)  ## rewrite the sources in the project's format
	ruff check --fix . && ruff format . && snakefmt Snakefile rules

clean:  ## remove the demo, test data and caches (not the environment)
	rm -rf demo real .pytest_cache .mypy_cache .ruff_cache .snakemake
