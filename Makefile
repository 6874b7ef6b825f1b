PYTHON ?= python3
VENV := .venv
REQUIREMENTS := tests/readers/requirements.txt tests/stores/requirements.txt tests/image/requirements.txt python/tests/requirements.txt

.PHONY: help needs check check-rust check-python test test-stores test-python test-image packed version package wheels test-wheel fuzz miri tsan bench bench-cuda gpu-kit bench-loader bench-spark bench-peers demo clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: check-rust check-python ## Formatting, lints, types and documentation, without any warning.

# Without CUDA and without stores, only what is compiled in their place is other code: no test and no benchmark. With stores and
# without CUDA, everything is compiled by the tests of the Python package and by the demo.
check-rust:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --features cuda -- -D warnings
	cargo clippy --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --features cuda

check-python: $(VENV)/.installed
	cd python && $(abspath $(VENV))/bin/python -m mypy

# First of all, so that nobody waits for a compiler to hear of it.
needs: ## What the tests need of the system, installed where that is allowed; else the one command that does it.
	tests/needs.sh

# The Rust tests leave the program behind; a build of its own would compile its libraries once more, with other features.
test: needs $(VENV)/.installed ## The Rust tests, stock Python readers on what the program writes, tables in object stores, the Python package, and the steps of Dockerfile.cuda.
	cargo test --workspace --features cuda
	SHARDBACK_BIN="$(or $(CARGO_TARGET_DIR),target)/debug/shardback" $(VENV)/bin/python -m pytest tests/readers
	SHARDBACK_BIN="$(or $(CARGO_TARGET_DIR),target)/debug/shardback" $(VENV)/bin/python -m pytest tests/stores -k "not s3s-fs and not azurite"
	$(MAKE) test-python
	$(MAKE) test-image

# `make test` runs them on moto and on Google's emulator: the other server of S3 takes minutes to compile, and Azurite needs Node.
test-stores: needs $(VENV)/.installed ## Tables and days in object stores: four servers on this machine (S3 twice, Google, Azure), which it installs, behind a network that fails.
	SHARDBACK_BIN="$(or $(CARGO_TARGET_DIR),target)/debug/shardback" $(VENV)/bin/python -m pytest tests/stores

# Installed as a user would, but with the libraries that the Rust tests were compiled with where they are the same.
test-python: needs $(VENV)/.installed ## The Python package, installed, with a real PyTorch.
	MATURIN_PEP517_ARGS="--profile dev" $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check ./python
	$(VENV)/bin/python -m pytest python/tests --numprocesses 2 --dist loadfile

test-image: $(VENV)/.installed ## Dockerfile.cuda: linted, and its steps done by hand, without optimization.
	PATH="$(abspath $(VENV))/bin:$$PATH" $(VENV)/bin/python tests/image/by_hand.py $(CARGO_TARGET_DIR)

# What pip puts where shells and `man` look; a test holds it against what the program prints.
SHARE := python/shardback.data/data/share
PROGRAM = $(or $(CARGO_TARGET_DIR),target)/debug/shardback
packed: ## The completions and man pages that are packed with the Python package, printed anew by the program.
	cargo build --workspace --features cuda
	rm -rf $(SHARE)
	mkdir -p $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d $(SHARE)/man/man1
	$(PROGRAM) completions bash > $(SHARE)/bash-completion/completions/shardback
	$(PROGRAM) completions zsh > $(SHARE)/zsh/site-functions/_shardback
	$(PROGRAM) completions fish > $(SHARE)/fish/vendor_completions.d/shardback.fish
	$(PROGRAM) man > $(SHARE)/man/man1/shardback.1
	for command in build check inspect report verify clean generate demo completions man; do \
		$(PROGRAM) man $$command > $(SHARE)/man/man1/shardback-$$command.1 || exit 1; \
	done

# Linked by zig against the glibc of 2014, so that a wheel made here runs on every Linux since; ziglang is a package of pip, and so is
# maturin. Other processors: the standard library of their target, such as `rustup target add aarch64-unknown-linux-gnu`; where rustup
# has it, its wheel is made too.
WHEELS ?= target/wheels
WHEEL_PROFILE ?= dist
WHEEL_TARGETS ?= x86_64-unknown-linux-gnu $(shell rustup target list --installed 2> /dev/null | grep -x aarch64-unknown-linux-gnu)
wheels: target/wheels-tools/.installed ## Wheels for manylinux, x86-64 and, where its target is installed, aarch64, and the source distribution.
	set -e; for target in $(WHEEL_TARGETS); do \
		PATH="$(abspath target/wheels-tools/bin):$$PATH" maturin build --locked --strip --profile $(WHEEL_PROFILE) --zig --target $$target \
			--compatibility manylinux2014 --manifest-path python/Cargo.toml --out $(WHEELS); \
	done
	PATH="$(abspath target/wheels-tools/bin):$$PATH" maturin sdist --manifest-path python/Cargo.toml --out $(WHEELS)

target/wheels-tools/.installed: python/wheels-requirements.txt
	rm -rf target/wheels-tools
	$(PYTHON) -m venv target/wheels-tools
	target/wheels-tools/bin/python -m pip install --quiet --disable-pip-version-check -r python/wheels-requirements.txt
	touch $@

