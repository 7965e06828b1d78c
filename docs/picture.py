"""Draws docs/run.svg from a run directory: python3 docs/picture.py runs/quickstart/0001 > docs/run.svg

Standard library only. Reads metrics.jsonl, and from run.yaml the lines that say where the network grew.
"""
import json
import re
import sys
from pathlib import Path

run = Path(sys.argv[1])
rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
record = (run / "run.yaml").read_text()
block = record.split("\nevents:\n", 1)[1].split("\ncheckpoints:", 1)[0]
events = [
    (float(e), d.strip("'"))
    for e, d in re.findall(r"^  epoch: ([\d.e+-]+)$.*?^  detail: (.*?)$", block, re.M | re.S)
]
W, H, L, R, T, B = 760, 310, 52, 16, 66, 34
last = rows[-1]["epoch"]
low = min(0.9, int(min(r["val_accuracy"] for r in rows[1:]) * 50) / 50)
x = lambda epoch: L + (W - L - R) * epoch / last
y = lambda value: T + (H - T - B) * (1.0 - value) / (1.0 - low)
out = [
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {W} {H}" font-family="system-ui, sans-serif" font-size="12">',
    "<style>text{fill:#57606a}.a{stroke:#2f81f7;fill:none;stroke-width:2}.g{stroke:#d29922;stroke-dasharray:4 3}"
    ".t{fill:#b07d10}.l{stroke:#8c959f;stroke-opacity:.35}"
    "@media(prefers-color-scheme:dark){text{fill:#9da7b3}.t{fill:#e3b341}}</style>",
]
step = 0.02 if low >= 0.8 else 0.1
for i in range(int(round((1 - low) / step)) + 1):
    value = low + i * step
    out.append(f'<line class="l" x1="{L}" x2="{W - R}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
    out.append(f'<text x="{L - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.0%}</text>')
for epoch in range(0, int(last) + 1, max(1, int(last) // 6)):
    out.append(f'<text x="{x(epoch):.1f}" y="{H - B + 18}" text-anchor="middle">{epoch}</text>')
out.append(f'<text x="{W - R}" y="{H - 4}" text-anchor="end">epoch</text>')
out.append(f'<text x="{L}" y="16">validation accuracy, digits, seed {re.search(r"^seed: (.*)$", record, re.M)[1]}</text>')
for i, (epoch, detail) in enumerate(events):
    detail = detail.split(":")[0]
    out.append(f'<line class="g" x1="{x(epoch):.1f}" x2="{x(epoch):.1f}" y1="{T - 34 if i % 2 == 0 else T - 18}" y2="{H - B}"/>')
    out.append(f'<text class="t" x="{x(epoch) + 5:.1f}" y="{T - 24 if i % 2 == 0 else T - 8}">{detail}</text>')
points = " ".join(f'{x(r["epoch"]):.1f},{y(max(low, r["val_accuracy"])):.1f}' for r in rows)
out.append(f'<polyline class="a" points="{points}"/>')
out.append("</svg>")
print("\n".join(out))
