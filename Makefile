# What one does here. Everything runs in .venv, which the first command makes.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check conformance attack fuzz screenshots audit bench chaos chaos-receiver simulate simulate-pairings simulate-mutants connector-lines docs format lock clean

BIN := .venv/bin
READY := .venv/.ready
UV := $(or $(shell command -v uv),$(BIN)/uv)
# Extras stay in the pins: without them pip 23 looks for the newest release that has the extra, pin or no pin.
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-strip-extras --no-emit-index-url \
	--no-emit-find-links --custom-compile-command "make lock"

help:  ## show this
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 23

demo: $(READY)  ## replay real sales through local vendor servers and prove every unit (ARGS="--limit 0" for all)
	$(BIN)/trueup demo $(ARGS)

# The browser's driver leaves an event loop running in its thread, so that its tests have processes of their own.
test: $(READY)  ## every test, real PostgreSQL, Redis and Chromium included (ARGS for pytest)
	-requirements/set-up-browser
	$(BIN)/pytest --numprocesses=auto --dist=worksteal $(if $(ARGS),$(ARGS),--ignore=tests/browser)
	$(if $(ARGS),,$(BIN)/pytest --numprocesses=2 tests/browser)

check: $(READY)  ## format, lint, types, arrows, unit tests: under a minute
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive config connectors worker
	$(BIN)/pytest --quiet --numprocesses=auto tests/unit

conformance: $(READY)  ## what vendors publish against sandboxes and connectors (ARGS="sharetribe" for one)
	$(BIN)/python -m tests.official $(ARGS)

attack: $(READY)  ## 10,000 hostile inputs against a real receiver process (ARGS="--inputs 50000 --seed 7")
	$(BIN)/python -m tests.attack $(ARGS)

fuzz: $(READY)  ## every parser: Hypothesis, then SECONDS of a coverage-guided fuzzer in all
	$(BIN)/pytest --hypothesis-profile=fuzz --timeout=1200 tests/fuzz $(ARGS)
	requirements/set-up-fuzzer
	PYTHONPATH=.venv/fuzzer $(BIN)/python -m tests.fuzz --seconds $(SECONDS)

screenshots: $(READY)  ## make the pictures of docs/console.md again
	requirements/set-up-browser
	TRUEUP_TEST_SCREENSHOTS=docs/console $(BIN)/pytest --quiet tests/browser -k cut_off

audit: $(READY)  ## known vulnerabilities of what is locked, where the service that knows them can be reached
	requirements/audit

bench: $(READY)  ## measure: prints the figures of docs/benchmarks.md
	$(BIN)/python -m tests.bench $(ARGS)

# Of faults while orders flow; SEED draws them, MODE is service or embedded, BROKER redis or rabbitmq.
MINUTES := 2
SEED := 1
MODE := service
BROKER := redis
# Of the receiver, on each database.
KILLS := 50

chaos: $(READY)  ## kill and cut real processes while orders flow, then prove every unit (MINUTES, SEED, MODE, BROKER)
	$(BIN)/python -m tests.chaos --minutes $(MINUTES) --seed $(SEED) --mode $(MODE) --broker $(BROKER) $(ARGS)

chaos-receiver: $(READY)  ## kill the receiver under load: no acknowledged delivery may be lost (KILLS, SEED)
	$(BIN)/python -m tests.chaos.receiver --kills $(KILLS) --seed $(SEED) $(ARGS)

# Of seeded histories: SEEDS of them from FROM on, of EVENTS each, in JOBS processes (one for each core), of a PAIRING such
# as elasticpath+woocommerce. A SEED given on the command line is played alone, and its trace printed.
SEEDS := 200
FROM := 0
EVENTS := 200
JOBS :=
PAIRING := sharetribe+shopify
PLAY = $(BIN)/python -m tests.simulation --seeds $(SEEDS) --from $(FROM) --events $(EVENTS) --pairing $(PAIRING) \
	$(if $(JOBS),--jobs $(JOBS))

simulate: $(READY)  ## play seeded histories on virtual time and examine every promise (SEEDS, FROM, or one SEED)
	$(PLAY) $(if $(filter command%,$(origin SEED)),--seed $(SEED)) $(ARGS)

simulate-pairings: SEEDS := 50
simulate-pairings: $(READY)  ## the same on every marketplace with every channel, SEEDS each
	$(PLAY) --pairings $(ARGS)

simulate-mutants: SEEDS := 2000
simulate-mutants: $(READY)  ## how many seeds it takes to catch each broken variant of the code (SEEDS at most)
	$(PLAY) --mutants $(ARGS)

connector-lines: $(READY)  ## count each connector's lines of code anew, into docs/connectors.md
	$(BIN)/python -m tests.connector_lines

docs: $(READY)  ## write the pages anew that are made from the code, and check every link between pages
	$(BIN)/python -m worker.cli.reference > docs/commands.md
	$(BIN)/python -m config.reference > docs/settings.md
	$(BIN)/python -m worker.web.metrics.reference > docs/metrics.md
	$(BIN)/python -m worker.alerts.pages docs/anomalies
	$(BIN)/python -m tests.connector_lines
	$(BIN)/pytest --quiet tests/unit/test_docs.py

format: $(READY)  ## rewrite the code as `make check` wants it
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

lock:  ## resolve again what may be installed (needs uv; ARGS="--upgrade" for newer versions)
	$(COMPILE) $(ARGS) pyproject.toml --extra sandbox --output-file requirements/runtime.txt
	$(COMPILE) $(ARGS) pyproject.toml --extra dev --constraints requirements/runtime.txt \
		--output-file requirements/dev.txt
	$(COMPILE) $(ARGS) requirements/build.in --constraints requirements/dev.txt --output-file requirements/build.txt
	$(COMPILE) $(ARGS) --no-deps --only-binary=:all: requirements/redis.in --output-file requirements/redis.txt
	$(COMPILE) $(ARGS) --no-deps --only-binary=:all: requirements/fuzz.in --output-file requirements/fuzz.txt
	$(COMPILE) $(ARGS) --no-deps --only-binary=:all: requirements/node.in --output-file requirements/node.txt

clean:  ## remove .venv and everything that can be made again
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage htmlcov build dist
	find config connectors worker tests -name __pycache__ -prune -exec rm -rf {} +

$(READY): pyproject.toml requirements/dev.txt requirements/redis.txt requirements/set-up
	requirements/set-up
