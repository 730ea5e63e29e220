# Short commands for people; CMake does the work. `make` alone lists the targets.
#
# JOBS=N        compile and test jobs (default: one per core, at most one per 2 GiB of memory)
# LINT=all      `make lint` runs clang-tidy on every file, not only on changed ones
# FUZZ_SECONDS=N  how long `make fuzz` runs each fuzzer (default: 300)
# BENCH=GLOB    `make bench` runs only the programs whose names without _bench match

JOBS ?= $(shell awk -v n="$$(nproc)" '/MemTotal/ {m = int($$2 / 2097152); print m < 1 ? 1 : m < n ? m : n}' /proc/meminfo)
# ?= would keep make's own value, lint.
ifeq ($(origin LINT),default)
LINT := changed
endif
FUZZ_SECONDS ?= 300
BENCH ?= *
IMAGE ?= vitd
CTEST := ctest --output-on-failure -j $(JOBS)

.DEFAULT_GOAL := help
.PHONY: help bootstrap build all bundle demo test check-long bench format lint test-asan test-tsan fuzz image clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

bootstrap: ## Install the dependencies (asks for root only if some are missing)
	@scripts/bootstrap $(BOOTSTRAP_FLAGS)

build: bootstrap build/release/build.ninja ## Build vitd and vitctl into build/release/bin
	@cmake --build build/release -j $(JOBS) -t vitd vitctl make_shapes

all test-asan: BOOTSTRAP_FLAGS := --tests
all: bootstrap build/release/build.ninja ## Build the tests and benchmarks too
	@cmake --build build/release -j $(JOBS)

demo: build ## Train on generated images, classify one, look at the metrics
	@scripts/demo build/release/bin

test: all ## Build and run every test
	@cd build/release && $(CTEST) -LE '^long$$'

check-long: all ## What takes too long for `make test`: half an hour of calls, swaps, overload, mutations
	@cd build/release && $(CTEST) -L '^long$$' --verbose

bench: all ## Measure training, serving and their parts
	@set -e; for program in build/release/bin/$(BENCH)_bench bench/$(BENCH)_bench.py; do \
	  [ ! -e "$$program" ] || { echo "== $$(basename $$program)"; $$program; }; \
	done

test-asan: bootstrap build/asan/build.ninja ## Every test under AddressSanitizer and UndefinedBehaviorSanitizer
	@cmake --build build/asan -j $(JOBS)
	@cd build/asan && $(CTEST) -LE '^long$$'

# The rooms that start threads. LibTorch is not built with ThreadSanitizer, so testing the others would show nothing.
TSAN_ROOMS := base data runs server
test-tsan: bootstrap build/tsan/build.ninja ## Tests of base, data, runs and server under ThreadSanitizer
	@cmake --build build/tsan -j $(JOBS) -t $(TSAN_ROOMS:%=%_tests)
	@cd build/tsan && $(CTEST) -L '^($(subst $() ,|,$(TSAN_ROOMS)))$$'

FUZZERS := safetensors npz pytorch index
fuzz: bootstrap build/fuzz/build.ninja ## Fuzz the readers of weight files (needs `scripts/bootstrap --dev`)
	@cmake --build build/fuzz -j $(JOBS) -t fuzz_tests
	@set -e; for name in $(FUZZERS); do \
	  echo "== $$name"; mkdir -p build/fuzz/corpus/$$name; \
	  LSAN_OPTIONS=suppressions=tests/lsan.supp build/fuzz/bin/$${name}_fuzzer -max_total_time=$(FUZZ_SECONDS) \
	    -max_len=16384 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix=build/fuzz/$$name- \
	    build/fuzz/corpus/$$name tests/fuzz/corpus/$$name; \
	done

format: ## Format every C++ file, and wrap the docs (needs `scripts/bootstrap --dev`)
	@git ls-files -co --exclude-standard '*.h' '*.cc' | xargs -r clang-format -i
	@scripts/wrap-docs

lint: build/release/build.ninja ## clang-format, clang-tidy, buf, shellcheck, docs (needs `scripts/bootstrap --dev`)
	@cmake --build build/release -j $(JOBS) -t vit_proto vit_onnx
	@scripts/lint $(LINT)

bundle: bootstrap ## Pack vitd and vitctl with their libraries, for any Linux with glibc 2.36 or newer (LIBTORCH=FOLDER)
	@scripts/bundle --jobs $(JOBS)

image: ## Build the container image (IMAGE=name)
	docker build -t $(IMAGE) .

clean: ## Remove everything built; .venv stays
	rm -rf build

# CMake caches what it finds in LibTorch, so another LibTorch needs a fresh cache.
build/%/build.ninja: CMakePresets.json build/libtorch
	@cmake --preset $* --fresh
	@touch $@

# Records which LibTorch is used; rewritten only when that changes.
build/libtorch: bootstrap
	@mkdir -p $(@D)
	@{ echo "LIBTORCH=$$LIBTORCH"; ls -d .venv/lib/python3*/site-packages/torch-*.dist-info 2>/dev/null; } >$@.new; \
	if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
