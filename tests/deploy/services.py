"""Checks the units of systemd, the files for compose, and the policies for stores."""

import copy
import json
import os
import re
import shutil
import subprocess

from whence import TREE, Violation

UNITS = TREE / "deploy/systemd"
# `systemd-analyze security` gives 0 to a service that may do nothing, and 10 to one that may do everything.
EXPOSURE = 2.5
# What no policy may grant: whence never removes an object.
FORBIDDEN = re.compile(r"delete|remove|\*/|:\*|setIam|manageOwnership", re.IGNORECASE)


def run(*command, **more):
    ran = subprocess.run([str(part) for part in command], capture_output=True, text=True, **more)
    return ran.returncode, ran.stdout + ran.stderr


def check_units(flags, folder):
    """Checks all units. Returns figures."""
    told = []
    for path in sorted(UNITS.glob("*.service")):
        exposure = check_unit(flags, folder, path.name, path.read_text())
        told.append(f"{path.name} exposure {exposure}")
    return f"{', '.join(told)} of 10, {check_unit_mistakes(flags, folder)} planted mistakes found"


def check_unit(flags, folder, name, text):
    """Checks a unit: systemd reads it, it is hardened, and the program knows its settings. Returns its exposure."""
    program = re.search(r"^ExecStart=/usr/local/bin/(\S+)(.*)$", text, re.MULTILINE)
    environment = {key: value for line in re.findall(r"^Environment=(.*)$", text, re.MULTILINE)
                   for key, value in (word.split("=", 1) for word in line.split())}
    for found in re.findall(r"^EnvironmentFile=-?/etc/whence/(\S+)$", text, re.MULTILINE):
        example = UNITS / found
        if example.exists():
            environment |= dict(line.split("=", 1) for line in example.read_text().splitlines() if "=" in line and not line.startswith("#"))
        elif "%i" not in found:
            raise Violation(f"{name}: there is no example of {found}")
    flags.check(name, [program[1], *program[2].split()], environment)
    unit = folder / "units" / name
    unit.parent.mkdir(exist_ok=True)
    # systemd looks for the program.
    unit.write_text(text.replace("/usr/local/bin/", f"{flags.programs}/"))
    instance = unit.with_name(name.replace("@.", "@1."))
    if instance != unit:
        shutil.copy(unit, instance)
    status, said = run("systemd-analyze", "verify", "--man=no", instance)
    ours = "\n".join(line for line in said.splitlines() if "whence" in line)
    if status or ours:
        raise Violation(f"{name}: {said}")
    status, said = run("systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE * 10:.0f}", instance)
    exposure = re.search(r"exposure level for \S+: ([\d.]+)", said)
    if status or not exposure:
        raise Violation(f"{name}: {said}")
    return exposure[1]


def check_unit_mistakes(flags, folder):
    text = (UNITS / "whence-worker@.service").read_text()
    mistakes = [("Restart=always", "Restart=sometimes"), ("NoNewPrivileges=true", "NoNewPrivilege=true"),
                ("bin/whence-worker", "bin/whence-labourer"), ("bin/whence-worker", "bin/whence-worker --replicas=2"),
                ("WHENCE_TOKEN_FILE", "WHENCE_TOKENFILE"), ("worker.env", "workers.env"),
                ("SystemCallFilter=@system-service", ""), ("After=network-online.target", "After=network online")]
    for old, new in mistakes:
        try:
            check_unit(flags, folder, "whence-mistake@.service", text.replace(old, new))
        except (Violation, OSError, subprocess.CalledProcessError):
            continue
        raise Violation(f"a planted mistake was not found: {new}")
    return len(mistakes)


def check_compose(flags, folder):
    """Checks the files for compose. Returns figures."""
    import yaml

    paths = sorted((TREE / "deploy").glob("compose*.yaml"))
    for path in paths:
        if shutil.which("docker-compose"):
            status, said = run("docker-compose", "--file", path, "config", "--quiet")
            if status:
                raise Violation(f"{path.name}: {said}")
        check_services(flags, path.name, yaml.safe_load(path.read_text())["services"])
    services = yaml.safe_load(paths[0].read_text())["services"]
    mistakes = [lambda one: one.update(read_only=False), lambda one: one.pop("cap_drop"), lambda one: one.pop("tmpfs"),
                lambda one: one["command"].append("--roots"), lambda one: one["environment"].update(WHENCE_ROOTS="/")]
    for mistake in mistakes:
        changed = copy.deepcopy(services)
        mistake(changed["coordinator"])
        try:
            check_services(flags, "mistake", changed)
        except Violation:
            continue
        raise Violation(f"a planted mistake was not found: {changed['coordinator']}")
    by = "docker-compose and " if shutil.which("docker-compose") else ""
    return f"{', '.join(path.name for path in paths)} checked by {by}the programs, {len(mistakes)} planted mistakes found"


def check_services(flags, name, services):
    for service, entry in services.items():
        if entry["image"] != "whence":
            continue
        place = f"{name}: {service}"
        environment = {key: str(value) for key, value in entry["environment"].items()}
        flags.check(place, [word.replace("$$", "$") for word in entry["command"]], environment)
        if not entry.get("read_only") or entry.get("cap_drop") != ["ALL"] or "/tmp" not in entry.get("tmpfs", []):
            raise Violation(f"{place}: may do more than it needs, or has no folder for temporary files")


def check_policies():
    """Checks that no policy grants more than to read, list and create. Returns figures."""
    import yaml

    folder = TREE / "deploy/iam"
    granted = {path.name: actions(yaml.safe_load(path.read_text())) for path in sorted(folder.iterdir())}
    # JSON is YAML, but not every YAML is JSON.
    for path in folder.glob("*.json"):
        json.loads(path.read_text())
    for name, found in granted.items():
        check_granted(name, found)
    for action in ["s3:DeleteObject", "s3:*", "storage.objects.delete", "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete", "Microsoft.Storage/*/read"]:
        try:
            check_granted("mistake", [action])
        except Violation:
            continue
        raise Violation(f"a planted mistake was not found: {action}")
    return f"{len(granted)} policies grant {', '.join(sorted({action.rsplit('/', 1)[-1] for found in granted.values() for action in found}))}"


def actions(policy):
    """Returns what a policy of any of the three stores grants."""
    statements = [entry for entry in policy.get("Statement", []) if entry["Effect"] == "Allow"]
    aws = [action for entry in statements for action in ([entry["Action"]] if isinstance(entry["Action"], str) else entry["Action"])]
    return aws + policy.get("includedPermissions", []) + policy.get("Actions", []) + policy.get("DataActions", [])


def check_granted(name, found):
    if wide := [action for action in found if FORBIDDEN.search(action)]:
        raise Violation(f"{name}: grants {wide}")
