"""A throw-away Slurm cluster on this machine: CPU nodes c1, c2, c3 and g1 with two pretend GPUs, on loopback alone.

``python tests/slurm/cluster.py start | stop | purge | environment``. Starting is repeatable: what runs is left alone,
what died comes back. Settings are variables of the environment: SKYSIFT_SLURM_STATE is its folder, SKYSIFT_SLURM_PORT
the first of six ports, SKYSIFT_SLURM_ACCOUNTING=no leaves the accounting database out.
"""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import stat
import string
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["NODES", "Cluster", "ClusterError"]

HERE = Path(__file__).resolve().parent
NODES = ("c1", "c2", "c3", "g1")
PORTS = ("controller_port", "c1_port", "c2_port", "c3_port", "g1_port", "accounting_port")
FOLDERS = ("bin", "controller", "devices", "logs", "munge", "pids", "sql", *(f"spool/{node}" for node in NODES))
CONFIGURATIONS = {"slurm.conf": 0o644, "slurmdbd.conf": 0o600, "gres.conf": 0o644}
ACCOUNTING = """AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={state}/munge/socket
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment"""


class ClusterError(Exception):
    """The cluster cannot be had here; the text says why."""


@dataclass(frozen=True)
class Cluster:
    """A cluster and where it keeps everything.

    Parameters
    ----------
    state : its folder: configuration, logs, sockets, job records
    port : the first of six TCP ports on loopback
    has_accounting : with MariaDB and slurmdbd, or without ``sacct``
    """

    state: Path
    port: int = 17817
    has_accounting: bool = True
    cpus: int = 4
    memory_mb: int = 6000
    node_timeout_s: int = 20
    kill_wait_s: int = 30

    @classmethod
    def from_environment(cls):
        """Return the cluster that the environment asks for."""
        state = os.environ.get("SKYSIFT_SLURM_STATE") or str(Path(tempfile.gettempdir()) / "skysift-slurm")
        has_accounting = os.environ.get("SKYSIFT_SLURM_ACCOUNTING", "yes") != "no"
        return cls(Path(state).absolute(), int(os.environ.get("SKYSIFT_SLURM_PORT", "17817")), has_accounting)

    # ------------------------------------------------------------ what its users need

    def variables(self):
        """Return what a process needs in its environment to speak to this cluster and no other."""
        # Slurm's own variables do not reach the programs inside a job; a search path does.
        search = os.pathsep.join([str(self.state / "bin"), *os.get_exec_path()])
        return {"SLURM_CONF": str(self.state / "slurm.conf"), "PATH": search}

    def call(self, *words, timeout_s=20, **variables):
        """Run one of Slurm's programs and return what it prints."""
        return subprocess.run(
            [str(word) for word in words], env={**os.environ, **self.variables(), **variables}, check=True,
            capture_output=True, text=True, timeout=timeout_s,
        ).stdout.strip()  # fmt: skip

    def answers(self, *words, **variables):
        """Tell whether one of Slurm's programs ends well."""
        try:
            self.call(*words, timeout_s=5, **variables)
        except (subprocess.SubprocessError, OSError):
            return False
        return True

    # ------------------------------------------------------------ starting

    def start(self):
        """Install what is missing, start what is not running, and wait until every node takes jobs.

        Raises
        ------
        ClusterError : says what is missing or did not come up
        """
        asked = {**os.environ, "SKYSIFT_SLURM_ACCOUNTING": "yes" if self.has_accounting else "no"}
        done = subprocess.run([str(HERE / "install.sh")], env=asked, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ClusterError(done.stderr.strip())
        if os.geteuid() != 0:
            raise ClusterError("no Slurm for the tests: root must start its daemons")
        self._refuse_another_kind()
        self._prepare()
        self._start_munge()
        if self.has_accounting:
            self._start_accounting()
        self._start_daemon("slurmctld", "slurmctld", "-f", self.state / "slurm.conf")
        self._wait("slurmctld", 30, self.answers, "scontrol", "ping")
        for node in NODES:
            self._start_daemon(f"slurmd.{node}", "slurmd", "-f", self.state / "slurm.conf", "-N", node)
        self._wait("nodes", 60, self._revive)

    def _refuse_another_kind(self):
        """A running cluster keeps the accounting that it was started with."""
        mark = self.state / "accounting"
        wanted = "yes" if self.has_accounting else "no"
        if self._pid("slurmctld", "slurmctld") and mark.read_text() != wanted:
            raise ClusterError(f"a cluster with accounting={mark.read_text()} runs in {self.state}: stop it first")
        self.state.mkdir(parents=True, exist_ok=True)
        mark.write_text(wanted)

    def _prepare(self):
        """Write folders, devices and configuration."""
        for name in FOLDERS:
            (self.state / name).mkdir(parents=True, exist_ok=True)
        self.state.chmod(0o755)
        for number in range(2):
            device = self.state / f"devices/gpu{number}"
            if not device.is_char_device():
                os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        names = {name: self.port + number for number, name in enumerate(PORTS)}
        accounting = ACCOUNTING.format(port=names["accounting_port"], state=self.state)
        values = {**vars(self), **names, "host": socket.gethostname().partition(".")[0]}
        values["accounting"] = accounting if self.has_accounting else "AccountingStorageType=accounting_storage/none"
        texts = {name: string.Template((HERE / "templates" / name).read_text()) for name in CONFIGURATIONS}
        places = {self.state / name: text.substitute(values) for name, text in texts.items()}
        if any(place.exists() and place.read_text() != text for place, text in places.items()):
            self.stop()
        for place, text in places.items():
            place.write_text(text)
            place.chmod(CONFIGURATIONS[place.name])
        for program in ("srun", "scancel", "squeue"):
            found = shutil.which(program, path="/usr/bin:/usr/local/bin")
            wrapper = self.state / "bin" / program
            wrapper.write_text(f'#!/bin/sh\nSLURM_CONF="{self.state}/slurm.conf" exec {found} "$@"\n')
            wrapper.chmod(0o755)

    def _start_munge(self):
        key, munge = self.state / "munge/key", self.state / "munge"
        if not key.exists():
            key.write_bytes(os.urandom(512))
            key.chmod(0o400)
        options = {"key-file": key, "socket": munge / "socket", "seed-file": munge / "seed"}
        options |= {"pid-file": self.state / "pids/munged", "log-file": self.state / "logs/munged"}
        self._start_daemon("munged", "munged", "--force", *(f"--{name}={value}" for name, value in options.items()))
        self._wait("munged", 10, self.answers, "munge", "-n", "-S", munge / "socket")

    def _start_accounting(self):
        sql, data = self.state / "sql", self.state / "sql/data"
        connect = ("--no-defaults", f"--socket={sql}/socket")
        if not self._pid("mariadbd", "mariadbd"):
            shutil.chown(sql, "mysql", "mysql")
            if not (data / "mysql").is_dir():
                self.call("mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={data}", "--skip-test-db",
                          "--auth-root-authentication-method=socket", timeout_s=120)  # fmt: skip
            command = ["mariadbd", *connect, "--user=mysql", f"--datadir={data}", "--skip-networking",
                       "--innodb-buffer-pool-size=64M", "--innodb-log-file-size=32M", "--innodb-lock-wait-timeout=900",
                       "--innodb-flush-log-at-trx-commit=0"]  # fmt: skip
            # a shell in between, so that it is nobody's child and its number is known
            script = (
                f'echo $$ > "{self.state}/pids/mariadbd"; exec "$@" >> "{self.state}/logs/mariadbd" 2>&1 < /dev/null'
            )
            self.call("setsid", "--fork", "sh", "-c", script, "sh", *command)
        self._wait("mariadbd", 60, self.answers, "mariadb-admin", *connect, "ping")
        self.call("mariadb", *connect, "-e", "CREATE DATABASE IF NOT EXISTS skysift_accounting")
        self._start_daemon("slurmdbd", "slurmdbd", MYSQL_UNIX_PORT=str(sql / "socket"))
        self._wait("slurmdbd", 60, self.answers, "sacctmgr", "-n", "list", "cluster")
        for kind, words in {"cluster": ["skysift"], "account": ["test", "cluster=skysift"]}.items():
            if not self.call("sacctmgr", "-nP", "list", kind, words[0]):
                self.call("sacctmgr", "-i", "add", kind, *words)
        if not self.call("sacctmgr", "-nP", "list", "association", "user=root", "account=test"):
            self.call("sacctmgr", "-i", "add", "user", "root", "account=test")

    def _start_daemon(self, name, *command, **variables):
        if not self._pid(name, command[0]):
            done = subprocess.run([str(word) for word in command], env={**os.environ, **self.variables(), **variables},
                                  capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
            if done.returncode:
                raise ClusterError(f"{name} did not start: {done.stderr.strip()[-500:]}; logs in {self.state}/logs")

    def _revive(self):
        """Ask nodes that were lost to come back; tell whether all take jobs."""
        states = self.node_states()
        lost = [node for node in NODES if states.get(node, "down").rstrip("*") not in ("idle", "mixed", "allocated")]
        for node in lost:
            # it may have come back by itself meanwhile; whether all take jobs is asked again
            with contextlib.suppress(subprocess.CalledProcessError):
                self.call("scontrol", "update", f"nodename={node}", "state=resume")
        return not lost

    def node_states(self):
        """Return the state of every node, as sinfo names it."""
        return dict(line.split() for line in self.call("sinfo", "-h", "-N", "-o", "%N %T").splitlines())

    def _wait(self, what, patience_s, is_ready, *words):
        end = time.monotonic() + patience_s
        while not is_ready(*words):
            if time.monotonic() > end:
                raise ClusterError(f"{what} did not come up in {patience_s} s; logs in {self.state}/logs")
            time.sleep(0.3)

    # ------------------------------------------------------------ ending

    def _pid(self, name, program):
        """Return the process of a daemon, None when it does not run."""
        try:
            pid = int((self.state / "pids" / name).read_text())
            is_it = Path(f"/proc/{pid}/comm").read_text().strip() == program[:15]
            is_dead = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except (OSError, ValueError):
            return None
        return pid if is_it and not is_dead else None

    def is_running(self):
        """Tell whether the controller runs."""
        return self._pid("slurmctld", "slurmctld") is not None

    def lose(self, node):
        """Kill a node and everything on it, as a power cut would."""
        jobs = self.call("squeue", "-h", "-w", node, "-o", "%A").split()
        os.kill(self._pid(f"slurmd.{node}", "slurmd"), signal.SIGKILL)
        for process in Path("/proc").glob("[0-9]*"):
            # a process may end while it is looked at: then it needs no signal
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_text(errors="replace")
                is_step = any(words.startswith(f"slurmstepd: [{job}.") for job in jobs)
                settings = (process / "environ").read_text(errors="replace").split("\0")
                is_task = f"SLURMD_NODENAME={node}" in settings and any(str(self.state) in word for word in settings)
                if is_step or is_task:
                    os.kill(int(process.name), signal.SIGKILL)

    def stop(self):
        """Cancel all jobs and stop every daemon that this cluster started."""
        if self.is_running():
            for wait_s in (15, 5):
                # a controller that no longer answers cancels nothing; its daemons are stopped below
                with contextlib.suppress(subprocess.SubprocessError):
                    self.call("scancel", "--user=root", *(["--signal=KILL", "--full"] if wait_s == 5 else []))
                end = time.monotonic() + wait_s
                while time.monotonic() < end and self.call("squeue", "-h"):
                    time.sleep(0.3)
        nodes = {f"slurmd.{node}": "slurmd" for node in NODES}
        rest = {name: name for name in ("slurmctld", "slurmdbd", "mariadbd", "munged")}
        for name, program in {**nodes, **rest}.items():
            self._end(name, program)

    def _end(self, name, program):
        for number, patience_s in ((signal.SIGTERM, 20), (signal.SIGKILL, 5)):
            end = time.monotonic() + patience_s
            if pid := self._pid(name, program):
                os.kill(pid, number)
            while self._pid(name, program) and time.monotonic() < end:
                time.sleep(0.1)
        (self.state / "pids" / name).unlink(missing_ok=True)

    def purge(self):
        """Stop, and remove everything."""
        self.stop()
        if (self.state / "slurm.conf").exists():
            shutil.rmtree(self.state)


def main(words):
    """Start or stop the cluster of the environment; exit code 1 and the reason when that fails."""
    cluster = Cluster.from_environment()
    actions = {"start": cluster.start, "stop": cluster.stop, "purge": cluster.purge}
    if words == ["environment"]:
        print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in cluster.variables().items()))
    elif len(words) == 1 and words[0] in actions:
        try:
            actions[words[0]]()
        except (ClusterError, subprocess.SubprocessError) as error:
            sys.exit(str(error))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
