"""Processes of ours: simulated providers and gateways, started on free ports and ended together."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

HAPAX = os.environ["HAPAX"]
# What the clients' models begin with, and the type of provider that serves them.
KINDS = {
    "op": "openai",
    "oa": "openai_compatible",
    "an": "anthropic",
    "ol": "ollama",
    "ge": "gemini",
    "az": "azure",
    "o3": "openai",  # called like a model that thinks, and asked as Responses by everybody
}
MORE = {"o3": ", capabilities: {responses: all}"}
PATIENCE = 20.0
children = []


def start(*command):
    """Starts one process of ours and waits for the address it says it listens at."""
    process = subprocess.Popen(
        [HAPAX, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    )
    children.append(process)
    found, said = threading.Event(), []
    address = []

    def read():
        for line in process.stdout:
            if address:
                continue
            said.append(line)
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


def simulate():
    return start("simulate", "--listen", "127.0.0.1:0")


def serve(folder, name, text):
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return start("serve", "--config", str(path))


def provider(kind, url, model, extra=""):
    """One provider, as the configuration writes it."""
    models = [f"{kind}-*", "claude-*"] if kind == "an" else [f"{kind}-*"]
    return (
        f"{{type: {KINDS[kind]}, base_url: '{url}', api_key: sk-test, retries: 0, "
        f"model: {json.dumps(model)}, models: {json.dumps(models)}{MORE.get(kind, '')}{extra}}}"
    )


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
    children.clear()
