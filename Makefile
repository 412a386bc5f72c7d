# Wraps the commands of README.md; nothing here that a shell could not say.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: study test test-all lint reference clean

study: .venv/study
	$(BIN)/study run

test: .venv/dev lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

test-all: .venv/dev lint
	$(BIN)/python -m pytest

reference: .venv/study
	$(BIN)/python benchmarks/reference.py

lint: .venv/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy --strict study

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/study: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e .
	touch $@

.venv/dev: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet -e ".[dev,onnx,postgres]"
	touch $@ .venv/study

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache
