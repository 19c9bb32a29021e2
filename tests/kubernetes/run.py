"""Checks every Kubernetes manifest that the tree holds, the chart makes or the program prints, and runs their pods.

    python3 tests/kubernetes/run.py --whence target/debug/whence
    python3 tests/kubernetes/run.py --whence target/debug/whence --tools /tmp/kubernetes

Needs Python 3, Node.js with npm, and the three programs of whence beside each other. Installs `helm`, `kubectl`
and pinned schemas into a temporary folder, or into that of `--tools`. Manifests must fit the schemas strictly,
which refuses unknown fields too, and keep the rules of `rules.py`; the program must know each of their flags and
variables. As root, the pods are run as well (`pods.py`); without a cluster, so neither its network nor its
control plane. At the end, mistakes are planted in manifests, and each must be found.
"""

import argparse
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from chart import VALUES, check_defaults_are_kept, check_every_setting_is_used, check_refusals, rendered
from containers import check_containers
from flags import Flags
from installed import check_installed
from mistakes import check_mistakes_are_found
from pods import programs_in
from rules import pod_templates
from schemas import VERSIONS, Schemas
from tools import Tools
from whence import ATTRIBUTION, TREE, Violation, Whence, needed

FOLDER = TREE / "deploy/kubernetes"


def documents(text):
    import yaml

    return [document for document in yaml.safe_load_all(text) if document]


class Manifests:
    """What is checked of each manifest."""

    def __init__(self, schemas, flags):
        self.schemas, self.flags = schemas, flags

    def check(self, name, found):
        """Checks all documents of a manifest. Prints what was checked."""
        calls = check_containers(self.flags, name, found)
        self.schemas.check(name, found)
        kinds = ", ".join(sorted({document["kind"] for document in found}))
        print(f"{name}: {len(found)} objects fit Kubernetes {' and '.join(VERSIONS)} ({kinds}), "
              f"{calls} calls of programs parsed", flush=True)


def check_held(manifests, tools):
    """Checks the manifests that `kubectl apply -k` applies, each by itself and together. Returns them."""
    kustomization, = documents((FOLDER / "kustomization.yaml").read_text())
    held = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    if set(kustomization["resources"]) != held:
        raise Violation(f"kustomization.yaml lists {kustomization['resources']}, the folder holds {sorted(held)}")
    for name in sorted(held):
        manifests.check(name, documents((FOLDER / name).read_text()))
    applied = documents(tools.kubectl("kustomize", FOLDER))
    manifests.check("kustomize", applied)
    return applied


def check_static(manifests, made):
    """Checks the manifests that need no coordinator. Returns their documents by the names of their files."""
    static = {}
    for path in sorted((FOLDER / "static").glob("*.yaml")):
        found = documents(path.read_text())
        manifests.check(path.name, found)
        check_config_maps(path.name, found, made)
        static[path.name], = found
    return static


def check_config_maps(name, found, made):
    """Fails if a pod names a ConfigMap that nothing makes. Such names are optional, so nobody would notice."""
    used = {source["configMapRef"]["name"] for document in found for pods in pod_templates(document)
            for container in pods["containers"] for source in container.get("envFrom", []) if "configMapRef" in source}
    if not used <= made:
        raise Violation(f"{name}: names the ConfigMaps {sorted(used)}, and {sorted(made)} are made")


def check_printed(manifests, whence, folder, made):
    """Checks what `submit --static` prints, from one pod up to the most that it accepts."""
    submit = ["submit", "--static", "--print", "kubernetes", *ATTRIBUTION, "--dataset-split", "train[:4]"]
    for of in [1, 8, 100_000]:
        # Characters that YAML and shells treat specially.
        printed = documents(whence.run(*submit, "--root", folder / "it's: a #root", "--of", of))
        manifests.check(f"submit --of {of}", printed)
        check_config_maps(f"submit --of {of}", printed, made)


def check_chart(manifests, tools, folder):
    """Checks what the chart makes of each file of values. Returns the documents by the names of these files."""
    check_every_setting_is_used()
    made = {}
    for path in sorted(VALUES.glob("*.yaml")):
        made[path.name] = rendered(tools, path)
        manifests.check(path.name, made[path.name])
        own = {document["metadata"]["name"] for document in made[path.name] if document["kind"] == "ConfigMap"}
        check_config_maps(path.name, made[path.name], own)
    check_defaults_are_kept(made["all.yaml"])
    print(f"values: {check_refusals(tools, folder)} mistakes refused", flush=True)
    return made


def check(whence_path, tools, folder):
    whence = Whence(whence_path, folder)
    programs = programs_in(folder / "programs", whence_path)
    manifests = Manifests(Schemas(tools.folder), Flags(programs, folder))
    applied = check_held(manifests, tools)
    made = {document["metadata"]["name"] for document in applied if document["kind"] == "ConfigMap"}
    static = check_static(manifests, made)
    check_printed(manifests, whence, folder, made)
    charts = check_chart(manifests, tools, folder)
    print(f"planted mistakes: {check_mistakes_are_found(manifests, charts, static)} found", flush=True)
    if os.geteuid() != 0:
        print("pods: not run, because only root may make the namespaces of containers")
        return
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    (folder / "cluster").mkdir()
    for line in check_installed(whence, programs, folder / "cluster", charts["shared-folder.yaml"], static):
        print(f"pods: {line}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whence", required=True, type=lambda path: str(Path(path).absolute()))
    parser.add_argument("--tools", type=lambda path: Path(path).absolute(), help="folder of the programs and schemas, kept for the next time")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    needed(["npm", "node", "openssl"], "apt-get install npm openssl")
    with tempfile.TemporaryDirectory() as folder:
        tools = Tools(arguments.tools or Path(folder) / "tools")
        if arguments.inside:
            # Users that are not root enter it.
            Path(folder).chmod(0o755)
            check(arguments.whence, tools, Path(folder))
            return
        tools.folder.mkdir(exist_ok=True, parents=True)
        tools.install()
        inside = [tools.python, __file__, "--whence", arguments.whence, "--tools", tools.folder, "--inside"]
        # Pods listen on fixed ports, in a network that nobody else reaches.
        network = ["unshare", "--net"] if os.geteuid() == 0 else []
        sys.exit(subprocess.run([*network, *inside]).returncode)


if __name__ == "__main__":
    main()
