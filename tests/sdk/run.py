"""Starts simulated providers and gateways, runs the Python and Node clients against them, and counts."""

import hashlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).parent
HAPAX = os.environ["HAPAX"]
ROOM = pathlib.Path(os.environ["SDK_ROOM"])
KINDS = {"oa": "openai_compatible", "an": "anthropic", "ol": "ollama"}
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
PATIENCE = 20.0
children = []


def start(*command, config=None):
    """Starts one process of ours and waits for the address it says it listens at."""
    process = subprocess.Popen(
        [HAPAX, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )
    children.append(process)
    found, said = threading.Event(), []
    address = []

    def read():
        for line in process.stdout:
            said.append(line)
            if not address:
                for word in line.replace(",", " ").replace('"', " ").split():
                    bare = word.removeprefix("http://").rstrip(":")
                    if bare.startswith("127.0.0.1:") and not bare.endswith(":0"):
                        address.append(bare)
                        found.set()
                        break

    threading.Thread(target=read, daemon=True).start()
    if not found.wait(PATIENCE):
        sys.exit(f"hapax {' '.join(command)} did not say where it listens:\n{''.join(said)}")
    return f"http://{address[0]}"


def provider(kind, url, model, extra=""):
    models = json.dumps([f"{kind}-*", "claude-*"] if kind == "an" else [f"{kind}-*"])
    return (
        f"{{type: {KINDS[kind]}, base_url: '{url}', api_key: sk-test, retries: 0, "
        f"model: {json.dumps(model)}, models: {models}{extra}}}"
    )


def healthy(urls):
    lines = ["server: {listen: '127.0.0.1:0'}", "providers:"]
    for kind, url in urls.items():
        lines.append(f"  {kind}: {provider(kind, url, f'{kind}-m')}")
    lines += ["provider_preference: [oa, an, ol]", "deduplicate: always"]
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
    return healthy({"oa": urls["oa"]}).replace(
        "provider_preference: [oa, an, ol]\n", "provider_preference: [oa]\n"
    ).replace("server: {listen: '127.0.0.1:0'}", "server: {listen: '127.0.0.1:0', workers: 1, queue: 1}")


def serve(folder, name, text):
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return start("serve", "--config", str(path))


def stop():
    for process in children:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
    limit = time.monotonic() + 5
    for process in children:
        try:
            process.wait(max(0.1, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()


def main():
    only = sys.argv[1] if len(sys.argv) > 1 else ""
    began = time.monotonic()
    passed = failed = 0
    with tempfile.TemporaryDirectory(dir=ROOM) as folder:
        folder = pathlib.Path(folder)
        try:
            urls = {kind: start("simulate", "--listen", "127.0.0.1:0") for kind in KINDS}
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
