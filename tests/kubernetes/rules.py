"""What a Kubernetes server checks of a Job beyond the schemas, as far as our manifests use it.

The documentation of each field has the rule: https://kubernetes.io/docs/concepts/workloads/controllers/job/
"""

import re

# A label of DNS, because names of jobs become names of pods and of hosts.
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LONGEST_NAME = 63


def broken_rules(document):
    """Returns the rules that a document breaks."""
    pods = pod_template(document)
    if pods is None:
        return []
    broken = [f"the volume `{name}` of a container is not there" for name in missing_volumes(pods)]
    if document["kind"] == "Job":
        broken += job_rules(document["metadata"]["name"], document["spec"])
    return broken


def pod_template(document):
    return document.get("spec", {}).get("template", {}).get("spec")


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
