"""What compare.py and whole_run.py share: data, processes on their processors, noise, and the machine's name."""

import contextlib
import gzip
import os
import random
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / "benches" / "peers"
BUSY_PERCENT = 5  # of the processors in others' hands; threads that wait for each other suffer most


def find_mnist(named):
    variable = os.environ.get("GROWRUN_DATA")
    places = [named, variable and Path(variable) / "mnist", ROOT.parent / "shared" / "data" / "mnist"]
    for place in filter(None, places):
        if any(Path(place).glob("train-images*")):
            return Path(place)
    sys.exit("MNIST is not there: --data FOLDER, or $GROWRUN_DATA/mnist, with the four published IDX files")


def unpack_mnist(source, target):
    """Plain files, so that unpacking adds no noise to the two runs whose difference counts."""
    target.mkdir()
    for name in ("train-images.idx3", "train-labels.idx1", "t10k-images.idx3", "t10k-labels.idx1"):
        stem, kind = name.split(".")
        found = sorted(source.glob(f"{stem}?{kind}-ubyte*"))
        if not found:
            sys.exit(f"`{source}` lacks {stem}-{kind}-ubyte")
        opened = gzip.open(found[0]) if found[0].suffix == ".gz" else open(found[0], "rb")
        with opened as packed, open(target / f"{stem}-{kind}-ubyte", "wb") as plain:
            shutil.copyfileobj(packed, plain)


def write_narrow(target, examples=60_000, width=64, classes=10):
    """Random bytes of the small network's own width, with a class that can be learned from the first one."""
    target.mkdir()
    chance = random.Random(0)
    images_path, labels_path = target / "train-images-idx3-ubyte", target / "train-labels-idx1-ubyte"
    with open(images_path, "wb") as images, open(labels_path, "wb") as labels:
        images.write(struct.pack(">4B2I", 0, 0, 8, 2, examples, width))
        labels.write(struct.pack(">4BI", 0, 0, 8, 1, examples))
        for _ in range(examples):
            row = chance.randbytes(width)
            images.write(row)
            labels.write(bytes([row[0] * classes // 256]))


def work_folder(named):
    """A folder that vanishes; in memory where the system has that, so that the disk adds no noise."""
    memory = Path("/dev/shm")
    parent = named or (memory if memory.is_dir() and os.access(memory, os.W_OK) else None)
    return tempfile.TemporaryDirectory(prefix="growrun-compare-", dir=parent)


# --- processes


def distinct_processors():
    """Processors we may use, one per core before any second one of a core."""
    seen, first, second = set(), [], []
    for cpu in sorted(os.sched_getaffinity(0)):
        try:
            siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text().strip()
        except OSError:
            siblings = str(cpu)
        (second if siblings in seen else first).append(cpu)
        seen.add(siblings)
    return first + second


PROCESSORS = distinct_processors()


@contextlib.contextmanager
def confined(threads):
    """Children that start meanwhile get as many processors as they have threads. Everybody is confined alike."""
    os.sched_setaffinity(0, set(PROCESSORS[:threads]))
    try:
        yield
    finally:
        os.sched_setaffinity(0, set(PROCESSORS))


class Ended(NamedTuple):
    """What is left of a process that has run to its end."""

    seconds: float
    memory_kb: int
    stdout: str


def run_to_end(command, threads):
    """Runs one process; its failure ends the comparison."""
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        began = time.perf_counter()
        with confined(threads):
            child = subprocess.Popen(command, stdout=stdout, stderr=stderr)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        stderr.seek(0)
        if child.returncode != 0:
            words = " ".join(map(str, command))
            sys.exit(f"{words}\nfailed with {child.returncode}:\n{stdout.read().decode()}{stderr.read().decode()}")
        return Ended(seconds, usage.ru_maxrss, stdout.read().decode())


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def own_peak_kb():
    """Of this process. A child begins as its copy, so the system counts it as the child's, too."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def machine():
    """The model, the number of processors and the instructions that matter here."""
    model, flags = "unknown processor", set()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            model = value.strip()
        if key.strip() == "flags":
            flags = set(value.split())
    known = {"avx2": "AVX2", "fma": "FMA", "avx512f": "AVX-512"}
    found = [title for flag, title in known.items() if flag in flags]
    found += [] if "avx512f" in flags else ["no AVX-512"]
    return {"model": model, "cores": len(PROCESSORS), "instructions": found}


class Noise:
    """How much of the processors others had while we measured."""

    def __init__(self, rivals=()):
        self.rivals, self.load = rivals, os.getloadavg()
        self.began, self.before = time.perf_counter(), self.processor_seconds()

    def processor_seconds(self):
        """Since the machine started: (everybody's, what the host kept for itself, our own)."""
        tick = os.sysconf("SC_CLK_TCK")
        user, nice, system, _, _, interrupts, soft, stolen = map(int, Path("/proc/stat").read_text().split()[1:9])
        own = sum(os.times()[:4])
        for process in (process for rival in self.rivals for process in rival.processes.values()):
            words = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
            own += (int(words[11]) + int(words[12])) / tick
        return (user + nice + system + interrupts + soft) / tick, stolen / tick, own

    def percent(self):
        """Of the processors' time since the beginning: (in others' hands, kept by the host)."""
        span = (time.perf_counter() - self.began) * os.cpu_count()
        everybody, stolen, own = (
            100 * (now - before) / span for now, before in zip(self.processor_seconds(), self.before)
        )
        return max(0, everybody - own), stolen

    def is_busy(self):
        return sum(self.percent()) > BUSY_PERCENT

    def sentence(self):
        load = lambda values: " ".join(f"{value:.2f}" for value in values)
        others, stolen = self.percent()
        busy = ": **a busy machine, these figures do not count**" if self.is_busy() else ""
        return (
            f"load average before {load(self.load)}, after {load(os.getloadavg())}; meanwhile other processes took"
            f" {others:.0f} % of the processors, and the host {stolen:.0f} %{busy}"
        )


def need_programs(options):
    if not Path(options.program).exists():
        sys.exit(f"`{options.program}` is not there: cargo build --release")
    if shutil.which(options.python) is None:
        sys.exit(f"`{options.python}` is not there: --python names the Python that has the rivals")


def version(program):
    return subprocess.run([program, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def shown_arguments():
    """What was typed, without the folders of this machine."""
    hidden, shown = {"--python", "--program", "--data", "--out", "--peak", "--folder"}, []
    words = iter(sys.argv[1:])
    for word in words:
        name, equals, _ = word.partition("=")
        if name in hidden:
            if not equals:
                next(words, None)
            shown.append(f"{name} …")
        else:
            shown.append(word)
    return shown


def say(text):
    print(text, file=sys.stderr, flush=True)
