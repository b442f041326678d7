#!/usr/bin/env python3
"""Orders, by the calls of SierraDB's tutorial: its programs take a stream as a list that begins with 1.

GATEWAY_TUTORIAL_PORT is the port of a listener with dialect=tutorial.
"""
import json
import os
import threading
import uuid

import redis

# decode_responses is the one argument that the tutorial lacks: redis-py makes bytes of all strings without it.
client = redis.Redis(host="localhost", port=int(os.environ["GATEWAY_TUTORIAL_PORT"]), protocol=3, decode_responses=True)


def show(text):
    print("[client] " + text, flush=True)


def create_order(customer):
    order = str(uuid.uuid4())
    data = {"order_id": order, "customer_id": customer, "items": [], "status": "created"}
    version = client.execute_command("EAPPEND", f"order-{order}", "OrderCreated", "PAYLOAD", json.dumps(data))
    show(f"the order is created at version {version}")
    return order


def add_item(order, item, quantity, price, seen=None):
    """Expects the version that was seen, or else the current one."""
    version = client.execute_command("ESVER", f"order-{order}") if seen is None else seen
    if version == 0:
        raise ValueError("there is no such order")
    data = {"item_id": item, "quantity": quantity, "price": price}
    try:
        version = client.execute_command("EAPPEND", f"order-{order}", "ItemAdded",
                                         "EXPECTED_VERSION", version, "PAYLOAD", json.dumps(data))
    except redis.ResponseError as error:
        if "WRONG_EXPECTED_VERSION" in str(error):
            show(f"{item}: somebody else has changed the order, please repeat")
        raise
    show(f"{item} is added at version {version}")


def pay(order, amount, method):
    data = {"amount": amount, "payment_method": method}
    version = client.execute_command("EAPPEND", f"order-{order}", "PaymentProcessed", "PAYLOAD", json.dumps(data))
    show(f"the order is paid at version {version}")


def read_order(order):
    """The state of an order: a fold of its events."""
    state = {"status": None, "items": {}}
    for event in client.execute_command("ESCAN", f"order-{order}", "-", "+"):
        name, data = event[1], json.loads(event[5])
        if name == "OrderCreated":
            state.update(customer=data["customer_id"], status=data["status"])
        elif name == "ItemAdded":
            item = state["items"].setdefault(data["item_id"], {"quantity": 0, "price": data["price"]})
            item["quantity"] += data["quantity"]
        elif name == "PaymentProcessed":
            state.update(status="paid", method=data["payment_method"])
    state["total"] = round(sum(item["quantity"] * item["price"] for item in state["items"].values()), 2)
    return state


class Follower(threading.Thread):
    """Subscribes to all orders, as the tutorial does: it only shows that there is a subscription."""

    def run(self):
        subscription = client.execute_command("ESUB", "order-*", "FROM", "LATEST", "WINDOW", "1000")
        show(f"subscription {'has an id' if uuid.UUID(subscription) else 'failed'}")


def main():
    follower = Follower()
    follower.start()
    follower.join()
    order = create_order("customer-123")
    add_item(order, "laptop", 1, 999.99)
    add_item(order, "mouse", 1, 29.99)
    add_item(order, "keyboard", 1, 79.99)
    try:
        add_item(order, "screen", 1, 199, seen=1)
    except redis.ResponseError:
        pass
    try:
        add_item(str(uuid.uuid4()), "laptop", 1, 999.99)
    except ValueError as error:
        show(f"another order: {error}")
    pay(order, 1109.97, "credit_card")
    show(json.dumps(read_order(order)))
    for number, event in enumerate(client.execute_command("ESCAN", f"order-{order}", "-", "+"), 1):
        if not isinstance(event[4], int):
            raise TypeError("a timestamp is a number")
        show(f"{number}. {event[1]}: {sorted(json.loads(event[5]))}")


if __name__ == "__main__":
    main()
