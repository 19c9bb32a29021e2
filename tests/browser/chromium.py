"""Drives a headless Chromium over its debugging pipe, with nothing but the standard library.

The protocol is Chrome's DevTools protocol: JSON messages that end with a zero byte, over two pipes.
"""

import base64
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")


def executable():
    """Returns the path of a Chromium, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)

# Two frames later, what the script drew is on the screen.
DRAWN = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"


class Chromium:
    """A running browser with one page."""

    def __init__(self, width=1360, height=900):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        (ours_in, theirs_out), (theirs_in, ours_out) = os.pipe(), os.pipe()
        flags = [
            "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--lang=en",
            "--remote-debugging-pipe", f"--user-data-dir={self.profile.name}",
        ]
        command = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self.process = subprocess.Popen(
            ["bash", "-c", command, executable(), *flags],
            pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.reader, self.writer = os.fdopen(ours_in, "rb"), os.fdopen(ours_out, "wb")
        self.count, self.session, self.events = 0, None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.reader.close()
        self.writer.close()
        self.profile.cleanup()

    def message(self):
        """Reads one message of the browser."""
        data = bytearray()
        while (byte := self.reader.read(1)) != b"\0":
            if not byte:
                raise RuntimeError("the browser has ended")
            data += byte
        return json.loads(data)

    def call(self, method, **parameters):
        """Calls a method of the protocol and returns its result."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.writer.write(json.dumps(message).encode() + b"\0")
        self.writer.flush()
        while True:
            answer = self.message()
            if answer.get("id") != self.count:
                self.events.append(answer)
            elif "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']['message']}")
            else:
                return answer["result"]

    def wait_for(self, event):
        """Waits for an event that has not come yet."""
        while not any(seen.get("method") == event for seen in self.events):
            self.events.append(self.message())

    def resize(self, width, height, scale=1):
        """Changes the size of the window."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=scale, mobile=False)

    def prefer(self, scheme):
        """Makes the system prefer light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.run(DRAWN)

    def open(self, path):
        """Opens a file and waits until it is loaded and drawn. Returns the milliseconds it took."""
        return self.visit(Path(path).absolute().as_uri())

    def visit(self, url):
        """Opens an address and waits until it is loaded and drawn. Returns the milliseconds it took."""
        self.events.clear()
        self.call("Page.navigate", url=url)
        self.wait_for("Page.loadEventFired")
        return self.run(DRAWN)

    def run(self, script):
        """Returns the value of an expression in the page; waits for it if it is a promise."""
        result = self.call("Runtime.evaluate", expression=script, awaitPromise=True,
                           returnByValue=True, userGesture=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def place(self, selector):
        """Returns the middle of an element, in the window."""
        found = self.run(
            f"(() => {{ const found = document.querySelector({json.dumps(selector)}); if (!found) return null;"
            "found.scrollIntoView({block: 'nearest', inline: 'nearest'}); const box = found.getClientRects()[0];"
            "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
        )
        assert found, f"the page has no {selector}"
        return found

    def hover(self, selector):
        """Moves the mouse to an element."""
        x, y = self.place(selector)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, selector):
        """Clicks on an element."""
        x, y = self.place(selector)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key, text=None):
        """Presses a key."""
        down = {"key": key, **({"text": text} if text else {})}
        codes = {"Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38, "Tab": 9}
        if key in codes:
            down["windowsVirtualKeyCode"] = codes[key]
        if key == "Enter":
            down["text"] = "\r"
        self.call("Input.dispatchKeyEvent", type="keyDown", **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    def type(self, text):
        """Types into what has the focus."""
        self.call("Input.insertText", text=text)

    def screenshot(self, path):
        """Writes what is on the screen to a file, as PNG or WebP."""
        kind = {"format": "png"} if str(path).endswith(".png") else {"format": "webp", "quality": 90}
        shot = self.call("Page.captureScreenshot", **kind)
        Path(path).write_bytes(base64.b64decode(shot["data"]))

    def complaints(self, own="file:"):
        """Returns what went wrong since the page was opened, and what it asked of others than `own`."""
        said = []
        for event in self.events:
            method, details = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                said.append(str(details["exceptionDetails"].get("exception", {}).get("description")))
            elif method == "Log.entryAdded" and details["entry"]["level"] in ("error", "warning"):
                said.append(details["entry"]["text"])
            elif method == "Network.requestWillBeSent":
                url = details["request"]["url"]
                if not url.startswith((own, "blob:")):
                    said.append(f"asked for {url}")
        return said
