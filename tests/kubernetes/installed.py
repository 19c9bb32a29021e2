"""Runs what the manifests install: the chart's coordinator and workers, and pods that need no coordinator.

Each table must be that of a run in one process. Then the same pods are run with mistakes in their manifests.
"""

import copy
import json
import shutil
import socket
import subprocess
import time
import urllib.request

from pods import Cluster
from rules import pod_templates
from whence import TREE, Violation

# Some ten shards of less than a second.
JOB = ["--model=/data/model", "--dataset=/data/rows.jsonl", "--input=translation.en", "--generated=translation.fr",
       "--attribution-method=integrated_gradients", '--attribution-kwargs={"n_steps": 8}', "--step-scores=probability",
       "--shard-tokens=30", "--dataset-split=train[:24]"]
PATIENCE = 300


class Installation:
    """A cluster with the chart in it, with what its Secrets and volumes must hold."""

    def __init__(self, whence, programs, folder, documents):
        self.whence, self.folder = whence, folder
        self.cluster = Cluster(programs, folder, documents)
        data = self.cluster.claim("whence-data")
        shutil.copytree(TREE / "tests/models/lo-en-fr-tiny", data / "model")
        shutil.copy(TREE / "tests/data/short-en-fr.jsonl", data / "rows.jsonl")
        self.data = data
        self.make_secrets()
        self.deployments = {document["metadata"]["name"]: document for document in documents if document["kind"] == "Deployment"}

    def make_secrets(self):
        made = [self.token("worker"), self.token("submitter")]
        (worker, _), (self.submitter, _) = made
        certificates(self.folder, "whence-coordinator")
        read = lambda name: (self.folder / name).read_text()
        self.cluster.add_secret("whence-tokens", {"tokens": "".join(line for _, line in made)})
        self.cluster.add_secret("whence-worker", {"token": worker})
        self.cluster.add_secret("whence-tls", {"tls.crt": read("server.crt"), "tls.key": read("server.key"), "ca.crt": read("ca.crt")})

    def token(self, role):
        """Returns a token, and its line for the file of tokens."""
        ran = subprocess.run([self.whence.path, "token", role, "--role", role], capture_output=True, text=True, check=True)
        return ran.stdout, ran.stderr.splitlines()[-1] + "\n"

    def pods(self, name):
        return copy.deepcopy(self.deployments[name]["spec"]["template"]["spec"])

    def client(self, name, *command, **environment):
        """Runs a command of a person in a pod that sees what workers see. Returns what it prints."""
        pods = self.pods("whence-worker-cpu")
        pods["containers"][0] |= {"command": ["whence", *command], "args": []}
        return self.until_ended(name, self.cluster.start(pods, name, RUST_LOG="warn", NO_COLOR="1", **environment))

    def until_ended(self, name, process, status=0):
        if process.wait(PATIENCE) != status:
            raise Violation(f"the pod {name} ended with {process.returncode}: {self.cluster.log(name)}")
        return self.cluster.output(name)

    def check_table(self, root, job, undisturbed):
        return self.whence.check_complete(self.data / root, job, undisturbed)


