#!/usr/bin/env bash
# Trained networks of PyTorch, JAX with Flax, Keras and MXNet, grown by `growrun apply` and trained on where they live.
# For each of the four pages (docs/pytorch.md and so on)
#
#   - what the page says is done, block by block, in an empty folder;
#   - the grown network gives the outputs of the small one, there, on 1000 inputs of its own;
#   - the optimiser's state goes on: the next update of what was there is the one that it would have been.
#
# Prints what was measured; exit code 1 when a page's command fails or a bound is missed.
#
#   tests/evidence/homes.sh [HOME…]   pytorch, jax, keras, mxnet; all of them where none is named.
#                                     PYTHON: one that has torch, safetensors and numpy. KERAS_PYTHON: one that has
#                                     keras, jax, flax, optax, safetensors and numpy. MXNET_PYTHON: one that has mxnet
#                                     1.9 and its old numpy (Python up to 3.11). What they lack is installed for this
#                                     once. GROWRUN: the program; else it is built.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

growrun=${GROWRUN:-target/release/growrun}
[ -n "${GROWRUN:-}" ] || cargo build --release --quiet
case $growrun in /*) ;; *) growrun=$PWD/$growrun ;; esac

# A Python that can import what stands before `--`, else a new one with the packages behind it.
python_with() {
  local python=$1 name=$2 imports=$3
  shift 3
  if ! "$python" -c "import $imports" 2>/dev/null; then
    "$python" -m venv "$work/venv-$name"
    python=$work/venv-$name/bin/python
    "$python" -m pip install --quiet --disable-pip-version-check "$@"
  fi
  "$python" -c 'import sys; print(sys.executable)'
}

export KERAS_BACKEND=jax JAX_PLATFORMS=cpu PYTHONDONTWRITEBYTECODE=1
failed=0
for home in ${*:-pytorch jax keras mxnet}; do
  case $home in
    pytorch) python=$(python_with "${PYTHON:-python3}" torch torch,safetensors,numpy torch safetensors numpy) ;;
    jax | keras)
      python=$(python_with "${KERAS_PYTHON:-python3}" keras keras,jax,flax,optax,safetensors keras jax flax optax safetensors)
      KERAS_PYTHON=$python
      ;;
    mxnet) python=$(python_with "${MXNET_PYTHON:-python3}" mxnet mxnet mxnet==1.9.1 'numpy<1.24') ;;
    *) echo "there is no page for $home" && exit 2 ;;
  esac
  # `python` and `growrun` as a reader would have them.
  mkdir -p "$work/$home/bin" "$work/$home/page" "$work/$home/own"
  printf '#!/bin/sh\nexec "%s" "$@"\n' "$python" >"$work/$home/bin/python"
  printf '#!/bin/sh\nexec "%s" "$@"\n' "$growrun" >"$work/$home/bin/growrun"
  chmod +x "$work/$home/bin/python" "$work/$home/bin/growrun"
  PATH=$work/$home/bin:$PATH
  echo "$home: the page"
  if ! python tests/evidence/homes/page.py "docs/$home.md" "$work/$home/page"; then
    failed=1
    continue
  fi
  echo "$home: its own numbers"
  python "tests/evidence/homes/check_$home.py" "$work/$home/page" "$work/$home/own" || failed=1
done
exit "$failed"
