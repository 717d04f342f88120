#!/bin/sh
# Pins all packages with hashes and no index address. The CPU build of torch must be within pip's
# reach (see README, "Setting up"); its local version label is left out of the pin.
set -eu
cd "$(dirname "$0")/.."
lock() {
    output=$1
    shift
    pip-compile --quiet --generate-hashes --no-emit-index-url --no-emit-find-links \
        --no-emit-trusted-host --no-header --strip-extras --allow-unsafe \
        --annotation-style=line --build-deps-for=editable -o "$output" "$@" pyproject.toml
}
# The largest first: the others start from its pins, so that all agree.
lock requirements/dev.txt --extra simulator --extra training --extra parquet --extra benchmarks \
    --extra dev
cp requirements/dev.txt requirements/run.txt
lock requirements/run.txt --extra simulator
cp requirements/dev.txt requirements/agent.txt
lock requirements/agent.txt
sed -i 's/^torch==2\.13\.0+cpu/torch==2.13.0/' requirements/dev.txt
