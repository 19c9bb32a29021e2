"""What a Kubernetes server checks of our manifests beyond the schemas, and what the cluster's guard asks of pods.

The documentation has each rule: https://kubernetes.io/docs/concepts/workloads/controllers/job/ for jobs, and
https://kubernetes.io/docs/concepts/security/pod-security-standards/ for the standard `restricted`, which
clusters enforce by refusing pods.
"""

import re

# A label of DNS, because names of jobs become names of pods and of hosts.
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LONGEST_NAME = 63
# The controller of CronJobs appends the time to the name.
LONGEST_CRON_JOB = 52
# Sources of volumes that `restricted` allows, without those that we do not use.
VOLUMES = {"configMap", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def broken_rules(document):
    """Returns the rules that a document breaks."""
    kind, name, spec = document["kind"], document["metadata"]["name"], document.get("spec", {})
    broken = []
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        broken.append(f"the name `{name}` is not a label of DNS")
    for pods in pod_templates(document):
        broken += pod_rules(pods)
    if kind == "Job":
        broken += job_rules(name, spec)
    if kind == "CronJob":
        if len(name) > LONGEST_CRON_JOB:
            broken.append(f"the name `{name}` leaves no room for the time")
        broken += job_rules(f"{name}-28923840", spec["jobTemplate"]["spec"])
    if kind == "JobSet":
        broken += job_set_rules(name, spec)
    if kind == "Deployment":
        labels = spec["template"]["metadata"]["labels"]
        if not spec["selector"]["matchLabels"].items() <= labels.items():
            broken.append("the selector does not match the labels of the pods")
        if spec["template"]["spec"].get("restartPolicy", "Always") != "Always":
            broken.append("pods of a Deployment are always restarted")
    return broken


def pod_templates(document):
    """Returns the specification of every kind of pod that a document makes."""
    spec = document.get("spec", {})
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    jobs = [job["template"]["spec"] for job in spec.get("replicatedJobs", [])] or [spec]
    return [job["template"]["spec"] for job in jobs if "spec" in job.get("template", {})]


def pod_rules(pods):
    volumes = pods.get("volumes", [])
    names = [volume["name"] for volume in volumes]
    broken = [f"the volume `{name}` of a container is not there" for name in missing_volumes(pods)]
    broken += [f"the volume `{name}` is there twice" for name in sorted({name for name in names if names.count(name) > 1})]
    for container in pods["containers"]:
        for what, key in [("volumeMounts", "mountPath"), ("env", "name"), ("ports", "name")]:
            found = [entry[key] for entry in container.get(what, [])]
            broken += [f"{what}: `{one}` is there twice" for one in sorted({one for one in found if found.count(one) > 1})]
        ports = {port["name"] for port in container.get("ports", [])}
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            for action in container.get(probe, {}).values():
                if isinstance(action, dict) and action.get("port") not in ports:
                    broken.append(f"the port `{action.get('port')}` of {probe} is not there")
    return broken + restricted_rules(pods, volumes)


def restricted_rules(pods, volumes):
    """Returns what a namespace with the standard `restricted` refuses, and what a file system needs of a non-root user."""
    pod = pods.get("securityContext", {})
    broken = [f"`{kind}` is no volume of a restricted pod" for volume in volumes for kind in volume if kind != "name" and kind not in VOLUMES]
    if pod.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        broken.append("no seccomp profile")
    if not pod.get("runAsNonRoot") or pod.get("runAsUser", 0) == 0:
        broken.append("a pod runs as root")
    if not pod.get("fsGroup"):
        broken.append("without fsGroup, a user that is not root cannot write to a mounted volume")
    if pods.get("automountServiceAccountToken") is not False:
        broken.append("a token of Kubernetes is mounted that nobody uses")
    for container in pods["containers"]:
        security = container.get("securityContext", {})
        if security.get("allowPrivilegeEscalation") is not False or security.get("capabilities", {}).get("drop") != ["ALL"]:
            broken.append(f"the container `{container['name']}` keeps privileges")
        if security.get("readOnlyRootFilesystem") is not True:
            broken.append(f"the container `{container['name']}` may write to its root file system")
        if "memory" not in container.get("resources", {}).get("limits", {}):
            broken.append(f"the container `{container['name']}` has no limit of memory, by which `--memory` is set")
    return broken


def missing_volumes(pods):
    there = {volume["name"] for volume in pods.get("volumes", [])}
    used = {mount["name"] for container in pods["containers"] for mount in container.get("volumeMounts", [])}
    return sorted(used - there)


def job_rules(name, spec):
    rules = {
        "parallelism and completions of an Indexed Job are 100,000 at most":
            max(spec["completions"], spec["parallelism"]) <= 100_000,
        "the name of the last pod's host is a label of DNS":
            NAME.fullmatch(name) and len(f"{name}-{spec['completions'] - 1}") <= LONGEST_NAME,
        "backoffLimitPerIndex needs completionMode Indexed":
            "backoffLimitPerIndex" not in spec or spec["completionMode"] == "Indexed",
        "maxFailedIndexes needs backoffLimitPerIndex, and is not more than completions":
            "maxFailedIndexes" not in spec
            or ("backoffLimitPerIndex" in spec and spec["maxFailedIndexes"] <= spec["completions"]),
    }
    if policy := spec.get("podFailurePolicy"):
        rules["podFailurePolicy needs restartPolicy Never"] = spec["template"]["spec"]["restartPolicy"] == "Never"
        rules["with podFailurePolicy, podReplacementPolicy is Failed"] = spec.get("podReplacementPolicy", "Failed") == "Failed"
        rules["podFailurePolicy has 20 rules at most"] = len(policy["rules"]) <= 20
        for rule in policy["rules"]:
            codes = rule.get("onExitCodes", {}).get("values", [])
            rules["exit codes are sorted, each there once, and 0 is not one of them"] = codes == sorted(set(codes) - {0})
            rules["a rule is about exit codes or about conditions"] = ("onExitCodes" in rule) != ("onPodConditions" in rule)
    return [rule for rule, holds in rules.items() if not holds]


def job_set_rules(name, spec):
    jobs = {job["name"]: job for job in spec["replicatedJobs"]}
    broken = []
    if len(jobs) < len(spec["replicatedJobs"]):
        broken.append("two replicatedJobs have the same name")
    if unknown := set(spec.get("successPolicy", {}).get("targetReplicatedJobs", [])) - set(jobs):
        broken.append(f"successPolicy names the jobs {sorted(unknown)}, which are not there")
    for job, entry in jobs.items():
        broken += job_rules(f"{name}-{job}-{entry.get('replicas', 1) - 1}", entry["template"]["spec"])
    return broken
