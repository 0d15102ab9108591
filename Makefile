# `make run` starts the whole system, `make test` runs every test but the soak tests. Both set up what they need first.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# Everything that `make check` reads.
CODE   := sip_proxy billing_service softphone admin_web tollbell alembic tests bench fuzz

.DEFAULT_GOAL := help
.PHONY: help run phone administrator test soak explore check fuzz format lock clean compiled test-compiled bench-sip bench-billing system-run system-test system-phone system-compile

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

run: system-run $(VENV)/.installed ## start the whole system in the foreground (Ctrl-C stops it)
	@exec $(BIN)/python -m tollbell

phone: system-phone $(VENV)/.installed ## open a desk phone: make phone NUMBER=0001
	@exec $(BIN)/python -m softphone $(NUMBER)

administrator: system-run $(VENV)/.installed ## make a login for the console: make administrator LOGIN=admin
	@exec $(BIN)/python -m billing_service create-administrator $(LOGIN)

compiled: system-compile $(VENV)/.installed-compile ## compile the core and driver of the exchange, for much traffic (some minutes)
	@$(BIN)/python -m sip_proxy.compiled

# The programs under test start some hundred times, and each test process reads all the tests: compiled once is enough.
test: export PYTHONDONTWRITEBYTECODE :=
test: system-test $(VENV)/.installed-dev ## run every test but the soak tests
	@$(BIN)/pytest -n 4 -m "not soak" $(PYTEST_ARGS)

test-compiled: system-test $(VENV)/.installed-dev compiled ## run the tests of the exchange on its compiled core
	@TOLLBELL_TEST_COMPILED=yes $(BIN)/pytest -n 4 -m "not soak and not interpreted" tests/unit/sip_proxy tests/property/sip_proxy tests/integration/sip_proxy tests/interop $(PYTEST_ARGS)

soak: system-test $(VENV)/.installed-dev ## let parts die and be away for long, under load (about 40 minutes)
	@TOLLBELL_TEST_KILLS=100 TOLLBELL_TEST_AWAY_S=600 TOLLBELL_TEST_INVENT_S=600 $(BIN)/pytest --timeout=2400 tests/soak/soak_*.py tests/resilience tests/end_to_end/test_books_balance.py tests/end_to_end/test_engines_at_random.py tests/integration/billing_service/test_invented_requests.py tests/integration/billing_service/test_broker.py tests/integration/billing_service/test_webhook_sending.py

explore: system-test $(VENV)/.installed-dev ## try the properties with fifty times as many examples, new ones each time
	@TOLLBELL_TEST_EXAMPLES=50 $(BIN)/pytest -n 2 --timeout=3600 tests/property

bench-sip: system-test $(VENV)/.installed-dev compiled ## measure the exchange beside Kamailio (a few minutes; BENCH_ARGS=--full for all)
	@$(BIN)/python -m bench.sip $(BENCH_ARGS)

bench-billing: system-test $(VENV)/.installed-dev ## measure rating, intake, closing and reading beside plain SQL (minutes; BENCH_ARGS=--full for all)
	@$(BIN)/python -m bench.billing $(BENCH_ARGS)

check: system-run $(VENV)/.installed-dev ## style, types and architecture
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

fuzz: $(VENV)/.installed-fuzz ## fuzz the SIP core for a minute (SECONDS=600 for ten)
	@$(BIN)/python -m fuzz --seconds $(or $(SECONDS),60)

format: $(VENV)/.installed-dev ## put the code into its form
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

lock: $(VENV)/.installed-dev ## pin the latest releases of everything in requirements*.in
	@$(BIN)/uv pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url requirements.in -o requirements.txt
	@$(BIN)/uv pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url requirements-dev.in -o requirements-dev.txt
	@$(BIN)/uv pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url requirements-fuzz.in -o requirements-fuzz.txt
	@$(BIN)/uv pip compile -q --upgrade --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url requirements-compile.in -o requirements-compile.txt

clean: ## remove the virtual environment, what was compiled, and caches (var/ with your data stays)
	@rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

system-run:
	@bin/install-system-packages run

system-test:
	@bin/install-system-packages test

system-compile:
	@bin/install-system-packages compile

system-phone:
	@bin/install-system-packages phone

$(VENV)/.installed: requirements.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing the pinned requirements into $(VENV) (first time only)"
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/.installed-compile: requirements-compile.txt $(VENV)/.installed
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-compile.txt
	@touch $@

$(VENV)/.installed-fuzz: requirements-fuzz.txt $(VENV)/.installed-dev
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-fuzz.txt
	@touch $@
