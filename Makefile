# The commands of the README. Everything is installed by the project's own files, into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint docs bench calibration train-env train-demo clean
.DELETE_ON_ERROR:

demo: $(VENV)/.core
	$(BIN)/fer-build demo

test: $(VENV)/.dev $(VENV)-datasets3/.ready $(VENV)-train/.ready
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.dev: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(VENV)/.core $@

# The last datasets before 4.0, which old training stacks pin: the shards must load there too. Where it cannot be
# installed, its test is skipped with that reason.
$(VENV)-datasets3/.ready:
	-$(PYTHON) -m venv $(VENV)-datasets3 && $(VENV)-datasets3/bin/python -m pip install --quiet 'datasets==3.6.0' pillow
	-touch $@

# The documents as a site in site/, for reading without a network: open site/index.html.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

$(VENV)/.docs: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $(VENV)/.core $@

# What may be judged on a face, measured on rendered faces: a quarter of an hour on two cores.
calibration: $(VENV)/.dev
	$(BIN)/fer-build calibrate --out manifests/calibration.yaml
	$(BIN)/python docs/generate.py

# All tables of docs/benchmarks.md, one after the other: two hours on two cores that nothing else uses. Each is put into
# the page as soon as it is measured; a missed aim, or a measurement that fails, does not stop the next one.
bench: $(VENV)/.bench
	-$(BIN)/python benchmarks/faces_speed.py decode --keep
	-$(BIN)/python benchmarks/faces_speed.py stage --keep
	-$(BIN)/python benchmarks/faces_speed.py memory --keep
	-$(BIN)/python benchmarks/detection_speed.py --keep
	-$(BIN)/python benchmarks/near_duplicates.py speed
	-$(BIN)/python benchmarks/near_duplicates.py peers --counts 20000 1000000
	-$(BIN)/python benchmarks/near_duplicates.py quality
	-$(BIN)/python benchmarks/asking.py --keep
	-$(BIN)/python benchmarks/quota.py

$(VENV)/.bench: setup.cfg pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[bench]'
	touch $(VENV)/.core $@

# torch and its kin, 6 GB, apart from the core.
train-env: $(VENV)-train/.ready

$(VENV)-train/.ready: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)-train
	$(VENV)-train/bin/python -m pip install --quiet --editable '.[train]' 'pytest>=8.4' 'pytest-timeout>=2.4'
	touch $@

# Trains a tiny model on drawn faces, in minutes on a CPU, and plots what it learns and what the controls do not.
train-demo: $(VENV)-train/.ready
	$(VENV)-train/bin/python benchmarks/training_demo.py --out train-demo

clean:
	rm -rf $(VENV) $(VENV)-datasets3 $(VENV)-train fer-demo train-demo site build dist *.egg-info
