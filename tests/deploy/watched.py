"""Watches a real coordinator with a real Prometheus: every panel has values, and every rule can be evaluated."""

import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request

from alerts import RULES
from dashboard import DASHBOARD, expressions
from whence import ATTRIBUTION, Violation

PATIENCE = 600
# There is nothing to show before an attempt has failed.
MAY_BE_EMPTY = {"Failed attempts in 5 minutes"}


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def get(url):
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, timeout=5) as answer:
        return answer.read().decode()


def until(what, is_so):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if found := is_so():
                return found
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise Violation(f"not after {PATIENCE} s: {what}")
        time.sleep(0.3)


def check_watched(whence, folder):
    """Computes a job under a coordinator that Prometheus watches. Returns figures."""
    grpc, http, prometheus = (free_port() for _ in range(3))
    processes = [
        whence.start("coordinator", "--root", folder / "root", "--listen", f"127.0.0.1:{grpc}", "--http-listen", f"127.0.0.1:{http}",
                     log=folder / "coordinator.log"),
        whence.start("worker", "--coordinator", f"http://127.0.0.1:{grpc}", log=folder / "worker.log"),
        start_prometheus(folder, prometheus, http),
    ]
    try:
        until("the coordinator is ready", lambda: get(f"http://127.0.0.1:{http}/readyz"))
        # Open until the end, so that its panels have something to show.
        whence.run("submit", "--coordinator", f"http://127.0.0.1:{grpc}", *ATTRIBUTION, "--dataset-split", "train[:400]",
                   "--attribution-kwargs", '{"n_steps": 60}')
        return check_prometheus(f"http://127.0.0.1:{prometheus}")
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(60)


def start_prometheus(folder, port, http):
    import yaml

    scrape = {"job_name": "whence", "static_configs": [{"targets": [f"127.0.0.1:{http}"]}]}
    configuration = {"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": [str(RULES)], "scrape_configs": [scrape]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    log = open(folder / "prometheus.log", "wb")
    return subprocess.Popen(["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/series",
                             f"--web.listen-address=127.0.0.1:{port}"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def check_prometheus(address):
    query = lambda text: json.loads(get(f"{address}/api/v1/query?{urllib.parse.urlencode({'query': text})}"))["data"]["result"]
    rate = 'sum(rate(whence_tokens[1m])) > 0'
    until("tokens are attributed", lambda: query(rate))
    panels = expressions(json.loads(DASHBOARD.read_text()))
    empty = {title for title, expression in panels if not query(expression)}
    if empty - MAY_BE_EMPTY:
        raise Violation(f"panels without values: {sorted(empty)}")
    rules = [rule for group in json.loads(get(f"{address}/api/v1/rules"))["data"]["groups"] for rule in group["rules"]]
    if not rules or any(rule["health"] != "ok" for rule in rules):
        raise Violation(f"rules that cannot be evaluated: {[rule['name'] for rule in rules if rule['health'] != 'ok']}")
    if firing := [rule["name"] for rule in rules if rule["state"] != "inactive"]:
        raise Violation(f"alerts about a coordinator that works: {firing}")
    if query("sum(whence_slot)"):
        raise Violation("a metric that does not exist has values")
    return f"{len(panels)} expressions have values of a running job, {len(rules)} rules evaluated, none fires"
