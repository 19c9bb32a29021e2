"""What the Helm chart makes of values, and what it refuses."""

from pathlib import Path

from whence import TREE, Violation

CHART = TREE / "deploy/helm/whence"
VALUES = Path(__file__).parent / "values"
# Values that must be refused, and a word of the reason.
REFUSED = {
    "{}": "root",
    "{root: s3:bucket}": "pattern",
    "{root: /data, coordinator: {replicas: 2}}": "replicas",
    "{root: /data, workers: [{name: cpu, replica: 2}]}": "replica",
    "{root: /data, workers: [{replicas: 2}]}": "name",
    "{root: /data, workers: [{name: cpu}, {name: cpu}]}": "two classes",
    "{root: /data, workers: [{name: cpu, memory: plenty}]}": "memory",
    "{root: /data, workers: [{name: gpu, device: auto}]}": "device",
    "{root: /data, workers: [{name: cpu, terminationGracePeriodSeconds: 5}]}": "terminationGracePeriodSeconds",
    "{root: /data, workerDefaults: {autoscaling: {enabled: 'yes'}}}": "enabled",
    "{root: /data, env: {WHENCE_CACHE: /elsewhere}}": "WHENCE_CACHE",
    "{root: /data, access: {tokens: secret}}": "tokens",
    "{root: /data, image: {digest: latest}}": "digest",
    "{root: /data, networkPolicy: {ingress: []}}": "ingress",
}


def rendered(tools, values):
    """Returns the documents that the chart makes of a file of values, after helm's own checks."""
    import yaml

    tools.helm("lint", "--strict", "--quiet", "--values", values, CHART)
    text = tools.helm("template", "whence", CHART, "--namespace", "ml", "--values", values)
    notes = tools.helm("install", "whence", CHART, "--namespace", "ml", "--values", values, "--dry-run=client").split("NOTES:\n")[1]
    if "--namespace ml port-forward service/whence-coordinator" not in notes:
        raise Violation(f"{values.name}: the notes do not say how to reach the coordinator: {notes}")
    return [document for document in yaml.safe_load_all(text) if document]


def check_refusals(tools, folder):
    """Fails if the chart takes values that it must refuse. Returns how many it was given."""
    for number, (values, word) in enumerate(REFUSED.items()):
        path = folder / f"refused{number}.yaml"
        path.write_text(values)
        try:
            tools.helm("template", "whence", CHART, "--values", path)
        except Violation as refused:
            if word not in str(refused).split("Error:")[-1]:
                raise Violation(f"values {values}: refused without `{word}`: {refused}") from None
        else:
            raise Violation(f"values {values}: not refused")
    return len(REFUSED)


def check_every_setting_is_used():
    """Fails if a setting of `values.yaml` is missing from `all.yaml` or has its default there.

    What has the default in all tests could be misspelled in the templates, and nobody would notice.
    """
    import yaml

    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    everything = yaml.safe_load((VALUES / "all.yaml").read_text())
    # `insecure.yaml` switches access control off.
    if unchanged := [place for place in unchanged_settings(defaults, everything) if place != "access.insecure"]:
        raise Violation(f"values/all.yaml has no other value than the default for {unchanged}")


def unchanged_settings(default, value, place=""):
    """Returns the places of all settings whose value is the default."""
    if isinstance(default, dict) and default and "emptyDir" not in default:
        return [found for name in default
                for found in unchanged_settings(default[name], value.get(name, default[name]), f"{place}.{name}".lstrip("."))]
    return [place] if value == default else []


def check_defaults_are_kept(documents):
    """Fails if 0 or false in a class of workers is taken for the default, or if a scaled class has a number of replicas."""
    replicas = {document["metadata"]["name"]: document["spec"].get("replicas") for document in documents
                if document["kind"] == "Deployment"}
    wanted = {"whence-coordinator": 2, "whence-worker-cpu": 0, "whence-worker-large": None, "whence-worker-spot": None}
    if replicas != wanted:
        raise Violation(f"values/all.yaml: replicas {replicas} instead of {wanted}")
    scaled = {document["metadata"]["name"] for document in documents if document["kind"] == "ScaledObject"}
    budgets = {document["metadata"]["name"] for document in documents if document["kind"] == "PodDisruptionBudget"}
    if scaled != {"whence-worker-large", "whence-worker-spot"} or budgets != {"whence-worker-cpu", "whence-worker-large"}:
        raise Violation(f"values/all.yaml: scaled {sorted(scaled)}, budgets of {sorted(budgets)}")
