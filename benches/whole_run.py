#!/usr/bin/env python3
"""Times a whole run of peers/widens.grow, growth and evaluations included, beside the same written by hand in
PyTorch. See benches/README.md.

    python3 benches/whole_run.py --python VENV/bin/python --out benches/results/DATE-whole-run.md
"""

import argparse
import datetime
import json
import statistics
import sys
from pathlib import Path

import workbench
from workbench import PEERS, ROOT


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--python", default=sys.executable, help="the Python that has PyTorch")
    parser.add_argument("--program", default=str(ROOT / "target" / "release" / "growrun"), help="the growrun to time")
    parser.add_argument("--simd", default="auto", help="handed to growrun")
    parser.add_argument("--data", default=None, help="folder of MNIST (default: $GROWRUN_DATA/mnist)")
    parser.add_argument("--folder", default=None, help="where to work (default: in memory, where the system has that)")
    parser.add_argument("--out", default=None, help="the Markdown file to write (default: stdout)")
    return parser.parse_args()


def growrun(options, threads, work):
    command = [options.program, "run", PEERS / "widens.grow", "--data", f"mnist={work / 'mnist'}", "--json", "--quiet"]
    command += ["--threads", str(threads), "--simd", options.simd, "--out", work / "runs"]
    ended = workbench.run_to_end(command, threads)
    told = json.loads(ended.stdout)
    metrics = told["metrics"]
    return ended.seconds, told["seconds"], number(metrics["val_accuracy"]), number(metrics["test_accuracy"])


def number(metric):
    """A metric's last value; some reports keep its best beside it."""
    return metric if isinstance(metric, (int, float)) else metric["value"]


def torch(options, threads, work):
    ended = workbench.run_to_end([options.python, PEERS / "torch_run.py", str(threads), work / "mnist"], threads)
    told = json.loads(ended.stdout)
    return ended.seconds, told["seconds"], told["val_accuracy"], told["test_accuracy"]


def spread(values):
    low, high = workbench.quartiles(values)
    return f"{statistics.median(values):.2f} ({low:.2f}–{high:.2f})"


def torch_version(options):
    return workbench.run_to_end([options.python, "-c", "import torch; print(torch.__version__)"], 1).stdout.strip()


def markdown(options, version, noise, times, done):
    about = workbench.machine()
    lines = [
        f"# A whole run, {datetime.date.today().isoformat()}",
        "",
        f"- machine: {about['model']}, {about['cores']} cores, {', '.join(about['instructions'])}",
        f"- command: `{' '.join(['python3', 'benches/whole_run.py', *workbench.shown_arguments()])}`",
        f"- growrun: {workbench.version(options.program)}, `--simd {options.simd}`",
        f"- PyTorch: torch {version}, eager, fused optimiser",
        f"- {noise.sentence()}",
        f"- {done} of {options.repetitions} interleaved repetitions; medians in seconds, quartiles in parentheses",
        "",
        "`process` is the wall clock of the whole process: start-up, imports and reading the data are in it. `run` is"
        " from the first step to the last evaluation. The two draw their splits, weights and orders differently, so"
        " accuracies agree as two seeds do. Accuracies are those of the last repetition.",
        "",
        "| threads | growrun process | PyTorch process | ratio | growrun run | PyTorch run | ratio"
        " | val accuracy | test accuracy |",
        "|---" * 9 + "|",
    ]
    for threads in sorted({threads for _, threads in times}):
        ours, theirs = times["growrun", threads], times["torch", threads]
        row = [str(threads)]
        for column in (0, 1):
            mine, its = [run[column] for run in ours], [run[column] for run in theirs]
            row += [spread(mine), spread(its), f"{statistics.median(its) / statistics.median(mine):.2f}×"]
        row += [f"{100 * ours[-1][column]:.2f} % / {100 * theirs[-1][column]:.2f} %" for column in (2, 3)]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join([*lines, ""])


def main():
    options = arguments()
    workbench.need_programs(options)
    version, times = torch_version(options), {}
    with workbench.work_folder(options.folder) as folder:
        work = Path(folder)
        workbench.unpack_mnist(workbench.find_mnist(options.data), work / "mnist")
        noise = workbench.Noise()
        for repetition in range(options.repetitions):
            for threads in map(int, options.threads.split(",")):
                turn = [("growrun", growrun), ("torch", torch)]
                for name, run in turn if repetition % 2 == 0 else reversed(turn):
                    times.setdefault((name, threads), []).append(run(options, threads, work))
            workbench.say(f"repetition {repetition + 1} of {options.repetitions}")
            table = markdown(options, version, noise, times, repetition + 1)
            if options.out:
                Path(options.out).parent.mkdir(parents=True, exist_ok=True)
                Path(options.out).write_text(table)
        if not options.out:
            print(table)


if __name__ == "__main__":
    main()
