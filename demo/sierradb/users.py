#!/usr/bin/env python3
"""Users, by the calls of SierraDB's page about event sourcing: events are maps, and versions begin with 0.

GATEWAY_PORT is the port of a default listener, GATEWAY_BATCH_PORT of one with esub_reply=batch.
"""
import json
import os
import shlex
import threading

import redis


def connect(name):
    # decode_responses is the one argument that the page lacks: redis-py makes bytes of all strings without it.
    return redis.Redis(host="localhost", port=int(os.environ[name]), protocol=3, decode_responses=True)


client = connect("GATEWAY_PORT")


def show(text):
    print("[client] " + text, flush=True)


def run(command):
    """A command as it is typed."""
    return client.execute_command(*shlex.split(command))


def append(command):
    event = run("EAPPEND " + command)
    show(f"{shlex.split(command)[0]} is at version {event['stream_version']}")


def build_user(number):
    """The state of a user: a fold of the events."""
    user = {}
    for event in client.execute_command("ESCAN", f"user-{number}", "-", "+")["events"]:
        name, data = event["event_name"], json.loads(event["payload"])
        if name == "UserRegistered":
            user = {"email": data["email"], "name": data["name"], "created": event["timestamp"] > 0}
        elif name == "EmailVerified":
            user["verified_at"] = data["verified_at"]
        elif name == "ProfileUpdated":
            user.update(data)
    return user


def update_profile(number, version, data):
    """False if somebody else has changed the user since this version."""
    try:
        client.execute_command("EAPPEND", f"user-{number}", "ProfileUpdated",
                               "EXPECTED_VERSION", version, "PAYLOAD", json.dumps(data))
        return True
    except redis.ResponseError as error:
        if "wrong expected version" in str(error):
            return False
        raise


def show_users():
    append("""user-123 UserRegistered PAYLOAD '{"email":"alice@example.com","name":"Alice Johnson"}'""")
    append("""user-123 EmailVerified EXPECTED_VERSION 0 PAYLOAD '{"verified_at":"2024-01-01"}'""")
    append("""user-123 ProfileUpdated PAYLOAD '{"name":"Alice Smith"}' METADATA '{"user_id":"user-123","source":"web-app"}'""")
    for arguments in ("- +", "1 +", "0 4", "- + COUNT 2"):
        page = run(f"ESCAN user-123 {arguments}")
        show(f"ESCAN {arguments}: {[event['event_name'] for event in page['events']]}, has_more {page['has_more']}")
    show(f"ESVER: {run('ESVER user-123')}; of nobody: {run('ESVER user-321')}")
    show(json.dumps(build_user(123)))
    show(f"an update of version 2: {update_profile(123, 2, {'name': 'Alice'})}; once more: {update_profile(123, 2, {'name': 'Bob'})}")


def show_partitions():
    transfer = run("""EMAPPEND 550e8400-e29b-41d4-a716-446655440000
        account-123 MoneyWithdrawn PAYLOAD '{"amount":100}'
        account-456 MoneyDeposited PAYLOAD '{"amount":100}'""")
    show(f"a transfer: {[(event['stream_id'], event['stream_version']) for event in transfer['events']]}")
    page = run(f"EPSCAN {transfer['partition_id']} {transfer['first_partition_sequence']} {transfer['last_partition_sequence']}")
    show(f"in its partition: {[event['event_name'] for event in page['events']]}")
    one = run("EAPPEND user-124 UserRegistered PARTITION_KEY user-partition-key")
    two = run("EAPPEND user-account-124 AccountCreated PARTITION_KEY user-partition-key")
    show(f"the same key leads to the same partition: {one['partition_id'] == two['partition_id']}")
    for step in ("OrderSagaStarted", "PaymentRequested", "PaymentCompleted", "OrderSagaCompleted"):
        append(f"saga-order-123 {step} PAYLOAD '{{}}'")


def follow_users():
    """A loop over what ESUB answers, while somebody appends."""
    followers = connect("GATEWAY_BATCH_PORT")
    writer = threading.Timer(0.5, run, ["""EAPPEND user-125 UserRegistered PAYLOAD '{"name":"Carol"}'"""])
    writer.start()
    for event in followers.execute_command("ESUB", "user-*", "FROM", "LATEST"):
        show(f"live: {event['stream_id']} {event['event_name']} {json.loads(event['payload'])}")
    writer.join()


if __name__ == "__main__":
    show_users()
    show_partitions()
    follow_users()
