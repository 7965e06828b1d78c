#!/usr/bin/env bash
# The tests of the thread pool under ThreadSanitizer, which reports every access that no ordering makes safe.
# usage: tests/sanitize.sh [ROUNDS]     Linux on x86-64; fails if a test fails or a race is reported.
set -eu
rounds=${1:-3}
cd "$(dirname "$0")/.."
out=target/sanitize
mkdir -p "$out"
# The pool needs nothing but the standard library, so its file is compiled alone. The sanitizer is not in the
# stable language: RUSTC_BOOTSTRAP lets a stable compiler have it. The standard library is not instrumented;
# the last flag says that we know.
RUSTC_BOOTSTRAP=1 rustc --edition 2024 --test -O -g --target x86_64-unknown-linux-gnu \
  -Z sanitizer=thread -C unsafe-allow-abi-mismatch=sanitizer -o "$out/pool" src/tensor/pool.rs
# What is not seen of the standard library, and is no race: `Arc` orders its last drop by a fence, which the
# sanitizer does not know; the test runner's channel is in part instrumented.
cat >"$out/not_ours" <<'END'
race:<alloc::sync::Arc<*> as core::ops::drop::Drop>::drop
race:Channel<test::event::CompletedTest>
END
for round in $(seq "$rounds"); do
  TSAN_OPTIONS="suppressions=$out/not_ours halt_on_error=0 exitcode=66" "$out/pool" --test-threads=1 >"$out/log" 2>&1 || {
    grep -E '^WARNING|^SUMMARY|FAILED|panicked' "$out/log" | sort | uniq -c
    echo "ThreadSanitizer, src/tensor/pool.rs, round $round of $rounds: not clean, see $out/log"
    exit 1
  }
done
echo "ThreadSanitizer, src/tensor/pool.rs, $rounds rounds: $(grep -o '[0-9]* passed' "$out/log"), no race"
