"""A private, temporary PostgreSQL cluster that lives as long as one benchmark run."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

SQL = Path(__file__).resolve().parent.parent / "sql"


class BenchError(Exception):
    """Something that makes the figures of this run worthless, or keeps it from starting."""


def pg_config(what):
    """Ask the pg_config of $PG_CONFIG or of the PATH."""
    program = os.environ.get("PG_CONFIG", "pg_config")
    return Path(subprocess.check_output([program, f"--{what}"], text=True).strip())


def memory_bytes():
    """Physical memory of the machine."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class Cluster:
    """initdb, start, psql, stop. Reached only through a socket in a private directory."""

    def __init__(self, parent=None, preload=False, max_runners=0, server_user="postgres"):
        self.bindir = pg_config("bindir")
        self.preload = preload
        self.max_runners = max_runners
        self.home = Path(tempfile.mkdtemp(prefix="sierra_es_bench.", dir=parent))
        self.data = self.home / "data"
        self.log = self.home / "server.log"
        self.peers = []
        self.as_server = []
        self.started = False
        if os.geteuid() == 0:
            self.as_server = ["runuser", "-u", server_user, "--"]
            shutil.chown(self.home, server_user)

    def settings(self):
        """Server settings: ordinary ones, and no checkpoint or log noise inside a measurement."""
        shared_mb = min(1024, memory_bytes() // 4 // 2**20)
        settings = {
            "listen_addresses": "''",
            "unix_socket_directories": f"'{self.home}'",
            "max_connections": "200",
            "shared_buffers": f"{shared_mb}MB",
            "fsync": "on",
            "full_page_writes": "on",
            "autovacuum": "on",
            "wal_level": "replica",
            "min_wal_size": "1GB",
            "max_wal_size": "32GB",
            "checkpoint_timeout": "1d",
            "log_min_messages": "warning",
            "log_line_prefix": "'%m [%p] '",
        }
        if self.preload:
            settings["shared_preload_libraries"] = "'sierra_es'"
            settings["wal_level"] = "logical"
            if self.max_runners:
                settings["sierra_es.max_runners"] = str(self.max_runners)
        return settings

    def server(self, program, *args):
        """Run a server program as the user that may own a server."""
        command = [*self.as_server, str(self.bindir / program), *map(str, args)]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              cwd=self.home)
        if done.returncode:
            log = self.log.read_text() if self.log.exists() else ""
            raise BenchError(f"{program} failed:\n{done.stdout}{log}")

    def start(self):
        """Create the cluster and start it."""
        self.server("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale")
        lines = "".join(f"{name} = {value}\n" for name, value in self.settings().items())
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.write(lines)
        self.server("pg_ctl", "-D", self.data, "-l", self.log, "-w", "start")
        self.started = True
        if self.preload:
            self.allow_plugin()

    def allow_plugin(self):
        """Releases since August 2026 want output plugins listed; earlier ones do not know the setting."""
        name = "output_plugin_libraries"
        if self.psql("postgres", f"SELECT 1 FROM pg_settings WHERE name = '{name}'"):
            self.psql("postgres", f"ALTER SYSTEM SET {name} = 'sierra_es'")
            self.psql("postgres", "SELECT pg_reload_conf()")

    def start_peer(self, command, port, directory):
        """Start a server of a peer beside this one; it ends with it. Returns when it accepts connections."""
        log = directory / "peer.log"
        with open(log, "wb") as file:
            peer = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL, stdout=file,
                                    stderr=subprocess.STDOUT, cwd=directory)
        self.peers.append(peer)
        deadline = time.monotonic() + 60
        while peer.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise BenchError(f"{command[0]} does not answer:\n{log.read_text(errors='replace')}")

    def stop_peers(self):
        """Stop the servers of peers."""
        for peer in self.peers:
            peer.terminate()
        for peer in self.peers:
            try:
                peer.wait(timeout=30)
            except subprocess.TimeoutExpired:
                peer.kill()
                peer.wait()
        self.peers = []

    def stop(self, keep=False):
        """Stop the server and remove what it left, unless asked to keep it."""
        self.stop_peers()
        if self.started and (self.data / "postmaster.pid").exists():
            self.server("pg_ctl", "-D", self.data, "-m", "immediate", "-w", "stop")
        self.started = False
        if not keep:
            shutil.rmtree(self.home, ignore_errors=True)

    def environment(self, database, options=None):
        """Environment of a client: only this cluster, and settings for its sessions."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        env.update(PGHOST=str(self.home), PGPORT="5432", PGUSER="postgres", PGDATABASE=database,
                   PATH=f"{self.bindir}{os.pathsep}{os.environ['PATH']}")
        pairs = {"client_min_messages": "warning", **(options or {})}
        env["PGOPTIONS"] = " ".join(f"-c {name}={value}" for name, value in pairs.items())
        return env

    def psql(self, database, sql="", file=None, options=None, variables=None):
        """Run SQL text or a file of bench/sql; return what it printed. Any error is fatal."""
        command = [str(self.bindir / "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1"]
        for name, value in (variables or {}).items():
            command += ["-v", f"{name}={value}"]
        command += ["-f", str(SQL / file)] if file else ["-f", "-"]
        done = subprocess.run(command, input=sql, capture_output=True, text=True,
                              env=self.environment(database, options))
        if done.returncode or "ERROR:" in done.stderr:
            raise BenchError(f"psql failed in {database}:\n{file or sql}\n{done.stderr}")
        return done.stdout.strip()

    def pairs(self, database, sql, options=None):
        """Run a query of two columns and return a dictionary."""
        text = self.psql(database, sql, options=options)
        return dict(line.split("|", 1) for line in text.splitlines() if line)

    def logged_errors(self):
        """Lines of the server log that report an error; autovacuum gives way to a VACUUM of the benchmark."""
        pattern = re.compile(r"\b(ERROR|FATAL|PANIC): (?! *canceling autovacuum task)")
        return [line for line in self.log.read_text(errors="replace").splitlines() if pattern.search(line)]
