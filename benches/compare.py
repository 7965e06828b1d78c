#!/usr/bin/env python3
"""Times growrun beside its rivals on the same work and writes a dated table. See benches/README.md.

    python3 benches/compare.py --quick --python VENV/bin/python --out benches/results/DATE-NAME.md

A training step of growrun is the wall clock difference of two runs of the program that differ only in their
number of steps, evaluation off, divided by the difference in steps: everything that the real loop does is in
it, start-up and reading the data are not. A rival's step is the same difference of its own loop. In every
repetition each contestant runs each cell once in turn, so that the noise of the machine meets them all.
"""

import argparse
import datetime
import fnmatch
import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
from pathlib import Path

import workbench
from workbench import PEERS, PROCESSORS, ROOT, confined, quartiles, run_to_end, say

EXAMPLES = 54_000  # of 60,000: growrun keeps 10 % for validation, and rivals get as many
RIVALS = {"torch": "PyTorch, fused optimiser", "torch_last": "the same, channels_last", "jax": "JAX jit"}
OPTIMIZERS = {"sgd": "sgd lr 0.01 momentum 0.9", "adam": "adam lr 1e-3"}
NETWORKS = {
    "small": [64, 32, 32, 10],
    "mid": [784, 256, 256, 10],
    "big": [784, 1024, 1024, 1024, 10],
    "odd": [784, 257, 301, 10],
    "round": [784, 256, 300, 10],
    "conv": [784, 10],  # and between the two what CONVOLUTIONS says
}
# Multiply-adds of 1→32→64 channels by 3×3 kernels over 28×28 pixels, two pools of 2, 128 units, ten classes.
CONVOLUTIONS = [784 * 9 * 32, 196 * 288 * 64, 3136 * 128, 128 * 10]
CONVOLUTION_PARAMETERS = 9 * 32 + 32 + 288 * 64 + 64 + 3136 * 128 + 128 + 1290
# Numbers of an example: pre-activations or what took their place, pools, the vector, gradients.
CONVOLUTION_NUMBERS = 784 + 784 * 32 * 3 + 196 * 32 * 2 + 196 * 64 * 3 + 49 * 64 * 2 + 3136 * 2 + 128 * 3 + 30
BATCHES = {"small": [32], "mid": [32, 128, 512], "big": [32, 128, 512], "odd": [128], "round": [128], "conv": [64, 128]}

# What is promised on a 2-core AVX-512 machine: (network, batch, threads) → how many times as fast, at least.
FASTER_THAN = {
    "torch": {
        ("small", 32, 2): 20, ("mid", 128, 2): 3, ("big", 128, 2): 2.2,
        ("small", 32, 1): 20, ("mid", 128, 1): 2.8, ("big", 128, 1): 1.8,
        ("conv", 64, 2): 1.5, ("conv", 128, 2): 1.5,
    },
    "torch_last": {("conv", 64, 2): 1.5, ("conv", 128, 2): 1.5},
    "jax": {("small", 32, 2): 5, ("mid", 128, 2): 1.8, ("big", 128, 2): 1.1},
}
# (network, batch) → percent of FMA peak, at least.
PERCENT_OF_PEAK = {("mid", 128): 77, ("big", 512): 70}
ODD_LOSS_PERCENT = 10
OVERSUBSCRIBED = 3  # times as slow, at most, with twice as many threads as processors


