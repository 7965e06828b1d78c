#!/usr/bin/env bash
# TensorBoard's own reader and both of its data servers read what a run wrote: every scalar of every line of
# metrics.jsonl, and every growth as text, also after an interruption. Prints counts; exit code 1 at a difference.
#
#   tests/evidence/tensorboard.sh          PYTHON: one that has the package `tensorboard`; else it is installed for
#                                          this once. GROWRUN: the program; else it is built.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python=${PYTHON:-python3}
if ! "$python" -c 'import tensorboard' 2>/dev/null; then
  "$python" -m venv "$work/venv"
  python=$work/venv/bin/python
  # setuptools: tensorboard still imports pkg_resources, and a venv no longer brings it along.
  "$python" -m pip install --quiet --disable-pip-version-check 'tensorboard>=2.16,<3' 'setuptools<81'
fi
growrun=${GROWRUN:-target/release/growrun}
[ -n "${GROWRUN:-}" ] || cargo build --release --quiet

cat >"$work/board.grow" <<'GROW'
experiment "board"
seed 3
data digits { batch 32 }
model { h1 dense 64 relu; h2 dense 256 relu; out dense 10 }
train 60 epochs {
  optimizer adam lr 1e-3
  metrics accuracy f1
  log every 7 steps
}
at epoch 2 { widen h1 to 128 eps 1e-3; insert identity after h1; evaluate val }
at epoch 50 widen h1 to 192 method split
at end evaluate test
GROW
run=$work/runs/board/0001
"$growrun" "$work/board.grow" --out "$work/runs" --quiet &
pid=$!
# Far enough for growth, not as far as the end.
until [ "$(cat "$run/metrics.jsonl" 2>/dev/null | wc -l)" -gt 60 ]; do
  kill -0 "$pid" 2>/dev/null || break
  sleep 0.02
done
kill -INT "$pid" 2>/dev/null || true
wait "$pid" && { echo 'the run ended before it could be interrupted'; exit 1; }
"$growrun" resume "$run" --quiet
grep -q 'resumed:$' "$run/run.yaml" || { echo 'the run was not resumed'; exit 1; }
"$growrun" verify "$run" >/dev/null

"$python" - "$work/runs" "$run" <<'PY'
import collections, json, socket, struct, subprocess, sys, time, urllib.parse, urllib.request
from tensorboard import version
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

runs, run = sys.argv[1:]
differences = 0

def differs(what):
    global differences
    differences += 1
    print('DIFFERS:', what)

# What the run told, as f32: TensorBoard's scalars are no wider.
f32 = lambda x: float('nan') if x is None else struct.unpack('<f', struct.pack('<f', x))[0]
expected = collections.defaultdict(list)
for line in open(run + '/metrics.jsonl'):
    line = json.loads(line)
    for key, value in line.items():
        if key in ('step', 'seconds', 'confusion'):
            continue
        tag = 'train/batch_loss' if key == 'batch_loss' else key.replace('_', '/', 1)
        expected[tag].append((line['step'], f32(value)))
same = lambda a, b: [(s, repr(v)) for s, v in a] == [(s, repr(v)) for s, v in b]

# 1. The reader that scripts use.
reader = EventAccumulator(run + '/tensorboard', size_guidance={'scalars': 0, 'tensors': 0})
reader.Reload()
tags = set(reader.Tags()['scalars'])
if tags != set(expected):
    differs(f'tags {sorted(tags ^ set(expected))}')
count = 0
for tag in sorted(tags & set(expected)):
    found = [(event.step, event.value) for event in reader.Scalars(tag)]
    count += len(found)
    if not same(found, expected[tag]):
        differs(f'{tag}: {len(found)} values, {len(expected[tag])} expected')
texts = []
for tag in reader.Tags()['tensors']:
    for event in reader.Tensors(tag):
        texts.append((event.step, tag, tensor_util.make_ndarray(event.tensor_proto).item().decode()))
growth = sorted((step, text.split('\n')[0]) for step, tag, text in texts if tag.startswith('growth/'))
epoch = 45
wanted = [(2 * epoch, '**insert identity**'), (2 * epoch, '**widen** h1 64 → 128'), (50 * epoch, '**widen** h1 128 → 192')]
if [s for s, _ in growth] != [s for s, _ in wanted] or not all(t.startswith(w) for (_, t), (_, w) in zip(growth, wanted)):
    differs(f'growth {growth}')
if not any(tag == 'schedule/text_summary' and 'experiment "board"' in text for _, tag, text in texts):
    differs('the schedule')
print(f'tensorboard {version.VERSION}: its reader has {count} scalars under {len(tags)} tags and {len(texts)} texts')

# 2. The servers behind the page: of several values at one step they may show the last.
for name, flag in (('multiplexer', '--load_fast=false'), ('data server', '--load_fast=true')):
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    arguments = ['--logdir', runs, '--port', str(port), '--samples_per_plugin', 'scalars=100000', flag]
    server = subprocess.Popen([sys.executable, '-m', 'tensorboard.main'] + arguments,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    def get(path, **query):
        url = f'http://127.0.0.1:{port}/data/{path}?{urllib.parse.urlencode(query)}'
        return json.loads(urllib.request.urlopen(url, timeout=10).read())
    try:
        for _ in range(120):
            time.sleep(0.5)
            try:
                if get('plugin/scalars/tags').get('board/0001/tensorboard'):
                    time.sleep(1)
                    break
            except OSError:
                pass
        shown = get('plugin/scalars/tags').get('board/0001/tensorboard', {})
        if set(shown) != set(expected):
            differs(f'{name}: tags {sorted(set(shown) ^ set(expected))}')
        points = 0
        for tag in shown:
            found = [(step, float(value)) for _, step, value in
                     get('plugin/scalars/scalars', run='board/0001/tensorboard', tag=tag)]
            points += len(found)
            last = lambda pairs: sorted(dict(pairs).items())
            if not same(last(found), last(expected[tag])):
                differs(f'{name}: {tag}')
        told = [text['text'] for tag in get('plugin/text/tags').get('board/0001/tensorboard', [])
                for text in get('plugin/text/text', run='board/0001/tensorboard', tag=tag)]
        if len(told) != 4:
            differs(f'{name}: {len(told)} texts, 4 expected')
        print(f'{name}: {points} points under {len(shown)} tags and {len(told)} texts')
    finally:
        server.terminate()
        server.wait()
sys.exit(1 if differences else 0)
PY
echo 'TensorBoard reads back every scalar and every text'
