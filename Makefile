# `make run` shows the course, `make check NB=03` and `make test` test it. All make .venv first, once.
#   make run                              every numbered notebook, results in runs/latest/index.html
#   make run NB=01 ARGS="-p latent_dim 16"   one notebook with other parameters
#   make sweep NB=01 OUT=runs/sizes ARGS="--grid latent_dim=2,8 --workers 2"   many runs, one table and one plot
#   make assignments                      for teachers: student versions and zips in runs/assignments
#   make grade SUBMISSIONS=dir [ASSIGNMENT=01]   for teachers: grades and feedback in runs/grades
#   make check [NB=03]                    one lesson in a minute or two: format, lint, and its notebooks run (all lessons without NB)
#   make test [ARGS="-k plots"]           everything that a commit needs, about a quarter of an hour
#   make test-all                         every test, the slow ones too: what CI runs
#   make test-lowest                      `make test` with the lowest versions that requirements.txt allows (needs uv; own .venv-lowest)
#   make format                           format and sort imports, notebooks too
#   make benchmark [ARGS=sweep]           speed beside other tools: benchmarks/README.md (two hours; installs PyTorch and PyOD)
#   make site                             the pages for reading, in runs/site/index.html (nothing is executed)
#   make lab                              JupyterLab on the notebooks
#   make notebooks [NB=01]                run in place, to commit fresh outputs (for maintainers)
#   make constraints                      lock every version anew (for maintainers; needs uv)
PYTHON ?= python3
OUT ?= runs/latest
NB ?=
ARGS ?=
SUBMISSIONS ?=
ASSIGNMENT ?= 01
VENV_PYTHON := .venv/bin/python

PYTEST := $(VENV_PYTHON) -m pytest
TWO_WORKERS := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: run sweep assignments grade check test test-all test-lowest format benchmark site lab notebooks constraints
.DELETE_ON_ERROR:

run: .venv/installed
	@$(VENV_PYTHON) -m aeutils run $(NB) --out "$(OUT)" $(ARGS)

sweep: .venv/installed
	@$(VENV_PYTHON) -m aeutils sweep $(NB) --out "$(OUT)" $(ARGS)

assignments: .venv/installed
	@$(VENV_PYTHON) -m aeutils assignments $(ARGS)

grade: .venv/installed
	@test -n "$(SUBMISSIONS)" || { echo "Which folder? make grade SUBMISSIONS=dir [ASSIGNMENT=01]"; exit 2; }
	@$(VENV_PYTHON) -m aeutils grade "$(SUBMISSIONS)" --assignment "$(ASSIGNMENT)" $(ARGS)

# with NB: the lesson, its solutions, and the folder of its assignment; pictures have the same numbers
CHECKED = $(if $(NB),$(wildcard notebooks/$(NB)_*.ipynb notebooks/solutions/$(NB)_* notebooks/assignments/$(NB)_*),notebooks)

check: .venv/installed
	@$(VENV_PYTHON) -m ruff format --check --quiet $(CHECKED)
	@$(VENV_PYTHON) -m ruff check --quiet $(CHECKED)
	@$(PYTEST) $(TWO_WORKERS) -m "not slow" -k "not committed_page$(if $(NB), and $(NB)_)" tests/test_notebooks.py notebooks $(ARGS)

test: .venv/installed
	@$(VENV_PYTHON) -m ruff format --check --quiet .
	@$(VENV_PYTHON) -m ruff check --quiet .
	@$(PYTEST) $(TWO_WORKERS) -m "not slow" $(ARGS)

test-all: .venv/site-installed
	@$(VENV_PYTHON) -m ruff format --check --quiet .
	@$(VENV_PYTHON) -m ruff check --quiet .
	@$(PYTEST) $(TWO_WORKERS) --once $(ARGS)

test-lowest:
	@uv venv --quiet --allow-existing --python $(PYTHON) .venv-lowest
	@uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct -e '.[dask,classroom,dev]'
	@.venv-lowest/bin/python -m pytest $(TWO_WORKERS) -m "not slow" $(ARGS)

format: .venv/installed
	@$(VENV_PYTHON) -m ruff check --quiet --fix .
	@$(VENV_PYTHON) -m ruff format --quiet .

benchmark: .venv/benchmark-installed
	@$(VENV_PYTHON) -m benchmarks $(ARGS)

site: .venv/site-installed
	@$(VENV_PYTHON) site/make_site.py $(ARGS)

lab: .venv/installed
	@$(VENV_PYTHON) -m jupyter lab notebooks

notebooks: .venv/installed
	@$(VENV_PYTHON) -m aeutils refresh $(NB)

# The stamp is newer than what it was made from, so a second `make run` starts at once.
.venv/installed: requirements.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; (3, 10) <= v <= (3, 13) or sys.exit("Python 3.10 to 3.13 is needed and $(PYTHON) is %d.%d: name another one, for example make run PYTHON=python3.12" % v)'
	@$(VENV_PYTHON) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "Installing into .venv (about 2 GB, once; a few minutes) ..."
	@if command -v uv >/dev/null; then uv pip install --quiet --compile-bytecode --python $(VENV_PYTHON) -c constraints.txt -e '.[dask,classroom,dev]'; \
	 else $(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dask,classroom,dev]'; fi
	@touch $@

.venv/benchmark-installed: .venv/installed benchmarks/requirements.txt
	@$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt -r benchmarks/requirements.txt
	@touch $@

.venv/site-installed: .venv/installed
	@$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[site]'
	@touch $@

constraints:
	uv pip compile --universal --python-version 3.10 --no-annotate --no-emit-index-url --strip-extras \
		--custom-compile-command "make constraints" --upgrade --quiet --extra dask --extra classroom --extra dev --extra site pyproject.toml -o constraints.txt
