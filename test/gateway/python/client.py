"""What a program with redis-py sees, whichever version is installed.

usage: client.py PORT PORT_OF_TUTORIAL PORT_WITH_PASSWORDS
The last one wants the user ada with the password "secret".
"""
import json
import pathlib
import sys
import threading
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
# pylint: disable=wrong-import-position
import redis

from checks import Checks

PORT, TUTORIAL_PORT, PASSWORD_PORT = (int(argument) for argument in sys.argv[1:4])
RELEASE = int(redis.__version__.split(".")[0])
EVENT_KEYS = ["event_id", "partition_key", "partition_id", "transaction_id", "partition_sequence", "stream_version",
              "timestamp", "stream_id", "event_name", "metadata", "payload"]
checks = Checks()


def connect(port=PORT, **options):
    return redis.Redis(host="localhost", port=port, **{"protocol": 3, "decode_responses": True, **options})


def name(kind="stream"):
    return f"{kind}-{uuid.uuid4()}"


def failure(call, *arguments, **options):
    """The exception of a call, or None."""
    try:
        call(*arguments, **options)
    except redis.RedisError as error:
        return error
    return None


def check_connect():
    client = connect(client_name="shop")
    checks.equal(client.ping(), True, "PING")
    checks.equal(client.execute_command("CLIENT", "GETNAME"), "shop", "the name of the client is kept")
    checks.ok(isinstance(client.client_id(), int), "CLIENT ID is a number")
    checks.equal(client.echo("hello"), "hello", "ECHO")
    hello = client.execute_command("HELLO", "3")
    checks.equal(hello["server"], "sierradb", "HELLO says sierradb")
    checks.equal(hello["proto"], 3, "and the protocol")
    checks.equal(hello["num_partitions"], 32, "and the number of partitions")
    checks.ok("redis_version" in client.info(), "INFO is parsed")
    checks.ok(connect(health_check_interval=1).ping(), "health checks")
    if RELEASE >= 8:
        checks.equal(redis.Redis(port=PORT).execute_command("ESVER", name()), None, "the default protocol")
        checks.ok(isinstance(redis.Redis(port=PORT).execute_command("EAPPEND", name(), "Made"), dict), "is RESP3")
    else:
        checks.ok(isinstance(redis.Redis(port=PORT).execute_command("EAPPEND", name(), "Made"), list), "the default protocol is RESP2")
    checks.ok(failure(connect(db=7).ping), "a database that is not configured is refused")
    checks.contains(failure(client.execute_command, "FLUSHALL"), "FLUSHALL", "an unknown command is named")


def check_passwords():
    checks.equal(connect(PASSWORD_PORT, username="ada", password="secret").ping(), True, "user and password, RESP3")
    checks.equal(connect(PASSWORD_PORT, username="ada", password="secret", protocol=2).ping(), True, "user and password, RESP2")
    for protocol in (2, 3):
        error = failure(connect(PASSWORD_PORT, username="ada", password="wrong", protocol=protocol).ping)
        checks.ok(isinstance(error, redis.AuthenticationError), f"a wrong password, RESP{protocol}", error)
        checks.ok("secret" not in str(error) and "wrong" not in str(error).replace("wrong number", ""), "is not repeated", error)
        # Without a password, HELLO or the first command is refused.
        error = failure(connect(PASSWORD_PORT, protocol=protocol).execute_command, "ESVER", "x")
        checks.ok(isinstance(error, redis.AuthenticationError), f"no password, RESP{protocol}", error)


