"""The contenders: how each of them is installed, filled, counted and measured in bytes.

A contender keeps each data set apart: sierra_es in a store of its own in one database, every other
contender in a database of its own, copied from the database that it was installed into once.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from . import events, redis
from .cluster import SQL, BenchError, pg_config

BENCH = Path(__file__).resolve().parent.parent


class Contender:
    """Base: a contender whose data sets are databases copied from a template."""

    key = label = events_table = None
    settings = {}
    constants = {}
    facts = None
    client = sys.executable

    def __init__(self, cluster):
        self.cluster = cluster
        self.datasets = {}
        self.stored = {}

    @classmethod
    def missing(cls):
        """Why this contender cannot be had on this machine; nothing if it can."""
        return ""

    def install(self):
        """Install into the template database, once per run."""
        raise NotImplementedError

    def database(self, dataset):
        """Database that holds the data set."""
        return f"{self.key}_{dataset}"

    def options(self, dataset):
        """Settings of a session that works on the data set."""
        return dict(self.settings)

    def address(self, dataset):
        """Where clients find the data set; those of PostgreSQL have it in their environment."""
        return "libpq"

    def run_client(self, dataset, what, *numbers, options=None):
        """Run bench/peer-client.py; return what it printed."""
        event = {"name": events.NAME, "payload": events.PAYLOAD, "metadata": events.METADATA}
        environment = self.cluster.environment(self.database(dataset), {**self.options(dataset), **(options or {})})
        return run_peer([self.client, BENCH / "peer-client.py", self.key, self.address(dataset), what, *numbers],
                        environment, json.dumps(event)).split()

    def create(self, dataset):
        """Create the empty data set."""
        self.cluster.psql("postgres", f'CREATE DATABASE "{self.database(dataset)}" TEMPLATE "{self.key}"')

    def prepare(self, name, dataset):
        """Create and fill the data set if this run has not yet; return its pgbench variables.

        Keeps in self.stored how many events the data set must hold.
        """
        if name not in self.datasets:
            self.create(name)
            if dataset.versions:
                self.fill(name, dataset)
            variables = {"streams": dataset.streams, **self.constants}
            if dataset.facts and self.facts:
                sql = self.facts.format(table=self.table(name))
                variables.update(self.cluster.pairs(self.database(name), sql, self.options(name)))
            self.set_up(name, dataset)
            self.datasets[name] = variables
            self.stored[name] = self.count(name)
        return self.datasets[name]

    def fill(self, name, dataset):
        """Load the events of the data set."""
        options = {**self.options(name), "synchronous_commit": "off"}
        variables = {**events.variables(), "streams": dataset.streams, "versions": dataset.versions,
                     "rare": dataset.rare, "tagged": int(dataset.tagged)}
        self.cluster.psql(self.database(name), file=f"fill-{self.key}.sql", options=options,
                          variables=variables)
        self.vacuum(name)

    def vacuum(self, name):
        """VACUUM ANALYZE what holds the data set."""
        self.cluster.psql(self.database(name), "VACUUM ANALYZE")

    def set_up(self, name, dataset):
        """Run the statements that the data set needs in addition to its events, if this contender has a file for it."""
        file = f"setup-{self.key}-{dataset.setup}.sql"
        if dataset.setup and (SQL / file).exists():
            self.cluster.psql(self.database(name), file=file, options=self.options(name), variables=events.variables())

    def table(self, dataset):
        """Qualified name of the table of events."""
        return self.events_table

    def count(self, dataset):
        """Events stored in the data set."""
        sql = f"SELECT count(*) FROM {self.table(dataset)}"
        return int(self.cluster.psql(self.database(dataset), sql, options=self.options(dataset)))

    def schema(self, dataset):
        """Schema whose tables are the data set."""
        return self.table(dataset).split(".")[0]

    def bytes(self, dataset):
        """Bytes of all tables of the data set with their indexes and TOAST."""
        sql = f"""SELECT coalesce(sum(pg_total_relation_size(oid)), 0)
                  FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace = '{self.schema(dataset)}'::regnamespace"""
        self.cluster.psql(self.database(dataset), "VACUUM")
        return int(self.cluster.psql(self.database(dataset), sql))


POSITIONS = """SELECT 'first_position', min(global_position) FROM {table}
    UNION ALL SELECT 'last_position', max(global_position) FROM {table}"""
RARE = "OrderShipped"


class Sierra(Contender):
    """The extension: one database, one store per data set."""

    key, label = "sierra", "sierra_es"
    facts = POSITIONS + f"""
    UNION ALL SELECT 'last_rare', coalesce(max(global_position), -1) FROM {{table}} WHERE event_name = '{RARE}'
    UNION ALL (SELECT unnest(ARRAY['partition', 'partition_events']), unnest(ARRAY[partition_id, count])
               FROM (SELECT partition_id, count(*) FROM {{table}} GROUP BY 1 ORDER BY 2 DESC LIMIT 1) largest)"""

    def install(self):
        if not (pg_config("sharedir") / "extension" / "sierra_es.control").exists():
            raise BenchError("sierra_es is not installed: run make install first")
        self.cluster.psql("postgres", 'CREATE DATABASE "sierra"')
        self.cluster.psql("sierra", "CREATE EXTENSION sierra_es")

    def database(self, dataset):
        return "sierra"

    def options(self, dataset):
        return {"sierra_es.store": dataset}

    def create(self, dataset):
        self.cluster.psql("sierra", f"SELECT create_event_store('{dataset}', 32)")

    def table(self, dataset):
        return f'"{dataset}".events'

    def vacuum(self, name):
        """Only the tables of this store: the others of the database can be big."""
        self.cluster.psql("sierra", f"""SELECT format('VACUUM ANALYZE %s', oid::regclass) FROM pg_class
            WHERE relnamespace = '"{name}"'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition \\gexec""")


class Bare(Contender):
    """The equal table: same columns, partitions and unique indexes, and nothing else."""

    key, label, events_table = "bare", "bare SQL", "public.events"
    facts = "SELECT 'partition_events', count(*) FROM events_0"

    def install(self):
        self.cluster.psql("postgres", f'CREATE DATABASE "{self.key}"')
        self.cluster.psql(self.key, file=f"setup-{self.key}.sql")


class BareNotify(Bare):
    """The equal table with a trigger that sends NOTIFY."""

    key, label = "bare-notify", "bare SQL with NOTIFY"


class BareCount(Bare):
    """The equal table with a trigger that counts the events of each stream."""

    key, label = "bare-count", "bare SQL with a count"


class Flat(Bare):
    """The same columns in one table in the order of global_position."""

    key, label = "flat", "one table"
    facts = POSITIONS


class MessageDb(Contender):
    """message-db, installed by its own script."""

    key, label, events_table = "message-db", "message-db", "message_store.messages"
    settings = {"search_path": "message_store,public"}
    facts = POSITIONS

    def install(self):
        script = package("@eventide/message-db") / "database" / "install.sh"
        env = self.cluster.environment("postgres")
        env["DATABASE_NAME"] = self.key
        run_peer(["bash", str(script)], env)


class MessageStore(Sierra):
    """The interface of message-db over the extension: a store in a database of its own."""

    key, label = "message-store", "message_store"
    facts = POSITIONS
    settings = {"search_path": "message_store,public", "sierra_es.store": "message_store"}

    def install(self):
        self.cluster.psql("postgres", 'CREATE DATABASE "message-store"')
        self.cluster.psql("message-store", "CREATE EXTENSION sierra_message_store CASCADE")

    database, options, create, vacuum = Contender.database, Contender.options, Contender.create, Contender.vacuum

    def table(self, dataset):
        return "message_store.messages"


class Emmett(Contender):
    """Emmett's PostgreSQL event store, its schema as the package exports it."""

    key, label, events_table = "emmett", "Emmett", "public.emt_messages"
    constants = {"partition": "emt:default"}

    def install(self):
        package("@event-driven-io/emmett-postgresql")
        schema = run_peer(["node", str(BENCH / "emmett-schema.mjs")])
        self.cluster.psql("postgres", f'CREATE DATABASE "{self.key}"')
        self.cluster.psql(self.key, schema)


