"""One line per check, and the answers the simulated providers are known to give."""

import os
import sys
import traceback

HEALTHY = os.environ["HAPAX_HEALTHY"]
FAULTY = os.environ["HAPAX_FAULTY"]
TIGHT = os.environ["HAPAX_TIGHT"]
ONLY = os.environ.get("SDK_ONLY", "")
KINDS = ["op", "oa", "an", "ol", "ge", "az", "o3"]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

failed = 0


def digest(text):
    """FNV-1a, as the simulator's."""
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return f"{value:08x}"


def expected(model, said):
    echo = " ".join(said.split()[:3])
    return f"You said {echo} ({digest(said)}), and here is a calm answer from {model}."


def check(name, run):
    """Runs one check; prints what became of it."""
    global failed
    if ONLY not in name:
        return
    try:
        run()
        print(f"ok {name}", flush=True)
    except Exception as error:
        failed += 1
        place = traceback.extract_tb(sys.exc_info()[2])
        lines = [frame.lineno for frame in place if "/sdk/checks" in frame.filename or "/sdk/python" in frame.filename]
        words = " ".join(f"{type(error).__name__}: {error}".split())[:600]
        print(f"FAIL {name}: line {lines[-1] if lines else '?'}: {words}", flush=True)


def same(got, wanted):
    if got != wanted:
        raise AssertionError(f"got {got!r}, wanted {wanted!r}")


def holds(truth, *facts):
    if not truth:
        raise AssertionError(f"not so: {facts!r}")


def raises(kind, run):
    """The error that `run` must end with, of exactly this class of the client's."""
    try:
        run()
    except Exception as error:
        if not isinstance(error, kind):
            raise AssertionError(f"raised {type(error).__name__} ({error}), wanted {kind.__name__}") from error
        return error
    raise AssertionError(f"nothing was raised, wanted {kind.__name__}")


def ended():
    sys.exit(1 if failed else 0)
