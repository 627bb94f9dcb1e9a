# The commands that people use. `make demo` and `make test` set up what they need by themselves.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/locked
export PATH := $(CURDIR)/$(BIN):$(PATH)
export OMP_NUM_THREADS ?= 2

# Of the commands on a working directory; OPTIONS goes to the program behind the command.
DIRECTORY ?= .
PROFILE ?= local

.PHONY: help setup programs demo real test check bench validate chaos \
    resume watch status transits clean-date publish verify lock format clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) programs  ## the locked Python environment, WSClean and AOFlagger

$(STAMP): envs/requirements.txt
	@tools/make_venv $(PYTHON) $(VENV) envs/requirements.txt
	@touch $@

programs:
	@tools/need_programs wsclean aoflagger

demo: setup  ## the main job on a small simulated observation, about a quarter of an hour
	@tools/demo

real: setup  ## the VLA observation of NGC 5921 through the same rules
	@tools/real

test: setup  ## all tests
	@tools/run_tests

check: $(STAMP)  ## linters, formatters, types, the workflow's own lint
	@tools/check

bench: setup  ## time and memory at full size, beside the plain way
	@tools/bench

validate: setup  ## the accuracies of docs/validation.md, measured again
	@tools/validate

chaos: setup  ## kill runs at random moments, recover, compare; goes on where it was interrupted
	@tools/need_slurm
	@tools/chaos $(OPTIONS)

resume: $(STAMP)  ## DATE=… TARGET=…: take up a date whose run was killed
	@python scripts/resume.py --directory "$(DIRECTORY)" $(if $(DATE),--date "$(DATE)") -- \
	    --profile $(PROFILE) $(OPTIONS) -- $(or $(TARGET),report/$(DATE)/index.html)

watch: $(STAMP)  ## reduce the groups of a live telescope as they arrive
	@python scripts/watch.py --directory "$(DIRECTORY)" --profile $(PROFILE) $(OPTIONS)

status: $(STAMP)  ## report/status.html: how far each group of each date has come
	@python scripts/report_status.py --directory "$(DIRECTORY)" $(OPTIONS)

transits: $(STAMP)  ## CALIBRATOR=…: its last transits, and which have data
	@python scripts/transits.py --directory "$(DIRECTORY)" --calibrator "$(CALIBRATOR)" $(OPTIONS)

clean-date: $(STAMP)  ## DATE=…: what could be removed of a date; OPTIONS=--yes removes it
	@python scripts/clean.py --directory "$(DIRECTORY)" --date "$(DATE)" $(OPTIONS)

publish: $(STAMP)  ## RELEASE=… DATES="…": a release
	@python scripts/publish.py --directory "$(DIRECTORY)" --release "$(RELEASE)" --dates $(DATES) $(OPTIONS)

verify: setup  ## RELEASE=… DATE=… INCOMING=…: a date of it made again and compared
	@python scripts/verify.py --release "$(RELEASE)" --date "$(DATE)" --incoming "$(INCOMING)" $(OPTIONS)

lock: $(STAMP)  ## solve envs/requirements.in anew
	pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	    --output-file envs/requirements.txt envs/requirements.in
	@tools/repeat_lock

format: $(STAMP)  ## rewrite the sources in the project's format
	ruff check --fix . && ruff format . && snakefmt Snakefile rules

clean:  ## remove the demo, test data and caches (not the environment)
	rm -rf demo real .pytest_cache .mypy_cache .ruff_cache .snakemake
