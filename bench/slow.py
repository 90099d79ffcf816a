#!/usr/bin/env python3
"""What the slowest of few requests waited for. Loopback only, Linux' perf with tracepoints, root.

  slow.py [--rate 200] [--secs 20] [--rounds 1] [--bare] PROGRAM...   # hapax programs; nginx and no gateway beside them

Every request's moments (sent, at the provider, answered) are laid beside what ran on both cores (`sched:sched_switch`). Of
the slowest hundredth is said whose the cores were on their way to the provider and back, and of all others how slow they are
when nobody else wants a core. --bare: the distribution alone, without tracing.
"""
import argparse, bisect, collections, os, re, subprocess, time

import bench

# Less than this of anybody else: alone.
ALONE_US = 5
SWITCH = re.compile(r"\[(\d+)\]\s+([\d.]+):\s+prev_comm=(.*?) prev_pid=\d+.*next_comm=(.*?) next_pid=(\d+)")


def runs(trace):
    """(from, to, core, name, pid) of everything that ran, in ns."""
    text = subprocess.run(["perf", "script", "-i", trace, "--ns", "-F", "cpu,time,trace"], capture_output=True, text=True).stdout
    last, out = {}, []
    for line in text.splitlines():
        m = SWITCH.search(line)
        if m:
            core, at = int(m[1]), int(m[2].replace(".", ""))
            if core in last:
                begun, name, pid = last[core]
                out.append((begun, at, core, name, pid))
            last[core] = (at, m[4], int(m[5]))
    return sorted(out)


def threads(pid):
    return {int(task) for task in os.listdir(f"/proc/{pid}/task")}


def measure(name, command, url, a, folder, mock):
    trace, each = os.path.join(folder, "trace"), os.path.join(folder, "each")
    with bench.gateway(name, command, url) as gateway:
        time.sleep(0.6)
        subprocess.run(bench.load_command("closed", url, "--conns", "16", "--secs", "1"), capture_output=True)
        time.sleep(1)
        tracing = [] if a.bare else ["perf", "record", "-q", "-a", "-e", "sched:sched_switch", "-k", "CLOCK_MONOTONIC", "-m", "4096", "-o", trace]
        subprocess.run([*tracing, *bench.load_command("rate", url, "--rate", str(a.rate), "--secs", str(a.secs), "--each", each)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        house = threads(mock).union(*(threads(pid) for pid in bench.tree(gateway.pid)) if gateway else ())
        rows = [tuple(map(int, line.split())) for line in open(each)]
        over = sorted(got - sent - (left - came) for sent, came, left, got in rows)
        at = lambda part: over[min(len(over) - 1, int(part * len(over)))] / 1e3
        print(f"{name}: {len(over)} requests, p50 {at(.5):.0f} p90 {at(.9):.0f} p99 {at(.99):.0f} p99.9 {at(.999):.0f} most {over[-1] / 1e3:.0f} us", flush=True)
        if not a.bare:
            explain(rows, runs(trace), house)


def explain(rows, ran, house):
    """Whose the time of the slow ones was, and how slow the others are: those beside whom nobody else ran."""
    begins, longest = [run[0] for run in ran], max(run[1] - run[0] for run in ran)
    asked = []
    for sent, came, left, got in rows:
        spent = collections.Counter()
        for begun, end, core, name, pid in ran[bisect.bisect(begins, sent - longest):bisect.bisect(begins, got)]:
            if not pid or str(core) == bench.LOAD_CPU and (pid in house or name == "loadgen"):
                continue
            both = sum(max(0, min(end, high) - max(begun, low)) for low, high in ((sent, came), (left, got)))
            if both:
                spent[pid in house, f"{core}:{name}"] += both / 1e3
        asked.append(((got - sent - (left - came)) / 1e3, spent))
    asked.sort(key=lambda one: one[0])
    slow = asked[-max(1, len(asked) // 100):]
    for what, mine in (("its own threads", True), ("everybody else, kernel included", False)):
        mean = collections.Counter()
        for _, spent in slow:
            for (own, name), us in spent.items():
                if own == mine:
                    mean[name] += us / len(slow)
        print(f"  slowest hundredth, mean us of {what}: " + ", ".join(f"{name} {us:.0f}" for name, us in mean.most_common(8)))
    alone = [us for us, spent in asked if sum(us for (own, _), us in spent.items() if not own) < ALONE_US]
    among = sum(1 for _, spent in slow if sum(us for (own, _), us in spent.items() if not own) >= ALONE_US)
    if not alone:
        print("  all had others beside them: the machine is busy", flush=True)
        return
    at = lambda part: alone[min(len(alone) - 1, int(part * len(alone)))]
    print(f"  {among} of the {len(slow)} slowest had others beside them; the {len(alone)} requests that had nobody: p50 {at(.5):.0f} p90 {at(.9):.0f} p99 {at(.99):.0f} p99.9 {at(.999):.0f} us", flush=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("programs", nargs="+")
    p.add_argument("--rate", type=int, default=200)
    p.add_argument("--secs", type=float, default=20)
    p.add_argument("--rounds", type=int, default=1)
    p.add_argument("--bare", action="store_true")
    a = p.parse_args()
    gateways, folder = bench.side_by_side(a.programs, "hapax-slow-")
    mocks = bench.Mocks()
    try:
        for _ in range(a.rounds):
            for name, (command, url) in {"direct": (None, bench.URL.format(bench.MOCK_PORT)), **gateways}.items():
                measure(name, command, url, a, folder, mocks.pid)
    finally:
        mocks.stop()


main()
