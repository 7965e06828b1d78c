#!/usr/bin/env bash
# MNIST grown against never grown, three seeds each, the test part evaluated once at the end.
# usage: tests/evidence/mnist.sh FOLDER_WITH_THE_IDX_FILES
set -eu
data=${1:?the folder with the IDX files}
cd "$(dirname "$0")/../.."
cargo build --release --quiet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The same file, without its growth.
sed '/^at epoch/d' schedules/mnist_grow.grow >"$work/never_grown.grow"
echo 'seed  grown    never grown'
for seed in 1 2 3; do
  for file in schedules/mnist_grow.grow "$work/never_grown.grow"; do
    target/release/growrun "$file" --seed "$seed" --data "mnist=$data" --out "$work/runs" --json 2>/dev/null |
      sed -n 's/.*"test_accuracy": *\([0-9.]*\).*/\1/p' >>"$work/accuracies"
  done
  printf '%4s  %s\n' "$seed" "$(tail -n 2 "$work/accuracies" | paste -sd' ')"
done
