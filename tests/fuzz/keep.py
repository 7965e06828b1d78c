"""Chooses the corpus of one target: a greedy cover of all that its inputs reach, features by byte, within bounds.

usage: keep.py CONTROL CORPUS     CONTROL is what libFuzzer's -merge_control_file wrote
"""

import hashlib
import pathlib
import sys

FILES_MAX = 200
BYTES_MAX = 300_000

control, corpus = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
lines = control.read_text(errors="surrogateescape").splitlines()
count = int(lines[0])
names = lines[2 : 2 + count]
reached = {}
for line in lines[2 + count :]:
    word, number, *features = line.split()
    if word == "FT":
        reached[names[int(number)]] = set(features)

contents = {name: pathlib.Path(name).read_bytes() for name in reached}
left, kept, size = set().union(*reached.values()), [], 0
everything = len(left)
while left and len(kept) < FILES_MAX:
    fitting = [name for name in reached if size + len(contents[name]) <= BYTES_MAX]
    # What it adds for what it costs; a file costs as much as an average one may hold. Names break ties, so that
    # the choice can be repeated.
    worth = lambda name: (len(reached[name] & left) / (len(contents[name]) + BYTES_MAX / FILES_MAX), name)
    best = max(fitting, key=worth, default=None)
    if best is None or not reached[best] & left:
        break
    kept.append(best)
    size += len(contents[best])
    left -= reached.pop(best)

for old in corpus.iterdir():
    old.unlink()
for name in kept:
    (corpus / hashlib.sha1(contents[name]).hexdigest()).write_bytes(contents[name])
print(f"{corpus.name}: {len(kept)} of {count} files, {size} bytes, {everything - len(left)} of {everything} features")
