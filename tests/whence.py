"""Runs the program on a small job and checks what it leaves in a storage root.

For the suites that need other programs: `tests/slurm`, `tests/stores` and `tests/kubernetes`. Each of
them compares a job that was computed under difficulties with the same job in one process.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

TREE = Path(__file__).resolve().parents[1]
# The model of the README's first command, on short sentences, so that a shard takes about a second and
# a job has many of them.
ATTRIBUTION = [
    "--model", str(TREE / "tests/models/lo-en-fr-tiny"), "--dataset", str(TREE / "tests/data/short-en-fr.jsonl"),
    "--input", "translation.en", "--generated", "translation.fr", "--attribution-method", "integrated_gradients",
    "--step-scores", "probability", "--shard-tokens", "30",
]
# So that workers say which attempts they start.
LOG = "info,whence_worker=debug"


class Violation(Exception):
    """The program broke a promise."""


class Whence:
    """The program under test, with an environment of its own."""

    def __init__(self, path, folder):
        """Copies nothing: `folder` gets a link to the program, so that scripts find it by its name."""
        self.folder = Path(folder) / "bin"
        self.folder.mkdir()
        self.path = self.folder / "whence"
        self.path.symlink_to(Path(path).absolute())
        # No proxy must stand between the program and a server on loopback.
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(("WHENCE_", "AWS_", "AZURE_", "SLURM_")) and not name.lower().endswith("_proxy")}
        self.environment = {**kept, "PATH": f"{self.folder}:{kept['PATH']}", "RUST_LOG": LOG, "NO_COLOR": "1",
                            "HF_HUB_OFFLINE": "1"}

    def start(self, *arguments, log=None, **more):
        """Starts the program; `log` is the file of its messages."""
        messages = open(log, "ab") if log else subprocess.DEVNULL
        return subprocess.Popen([self.path, *map(str, arguments)], env={**self.environment, **more},
                                stdin=subprocess.DEVNULL, stdout=messages, stderr=messages)

    def run(self, *arguments, status=0, **more):
        """Runs the program to its end, which must be `status` unless that is None.

        Returns its output, and its messages too if it is not expected to succeed.
        """
        ran = subprocess.run([self.path, *map(str, arguments)], env={**self.environment, "RUST_LOG": "warn", **more},
                             stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if status not in (None, ran.returncode):
            told = f"whence {' '.join(map(str, arguments))}: status {ran.returncode} instead of {status}"
            raise Violation(f"{told}\n{ran.stdout}{ran.stderr}")
        return ran.stdout if status == 0 else ran.stdout + ran.stderr

    def rows(self, root, **environment):
        """Returns all rows of the only table of a storage root, every column, in their order.

        Numbers are written with as many digits as their bits need, so equal texts are equal bits.
        """
        query = "SELECT * FROM slots ORDER BY example_id, sample"
        text = self.run("sql", "--root", root, "--format", "jsonl", query, **environment)
        return [json.loads(line) for line in text.splitlines()]

    def check_complete(self, root, job, undisturbed, **environment):
        """Checks that a job is complete and has the rows of `undisturbed`, bit by bit. Returns the number of files."""
        verified = self.run("verify", job, "--root", root, **environment)
        if not verified.rstrip().endswith("complete"):
            raise Violation(f"not sealed: {verified}")
        compare(self.rows(root, **environment), undisturbed)
        files = verified.split(":", 1)[1].split()[0]
        return int(files.replace(",", ""))


def compare(rows, undisturbed):
    """Fails if a row is lost, there twice, or changed."""
    key = lambda row: (row["example_id"], row["sample"])
    found = [key(row) for row in rows]
    wanted = {key(row): row for row in undisturbed}
    duplicates = sorted({row for row in found if found.count(row) > 1})
    losses = sorted(set(wanted) - set(found))
    changed = [key(row) for row in rows if row != wanted.get(key(row))]
    if duplicates or losses or changed:
        raise Violation(f"rows there twice: {duplicates}, lost: {losses}, changed: {changed}")


def attempts(logs, slots):
    """Returns the attempts that workers say to have started, each with what they say of its end, if anything.

    Fails if there are fewer than slots, because the messages would then have other words than we look for.
    """
    text = "".join(log.read_text(errors="replace") for log in logs)
    ends = dict(re.findall(r"attempt=(\w+).*: (slot filled outcome=\w+|stopped) ?", text))
    started = set(re.findall(r"attempt=(\w+).*: task started", text))
    if len(started) < slots:
        raise Violation(f"the logs tell of {len(started)} attempts for {slots} slots")
    return {attempt: ends.get(attempt) for attempt in started}


def job_of(url):
    """Returns the storage root and the id of the job at `url`, as `submit --static` prints it."""
    root, _, job = url.partition("/jobs/")
    return root, job.partition("?")[0]


def needed(programs, command):
    """Ends the script with `command`, which installs them, if any of `programs` is missing."""
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        raise SystemExit(f"missing: {', '.join(missing)}; install with: {command}")
