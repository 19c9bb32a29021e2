"""Opens the dashboard of a coordinator in a headless Chromium and uses it as its visitors do.

    python3 tests/browser/dashboard.py --whence target/debug/whence
    python3 tests/browser/dashboard.py --whence target/debug/whence --screenshots docs/pictures

Starts a coordinator with 1,000 jobs and 200 workers, of which one is real. Needs Chromium (Debian:
`apt-get install chromium fonts-noto-core`) and nothing else. With `--axe axe.min.js` (of the package
axe-core of npm) its rules are checked too.
"""

import argparse
import json
import os
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

import grpc
from check import LEAST_CONTRAST, READABLE, ROOT, expect
from chromium import DRAWN, Chromium, executable

MODEL = ROOT / "tests/models/lo-en-fr-tiny"
PAIRS = ROOT / "tests/data/short-en-fr.jsonl"
JOBS, WORKERS = 1000, 200
# A page is drawn within this time, in milliseconds.
DRAWN_WITHIN = 1000
PATIENCE = 120
NUMERICS_VERSION = 1
# Runs: one that is half done, and one whose name would be a script if it were not escaped.
HALF_DONE, HOSTILE = "half-done", "<script>window.broken = 1</script>"

# Faults of a page that keep people from using it: rules of WCAG 2 that can be told from the document.
FAULTS = """(() => {
  const faults = [];
  const named = (element) => element.getAttribute('aria-label') || element.textContent.trim()
    || (element.id && document.querySelector(`label[for="${element.id}"]`)?.textContent);
  const all = (selector) => [...document.querySelectorAll(selector)];
  if (!document.documentElement.lang) faults.push('no language');
  if (all('h1').length !== 1) faults.push(`${all('h1').length} first headings`);
  if (all('main').length !== 1) faults.push('no main part');
  for (const element of all('input:not([type=hidden]), select, button, a, summary, progress, svg'))
    if (!named(element)) faults.push(`no name: ${element.outerHTML.slice(0, 90)}`);
  for (const table of all('table')) if (!table.caption) faults.push('a table without a caption');
  for (const head of all('th')) if (!head.scope) faults.push(`a heading without a scope: ${head.textContent}`);
  for (const scroll of all('.scroll')) if (scroll.tabIndex !== 0) faults.push('a part that the keyboard cannot scroll');
  for (const item of all('dl > div > *')) if (!['DT', 'DD'].includes(item.tagName)) faults.push('a broken list');
  const ids = all('[id]').map((element) => element.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) faults.push(`twice: ${id}`);
  let last = 0;
  for (const heading of all('h1, h2, h3')) {
    const level = Number(heading.tagName[1]);
    if (level > last + 1) faults.push(`a heading leaves out a level: ${heading.textContent}`);
    last = level;
  }
  return faults;
})()"""


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def until(what, is_so):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if found := is_so():
                return found
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"not after {PATIENCE} s: {what}")


def arrived(browser, path):
    """Waits until a page is there that something led to. The next one must not hear of its end."""
    arrival = "[location.pathname, document.readyState]"
    until(f"the browser is at {path}", lambda: browser.run(arrival) == [path, "complete"])


