#!/usr/bin/python3
"""Calls every function of the extension, private ones too, with odd arguments.

Nothing may crash a server process, end with an internal error (SQLSTATE XX...),
or run longer than a statement may.  Functions are found in the catalogs, so a
new one is called without a change here.  Each statement is run by one of several
roles: without any right, with INSERT only, with SELECT only, a consumer, the owner
of the store, and now and then a superuser.

    fuzz_functions.py --dsn 'host=... dbname=...' [--seconds 60] [--seed N] [--log FILE]

The role of --dsn is a superuser of a database that the run may fill.  The same seed
gives the same statements as long as the functions are the same.  Exits with 1
if something was found; each finding is printed once, with the statement.
"""

import argparse
import random
import re
import sys
import time

import psycopg2

SCHEMA = "fuzz"
ROLES = ("regress_fuzz_nobody", "regress_fuzz_insert", "regress_fuzz_select", "regress_fuzz_consumer", "regress_fuzz_owner")

SETUP = f"""
CREATE EXTENSION IF NOT EXISTS sierra_es;
{"".join(f"CREATE ROLE {role} LOGIN;" for role in ROLES)}
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO regress_fuzz_owner', current_database()); END $$;
CREATE SCHEMA {SCHEMA} AUTHORIZATION regress_fuzz_owner;
GRANT USAGE ON SCHEMA {SCHEMA} TO PUBLIC;
"""

FUNCTIONS = f"""
SET search_path = {SCHEMA}, public;
CREATE FUNCTION count(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql AS 'SELECT to_jsonb(coalesce($1::text::bigint, 0) + 1)';
CREATE FUNCTION object(state jsonb, e sierra_event) RETURNS jsonb LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION see(e sierra_event) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION see_all(e sierra_event[]) RETURNS void LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION up(payload json) RETURNS json LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION decide(state jsonb, command jsonb) RETURNS json LANGUAGE sql AS 'SELECT $2::json';
CREATE FUNCTION act(data jsonb) RETURNS jsonb LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION sets(data jsonb) RETURNS SETOF jsonb LANGUAGE sql AS 'SELECT $1 UNION ALL SELECT NULL';
CREATE FUNCTION number(data jsonb) RETURNS bigint LANGUAGE sql AS 'SELECT 4660::bigint';
"""

STORE = f"""
SET search_path = {SCHEMA}, public;
SELECT create_event_store('es', 4);
SELECT count(*) FROM emappend(NULL, ARRAY['a', 'b', 'user-1', 'order-1'], ARRAY['x', 'x', 'y', 'y'], ARRAY['{{"n": 1}}', '{{}}', '1', NULL]::json[]);
SELECT count(*) FROM eappend('own', 'x', partition_key => 'key', event_id => '00000000-0000-4000-8000-000000000001');
SELECT create_aggregate('thing', 'object(jsonb, sierra_event)', snapshot_every => 1);
SELECT create_upcaster('x', 1, 'up(json)');
SELECT create_projection('counts', 'count(jsonb, sierra_event)', mode => 'manual', initial => '0', key => 'e.stream_id');
SELECT create_projection('sees', 'see(sierra_event)', mode => 'manual');
SELECT create_projection('sees_all', 'see_all(sierra_event[])', mode => 'manual');
SELECT create_projection('inline', 'count(jsonb, sierra_event)', mode => 'inline', initial => '0');
SELECT create_process_manager('manager', 'object(jsonb, sierra_event)', mode => 'manual', key => 'e.stream_id');
SELECT create_saga('saga', ARRAY[saga_step('one', 'act(jsonb)', 'act(jsonb)'), saga_step('two', 'act(jsonb)', waits => true)]);
SELECT start_saga('saga', saga_id => 'saga-1');
SELECT eschedule('2020-01-01', 'a', 'Due', timer_id => '00000000-0000-4000-8000-00000000000a');
SELECT esub('whole', start_from => 'earliest');
SELECT esub('some', ARRAY['user-*', 'a'], start_from => 'earliest');
SELECT epsub('part', ARRAY[0, 1], 'earliest');
SELECT esub('group', start_from => 'earliest');
SELECT count(*) FROM enext('group', 3, consumer => 'c1');
GRANT USAGE ON SCHEMA es TO regress_fuzz_insert, regress_fuzz_select, regress_fuzz_consumer;
GRANT INSERT ON ALL TABLES IN SCHEMA es TO regress_fuzz_insert, regress_fuzz_consumer;
GRANT SELECT ON ALL TABLES IN SCHEMA es TO regress_fuzz_select, regress_fuzz_consumer;
GRANT UPDATE, DELETE ON ALL TABLES IN SCHEMA es TO regress_fuzz_consumer;
"""

