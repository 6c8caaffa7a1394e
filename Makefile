# make demo    the first networks of the book, trained; make test    the tests; make notebooks    Jupyter on them.
# All make .venv first, once. PYTHON=/path/to/python chooses the Python, LOCK=cu112 the lock for NVIDIA GPUs.

PYTHON ?=
LOCK ?= cpu
export LOCK

.PHONY: help setup environment demo test coverage lint notebooks notebooks-test site web web-test
.DEFAULT_GOAL := help

help:
	@echo 'make demo            train the first networks of the book on bundled digits and write runs/demo/index.html'
	@echo 'make test            run the tests'
	@echo 'make coverage        the same, and list the lines that no test runs'
	@echo 'make lint            check the code: ruff, and mypy where types are annotated'
	@echo 'make notebooks       open the notebooks, one a chapter, in Jupyter Lab'
	@echo 'make notebooks-test  run all notebooks in short form and compare what they show with what is committed'
	@echo 'make site            build the site, in English and Chinese, to read without network: build/site/index.html'
	@echo 'make web-test        test the page of `chapters serve`, and the site, in Chromium; as root it installs Chromium and Node'
	@echo 'make setup           only make .venv and install the locked requirements; the others do it by themselves'
	@echo
	@echo 'PYTHON=/path/to/python   use this Python (3.8 to 3.12), not the one found on PATH or under pyenv'
	@echo 'LOCK=cu112               install MXNet for NVIDIA GPUs instead of the one for the CPU'

setup:
	@PYTHON='$(PYTHON)' requirements/setup_env.sh --say-what-next

# For the targets that need .venv: nothing is said where nothing is to be done.
environment:
	@PYTHON='$(PYTHON)' requirements/setup_env.sh

demo: environment
	@.venv/bin/python -m chapters demo

# Two processes of one thread each: with two threads each they would wait for each other at every operator.
test: environment
	@OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist loadfile --durations=15 tests

coverage: environment
	@OMP_NUM_THREADS=1 .venv/bin/python -m pytest -n 2 --dist loadfile --cov tests

lint: environment
	@.venv/bin/python -m ruff check .
	@.venv/bin/python -m mypy

# Jupyter refuses root, whom a container or a WSL just set up may have as its only user, unless it is told otherwise.
notebooks: environment
	@.venv/bin/python -m jupyter lab $$(test "$$(id -u)" != 0 || echo --allow-root) notebooks

notebooks-test: environment
	@.venv/bin/python -m notebooks.build --check

# The site's tools are newer than the notebooks' and lie in a folder of their own, which only this target imports.
.venv/site/installed: requirements/site.txt
	@rm -rf .venv/site
	@.venv/bin/python -m pip install -q --no-deps --no-input --target .venv/site -r requirements/site.txt
	@touch $@

site: environment
	@.venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 9))' || { \
	    echo 'error: make site needs Python 3.9 or newer; .venv has an older one: make site PYTHON=/path/to/python' >&2; exit 2; }
	@$(MAKE) --no-print-directory .venv/site/installed
	@PYTHONPATH=.venv/site .venv/bin/python docs/site/build.py

# The page's bundle, after a change of its sources: needs Node; serving it does not.
web:
	@cd chapters/kit/trained/page && npm ci --no-audit --no-fund --ignore-scripts && npm run build

web-test: environment
	@tests/page/run.sh
