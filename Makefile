# The one interface. `make help` lists it. Everything that is fetched or built stays in this folder (target/, .tools/),
# except the Debian packages that setup/packages names.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
export CARGO_TERM_COLOR ?= auto
export ORT_DYLIB_PATH := $(CURDIR)/.tools/onnxruntime/libonnxruntime.so
# Tools of our own go behind the machine's.
export PATH := $(PATH):$(CURDIR)/.tools/cargo/bin:$(CURDIR)/.tools/cargo-tools/bin
# Views of each photograph besides the photograph itself, in `make accuracy`.
PERTURB ?= 20
# Scenes drawn for it.
DRAWN ?= 1000
say = @printf '\n\033[1m==> %s\033[0m\n'

.PHONY: help setup build demo up test test-pi lint bench fleet forensics kills sim accuracy fuzz audit sbom clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

setup: ## Debian packages, ONNX Runtime, sample pictures: about a minute the first time
	$(say) "Set-up: Debian packages, ONNX Runtime, sample pictures (about a minute the first time, then seconds)"
	@setup/packages
	@python3 setup/onnxruntime.py
	@python3 setup/samples.py
	@python3 setup/peers.py

build: setup ## every program, without running it
	$(say) "Building the programs (about 15 minutes the first time on two cores, then seconds)"
	@cargo build --workspace --bins

demo: build ## the whole story, played on this machine: about a minute after the build
	$(say) "The demo: a cloud, a controller and a simulated house, all real programs, on ephemeral ports (about a minute)"
	@target/debug/cardea-demo

up: build ## the same site, left running for you to play with; Ctrl-C ends it
	@target/debug/cardea-up

lint: ## formatting, clippy, and which licences, sources and crates may enter the tree
	$(say) "Licences, sources and banned crates (seconds)"
	@python3 setup/cargo_tools.py
	@cargo deny --locked check --hide-inclusion-graph licenses bans sources
	$(say) "Formatting and clippy (about 2 minutes the first time)"
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets -- -D warnings

test: build ## what lint does, and every test
	$(say) "cargo-nextest"
	@setup/nextest
	@$(MAKE) lint
	$(say) "Tests (about 4 minutes to build the first time, then about 3)"
	@cargo nextest run --workspace --no-fail-fast
	$(say) "The cloud's tests once more, on PostgreSQL (about a minute)"
	@CARDEA_TEST_DATABASE=postgresql cargo nextest run --workspace --no-fail-fast -E 'package(cardea-cloud) and kind(lib)'

# Debian's compiler, kernel and device tree: docs/design/0017-a-pi-in-the-tests.md. One board at a time: each is four emulated cores.
test-pi: setup ## the controller for arm64 on an emulated Raspberry Pi: about 7 minutes to build the first time, then three to run
	$(say) "What an emulated Raspberry Pi needs (half a minute the first time)"
	@setup/pi
	$(say) "Building the controller for arm64 (about 6 minutes the first time on two cores)"
	@setup/cross-cargo build --locked -p cardea-daemon -p cardea-models-cli -p cardea-hardware \
	  --bin cardead --bin cardea-models --example gpio-levels --example gpio-times
	$(say) "An emulated Raspberry Pi 3B: reading a plate and a card, driving a relay, being killed (about three minutes)"
	@setup/nextest
	@cargo nextest run --workspace --test raspberry_pi --run-ignored only --no-capture

bench: setup ## benchmarks, optimised: a table and target/bench/summary.json
	$(say) "Benchmarks (about 15 minutes to build the first time, then about ten)"
	@python3 setup/bench.py
	@cargo build --release --workspace --bins
	@target/release/cardea-bench

# What `make test` does with a dozen. The programs' logs are as long as they get, since those are searched too.
RESIDENTS ?= 1000
SEED ?= 1
forensics: build ## RESIDENTS (1000) enrolled and erased amid kill -9, then a search of all files and memory: about half an hour
	$(say) "Erasure, examined: $(RESIDENTS) residents"
	@RUST_LOG=debug target/debug/cardea-forensics --residents $(RESIDENTS) --seed $(SEED)

# What `make test` does fifteen times.
KILLS ?= 1000
EVENTS ?= 100000
# Half of the kills come within so long of the last, the others within 150 ms. With longer, more events come in the same time.
WITHIN_MS ?= 1500
kills: build ## cloud and controller killed with kill -9, KILLS (1000) times and until EVENTS (100000) events have come
	$(say) "kill -9: $(KILLS) kills, $(EVENTS) events"
	@target/debug/cardea-kill --kills $(KILLS) --events $(EVENTS) --within-ms $(WITHIN_MS) --seed $(SEED)

# Each of them is a thread here and a database on this disk.
CONTROLLERS ?= 1000
fleet: setup ## CONTROLLERS (1000) at one cloud over mTLS MQTT: connect storm, pushes, receipts, memory; about ten minutes
	$(say) "A fleet of $(CONTROLLERS) controllers"
	@cargo build --release --workspace --bins
	@target/release/cardea-fleet --controllers $(CONTROLLERS)

