"""A real Chromium without a window, driven over its DevTools protocol; a test that needs it is skipped where it is not.

The protocol goes over two pipes (`--remote-debugging-pipe`: file descriptors 3 and 4, messages end in NUL), so there is no
port, no driver and no package, and the browser ends with the test.
Reference: Chrome DevTools Protocol, https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 60.0
# The shell moves the pipes to where Chromium expects them, whatever their numbers are here.
PLUMBING = 'exec "$@" 3<&0 4>&1 0</dev/null 1>/dev/null 2>/dev/null'


def program() -> str:
    """Return the browser's path; skip the test where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on PATH (on Debian: apt install chromium)")
    return found


class Page:
    """A tab: what it logged, what it asked the network for, and what can be done to it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin
        assert process.stdout
        self._to, self._from = process.stdin, process.stdout
        self._left = b""
        self._count = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Audits"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result; what happened in the meantime is added to `events`."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        while True:
            reply = self._receive()
            if reply.get("id") == self._count:
                assert "error" not in reply, f"{method}: {reply['error']}"
                return dict(reply["result"])
            self.events.append(reply)

    def _receive(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE
        while b"\0" not in self._left:
            ready, _, _ = select.select([self._from], [], [], max(0.0, end - time.monotonic()))
            part = os.read(self._from.fileno(), 2**20) if ready else b""
            if not part:
                raise TimeoutError(f"the browser said nothing for {PATIENCE:g} s, or ended")
            self._left += part
        message, _, self._left = self._left.partition(b"\0")
        return dict(json.loads(message))

    def open(self, path: Path, *, width: int = 1200, height: int = 900) -> None:
        """Show a file in a window of a size, from a clean slate."""
        self.size(width, height)
        self.events.clear()
        self.ask("Page.navigate", url=path.resolve().as_uri())
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self._receive())

    def size(self, width: int, height: int) -> None:
        """Give the page a window of a size in CSS pixels."""
        mobile = width < 500
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=mobile)

    def colours(self, scheme: str) -> None:
        """Make the system prefer `light` or `dark`."""
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, promises awaited."""
        found = self.ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        self.until(f"Boolean({expression})", True, by=lambda: time.sleep(0.02))

    def until(self, expression: str, value: Any, *, by: Callable[[], object]) -> None:
        """Do something until a JavaScript expression has a value, at least once."""
        end = time.monotonic() + PATIENCE
        by()
        while (found := self.evaluate(expression)) != value:
            assert time.monotonic() < end, f"{expression} never became {value}, is {found}"
            by()

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press and release a key that has a name: Tab, Enter, Escape, ArrowLeft, ArrowRight."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39}
        text = {"text": "\r"} if key == "Enter" else {}
        common = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key], "modifiers": 8 if shift else 0}
        self.ask("Input.dispatchKeyEvent", type="keyDown", **common, **text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text: str) -> None:
        """Type text where the focus is."""
        self.ask("Input.insertText", text=text)

    def move(self, x: float, y: float) -> None:
        """Move the mouse, in CSS pixels of the window."""
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, selector: str) -> None:
        """Click the middle of the first element that a CSS selector finds, with the mouse."""
        place = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}});"
            "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def screenshot(self, path: Path, *, whole: bool = True) -> bytes:
        """Write a picture of the page, or of what the window shows of it."""
        shot = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole)["data"]
        content = base64.b64decode(shot)
        path.write_bytes(content)
        return content

    def complaints(self) -> list[str]:
        """Return everything the console, the log and the auditor have said since the page was opened."""
        self.evaluate("new Promise((done) => setTimeout(done, 50))")  # what is under way is said by then
        found = []
        for event in self.events:
            method, given = event.get("method"), event.get("params", {})
            if method == "Runtime.consoleAPICalled":
                found.append(f"console.{given['type']}: {given['args']}")
            if method == "Runtime.exceptionThrown":
                found.append(f"exception: {given['exceptionDetails']}")
            if method == "Log.entryAdded":
                found.append(f"{given['entry']['level']}: {given['entry']['text']}")
            if method == "Audits.issueAdded":
                found.append(f"issue: {given['issue']}")
        return found

    def requests(self) -> list[str]:
        """Return the addresses the page has asked for since it was opened, those it carries inside left out."""
        sent = [e["params"]["request"]["url"] for e in self.events if e.get("method") == "Network.requestWillBeSent"]
        return [url for url in sent if not url.startswith("data:")]


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """Yield a page of a browser with an empty profile; the browser ends with the block."""
    flags = [
        "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run", "--no-sandbox",
        "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-extensions",
        "--force-color-profile=srgb", "--hide-scrollbars", "--lang=en",
    ]  # fmt: skip
    command = ["sh", "-c", PLUMBING, "sh", program(), *flags]
    # Without buffers of Python's own, `select` sees what there is to read.
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    try:
        yield Page(process)
    finally:
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()
        try:
            process.wait(10)  # it ends when its pipes do
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
