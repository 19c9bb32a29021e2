"""Checks every Kubernetes manifest that the tree holds or the program prints.

    python3 tests/kubernetes/run.py --whence target/debug/whence

Needs Python 3, and installs the pinned schemas of Kubernetes into a temporary folder. Manifests must fit
them strictly, which refuses unknown fields too. What a server checks beyond them is in `rules.py`, as far as
it concerns our manifests. If `kubectl` is there (Debian: `apt-get install kubernetes-client`), the output of
`kubectl kustomize` is checked as well. No manifest is applied: that needs a cluster.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rules import broken_rules, pod_template
from whence import ATTRIBUTION, TREE, Violation, Whence

SCHEMAS = "kubernetes-validate==1.37.0"
# The oldest one that our manifests are for, and the newest one of the schemas.
VERSIONS = ["1.31", "1.37"]
FOLDER = TREE / "deploy/kubernetes"


def documents(text):
    import yaml

    return [document for document in yaml.safe_load_all(text) if document]


def check(name, text):
    """Checks all documents of a manifest. Prints what was checked."""
    import kubernetes_validate

    for document in documents(text):
        kind = f"{document['kind']} {document.get('metadata', {}).get('name', '')}".strip()
        for version in VERSIONS:
            try:
                kubernetes_validate.validate(document, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                place = ".".join(map(str, error.path))
                raise Violation(f"{name}: {kind}, Kubernetes {version}: {place}: {error.message}") from None
        if broken := broken_rules(document):
            raise Violation(f"{name}: {kind}: {'; '.join(broken)}")
        print(f"{name}: {kind} fits Kubernetes {' and '.join(VERSIONS)}")


def check_held():
    """Checks the manifests of the tree, each by itself and as they are applied. Returns the latter, if they are known."""
    kustomization, = documents((FOLDER / "kustomization.yaml").read_text())
    held = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    if set(kustomization["resources"]) != held:
        raise Violation(f"kustomization.yaml lists {kustomization['resources']}, the folder holds {sorted(held)}")
    for name in sorted(held):
        check(name, (FOLDER / name).read_text())
    if not shutil.which("kubectl"):
        print("kustomize: not checked, because there is no kubectl")
        return []
    applied = subprocess.run(["kubectl", "kustomize", FOLDER], check=True, capture_output=True, text=True).stdout
    check("kustomize", applied)
    return documents(applied)


def config_maps(pods):
    return {source["configMapRef"]["name"] for container in pods["containers"] for source in container.get("envFrom", [])}


def check_printed(whence, folder, applied):
    """Checks what `submit --static` prints, from one pod up to the most that it accepts."""
    made = {document["metadata"]["name"] for document in applied if document["kind"] == "ConfigMap"}
    submit = ["submit", "--static", "--print", "kubernetes", *ATTRIBUTION, "--dataset-split", "train[:4]"]
    for of in [1, 8, 100_000]:
        # Characters that YAML and shells treat specially.
        root = folder / "it's: a #root"
        printed = whence.run(*submit, "--root", root, "--of", of)
        check(f"submit --of {of}", printed)
        # It is optional, so nobody would notice a name that does not exist.
        used = config_maps(pod_template(*documents(printed)))
        if applied and not used <= made:
            raise Violation(f"submit --of {of}: names the ConfigMaps {used}, kustomize makes {made}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whence", required=True, type=lambda path: str(Path(path).absolute()))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        with tempfile.TemporaryDirectory() as folder:
            applied = check_held()
            check_printed(Whence(arguments.whence, folder), Path(folder), applied)
        return
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin/python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", SCHEMAS], check=True)
        ran = subprocess.run([python, __file__, "--whence", arguments.whence, "--inside"])
    sys.exit(ran.returncode)


if __name__ == "__main__":
    main()