# What the arguments of one name are often; others come from the type alone.
NAMES = {
    "store": ["es", "es", "es", "nothing", "public", "pg_catalog", ""],
    "name": ["es", "other", "nothing", "pg_x", ""],
    "projection": ["counts", "sees", "sees_all", "inline", "manager", "nothing"],
    "manager": ["manager", "other", "counts"],
    "subscription": ["whole", "some", "part", "group", "projection:counts:1", "nothing"],
    "stream_id": ["a", "b", "own", "order-1", "saga-1", "nothing"],
    "saga_id": ["saga-1", "saga-2", "a"],
    "saga": ["saga", "other"],
    "aggregate": ["thing", "other"],
    "consumer": ["c1", "c2"],
    "event_name": ["x", "y"],
    "step": ["one", "two"],
    "mode": ["background", "manual", "inline", "odd"],
    "on_error": ["stop", "park", "odd"],
    "kind": ["event", "batch", "fold", "process", "timers", "sagas", "projection", "odd"],
    "start_from": ["latest", "earliest", "3", "-1", "odd", "99999999999999999999"],
    "partition_key": ["a", "key", "219bd637-e279-53e9-9e2b-eabe5d9120cc"],
    "strength": ["UPDATE", "SHARE", "KEY SHARE", "UPDATE; SELECT 1", "odd"],
    "key": [
        "e.stream_id", "e.event_name", "NULL", "1", "'x'", "e", "e.*", "e.payload ->> 'n'", "4660::bigint", "'a'::text COLLATE \"C\"",
        "4660)::int8 FROM pg_catalog.unnest($1) AS e --", "$1", "$2", "(SELECT 'x')", "max(e.stream_id)", "unnest(ARRAY['a', 'b'])",
        "1); SELECT (1", "/*", "--", "'", "e.stream_id AS x", "e.stream_id, e.event_name", "pg_sleep(0)", "row_number() OVER ()", "(", "", " ",
    ],
    "procedure": ["fuzz.act(pg_catalog.jsonb)", "pg_sleep(double precision)", "fuzz.sets(jsonb)", "fuzz.number(jsonb)", "nothing(int)", "1", "((", ""],
    "relation": ["es.events", "es.event_ids", "pg_class", "nothing", "es.events; SELECT 1", ""],
    "search_path": ["public", "", '"', "a,b", "pg_temp, x", "x" * 300],
    "tables": ["{events}", "{nothing,NULL}", "{}"],
    "sqlstate": ["40001", "SE001", "x", ""],
    # What is waited for, and made, in a moment.
    "timeout": ["0", "1 ms", "10 ms", "-1 s"],
    "wait": ["0", "1 ms", "-1 s"],
    "partitions": ["1", "2", "0", "-1", "1025", "{0,1}", "{NULL}", "{-1,99999}"],
    "arguments": ["{jsonb}", "{jsonb,text}", "{}", "{NULL}", "{0}", "{4294967295}"],
}

TEXT = ["", " ", "x", "a", "*", "a*", "**", "NULL", "null", "any", "-1", "9" * 30, "\x01", "\x7f", "é€", "\u0085", "x" * 255, "x" * 256, "x" * 70000,
        "'; SELECT 1; --", '"', "%s%n%d", "{", "}", "[", "\\", "$1", "%1$I", "00000000-0000-4000-8000-000000000001"]
INTEGER = [0, 1, -1, 2, 3, 4, 5, 31, 32, 100, 1000, 1023, 1024, 1025, 65535, 100000, 2**31 - 1, -(2**31)]
BIGINT = INTEGER + [2**31, 2**63 - 1, -(2**63), 2**62, -2, -3, 10**12]
JSON = ["null", "1", '"x"', "[]", "{}", "[null]", "[1]", '{"a": 1}', '{"a": {"b": [null]}}', "[[]]", '{"": ""}', "true", "1e400", "-0",
        '[{"stream_id": "a", "event_name": "x"}]', '[{"stream_id": null, "event_name": null}]', '[{"stream_id": 1}]', "[{}]",
        '[{"stream_id": "a", "event_name": "x", "payload": null, "expected_version": -5}]', '[{"event_name": "x"}]',
        '[{"stream_id": "a", "event_name": "x", "event_id": "x"}, {"stream_id": "a", "event_name": "x", "timestamp": "infinity"}]',
        '[{"stream_id": "a", "stream_id": "b", "event_name": "x", "payload_bytes": "\\\\x00"}]', '{"0": 1, "1": -1, "99": 3}', '{"a": 1, "b": null}',
        '{"a": 1.5}', '{"correlation_id": 1, "causation_id": {}}', '{"schema_version": "x"}', "[" * 200 + "]" * 200, '"' + "x" * 5000 + '"']
