# SPDX-License-Identifier: Apache-2.0
# Thin: every target is a line or two; the builds are in CMakePresets.json.
#
#   make          release library and program in build/release/
#   make demo     the restaurant: five devices, cut links, killed processes
#   make test     unit, property, end-to-end and sanitizer suites
#   make quick    the unit tests alone
#   make soak     the long forms of the tests
#   make planted  plants bugs, one at a time: does a test notice?
#   make bench    ours, the peer's and the ratio, printed
#   make fuzz     every fuzz target, FUZZ_SECONDS each
#   make check    format, layers, mirror
#   make format   clang-format over the tree

FUZZ_SECONDS ?= 180
JOBS ?= $(shell nproc)

.PHONY: all setup demo test quick asan asan-build tsan soak planted bench fuzz fuzz-build check format install clean

all: build/release/build.ninja
	cmake --build build/release -j $(JOBS)

setup:
	@tools/setup

build/%/build.ninja: | setup
	cmake --preset $*

demo: all
	demo/taqueria/run build/release/tako

quick: all
	ctest --test-dir build/release -L unit --output-on-failure -j $(JOBS)

test: all asan-build
	tools/test

asan-build: build/asan/build.ninja
	cmake --build build/asan -j $(JOBS)

asan: asan-build
	ctest --test-dir build/asan -L unit --output-on-failure -j $(JOBS)

tsan: build/tsan/build.ninja
	cmake --build build/tsan -j $(JOBS)
	ctest --test-dir build/tsan -L "unit" -R "api|sys" --output-on-failure

soak: all
	tools/soak build/release

planted: | setup
	tools/planted

bench: all
	tools/bench build/release

fuzz-build: build/fuzz/build.ninja
	cmake --build build/fuzz -j $(JOBS)

fuzz: fuzz-build
	tools/fuzz build/fuzz $(FUZZ_SECONDS)

check: | setup
	tools/check_layers.py
	tools/check_mirror.py
	tools/check_schedules.py
	tools/format --check

format: | setup
	tools/format

install: all
	cmake --install build/release

clean:
	rm -rf build
