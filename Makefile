# make demo    the first networks of the book, trained; make test    the tests; make notebooks    Jupyter on them.
# All make .venv first, once. PYTHON=/path/to/python chooses the Python, LOCK=cu112 the lock for NVIDIA GPUs.

PYTHON ?=
LOCK ?= cpu
export LOCK

.PHONY: help setup demo test notebooks notebooks-test web web-test
.DEFAULT_GOAL := help

help:
	@echo 'make demo            train the first networks of the book on bundled digits and write runs/demo/index.html'
	@echo 'make test            run the tests'
	@echo 'make notebooks       open the notebooks, one a chapter, in Jupyter Lab'
	@echo 'make notebooks-test  run all notebooks in short form and compare what they show with what is committed'
	@echo 'make web-test        test the page of `chapters serve` in Chromium; as root it installs Chromium and Node'
	@echo 'make setup           only make .venv and install the locked requirements; the others do it by themselves'
	@echo
	@echo 'PYTHON=/path/to/python   use this Python (3.8 to 3.12), not the one found on PATH or under pyenv'
	@echo 'LOCK=cu112               install MXNet for NVIDIA GPUs instead of the one for the CPU'

setup:
	@PYTHON='$(PYTHON)' requirements/setup_env.sh

demo: setup
	@.venv/bin/python -m chapters demo

# Two processes of one thread each: with two threads each they would wait for each other at every operator.
test: setup
	@OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist loadfile --durations=15 tests

notebooks: setup
	@.venv/bin/python -m jupyter lab notebooks

notebooks-test: setup
	@.venv/bin/python -m notebooks.build --check

# The page's bundle, after a change of its sources: needs Node; serving it does not.
web:
	@cd chapters/page && npm ci --no-audit --no-fund --ignore-scripts && npm run build

web-test: setup
	@tests/page/run.sh
