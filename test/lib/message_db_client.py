"""A program for message-db: all that the client message-db-py does, against the store of this server.

usage: message_db_client.py HOST PORT DATABASE
"""

import sys

from message_db.client import MessageDB


def raises(text, call, *arguments, **options):
    """The call fails with an error of the server that begins with this text."""
    try:
        call(*arguments, **options)
    except ValueError as error:
        assert str(error).startswith(text), f"{error} is not {text}"
    else:
        raise AssertionError(f"no error {text}")


def write(store):
    """Writes, one by one and in batches, with and without expected versions."""
    assert store.write("account-1", "Opened", {"amount": 1}) == 0
    assert store.write("account-1", "Deposited", {"amount": 2}, {"correlationStreamName": "order-1"}, expected_version=0) == 1
    raises("P0001-ERROR:  Wrong expected version: 0 (Stream: account-1, Stream Version: 1)",
           store.write, "account-1", "Deposited", {}, expected_version=0)
    raises("P0001-ERROR:  Wrong expected version: 5 (Stream: account-9, Stream Version: -1)",
           store.write, "account-9", "Opened", {}, expected_version=5)
    assert store.write_batch("account-2", [("Opened", {"n": 0}), ("Closed", {"n": 1}, {"by": "ä"})], expected_version=-1) == 1
    # All of a batch, or nothing.
    raises("P0001-", store.write_batch, "account-3", [("Opened", {}), ("Closed", {})], expected_version=3)
    assert store.read_stream("account-3") == []
    store.write("order-1", "Placed", {"text": "a\"b ü"})
    store.write("account:snapshot-2", "Snapshot", {})


def read(store):
    """Reads a stream, a category, a part of a category, and everything."""
    first, second = store.read("account-1")
    assert (first["position"], first["type"], first["data"], first["metadata"]) == (0, "Opened", {"amount": 1}, None)
    assert second["metadata"] == {"correlationStreamName": "order-1"}
    assert [message["position"] for message in store.read("account-1", position=1, no_of_messages=5)] == [1]
    accounts = store.read_category("account")
    assert [message["stream_name"] for message in accounts] == ["account-1"] * 2 + ["account-2"] * 2
    later = store.read_category("account", position=accounts[1]["global_position"] + 1)
    assert [message["type"] for message in later] == ["Opened", "Closed"]
    members = [store.read_category("account", consumer_group_member=member, consumer_group_size=2) for member in (0, 1)]
    assert sorted(message["id"] for part in members for message in part) == sorted(message["id"] for message in accounts)
    everything = store.read("$all")
    assert len(everything) == 6 and everything[4]["data"] == {"text": "a\"b ü"}
    positions = [message["global_position"] for message in everything]
    assert positions == sorted(set(positions)) and positions[0] >= 1
    assert [message["id"] for message in store.read("$all", position=positions[3])] == [message["id"] for message in everything[4:]]
    assert store.read_last_message("account-1")["type"] == "Deposited"
    assert store.read_last_message("account-7") is None
    assert store.stream_identifiers("account") == ["1", "2"]


def main():
    host, port, database = sys.argv[1:]
    store = MessageDB(dbname=database, host=host, port=int(port))
    write(store)
    read(store)
    print("all is well")


if __name__ == "__main__":
    main()
