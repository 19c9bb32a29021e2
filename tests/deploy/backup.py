"""Copies a storage root while a job runs, as docs/operations.md says, and lets another coordinator finish the copy."""

import shutil

from watched import free_port, until
from whence import ATTRIBUTION, Violation

JOB = [*ATTRIBUTION, "--dataset-split", "train[:60]", "--attribution-kwargs", '{"n_steps": 20}']
# What is copied last or not at all. `_staging` has files that a directory is still written from.
NOT_FIRST = shutil.ignore_patterns("tables", "epochs", "_staging")


class Running:
    """A coordinator and a worker on a root."""

    def __init__(self, whence, root, name):
        self.address = f"127.0.0.1:{free_port()}"
        self.log = root.parent / f"{name}.log"
        self.processes = [
            whence.start("coordinator", "--root", root, "--listen", self.address, log=self.log),
            whence.start("worker", "--coordinator", f"http://{self.address}", log=root.parent / f"{name}-worker.log"),
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(60)


def copy(root, to):
    shutil.copytree(root, to, ignore=NOT_FIRST)
    shutil.copytree(root / "tables", to / "tables")


def check_backup(whence, folder):
    """Checks a copy of a root whose job is half done. Returns figures."""
    folder = folder / "backup"
    folder.mkdir()
    whence.run("attribute-dataset", *JOB, "--hide-attributions", "--root", folder / "alone")
    undisturbed = whence.rows(folder / "alone")
    original, restored, claimed = folder / "original", folder / "restored", folder / "claimed"
    with Running(whence, original, "first") as first:
        job = whence.run("submit", "--coordinator", f"http://{first.address}", *JOB).splitlines()[0]
        until("some slots are filled", lambda: len(files(original)) >= 3)
        copy(original, restored)
        copied = len(files(restored))
        # With its claim, a copy is taken for the root of the coordinator that still runs.
        copy(original, claimed)
        shutil.copytree(original / "_meta/epochs", claimed / "_meta/epochs")
        with Running(whence, claimed, "third") as third:
            until("the copy with a claim waits", lambda: "another coordinator serves this root" in third.log.read_text())
    with Running(whence, restored, "second"):
        until("the copy is complete", (restored / "jobs" / job / "sealed.json").exists)
    slots = whence.check_complete(restored, job, undisturbed)
    if not 0 < copied < slots:
        raise Violation(f"{copied} of {slots} slots were copied, so that nothing was shown")
    return f"a root was copied with {copied} of {slots} slots filled, and the copy has the rows of an undisturbed run"


def files(root):
    return list(root.glob("tables/**/*.parquet"))