class Server(Contender):
    """Base: a peer that is a server of its own. Each data set has a server with a directory and a port."""

    def __init__(self, cluster):
        super().__init__(cluster)
        self.ports = {}

    def command(self, directory, port):
        """Command line of the server."""
        raise NotImplementedError

    def create(self, dataset):
        directory = self.cluster.home / f"{self.key}_{dataset}"
        directory.mkdir()
        port = free_port()
        self.cluster.start_peer(self.command(directory, port), port, directory)
        self.ports[dataset] = port

    def set_up(self, name, dataset):
        """Nothing: these servers have no statements."""

    def address(self, dataset):
        return self.ports[dataset]

    def fill(self, name, dataset):
        self.run_client(name, "fill", dataset.streams, dataset.versions)

    def count(self, dataset):
        return int(self.run_client(dataset, "count")[0])


class UmaDb(Server):
    """UmaDB, server and client from its Python package."""

    key, label = "umadb", "UmaDB"
    place = BENCH / "venv"
    client = place / "bin" / "python"

    def install(self):
        if not (self.place / "bin" / "umadb").exists():
            run_peer([sys.executable, "-m", "venv", self.place])
            run_peer([self.client, "-m", "pip", "install", "--quiet", "--requirement", BENCH / "requirements.txt"])

    def command(self, directory, port):
        return [self.place / "bin" / "umadb", "--listen", f"127.0.0.1:{port}", "--db-path", directory]