def certificates(folder, name):
    """Makes an authority and a certificate for a coordinator, as cert-manager does."""
    run = lambda *command: subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.crt")
    run("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", "server.key", "-out", "server.csr")
    (folder / "names").write_text(f"subjectAltName=DNS:{name}")
    run("x509", "-req", "-in", "server.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "2", "-extfile", "names", "-out", "server.crt")


def check_installed(whence, programs, folder, chart, static):
    """Runs everything. `chart` has the documents of the chart, `static` those of `deploy/kubernetes/static` by name."""
    installation = Installation(whence, programs, folder, chart)
    cluster = installation.cluster
    with cluster:
        undisturbed = alone(installation)
        yield led(installation, undisturbed)
        yield in_reserve(installation)
        printed = installation.client("submit-static", "submit", "--static", "--of=2", "--print=kubernetes", "--root=/data/static", *JOB)
        yield shared(installation, printed, undisturbed)
        yield nightly(installation, static["cronjob.yaml"], undisturbed)
        yield on_two_kinds_of_nodes(installation, static["jobset.yaml"], undisturbed)
        yield mistakes(installation)


def alone(installation):
    """Computes the job in one process. Returns its rows."""
    installation.client("alone", "attribute-dataset", "--hide-attributions", "--root=/data/alone", *JOB)
    return installation.whence.rows(installation.data / "alone")


def led(installation, undisturbed):
    cluster, start = installation.cluster, time.monotonic()
    coordinator = installation.pods("whence-coordinator")
    cluster.start(coordinator, "coordinator")
    until("the coordinator is ready", lambda: passes(coordinator, "readinessProbe"))
    workers = installation.deployments["whence-worker-cpu"]
    names = [f"worker-{index}" for index in range(workers["spec"]["replicas"])]
    for name in names:
        cluster.start(installation.pods("whence-worker-cpu"), name)
    access = ["--coordinator=https://whence-coordinator:7700", "--tls-ca=/access/ca.crt"]
    submitted = installation.client("submit", "submit", *access, "--watch", "--progress=none", *JOB, WHENCE_TOKEN=installation.submitter)
    job = submitted.split()[0]
    slots = installation.check_table("root", job, undisturbed)
    for line in cluster.log("coordinator").splitlines():
        if not isinstance(json.loads(line), dict):
            raise Violation(f"the coordinator logs no JSON: {line}")
    if not any("slot filled" in cluster.log(name) for name in names):
        raise Violation("no worker filled a slot")
    ending = time.monotonic()
    cluster.stop([*names, "coordinator"])
    return f"chart: a coordinator and {len(names)} workers, {slots} slots in {ending - start:.0f} s, ended {time.monotonic() - ending:.0f} s after SIGTERM"


def in_reserve(installation):
    """Starts a second coordinator beside the first. The probes must keep it alive and unready until the first has ended."""
    cluster, first = installation.cluster, installation.pods("whence-coordinator")
    second = copy.deepcopy(first)
    container, = second["containers"]
    # In a cluster it has an address of its own, here it has ports of its own.
    container["args"] = [word.replace(":77", ":78") for word in container["args"]]
    for port in container["ports"]:
        port["containerPort"] += 100
    cluster.start(first, "first")
    until("the first coordinator is ready", lambda: passes(first, "readinessProbe"))
    cluster.start(second, "second")
    until("the second coordinator waits", lambda: "another coordinator serves this root" in cluster.log("second"))
    for _ in range(20):
        if not passes(second, "livenessProbe") or passes(second, "readinessProbe"):
            raise Violation("a coordinator in reserve is taken for dead or for ready")
        time.sleep(0.5)
    start = time.monotonic()
    cluster.stop(["first"])
    until("the second coordinator is ready", lambda: passes(second, "readinessProbe"))
    took = time.monotonic() - start
    cluster.stop(["second"])
    return f"a second coordinator is alive and unready for 10 s, and ready {took:.0f} s after SIGTERM to the first"


def passes(pods, kind):
    """Returns whether a probe of a pod passes now."""
    container, = pods["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    probe = container[kind]
    try:
        if "tcpSocket" in probe:
            socket.create_connection(("127.0.0.1", ports[probe["tcpSocket"]["port"]]), 1).close()
            return True
        request = probe["httpGet"]
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        direct.open(f"http://127.0.0.1:{ports[request['port']]}{request['path']}", timeout=1).close()
        return True
    except OSError:
        return False


def until(what, is_so):
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise Violation(f"not after {PATIENCE} s: {what}")
        time.sleep(0.2)


def shared(installation, printed, undisturbed):
    """Runs the pods of the Job that `submit --static` prints."""
    job = job_of_text(printed)
    pods, = pod_templates(job)
    slots = run_indices(installation, "static", pods, job["spec"]["completions"])
    job_id = pods["containers"][0]["command"][3].rsplit("/", 1)[1]
    if installation.check_table("static", job_id, undisturbed) != slots:
        raise Violation("the table grew after it was complete")
    return f"submit --static: {job['spec']['completions']} pods, {slots} slots"


def run_indices(installation, name, pods, count, **environment):
    """Runs `count` pods of a Job at once until each has ended well. Returns the number of files in all tables of its root."""
    names = [f"{name}-{index}" for index in range(count)]
    started = [installation.cluster.start(pods, pod, JOB_COMPLETION_INDEX=str(index), **environment) for index, pod in enumerate(names)]
    for pod, process in zip(names, started):
        installation.until_ended(pod, process)
    root = installation.data / name.split("-")[0]
    return len(list(root.glob("tables/**/*.parquet")))


def job_of_text(printed):
    import yaml

    return yaml.safe_load(printed[printed.index("apiVersion"):])


def nightly(installation, document, undisturbed):
    """Runs two pods of the CronJob in two nights. The second night has nothing to compute."""
    pods, = pod_templates(copy.deepcopy(document))
    container, = pods["containers"]
    container["args"] = ["--root=/data/nightly", *JOB]
    with_data(pods)
    first = run_indices(installation, "nightly-1", pods, 2)
    job, = (path.name for path in (installation.data / "nightly/jobs").iterdir())
    installation.check_table("nightly", job, undisturbed)
    start = time.monotonic()
    if run_indices(installation, "nightly-2", pods, 2) != first or len(list((installation.data / "nightly/jobs").iterdir())) != 1:
        raise Violation("the second night computed something")
    quick = time.monotonic() - start
    container["args"].append("--run-id=$(RUN)")
    if run_indices(installation, "nightly-3", pods, 1) != 2 * first:
        raise Violation("--run-id=$(RUN) did not compute the job anew")
    return f"CronJob: {first} slots in the first night, 0 in the second, which took {quick:.1f} s, {first} with --run-id"


def with_data(pods):
    """Adds the volume with the model, the rows and the root."""
    pods["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": "whence-data"}})
    pods["containers"][0]["volumeMounts"].append({"name": "data", "mountPath": "/data"})