# Optimised, since that is many times as fast.
SEEDS ?= 10000
FROM ?= 0
sim: setup ## SEEDS (10000) histories of cloud, network and controllers on simulated time, from seed FROM (0)
	$(say) "Simulation: $(SEEDS) seeds from $(FROM)"
	@cargo build --release --workspace --bin cardea-seeds
	@target/release/cardea-seeds --seeds $(SEEDS) --from $(FROM)

# A sanitiser is an unstable flag of the compiler. RUSTC_BOOTSTRAP lets the pinned stable toolchain take it, for this build
# only; the alternative is a second, unpinned toolchain. What the fuzzer finds interesting stays in .tools/fuzz; what it
# breaks, in fuzz/artifacts, with the command that repeats it.
FUZZ_SECONDS ?= 60
fuzz: setup ## each fuzz target for FUZZ_SECONDS (60); long to build the first time: all of the cloud, instrumented
	$(say) "cargo-fuzz"
	@python3 setup/cargo_tools.py
	@for target in $$(cargo fuzz list); do \
	  printf '\n\033[1m==> Fuzzing: %s, for %s s\033[0m\n' "$$target" "$(FUZZ_SECONDS)"; \
	  mkdir -p ".tools/fuzz/$$target"; \
	  RUSTC_BOOTSTRAP=1 cargo fuzz run --target-dir target/fuzz "$$target" ".tools/fuzz/$$target" "fuzz/corpus/$$target" -- \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=30 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 -print_funcs=0; \
	done

accuracy: setup ## figures of every pack here on labelled pictures, into docs/reference/accuracy.md: about half an hour
	@test -d ../shared/eval || { echo "There are no labelled pictures in ../shared/eval: models/eval/*.toml says which sets are meant; cardea-models eval measures any other"; exit 1; }
	$(say) "Building the evaluation, optimised (about 3 minutes the first time)"
	@cargo build --release -p cardea-models-cli
	$(say) "Drawing $(DRAWN) scenes (about 5 minutes the first time)"
	@test -d target/accuracy/drawn || (cd models/train && PYTHONPATH=$(CURDIR)/.tools/python python3 -m plates dataset \
		--out $(CURDIR)/target/accuracy/drawing --count $(DRAWN) --seed 90210 && mv $(CURDIR)/target/accuracy/drawing $(CURDIR)/target/accuracy/drawn)
	$(say) "The base pack: plates, each photograph also under $(PERTURB) perturbations, and faces held out of its training"
	@target/release/cardea-models eval --pack models/base $(foreach set,ru_web ru_gate eu us drawn lfw,--set models/eval/$(set).toml) \
		--perturb $(PERTURB) --held-out fold:3 --out target/accuracy/base --docs docs/reference/accuracy.md >/dev/null
	$(say) "Public models, for comparison"
	@for pack in public public_small; do \
		dir=target/accuracy/packs/$$pack; mkdir -p $$dir; cp models/tests/packs/$$pack.toml $$dir/manifest.toml; \
		for file in $$(sed -n 's/^file = "\(.*\)"/\1/p' $$dir/manifest.toml); do ln -sf "$$(realpath ../shared/models)/$$file" $$dir/; done; \
	done
	@target/release/cardea-models eval --pack target/accuracy/packs/public $(foreach set,ru_web ru_gate lfw antispoof,--set models/eval/$(set).toml) \
		--perturb $(PERTURB) --out target/accuracy/public --docs docs/reference/accuracy.md >/dev/null
	@target/release/cardea-models eval --pack target/accuracy/packs/public_small --set models/eval/lfw.toml \
		--out target/accuracy/public-small --docs docs/reference/accuracy.md >/dev/null

# Known vulnerabilities stand in RustSec's database, which lies on GitHub: not everywhere can it be reached, so `make test` does
# without. cargo-audit would read the same.
audit: sbom ## known vulnerabilities, licences, sources, banned crates, and the bills of materials; fetches RustSec's database
	$(say) "cargo-deny"
	@python3 setup/cargo_tools.py
	$(say) "Known vulnerabilities in what is shipped and in the fuzz targets; licences, sources and banned crates"
	@cargo deny --locked check --hide-inclusion-graph
	@cargo deny --locked --manifest-path fuzz/Cargo.toml --config deny.toml check --hide-inclusion-graph advisories

sbom: ## a bill of materials (CycloneDX) of cardead and of cardea-cloud, into target/sbom: minutes, longer the first time
	$(say) "cargo-cyclonedx"
	@setup/cargo-cyclonedx
	$(say) "Bills of materials: written, and held to the schema"
	@python3 setup/sbom.py

clean: ## everything that was built or fetched
	@rm -rf target .tools
