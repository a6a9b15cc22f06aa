# Two commands on a fresh machine: `make demo` and `make test`. Each makes .venv when it is missing.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-slow lint bench setup system clean
.DEFAULT_GOAL := demo

demo: setup
	$(BIN)/turnaround run docs/demo --work work --direct

test: setup
	$(BIN)/python -m pytest

test-slow: setup
	$(BIN)/python -m pytest -m "slow and not gpu"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	sh scripts/link_package.sh $(VENV)/links
	$(BIN)/pyright

bench: setup
	$(BIN)/turnaround bench

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory system
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch==2.13.0 -c constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test]'
	@$(BIN)/turnaround fetch || true # without a network it says what to do, and everything else goes on
	touch $(STAMP)

# open3d needs libusb-1.0, libGL and libgomp; pip cannot bring them.
system:
	@sh scripts/system_packages.sh

clean:
	rm -rf $(VENV)
