# Set-up is two commands: `make demo` and `make test`; both make .venv and install by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow lint browser clean

demo: $(VENV)/installed-demo
	$(BIN)/eventhpe demo

test: $(VENV)/installed-dev lint browser
	$(BIN)/pytest -m "not slow" -n 2

test-slow: $(VENV)/installed-dev
	$(BIN)/pytest -m slow

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The report's tests drive Debian's Chromium; where it cannot be had they say so and are skipped.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null && \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	} || echo "no chromium, and no way to install it here: the report's browser tests are skipped"

$(VENV)/installed-demo: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e ".[render,viz,io]"
	touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -c constraints.txt -e ".[train,render,viz,io,dev]"
	touch $@ $(VENV)/installed-demo

clean:
	rm -rf $(VENV) out runs
