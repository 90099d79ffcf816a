"""Schemathesis against the OpenAPI document that a running gateway serves, once before a provider of each type."""

import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "sdk"))
from house import KINDS, provider, serve, simulate, stop  # noqa: E402

ROOM = pathlib.Path(os.environ["SCHEMA_ROOM"])
KEY = "hpx-good"
# Requests made up per operation, beside those that cover every field's bounds.
EXAMPLES = os.environ.get("SCHEMA_EXAMPLES", "25")
# One run's patience, in seconds; it takes about twenty.
LIMIT = 240
# That whatever the schema allows is accepted, no schema of a conversation can promise: which tool result belongs to
# which call, what one vendor's model has a place for. All else is asked.
LEFT_OUT = "positive_data_acceptance"


def configuration(kind, url):
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    return (
        "server: {listen: '127.0.0.1:0'}\n"
        f"providers:\n  {kind}: {provider(kind, url, f'{kind}-m')}\n"
        f"auth:\n  wrong_keys_per_minute: 1000000\n  keys:\n    - {{name: good, hash: 'sha256:{digest}'}}\n"
    )


def check(gateway):
    """Whether schemathesis found nothing; what it found is printed."""
    command = [
        str((ROOM / "venv" / "bin" / "schemathesis").absolute()), "run", f"{gateway}/openapi.json",
        "--header", f"Authorization: Bearer {KEY}",
        "--exclude-operation-id", "watch",  # it never ends
        "--phases", "examples,coverage,fuzzing", "--checks", "all", "--exclude-checks", LEFT_OUT,
        "--seed", "1", "--generation-database", "none", "--max-examples", EXAMPLES, "--workers", "1",
        "--continue-on-failure", "--request-timeout", "20", "--warnings", "off",
    ]
    # It keeps notes where it stands.
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT, cwd=ROOM)
    lines = run.stdout.splitlines()
    cases = next((line.strip() for line in lines if "generated" in line), "nothing was generated")
    if run.returncode:
        print("\n".join(line[:2000] for line in lines))
    return run.returncode == 0 and "generated" in cases, cases


def main():
    began, wrong = time.monotonic(), []
    with tempfile.TemporaryDirectory(dir=ROOM) as folder:
        for kind in KINDS:
            try:
                fine, cases = check(serve(pathlib.Path(folder), kind, configuration(kind, simulate())))
            finally:
                stop()
            print(f"{'ok' if fine else 'FAIL'} {KINDS[kind]}: {cases}", flush=True)
            wrong += [] if fine else [kind]
    print(f"{len(KINDS) - len(wrong)} of {len(KINDS)} runs are clean, in {time.monotonic() - began:.0f} s")
    sys.exit(1 if wrong else 0)


main()
