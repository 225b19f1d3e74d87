# Needs Python 3.11, 3.12 or 3.13, pip and make.
.DEFAULT_GOAL := help
PYTHON ?= $(shell for minor in 11 12 13; do python3.$$minor -V >/dev/null 2>&1 && exec echo python3.$$minor; done; echo python3)
BIN := .venv/bin
LOCKED := .venv/locked
STAMP := .venv/installed
# Tests that run at a time. They mostly wait, so two processors carry three.
AT_A_TIME ?= 3
PIP := $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check

.PHONY: setup demo serve test check docs reference lint fmt bench chaos fuzz lock wheels clean languages help

setup: $(STAMP)  ## install everything into .venv, from the lock file with its hashes

# Works without ensurepip: the virtual environment has no pip, and the system's pip installs into it.
$(LOCKED): requirements.lock
	rm -rf .venv
	$(PYTHON) -m venv --without-pip .venv
	$(PIP) install --quiet --require-hashes --requirement requirements.lock
	touch $@

# A separate step, so that a new version with the same lock can be installed while Ray runs. Compiles the code, because
# deliveries wait while a replaced actor starts.
$(STAMP): pyproject.toml $(LOCKED)
	$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q actors api domain
	touch $@

demo: setup  ## show the main job: from a click in a mail to a handler
	@$(BIN)/feedback-loops demo

serve: setup  ## run the service on 127.0.0.1:8080, with data in ./var
	@$(BIN)/feedback-loops serve

# Compiled code is kept, because every process that a test starts would compile it again.
test: export PYTHONDONTWRITEBYTECODE =
test: setup lint languages  ## run everything that CI runs; takes some minutes
	$(BIN)/python -m compileall -q actors api domain benchmarks
	$(BIN)/python -m pytest -n $(AT_A_TIME) -m "not alone"
	$(BIN)/python -m pytest -m alone $$(grep -rl --include='test_*.py' 'mark\.alone' tests)

check: setup lint  ## check style and types, and run the unit and property tests of what you changed; under a minute
	$(BIN)/python -m tests.changed

docs: setup  ## build the documentation site into build/docs
	$(BIN)/zensical build --strict

reference: setup  ## generate the pages in docs/reference
	for page in api cli events metrics settings; do $(BIN)/python -m docs._generate.$$page > docs/reference/$$page.md; done
	$(BIN)/python -m docs._generate.returned_mail > docs/reference/returned-mail.md

lint: setup  ## check style, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fmt: setup  ## format the code and apply automatic fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup  ## run all benchmarks; results go to benchmarks/results
	$(BIN)/python -m benchmarks.run

chaos: setup  ## cause each fault under load, and check the guarantees
	$(BIN)/python -m tests.chaos.matrix
	$(BIN)/python -m tests.cluster.matrix

fuzz: setup  ## parse 100,000 damaged and hostile mails; the result goes to benchmarks/results
	$(BIN)/python -m tests.returned_mail_fuzz 100000

lock: setup  ## lock the newest versions that pyproject.toml allows, also for images (needs uv)
	uv pip compile pyproject.toml --group dev --group docs --universal --python-version 3.11 --generate-hashes --upgrade \
	  --no-header --no-annotate --no-emit-index-url --quiet --output-file requirements.lock
	uv pip compile pyproject.toml --constraints requirements.lock --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --no-emit-index-url --quiet --output-file deploy/requirements.lock

wheels: setup  ## try the wheel in fresh environments with Python 3.11, 3.12 and 3.13, of those that are installed
	$(BIN)/python -m tests.wheel

clean:  ## remove what these commands created; data in ./var stays
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Some tests parse POSTs with PHP, run the examples in all languages, or open the dashboard in a browser. Tests whose
# program is missing are skipped. On Debian as root, this installs the smaller programs.
languages:
	@missing=; for program in php:php-cli ruby:ruby chromium:chromium; do \
	  command -v "$${program%%:*}" >/dev/null || missing="$$missing $${program##*:}"; \
	done; [ -z "$$missing" ] || { \
	  [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing for tests:$$missing" && \
	  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$missing; } \
	  >/dev/null 2>&1; } || echo "not installed, so their tests are skipped:$$missing"

help:  ## show this help
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
