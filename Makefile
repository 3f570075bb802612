# One place for what a person or CI runs. Everything works from a fresh clone: the targets set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CLEAN_ENV := env -u AWS_CA_BUNDLE -u REQUESTS_CA_BUNDLE -u AWS_PROFILE -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY

.PHONY: demo up test check format bench soak generate lock clean

# The virtual environment, from hash-pinned requirements; made again whenever they change.
$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP)
	@$(BIN)/python examples/demo.py

up: $(STAMP)
	@$(BIN)/cooper up examples

test: $(STAMP) check
	@$(BIN)/python -m pytest tests/unit tests/property -n 2 -q
	@$(BIN)/python -m pytest tests/hostile tests/integration -n 2 --dist loadfile -q

check: $(STAMP)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/python -m cooper_crds.schema --check charts/cooper/crds
	@$(BIN)/python -m cooper_operator.troubleshooting --check docs/troubleshooting.md

format: $(STAMP)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

generate: $(STAMP)
	@$(BIN)/python -m cooper_crds.schema charts/cooper/crds
	@$(BIN)/python -m cooper_operator.troubleshooting docs/troubleshooting.md

bench: $(STAMP)
	@$(BIN)/python bench/small_objects.py

soak: $(STAMP)
	@$(BIN)/python -m pytest tests -q -s --soak

# Resolve again from pyproject.toml. The lock pins versions and hashes and names no registry.
lock: $(STAMP)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --extra dev --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate -o requirements.lock pyproject.toml requirements-build.in

clean:
	rm -rf $(VENV)
