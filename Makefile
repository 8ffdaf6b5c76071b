# make lab   set up .venv once and open JupyterLab at the tour   (PORT=8888, ARGS=--no-browser)
# make site  the same set-up with Sphinx, then the course as static pages in site/
# make site-test  read every page of it in Chromium with the network cut off
# make test  set up .venv once and run ruff, mypy, the unit tests and every notebook
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PORT   ?= 8888
ARGS   ?=
ROOT   := $(if $(filter 0,$(shell id -u)),--allow-root)
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: lab test slow notebooks site site-test dist format clean
.DEFAULT_GOAL := lab

# One stamp for everything: both targets make the same environment, and a second run installs nothing.
$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("rebasin_edu needs Python 3.10 or newer, this is %s: make PYTHON=/path/to/python3" % sys.version.split()[0] if sys.version_info < (3, 10) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

lab: $(VENV)/.ready
	$(BIN)/jupyter lab --port $(PORT) $(ROOT) --ServerApp.root_dir=. --LabApp.default_url=/lab/tree/notebooks/00_tour.ipynb $(ARGS)

test: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses=auto
	REBASIN_EDU_FAST=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest --nbval-lax --nbval-current-env --nbval-cell-timeout=600 --durations=5 --numprocesses=auto --maxprocesses=4 --dist=loadfile notebooks

slow: $(VENV)/.ready
	$(BIN)/python -m pytest -m slow

# Re-make notebooks/*.ipynb from their .py sources, executed: make notebooks, or make notebooks NAMES='00_tour 01_symmetry'
notebooks: $(VENV)/.ready
	$(BIN)/python -m rebasin_edu.course.build $(NAMES)

# Static pages of the whole course; notebooks that did not change since the last time are not run again. Needs npm, once.
site: $(VENV)/.ready
	$(PIP) install --quiet --constraint constraints.txt --editable '.[site]'
	$(BIN)/rebasin-edu site site --cache .site-cache

# Each slider of each page by keyboard and mouse, accessibility, widths, decks; skips where there is no Chromium
site-test: site
	REBASIN_EDU_SITE=$(CURDIR)/site $(BIN)/python -m pytest -m slow -rs tests/course/test_site_pages.py

# The wheel and the source archive, checked as PyPI checks them
dist: $(VENV)/.ready
	rm -rf dist
	$(PIP) install --quiet build twine
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*

format: $(VENV)/.ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV)
