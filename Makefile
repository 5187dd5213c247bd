# Copyright: cloudpods.diagnostics contributors
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

PYTHON ?= python3
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/cloudpods-diagnostics
export PYTHONPYCACHEPREFIX ?= $(CACHE)/pycache

CHECK := @$(PYTHON) tests/tools/check.py
# $(call in_venv,KIND): put the virtual environment of this kind first on the PATH of the command that follows.
in_venv = @venv=$$($(PYTHON) tests/tools/make_venv.py $(1)) && export PATH="$$venv/bin:$$PATH" &&

.PHONY: help
help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

.PHONY: demo
demo:  ## capture the stacks of a few stand-in services on this machine, without root
	$(call in_venv,demo) ANSIBLE_COLLECTIONS_PATH=$$($(PYTHON) tests/tools/collection.py link) tests/demo/run.sh

.PHONY: test test-fast lint sanity pages install-test unit integration stress soak fuzz bench
test:  ## everything; with test clusters as root on Debian. T=PATH::NAME: only these tests, their cluster stays up
	$(CHECK) $(if $(T),only $(T),test)
test-fast:  ## the linters and the unit and contract tests that are not slow: under two minutes
	$(CHECK) test-fast
lint:  ## every linter
	$(CHECK) lint
sanity:  ## ansible-test sanity; CORE=2.18: that of this release of ansible-core
	$(if $(CORE),$(call in_venv,core-$(CORE)) python3 tests/tools/sanity.py,$(CHECK) sanity)
pages:  ## look at flame graphs, and at our files in speedscope, in a real browser
	$(CHECK) pages
install-test:  ## install the tarball under each release of ansible-core, and run it by other programs
	$(CHECK) install-test
unit:  ## unit and contract tests
	$(CHECK) unit
integration:  ## integration tests and molecule scenarios on test clusters
	$(CHECK) integration
stress:  ## everything, while stress-ng keeps the machine busy
	$(CHECK) stress
soak:  ## watch logs for ten minutes through rotations, restarts and cuts
	$(CHECK) soak
fuzz:  ## the tests with generated input, with many more examples
	$(CHECK) fuzz
bench:  ## measure on a test cluster
	$(CHECK) bench

.PHONY: vulnerabilities
vulnerabilities:  ## what is known against the pinned dependencies; asks PyPI
	$(call in_venv,audit) pip-audit --strict --disable-pip --no-deps --progress-spinner off \
	  --requirement requirements/constraints.txt

.PHONY: lab-build lab-up lab-down
lab-build:  ## build what the test cluster is made of (root on Debian)
	$(call in_venv,dev) python3 tests/lab/lab.py build
lab-up:  ## bring the test cluster up
	$(call in_venv,dev) python3 tests/lab/lab.py up
lab-down:  ## take the test cluster down
	$(call in_venv,dev) python3 tests/lab/lab.py down

.PHONY: venv hooks constraints format docs changelog collection clean
venv:  ## the virtual environment with every tool; prints its path
	@$(PYTHON) tests/tools/make_venv.py dev
hooks:  ## let Git run the fast linters before a commit and check its message
	$(call in_venv,dev) pre-commit install
constraints:  ## pin what the requirement files now need; UPGRADE=1: at the newest versions
	$(call in_venv,uv) UV_SYSTEM_CERTS=1 uv pip compile --quiet --universal --python-version 3.10 --no-annotate $(if $(UPGRADE),--upgrade) \
	  --custom-compile-command "make constraints" --output-file requirements/constraints.txt \
	  requirements/audit.txt requirements/demo.txt requirements/dev.txt requirements/galaxy.txt requirements/go.txt \
	  requirements/uv.txt
format:  ## format the Python sources
	$(call in_venv,dev) ruff format .
docs:  ## the pages that are made from the code, and the modules and roles as HTML; prints the path
	$(call in_venv,dev) python3 tests/tools/docs.py
changelog:  ## write CHANGELOG.rst from the fragments
	$(call in_venv,dev) antsibull-changelog release --reload-plugins
collection:  ## build the tarball; prints its path
	$(call in_venv,dev) python3 tests/tools/collection.py build
clean:  ## remove the virtual environments and what was made from this checkout; what the cluster is built of stays
	rm -rf $(CACHE)/venv-* $(CACHE)/python3.* $(CACHE)/pycache $(CACHE)/checkout-*
