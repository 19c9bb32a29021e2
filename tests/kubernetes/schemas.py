"""Checks documents against the schemas of Kubernetes and of the operators that our manifests are for.

Kubernetes' own schemas are strict: unknown fields are refused. Those of KEDA and the Prometheus operator, from
npm, check types and required fields only, and JobSet has none in a registry, so the fields that we use are listed here.
"""

import json
import subprocess
from pathlib import Path

from rules import broken_rules
from whence import Violation

# The oldest one that our manifests are for, and the newest one of the schemas.
VERSIONS = ["1.31", "1.37"]
PYTHON = ["kubernetes-validate==1.37.0"]
NODE = ["@kubernetes-models/keda@2.0.0", "@kubernetes-models/prometheus-operator@6.0.0"]
MODULES = {
    ("keda.sh/v1alpha1", "ScaledObject"): "@kubernetes-models/keda/keda.sh/v1alpha1",
    ("monitoring.coreos.com/v1", "ServiceMonitor"): "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
    ("monitoring.coreos.com/v1", "PrometheusRule"): "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1",
}
# What may be in the specification of these kinds, as far as we use it. A value is a set of fields, `ANY`, or what
# is in each element of a list.
ANY = object()
FIELDS = {
    # https://keda.sh/docs/latest/reference/scaledobject-spec/ and …/scalers/prometheus/
    "ScaledObject": {
        "scaleTargetRef": {"name": ANY}, "minReplicaCount": ANY, "maxReplicaCount": ANY, "pollingInterval": ANY,
        "cooldownPeriod": ANY,
        "triggers": [{"type": ANY, "metadata": {"serverAddress": ANY, "query": ANY, "threshold": ANY, "ignoreNullValues": ANY}}],
    },
    # https://prometheus-operator.dev/docs/api-reference/api/
    "ServiceMonitor": {"selector": {"matchLabels": ANY}, "endpoints": [{"port": ANY, "interval": ANY}]},
    "PrometheusRule": {"groups": [{"name": ANY, "rules": [{"alert": ANY, "expr": ANY, "for": ANY, "labels": ANY, "annotations": ANY}]}]},
    # https://jobset.sigs.k8s.io/docs/reference/jobset.v1alpha2/
    "JobSet": {
        "suspend": ANY, "successPolicy": {"operator": ANY, "targetReplicatedJobs": ANY}, "failurePolicy": {"maxRestarts": ANY},
        "replicatedJobs": [{"name": ANY, "replicas": ANY, "template": ANY}],
    },
}
# Prints what is wrong with the document on standard input.
CHECK = """
import {readFileSync} from 'node:fs'
const [module, kind] = process.argv.slice(2)
const Kind = (await import(module))[kind]
try { new Kind(JSON.parse(readFileSync(0))).validate() } catch (error) { console.log(error.message) }
"""


class Schemas:
    """All schemas. Those from npm are in `folder`."""

    def __init__(self, folder):
        self.folder = Path(folder)
        (self.folder / "check.mjs").write_text(CHECK)

    def check(self, name, documents):
        """Checks all documents of a manifest."""
        for document in documents:
            self.check_one(name, document)

    def check_one(self, name, document):
        kind = f"{document['kind']} {document.get('metadata', {}).get('name', '')}".strip()
        refuse = lambda reason: Violation(f"{name}: {kind}: {reason}")
        if document["kind"] in FIELDS:
            if unknown := unknown_fields(document["spec"], FIELDS[document["kind"]], "spec"):
                raise refuse(f"unknown fields {unknown}")
        if document["kind"] == "JobSet":
            # Its templates are those of Jobs.
            for job in document["spec"]["replicatedJobs"]:
                self.of_kubernetes({"apiVersion": "batch/v1", "kind": "Job", **job["template"]}, refuse)
        elif module := MODULES.get((document["apiVersion"], document["kind"])):
            self.of_operator(module, document, refuse)
        else:
            self.of_kubernetes(document, refuse)
        if broken := broken_rules(document):
            raise refuse("; ".join(broken))

    @staticmethod
    def of_kubernetes(document, refuse):
        import kubernetes_validate

        for version in VERSIONS:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                place = ".".join(map(str, error.path))
                raise refuse(f"Kubernetes {version}: {place}: {error.message}") from None

    def of_operator(self, module, document, refuse):
        ran = subprocess.run(["node", "check.mjs", module, document["kind"]], cwd=self.folder, input=json.dumps(document),
                             capture_output=True, text=True, check=True)
        if ran.stdout:
            raise refuse(ran.stdout.strip())


def unknown_fields(value, known, place):
    """Returns the places of all fields of `value` that are not in `known`."""
    if known is ANY:
        return []
    if isinstance(known, list):
        return [field for index, each in enumerate(value) for field in unknown_fields(each, known[0], f"{place}[{index}]")]
    unknown = [f"{place}.{field}" for field in value if field not in known]
    return unknown + [field for name in known if name in value for field in unknown_fields(value[name], known[name], f"{place}.{name}")]