NOT_JSON = ["", "{", "[1", "nul", "{'a': 1}", '{"a": 1} x', "\x00"]
INTERVAL = ["0", "1 ms", "10 ms", "-1 s", "1 month", "100 years", "178000000 years", "-178000000 years", "1 day -24 hours"]
TIME = ["now", "infinity", "-infinity", "2020-01-01", "4713-01-01 BC", "294276-12-31", "1970-01-01"]
UUID = ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "00000000-0000-4000-8000-000000000001",
        "00000000-0000-4000-8000-00000000000a"]
PROCEDURE = ["fuzz.count(jsonb, sierra_event)", "fuzz.object(jsonb, sierra_event)", "fuzz.see(sierra_event)", "fuzz.see_all(sierra_event[])", "fuzz.up(json)",
             "fuzz.decide(jsonb, jsonb)", "fuzz.act(jsonb)", "fuzz.sets(jsonb)", "fuzz.number(jsonb)", "pg_sleep(double precision)", "0", "4294967295", "1", "31",
             "sum(integer)", "row_number()", "textin(cstring)", "now()"]
FUNCTION_NAME = ["count", "fuzz.count", "object", "see", "fuzz.see_all", "up", "decide", "act", "sets", "fuzz.number", '"count"', "abs", "pg_catalog.now", "eappend",
                 "nothing", "nowhere.count", "a.b.c.d", "", " ", "-", "(", '"(', '"("', '"', ".", "count(", "count(jsonb", "x" * 100, "fuzz.\u00e9", "see.", "99999999999"]
TYPE = ["jsonb", "text", "0", "4294967295", "sierra_event", "internal"]
VERSION = ["any", "exists", "empty", "0", "1", "9223372036854775807"]