class Cell:
    """One piece of work: a network, a batch, an optimiser and a number of threads."""

    def __init__(self, network, batch, optimizer, threads):
        self.network, self.batch, self.optimizer, self.threads = network, batch, optimizer, threads
        self.widths = NETWORKS[network]
        self.name = f"{network}-{batch}-{optimizer}-{threads}t"
        self.key = (network, batch, threads)
        self.shape = "conv 32-64, dense 128" if network == "conv" else "-".join(map(str, self.widths))

    def has_rival(self, name):
        if self.network == "conv":
            return name in ("torch", "torch_last") and self.threads <= 2
        return self.network in ("small", "mid", "big") and self.threads <= 2 and name != "torch_last"

    def is_promised(self):
        """Whether the issue names a threshold for this cell."""
        return (
            self.network in ("odd", "round")
            or self.threads > 2
            or any(self.key in wanted for wanted in FASTER_THAN.values())
            or (self.network, self.batch) in PERCENT_OF_PEAK
        )

    def products(self):
        if self.network == "conv":
            return CONVOLUTIONS
        return [inputs * outputs for inputs, outputs in zip(self.widths, self.widths[1:])]

    def flops(self):
        """Of a step: forward, gradient of the weights, and gradient of the inputs of all layers but the first."""
        return 2 * self.batch * (3 * sum(self.products()) - self.products()[0])

    def memory_terms(self, data_bytes):
        """What a run must hold, in bytes."""
        parameters = sum(self.products()) + sum(self.widths[1:])
        numbers = sum(self.widths)
        if self.network == "conv":
            parameters, numbers = CONVOLUTION_PARAMETERS, CONVOLUTION_NUMBERS
        return {
            "weights": 4 * parameters,
            "optimiser state": 4 * parameters * (1 if self.optimizer == "sgd" else 2),
            "activations": 4 * self.batch * numbers,
            "data": data_bytes,
        }

    def schedule(self, steps):
        layers = [f"h{place} dense {width} relu" for place, width in enumerate(self.widths[1:-1], 1)]
        if self.network == "conv":
            kernels = [f"c{n} conv {width} kernel 3 relu; p{n} pool max 2" for n, width in ((1, 32), (2, 64))]
            layers = [*kernels, "h1 dense 128 relu"]
        model = "; ".join([*layers, f"out dense {self.widths[-1]}"])
        return (
            f'experiment "{self.name}"\nseed 0\ndata idx "{data_name(self)}" {{ batch {self.batch} }}\n'
            f"model {{ {model} }}\ntrain {steps} steps {{ optimizer {OPTIMIZERS[self.optimizer]}; evaluate never }}\n"
        )


def data_name(cell):
    return "mnist" if cell.widths[0] == 784 else "narrow"


def all_cells():
    cells = [
        Cell(network, batch, optimizer, threads)
        for network, batches in BATCHES.items()
        for batch in batches
        for optimizer in OPTIMIZERS
        for threads in (1, 2)
    ]
    # More threads than processors must not fall over.
    return cells + [Cell("mid", 128, "sgd", 2 * max(2, len(PROCESSORS)))]


class Growrun:
    name, title = "growrun", "growrun"

    def __init__(self, program, folder, simd, target_seconds):
        self.program, self.folder, self.simd = program, folder, simd
        # Two starts of a process are in the difference, so it is taken over a longer time than a rival's.
        self.target_seconds = 1.5 * target_seconds
        self.steps, self.notes, self.memory_kb = {}, {}, {}

    def run(self, cell, steps):
        schedule = self.folder / f"{cell.name}-{steps}.grow"
        schedule.write_text(cell.schedule(steps))
        runs = self.folder / "runs"
        command = [self.program, "run", schedule, "--quiet", "--threads", str(cell.threads), "--simd", self.simd]
        ended = run_to_end([*command, "--out", runs], cell.threads)
        shutil.rmtree(runs)
        self.memory_kb[cell.name] = max(ended.memory_kb, self.memory_kb.get(cell.name, 0))
        return ended.seconds

    def prepare(self, cell):
        few, many = 20, 20 + max(10, int(10e9 / cell.flops()))
        while True:
            seconds = self.run(cell, many) - self.run(cell, few)
            if seconds > 0.2:
                break
            many = few + 4 * (many - few)
        self.steps[cell.name] = max(10, int(self.target_seconds / seconds * (many - few)))

    def measure(self, cell):
        few, more = 20, self.steps[cell.name]
        short = self.run(cell, few)
        return (self.run(cell, few + more) - short) / more * 1e6


