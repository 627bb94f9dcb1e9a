"""A real Slurm on this machine, for tests: two nodes, two partitions, accounting, no systemd.

Everything listens on the loopback address and lives in one temporary folder; /etc is not touched.
Needs root, and the packages that tools/need_slurm installs. By hand::

    python tests/slurm.py -- COMMAND...     # run a command with the cluster up
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

NODES = ("n1", "n2")
PARTITIONS = {"main": "n1,n2", "long": "n2"}
ACCOUNT = "dsa110"
PROGRAMS = ("munged", "mariadbd", "mariadb-install-db", "slurmdbd", "slurmctld", "slurmd")
PREFIX = "contimg-slurm."
START_LIMIT_S = 60.0
STOP_LIMIT_S = 20.0

SLURM_CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={slurmctld}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmdSpoolDir={folder}/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={slurmdbd}
AccountingStoragePass={folder}/munge.socket
AccountingStorageEnforce=associations
AccountingStoreFlags=job_comment
EnforcePartLimits=ALL
MinJobAge=3600
ReturnToService=2
SlurmdTimeout={down_after_s}
KillWait=5
SlurmdParameters=config_overrides
"""
NODE_CONF = """\
NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} RealMemory={memory}
"""
SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoInAddrAny
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={slurmdbd}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={mariadb}
StorageUser=root
StorageLoc=slurm_acct_db
"""
# The plugin takes SLURM_* out of the environment in which it starts srun.
SRUN = """\
#!/bin/sh
SLURM_CONF={folder}/slurm.conf exec {srun} "$@"
"""


class SlurmError(Exception):
    """Slurm cannot be started here, or did not do as it was told."""


class Slurm:
    """A Slurm of two nodes while the `with` block lasts.

    Parameters
    ----------
    cpus, memory_mb : what each node claims to have, whatever the machine has.
    down_after_s : a node that has not answered for so long is down, and its jobs are requeued.

    Attributes
    ----------
    environment : the environment in which Slurm's commands find this cluster.
    processes : the daemons by name ("munged", "mariadbd", "slurmdbd", "slurmctld", "n1", "n2").
    """

    def __init__(self, *, cpus: int = 2, memory_mb: int = 64000, down_after_s: int = 60) -> None:
        self.cpus = cpus
        self.memory_mb = memory_mb
        self.down_after_s = down_after_s
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        require_root_and_programs()
        remove_what_the_dead_left()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}.", dir="/tmp"))
        self.folder.chmod(0o755)  # munge's socket is for everyone
        self.environment = {
            **{name: text for name, text in os.environ.items() if not name.startswith("SLURM_")},
            "SLURM_CONF": str(self.folder / "slurm.conf"),
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
        }
        with ExitStack() as undo:
            undo.callback(self.stop)
            self._configure()
            self._start()
            undo.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _configure(self) -> None:
        names = ("slurmctld", "slurmdbd", "mariadb", *NODES)
        ports = dict(zip(names, free_ports(len(names)), strict=True))
        host = socket.gethostname().split(".")[0]
        facts = {"folder": self.folder, "host": host, "down_after_s": self.down_after_s, **ports}
        conf = SLURM_CONF.format(**facts)
        for name in NODES:
            conf += NODE_CONF.format(
                name=name, host=host, port=ports[name], cpus=self.cpus, memory=self.memory_mb
            )
            (self.folder / name).mkdir()
        for name, nodes in PARTITIONS.items():
            default = "YES" if name == "main" else "NO"
            conf += f"PartitionName={name} Nodes={nodes} Default={default} MaxTime=1-0\n"
        (self.folder / "state").mkdir()
        (self.folder / "slurm.conf").write_text(conf)
        (self.folder / "slurmdbd.conf").write_text(SLURMDBD_CONF.format(**facts))
        (self.folder / "slurmdbd.conf").chmod(0o600)
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o600)
        srun = self.folder / "bin" / "srun"
        srun.parent.mkdir()
        srun.write_text(SRUN.format(folder=self.folder, srun=shutil.which("srun")))
        srun.chmod(0o755)
        self._database_port = ports["mariadb"]

    def _start(self) -> None:
        folder = self.folder
        self._daemon("munged", "munged", "--foreground", "--force",
                     f"--key-file={folder}/munge.key", f"--socket={folder}/munge.socket",
                     f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
                     f"--seed-file={folder}/munged.seed")  # fmt: skip
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={folder}/db", "--user=root",
             "--auth-root-authentication-method=normal", "--skip-test-db"],
            check=True, capture_output=True,
        )  # fmt: skip
        self._daemon("mariadbd", "mariadbd", "--no-defaults", f"--datadir={folder}/db",
                     "--user=root", f"--socket={folder}/db.socket", "--bind-address=127.0.0.1",
                     f"--port={self._database_port}", f"--pid-file={folder}/db.pid",
                     "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M")  # fmt: skip
        self._wait("munge and the database", lambda: (
            (folder / "munge.socket").exists() and (folder / "db.socket").exists()
        ))  # fmt: skip
        self._daemon("slurmdbd", "slurmdbd", "-D")
        self._wait("slurmdbd", lambda: self._succeeds("sacctmgr", "-i", "add", "cluster", "test"))
        self.run("sacctmgr", "-i", "add", "account", ACCOUNT, "cluster=test")
        self.run("sacctmgr", "-i", "add", "user", "root", f"account={ACCOUNT}")
        self._daemon("slurmctld", "slurmctld", "-D")
        for name in NODES:
            self.start_node(name)
        self._wait("idle nodes", lambda: self.states() == dict.fromkeys(NODES, "idle"))

    def _daemon(self, name: str, *command: str) -> None:
        """Start a daemon that dies with this process, however that ends."""
        with (self.folder / f"{name}.out").open("ab") as output:
            self.processes[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *command],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                env=self.environment, start_new_session=True,
            )  # fmt: skip

    def _wait(self, what: str, happened: Callable[[], bool], limit_s: float = START_LIMIT_S):
        end = time.monotonic() + limit_s
        while not happened():
            dead = [name for name, process in self.processes.items() if process.poll() is not None]
            if dead or time.monotonic() > end:
                problem = f"{dead[0]} ended" if dead else f"not there after {limit_s:.0f} s"
                raise SlurmError(f"waiting for {what}: {problem}\n{self._told(dead)}")
            time.sleep(0.1)

    def _told(self, names: list[str]) -> str:
        """Return the end of what the daemons said."""
        paths = [self.folder / f"{name}.out" for name in names or self.processes]
        return "\n".join(f"{path.name}: {path.read_text()[-600:]}" for path in paths)

    def _succeeds(self, *command: str) -> bool:
        done = subprocess.run(command, env=self.environment, capture_output=True, check=False)
        return done.returncode == 0

    def run(self, *command: str) -> str:
        """Run a command of Slurm's and return what it says."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SlurmError(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return done.stdout

    def states(self) -> dict[str, str]:
        """Return each node's state ("idle", "mixed", "down*", ...)."""
        if not self._succeeds("scontrol", "ping"):
            return {}
        lines = self.run("sinfo", "--noheader", "--Node", "--format=%N %T").splitlines()
        return dict(line.split() for line in lines)

    def jobs(self, *fields: str) -> list[dict[str, str]]:
        """Return what the accounting holds of every job, oldest first, by `sacct`'s field names."""
        fields = fields or ("JobID", "Comment", "Partition", "Account", "NodeList", "State")
        listing = self.run(
            "sacct", "-X", "--parsable2", "--noheader", f"--format={','.join(fields)}"
        )
        return [dict(zip(fields, line.split("|"), strict=True)) for line in listing.splitlines()]

    def start_node(self, name: str) -> None:
        """Start a node's daemon (again)."""
        self._daemon(name, "slurmd", "-D", "-N", name)

    def kill_node(self, name: str, *, with_jobs: bool = False) -> None:
        """Kill -9 a node's daemon; with its jobs as well it is a machine that lost its power."""
        self.processes[name].kill()
        self.processes[name].wait()
        if with_jobs:
            kill(lambda environ: self._is_ours(environ) and is_of_node(environ, name))

    def wait_idle(self, limit_s: float = START_LIMIT_S) -> None:
        """Wait until every node is back and has nothing to do."""
        self._wait("idle nodes", lambda: self.states() == dict.fromkeys(NODES, "idle"), limit_s)

    def _is_ours(self, environ: list[bytes]) -> bool:
        return f"SLURM_CONF={self.folder}/slurm.conf".encode() in environ

    def stop(self) -> None:
        """End the jobs and all that was started, and remove the folder."""
        if "slurmctld" in self.processes:
            with suppress(SlurmError, subprocess.TimeoutExpired):
                self.run("scancel", "--user=root")
        for process in reversed(self.processes.values()):
            process.terminate()
        end = time.monotonic() + STOP_LIMIT_S
        for process in reversed(self.processes.values()):
            try:
                process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        kill(self._is_ours)
        shutil.rmtree(self.folder, ignore_errors=True)