class Fuzz:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.found = {}
        self.statements = 0
        self.log = open(options.log, "w", encoding="utf-8") if options.log else None
        self.sessions = {}
        self.admin = self.connect(None)
        self.start_time = self.value("SELECT pg_postmaster_start_time()")

    # The server

    def connect(self, role):
        deadline = time.monotonic() + 60
        while True:
            try:
                connection = psycopg2.connect(self.options.dsn + (f" user={role}" if role else ""))
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute("SET client_min_messages = error")
                return connection
            except psycopg2.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def value(self, sql):
        with self.admin.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchone()[0]

    def prepare(self):
        with self.admin.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)", (ROLES[-1],))
            known = cursor.fetchone()[0]
            if not known:
                cursor.execute(SETUP)
        if not known:
            self.run_as_owner(FUNCTIONS)

    def fill(self):
        """A fresh store; what the statements so far have made goes."""
        self.filled = time.monotonic()
        with self.admin.cursor() as cursor:
            cursor.execute("""SELECT format('DROP SCHEMA %I CASCADE', n.nspname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                               WHERE c.relname IN ('events', 'projections') AND n.nspname NOT IN ('public', 'pg_catalog') GROUP BY n.nspname""")
            statements = cursor.fetchall()
            # Without it, DROP does not delete events.
            cursor.execute("SET sierra_es.restore = on")
            for (statement,) in statements:
                cursor.execute(statement)
            cursor.execute("RESET sierra_es.restore")
        self.run_as_owner(STORE)

    def run_as_owner(self, script):
        owner = self.connect(ROLES[-1])
        with owner.cursor() as cursor:
            for statement in script.split(";\n"):
                if statement.strip():
                    cursor.execute(statement)
        owner.close()

    def functions(self):
        with self.admin.cursor() as cursor:
            cursor.execute("""
                SELECT p.oid::regproc::text, n.nspname, p.prokind::text, p.prorettype::regtype::text,
                       ARRAY(SELECT format_type(t, NULL) FROM unnest(p.proargtypes) AS t),
                       ARRAY(SELECT coalesce(p.proargnames[i], '') FROM generate_series(1, p.pronargs) AS i), p.pronargdefaults
                  FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
                  JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
                  JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
                 WHERE e.extname = 'sierra_es'
                 ORDER BY p.oid::regprocedure::text COLLATE "C" """)
            return cursor.fetchall()

    # Arguments, as SQL

    def pick(self, values):
        return self.random.choice(values)

    def quote(self, text):
        text = text.replace("\x00", "")
        return "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

    def text_of(self, kind, name):
        """A value of a type as text that its input function may take or refuse."""
        roll = self.random.random()
        if name in NAMES and roll < 0.75:
            return self.pick(NAMES[name])
        if kind in ("text", "name", "cstring", "character varying"):
            return self.pick(TEXT) if roll < 0.95 else "".join(chr(self.random.randrange(1, 0x2000)) for _ in range(self.random.randrange(1, 40)))
        if kind in ("integer", "smallint"):
            return str(self.pick(INTEGER))
        if kind == "bigint":
            return str(self.pick(BIGINT))
        if kind in ("json", "jsonb") or kind.endswith("sierra_json"):
            return self.pick(JSON) if roll < 0.95 else self.pick(NOT_JSON)
        if kind == "boolean":
            return self.pick(["true", "false"])
        if kind == "interval":
            return self.pick(INTERVAL)
        if kind.startswith("timestamp"):
            return self.pick(TIME)
        if kind == "uuid":
            return self.pick(UUID)
        if kind == "bytea":
            return self.pick(["", "\\x00", "\\xff" + "00" * 3000])
        if kind in ("regprocedure", "regproc"):
            return self.pick(PROCEDURE)
        if kind.endswith("sierra_function"):
            return self.pick(PROCEDURE) if roll < 0.5 else self.pick(FUNCTION_NAME)
        if kind in ("regtype", "oid", "regclass"):
            return self.pick(TYPE)
        if kind.endswith("expected_version"):
            return self.pick(VERSION)
        if kind.endswith("start_position"):
            return self.pick(NAMES["start_from"])
        if kind in ("double precision", "real", "numeric"):
            return self.pick(["0", "NaN", "1e300", "-1"])
        return self.pick(TEXT)

    def argument(self, kind, name):
        roll = self.random.random()
        if roll < 0.15:
            return f"NULL::{kind}"
        if kind.endswith("[]"):
            return self.array(kind, name)
        if kind in ("internal", "trigger", "record"):
            return "NULL"
        if roll < 0.18:
            # Another type, for the parser to find a function for, or not.
            return self.pick(["1", "1.5", "ARRAY[1]", "now()", "'x'::text", "'{}'::jsonb", "ROW(1, 2)", "true", "'1'::bit"])
        if kind.endswith(("sierra_event", "sierra_append_result", "sierra_saga_step", "sierra_saga_state")):
            return self.row(kind)
        if kind == "cstring":
            return f"{self.quote(self.text_of(kind, name))}::cstring"
        return f"{self.quote(self.text_of(kind, name))}::{kind}"

    def row(self, kind):
        columns = self.columns.get(kind) or []
        if kind.endswith("sierra_event") and self.random.random() < 0.3:
            return "(SELECT e FROM eall() AS e ORDER BY random() LIMIT 1)"
        if self.random.random() < 0.2:
            return f"ROW({', '.join('NULL' for _ in columns)})::{kind}"
        return f"ROW({', '.join(self.argument(t, n) if t != kind else 'NULL' for n, t in columns)})::{kind}"

    def array(self, kind, name):
        element = kind[:-2]
        roll = self.random.random()
        if roll < 0.08:
            return f"'{{}}'::{kind}"
        if roll < 0.16:
            return f"ARRAY[NULL]::{kind}"
        if roll < 0.20:
            return f"ARRAY[NULL, NULL, NULL]::{kind}"
        if roll < 0.25:
            return f"array_fill(NULL::{element}, ARRAY[{self.pick([2, 3])}, {self.pick([1, 2])}])"
        if roll < 0.30:
            return f"array_fill({self.argument(element, name)}, ARRAY[{self.pick([2, 5])}, {self.pick([2, 1])}])"
        if roll < 0.35:
            return f"array_fill({self.argument(element, name)}, ARRAY[{self.pick([1, 3, 2000])}], ARRAY[{self.pick([0, 5, -3])}])"
        values = [self.argument(element, name) for _ in range(self.pick([1, 1, 2, 2, 3, 5]))]
        return f"ARRAY[{', '.join(values)}]::{kind}"

    # Statements

    def statement(self, function):
        name, _, kind, _, types, names, defaults = function
        waits = {"timeout", "wait"} & set(names)
        given = len(types) - (self.random.randrange(defaults + 1) if defaults and not waits and self.random.random() < 0.5 else 0)
        arguments = [self.argument(types[i], names[i].strip("_")) for i in range(given)]
        if self.random.random() < 0.01:
            arguments.append("NULL")
        call = f"{name}({', '.join(arguments)})"
        if kind == "p":
            return f"CALL {call}"
        return f"SELECT * FROM {call} AS r" if self.random.random() < 0.7 else f"SELECT {call}"

    def session(self, role):
        session = self.sessions.get(role)
        if session is None or session.closed or self.random.random() < 0.002:
            if session is not None:
                session.close()
            session = self.sessions[role] = self.connect(role)
            with session.cursor() as cursor:
                cursor.execute(f"SET statement_timeout = '{self.options.timeout}ms'; SET lock_timeout = '2s'; SET search_path = {SCHEMA}, public")
        return session

    def report(self, kind, role, statement, detail):
        function = re.search(r"(?:FROM|SELECT|CALL) ([^ (]+)\(", statement)
        key = (kind, function and function.group(1), re.sub(r"\d+", "N", detail.split("\n")[0])[:80])
        if key not in self.found:
            self.found[key] = 0
            print(f"# {kind} as {role or 'superuser'}: {detail.strip()}\n    {statement[:3000]}", flush=True)
        self.found[key] += 1

    def run_one(self, role, statement):
        session = self.session(role)
        keep = self.random.random() < 0.1 and not any(
            name in statement for name in ("drop_event_store", "clear_event_store"))
        isolation = self.pick(["", "", "", " ISOLATION LEVEL REPEATABLE READ", " ISOLATION LEVEL SERIALIZABLE", " READ ONLY"])
        if self.log:
            self.log.write(f"{role}: {statement}\n")
            self.log.flush()
        self.statements += 1
        try:
            with session.cursor() as cursor:
                if statement.startswith("CALL"):
                    cursor.execute(statement)
                    return
                cursor.execute("BEGIN" + isolation)
                cursor.execute(statement)
                if cursor.description is not None:
                    cursor.fetchall()
                cursor.execute("COMMIT" if keep else "ROLLBACK")
        except psycopg2.Error as error:
            self.judge(role, session, statement, error)
        except (ValueError, OverflowError):
            # A date that Python does not know.
            self.roll_back(session)

    def judge(self, role, session, statement, error):
        code = error.pgcode
        if session.closed or code in ("57P01", "57P02", "57P03") or code is None:
            if session.closed or code is not None:
                self.report("crash", role, statement, str(error).split("\n")[0])
                self.sessions.clear()
                # Until the postmaster knows of a crash, it lets sessions in that will not live.
                time.sleep(0.5)
                self.admin = self.connect(None)
            return
        if code.startswith("XX"):
            self.report(f"internal error {code}", role, statement, str(error))
        elif code == "57014" and "statement timeout" in str(error):
            self.report("hang", role, statement, str(error))
        self.roll_back(session)

    def roll_back(self, session):
        try:
            with session.cursor() as cursor:
                cursor.execute("ROLLBACK")
        except psycopg2.Error:
            session.close()

    def run(self):
        self.prepare()
        with self.admin.cursor() as cursor:
            cursor.execute("""SELECT format_type(t.oid, NULL), array_agg(ARRAY[a.attname, format_type(a.atttypid, NULL)] ORDER BY a.attnum)
                                FROM pg_type AS t JOIN pg_attribute AS a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
                                JOIN pg_depend AS d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
                               GROUP BY t.oid""")
            self.columns = dict(cursor.fetchall())
        functions = self.functions()
        if self.options.function:
            functions = [f for f in functions if re.search(self.options.function, f[0])]
        assert functions, "the extension has no functions"
        called = set()
        self.fill()
        end = time.monotonic() + self.options.seconds
        while time.monotonic() < end or (len(called) < len(functions) and not self.options.function):
            if time.monotonic() - self.filled > 30:
                self.fill()
            function = self.pick(functions) if len(called) == len(functions) or self.random.random() < 0.5 else next(f for f in functions if key_of(f) not in called)
            called.add(key_of(function))
            role = self.pick(ROLES + ROLES[-1:]) if self.random.random() < 0.97 else None
            self.run_one(role, self.statement(function))
        return len(functions)


def key_of(function):
    return (function[0], tuple(function[4]))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--timeout", type=int, default=60000, help="milliseconds that a statement may run")
    parser.add_argument("--function", help="only functions whose name matches this regular expression")
    parser.add_argument("--log", help="writes each statement to this file before it is run")
    options = parser.parse_args()
    fuzz = Fuzz(options)
    functions = fuzz.run()
    for (kind, function, detail), times in sorted(fuzz.found.items(), key=str):
        print(f"found: {kind}: {function}: {times} times: {detail}")
    print(f"seed {options.seed}: {fuzz.statements} statements, {functions} functions, {len(fuzz.found)} findings")
    if fuzz.value("SELECT pg_postmaster_start_time()") != fuzz.start_time:
        print("found: the postmaster is another one")
        return 1
    return 1 if fuzz.found else 0


if __name__ == "__main__":
    sys.exit(main())
