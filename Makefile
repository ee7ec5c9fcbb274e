# Two commands do all set-up: `make demo` and `make test`. Run again, they skip what is done.
PYTHON ?= python3.11
BIN := .venv/bin
# Python compiles what it imports and keeps it; compiling all of every package took half of the installation's time.
INSTALL := $(BIN)/pip install --quiet --no-compile
unexport PYTHONDONTWRITEBYTECODE
DEMO := demo
COMPLETED = $(DEMO)/completed
PACKAGED := pipelines/pretrained/compact
# Of assets that the packaged model was not trained on; small, so that two cores need minutes.
SCENES := --preset preview --split test --num-scenes 3 --placement.num-objects 8 12 --stages render,annotate
OBJECTS := --preset preview --steps geometry,views --condition-views 3 --feature-views 2
# Views of the dataset that are completed, one a scene.
VIEWS := 0 4
# A stage and steps with which one sees that training works, and no more.
STAGE := structure_vae
STEPS := 150

# How the packaged model was made.
RUN := compact
STORE := --preset preview --assets.objects starter $(RUN)/store --render.samples 4 --stages render
TABLES := --assets starter,$(RUN)/store --preset preview --condition-views 4 --feature-views 8 --samples 8
LICENCES := CC-BY-3.0 CC-BY-3.0-US

.PHONY: demo test lint clean train-compact
.DELETE_ON_ERROR:

demo: .venv/.demo  ## new scenes, completed by the packaged model and judged; a stage briefly trained; all of it in a gallery
	$(BIN)/scenegen render $(SCENES) --out $(DEMO)/data
	$(BIN)/scenegen objects $(OBJECTS) --data $(DEMO)/data
	$(BIN)/scenegen verify --data $(DEMO)/data
	for view in $(VIEWS); do \
		made=$(COMPLETED)/view-$$view; \
		$(BIN)/fixer-complete --shards $(DEMO)/data --view $$view --out $$made/scene.glb \
			--picture $$made/picture.png --report $$made/report.json || exit; \
	done
	$(BIN)/fixer-evaluate --shards $(DEMO)/data --views 2 --checkpoint $(PACKAGED) --baseline visible_points convex_hull \
		--out $(COMPLETED)/evaluation
	$(BIN)/train-fixer --shards $(DEMO)/data --size tiny --encoders efficientnet_lite0 --run-dir $(DEMO)/run \
		--stage $(STAGE) --max-steps $(STEPS) --held-out 0.2 --validation-samples 8
	mkdir -p $(COMPLETED)/curves
	cp $(DEMO)/run/$(STAGE)/curves.png $(COMPLETED)/curves/$(STAGE)-tiny-$(STEPS)-steps.png
	$(BIN)/scenegen view --data $(DEMO)/data --out $(DEMO)/gallery --completions $(COMPLETED)

train-compact: .venv/.demo  ## the packaged model from nothing but Debian's furniture: hours on two cores; run it again to go on
	$(BIN)/scenegen assets fetch sweethome3d --out $(RUN)/raw
	$(BIN)/scenegen assets prepare --source sweethome3d --input $(RUN)/raw --licences $(LICENCES) --out $(RUN)/store \
		--simplify-faces 7000 --texture-px 512 --allow-missing-textures --parts-timeout-s 10
	$(BIN)/scenegen objects $(TABLES) --out $(RUN)/objects
	$(BIN)/scenegen render $(STORE) --split train --num-scenes 48 --camera.num-views 6 --seed 1 --out $(RUN)/train
	$(BIN)/scenegen render $(STORE) --split val --num-scenes 10 --camera.num-views 2 --seed 2 --out $(RUN)/val
	for split in train val; do $(BIN)/scenegen annotate --data $(RUN)/$$split --estimators simulated || exit; done
	$(BIN)/train-fixer --size compact --encoders efficientnet_lite0 --precision bf16 --half --run-dir $(RUN)/run \
		--shards $(RUN)/train --shards $(RUN)/val --objects $(RUN)/objects --objects $(RUN)/objects \
		--weights fine_completer=$(RUN)/run/coarse/result/coarse_completer  # where the fine stage starts

# Three processes for two cores, since many tests wait. A file of tests stays in one of them and shares what it has made;
# files go out in their order, because by the number of their tests the longest come last.
test: .venv/.test lint  ## what CI runs
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is not installed; bpy 4.5 fits Python 3.11 only (set PYTHON=/path/to/python3.11)"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.demo: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) --constraint constraints.txt --editable '.[render,depth,train]'
	@touch $@

.venv/.test: pyproject.toml constraints.txt | .venv/bin/python
	$(INSTALL) --constraint constraints.txt --editable '.[render,depth,train,export,serve,hub,formats,rerun,wandb,dev]'
	@touch $@ .venv/.demo

clean:
	rm -rf .venv $(DEMO) .pytest_cache .mypy_cache .ruff_cache
