"""Checks what `deploy/` holds besides Kubernetes: alerts, the dashboard, units of systemd, compose and policies of stores.

    python3 tests/deploy/run.py --whence target/debug/whence

Needs Python 3, Prometheus (Debian: `apt-get install prometheus`), systemd's programs, and the three programs of
whence beside each other. Alerts are tested with `promtool` on series of numbers, and a real Prometheus watches a
real coordinator. A root is copied while a job runs, and the copy is finished. Mistakes are planted in everything that is checked, and each must be found. What has no check here:
images are not built, and policies are not tried with the stores that they are for. Files for compose are read by
`docker-compose` if it is there.
"""

import argparse
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from alerts import check_alerts
from backup import check_backup
from dashboard import check_dashboard
from flags import Flags
from services import check_compose, check_policies, check_units
from watched import check_watched
from whence import Whence, needed

PYTHON = ["PyYAML==6.0.3"]


def check(whence_path, folder):
    whence = Whence(whence_path, folder)
    flags = Flags(Path(whence_path).parent, folder)
    for name, figures in [
        ("alerts", lambda: check_alerts(folder)),
        ("dashboard", lambda: check_dashboard(folder)),
        ("systemd", lambda: check_units(flags, folder)),
        ("compose", lambda: check_compose(flags, folder)),
        ("policies", check_policies),
        ("Prometheus", lambda: check_watched(whence, folder)),
        ("backup", lambda: check_backup(whence, folder)),
    ]:
        print(f"{name}: {figures()}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whence", required=True, type=lambda path: str(Path(path).absolute()))
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    needed(["promtool", "prometheus", "systemd-analyze"], "apt-get install prometheus systemd")
    with tempfile.TemporaryDirectory() as folder:
        if arguments.inside:
            check(arguments.whence, Path(folder))
            return
        venv.create(folder, with_pip=True)
        python = Path(folder) / "bin/python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PYTHON], check=True)
        sys.exit(subprocess.run([python, __file__, "--whence", arguments.whence, "--inside"]).returncode)


if __name__ == "__main__":
    main()
