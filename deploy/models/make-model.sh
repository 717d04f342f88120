#!/bin/sh
# Makes the demo's model again: render, train from an ImageNet checkpoint, export, check.
#   make-model.sh [hub|FILE] [imagenet|symmetric|unit]
# FILE is a MobileNetV2 with timm's or torchvision's names, trained on such pixels; hub downloads
# timm's. docs/model.md says what the committed model was made from.
set -eu
weights=${1:-hub}
work=build/model
out=deploy/models/sim-mobilenetv2.bundle
pixels=""
if [ "$weights" != hub ]; then
    pixels="--weights-pixels ${2:-imagenet}"
fi

merge=""
seed=0
for difficulty in 0.0 0.2 0.3 0.45 0.6; do
    seed=$((seed + 1))
    cane-sim dataset --trucks 700 --seed "$seed" --difficulty "$difficulty" --size 128 \
        --out "$work/d$difficulty"
    merge="$merge --data $work/d$difficulty"
done
# shellcheck disable=SC2086 # a list of options
[ -f "$work/all/manifest.csv" ] || cane-train data merge $merge --out "$work/all"
# shellcheck disable=SC2086 # an option and its value, or nothing
cane-train fit --data "$work/all" --out "$work/run" --size 128 --seed 1 --epochs 8 --patience 8 \
    --learning-rate 0.0005 --label-smoothing 0.05 --augment camera --level-weight 3 \
    --precision fp32 --weights "$weights" $pixels
cane-train evaluate --checkpoint "$work/run" --data "$work/all" --by difficulty \
    --out "$work/measured/metrics.json" > /dev/null
# Half the size, as the bundle is committed; computed in 32 bits.
cane-export bundle --checkpoint "$work/run" --data "$work/all" --out "$out" \
    --precision fp16-weights --model-version 0.2.0 \
    --description "Drawn loads only, difficulty 0 to 0.6; for demonstrations"
cane-export check "$out"
