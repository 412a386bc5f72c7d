# Wraps the commands of README.md; nothing here that a shell could not say.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: study test test-cluster test-all lint reference clean

study: .venv/study
	$(BIN)/study run

test: .venv/dev lint
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not cluster"

test-cluster: .venv/cluster
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "cluster and not slow" tests/execution

test-all: .venv/dev .venv/cluster lint
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

.venv/cluster: .venv/dev
	$(BIN)/python -m pip install --quiet -e ".[cluster]"
	touch $@

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache
