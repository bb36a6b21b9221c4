# `make demo` shows OneCount at work, `make test` tests it, `make check` runs the other gates, `make audit` asks whether a dependency has a
# known vulnerability. Each installs what it needs first.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
WORKERS ?= 2
SEEDS ?= 20000
# Where the machine forbids it, each of the many processes here would compile everything anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo serve test test-slow test-all torture simulate check audit format clean

demo: $(INSTALLED)
	$(BIN)/python manage.py demo

serve: $(INSTALLED)
	$(BIN)/python manage.py serve

test: $(INSTALLED)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

# Whole process groups and a real browser, one after the other, and beside them every property on all its examples.
test-slow: $(INSTALLED)
	TEST_EXAMPLES=all $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -m "slow or browser or property"

# Everything goes wrong at once, with each safeguard switched off in turn: every time it has to be noticed. One after the other,
# because each runs the whole program.
torture: $(INSTALLED)
	$(BIN)/python -m pytest -p no:randomly -m torture --durations=6 tests/torture

test-all: test test-slow torture

# The protocol on simulated shops, clocks and failures, for a night: make simulate SEEDS=1000000
simulate: $(INSTALLED)
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --workers $(WORKERS)

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ruff check --select S $(wildcard */migrations/*.py)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	PUBLIC_URL=https://onecount.example ALLOWED_HOSTS=onecount.example TRUST_PROXY=true \
	SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
	ONECOUNT_CREDENTIAL_KEYS="$$($(BIN)/python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())')" \
	$(BIN)/python manage.py check --deploy --fail-level WARNING

# Fails where there are known vulnerabilities, and where the advisories cannot be reached, so that nothing is known; it says which.
audit: $(INSTALLED)
	@$(BIN)/python .ci/audit.py requirements-dev.txt

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(INSTALLED): requirements-dev.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	touch $@

# The virtual environment and caches; `.data/`, which holds the database, stays.
clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
