# make demo    the use side in an environment of its own, and a report of a real picture
# make test    everything in an environment of its own, and all tests
# make lint    style, types of import and layers
# make docs    the documentation as a site, in site/; only what it needs to be built is installed from elsewhere
PYTHON ?= python3
VENV ?= .venv
DEMO_VENV ?= .venv-demo
DEMO_OUT ?= demo-out
DOCS_VENV ?= .venv-docs
DOCS_OUT ?= site

.PHONY: demo test lint docs clean

# Python compiles what is imported, which is a tenth of what pip would.
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --no-compile

# Built anew each time, so that the demo shows this checkout; pip finds what it needs already there.
demo: $(DEMO_VENV)/bin/python
	rm -rf build
	$(DEMO_VENV)/bin/python $(PIP_INSTALL) .
	$(DEMO_VENV)/bin/organscope analyze \
	  "$$($(DEMO_VENV)/bin/python -c 'import skimage.data; print(skimage.data.__path__[0])')/ihc.png" -o $(DEMO_OUT)
	@echo "Open in a browser: file://$(abspath $(DEMO_OUT))/report.html"

# Twice, because PyTorch and TensorFlow never share a process.
test: $(VENV)/installed $(VENV)/debian
	$(VENV)/bin/python -m pytest --numprocesses 2
	$(VENV)/bin/python -m pytest --keras

lint: $(VENV)/installed
	$(VENV)/bin/ruff check src tests bench docs/generated.py
	$(VENV)/bin/ruff format --check src tests bench docs/generated.py
	$(VENV)/bin/lint-imports --no-cache
	$(VENV)/bin/mypy

docs: $(DOCS_VENV)/installed
	$(DOCS_VENV)/bin/mkdocs build --strict --quiet --site-dir $(abspath $(DOCS_OUT))
	@echo "Open in a browser: file://$(abspath $(DOCS_OUT))/index.html"

$(DOCS_VENV)/installed: pyproject.toml | $(DOCS_VENV)/bin/python
	$(DOCS_VENV)/bin/python $(PIP_INSTALL) --editable '.[docs]'
	touch $@

$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(VENV)/bin/python $(PIP_INSTALL) --editable '.[train,postgresql,bioimageio,web,remote,cluster,docs,dev]'
	touch $@

# What only Debian packages bring: a PostgreSQL for the sweeps of many computers, a browser for the pages. Without them
# their tests are skipped.
$(VENV)/debian: | $(VENV)/bin/python
	@wanted=""; \
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || wanted="postgresql"; \
	[ -x /usr/bin/chromium ] || wanted="$$wanted chromium"; \
	if [ -n "$$wanted" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  export DEBIAN_FRONTEND=noninteractive; \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends $$wanted; } >/dev/null \
	    || echo "Not installed: $$wanted; their tests will be skipped."; \
	fi
	touch $@

$(VENV)/bin/python $(DEMO_VENV)/bin/python $(DOCS_VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(patsubst %/bin/python,%,$@)

clean:
	rm -rf $(VENV) $(DEMO_VENV) $(DOCS_VENV) $(DEMO_OUT) $(DOCS_OUT) build
