"""From what was measured to what is printed: pairs, spreads, rows. Nothing here starts, waits or measures.

A record is one gateway's round: {"name", "series", "rep", figures of its own, and for each step a list of its turns}. What two
gateways did in the same turn, seconds apart, is a pair; a ratio is the median of the pairs' ratios, because the machine itself
moves by a quarter from minute to minute, and only what lies side by side moves together.
"""
import json, statistics

# What cannot be read from a turn is left out: a step not run, a step without an answer, a figure of nothing.
ABSENT = (KeyError, TypeError, ValueError, ZeroDivisionError, IndexError)


def load(files):
    """{gateway: {(file, series, round): record}} of every round that went well."""
    by = {}
    for at, name in enumerate(files):
        with open(name) as file:
            for r in map(json.loads, file):
                if "error" not in r:
                    by.setdefault(r["name"], {})[at, r.get("series", 0), r["rep"]] = r
    return by


def seen(rows, step, f):
    """{(round, turn): f(turn)} of one gateway; without a step f of the round itself."""
    out = {}
    for where, r in rows.items():
        for turn, t in enumerate([r] if step is None else r.get(step, [])):
            try:
                x = f(t)
            except ABSENT:
                continue
            if x is not None:
                out[where, turn] = x
    return out


def paired(ours, theirs, join):
    """join(ours, theirs) of every turn that both have."""
    return {at: join(ours[at], theirs[at]) for at in ours if at in theirs}


def less(ours, theirs):
    return paired(ours, theirs, lambda a, b: a - b)


def ratios(ours, theirs):
    """Of what is not more than nothing there is no ratio."""
    return paired(ours, {at: x for at, x in theirs.items() if x > 0}, lambda a, b: a / b)


def median(figures):
    return statistics.median(figures.values()) if figures else None


def fmt(x, d=0):
    return "-" if x is None else f"{x:,.{d}f}"


def spread(figures, d=0):
    return f"{fmt(min(figures.values()), d)} – {fmt(max(figures.values()), d)}" if figures else "-"


def verdict(figures, how, goal):
    """Of the median; "edge" where some of the figures keep the goal and others do not. Of what may never be, of all."""
    if not figures or goal is None:
        return "-"
    if how == "never":
        return "**no**" if any(figures.values()) else "pass"
    kept = (lambda x: x <= goal) if how == "<=" else (lambda x: x >= goal)
    word = "pass" if kept(median(figures)) else "**no**"
    return word if len(set(map(kept, figures.values()))) == 1 else f"edge ({word})"


def line(cells):
    print("| " + " | ".join(cells) + " |", flush=True)


def head(cells):
    line(cells)
    line(["---"] * len(cells))


def failed(t):
    return t["bad_status"] + t["io_err"]


def over500(t):
    return (t["lat_us"]["p99"] - 500000) / 1000


def cpu(t):
    return t["cpu_us_per_req"]


