"""Computes a job as arrays of a real Slurm, whose tasks and nodes die, and checks the tables.

    python3 tests/slurm/run.py --whence target/debug/whence

Needs Linux, root, Slurm (Debian: `apt-get install slurm-wlm munge`), and nothing else. Starts a cluster
in a temporary folder and in a network namespace of its own, and submits the scripts that
`whence submit --static --print slurm` prints. The tasks of one array are requeued, killed, and lost with
their node; that of the other has less time than the job takes. Each table must then be that of an
undisturbed run. Prints the figures, and fails if anything else comes out.
"""

import argparse
import os
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cluster import Cluster, in_namespaces
from whence import ATTRIBUTION, Violation, Whence, attempts, job_of, needed

# Less than a minute of work for two cores, in some 30 shards.
JOB = [*ATTRIBUTION, "--dataset-split", "train[:90]", "--attribution-kwargs", '{"n_steps": 40}']
INDICES, REQUEUED, KILLED = 8, (2, 5), 3
PATIENCE, STOPPED = 600, 5
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"}


class Array:
    """The array of a job, as Slurm sees it."""

    def __init__(self, cluster, script, logs, *options):
        self.cluster, self.logs = cluster, Path(logs)
        self.logs.mkdir()
        submitted = cluster.run("sbatch", "--parsable", f"--output={logs}/%a.log", *options, script)
        self.id = submitted.strip()

    def states(self):
        """Returns the state of each task by its index."""
        listed = self.cluster.run("squeue", "-h", "-r", "-t", "all", "-j", self.id, "-o", "%K %T").splitlines()
        return {int(index): state for index, state in map(str.split, listed)}

    def node(self, index):
        return self.cluster.run("squeue", "-h", "-r", "-j", f"{self.id}_{index}", "-o", "%N").strip()

    def has_ended(self):
        return set(self.states().values()) <= ENDED

    def on_node(self, node):
        """Returns the indices that run on a node."""
        return {index for index, state in self.states().items() if state == "RUNNING" and self.node(index) == node}

    def restarts(self):
        """Returns how often Slurm started each task again."""
        shown = [self.cluster.run("scontrol", "show", "job", f"{self.id}_{index}") for index in self.states()]
        return [int(re.search(r"Restarts=(\d+)", text)[1]) for text in shown]

    def send(self, number, index):
        """Sends a signal to the processes of whence in a task."""
        wanted = {f"SLURM_ARRAY_JOB_ID={self.id}".encode(), f"SLURM_ARRAY_TASK_ID={index}".encode()}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                environment = set((folder / "environ").read_bytes().split(b"\0"))
                is_whence = (folder / "exe").readlink().name.startswith("whence")
            except OSError:
                continue
            if is_whence and wanted <= environment:
                os.kill(int(folder.name), number)

    def end(self):
        """Waits until every task has ended. Returns their states.

        Slurm keeps requeued tasks back for two minutes. Some seconds are enough for it to forget that it
        has just stopped them, and make the test shorter.
        """
        waiting = {}

        def ended():
            for index, state in self.states().items():
                if state != "PENDING":
                    waiting.pop(index, None)
                elif time.monotonic() - waiting.setdefault(index, time.monotonic()) > STOPPED:
                    self.cluster.run("scontrol", "update", f"jobid={self.id}_{index}", "starttime=now")
                    waiting[index] = time.monotonic()
            return self.has_ended()

        self.cluster.until("all tasks have ended", ended, PATIENCE)
        return self.states()


class Job:
    """A job without a coordinator in a storage root of its own."""

    def __init__(self, whence, folder, of, *options):
        self.folder = Path(folder)
        self.folder.mkdir()
        self.root, self.script = self.folder / "root", self.folder / "array.sbatch"
        self.script.write_text(whence.run("submit", "--static", "--of", of, "--print", "slurm", *JOB, *options,
                                          "--root", self.root))
        url = re.search(r"--job (\S+)", self.script.read_text())[1]
        _, self.id = job_of(url)

    def files(self):
        return list(self.root.glob("tables/**/*.parquet"))

    def holds(self, attempt):
        """Returns whether the table has the result of an attempt. Each file names its attempt in its footer."""
        return any(attempt.encode() in path.read_bytes() for path in self.files())


