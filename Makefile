# One place for what a person or CI runs. Everything works from a fresh clone: the targets set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CLEAN_ENV := env -u AWS_CA_BUNDLE -u REQUESTS_CA_BUNDLE -u AWS_PROFILE -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY
# What the tests' own modules are found by, and nothing that steers an S3 client.
IN_TREE := $(CLEAN_ENV) PYTHONPATH=.:tests

.DEFAULT_GOAL := help
.PHONY: help e2e image cluster cluster-down demo up test check format bench bench-quick bench-store soak fuzz mutations power-loss bench-operator generate client-matrix lock clean

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

# The virtual environment, from hash-pinned requirements; made again whenever they change.
$(STAMP): requirements.lock pyproject.toml hatch_build.py gateway/cooper_gateway/native/_native.c
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, and $(PYTHON) is not: name one, for example make PYTHON=python3.12 demo"; exit 1; }
	@echo "setting up $(VENV) (about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP) ## set everything up and do the main job end to end
	@$(BIN)/python examples/demo.py

up: $(STAMP) ## run Cooper on this machine with the examples
	@$(BIN)/cooper up examples

# Real sockets, processes and clocks on a busy machine: a test that fails is tried once more, and told of (docs/decisions/0021).
AGAIN := --reruns 1
test: $(STAMP) check ## set everything up and pass all tests
	@$(BIN)/python -m pytest tests/unit tests/property -n 2 -q $(AGAIN)
	@$(BIN)/python -m pytest tests/hostile tests/integration -n 2 --dist loadfile -q $(AGAIN)
	@$(IN_TREE) $(BIN)/python -m pytest e2e/browser -q $(AGAIN)
	@$(IN_TREE) $(BIN)/python -m e2e $(AGAIN)

e2e: $(STAMP) ## only the tests that need a Kubernetes cluster, on one made for them
	@$(IN_TREE) $(BIN)/python -m e2e

check: $(STAMP) ## format, lint, types, import rules, generated files
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports
	@$(BIN)/python -m cooper_crds.schema --check charts/cooper/files/crds
	@$(BIN)/python -m cooper_operator.troubleshooting --check docs/troubleshooting.md
	@$(BIN)/python -m charts.values_schema --check charts/cooper
	@$(BIN)/python -m charts.readme --check charts/cooper

format: $(STAMP) ## format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

generate: $(STAMP) ## write generated files anew
	@$(BIN)/python -m cooper_crds.schema charts/cooper/files/crds
	@$(BIN)/python -m cooper_operator.troubleshooting docs/troubleshooting.md
	@$(BIN)/python -m charts.values_schema charts/cooper
	@$(BIN)/python -m charts.readme charts/cooper

client-matrix: $(STAMP) ## try the S3 clients and write what came of it into docs/clients.md
	@COOPER_CLIENT_MATRIX=write $(BIN)/python -m pytest tests/integration/test_client_matrix.py -q

image: $(STAMP) ## build the image for containers and print its name
	@$(IN_TREE) $(BIN)/python -m e2e.image

cluster: $(STAMP) ## a real Kubernetes cluster (kind): 15 minutes at the first time, seconds after
	@$(IN_TREE) $(BIN)/python -m e2e.kind up

cluster-down: $(STAMP) ## delete that cluster
	@$(IN_TREE) $(BIN)/python -m e2e.kind down

bench: $(STAMP) ## measure speed against all peers: half an hour, once they are built
	@$(IN_TREE) $(BIN)/python -m bench.peers --into docs/benchmarks/peers.md

bench-quick: $(STAMP) ## measure speed against versitygw and nginx, in less than a minute once they are built
	@$(IN_TREE) $(BIN)/python -m bench.peers --quick

bench-store: $(STAMP) ## measure the store with little in it and with a million objects
	@$(IN_TREE) $(BIN)/python bench/store_scale.py --into docs/benchmarks/store.md

bench-operator: $(STAMP) ## measure how fast keys become Ready on a real API server
	@$(CLEAN_ENV) $(BIN)/python bench/operator_keys.py

soak: $(STAMP) ## the long runs of the tests
	@$(BIN)/python -m pytest tests -q -s --soak
	@$(IN_TREE) $(BIN)/python -m e2e -s --soak

fuzz: $(STAMP) ## of these, only the readers of what strangers send
	@$(BIN)/python -m pytest tests/property/test_hostile_bytes.py -n 2 -q --soak

mutations: $(STAMP) ## of these, only the gateway without one of its checks, each of them
	@$(BIN)/python -m pytest tests/mutations -n 2 -q --soak

power-loss: $(STAMP) ## of these, only power loss: 10,000 states of a disk, and the code without one of its syncs, each of them
	@$(BIN)/python -m pytest tests/integration/test_power_loss.py -q -s --soak
	@$(BIN)/python -m pytest tests/mutations -k power_loss -n 2 -q --soak

# Resolve again from pyproject.toml. The locks pin versions and hashes and name no registry. What the image is made with
# is part of what the tests run with.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate
lock: $(STAMP) ## resolve the requirements anew
	@$(COMPILE) --extra dev -o requirements.lock pyproject.toml requirements-build.in
	@$(COMPILE) -c requirements.lock -o requirements-run.lock pyproject.toml
	@$(COMPILE) -c requirements.lock -o requirements-build.lock requirements-build.in

clean: ## remove the virtual environment
	rm -rf $(VENV)
