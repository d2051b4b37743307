# One command for each purpose. Each sets up .venv first, again only if what it is made from has changed.
PYTEST = .venv/bin/python -m pytest
COVERAGE = .venv/bin/python -m coverage
# Tests wait for databases, timers and registries, so more workers than cores pay off. Each worker starts servers of its own.
WORKERS = 4
# .venv has the newest Airflow. Tests beside another one take the oldest that is supported, or the one named:
# make test-airflow-matrix BESIDE=airflow-3.2
BESIDE = airflow-3.1
# Seconds for which each parser is fuzzed.
SECONDS = 20
# Minutes for which the soak works.
MINUTES = 60
# Kind of processor that airflow-sync.pyz is for.
MACHINE = $(shell uname -m)
# Tests of the code that faces Airflow.
ADAPTERS = $(wildcard $(addprefix tests/,airflow_support hooks notifications operators sensors triggers task_groups plugin history cli example_dags) \
	tests/test_assets.py tests/test_provider_info.py tests/test_requirements.py)
unexport PYTHONDONTWRITEBYTECODE
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-versions test-airflow-matrix coverage lint format docs fuzz faults soak bench screenshots package pyz sbom licences release constraints core-requirements clean

help: ## list these commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 22

setup: ## create .venv and install everything, as root system packages too
	@.ci/setup dev

demo: ## sync a real table and a real directory, three times
	@.ci/setup demo
	@.venv/bin/airflow-sync demo

test: setup ## run all tests but the slow ones (some ten minutes)
	@$(PYTEST) -n $(WORKERS) --dist loadgroup -m "not slow"

test-all: test ## run all tests, those with the oldest Airflow too
	@$(PYTEST) -n $(WORKERS) --dist loadgroup -m slow
	@$(MAKE) --no-print-directory test-versions
	@$(MAKE) --no-print-directory test-airflow-matrix

# Apart from test-all, since measuring takes almost half as long again as the tests; slow ones reach nothing more.
coverage: setup ## run the quick tests, and print which branches they do not reach; fails if they are too many
	@rm -rf .coverage
	@$(COVERAGE) run -m pytest -n $(WORKERS) --dist loadgroup -m "not slow"
	@$(COVERAGE) combine -q
	@$(COVERAGE) report

test-versions: setup ## test the contract of databases on their oldest and newest releases, or RELEASES=mariadb-10.5
	@.venv/bin/python -m tests.releases.run --workers $(WORKERS) $(RELEASES)

# Warnings of an old Airflow about its own libraries are not errors.
test-airflow-matrix: ## test the code that faces Airflow with the oldest supported Airflow, or BESIDE=airflow-3.2
	@.ci/setup $(BESIDE)
	@.cache/$(BESIDE)/bin/python -m pytest -n $(WORKERS) --dist loadgroup -m "not slow" -W default $(ADAPTERS)

lint: setup ## check style, types and layers
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-cache

format: setup ## let ruff format, and fix what it can
	@.venv/bin/ruff check --fix .
	@.venv/bin/ruff format .

fuzz: setup ## feed every parser with mutated bytes, SECONDS=20 for each; findings are kept for the tests
	@.venv/bin/python -c 'import atheris' 2>/dev/null || .venv/bin/python -m pip install -q --disable-pip-version-check -e '.[fuzz]'
	@.venv/bin/python -m tests.fuzz.run --seconds $(SECONDS) $(PARSERS)

bench: ## measure speed and memory beside other programs that do the same work
	@.ci/setup bench
	@.venv/bin/python -m tests.benchmarks.run

faults: setup ## disturb syncs in every way, thousands of times (an hour); FAULTS="'kill-*' --share 0.1" for less
	@.venv/bin/python -m tests.faults.run $(FAULTS)

soak: setup ## let a server and ten DAGs work under faults for MINUTES=60; fails if memory, files or tables are left over
	@.venv/bin/python -m tests.soak.run --minutes $(MINUTES)

# Material says with each build when its own support ends. MkDocs counts no warning, and so no dead link, with --quiet.
docs: setup ## build the documentation as a site into dist/site; a dead link is an error
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build -f .ci/site/mkdocs.yml
	@echo "Read it at http://127.0.0.1:8000 with: python3 -m http.server --bind 127.0.0.1 --directory dist/site"

screenshots: setup ## take the pictures of the documentation again
	@SYNC_SCREENSHOTS=docs/images CI=true $(PYTEST) -q tests/plugin/test_in_browser.py tests/cli/terminal/test_pictures.py

package: setup ## build the wheel and the source archive into dist/
	@PYTHONPATH=.ci .venv/bin/python -m publish.archives

pyz: setup ## build dist/airflow-sync.pyz, the core and its drivers in one file; MACHINE=aarch64 for another processor
	@PYTHONPATH=.ci .venv/bin/python -m publish.pyz --machine $(MACHINE)

sbom: ## write dist/airflow-sync.cdx.json, a bill of materials of airflow-sync.pyz
	@[ -f dist/airflow-sync.pyz ] || $(MAKE) --no-print-directory pyz
	@PYTHONPATH=.ci .venv/bin/python -m publish.sbom

licences: setup ## list the licences of all that is needed, and fail if one does not fit
	@PYTHONPATH=.ci .venv/bin/python -m publish.licences

release: lint coverage test-all licences ## check everything, and build all that is published, with checksums, into dist/
	@rm -f dist/*.whl dist/*.tar.gz dist/*.pyz dist/*.cdx.json dist/SHA256SUMS
	@$(MAKE) --no-print-directory package pyz sbom
	@cp docs/how-to/deploy/core-requirements.txt dist/
	@cd dist && sha256sum *.whl *.tar.gz *.pyz *.cdx.json core-requirements.txt >SHA256SUMS && cat SHA256SUMS

constraints: setup ## pin what CI installs, for every Python; pins that still fit stay, so delete the file to upgrade
	@.venv/bin/uv pip compile -q --universal --python-version 3.11.0 --all-extras --no-annotate --no-header \
		pyproject.toml -o .ci/constraints.txt

core-requirements: setup ## write docs/how-to/deploy/core-requirements.txt: what is needed without Airflow, pinned as CI has it
	@PYTHONPATH=.ci .venv/bin/python -m publish.core_requirements

clean: ## remove everything that these commands made, .venv and the cached MySQL included
	@rm -rf .venv .cache .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
