#!/usr/bin/env bash
# Three planted cases (tests/evidence/worth/): growing wins, loses, and makes no difference. Each is compared with 10 sets of
# 5 seeds; the answers have to be yes, no and undecided in at least 9 of them. Prints the counts; exits with 1 otherwise.
# usage: tests/evidence/worth.sh [first seed of a set …]      default: 1 101 … 901, declared before the first run
set -eu
cd "$(dirname "$0")/../.."
sets=${*:-$(seq 1 100 901)}
cargo build --release --quiet
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

bad=0
count() { grep -c "^$1 $2$" "$work/answers" || true; }
for case in wins:yes loses:no level:undecided; do
  name=${case%:*} expected=${case#*:}
  for seed in $sets; do
    if ! target/release/growrun compare "tests/evidence/worth/$name.grow" --seed "$seed" --out "$work/runs" --json \
      >"$work/out" 2>"$work/err"; then
      cat "$work/err" "$work/out" >&2
      exit 2
    fi
    answer=$(sed 's/.*"verdict":{[^}]*"answer":"\([a-z]*\)".*/\1/; t; s/.*"verdict":{"against":"[^"]*","answer":"\([a-z]*\)".*/\1/' "$work/out")
    case $answer in yes | no | undecided) ;; *) echo "no answer in the result of $name, seed $seed" >&2; exit 2 ;; esac
    echo "$name $answer" >>"$work/answers"
    rm -rf "$work/runs"
  done
  all=$(echo $sets | wc -w)
  right=$(count "$name" "$expected")
  printf '%-6s expected %-10s yes %2d   no %2d   undecided %2d   of %d sets\n' \
    "$name" "$expected" "$(count "$name" yes)" "$(count "$name" no)" "$(count "$name" undecided)" "$all"
  [ $((10 * right)) -ge $((9 * all)) ] || bad=1
done
exit $bad
