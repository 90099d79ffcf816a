#!/usr/bin/env python3
"""The first moment of many callers at once: how late the last are, and what one costs. Loopback only, seconds.

  burst.py [--callers 300] [--reps 6] [--again SECS] PROGRAM...   # hapax programs, taken in turns, nginx beside them

Each gateway is started anew, served by 64 callers for half a second, and then asked by all of them at once, who wait half
a second for their provider. While they wait it is looked at: CPU, page faults and switches since the moment before.
--again: the second such moment, so many seconds after the first one's end, when threads and connections may be there already.
"""
import argparse, json, os, statistics, subprocess, time

import bench


def used(pid):
    """CPU us, page faults, switches and threads of a process' living threads."""
    cpu = switches = threads = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            cpu += int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0])
            lines = open(f"/proc/{pid}/task/{task}/status").read().split("\n")
            switches += sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
            threads += 1
        except OSError:
            pass
    stat = open(f"/proc/{pid}/stat").read()
    return cpu / 1e3, int(stat[stat.rfind(")") + 2:].split()[7]), switches, threads


def master(pid):
    """nginx works in a child."""
    kids = open(f"/proc/{pid}/task/{pid}/children").read().split()
    return int(kids[0]) if kids else pid


def load(url, *words):
    return subprocess.Popen(bench.load_command("closed", url, *words), stdout=subprocess.PIPE, text=True)


def one(command, url, callers, again):
    with bench.gateway(command[0], command, url) as gateway:
        time.sleep(0.5)
        load(url, "--conns", "64", "--secs", "0.5").communicate()
        time.sleep(0.3)
        pid = master(gateway.pid)
        crowd = ["--conns", str(callers), "--secs", "0.4", "--plan", "d=500"]
        if again:
            load(url, *crowd).communicate()
            time.sleep(again)
        before = used(pid)
        burst = load(url, *crowd)
        time.sleep(0.35)
        after = used(pid)
        answer = json.loads(burst.communicate()[0].strip().splitlines()[-1])
        cpu, faults, switches = [(b - a) / callers for a, b in zip(before[:3], after[:3])]
        late = answer["over_us"]
        return {"p50": late["p50"] / 1e3, "p90": late["p90"] / 1e3, "p99": late["p99"] / 1e3, "cpu": cpu, "faults": faults, "switches": switches,
                "threads": after[3] - before[3], "ok": answer["ok"]}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("programs", nargs="+")
    p.add_argument("--callers", type=int, default=300)
    p.add_argument("--reps", type=int, default=6)
    p.add_argument("--again", type=float)
    a = p.parse_args()
    gateways, _ = bench.side_by_side(a.programs, "hapax-burst-")
    mocks = bench.Mocks()
    seen = {name: [] for name in gateways}
    try:
        for _ in range(a.reps):
            for name, (command, url) in gateways.items():
                seen[name].append(one(command, url, a.callers, a.again))
    finally:
        mocks.stop()
    keys = ["p50", "p90", "p99", "cpu", "faults", "switches", "threads", "ok"]
    print("| | p50, ms late | p90 | p99 | CPU us/caller | page faults | switches | threads started | answered |\n" + "|---" * 9 + "|")
    for name, rows in seen.items():
        print(f"| {name} | " + " | ".join(f"{statistics.median(row[k] for row in rows):.1f}" for k in keys) + " |")
        print("  p90 of each: " + ", ".join(f"{row['p90']:.0f}" for row in rows))


main()