def table(files):
    """Medians of every gateway's own figures over all turns of all rounds."""
    by = load(files)
    direct = by.get("direct", {})

    def med(rows, step, f, d=0, floor=False):
        mine = seen(rows, step, f)
        return fmt(median(less(mine, seen(direct, step, f)) if floor and rows is not direct else mine), d)

    def worst(rows, f, *steps):
        """Of a round the highest, of the rounds the median."""
        most = {}
        for step in steps:
            for (where, _), x in seen(rows, step, f).items():
                most[where] = max(x, most.get(where, x))
        return median(most)

    def total(rows, f, *steps):
        return str(sum(sum(seen(rows, step, f).values()) for step in steps))

    loads = ("rate", "max", "wait300", "big", "translated", "crowd1000", "crowd3000")
    print("### Requests (mock delay 0)\n")
    head(["gateway", "added p50 us @50/s", "added p50 us @200/s", "added p99 us @200/s", "max req/s (64 conns)", "lowest – highest", "p50 / p99 us at max", "CPU us/req at max", "CPU us/req @200/s", "gateway core %", "100 KB prompt: req/s", "CPU us/req", "errors", "foreign CPU %", "idle gateways' CPU %"])
    for n, rows in by.items():
        line([
            n,
            med(rows, "rate50", lambda t: t["over_us"]["p50"], floor=True),
            med(rows, "rate", lambda t: t["over_us"]["p50"], floor=True),
            med(rows, "rate", lambda t: t["over_us"]["p99"], floor=True),
            med(rows, "max", lambda t: t["rps"]),
            spread(seen(rows, "max", lambda t: t["rps"])),
            med(rows, "max", lambda t: t["lat_us"]["p50"]) + " / " + med(rows, "max", lambda t: t["lat_us"]["p99"]),
            med(rows, "max", cpu, 1),
            med(rows, "rate", cpu),
            med(rows, "max", lambda t: 100 * t["cpu_s"] / t["wall_s"]),
            med(rows, "big", lambda t: t["rps"]),
            med(rows, "big", cpu, 1),
            total(rows, failed, "warm", *loads),
            fmt(worst(rows, lambda t: 100 * t["foreign"], *loads)),
            fmt(worst(rows, lambda t: 100 * t["beside"], *loads), 1),
        ])
    print("\n### Concurrency and streams\n")
    head(["gateway", "300 x 500 ms: req/s", "% of direct", "p99 over 500 ms, ms", "200 SSE: added ms per chunk p50", "chunk delay p99 ms", "TTFT added ms p50", "TTFT p99 ms", "CPU us/chunk", "failed", "500 SSE: chunk delay p50 ms", "p99 ms", "failed"])
    for n, rows in by.items():
        waited = seen(rows, "wait300", lambda t: t["rps"])
        line([
            n,
            fmt(median(waited)),
            fmt(median({at: 100 * x for at, x in ratios(waited, seen(direct, "wait300", lambda t: t["rps"])).items()}), 1),
            med(rows, "wait300", over500, 1),
            med(rows, "sse200", lambda t: t["chunk_delay_us"]["p50"] / 1000, 3, floor=True),
            med(rows, "sse200", lambda t: t["chunk_delay_us"]["p99"] / 1000, 2),
            med(rows, "first", lambda t: t["ttft_us"]["p50"] / 1000, 3, floor=True),
            med(rows, "first", lambda t: t["ttft_us"]["p99"] / 1000, 2),
            med(rows, "sse200", cpu, 1),
            total(rows, lambda t: t["streams_failed"], "sse200"),
            med(rows, "sse500", lambda t: t["chunk_delay_us"]["p50"] / 1000, 3),
            med(rows, "sse500", lambda t: t["chunk_delay_us"]["p99"] / 1000, 2),
            total(rows, lambda t: t["streams_failed"], "sse500"),
        ])
    if any(seen(rows, "crowd1000", failed) or seen(rows, "crowd3000", failed) for rows in by.values()):
        print("\n### More callers than it can serve at once\n")
        head(["gateway"] + [f"{callers} callers: {what}" for callers in ("1,000", "3,000") for what in ("req/s", "p50 ms", "p99 ms", "CPU us/req", "failed")])
        for n, rows in by.items():
            cells = [n]
            for step in ("crowd1000", "crowd3000"):
                cells += [med(rows, step, lambda t: t["rps"]), med(rows, step, lambda t: t["lat_us"]["p50"] / 1000, 1), med(rows, step, lambda t: t["lat_us"]["p99"] / 1000, 1), med(rows, step, cpu, 1)]
                cells.append(total(rows, failed, step))
            if set(cells[1:]) != {"-", "0"}:
                line(cells)
    print("\n### Footprint\n")
    head(["gateway", "RSS idle MB", "RSS after all MB", "peak RSS at max MB", "peak RSS 500 SSE MB", "peak RSS (HWM) MB", "threads idle / peak", "start to first 200 ms", "disk MB", "upstream conns opened at max (per 1000 req)", "rounds"])
    for n, rows in by.items():
        line([
            n,
            med(rows, None, lambda r: r["idle_kb"] / 1024, 1),
            med(rows, None, lambda r: r["after_kb"] / 1024, 1),
            fmt(worst(rows, lambda t: t["rss_peak_kb"] / 1024, "max"), 1),
            med(rows, "sse500", lambda t: t["rss_peak_kb"] / 1024, 1),
            fmt(worst(rows, lambda t: t["hwm_kb"] / 1024, "max", "sse500", "big"), 1),
            med(rows, None, lambda r: r["idle_threads"]) + " / " + fmt(worst(rows, lambda t: t["threads"], "max", "wait300", "sse500")),
            med(rows, None, lambda r: r["start_ms"], 1),
            med(rows, None, lambda r: r["disk_kb"] / 1024, 1),
            med(rows, "max", lambda t: 1000 * t["up_conns"] / max(1, t["up_reqs"]), 2),
            str(len(rows)),
        ])


class Goals:
    """The goals' rows of one series: (name, nginx, Hapax, digits of both, what is held against the goal, how, goal)."""

    def __init__(self, by):
        self.direct, self.nginx, self.hapax = (by.get(name, {}) for name in ("direct", "nginx", "hapax"))
        self.rows = []

    def ratio(self, name, step, f, how, goal, d=1, floor=False):
        """Hapax' figure over nginx', turn by turn; what no gateway at all takes is taken off both first."""
        n, h = seen(self.nginx, step, f), seen(self.hapax, step, f)
        if floor:
            none = seen(self.direct, step, f)
            n, h = less(n, none), less(h, none)
        self.rows.append((f"{name}, x nginx", n, h, d, ratios(h, n), how, goal))

    def difference(self, name, step, f, how, goal, d=2):
        n, h = seen(self.nginx, step, f), seen(self.hapax, step, f)
        self.rows.append((f"{name}, over nginx's", n, h, d, less(h, n), how, goal))

    def own(self, name, step, f, how, goal):
        """Of Hapax alone."""
        h = seen(self.hapax, step, f)
        self.rows.append((name, seen(self.nginx, step, f), h, 2, h, how, goal))


