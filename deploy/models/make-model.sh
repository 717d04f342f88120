#!/bin/sh
# Makes the demo's model again: render, train from an ImageNet checkpoint, export, check.
# The checkpoint is a MobileNetV2 with torchvision's or timm's names; docs/model.md says which.
set -eu
weights=${1:?"usage: make model WEIGHTS=mobilenet_v2-b0353104.pth (see docs/model.md)"}
work=build/model
out=${2:-deploy/models/sim-mobilenetv2.bundle}

merge=""
seed=0
for difficulty in 0.0 0.2 0.3 0.45 0.6; do
    seed=$((seed + 1))
    cane-sim dataset --trucks 700 --seed "$seed" --difficulty "$difficulty" --size 128 \
        --out "$work/d$difficulty"
    merge="$merge --data $work/d$difficulty"
done
# shellcheck disable=SC2086 # a list of options
cane-train merge $merge --out "$work/all"
cane-train fit --data "$work/all" --out "$work/run" --size 128 --seed 1 --epochs 6 --patience 6 \
    --learning-rate 0.0005 --label-smoothing 0.05 --weights "$weights" --weights-pixels imagenet
cane-export bundle --checkpoint "$work/run" --data "$work/all" --out "$out"
cane-export check "$out"
