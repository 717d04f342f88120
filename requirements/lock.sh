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
# torch in a file of its own: its builds differ by platform and index, so that others may have to
# install another one than the pinned.
sed -i 's/^torch==2\.13\.0+cpu/torch==2.13.0/' requirements/dev.txt
awk '/^[^ ]/ { torch = /^torch==/ } { print > (torch ? "requirements/torch.txt" : "requirements/dev.new") }' \
    requirements/dev.txt
mv requirements/dev.new requirements/dev.txt
