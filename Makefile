# Two commands for people: `make demo` and `make test`. `make check` is what must hold before work lands.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
REPO ?= .
ASK ?= What do the latest commits change, and what could break because of them?
# Handed on through the environment, so that no shell reads what stands in a question.
export ORCHESTRA_DEMO_ASK := $(value ASK)
export ORCHESTRA_DEMO_REPO := $(value REPO)

.PHONY: demo test check format clean

demo: $(VENV)/installed
	@repo="$$ORCHESTRA_DEMO_REPO"; case "$$repo" in "~/"*) repo="$$HOME/$${repo#??}";; esac; \
	  $(BIN)/orchestra ask --project "$$repo" --local -- "$$ORCHESTRA_DEMO_ASK"

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest --numprocesses auto

check: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# constraints.txt pins what was tested; pyproject.toml says what is allowed.
$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Orchestra needs Python 3.11 or newer; try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing Orchestra into $(VENV) (once, about half a minute) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[languages]'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --requirement requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
