#!/usr/bin/env bash
# What `growrun export` writes, in the hands of the tools that it is for: onnx.checker, ONNX Runtime, PyTorch and numpy.
# Networks with every activation, norm and block (check.py) and of convolutions (images.py) are trained, exported to
# every target, and
#
#   - predict the same as `growrun predict`, to 1e-5 of the outputs' size;
#   - train on in PyTorch with the exported optimiser, and the first step is the one that growrun itself does next;
#   - entries that have had no update yet take a larger first step there, by the factor of docs/export.md.
#
# Prints what was measured; exit code 1 when a bound is missed.
#
#   tests/evidence/export.sh          PYTHON: one that has torch, onnx, onnxruntime, safetensors and numpy; else they are
#                                     installed for this once. GROWRUN: the program; else it is built.
#                                     MXNET_PYTHON: one that has mxnet 1.9, whose last version needs an old numpy.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python=${PYTHON:-python3}
if ! "$python" -c 'import torch, onnx, onnxruntime, safetensors, numpy' 2>/dev/null; then
  "$python" -m venv "$work/venv"
  python=$work/venv/bin/python
  "$python" -m pip install --quiet --disable-pip-version-check torch onnx onnxruntime safetensors numpy
fi
growrun=${GROWRUN:-target/release/growrun}
[ -n "${GROWRUN:-}" ] || cargo build --release --quiet
case $growrun in /*) ;; *) growrun=$PWD/$growrun ;; esac

cp tests/evidence/export/*.grow "$work"
"$python" tests/evidence/export/check.py "$work" "$growrun"
"$python" tests/evidence/export/images.py "$work" "$growrun"
