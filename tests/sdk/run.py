"""Starts simulated providers and gateways, runs the Python and Node clients against them, and counts."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from house import KINDS, provider, serve, simulate, stop

HERE = pathlib.Path(__file__).parent
ROOM = pathlib.Path(os.environ["SDK_ROOM"])
# Each fault is a provider of its own, so that a busy or broken one takes no other check with it.
FAULTS = {
    "badrequest": "bad_request",
    "unknown": "unknown_model",
    "busy": "status=429,header=Retry-After:7",
    "broken": "status=500",
    "closed": "close",
    "silent": "stall",
    "cut": "cut_after=3",
    "refused": "status=401",
}


def healthy(urls):
    lines = ["server: {listen: '127.0.0.1:0'}", "providers:"]
    for kind, url in urls.items():
        lines.append(f"  {kind}: {provider(kind, url, f'{kind}-m')}")
    lines += [f"provider_preference: [{', '.join(urls)}]", "deduplicate: always"]
    return "\n".join(lines) + "\n"


def faulty(urls):
    def key(name, more=""):
        digest = hashlib.sha256(f"hpx-{name}".encode()).hexdigest()
        return f"    - {{name: {name}, hash: 'sha256:{digest}'{more}}}"

    lines = ["server: {listen: '127.0.0.1:0'}", "providers:"]
    models = ["models:"]
    for kind, url in urls.items():
        for fault, behaviour in FAULTS.items():
            model = f"{kind}-m!{behaviour}"
            extra = ", timeouts: {first_token: 300ms}" if fault == "silent" else ""
            lines.append(f"  {kind}_{fault}: {provider(kind, url, model, extra)}")
            models.append(f"  {kind}-{fault}: [{json.dumps(f'{kind}_{fault}/{model}')}]")
    lines += models
    lines += ["circuit_breaker: {failure_threshold: 1000}", "retry: {wait_max: 10ms}", "auth:", "  keys:"]
    lines += [key("good"), key("narrow", ", models: ['nothing-*']"), key("slow", ", limits: {requests_per_minute: 1}")]
    return "\n".join(lines) + "\n"


def tight(urls):
    one = "server: {listen: '127.0.0.1:0', workers: 1, queue: 1}"
    return healthy({"oa": urls["oa"]}).replace("server: {listen: '127.0.0.1:0'}", one)


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    began = time.monotonic()
    passed = failed = 0
    with tempfile.TemporaryDirectory(dir=ROOM) as folder:
        folder = pathlib.Path(folder)
        try:
            urls = {kind: simulate() for kind in KINDS}
            environment = dict(
                os.environ,
                HAPAX_HEALTHY=serve(folder, "healthy", healthy(urls)),
                HAPAX_FAULTY=serve(folder, "faulty", faulty(urls)),
                HAPAX_TIGHT=serve(folder, "tight", tight(urls)),
                SDK_ONLY=only,
                NODE_PATH=str((ROOM / "node" / "node_modules").resolve()),
                NO_PROXY="127.0.0.1",
            )
            node_program = ROOM / "node" / "checks.mjs"
            node_program.write_text((HERE / "checks.mjs").read_text())
            programs = [
                [sys.executable, str(HERE / "checks.py")],
                ["node", str(node_program)],
            ]
            for program in programs:
                run = subprocess.run(program, env=environment, stdout=subprocess.PIPE, text=True, timeout=170)
                sys.stdout.write(run.stdout)
                passed += sum(line.startswith("ok ") for line in run.stdout.splitlines())
                failed += sum(line.startswith("FAIL ") for line in run.stdout.splitlines())
                if run.returncode not in (0, 1) or not run.stdout and not only:
                    print(f"FAIL {program[-1]} ended with {run.returncode}")
                    failed += 1
        finally:
            stop()
    print(f"{passed} passed, {failed} failed in {time.monotonic() - began:.0f} s")
    sys.exit(1 if failed or not passed else 0)


main()