def rows(by, rest_secs):
    g = Goals(by)
    chunk = lambda t: t["chunk_delay_us"]["p99"] / 1000
    g.ratio("CPU per request at full load, us", "max", cpu, "<=", 1.5)
    g.ratio("requests/s on one core, 64 connections", "max", lambda t: t["rps"], ">=", 0.65, d=0)
    g.ratio("added p50 at 200/s, us", "rate", lambda t: t["over_us"]["p50"], "<=", 1.2, d=0, floor=True)
    g.ratio("added p99 at 200/s, us", "rate", lambda t: t["over_us"]["p99"], "<=", 1.2, d=0, floor=True)
    g.ratio("100 KB prompt: CPU per request, us", "big", cpu, "<=", 1.3)
    whole = lambda rows: {at: 100 * x for at, x in ratios(*(seen(some, "wait300", lambda t: t["rps"]) for some in (rows, g.direct))).items()}
    g.rows.append(("300 callers x 500 ms: requests/s, % of direct", whole(g.nginx), whole(g.hapax), 1, whole(g.hapax), ">=", 99.5))
    g.ratio("300 callers x 500 ms: p99 over 500 ms, ms", "wait300", over500, "<=", 1.2)
    g.ratio("200 streams: CPU per chunk, us", "sse200", cpu, "<=", 1.0)
    g.ratio("200 streams: added time to first token p50, us", "first", lambda t: t["ttft_us"]["p50"], "<=", 1.2, d=0, floor=True)
    g.own("500 streams: failed or not whole", "sse500", lambda t: t["streams_failed"], "never", 0)
    g.difference("500 streams: chunk p99, ms", "sse500", chunk, "<=", 0.1)
    g.own("2,000 streams: failed or not whole", "sse2000", lambda t: t["streams_failed"], "never", 0)
    g.difference("2,000 streams: chunk p99, ms", "sse2000", chunk, "<=", 0.1)
    g.ratio("500 streams: peak resident, MB", "sse500", lambda t: t["rss_peak_kb"] / 1024, "<=", 1.0)
    g.ratio("translated (OpenAI in, Anthropic out): CPU, us", "translated", cpu, "<=", 2.0)
    g.own("64 identical callers: calls upstream per answer", "same", lambda t: t["up_reqs"] / t["ok"], "<=", 0.1)
    for step, callers in (("crowd1000", "1,000"), ("crowd3000", "3,000")):
        g.own(f"{callers} callers: failed", step, failed, "never", 0)
        g.ratio(f"{callers} callers: requests/s", step, lambda t: t["rps"], None, None, d=0)
        g.ratio(f"{callers} callers: p99, ms", step, lambda t: t["lat_us"]["p99"] / 1000, None, None)
    g.own("10,000 idle connections: resident, MB", "idle10k", lambda t: t["rss_kb"] / 1024, "<=", 64)
    g.own("10,000 idle connections: not held", "idle10k", lambda t: t["failed"] + t["closed"], "never", 0)
    g.own("resident idle, MB", None, lambda r: r["idle_kb"] / 1024, "<=", 4)
    g.own(f"resident {rest_secs} s after the series, x idle", None, lambda r: r["rested_kb"] / r["idle_kb"], "<=", 1.5)
    g.ratio("start to first answer, ms", None, lambda r: r["start_ms"], "<=", 0.7)
    g.own("binary, MB", None, lambda r: r["disk_kb"] / 1024, "<=", 4)
    return g.rows


def row(name, n, h, d, held, how, goal):
    """The cells of one row."""
    never = how == "never"  # a failure is not made good by two turns without one
    one = (lambda figures: sum(figures.values()) if figures else None) if never else median
    d, digits = (0, 0) if never else (d, 2)
    aim = "-" if goal is None else f"{goal}" if never else f"{how} {goal:g}"
    return [name, fmt(one(n), d), fmt(one(h), d), fmt(one(held), digits), spread(held, digits), str(len(held)), aim, verdict(held, how, goal)]


def goals(files, rest_secs):
    """Hapax against the goals: the median of the turns, each beside nginx' own a few seconds apart."""
    print("\n### Goals\n")
    head(["", "nginx", "Hapax", "measured", "lowest – highest", "turns", "goal", ""])
    for one in rows(load(files), rest_secs):
        line(row(*one))