class Cluster:
    """A coordinator, its workers, and a command line that calls it."""

    def __init__(self, whence, folder, *flags):
        self.whence, self.folder = whence, Path(folder)
        self.port, self.http = free_port(), free_port()
        self.url, self.base = f"http://127.0.0.1:{self.port}", f"http://127.0.0.1:{self.http}"
        kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        self.environment = {**kept, "NO_COLOR": "1", "HF_HUB_OFFLINE": "1", "WHENCE_COORDINATOR": self.url}
        self.processes = []
        self.folder.mkdir(exist_ok=True)
        self.start("coordinator", "--root", self.folder / "root", "--listen", f"127.0.0.1:{self.port}",
                   "--http-listen", f"127.0.0.1:{self.http}", *flags)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        until("the coordinator serves", lambda: direct.open(f"{self.base}/readyz", timeout=5).status == 200)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait()

    def start(self, *arguments):
        log = open(self.folder / f"{arguments[0]}.log", "ab")
        self.processes.append(subprocess.Popen([self.whence, *map(str, arguments)], env=self.environment,
                                               stdin=subprocess.DEVNULL, stdout=log, stderr=log))

    def run(self, *arguments):
        ran = subprocess.run([self.whence, *map(str, arguments)], env=self.environment, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    def submit(self, split, *more):
        return self.run("submit", "--model", MODEL, "--dataset", PAIRS, "--dataset-split", split,
                        "--input", "translation.en", "--generated", "translation.fr", *more)

    def state(self, job):
        return json.loads(self.run("status", job, "--json"))


def fill(cluster):
    """Lets a worker compute two jobs over the same rows, and adds those that make a cluster large."""
    done = [cluster.submit("train[:12]", "--shard-tokens", "60", "--attribution-method", method)
            for method in ("saliency", "attention")]
    half = cluster.submit("train[:120]", "--shard-tokens", "30", "--attribution-method", "integrated_gradients",
                          "--attribution-kwargs", '{"n_steps": 40}', "--run-id", HALF_DONE)
    cluster.start("worker")
    for job in done:
        cluster.run("watch", job)
    until("a third job is half done", lambda: cluster.state(half)["slots_done"] > 20)
    worker = cluster.processes.pop()
    worker.terminate()
    worker.wait()
    caller = grpc.Caller("127.0.0.1", cluster.port)
    spec = cluster.state(done[0])["spec"]
    spec["dataset"]["split"] = "train[:40]"
    spec["run_id"] = HOSTILE
    began = time.monotonic()
    submitted, leases = [], []
    for number in range(1, JOBS - len(done)):
        answer = caller.call("JobService/SubmitJob", grpc.message({1: json.dumps(spec)}))
        submitted.append(answer[1][0].decode())
        spec["run_id"] = f"nightly-{number:04}"
    for number in range(WORKERS):
        name = f"worker-{number:03}"
        kind = grpc.message({1: "cpu", 2: "x86_64-avx512", 3: 24 << 30})
        caller.call("WorkerService/Register", grpc.message({1: name, 2: 1, 3: "0.1.0", 4: NUMERICS_VERSION, 5: kind}))
        acquired = caller.call("WorkerService/AcquireShards", grpc.message({1: name, 2: 1, 5: kind}))
        leases += [(name, grpc.read(granted)[1][0]) for granted in acquired.get(1, [])]
    advance = lambda turn: report(caller, leases, turn)
    advance(1)
    print(f"  {JOBS} jobs and {WORKERS} workers after {time.monotonic() - began:.0f} s")
    return (done, half, submitted), advance


def report(caller, leases, turn):
    """Says for workers that nobody runs that they have done some more of their rows."""
    for number, (name, attempt) in enumerate(leases):
        progress = grpc.message({1: attempt, 2: min(turn, 2), 3: turn * (20 + number % 17)})
        caller.call("WorkerService/Heartbeat", grpc.message({1: name, 2: progress}))


def silent(browser, cluster):
    expect("no error, no broken policy, no request to another host", browser.complaints(cluster.base), [])
    expect("what users write is no script", browser.run("typeof window.broken"), "undefined")


def readable(browser, what):
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        contrast, element = browser.run(LEAST_CONTRAST)
        assert contrast >= READABLE, f"{what}, {scheme}: {contrast:.2f} at {element}"
        print(f"  text is readable in {what}, {scheme}: least contrast {contrast:.2f}")
    browser.prefer("light")


def check_faults(browser, what, axe):
    expect(f"{what} has no fault that keeps people out", browser.run(FAULTS), [])
    if axe:
        browser.run(axe.read_text())
        found = browser.run("""axe.run().then((all) => all.violations
          .filter((one) => ['serious', 'critical'].includes(one.impact))
          .map((one) => `${one.id}: ${one.nodes[0].html.slice(0, 120)}`))""")
        expect(f"axe-core finds no serious fault in {what}", found, [])


def check_pages(browser, cluster, done, submitted, axe):
    paths = {"the jobs": "/", "the last page of jobs": "/?page=10", "a search": "/?text=nightly-07&state=running",
             "a search for markup": "/?text=%3Cscript%3E",
             "the workers": "/workers", "the schedules": "/schedules", "a running job": f"/jobs/{submitted[0]}",
             "a sealed job": f"/jobs/{done[0]}", "its errors": f"/jobs/{done[0]}/errors",
             "a slot": f"/jobs/{done[0]}/slots/p000000", "a row": f"/jobs/{done[0]}/example?row=1&with={done[1]}"}
    for what, path in paths.items():
        took = min(browser.visit(cluster.base + path) for _ in range(3))
        print(f"  {what} drawn after {took:.0f} ms")
        assert took < DRAWN_WITHIN, took
        check_faults(browser, what, axe)
        readable(browser, what)
        silent(browser, cluster)
        browser.resize(390, 800)
        browser.run(DRAWN)
        expect(f"{what} fits on a phone", browser.run("document.documentElement.scrollWidth <= 390"))
        browser.resize(1360, 900)


def check_live(browser, cluster, job):
    browser.visit(cluster.base + "/")
    word = f"document.querySelector('#job-{job} .state').textContent"
    expect("a job runs", browser.run(word), "running")
    until("the page is live", lambda: browser.run("document.getElementById('live')?.textContent") == "Live")
    browser.run(f"document.querySelector('#job-{job} a').focus()")
    began = time.monotonic()
    cluster.run("pause", job)
    until("the page shows the pause", lambda: browser.run(word) == "paused")
    print(f"  a pause is shown {time.monotonic() - began:.1f} s after it was asked for")
    expect("the keyboard's focus stays", browser.run("document.activeElement.getAttribute('href')"), f"/jobs/{job}")
    cluster.run("resume", job)
    until("and the resumption", lambda: browser.run(word) == "running")
    silent(browser, cluster)
    browser.visit(f"{cluster.base}/jobs/{job}")
    browser.run("document.querySelector('details').open = true")
    cluster.run("cancel", job)
    state = "document.querySelector('#progress .state')?.textContent"
    until("an open job hears of its end", lambda: browser.run(state) == "cancelled")
    expect("what was opened stays open", browser.run("document.querySelector('details').open"))
    silent(browser, cluster)


def check_keyboard(browser, cluster):
    browser.visit(cluster.base + "/")
    browser.press("Tab")
    expect("the first stop leads to the content", browser.run("document.activeElement.className"), "skip")
    browser.press("Enter")
    browser.run(DRAWN)
    expect("and does", browser.run("document.activeElement.id"), "content")
    stops = []
    for _ in range(8):
        browser.press("Tab")
        stops.append(browser.run("document.activeElement.id || document.activeElement.className || document.activeElement.tagName"))
    expect("the keyboard reaches the search, the state and the list", {"text", "state", "scroll"} <= set(stops))
    ring = browser.run("getComputedStyle(document.activeElement).outlineStyle")
    expect("where the focus is can be seen", ring, "solid")
    target = browser.run("document.activeElement.getAttribute('href')")
    expect("a job has the focus", target.startswith("/jobs/"))
    browser.press("Enter")
    arrived(browser, target)


def check_example(browser, cluster, done):
    browser.visit(f"{cluster.base}/jobs/{done[0]}/slots/p000000")
    browser.click("tbody th a")
    until("a row opens", lambda: browser.run("document.querySelectorAll('.heatmap').length") == 1)
    browser.run(f"(() => {{ const own = document.getElementById('with'); own.value = '{done[1]}'; own.form.submit(); }})()")
    until("two methods are side by side", lambda: browser.run("document.querySelectorAll('.sides .heatmap').length") == 2)
    names = browser.run("[...document.querySelectorAll('.sides h2')].map((own) => own.firstChild.textContent.trim())")
    expect("each with its name", names, ["saliency", "attention"])
    # The style may come after the rows.
    tops = "[...document.querySelectorAll('.sides section')].map((own) => own.getBoundingClientRect().top)"
    until("they are at the same height", lambda: len(set(browser.run(tops))) == 1)
    expect("scores are tinted", browser.run("document.querySelectorAll('.heatmap td[class]').length > 5"))


def check_without_script(browser, cluster, submitted):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    browser.events.clear()
    browser.call("Page.navigate", url=f"{cluster.base}/?text=nightly-0001")
    browser.wait_for("Page.loadEventFired")
    tree = json.dumps(browser.call("Accessibility.getFullAXTree"))
    expect("without scripts the page is there", submitted[1][:8] in tree and "1 job" in tree)
    browser.call("Emulation.setScriptExecutionDisabled", value=False)


def check_login(browser, whence, folder, axe):
    """A coordinator with tokens: a viewer looks, a submitter acts."""
    tokens, lines = {}, []
    for role in ("viewer", "submitter"):
        made = subprocess.run([whence, "token", role, "--role", role], capture_output=True, text=True)
        tokens[role] = made.stdout.strip()
        lines.append(made.stderr.strip().splitlines()[-1])
    folder.mkdir()
    (folder / "tokens").write_text("\n".join(lines))
    with Cluster(whence, folder, "--tokens", folder / "tokens") as cluster:
        cluster.environment["WHENCE_TOKEN"] = tokens["submitter"]
        job = cluster.submit("train[:12]", "--shard-tokens", "60")
        log_in(browser, cluster, f"/jobs/{job}", tokens["viewer"], axe)
        expect("one is back at the page", browser.run("location.pathname"), f"/jobs/{job}")
        expect("scripts do not see the cookie", browser.run("document.cookie"), "")
        expect("a viewer has nothing to act with", browser.run("document.querySelectorAll('main form[method=post]').length"), 0)
        browser.click(".visitor button")
        arrived(browser, "/login")
        log_in(browser, cluster, f"/jobs/{job}", tokens["submitter"], axe)
        browser.click("#actions button")
        state = "document.querySelector('#progress .state')?.textContent"
        until("a submitter pauses a job", lambda: browser.run(state) == "paused")
        expect("and the coordinator knows it", cluster.state(job)["state"], "paused")
        check_faults(browser, "a job that one may change", axe)
        readable(browser, "a job that one may change")
        silent(browser, cluster)


def log_in(browser, cluster, path, token, axe):
    browser.visit(cluster.base + path)
    expect("who is not known has to log in", browser.run("location.pathname"), "/login")
    check_faults(browser, "the login", axe)
    browser.click("#token")
    browser.type(token)
    browser.press("Enter")
    arrived(browser, path)


def shoot(browser, cluster, jobs, shots):
    done, half, submitted, advance = jobs
    cluster.run("pause", submitted[5])
    cluster.run("cancel", submitted[7])
    for turn in (2, 3):
        # Between two samples of the coordinator.
        time.sleep(6)
        advance(turn)
    time.sleep(6)
    for name, path, height in [
        ("dashboard", "/?text=nightly-000", 720), ("dashboard-job", f"/jobs/{half}", 820), ("dashboard-workers", "/workers", 640),
        ("dashboard-example", f"/jobs/{done[0]}/example?row=1&with={done[1]}", 640),
    ]:
        browser.resize(1360, height)
        browser.prefer("dark" if name == "dashboard-workers" else "light")
        browser.visit(cluster.base + path)
        # The place of this clone and of its temporary folder says nothing to a reader.
        browser.run(f"""for (const own of document.querySelectorAll('.root code, .facts dd'))
          own.textContent = own.textContent.replaceAll('{ROOT}/', '').replaceAll('file://{cluster.folder}/root', 's3://bucket/whence')""")
        browser.screenshot(shots / f"{name}.webp")
    browser.prefer("light")
    browser.resize(1360, 900)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whence", required=True, type=lambda path: str(Path(path).absolute()))
    parser.add_argument("--screenshots", type=Path, help="write the pictures of the documentation here")
    parser.add_argument("--axe", type=Path, help="axe.min.js of axe-core, whose rules are checked too")
    arguments = parser.parse_args()
    if not executable():
        raise SystemExit("no Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, Chromium() as browser:
        folder = Path(folder).resolve()
        # Workers that nobody runs send no heartbeat.
        flags = ["--lease-ttl", "1h", "--heartbeat", "1m"]
        with Cluster(arguments.whence, folder / "large", *flags) as cluster:
            (done, half, submitted), advance = fill(cluster)
            for name, check in [
                ("pages", lambda: check_pages(browser, cluster, done, submitted, arguments.axe)),
                ("example", lambda: check_example(browser, cluster, done)),
                ("keyboard", lambda: check_keyboard(browser, cluster)),
                ("without scripts", lambda: check_without_script(browser, cluster, submitted)),
                ("screenshots", lambda: arguments.screenshots and shoot(browser, cluster, (done, half, submitted, advance), arguments.screenshots)),
                ("live", lambda: check_live(browser, cluster, submitted[-1])),
            ]:
                print(name)
                check()
        print("login")
        check_login(browser, arguments.whence, folder / "tokens", arguments.axe)


if __name__ == "__main__":
    main()