class Rival:
    """One rival in a process of its own for each number of threads, which lives from cell to cell."""

    def __init__(self, name, python, target_seconds):
        self.name, self.title, self.python, self.target_seconds = name, RIVALS[name], python, target_seconds
        self.processes, self.complaints, self.steps, self.notes = {}, {}, {}, {}
        self.versions = None

    def start(self, threads):
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads))
        command = [self.python, str(PEERS / f"{self.name}_step.py"), str(threads)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        with confined(threads):
            process = subprocess.Popen(command, **pipes, text=True, env=environment)
        self.processes[threads], self.complaints[threads] = process, []
        # Read as it comes, since a full pipe would stop the rival.
        listen = threading.Thread(target=self.complaints[threads].extend, args=(process.stderr,), daemon=True)
        listen.start()
        try:
            self.versions = self.ask(threads, {"do": "hello"})["versions"]
        except (BrokenPipeError, ValueError):
            process.kill()
            listen.join()
            return self.last_words(threads)
        return None

    def last_words(self, threads):
        return (self.complaints[threads] or ["it ended without a word"])[-1].strip()

    def ask(self, threads, request):
        process = self.processes[threads]
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    def request(self, do, cell, data, **more):
        told = {
            "name": cell.name, "network": cell.network, "widths": cell.widths, "batch": cell.batch, "optimizer": cell.optimizer,
            "data": str(data), "examples": EXAMPLES,
        }
        try:
            return self.ask(cell.threads, {"do": do, "cell": told, **more})
        except (BrokenPipeError, ValueError):
            sys.exit(f"{self.title} failed at {cell.name}: {self.last_words(cell.threads)}")

    def prepare(self, cell, data):
        told = self.request("prepare", cell, data)
        self.notes[cell.name] = told["variant"]
        self.steps[cell.name] = max(10, int(self.target_seconds / told["seconds_per_step"]))

    def measure(self, cell, data):
        few, more = 5, self.steps[cell.name]
        short = self.request("time", cell, data, steps=few)["seconds"]
        return (self.request("time", cell, data, steps=few + more)["seconds"] - short) / more * 1e6

    def stop(self):
        for process in self.processes.values():
            process.stdin.close()
            process.wait()
            process.stdout.close()


class Peak:
    """The machine's fused multiply-adds a second, by `benches/peak.rs`."""

    def __init__(self, program, simd):
        self.program, self.simd, self.gigaflops = program, simd, {}

    def measure(self, threads):
        if self.program is None:
            return
        command = [str(self.program), str(threads), self.simd]
        self.gigaflops.setdefault(threads, []).append(float(run_to_end(command, threads).stdout.split()[0]))

    def median(self, threads):
        return statistics.median(self.gigaflops[threads]) if self.gigaflops.get(threads) else None


def find_peak():
    """The newest build of the bench, which cargo puts beside the program's dependencies."""
    built = [path for path in (ROOT / "target" / "release" / "deps").glob("peak-*") if path.suffix == ""]
    return max(built, key=lambda path: path.stat().st_mtime, default=None)


# --- the table


def microseconds(value):
    return f"{value:,.1f}" if value < 100 else f"{value:,.0f}"


class Results:
    def __init__(self, options, contestants, cells, peak, data_bytes, program):
        self.options, self.contestants, self.cells, self.peak = options, contestants, cells, peak
        self.data_bytes, self.program = data_bytes, program
        self.noise, self.repetitions = None, 0
        self.times = {}  # (contestant, cell) → µs of every repetition
        self.remarks = []
        self.start_up = []

    def add(self, contestant, cell, value):
        self.times.setdefault((contestant.name, cell.name), []).append(value)

    def median(self, contestant, cell):
        values = self.times.get((contestant, cell.name))
        return statistics.median(values) if values else None

    def ratio(self, rival, cell):
        ours, theirs = self.median("growrun", cell), self.median(rival, cell)
        # On a busy machine a difference of two runs can come out below 0.
        return theirs / ours if ours and theirs and min(ours, theirs) > 0 else None

    def percent(self, cell):
        ours, peak = self.median("growrun", cell), self.peak.median(cell.threads)
        return 100 * cell.flops() / (ours * 1e3) / peak if ours and peak else None

    def markdown(self):
        parts = [self.heading(), self.promises(), self.steps(), self.memory()]
        return "\n".join(part for part in parts if part)

    def heading(self):
        about = workbench.machine()
        lines = [
            f"# Training steps, {datetime.date.today().isoformat()}",
            "",
            f"- machine: {about['model']}, {about['cores']} cores, {', '.join(about['instructions'])}",
            f"- command: `{' '.join(['python3', 'benches/compare.py', *workbench.shown_arguments()])}`",
            f"- growrun: {workbench.version(self.program)}, `--simd {self.options.simd}`",
        ]
        for rival in self.contestants[1:]:
            versions = ", ".join(f"{name} {value}" for name, value in rival.versions.items())
            lines.append(f"- {rival.title}: {versions}")
        for threads in sorted(self.peak.gigaflops):
            values = self.peak.gigaflops[threads]
            lines.append(
                f"- FMA peak, {threads} thread{'s' * (threads > 1)}: {statistics.median(values):.1f} GFLOP/s"
                f" ({min(values):.1f} to {max(values):.1f}), measured once a repetition"
            )
        if self.start_up:
            low, high = min(self.start_up), max(self.start_up)
            lines.append(
                f"- start-up: `growrun check schedules/quickstart.grow` {statistics.median(self.start_up):.1f} ms"
                f" ({low:.1f} to {high:.1f}), median of {len(self.start_up)}"
            )
        lines += [
            f"- {self.noise.sentence()}",
            f"- {self.repetitions} of {self.options.repetitions} interleaved repetitions; times are medians, with"
            " quartiles in parentheses; a ratio is the rival's median over ours",
            *(f"- {remark}" for remark in self.remarks),
            "",
        ]
        return "\n".join(lines)

    def promises(self):
        rows = []
        for rival, wanted in FASTER_THAN.items():
            for cell in self.cells:
                ratio = self.ratio(rival, cell)
                if cell.key in wanted and ratio:
                    row = f"times as fast as {RIVALS[rival]}", cell, f"≥ {wanted[cell.key]:g}×", f"{ratio:.2f}×"
                    rows.append((*row, ratio >= wanted[cell.key]))
        for cell in self.cells:
            percent, least = self.percent(cell), PERCENT_OF_PEAK.get((cell.network, cell.batch))
            if percent and least and cell.threads <= 2:
                rows.append(("share of FMA peak", cell, f"≥ {least} %", f"{percent:.1f} %", percent >= least))
            loss = self.odd_loss(cell)
            if loss is not None:
                wanted = f"< {ODD_LOSS_PERCENT} %"
                rows.append(("loss by odd widths, by FLOPs", cell, wanted, f"{loss:.1f} %", loss < ODD_LOSS_PERCENT))
            slower = self.oversubscription(cell)
            if slower:
                row = "times as slow as two threads", cell, f"≤ {OVERSUBSCRIBED}×", f"{slower:.2f}×"
                rows.append((*row, slower <= OVERSUBSCRIBED))
        if not rows:
            return ""
        lines = ["## What was promised", "", "| what | cell | wanted | measured | kept |", "|---|---|---|---|---|"]
        is_busy = self.noise.is_busy()
        for what, cell, wanted, measured, kept in rows:
            # What a busy machine shows is neither kept nor broken.
            verdict = "busy" if is_busy else "yes" if kept else "**no**"
            lines.append(f"| {what} | {label(cell)} | {wanted} | {measured} | {verdict} |")
        return "\n".join([*lines, ""])

    def twin(self, cell, **changes):
        wanted = {"network": cell.network, "threads": cell.threads, **changes}
        for other in self.cells:
            if (other.network, other.threads) == (wanted["network"], wanted["threads"]) and (
                other.batch, other.optimizer) == (cell.batch, cell.optimizer):
                return other
        return None

    def odd_loss(self, cell):
        """Percent of time per FLOP that odd widths add."""
        even = self.twin(cell, network="round") if cell.network == "odd" else None
        ours, theirs = self.median("growrun", cell), even and self.median("growrun", even)
        return 100 * (ours / cell.flops() / (theirs / even.flops()) - 1) if ours and theirs else None

    def oversubscription(self, cell):
        two = self.twin(cell, threads=2) if cell.threads > 2 else None
        ours, theirs = self.median("growrun", cell), two and self.median("growrun", two)
        return ours / theirs if ours and theirs else None

    def steps(self):
        rivals = self.contestants[1:]
        titles = ["network, batch, optimiser, threads", "growrun µs", "% of peak"]
        for rival in rivals:
            titles += [f"{rival.title} µs", "ratio"]
        lines = ["## Time of a training step", "", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
        for cell in self.cells:
            percent = self.percent(cell)
            row = [label(cell), self.shown("growrun", cell), f"{percent:.0f}" if percent else "–"]
            for rival in rivals:
                ratio = self.ratio(rival.name, cell)
                note = f" {rival.notes[cell.name]}" if cell.name in rival.notes else ""
                row += [self.shown(rival.name, cell) + note, f"{ratio:.2f}×" if ratio else "–"]
            lines.append(f"| {' | '.join(row)} |")
        if rivals:
            lines += ["", "`f32`, `u8`: how the rival keeps its examples, the faster of both ways for that cell."]
        return "\n".join([*lines, ""])

    def shown(self, contestant, cell):
        values = self.times.get((contestant, cell.name))
        if not values:
            return "–"
        low, high = quartiles(values)
        return f"{microseconds(statistics.median(values))} ({microseconds(low)}–{microseconds(high)})"

    def memory(self):
        ours = self.contestants[0]
        own = workbench.own_peak_kb()
        lines = [
            "## Peak memory of a run",
            "",
            "Allowed: 1.5 × (weights + optimiser state + activations + data) + 32 MB, data being the unpacked files"
            " (one byte a value and a label, all parts). MB of 10⁶ bytes.",
            "",
            "| network, batch, optimiser, threads | weights | state | activations | data | allowed | measured | kept |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for cell in self.cells:
            kilobytes = ours.memory_kb.get(cell.name)
            if kilobytes is None:
                continue
            terms = cell.memory_terms(self.data_bytes[data_name(cell)])
            allowed, measured = 1.5 * sum(terms.values()) + 32e6, kilobytes * 1024
            bound = "≤ " if kilobytes <= own else ""
            row = [*(f"{value / 1e6:.2f}" for value in terms.values()), f"{allowed / 1e6:.1f}"]
            kept = "yes" if measured <= allowed else "**no**"
            lines.append(f"| {label(cell)} | {' | '.join(row)} | {bound}{measured / 1e6:.1f} | {kept} |")
        return "\n".join([*lines, ""])


def label(cell):
    return f"{cell.shape}, {cell.batch}, {cell.optimizer}, {cell.threads}"


# --- the comparison


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="only the cells that have a threshold")
    parser.add_argument("--cells", default="*", help="patterns such as 'mid-128-*-2t,small*'; --list shows the names")
    parser.add_argument("--list", action="store_true", help="show the names of the chosen cells and end")
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a measurement lasts at least, about")
    parser.add_argument("--rivals", default=",".join(RIVALS), help="some of them, or '' for none")
    parser.add_argument("--python", default=sys.executable, help="the Python that has the rivals")
    parser.add_argument("--program", default=str(ROOT / "target" / "release" / "growrun"), help="the growrun to time")
    parser.add_argument("--peak", default=None, help="the program of benches/peak.rs (default: the newest build)")
    parser.add_argument("--simd", default="auto", help="handed to growrun and to the peak")
    parser.add_argument("--data", default=None, help="folder of MNIST (default: $GROWRUN_DATA/mnist)")
    parser.add_argument("--folder", default=None, help="where to work (default: in memory, where the system has that)")
    parser.add_argument("--out", default=None, help="the Markdown file to write (default: stdout)")
    return parser.parse_args()


def chosen(options):
    patterns = [pattern.strip() for pattern in options.cells.split(",")]
    return [
        cell
        for cell in all_cells()
        if any(fnmatch.fnmatch(cell.name, pattern) for pattern in patterns)
        and (cell.is_promised() or not options.quick)
    ]


def start_rivals(options, cells, thread_counts, results):
    rivals = []
    wanted = [name for name in RIVALS if any(cell.has_rival(name) for cell in cells)]
    for name in [name for name in options.rivals.split(",") if name in wanted]:
        rival = Rival(name, options.python, options.seconds)
        failures = [why for why in (rival.start(threads) for threads in thread_counts) if why]
        if failures:
            results.remarks.append(f"{rival.title} is skipped: {failures[0]}")
            say(results.remarks[-1])
        else:
            rivals.append(rival)
    return rivals


def compare(options, cells, work):
    names = {data_name(cell) for cell in cells}
    if "mnist" in names:
        workbench.unpack_mnist(workbench.find_mnist(options.data), work / "mnist")
    if "narrow" in names:
        workbench.write_narrow(work / "narrow")
    sizes = {folder.name: sum(file.stat().st_size for file in folder.iterdir()) for folder in work.iterdir()}
    peak = Peak(options.peak or find_peak(), options.simd)
    ours = Growrun(options.program, work, options.simd, options.seconds)
    results = Results(options, [ours], cells, peak, sizes, options.program)
    thread_counts = sorted({cell.threads for cell in cells})
    if peak.program is None:
        results.remarks.append("FMA peak unknown: build it with `cargo bench --bench peak --no-run`")
    rivals = start_rivals(options, cells, [count for count in thread_counts if count <= 2], results)
    results.contestants += rivals
    try:
        for cell in cells:
            say(f"prepare {cell.name}")
            ours.prepare(cell)
            for rival in [rival for rival in rivals if cell.has_rival(rival.name)]:
                rival.prepare(cell, work / data_name(cell))
        results.noise = workbench.Noise(rivals)
        for repetition in range(options.repetitions):
            for threads in thread_counts:
                peak.measure(threads)
            check = [options.program, "check", ROOT / "schedules" / "quickstart.grow"]
            results.start_up += [1e3 * run_to_end(check, 1).seconds for _ in range(5)]
            for cell in cells:
                turn = [ours, *(rival for rival in rivals if cell.has_rival(rival.name))]
                # Who begins changes, so that nobody always follows the same one.
                turn = turn[repetition % len(turn) :] + turn[: repetition % len(turn)]
                for contestant in turn:
                    more = () if contestant is ours else (work / data_name(cell),)
                    results.add(contestant, cell, contestant.measure(cell, *more))
            results.repetitions += 1
            say(f"repetition {results.repetitions} of {options.repetitions}")
            publish(options, results)
    finally:
        for rival in rivals:
            rival.stop()


def publish(options, results):
    """After every repetition, so that a comparison that is cut short leaves what it has."""
    if options.out:
        Path(options.out).parent.mkdir(parents=True, exist_ok=True)
        Path(options.out).write_text(results.markdown())
    elif results.repetitions == options.repetitions:
        print(results.markdown())


def main():
    options = arguments()
    cells = chosen(options)
    if options.list:
        print("\n".join(cell.name for cell in cells))
        return
    if not cells:
        sys.exit(f"no cell is called `{options.cells}`; --list shows their names")
    workbench.need_programs(options)
    with workbench.work_folder(options.folder) as folder:
        compare(options, cells, Path(folder))


if __name__ == "__main__":
    main()