def on_two_kinds_of_nodes(installation, document, undisturbed):
    """Runs a pod of each kind of a JobSet."""
    printed = installation.client("submit-set", "submit", "--static", "--root=/data/set", *JOB)
    url = printed.split()[0]
    steady, spot = pod_templates(copy.deepcopy(document))
    started = {}
    for name, pods in [("set-steady", steady), ("set-spot", spot)]:
        with_data(pods)
        for entry in pods["containers"][0]["env"]:
            entry["value"] = url if entry["name"] == "JOB" else entry["value"]
        started[name] = installation.cluster.start(pods, name, JOB_COMPLETION_INDEX="0")
    for name, process in started.items():
        installation.until_ended(name, process)
    slots = installation.check_table("set", url.rsplit("/", 1)[1], undisturbed)
    return f"JobSet: a pod of each kind, {slots} slots"


def mistakes(installation):
    """Runs pods whose manifests lack something that they need. Each must say so, or the runs above show nothing."""
    cluster = installation.cluster
    fresh = installation.client("submit-again", "submit", "--static", "--of=1", "--print=kubernetes", "--root=/data/again", *JOB)
    for path in [installation.data / "again", *(installation.data / "again").rglob("*")]:
        # As a volume is before it is given a group.
        path.chmod(0o755 if path.is_dir() else 0o644)
        shutil.chown(path, "root", "root")
    lacks_group, lacks_temporary = (pod_templates(job_of_text(fresh))[0] for _ in range(2))
    del lacks_group["securityContext"]["fsGroup"]
    mounts = lacks_temporary["containers"][0]["volumeMounts"]
    mounts.remove(next(mount for mount in mounts if mount["mountPath"] == "/tmp"))
    for name, pods, word in [("without-group", lacks_group, "Permission denied"), ("without-tmp", lacks_temporary, "for a socket")]:
        process = cluster.start(pods, name, JOB_COMPLETION_INDEX="0", RUST_LOG="warn")
        until(f"the pod {name} says `{word}`", lambda: word in cluster.log(name))
        if process.poll() == 0:
            raise Violation(f"the pod {name} ended well: {cluster.log(name)}")
        process.kill()
    lacks_key = installation.pods("whence-worker-cpu")
    cluster.add_secret("whence-worker", {"key": "token"})
    try:
        cluster.start(lacks_key, "without-key")
    except Violation:
        return "a pod without a group, one without a folder and one without a key of a Secret fail"
    raise Violation("a Secret without its key was mounted")
