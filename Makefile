# The same commands for people and for CI. On Windows use the pip commands of README.md instead.
PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH := $(shell grep '^torch==' constraints.txt)

.PHONY: help setup demo test test-all lint format build docs clean

help:
	@echo "make setup     make $(VENV) and install autolv with what development needs"
	@echo "make demo      the whole way on cine phantoms, at most 10 minutes on 2 cores"
	@echo "make test      the test suite, 7 to 18 minutes on 2 cores, by processor"
	@echo "make test-all  also what takes longer: kills, overfits, the README's commands, the demo"
	@echo "make lint      ruff, ruff format, mypy, import-linter"
	@echo "make format    let ruff mend and format what it can"
	@echo "make build     the wheel, in dist/"
	@echo "make docs      run the notebooks and build the pages, in site/ (on phantoms about 5 minutes on 2 cores)"
	@echo "make clean     remove what is made, but not $(VENV) nor data"

setup: $(STAMP)

# torch goes first, by its exact pin: what depends on it must not pull in another build
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit('autolv needs Python 3.11 to 3.13, $(PYTHON) is ' + sys.version.split()[0] + '; name another: make PYTHON=python3.12 ...' if not (3, 11) <= sys.version_info[:2] <= (3, 13) else 0)"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev,docs]"
	@touch $(STAMP)

demo: setup
	$(BIN)/autolv_demo

test: setup
	$(BIN)/python -m pytest $(ARGS)

test-all: setup
	$(BIN)/python -m pytest -m "" --timeout 3600 $(ARGS)
	$(MAKE) demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict autolv
	$(BIN)/lint-imports --no-logo

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

build: setup
	rm -rf build dist
	$(BIN)/python -m build --wheel --outdir dist .

# pages anew each time; figures and numbers in them are of today's code
docs: setup
	rm -rf site
	$(BIN)/python -m sphinx -W --keep-going -d build/docs -b html docs site
	@echo "open site/index.html"

clean:
	rm -rf build dist site demo *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find autolv tests -name __pycache__ -type d -prune -exec rm -rf {} +
