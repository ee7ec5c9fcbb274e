"""Headless Chromium as a person at the page, spoken to in its own debugging protocol through a pipe: no driver."""

from __future__ import annotations

import base64
import io
import json
import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FOREIGN_NAME = "evil.example"  # that its owner has made to point here
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests run as root in containers
    "--disable-dev-shm-usage",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--disable-background-networking",
    "--force-device-scale-factor=1",
    f"--host-resolver-rules=MAP {FOREIGN_NAME} 127.0.0.1",
    "--remote-debugging-pipe",
)
ANSWER_S = 60.0


def find_chromium() -> str | None:
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """One process. `open` gives pages that share nothing with each other."""

    def __init__(self, program: str, profile: Path) -> None:
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()
        command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        # The protocol wants the descriptors 3 and 4; bash puts them there (sh knows no numbers of two digits).
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{to_read} 4>&{to_write}', "bash", *command],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_read)
        os.close(to_write)
        self._number, self._left = 0, b""
        self.events: list[dict[str, Any]] = []

    def open(self, url: str, width: int = 1280, height: int = 1000) -> Page:
        """A page of a visitor of its own."""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        size = {"width": width, "height": height}
        target = self.call("Target.createTarget", url="about:blank", browserContextId=context, **size)["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return Page(self, session, context, url, width, height)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Raises AssertionError when the browser refuses or is ignore."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        until = time.monotonic() + ANSWER_S
        while True:
            answer = self._receive(until - time.monotonic())
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self.events.append(answer)

    def _receive(self, seconds: float) -> dict[str, Any]:
        while b"\0" not in self._left:
            assert seconds > 0 and select.select([self._read], [], [], seconds)[0], "the browser does not answer"
            some = os.read(self._read, 1 << 20)
            assert some, "the browser has ended"
            self._left += some
        first, _, self._left = self._left.partition(b"\0")
        return json.loads(first)

    def close(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._read)
        os.close(self._write)


class Page:
    """What a visitor sees and does. context: whose. `problems`: the browser's own complaints."""

    def __init__(self, browser: Browser, session: str, context: str, url: str, width: int, height: int) -> None:
        self._browser, self._session, self.context = browser, session, context
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self._call(f"{domain}.enable")
        self.resize(width, height)
        self._call("Page.navigate", url=url)

    def close(self) -> None:
        """A browser takes drawing contexts away from the oldest pages when there are too many."""
        self._browser.call("Target.disposeBrowserContext", browserContextId=self.context)

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def run(self, script: str) -> Any:
        """Value of a JavaScript expression; promises are waited for."""
        answer = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, script: str, seconds: float = 60.0) -> Any:
        """Until the expression is true."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            value = self.run(f"(() => {{ try {{ return {script} }} catch {{ return null }} }})()")
            if value:
                return value
            time.sleep(0.05)
        raise AssertionError(f"not true after {seconds:g} s: {script}; the page says: {self.text('body')}")

    def text(self, selector: str) -> str:
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def click(self, selector: str) -> None:
        self.click_at(*self.centre(selector))

    def centre(self, selector: str, across: float = 0.5, down: float = 0.5) -> tuple[float, float]:
        """Where a share of an element's box lies in the window; scrolled to it."""
        box = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.left, b.top, b.width, b.height] })()"
        )
        return box[0] + across * box[2], box[1] + down * box[3]

    def click_at(self, x: float, y: float, count: int = 1, button: str = "left") -> None:
        for number in range(1, count + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self._mouse(kind, x, y, button=button, clickCount=number)

    def drag(self, points: list[tuple[float, float]]) -> None:
        self._mouse("mousePressed", *points[0], button="left", clickCount=1)
        for x, y in points[1:]:
            self._mouse("mouseMoved", x, y, button="left", buttons=1)
        self._mouse("mouseReleased", *points[-1], button="left", clickCount=1)

    def move_to(self, selector: str) -> None:
        self._mouse("mouseMoved", *self.centre(selector))

    def press(self, key: str) -> None:
        """Tab or Enter."""
        code, text = {"Tab": (9, ""), "Enter": (13, "\r")}[key]
        for kind in ("keyDown", "keyUp"):
            more = {"text": text} if text and kind == "keyDown" else {}
            self._call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **more)

    def download(self, selector: str, folder: Path, seconds: float = 30.0) -> Path:
        """Clicks on a link and gives the file that it brought."""
        allow = {"behavior": "allow", "downloadPath": str(folder), "browserContextId": self.context}
        self._browser.call("Browser.setDownloadBehavior", **allow)
        before = set(folder.iterdir())
        self.click(selector)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            new = [one for one in set(folder.iterdir()) - before if one.suffix != ".crdownload"]
            if new and new[0].stat().st_size:
                return new[0]
            time.sleep(0.05)
        raise AssertionError(f"{selector} brought no file within {seconds:g} s")

    def choose_file(self, selector: str, file: Path) -> None:
        root = self._call("DOM.getDocument")["root"]["nodeId"]
        node = self._call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._call("DOM.setFileInputFiles", nodeId=node, files=[str(file)])

    def screenshot(self, selector: str | None = None) -> np.ndarray:
        """(H, W, 3) uint8 of the whole page, or of an element."""
        clip = {}
        if selector is not None:
            left, top = self.centre(selector, 0, 0)
            right, bottom = self.centre(selector, 1, 1)
            scroll = self.run("[scrollX, scrollY]")
            place = {"x": left + scroll[0], "y": top + scroll[1], "width": right - left, "height": bottom - top}
            clip = {"clip": {**place, "scale": 1}}
        answer = self._call("Page.captureScreenshot", captureBeyondViewport=True, **clip)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["data"]))).convert("RGB"))

    def problems(self) -> list[str]:
        self.run("0")  # what was on its way has arrived
        return [said for event in self._browser.events if (said := self._problem(event))]

    def forget_problems(self) -> None:
        """They were wanted."""
        self._browser.events[:] = [event for event in self._browser.events if self._problem(event) is None]

    def requests(self) -> list[str]:
        """Addresses that the page asked for."""
        events = [one for one in self._browser.events if one.get("sessionId") == self._session]
        return [one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"]

    def _problem(self, event: dict[str, Any]) -> str | None:
        if event.get("sessionId") != self._session:
            return None
        if event["method"] == "Runtime.exceptionThrown":
            return str(event["params"]["exceptionDetails"])
        if event["method"] == "Log.entryAdded" and event["params"]["entry"]["level"] in ("error", "warning"):
            return f"{event['params']['entry']['text']} {event['params']['entry'].get('url', '')}"
        return None

    def _mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)
