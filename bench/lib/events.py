"""The one kind of event that every contender appends."""

import json

NAME = "OrderItemAdded"
KEY = "219bd637-e279-53e9-9e2b-eabe5d9120cc"
BATCH = 100

PAYLOAD = json.dumps({
    "order": "ord-2024-000417", "product": "8b0f6a52-6f0d-4f4e-9f0a-2f6f0c9d7b11", "name": "Mechanical keyboard",
    "quantity": 2, "price": {"amount": 8950, "currency": "EUR"}, "note": "gift wrap",
})
METADATA = json.dumps({"user": "u-10442", "correlation": "c-5b1f9e", "ip": "192.0.2.17"})


def array(values):
    """A text array literal, as a driver without binary arrays binds it."""
    quoted = ('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return "{" + ",".join(quoted) + "}"


def variables():
    """pgbench variables that every script may use."""
    return {"payload": PAYLOAD, "metadata": METADATA, "key": KEY}


def batch_variables():
    """Bound arrays of a batch of events; N in a stream name is replaced by a number."""
    return {
        "names": array([NAME] * BATCH),
        "payloads": array([PAYLOAD] * BATCH),
        "metadatas": array([METADATA] * BATCH),
        "streams_of_n": array(f"order-N.{i}" for i in range(BATCH)),
        "leaves": array(str(i * 7 % 32) for i in range(BATCH)),
    }


def copy_chunk(first, spread):
    """A batch of rows of the equal table as COPY text; numbers start at `first`.

    Spread: a hundred streams over all leaves. Otherwise one stream in one leaf.
    """
    lines = []
    for i in range(BATCH):
        n = first + i
        stream, leaf = (f"order-{n}", i * 7 % 32) if spread else (f"order-{first}", first // BATCH % 32)
        row = (n, n, n, "2024-05-17 09:12:45.123456+00", f"{n:032d}", KEY, KEY, leaf,
               stream, NAME, METADATA, PAYLOAD, r"\N", r"\N")
        lines.append("\t".join(map(str, row)) + "\n")
    return "".join(lines)
