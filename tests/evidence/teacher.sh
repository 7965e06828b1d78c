#!/usr/bin/env bash
# The student-teacher experiment of GradMax (schedules/gradmax.grow), 3 blocks of 10 seeds: the mean training loss
# of the last step for each way of growing, and gradmax minus random, paired, with its 95 % t-interval.
# Exits with 1 unless, in each block, never grown > pad, random, gradmax > large from scratch.
# usage: tests/evidence/teacher.sh [first seed of a block …]      default: 1 101 1001, declared before the first run
set -eu
cd "$(dirname "$0")/../.."
blocks=${*:-1 101 1001}
cargo build --release --quiet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# ARM SEED ARGUMENTS…: the training loss of the last step.
loss() {
  arm=$1 seed=$2
  shift 2
  # A student that never grows is told that its event never fires; that is meant, so stderr is kept for failures.
  if ! target/release/growrun schedules/gradmax.grow --seed "$seed" "$@" --out "$work/runs" --json \
    >"$work/out" 2>"$work/err"; then
    cat "$work/err" "$work/out" >&2
    exit 2
  fi
  value=$(grep -o '"train_loss": *[-0-9.e]*' "$work/out" | head -n 1 | sed 's/.*: *//')
  [ -n "$value" ] || { echo "no train_loss in the result of $arm, seed $seed" >&2; exit 2; }
  echo "$block $seed $arm $value" >>"$work/losses"
  rm -rf "$work/runs"
}

for block in $blocks; do
  for seed in $(seq "$block" $((block + 9))); do
    loss never "$seed" --set until=0
    for method in pad random gradmax; do loss "$method" "$seed" --set "method=$method"; done
    loss large "$seed" --set until=0 --set hidden=10
  done
done
[ -z "${LOSSES:-}" ] || cp "$work/losses" "$LOSSES"

awk '
# The 97.5 % point of t for 9 and 29 degrees of freedom: blocks of 10 seeds, and three of them.
function t(n) { return n == 10 ? 2.262157 : n == 30 ? 2.045230 : 0 }
function interval(name, what,    s, n, sum, squares, d, mean, half) {
  n = 0; sum = 0; squares = 0
  for (s in seeds) if (what == "all" || block_of[s] == what) {
    d = loss[s, "gradmax"] - loss[s, "random"]; n++; sum += d; squares += d * d
  }
  mean = sum / n
  if (t(n) == 0) { printf "%s: mean of %d pairs %.6f\n", name, n, mean; return }
  half = t(n) * sqrt((squares - n * mean * mean) / (n - 1) / n)
  printf "%s: gradmax minus random %+.6f, 95 %% interval [%+.6f, %+.6f], %d pairs\n", name, mean, mean - half, mean + half, n
}
{
  seeds[$2]; block_of[$2] = $1; loss[$2, $3] = $4; sums[$1, $3] += $4; counts[$1]
  if (!($1 in place)) { place[$1] = ++blocks; names[blocks] = $1 }
}
END {
  split("never pad random gradmax large", arms, " ")
  printf "%-14s", "seeds"; for (a = 1; a <= 5; a++) printf "  %9s", arms[a]; print ""
  bad = 0
  for (b = 1; b <= blocks; b++) {
    block = names[b]
    printf "%-14s", block " to " block + 9
    for (a = 1; a <= 5; a++) { mean[a] = sums[block, arms[a]] / 10; printf "  %9.6f", mean[a] }
    holds = 1
    for (a = 2; a <= 4; a++) if (!(mean[1] > mean[a] && mean[a] > mean[5])) holds = 0
    print holds ? "  in order" : "  NOT in order"
    bad += !holds
  }
  for (b = 1; b <= blocks; b++) interval("seeds " names[b] " to " names[b] + 9, names[b])
  if (blocks > 1) interval("all seeds", "all")
  exit bad > 0
}' "$work/losses"