# In an environment that has nothing else, and beside the repository, so that nothing of it is found.
test-wheel: ## The wheel for this machine, installed alone: the command, and the package.
	rm -rf target/wheels-test
	$(PYTHON) -m venv target/wheels-test
	target/wheels-test/bin/python -m pip install --quiet --disable-pip-version-check $(WHEELS)/shardback-*_$(shell uname -m)*.whl
	cd target/wheels-test && bin/shardback demo --out demo-out > demo.txt && bin/shardback verify demo-out
	cd target/wheels-test && bin/python -c "import shardback; print(shardback.verify('demo-out')); assert shardback.verify('demo-out').is_sound"
	test -f target/wheels-test/share/man/man1/shardback-build.1

version: ## The version, from the one place that has it.
	@sed -n '/^\[workspace.package\]/,/^$$/s/^version = "\(.*\)"/\1/p' Cargo.toml

package: ## What goes to crates.io, packed and compiled from what was packed; needs a tree without changes.
	cargo package --locked --package shardback

# Seconds for each of the targets.
SECONDS ?= 60
fuzz: ## Each fuzz target for a minute, or for SECONDS=…; needs cargo-fuzz (cargo install cargo-fuzz --locked).
	fuzz/run.sh $(SECONDS) $(TARGETS)

# A nightly compiler with its sources; both targets build everything anew, in folders of their own.
NIGHTLY ?= nightly
NIGHTLY_HAS = rustup component list --toolchain $(NIGHTLY) --installed 2> /dev/null | grep -q

# What has `unsafe` of its own and asks nothing of the system that Miri has not. The libraries beneath (crossbeam) keep to tree borrows,
# not to stacked ones, and the threads of a pool are still there at the end.
miri: ## Tests of modules with `unsafe`, in an interpreter that sees undefined behaviour; needs Miri.
	@$(NIGHTLY_HAS) '^miri' || { echo "Miri is missing: rustup component add miri rust-src --toolchain $(NIGHTLY)" >&2; exit 1; }
	MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-tree-borrows -Zmiri-ignore-leaks" cargo +$(NIGHTLY) miri test --target-dir target/miri --lib fsio::buffers

tsan: ## Tests of what threads share, under the thread sanitizer; needs a nightly compiler with rust-src.
	@$(NIGHTLY_HAS) '^rust-src' || { echo "The sources are missing: rustup component add rust-src --toolchain $(NIGHTLY)" >&2; exit 1; }
	RUSTFLAGS="-Zsanitizer=thread" TSAN_OPTIONS="halt_on_error=1" cargo +$(NIGHTLY) test -Zbuild-std --target x86_64-unknown-linux-gnu \
		--target-dir target/tsan --test it -- load:: open:: fsio:: spilling:: $(NOT_WITH_TSAN)

# The sanitizer refuses to run where address space is limited, and slows a reader down so much that a build replaces the day before
# it has opened it, every time.
NOT_WITH_TSAN := --skip no_file_in_a_manifests_place --skip a_day_that_is_replaced_again_and_again

bench: ## The benchmarks of the stages.
	cargo bench

bench-cuda: ## Padding on a CUDA device: checked, then measured; needs one.
	cargo bench --features cuda --bench cuda

gpu-kit: ## target/gpu-kit.tar.gz: every check and measurement of the CUDA path, for a machine with a GPU and without Rust or network.
	benches/gpu/kit.sh

bench-loader: ## Batches in a shuffled order from shardback and from other loaders, in one table; ARGS='--help' lists the rest.
	test -x target/loader/venv/bin/python || $(PYTHON) -m venv target/loader/venv
	target/loader/venv/bin/python -m pip install --quiet --disable-pip-version-check ./python -r benches/loader-requirements.txt
	target/loader/venv/bin/python benches/loader.py $(ARGS)

bench-spark: ## The same day on a Spark cluster, by a plain pipeline and by shardback.spark; ARGS='--help' lists the rest.
	test -x target/spark/venv/bin/python || $(PYTHON) -m venv target/spark/venv
	target/spark/venv/bin/python -m pip install --quiet --disable-pip-version-check ./python -r benches/spark-requirements.txt
	target/spark/venv/bin/python benches/spark.py $(ARGS)

bench-peers: ## The same jobs on other engines, in one table; ARGS='--smoke' takes seconds, '--help' lists the rest.
	$(PYTHON) benches/peers/run.py $(ARGS)

demo: ## Build the bundled sample and show what came out.
	cargo run --release -- demo

clean: ## Delete everything that the other targets made.
	cargo clean
	rm -rf $(VENV) .venv-kernels fuzz/target fuzz/corpus fuzz/artifacts demo-out train-work .pytest_cache python/.pytest_cache python/.mypy_cache tests/readers/__pycache__ tests/readers/.pytest_cache tests/stores/__pycache__ data/__pycache__ benches/peers/__pycache__

# The stamp is newer than the requirements, or the environment is made afresh.
# Python compiles what is used when it is used, which is little of it.
$(VENV)/.installed: $(REQUIREMENTS)
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile $(addprefix -r ,$(REQUIREMENTS))
	touch $@
