# Two commands do all set-up: `make demo` and `make test`. Run again, they skip what is done.
PYTHON ?= python3.11
BIN := .venv/bin
DEMO := demo
SCENE = $(DEMO)/completed/view-0
TRAIN = $(BIN)/train-fixer --shards $(DEMO)/data --size tiny --encoders efficientnet_lite0 --run-dir $(DEMO)/run \
	--validation-samples 4
# Stages and steps: enough to see it work within minutes, far from enough to be good.
BRIEFLY = structure_vae:400 slat_vae:60 structure_base:120 slat_base:20 gaussian_decoder:10 mesh_decoder:20 object:20 \
	coarse:100 fine:60 texturer:20

.PHONY: demo test lint clean
.DELETE_ON_ERROR:

demo: .venv/.demo  ## a small dataset of the embedded assets, a tiny model briefly trained on it, a scene completed by it
	$(BIN)/scenegen render --preset preview --num-scenes 6 --out $(DEMO)/data
	$(BIN)/scenegen verify --data $(DEMO)/data
	for part in $(BRIEFLY); do $(TRAIN) --stage $${part%:*} --max-steps $${part#*:} || exit; done
	$(TRAIN) --max-steps 1
	$(BIN)/fixer-complete --shards $(DEMO)/data --view 0 --checkpoint $(DEMO)/run/pipeline --out $(SCENE)/scene.glb \
		--picture $(SCENE)/picture.png --report $(SCENE)/report.json
	$(BIN)/scenegen view --data $(DEMO)/data --out $(DEMO)/gallery --completions $(DEMO)/completed

test: .venv/.test lint  ## what CI runs
	$(BIN)/python -m pytest

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not installed; bpy 4.5 fits Python 3.11 only (set PYTHON=/path/to/python3.11)"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.demo: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[render,depth,train]'
	@touch $@

.venv/.test: pyproject.toml constraints.txt | .venv/bin/python
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[render,depth,train,export,serve,dev]'
	@touch $@ .venv/.demo

clean:
	rm -rf .venv $(DEMO) .pytest_cache .mypy_cache .ruff_cache
