# `make demo` and `make test` set up all they need in .venv (git, make and python3.11+ suffice).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test coverage test-mutation reference bench bench-large bench-gpu learning docs tour test-kills test-fuzz test-surroundings test-slurm clean

demo: $(READY)  ## run the default config: synthetic images to an evaluated model
	$(BIN)/mprd run config/config.yaml

# Three workers on two cores: one waits for the disk, a browser or a signal most of the time.
test: $(READY)  ## static checks and the whole test suite
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

reference: $(READY)  ## write the generated pages anew: config/README.md, config/schema.json, docs/
	$(BIN)/mprd config reference

# On a full disk the coverage of a process cannot be written either.
coverage: $(READY)  ## the tests with their coverage of mprd/ (twenty minutes); fails below 95 %
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --deselect tests/faults/test_disk.py::test_a_full_disk_is_one_sentence
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --skip-covered --sort cover

test-mutation: $(READY)  ## wrong code in the kernels: does a test fail? (two hours)
	PYTHONPATH=. $(BIN)/python -m tests.faults.mutation

test-kills: $(READY)  ## kill runs at random moments and in each stage, resume, compare the bytes (half an hour)
	PYTHONPATH=. $(BIN)/python -m tests.faults.kills

test-fuzz: $(READY)  ## feed damaged files to the readers (five minutes, or MPRD_FUZZ_SECONDS; needs `make demo`)
	PYTHONPATH=. $(BIN)/python -m tests.faults.fuzz

test-surroundings: $(READY)  ## every command in every surroundings: other users, full disks, odd folders (ten minutes)
	MPRD_ALL_SURROUNDINGS=1 $(BIN)/python -m pytest tests/faults/test_surroundings.py

test-slurm: $(READY)  ## the workflow on a real SLURM on this machine (ten minutes; Debian, root)
	command -v slurmctld > /dev/null || apt-get install --yes --quiet slurm-wlm munge || true
	$(BIN)/python -m pip install --quiet --editable '.[slurm]'
	MPRD_SLURM=1 $(BIN)/python -m pytest -rs tests/cluster

docs: $(READY)  ## the site, into build/site; links are checked
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

tour: $(READY)  ## execute docs/tour.ipynb anew on the results of `make demo`
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace docs/tour.ipynb

bench: $(READY)  ## measure the speed claims (a quarter of an hour); writes benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run.py

bench-large: $(READY)  ## the same for a million images (half an hour, 16 GB)
	$(BIN)/python benchmarks/run.py --large

bench-gpu: $(READY)  ## the rows that need a CUDA device; goes on where it stopped
	$(BIN)/python benchmarks/run.py --gpu

learning: $(READY)  ## what each part adds to mAP, on synthetic images (an hour); see the script for Market-1501
	$(BIN)/python benchmarks/learning.py

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mprd needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:  ## remove the environment and caches, keep results
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache *.egg-info
