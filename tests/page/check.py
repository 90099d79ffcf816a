"""Looks at the status page in a real browser, in front of real gateways and simulated providers.

    python3 tests/page/check.py HAPAX CHROMIUM FOLDER
"""

import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time

from browser import Browser

HAPAX, CHROMIUM, FOLDER = sys.argv[1:4]
SIZES = [(360, 780), (768, 1024), (1280, 900)]
started = []


def start(*words, until):
    """A command of ours, and the match of the line that says it is ready."""
    child = subprocess.Popen([HAPAX, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             env={"PATH": os.environ["PATH"]})
    started.append(child)
    for text in child.stdout:
        if match := re.search(until, text):
            # What it says from here on is nobody's business, but must not block it.
            subprocess.Popen(["cat"], stdin=child.stdout, stdout=subprocess.DEVNULL)
            return child, match
    raise AssertionError(f"hapax {words} did not start")


def simulator(listen="127.0.0.1:0"):
    child, match = start("simulate", "--listen", listen, until=r"Simulated provider at http://(\S+):(\d+):")
    return child, f"{match[1]}:{match[2]}"


def gateway(folder, providers, more=""):
    lines = [f"  {name}: {{type: {kind}, base_url: 'http://{address}', api_key: sk-x, model: {name}-1, retries: 0}}"
             for name, (kind, address) in providers.items()]
    path = os.path.join(folder, f"config{len(started)}.yaml")
    with open(path, "w") as file:
        file.write("server: {listen: '127.0.0.1:0'}\nproviders:\n" + "\n".join(lines) + "\n"
                   "circuit_breaker: {failure_threshold: 1, timeout: 1s}\nhealth_check: {interval: 2s}\n" + more)
    child, match = start("serve", "--config", path, until=r"listens on (127\.0\.0\.1:\d+)")
    return child, match[1], path


def chat(address, stream=False, key=None):
    host = http.client.HTTPConnection(address, timeout=20)
    headers = {"Content-Type": "application/json"} | ({"Authorization": "Bearer " + key} if key else {})
    body = {"stream": stream, "messages": [{"role": "user", "content": f"Hello {time.monotonic_ns()}"}]}
    host.request("POST", "/v1/chat/completions", json.dumps(body), headers)
    answer = host.getresponse()
    answer.read()
    host.close()
    return answer.status, answer.getheader("X-Hapax-Attempts")


# Every text's contrast with what is behind it (WCAG 2.2, 1.4.3), and whether anything is wider than the window.
CONTRAST = """(() => {
  const part = c => { c /= 255; return c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => .2126 * part(r) + .7152 * part(g) + .0722 * part(b);
  const colour = text => text.match(/[\\d.]+/g).map(Number);
  const behind = e => { for (; e; e = e.parentElement) { const c = colour(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; } return [255, 255, 255]; };
  const poor = [];
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility() || /^(SCRIPT|STYLE)$/.test(e.tagName)) continue;
    const [a, b] = [light(colour(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) poor.push(e.textContent.slice(0, 40) + " " + ((a + .05) / (b + .05)).toFixed(2));
  }
  return { poor, wide: document.documentElement.scrollWidth };
})()"""
VERDICT = "document.getElementById('verdict').textContent"


def soon(took):
    """Within a second, where the machine has a hand free for it: a browser that waits for its turn says nothing about us."""
    if os.getloadavg()[0] > (os.cpu_count() or 1):
        print(f"page-check: {took:.2f} s under a load of {os.getloadavg()[0]:.1f}: not judged")
    else:
        assert took < 1.0, f"the page took {took:.2f} s"


def pictures(browser, name):
    for width, height in SIZES:
        for scheme in ("light", "dark"):
            browser.look(width, height, scheme)
            found = browser.value(CONTRAST)
            assert not found["poor"], f"{name} {width} {scheme}: poor contrast: {found['poor']}"
            assert found["wide"] <= width, f"{name} {width}: the page is {found['wide']} pixels wide"
            browser.screenshot(os.path.join(FOLDER, f"{name}-{width}-{scheme}.png"))


def outage(browser, folder):
    """A provider dies; whoever looks knows within a second, and knows again when it is back."""
    first, first_at = simulator()
    _, second_at = simulator()
    child, address, path = gateway(folder, {"near": ("openai_compatible", first_at), "far": ("anthropic", second_at)})
    for i in range(24):
        assert chat(address, stream=i % 2 == 0)[0] == 200
    browser.open(f"http://{address}/")
    browser.until(f"{VERDICT} === 'Both providers are well.'", 10, "everything is well")
    browser.until("document.getElementById('live').textContent === '● live'", 5, "it is live")
    spoken = browser.spoken()
    for wanted in [("heading", "Hapax"), ("heading", "Last requests"), ("table", "Last requests"), ("row", None),
                   ("columnheader", "Status"), ("radio", "all"), ("radio", "only those with trouble"), ("status", None),
                   ("heading", "near● well")]:
        there = any(role == wanted[0] and (wanted[1] is None or name.replace(" ", "") == wanted[1].replace(" ", "")) for role, name in spoken)
        assert there, f"a screen reader is not told of {wanted}: {spoken[:80]}"
    assert all(name for role, name in spoken if role in ("radio", "link", "button", "textbox")), "something has no name"
    pictures(browser, "well")

    first.terminate()
    first.wait()
    status, attempts = chat(address)
    took = browser.until(f"{VERDICT} === 'near is in trouble; far goes on.'", 3, "the outage is seen")
    assert status == 200 and attempts.startswith("near:refused:"), (status, attempts)
    soon(took)
    because = browser.value("document.getElementById('because').textContent")
    assert because.startswith("near: connection refused, "), because
    row = browser.value("document.querySelector('#recent tr').innerText.replaceAll('\\t', ' ')")
    assert "connection refused" in row and "far" in row, row
    print(f"page-check: an outage is on the page {took * 1000:.0f} ms after the answer: {because.strip()}")
    chat(address, stream=True)
    pictures(browser, "outage")

    # By keyboard alone: to the choice of requests, and to those with trouble.
    browser.value("document.activeElement.blur()")
    browser.press("Tab")
    assert browser.value("document.activeElement.name") == "which", "the first stop is the choice"
    browser.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39)
    rows = browser.value("[...document.querySelectorAll('#recent tr')].length")
    assert rows < 26 and browser.value("document.getElementById('odd').checked"), rows
    outline = browser.value("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", f"the focus is not to be seen: {outline}"

    first, _ = simulator(first_at)
    browser.until(f"{VERDICT} === 'near is on trial again; far goes on.'", 20, "its checks succeed")
    assert chat(address)[1].startswith("near:200"), "the next request tries it"
    took = browser.until(f"{VERDICT} === 'Both providers are well.'", 20, "it is back")
    soon(took)

    # A wrong configuration is told, and goes away when it is right again.
    with open(path) as file:
        right = file.read()
    with open(path, "w") as file:
        file.write(right.replace("failure_threshold", "failure_treshold"))
    browser.until("!document.getElementById('refused').hidden", 10, "the wrong configuration is told")
    words = browser.value("document.getElementById('refused').textContent")
    assert "failure_treshold" in words and folder not in words, words
    pictures(browser, "refused")
    with open(path, "w") as file:
        file.write(right + "retry: {wait_max: 3s}\n")
    browser.until("document.getElementById('refused').hidden", 10, "the right one is in service")

    child.terminate()
    child.wait()
    took = browser.until(f"{VERDICT}.startsWith('No answer from Hapax since')", 10, "silence is not calm")
    assert browser.value("document.title") == "! Hapax"
    browser.look(768, 1024, "light")
    browser.screenshot(os.path.join(FOLDER, "silent-768-light.png"))
    return address


def locked(browser, folder):
    """With keys: asked for once, never in an address, and refused in words."""
    _, at = simulator()
    def made(name):
        said = subprocess.run([HAPAX, "keys", "new", name], capture_output=True, text=True, check=True).stdout
        return re.search(r"hpx_\w+", said)[0], re.search(r"- (\{name.*)\}", said)[1]

    (key, line), (narrow, other) = made("bot"), made("narrow")
    line += ", admin: true, budget: {usd: 50, per: day}}, " + other + ", endpoints: [/v1/chat/completions]}"
    _, address, _ = gateway(folder, {"near": ("openai_compatible", at)}, f"auth: {{keys: [{line}]}}\nprices: {{near-1: {{input: 1000, output: 1000}}}}\n")
    assert chat(address, key=key)[0] == 200
    browser.open(f"http://{address}/")
    browser.until("!document.getElementById('ask').hidden", 10, "a key is asked for")
    assert browser.value("document.activeElement.id") == "key", "the field has the focus"
    assert browser.value("document.getElementById('state').checkVisibility()") is False
    pictures(browser, "locked")
    browser.type("wrong")
    browser.press("Enter")
    browser.until("document.getElementById('denied').textContent === 'This key is not accepted.'", 5, "refused in words")
    browser.value("document.getElementById('key').focus()")
    browser.type(narrow)
    browser.press("Enter")
    browser.until("document.getElementById('denied').textContent === 'This key may not see this page.'", 5, "nor is one for other things taken")
    browser.value("document.getElementById('key').focus()")
    browser.type(key)
    browser.press("Enter")
    browser.until(f"{VERDICT} === 'near is well.'", 5, "the state is shown")
    browser.until("document.getElementById('live').textContent === '● live'", 5, "it is live")
    browser.until("document.querySelector('#usage tr')?.innerText.includes(' today')", 5, "usage and budget by key")
    used = browser.value("document.querySelector('#usage tr').innerText.replaceAll('\\t', ' ')")
    assert re.match(r"bot 1 \d+, \d+ \$0\.\d+ \$0\.\d+ of \$50\.00 today", used), used
    assert ("meter", None) in [(role, None) for role, _ in browser.spoken()], "the budget is a meter"
    stored = browser.value("JSON.stringify([Object.entries(localStorage), Object.entries(sessionStorage), document.cookie, location.href])")
    assert key not in stored, "the key is kept somewhere"
    assert not any(key in request["url"] for request in browser.requests), "the key is in an address"
    pictures(browser, "unlocked")
    return address


def main():
    os.makedirs(FOLDER, exist_ok=True)
    browser = Browser(CHROMIUM)
    try:
        with tempfile.TemporaryDirectory() as folder:
            addresses = [outage(browser, folder), locked(browser, folder)]
        ours = tuple(f"http://{address}/" for address in addresses) + ("about:", "data:")
        elsewhere = [request["url"] for request in browser.requests if not request["url"].startswith(ours)]
        assert not elsewhere, f"the page asked {elsewhere}"
        assert not browser.errors, f"the page's script failed: {browser.errors}"
        print(f"page-check: {len(browser.requests)} requests, none to another host; pictures are in {FOLDER}")
    finally:
        browser.close()
        for child in started:
            child.kill()


main()
