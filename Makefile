# Every word does the same with and without Docker: DOCKER=1|0 says which, else a Docker engine that answers does.
.DEFAULT_GOAL := help
.PHONY: help up up-infra down dev demo scale stop start logs ps key check test test-compose faults bench openapi lock audit clean

ifneq ($(filter-out 0 1,$(DOCKER)),)
$(error DOCKER=$(DOCKER) is neither 1 (with Docker) nor 0 (without))
endif

ifndef PYTHON
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
endif
SUITE_PYTHON = $(or $(PYTHON),$(error Python 3.11 or newer is needed: install it, or say where it is: make PYTHON=/path/to/python3 …))
LOCAL = @$(SUITE_PYTHON) -m local
# The virtual environment's Python, with what tests and checks need; made on first use.
DEV = @python=$$($(SUITE_PYTHON) -m local.venv dev) && $$python
CODE = $(wildcard booking_queue api_service queue_service stream_service kafka_service worker_service \
	monitoring_service providers local deploy bench tests)

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo '  DOCKER=1 or DOCKER=0 chooses the way; ports and the rest: .env.example'

up: ## Start the whole suite
	$(LOCAL) up

up-infra: ## Start Redis and Kafka alone
	$(LOCAL) up-infra

down: ## Stop everything that was started; the data stays
	$(LOCAL) down

dev: ## Start the suite, and start services again when their sources change
	$(LOCAL) dev

demo: ## Start the suite and send bookings through all three backends
	$(LOCAL) demo

scale: ## Have N workers: make scale N=4
	$(LOCAL) scale $(N)

stop: ## Stop one part, to see what the others do: make stop S=kafka
	$(LOCAL) stop $(S)

start: ## Start it again: make start S=kafka
	$(LOCAL) start $(S)

logs: ## Follow the logs: make logs S=worker
	$(LOCAL) logs $(S)

ps: ## What runs, and where
	$(LOCAL) ps

key: ## The operator's API key, for a shell: export KEY=$$(make -s key)
	$(LOCAL) key

check: ## Linter, formatter, type checker, and whether the API documents are up to date
	$(DEV) -m ruff check .
	$(DEV) -m ruff format --check .
	$(DEV) -m mypy --strict $(CODE)
	$(DEV) -m local.openapi --check

test: ## All tests, on a real Redis and a real Kafka
	@$(SUITE_PYTHON) -m local.mode >/dev/null
	$(DEV) -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder --ignore=tests/compose $(T)

test-compose: ## The system and browser tests through docker compose up --scale worker=3
	$(DEV) -m local.needs_docker
	@SUITE=compose $$($(SUITE_PYTHON) -m local.venv dev) -m pytest -q tests/compose tests/system tests/browser

faults: ## Break it under load and check what was promised; FULL=1 at full size, SUITE=compose in containers. Writes docs/guarantees.md
	@$(SUITE_PYTHON) -m $(if $(filter compose,$(SUITE)),local.needs_docker,local.mode >/dev/null)
	@FAULTS_REPORT=docs/guarantees.md FULL=$(FULL) SUITE=$(SUITE) $$($(SUITE_PYTHON) -m local.venv dev) -m pytest -q -o faulthandler_timeout=0 tests/faults $(T)

bench: ## Measure the three backends
	$(DEV) -m bench

openapi: ## Write the OpenAPI documents from the code, and from them API.md and the pages' types
	$(DEV) -m local.openapi

lock: ## Lock the dependencies of pyproject.toml, with hashes
	$(LOCAL).lock

audit: ## Ask the advisory databases about every locked package
	$(LOCAL).audit

clean: ## Stop everything and remove what was made, also Docker's volumes, which all clones share; DOCKER=0 spares those
	$(LOCAL).clean
