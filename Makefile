# The commands of this project. `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
EXTRAS := ml,dft,embedded,fast,tests,docs
STAMP := $(VENV)/.installed
CHROMIUM := (for name in chromium chromium-browser google-chrome chrome; do \
	command -v $$name >/dev/null && exit 0; done; false)
# One thread per process: more of them slow small networks down.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types layers docs unit slow browser bench hull-reference classifiers generator transformer ranker clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## Make .venv and install the package with constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@echo "== Python environment in $(VENV) (first time: two to five minutes)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "wyckflow needs Python 3.11 or newer, this is" `$(PYTHON) -V`; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check \
		-c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@
	@echo "== installed"

demo: setup ## A small campaign: MongoDB, workers, crystals in a table
	@echo "== wyckflow demo"
	@$(BIN)/wyckflow demo

test: lint types layers docs unit ## Everything that must hold before a change lands

lint: setup ## Style of every file (ruff)
	@echo "== ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup ## Types of the package (mypy, strict)
	@echo "== mypy"
	@$(BIN)/mypy

layers: setup ## Floors: imports point down (import-linter)
	@echo "== import-linter"
	@$(BIN)/lint-imports

docs: setup ## Build docs/_build/html; a warning is an error
	@echo "== docs"
	@$(BIN)/python -m sphinx -q -W -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

unit: setup ## Tests, with a real MongoDB and real workers
	@echo "== tests"
	@$(BIN)/python -m pytest -n 2 --dist loadgroup -q

slow: setup ## The tests that take minutes
	@$(BIN)/python -m pytest -q -m slow

browser: setup ## What tests of the report need to run in a browser
	@$(BIN)/python -c 'import playwright' 2>/dev/null \
		|| timeout 300 $(BIN)/python -m pip install -qq --disable-pip-version-check \
		--retries 1 --timeout 20 -c constraints.txt 'wyckflow[browser]'
	@$(CHROMIUM) || if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		timeout 240 sh -c 'apt-get update -qq && apt-get install -y -qq chromium' \
		>/dev/null 2>&1; fi; true
	@$(CHROMIUM) || { echo "no Chromium here: as root, apt-get install chromium"; exit 1; }

bench: setup ## Run benchmarks/ and print figures beside targets
	@$(BIN)/python benchmarks/run.py

hull-reference: setup ## Relax the known phases again, and write the bundled sets and calibration
	@test -n "$$WYCKFLOW_DATA" || { echo "set WYCKFLOW_DATA to the folder of the data"; exit 1; }
	@$(BIN)/python benchmarks/_hull_bundle.py --data "$$WYCKFLOW_DATA" --work hull-reference
	@$(BIN)/python benchmarks/calibration.py --work hull-reference --plots docs/_static --fit

classifiers: setup ## Train the bundled classifiers again from the folder WYCKFLOW_DATA
	@$(BIN)/python -m wyckflow.ml.classifiers.bundling

generator: setup ## Train the bundled generator again from the folder WYCKFLOW_DATA
	@test -n "$$WYCKFLOW_DATA" || { echo "set WYCKFLOW_DATA to the folder of the data"; exit 1; }
	@$(BIN)/python benchmarks/_generator_bundle.py

transformer: setup ## Train the bundled transformer again from the folder WYCKFLOW_DATA
	@test -n "$$WYCKFLOW_DATA" || { echo "set WYCKFLOW_DATA to the folder of the data"; exit 1; }
	@$(BIN)/python benchmarks/_generator_bundle.py --kind transformer --work transformer-training

ranker: setup ## Train the bundled ranker again from the folder WYCKFLOW_DATA
	@test -n "$$WYCKFLOW_DATA" || { echo "set WYCKFLOW_DATA to the folder of the data"; exit 1; }
	@$(BIN)/python benchmarks/_ranker_bundle.py

clean: ## Remove what was built; data and databases stay
	rm -rf build docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
