"""A Slurm cluster of several nodes on this machine, in a network and a process table of its own.

Slurm's daemons listen on all interfaces. In a network namespace that has only loopback, nothing outside
reaches them, and any port is free. When the namespaces end, every process in them does, so none is left
behind, however the test ends.
"""

import os
import socket
import subprocess
import time
from pathlib import Path

# The printed script asks for 8 processors and 16 GiB, so two of its tasks fit on a node. Slurm believes
# in these nodes though the machine has less: `config_overrides`.
NODES, PROCESSORS, MEMORY_MIB = 4, 16, 32768
# A node that does not answer for so long is down. The default of 300 s would make the test slow.
NODE_TIMEOUT = 10
# On loopback, beside 127.0.0.1: the C library resolves no address, not even a number, on a machine that
# has no other one. The range is reserved for examples.
ADDRESS = "192.0.2.1"


def in_namespaces(kinds, command):
    """Returns what runs `command` in new namespaces. Killing it kills all that is in them."""
    # A shell as the first process collects orphans. As long as a dead orphan is in the process table,
    # Slurm takes its job for running.
    shell = ["bash", "-c", '"$@" & wait $!', "init", *command]
    return ["unshare", *kinds, "--fork", "--mount-proc", "--kill-child=KILL", "--", *shell]


class Cluster:
    """The daemons, with all their files in one folder."""

    def __init__(self, folder, environment):
        self.folder = Path(folder)
        self.environment = {**environment, "SLURM_CONF": str(self.folder / "slurm.conf")}
        self.daemons = {}

    def __enter__(self):
        for command in ["ip link set lo up", f"ip address add {ADDRESS}/32 dev lo"]:
            subprocess.run(command.split(), check=True)
        for name in ["munge", "state", *self.nodes()]:
            (self.folder / name).mkdir(mode=0o755, parents=True)
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o400)
        (self.folder / "slurm.conf").write_text(self.configuration())
        munge = self.folder / "munge"
        self.start("munged", "--foreground", "--force", f"--socket={munge}/socket", f"--key-file={self.folder}/munge.key",
                   f"--pid-file={munge}/pid", f"--seed-file={munge}/seed", f"--log-file={munge}/log")
        self.until("munge answers", (munge / "socket").exists)
        self.start("slurmctld", "-D", "-i", "-L", self.folder / "slurmctld.log")
        for node in self.nodes():
            self.start_node(node)
        self.until("all nodes are idle", lambda: self.run("sinfo", "-h", "-t", "idle", "-o", "%D").strip() == str(NODES))
        return self

    def __exit__(self, *_):
        for daemon in self.daemons.values():
            daemon.terminate()
        for daemon in self.daemons.values():
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()

    @staticmethod
    def nodes():
        return [f"node{index}" for index in range(NODES)]

    def configuration(self):
        ports = f"[7001-{7000 + NODES}]"
        return f"""ClusterName=whence
SlurmctldHost={socket.gethostname()}({ADDRESS})
SlurmctldPort=6817
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={self.folder}/munge/socket
CredType=cred/munge
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/%n
SlurmdPidFile={self.folder}/%n/pid
SlurmctldPidFile={self.folder}/state/pid
SlurmdLogFile={self.folder}/%n.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout={NODE_TIMEOUT}
# Jobs stay in the listing until the test has seen how they ended.
MinJobAge=3600
NodeName=node[0-{NODES - 1}] NodeHostname={socket.gethostname()} NodeAddr={ADDRESS} Port={ports} CPUs={PROCESSORS} RealMemory={MEMORY_MIB}
PartitionName=all Nodes=ALL Default=YES State=UP MaxTime=INFINITE
"""

    def start(self, *command, name=None):
        log = open(self.folder / f"{name or command[0]}.out", "ab")
        self.daemons[name or command[0]] = subprocess.Popen([str(part) for part in command], env=self.environment,
                                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def start_node(self, node):
        self.start(*in_namespaces(["--pid"], ["slurmd", "-D", "-N", node]), name=node)

    def kill_node(self, node):
        """Ends a node as a power failure does: its daemon and every process of its jobs."""
        killed = self.daemons.pop(node)
        killed.kill()
        killed.wait()

    def run(self, *command):
        """Runs a command of Slurm. Returns its output."""
        ran = subprocess.run([str(part) for part in command], env=self.environment, cwd=self.folder,
                             stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if ran.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))}: {ran.stderr}")
        return ran.stdout

    def until(self, what, is_so, seconds=60):
        """Waits until `is_so` returns something true, and returns that. Fails after some time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := is_so():
                return found
            time.sleep(0.2)
        raise RuntimeError(f"not after {seconds} s: {what}\n{self.run('squeue')}")