def until_grown(cluster, job, count):
    cluster.until(f"{count} files in the table", lambda: len(job.files()) >= count, PATIENCE)


def expect(what, found, wanted):
    if found != wanted:
        raise Violation(f"{what}: {found} instead of {wanted}")


def tell(name, job, array, start, files, more):
    started = attempts(array.logs.iterdir(), files)
    idle = [end for attempt, end in started.items() if not job.holds(attempt)]
    # A worker is stopped by its task's end, or because another task has filled the slot.
    overtaken, stopped = idle.count("slot filled outcome=Superseded"), idle.count("stopped")
    print(f"{name}: {more}, {files} slots, {len(started)} attempts, of which {overtaken} found their slot filled, "
          f"{stopped} were stopped and {len(idle) - overtaken - stopped} killed, "
          f"0 duplicates, 0 losses, {time.monotonic() - start:.0f} s", flush=True)


def check_deaths(cluster, whence, folder, undisturbed):
    """Requeues two tasks, kills one, and loses a node, each when the table has grown."""
    job, start = Job(whence, folder / "deaths", INDICES), time.monotonic()
    array = Array(cluster, job.script, job.folder / "logs")
    until_grown(cluster, job, 4)
    for index in REQUEUED:
        cluster.run("scontrol", "requeue", f"{array.id}_{index}")
    until_grown(cluster, job, 8)
    array.send(signal.SIGKILL, KILLED)
    until_grown(cluster, job, 12)
    node = array.node(0)
    vanished = array.on_node(node)
    cluster.kill_node(node)
    states = array.end()
    # Slurm starts again what it requeued, and what was on a node that is gone, but not what failed.
    expect("states", states, {index: "FAILED" if index == KILLED else "COMPLETED" for index in range(INDICES)})
    again = {*REQUEUED, *vanished}
    expect("restarted tasks", sum(count > 0 for count in array.restarts()), len(again))
    files = whence.check_complete(job.root, job.id, undisturbed)
    tell("deaths", job, array, start, files, f"{INDICES} indices, {len(REQUEUED)} requeued, 1 killed, "
         f"{len(vanished)} lost with a node")


def check_time_limit(cluster, whence, folder, undisturbed):
    """Computes a job in a task that has less time than the job takes. It is told before, and returns to the queue."""
    job, start = Job(whence, folder / "limit", 1), time.monotonic()
    warning = re.search(r"--signal=(B:\w+)@", job.script.read_text())[1]
    # The least that Slurm grants is a minute. It looks at the limits every half minute.
    array = Array(cluster, job.script, job.folder / "logs", "--time=1", f"--signal={warning}@50")
    # On a slow machine, the limit may come before the first file.
    cluster.until("a file in the table", lambda: job.files() or any(array.restarts()) or array.has_ended(), PATIENCE)
    # However fast the machine is, the job takes longer now. Slurm lets processes go on that it ends.
    array.send(signal.SIGSTOP, 0)
    expect("states", array.end(), {0: "COMPLETED"})
    restarts, = array.restarts()
    expect("whether the limit was reached", restarts > 0, True)
    files = whence.check_complete(job.root, job.id, undisturbed)
    tell("time limit", job, array, start, files, f"1 index, {restarts} times at its limit")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whence", required=True, type=lambda path: str(Path(path).absolute()))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    needed(["unshare", "ip", "munged", "slurmctld", "slurmd", "sbatch"], "apt-get install slurm-wlm munge iproute2")
    if os.geteuid() != 0:
        raise SystemExit("only root may start the daemons of Slurm")
    if not arguments.inside:
        command = in_namespaces(["--net", "--pid"], [sys.executable, __file__, *sys.argv[1:], "--inside"])
        os.execvp(command[0], command)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        whence = Whence(arguments.whence, folder)
        alone = folder / "alone"
        whence.run("attribute-dataset", *JOB, "--hide-attributions", "--root", alone)
        undisturbed = whence.rows(alone)
        with Cluster(folder / "cluster", whence.environment) as cluster:
            for check in [check_deaths, check_time_limit]:
                check(cluster, whence, folder, undisturbed)


if __name__ == "__main__":
    main()