class SierraDb(Server):
    """SierraDB's server, if it is installed: one node without a cluster, which syncs after each append."""

    key, label = "sierradb", "SierraDB"
    client = sys.executable
    config = """
[append]
strict_versioning = false
[network]
cluster_enabled = false
mdns = false
client_address = "127.0.0.1:{port}"
[node]
count = 1
index = 0
[replication]
factor = 1
[bucket]
count = 4
[partition]
count = 32
[sync]
interval_ms = 1
max_batch_size = 1
min_bytes = 1
"""

    @classmethod
    def program(cls):
        """The server: $SIERRADB, or sierradb of the PATH."""
        return shutil.which(os.environ.get("SIERRADB", "sierradb"))

    @classmethod
    def missing(cls):
        return "" if cls.program() else "sierradb is not installed: cargo install sierradb-server, or set $SIERRADB"

    def install(self):
        """Nothing: it takes a quarter of an hour to build."""

    def command(self, directory, port):
        config = directory / "sierradb.toml"
        config.write_text(self.config.format(port=port))
        return [self.program(), "-l", "warn", "--dir", directory / "data", "--config", config]


class Gateway(Sierra):
    """sierra_gateway before a database of its own: each data set is a store, and has a gateway with a port."""

    key, label = "gateway", "sierra_gateway"
    connections = 12_000

    def __init__(self, cluster):
        super().__init__(cluster)
        self.ports, self.processes = {}, {}

    @classmethod
    def missing(cls):
        return "" if (pg_config("bindir") / "sierra_gateway").exists() and not redis.why_missing() else \
            redis.why_missing() or "sierra_gateway is not installed: it needs libevent (Debian: libevent-dev)"

    def install(self):
        self.cluster.psql("postgres", f'CREATE DATABASE "{self.key}"')
        self.cluster.psql(self.key, "CREATE EXTENSION sierra_es")

    def database(self, dataset):
        return self.key

    def create(self, dataset):
        """The store, and the gateway that serves it."""
        self.cluster.psql(self.key, f"SELECT create_event_store('{dataset}', 32)")
        redis.allow_connections(self.connections)
        directory = self.cluster.home / f"{self.key}_{dataset}"
        directory.mkdir()
        port = free_port()
        config = directory / "sierra_gateway.conf"
        config.write_text(f"""listen = '127.0.0.1:{port}'
database = 'host={self.cluster.home} user=postgres dbname={self.key}'
store = '{dataset}'
max_clients = {self.connections}
""")
        self.cluster.start_peer([pg_config("bindir") / "sierra_gateway", "--config", config], port, directory)
        self.ports[dataset], self.processes[dataset] = port, self.cluster.peers[-1].pid

    def fill(self, name, dataset):
        """The events of sierra_es, in streams with names as redis-benchmark makes them."""
        text = (SQL / "fill-sierra.sql").read_text()
        text = text.replace("'order-' || block * 100 + i ", "'order-' || lpad((block * 100 + i)::text, 12, '0') ")
        variables = {**events.variables(), "streams": dataset.streams, "versions": dataset.versions,
                     "rare": dataset.rare, "tagged": int(dataset.tagged)}
        self.cluster.psql(self.key, text, options={**self.options(name), "synchronous_commit": "off"}, variables=variables)
        self.vacuum(name)

    def vacuum(self, name):
        """Only the tables of this store."""
        self.cluster.psql(self.key, f"""SELECT format('VACUUM ANALYZE %s', oid::regclass) FROM pg_class
            WHERE relnamespace = '"{name}"'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition \\gexec""")

    def address(self, dataset):
        return self.ports[dataset]

    def process(self, dataset):
        """Process id of the gateway of a data set."""
        return self.processes[dataset]


def free_port():
    """A TCP port that nobody uses now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


CONTENDERS = {kind.key: kind
              for kind in (Sierra, Bare, BareNotify, BareCount, Flat, MessageDb, MessageStore, Emmett, UmaDb, SierraDb, Gateway)}


def run_peer(command, env=None, text=None):
    """Run a program that belongs to a peer; return what it printed."""
    command = list(map(str, command))
    done = subprocess.run(command, env=env, cwd=BENCH, input=text, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def package(name):
    """Directory of an npm package, installed as bench/package-lock.json pins it."""
    place = BENCH / "node_modules" / name
    if not place.exists():
        if not shutil.which("npm"):
            raise BenchError(f"{name} needs npm to be installed, or leave the peers out: "
                             "--skip message-db --skip emmett")
        run_peer(["npm", "ci", "--no-audit", "--no-fund"])
    return place
