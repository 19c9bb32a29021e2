"""Mistakes in manifests that the checks must find, so that a check which finds nothing does not go unnoticed."""

import copy

from containers import check_containers
from rules import pod_templates
from whence import Violation


def deployment(documents):
    return next(document for document in documents if document["kind"] == "Deployment")


def pods(documents):
    return pod_templates(next(document for document in documents if pod_templates(document)))[0]


def container(documents):
    return pods(documents)["containers"][0]


def of_kind(documents, kind):
    return next(document for document in documents if document["kind"] == kind)["spec"]


# Each changes the documents that the chart makes of `all.yaml`, and names a word of the reason.
IN_CHART = [
    ("replica", lambda found: deployment(found)["spec"].update(replica=2)),
    ("securityContex' was", lambda found: container(found).update(securityContex={})),
    ("runs as root", lambda found: pods(found)["securityContext"].update(runAsUser=0)),
    ("fsGroup", lambda found: pods(found)["securityContext"].pop("fsGroup")),
    ("seccomp", lambda found: pods(found)["securityContext"].pop("seccompProfile")),
    ("root file system", lambda found: container(found)["securityContext"].update(readOnlyRootFilesystem=False)),
    ("privileges", lambda found: container(found)["securityContext"].pop("capabilities")),
    ("limit of memory", lambda found: container(found)["resources"].pop("limits")),
    ("token", lambda found: pods(found).pop("automountServiceAccountToken")),
    ("restricted", lambda found: pods(found)["volumes"].append({"name": "node", "hostPath": {"path": "/"}})),
    ("is not there", lambda found: pods(found)["volumes"].pop(0)),
    ("twice", lambda found: container(found)["volumeMounts"].append({"name": "tmp", "mountPath": "/cache"})),
    ("selector", lambda found: deployment(found)["spec"]["selector"]["matchLabels"].update(app="other")),
    ("unexpected argument", lambda found: container(found)["args"].append("--replica=2")),
    ("invalid value", lambda found: container(found)["args"].__setitem__(2, "--heartbeat=soon")),
    ("no program reads", lambda found: container(found).setdefault("env", []).append({"name": "WHENCE_CACHES", "value": "/"})),
    ("calls no program", lambda found: container(found).update(command=["true"], args=[])),
    ("no program reads", lambda found: next(one for one in found if one["kind"] == "ConfigMap")["data"].update(WHENCE_HTTP="1")),
    ("unknown fields", lambda found: of_kind(found, "ScaledObject")["triggers"][0]["metadata"].update(thresholds="3")),
    ("integer", lambda found: of_kind(found, "ScaledObject").update(minReplicaCount="none")),
    ("required", lambda found: of_kind(found, "ScaledObject")["triggers"][0].pop("type")),
    ("unknown fields", lambda found: of_kind(found, "ServiceMonitor")["endpoints"][0].update(ports="http")),
    ("string", lambda found: of_kind(found, "PrometheusRule")["groups"][0]["rules"][0].update(alert=3)),
    ("unknown fields", lambda found: of_kind(found, "PrometheusRule")["groups"][0]["rules"][0].update(fore="3m")),
    ("egres", lambda found: of_kind(found, "NetworkPolicy").update(egres=[])),
    ("maxUnavailable", lambda found: of_kind(found, "PodDisruptionBudget").update(maxUnavailable=[1])),
]
# The same for the manifests that need no coordinator, by the names of their files.
IN_STATIC = [
    ("cronjob.yaml", "jobTemplat", lambda one: one["spec"].update(jobTemplat={})),
    ("cronjob.yaml", "leaves no room", lambda one: one["metadata"].update(name="whence-" + "n" * 50)),
    ("cronjob.yaml", "unexpected argument", lambda one: container([one])["args"].append("--datasets=x")),
    ("cronjob.yaml", "unexpected argument", lambda one: container([one])["command"].__setitem__(2, "exec whence work --jobs x")),
    ("jobset.yaml", "not there", lambda one: one["spec"]["successPolicy"].update(targetReplicatedJobs=["stable"])),
    ("jobset.yaml", "backoffLimits", lambda one: one["spec"]["replicatedJobs"][1]["template"]["spec"].update(backoffLimits=3)),
    ("jobset.yaml", "unknown fields", lambda one: one["spec"].update(successPolicies={})),
    ("jobset.yaml", "unexpected argument", lambda one: container([one])["command"].__setitem__(2, "exec whence work --job x --share 3")),
    ("job.yaml", "maxFailedIndexes", lambda one: one["spec"].update(maxFailedIndexes=17)),
    ("job.yaml", "restartPolicy", lambda one: pods([one]).update(restartPolicy="OnFailure")),
    ("job.yaml", "invalid value", lambda one: container([one])["command"].__setitem__(5, "many")),
]


def check_mistakes_are_found(manifests, charts, static):
    """Fails if a mistake is not found, or for another reason. Returns how many were planted."""
    for word, plant in IN_CHART:
        found = copy.deepcopy(charts["all.yaml"])
        plant(found)
        must_fail(manifests, word, found)
    for name, word, plant in IN_STATIC:
        found = copy.deepcopy(static[name])
        plant(found)
        must_fail(manifests, word, [found])
    return len(IN_CHART) + len(IN_STATIC)


def must_fail(manifests, word, found):
    try:
        check_containers(manifests.flags, "mistake", found)
        manifests.schemas.check("mistake", found)
    except Violation as violation:
        if word not in str(violation):
            raise Violation(f"a planted mistake was found without `{word}`: {violation}") from None
    else:
        raise Violation(f"a planted mistake about `{word}` was not found")
