"""CPU time and memory of a piece of work, and the table that sets them beside those of a named peer."""

import os
import resource
import subprocess
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path


def cost(work: Callable[..., Callable[[], None]], *arguments: object) -> tuple[float, float]:
    """CPU seconds and peak memory in MB of a piece of work.

    `work` makes ready, imports and loaded models included, and returns what is timed.
    """
    context = get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def run() -> None:
        ready = work(*arguments)
        before = os.times()
        ready()
        after = os.times()
        used = resource.getrusage(resource.RUSAGE_SELF)
        sender.send((after.user - before.user + after.system - before.system, used.ru_maxrss / 1024))

    process = context.Process(target=run)
    process.start()
    result = receiver.recv()
    process.join()
    return result


def best_times(work: Callable[[], object], repeats: int = 5) -> tuple[float, float]:
    """Least seconds that a piece of work takes, and least CPU seconds of all its threads."""
    times = []
    for _ in range(repeats):
        start, cpu = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - start, time.process_time() - cpu))
    return min(seconds for seconds, _ in times), min(cpu for _, cpu in times)


def program_cost(*command: str) -> tuple[float, float]:
    """CPU seconds and peak memory in MB of another program, as Linux counts them."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    peak = 0.0
    while True:
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = max(peak, *(int(line.split()[1]) / 1024 for line in status.splitlines() if "VmHWM" in line), 0)
        number, code, used = os.wait4(process.pid, os.WNOHANG)
        if number:
            assert code == 0, command
            return used.ru_utime + used.ru_stime, peak
        time.sleep(0.01)


def show(title: str, unit: str, rows: list[tuple[str, float, tuple[float, float]]]) -> None:
    """Print a table: rate of every way, its ratio to the last row's, the peer, and its peak memory."""
    print(f"\n{title}")
    print(f"  {'':58} {unit:>14} {'ratio':>8} {'peak MB':>8}")
    _, peer_amount, (peer_seconds, _) = rows[-1]
    for name, amount, (seconds, memory) in rows:
        rate = amount / seconds
        print(f"  {name:58} {rate:14.3g} {rate / (peer_amount / peer_seconds):8.1f} {memory:8.0f}")
