"""Runs the pods of a manifest on this machine as a cluster would, without one.

Each container is a process in a mount namespace of its own: as the user and groups of its security context,
without capabilities, with a root file system that cannot be written, and with what its manifest mounts and
nothing else. So what a manifest forgets, such as a folder for temporary files or the group of a volume, fails
here as it does on a cluster. What is not imitated: images, limits of resources, probes and networks. All pods
are on the loopback of one network namespace, where every Service has the address 127.0.0.1.
"""

import base64
import os
import shlex
import shutil
import subprocess
from pathlib import Path

from flags import PROGRAMS, expand
from whence import Violation

# Devices that every container has.
DEVICES = ["null", "zero", "random", "urandom"]


class Cluster:
    """Objects, volumes and processes."""

    def __init__(self, programs, folder, documents):
        self.programs, self.folder = programs, folder
        self.objects = {(document["kind"], document["metadata"]["name"]): document for document in documents}
        self.claims = folder / "claims"
        self.claims.mkdir(parents=True)
        self.processes = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop(list(self.processes))

    def claim(self, name):
        """Returns the folder of a PersistentVolumeClaim, which belongs to root as on a fresh disk."""
        folder = self.claims / name
        folder.mkdir(exist_ok=True)
        return folder

    def add_secret(self, name, files):
        self.objects["Secret", name] = {"data": {key: base64.b64encode(text.encode()).decode() for key, text in files.items()}}

    def start(self, pods, name, **environment):
        """Starts the container of a pod. Returns its process."""
        container, = pods["containers"]
        folder = self.folder / name
        folder.mkdir()
        environment = {**environment, **self.environment(container, name)}
        command = [expand(word, environment) for word in [*container["command"], *container.get("args", [])]]
        script = folder / "start"
        script.write_text("\n".join(["set -eu", *self.mounts(pods, container, folder), self.execute(pods, container, folder, command)]))
        self.processes[name] = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--", "bash", script],
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", **environment}, stdin=subprocess.DEVNULL,
            stdout=open(folder / "output", "wb"), stderr=open(folder / "log", "wb"))
        return self.processes[name]

    def output(self, name):
        return (self.folder / name / "output").read_text()

    def log(self, name):
        """Returns the messages of a pod."""
        return (self.folder / name / "log").read_text(errors="replace")

    def stop(self, names):
        """Ends pods as Kubernetes does, and fails if one does not end within its time."""
        for name in names:
            self.signal(name)
        for name in names:
            try:
                self.processes.pop(name).wait(60)
            except subprocess.TimeoutExpired:
                raise Violation(f"{name} does not end after SIGTERM: {self.log(name)}") from None

    def signal(self, name):
        """Sends SIGTERM to the program, which is the child of the namespace's first process."""
        if self.processes[name].poll() is None:
            subprocess.run(["pkill", "-TERM", "-P", str(self.processes[name].pid)], check=False)

    def environment(self, container, pod):
        """Returns the variables that a container gets, those of `env` last."""
        found = {}
        for source in container.get("envFrom", []):
            (kind, reference), = source.items()
            found |= self.data("ConfigMap" if kind == "configMapRef" else "Secret", reference)
        for entry in container.get("env", []):
            if "value" in entry:
                found[entry["name"]] = entry["value"]
            elif reference := entry["valueFrom"].get("secretKeyRef"):
                data = self.data("Secret", reference)
                if reference["key"] in data:
                    found[entry["name"]] = data[reference["key"]]
            else:
                # The name of the pod, or of its Job.
                found[entry["name"]] = pod
        return found

    def data(self, kind, reference):
        there = self.objects.get((kind, reference["name"]))
        if there is None and not reference.get("optional"):
            raise Violation(f"there is no {kind} `{reference['name']}`")
        data = (there or {}).get("data", {})
        return {key: base64.b64decode(text).decode() if kind == "Secret" else text for key, text in data.items()}

    def mounts(self, pods, container, folder):
        """Returns the commands that make the root file system of a container."""
        root = folder / "root"
        for made in ["usr", "proc", "dev", "etc/ssl"]:
            (root / made).mkdir(parents=True)
        for name in ["bin", "sbin", "lib", "lib64"]:
            (root / name).symlink_to(f"usr/{name}")
        user = pods["securityContext"]["runAsUser"]
        # As in the image, the home of the user does not exist.
        (root / "etc/passwd").write_text(f"root:x:0:0::/root:/bin/sh\nwhence:x:{user}:{user}::/home/whence:/bin/sh\n")
        services = " ".join(name for kind, name in self.objects if kind == "Service")
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost {services}\n")
        (root / "etc/nsswitch.conf").write_text("hosts: files\n")
        lines = ["mount --make-rprivate /", f"mount --bind {root} {root}", f"mount --bind /usr {root}/usr",
                 f"mount --bind /etc/ssl {root}/etc/ssl", f"mount --bind {self.programs} {root}/usr/local/bin", f"mount -t proc proc {root}/proc"]
        for name in DEVICES:
            (root / "dev" / name).touch()
            lines.append(f"mount --bind /dev/{name} {root}/dev/{name}")
        sources = {volume["name"]: self.volume(volume, pods, folder) for volume in pods["volumes"]}
        for mount in container["volumeMounts"]:
            target = root / mount["mountPath"].lstrip("/")
            target.mkdir(parents=True, exist_ok=True)
            lines.append(f"mount --bind {sources[mount['name']]} {target}")
            if mount.get("readOnly"):
                lines.append(f"mount -o remount,bind,ro {target}")
        if container["securityContext"]["readOnlyRootFilesystem"]:
            lines.append(f"mount -o remount,bind,ro {root}")
        return lines

    def volume(self, volume, pods, folder):
        """Returns the folder of a volume, with the owner and the rights that Kubernetes gives it."""
        (kind, source), = ((kind, source) for kind, source in volume.items() if kind != "name")
        group = pods["securityContext"].get("fsGroup")
        if kind == "persistentVolumeClaim":
            made = self.claim(source["claimName"])
        else:
            made = folder / "volumes" / volume["name"]
            made.mkdir(parents=True)
        if kind == "emptyDir":
            made.chmod(0o777)
        for secret, items in secrets_of(kind, source):
            data = self.data("Secret", {"name": secret})
            for key, path in items or [(key, key) for key in data]:
                if key not in data:
                    raise Violation(f"the Secret `{secret}` has no key `{key}`")
                (made / path).write_text(data[key])
                (made / path).chmod(source.get("defaultMode", 0o644))
        if group is not None:
            for path in [made, *made.rglob("*")]:
                os.chown(path, -1, group)
                path.chmod(path.stat().st_mode | (0o2070 if path.is_dir() else 0o060 if kind == "persistentVolumeClaim" else 0o040))
        return made

    @staticmethod
    def execute(pods, container, folder, command):
        """Returns the command that becomes the program of a container."""
        security = pods["securityContext"]
        groups = [f"--groups={security['fsGroup']}"] if "fsGroup" in security else ["--clear-groups"]
        as_user = ["setpriv", f"--reuid={security['runAsUser']}", f"--regid={security['runAsGroup']}", *groups,
                   "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
        return shlex.join(["exec", "/usr/sbin/chroot", f"{folder}/root", *as_user, *command])


def secrets_of(kind, source):
    """Returns the Secrets in a volume, each with its keys and their paths; none for all of them."""
    if kind == "secret":
        return [(source["secretName"], None)]
    if kind == "projected":
        return [(each["secret"]["name"], [(item["key"], item["path"]) for item in each["secret"]["items"]]) for each in source["sources"]]
    return []


def programs_in(folder, whence):
    """Makes a folder with the three programs, which lie beside each other, and with nothing else."""
    folder.mkdir()
    for name in PROGRAMS:
        try:
            os.link(Path(whence).parent / name, folder / name)
        except OSError:
            shutil.copy(Path(whence).parent / name, folder / name)
    return folder
