# Two commands on a fresh machine: `make demo` and `make test`. Each makes .venv when it is missing.
PYTHON ?= # one of your own; else scripts/find_python.sh finds 3.11 or 3.12
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# pip's words go into a file, which is shown where it fails
LOG := $(VENV)/install.log
PIP = sh scripts/quietly.sh $(LOG) $(BIN)/python -m pip install --disable-pip-version-check --no-input

.PHONY: demo test test-fast test-slow lint bench setup system clean
.DEFAULT_GOAL := demo

demo: setup
	$(BIN)/turnaround run docs/demo --work work --direct

# A process a core, each with whole files; then what compares seconds, with the machine for itself.
SHARED = -n logical --maxprocesses 8 --dist loadfile
test: setup
	$(BIN)/python -m pytest $(SHARED) -m "not gpu and not slow and not alone"
	$(BIN)/python -m pytest -m "alone and not gpu and not slow"

# The everyday: every law that needs neither a network's training nor a browser nor a server. Under two minutes.
test-fast: setup
	$(BIN)/python -m pytest $(SHARED) -m "not gpu and not slow and not alone and not heavy"

test-slow: setup
	$(BIN)/python -m pytest -m "slow and not gpu"

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/oxlint flows
	sh scripts/link_package.sh $(VENV)/links
	$(BIN)/pyright

bench: setup
	$(BIN)/turnaround bench

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt scripts/find_python.sh
	@$(MAKE) --no-print-directory system
	@test -x $(BIN)/python || { python=$$(sh scripts/find_python.sh $(PYTHON)) && \
		echo "set-up 1/4: a virtual environment in $(VENV) with $$python" && $$python -m venv $(VENV); }
	@$(PIP) --upgrade pip
	@echo "set-up 2/4: torch (200 MB for a CPU, more with CUDA)"
	@$(PIP) torch==2.13.0 -c constraints.txt
	@echo "set-up 3/4: the other packages and turnaround itself, editable"
	@$(PIP) -c constraints.txt -e '.[test]'
	@echo "set-up 4/4: the landmark networks (53 MB)"
	@$(BIN)/turnaround fetch || true # without a network it says what to do, and everything else goes on
	@touch $(STAMP)

# numba's threads need libgomp, which pip cannot bring.
system:
	@sh scripts/system_packages.sh

clean:
	rm -rf $(VENV)