def check_append():
    client, stream = connect(), name("order")
    first = client.execute_command("EAPPEND", stream, "OrderCreated", "PAYLOAD", '{"total": 1}', "METADATA", '{"by":"ada"}')
    checks.equal(list(first), ["event_id", "partition_key", "partition_id", "partition_sequence", "stream_version", "timestamp"],
                 "EAPPEND answers a map in this order")
    checks.equal(first["stream_version"], 0, "the first version is 0")
    checks.ok(isinstance(first["timestamp"], int) and first["timestamp"] > 1.7e12, "a timestamp in milliseconds", first)
    key = uuid.uuid5(uuid.UUID("219bd637-e279-53e9-9e2b-eabe5d9120cc"), stream)
    checks.equal(first["partition_key"], str(key), "the key of the partition comes from the stream")
    checks.equal(first["partition_id"], (key.int >> 46 & 0xFFFF) % 32, "and so does the partition")
    given = str(uuid.uuid4())
    second = client.execute_command("EAPPEND", stream, "OrderPaid", "TIMESTAMP", 1697641800123, "EVENT_ID", given.upper(), "EXPECTED_VERSION", 0)
    checks.equal((second["event_id"], second["timestamp"], second["stream_version"]), (given, 1697641800123, 1), "options in any order")
    checks.equal(client.execute_command("EAPPEND", stream, "OrderPaid", "EVENT_ID", given, "EXPECTED_VERSION", 0), second, "a repeated event is stored once")
    error = failure(client.execute_command, "EAPPEND", stream, "X", "EXPECTED_VERSION", 0)
    checks.ok(isinstance(error, redis.ResponseError), "a conflict is an error", error)
    expected = f"WRONGVER current stream version is 1 but expected 0 for partition key {key} and stream id {stream} (wrong expected version; WRONG_EXPECTED_VERSION)"
    checks.equal(str(error), expected, "with this text")
    for word, current in (("empty", "1 but expected empty"),):
        checks.contains(failure(client.execute_command, "EAPPEND", stream, "X", "EXPECTED_VERSION", word), current, f"EXPECTED_VERSION {word}")
    checks.contains(failure(client.execute_command, "EAPPEND", name(), "X", "EXPECTED_VERSION", "exists"), "empty but expected exists", "EXPECTED_VERSION exists")
    checks.equal(client.execute_command("eappend", stream, "X", "expected_version", "Exists")["stream_version"], 2, "words in any case")
    checks.equal(client.execute_command("EAPPEND", stream, "X", "EXPECTED_VERSION", "any")["stream_version"], 3, "EXPECTED_VERSION any")
    checks.equal(client.execute_command("ESVER", stream), 3, "ESVER")
    checks.equal(client.execute_command("ESVER", name()), None, "ESVER of no stream")


def check_append_many():
    client, key = connect(), str(uuid.uuid4())
    one, two = name(), name()
    many = client.execute_command("EMAPPEND", key, one, "A", "PAYLOAD", "{}", two, "B", one, "C", "EXPECTED_VERSION", 0)
    checks.equal(list(many), ["partition_key", "partition_id", "first_partition_sequence", "last_partition_sequence", "events"], "EMAPPEND answers a map")
    checks.equal(many["last_partition_sequence"] - many["first_partition_sequence"], 2, "sequences are contiguous")
    checks.equal([(event["stream_id"], event["stream_version"]) for event in many["events"]], [(one, 0), (two, 0), (one, 1)], "versions")
    checks.equal(list(many["events"][0]), ["event_id", "stream_id", "stream_version", "timestamp"], "keys of an event")
    three = name()
    error = failure(client.execute_command, "EMAPPEND", key, three, "A", one, "D", "EXPECTED_VERSION", 0)
    checks.contains(error, "WRONGVER", "one conflict")
    checks.equal(client.execute_command("ESVER", three), None, "refuses all events")
    error = failure(client.execute_command, "EAPPEND", one, "X", "PARTITION_KEY", str(uuid.uuid4()))
    checks.contains(error, "DBOPFAILED database operation failed: partition key must be the same for all events in a stream: expected " + key, "another key for a stream")
    page = client.execute_command("EPSCAN", key, many["first_partition_sequence"], many["last_partition_sequence"])
    checks.equal([event["event_name"] for event in page["events"]], ["A", "B", "C"], "EPSCAN by key")
    page = client.execute_command("EPSCAN", many["partition_id"], many["first_partition_sequence"], "+", "COUNT", 2)
    checks.equal([event["event_name"] for event in page["events"]], ["A", "B"], "EPSCAN by id, with COUNT")
    checks.equal(page["has_more"], True, "has more")
    checks.ok(client.execute_command("EPSEQ", key) >= many["last_partition_sequence"], "EPSEQ by key")
    checks.equal(client.execute_command("EPSEQ", key), client.execute_command("EPSEQ", many["partition_id"]), "and by id")
    error = failure(client.execute_command, "EPSEQ", 60000)
    checks.ok(isinstance(error, redis.exceptions.ClusterDownError) or "CLUSTERDOWN" in str(error), "EPSEQ of no partition", error)