def require_root_and_programs() -> None:
    """Raise `SlurmError` when this machine cannot run the cluster."""
    if os.geteuid() != 0:
        raise SlurmError(
            "Slurm's daemons need root here: run the tests as root (a container's is enough)"
        )
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        raise SlurmError(f"not on the PATH: {', '.join(missing)}; tools/need_slurm installs them")


def free_ports(count: int) -> list[int]:
    """Return ports of the loopback address that nobody listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def is_of_node(environ: list[bytes], name: str) -> bool:
    return f"SLURMD_NODENAME={name}".encode() in environ


def kill(wanted: Callable[[list[bytes]], bool]) -> None:
    """Kill -9 the processes whose environment is wanted: jobs outlive the daemon of their node."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if int(path.parent.name) != os.getpid() and wanted(path.read_bytes().split(b"\0")):
                os.kill(int(path.parent.name), signal.SIGKILL)


def remove_what_the_dead_left() -> None:
    """End the jobs and remove the folders of clusters whose makers were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        maker = folder.name.removeprefix(PREFIX).split(".")[0]
        if not Path("/proc", maker).exists():
            conf = f"SLURM_CONF={folder}/slurm.conf".encode()
            kill(lambda environ, conf=conf: conf in environ)
            shutil.rmtree(folder, ignore_errors=True)


def main(words: list[str]) -> int:
    command = words[1:] if words[:1] == ["--"] else words
    if not command:
        sys.exit("usage: python tests/slurm.py -- COMMAND...")
    try:
        with Slurm() as cluster:
            return subprocess.run(command, env=cluster.environment, check=False).returncode
    except SlurmError as error:
        sys.exit(f"slurm.py: {error}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
