"""Checks that the programs take what the containers of a manifest give them."""

from rules import pod_templates


def check_containers(flags, name, documents):
    """Checks the commands of all containers, and the variables of all ConfigMaps. Returns the number of calls of programs."""
    calls = 0
    for document in documents:
        place = f"{name}: {document['kind']} {document['metadata']['name']}"
        if document["kind"] == "ConfigMap":
            flags.check_variables(place, document["data"])
        for pods in pod_templates(document):
            for container in pods["containers"]:
                environment = {entry["name"]: entry.get("value", "value") for entry in container.get("env", [])}
                calls += flags.check(place, [*container["command"], *container.get("args", [])], environment)
    return calls