def check_read():
    client, stream = connect(), name()
    for number in range(5):
        client.execute_command("EAPPEND", stream, f"E{number}", "PAYLOAD", json.dumps({"n": number}), "METADATA", '{"m":  1}')
    everything = client.execute_command("ESCAN", stream, "-", "+")
    checks.equal(list(everything), ["has_more", "events"], "ESCAN answers a map")
    checks.equal(everything["has_more"], False, "not more")
    event = everything["events"][2]
    checks.equal(list(event), EVENT_KEYS, "keys of an event in this order")
    checks.equal((event["event_name"], event["payload"], event["metadata"]), ("E2", '{"n": 2}', '{"m":  1}'), "an event as it was appended")
    checks.equal(client.execute_command("EGET", event["event_id"]), event, "EGET finds the same")
    checks.equal(client.execute_command("EGET", str(uuid.uuid4())), None, "EGET of no event")

    def versions(*words):
        page = client.execute_command("ESCAN", stream, *words)
        return [event["stream_version"] for event in page["events"]], page["has_more"]

    for words, expected in (
            (("-", "+"), ([0, 1, 2, 3, 4], False)), ((1, "+"), ([1, 2, 3, 4], False)), ((1, 3), ([1, 2, 3], False)), ((2, 2), ([2], False)),
            ((3, 2), ([], False)), ((9, "+"), ([], False)), (("-", "+", "COUNT", 5), ([0, 1, 2, 3, 4], False)),
            (("-", "+", "COUNT", 4), ([0, 1, 2, 3], True)), ((0, 3, "COUNT", 4), ([0, 1, 2, 3], False)), ((0, 3, "COUNT", 3), ([0, 1, 2], True)),
            (("-", "+", "COUNT", 2, "PARTITION_KEY", event["partition_key"]), ([0, 1], True))):
        checks.equal(versions(*words), expected, "ESCAN " + " ".join(map(str, words)))
    checks.equal(client.execute_command("ESCAN", name(), "-", "+"), {"has_more": False, "events": []}, "ESCAN of no stream")
    for words in (("+", "+"), ("-", "-"), ("x", "+"), ("-1", "+")):
        checks.contains(failure(client.execute_command, "ESCAN", stream, *words), "INVALIDARG", f"ESCAN {words} is refused")


def check_bytes():
    client, stream = connect(decode_responses=False), name()
    everything = bytes(range(256))
    large = b'{"text": "' + b"x" * 1_000_000 + b'"}'
    cases = [everything, large, everything * 3500, b"", b"\xff", b"{}", b'{"a": "\\u0000"}', b" [1,2] ", '"\u00e9\u20ac\U0001f600"'.encode(),
             b'{"$bytes": "AAAA"}', b'{"$bytes":1}', b"[" * 20000, b"nul", b"null", b"01", b"1e400", b"\xef\xbb\xbf{}", b'"\xed\xa0\x80"', b'"\\ud800"', b"\r\n", b'{"a":1,"a":2}']
    for version, data in enumerate(cases):
        client.execute_command("EAPPEND", stream, "Bytes", "PAYLOAD", data, "METADATA", data)
        event = client.execute_command("ESCAN", stream, version, version)[b"events"][0]
        checks.ok(event[b"payload"] == data and event[b"metadata"] == data, f"payload and metadata of {data[:20]!r} come back",
                  (event[b"payload"][:40], event[b"metadata"][:40]))
    checks.equal(event[b"stream_id"], stream.encode(), "without decode_responses keys and values are bytes")


def check_pipeline():
    client, stream = connect(), name()
    pipe = client.pipeline(transaction=False)
    for number in range(1000):
        pipe.execute_command("EAPPEND", stream, f"E{number}")
        if number % 100 == 50:
            pipe.execute_command("EAPPEND", stream, "X", "EXPECTED_VERSION", "empty")
            pipe.execute_command("ESVER", stream)
    found = pipe.execute(raise_on_error=False)
    conflicts = [answer for answer in found if isinstance(answer, redis.ResponseError)]
    versions = [answer["stream_version"] for answer in found if isinstance(answer, dict)]
    reads = [answer for answer in found if isinstance(answer, int)]
    checks.equal(versions, list(range(1000)), "a pipeline of 1000 appends is answered in its order")
    checks.equal(len(conflicts), 10, "refusals are answers of their commands only")
    checks.equal(reads, [100 * number + 50 for number in range(10)], "a read sees the appends before it, not those behind it")


def check_threads():
    client, stream, failures = connect(), name(), []

    def append():
        try:
            for _ in range(20):
                client.execute_command("EAPPEND", stream, "Happened")
        except redis.RedisError as error:
            failures.append(error)

    threads = [threading.Thread(target=append) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    checks.equal(failures, [], "16 threads append to one stream")
    page = client.execute_command("ESCAN", stream, "-", "+", "COUNT", 1000)
    checks.equal([event["stream_version"] for event in page["events"]], list(range(320)), "each event has a version of its own")


def check_resp2():
    client, stream = connect(protocol=2), name()
    answer = client.execute_command("EAPPEND", stream, "E", "PAYLOAD", "{}")
    checks.equal(answer[::2], ["event_id", "partition_key", "partition_id", "partition_sequence", "stream_version", "timestamp"], "RESP2: EAPPEND")
    page = client.execute_command("ESCAN", stream, "-", "+")
    checks.equal(page[:3:2], ["has_more", "events"], "RESP2: ESCAN")
    checks.equal(page[1], 0, "RESP2: a boolean is a number")
    checks.equal(dict(zip(page[3][0][::2], page[3][0][1::2]))["payload"], "{}", "RESP2: an event")
    checks.equal(client.execute_command("ESVER", name()), None, "RESP2: null")
    checks.contains(failure(client.execute_command, "ESUB", stream), "subscriptions need RESP3, send HELLO 3", "RESP2: ESUB is refused")
    checks.equal(client.ping(), True, "RESP2: and the connection continues")


def check_subscription():
    """A consumer holds a connection, reads pushes there, and acknowledges on another one."""
    kind = f"user{uuid.uuid4().hex[:8]}"
    client, stream = connect(), name(kind)
    client.execute_command("EAPPEND", stream, "E0")
    consumer = connect().connection_pool.get_connection("ESUB") if RELEASE < 6 else connect().connection_pool.get_connection()
    consumer.send_command("ESUB", f"{kind}-*", "FROM", 0, "WINDOW", 2)
    subscription = consumer.read_response()
    checks.equal(str(uuid.UUID(subscription)), subscription, "ESUB answers an id")
    consumer.read_response(push_request=True)
    client.execute_command("EAPPEND", stream, "E1")
    client.execute_command("EAPPEND", stream, "E2")
    found = [consumer.read_response(push_request=True) for _ in range(2)]
    checks.equal([push[:3] for push in found], [["message", subscription, 0], ["message", subscription, 1]], "pushes have the id and a cursor")
    checks.equal([(push[3]["stream_id"], push[3]["event_name"]) for push in found], [(stream, "E0"), (stream, "E1")], "and the event, history first")
    checks.ok(not consumer.can_read(timeout=0.3), "the window is full")
    checks.equal(client.execute_command("EACK", subscription, 1), "OK", "EACK on another connection")
    checks.equal(consumer.read_response(push_request=True)[3]["event_name"], "E2", "opens it")
    checks.contains(failure(client.execute_command, "EACK", str(uuid.uuid4()), 1), "NOTFOUND", "EACK of no subscription")
    consumer.disconnect()


def check_pubsub():
    for protocol in (2, 3):
        client, stream = connect(protocol=protocol), name("cart")
        pubsub = client.pubsub()
        pubsub.psubscribe("cart-*")
        pubsub.subscribe(stream)
        for kind in ("psubscribe", "subscribe"):
            checks.equal(pubsub.get_message(timeout=30)["type"], kind, f"RESP{protocol}: {kind}")
        client.execute_command("EAPPEND", stream, "Filled", "PAYLOAD", '{"n":1}')
        found = [pubsub.get_message(timeout=30), pubsub.get_message(timeout=30)]
        kinds = sorted(message["type"] for message in found if message)
        checks.equal(kinds, ["message", "pmessage"], f"RESP{protocol}: a message for each")
        for message in filter(None, found):
            event = json.loads(message["data"])
            checks.equal((message["channel"], event["stream_id"], event["event_name"]), (stream, stream, "Filled"), f"RESP{protocol}: {message['type']} has the event")
        pubsub.unsubscribe()
        pubsub.punsubscribe()
        checks.equal(pubsub.get_message(timeout=30)["type"], "unsubscribe", f"RESP{protocol}: unsubscribe")
        pubsub.close()


def check_tutorial():
    for label, client in (("a listener", connect(TUTORIAL_PORT)), ("database 1", connect(db=1)), ("a name", connect(client_name="tutorial"))):
        stream = name()
        checks.equal(client.execute_command("ESVER", stream), 0, f"tutorial by {label}: ESVER of no stream")
        checks.equal(client.execute_command("EAPPEND", stream, "A", "PAYLOAD", "{}"), 1, "EAPPEND")
        checks.equal(client.execute_command("EAPPEND", stream, "B", "EXPECTED_VERSION", 1), 2, "with a version")
        checks.contains(failure(client.execute_command, "EAPPEND", stream, "B", "EXPECTED_VERSION", 1), "WRONG_EXPECTED_VERSION", "and a wrong one")
        checks.equal(client.execute_command("ESVER", stream), 2, "ESVER")
        rows = client.execute_command("ESCAN", stream, "-", "+")
        checks.equal([(row[1], row[2], row[3], row[5], row[6]) for row in rows], [("A", stream, 1, "{}", ""), ("B", stream, 2, "", "")], "ESCAN")
        checks.equal(client.execute_command("EMAPPEND", str(uuid.uuid4()), name(), "A", name(), "B"), [1, 1], "EMAPPEND")
        checks.equal(len(client.execute_command("ESCAN", stream, 2, 2)), 1, "ranges begin with 1")
    many = name()
    pipe = connect(TUTORIAL_PORT).pipeline(transaction=False)
    for _ in range(150):
        pipe.execute_command("EAPPEND", many, "E")
    pipe.execute()
    checks.equal(len(connect(TUTORIAL_PORT).execute_command("ESCAN", many, "-", "+")), 150, "without COUNT all events are read")


checks.run(check_connect, check_passwords, check_append, check_append_many, check_read, check_bytes, check_pipeline, check_threads,
           check_resp2, check_subscription, check_pubsub, check_tutorial)
