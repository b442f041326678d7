#!/usr/bin/python3
"""Two programs that want the last seat of a course at the same time.

Each reads the events that its decision depends on, decides, and appends with a
condition: no such event has been appended since.  PGHOST and so on say where to
connect to.
"""
import json
import threading

import psycopg2

both_have_read = threading.Barrier(2)
lock = threading.Lock()


def show(text):
    with lock:
        print("[client] " + text, flush=True)


def enrol(conn, student, course, wait):
    """Enrols a student; returns whether there was a seat."""
    query = json.dumps([{"tags": ["course:" + course]}, {"tags": ["student:" + student]}])
    with conn, conn.cursor() as cursor:
        # The position first: what is appended after it is not in the decision.
        cursor.execute("SELECT ehead()")
        after = cursor.fetchone()[0]
        cursor.execute("SELECT event_name, payload FROM equery(%s, to_position => %s)", (query, after))
        events = cursor.fetchall()
    seats = [payload["seats"] for name, payload in events if payload["course"] == course and name == "CourseDefined"][0]
    taken = set()
    for name, payload in events:
        if payload["course"] == course and name == "StudentEnrolled":
            taken.add(payload["student"])
        elif payload["course"] == course and name == "StudentLeft":
            taken.discard(payload["student"])
    if len(taken) >= seats:
        return False
    wait()
    with conn, conn.cursor() as cursor:
        cursor.execute(
            "SELECT FROM eappend(%s, 'StudentEnrolled', %s, tags => %s, condition => %s)",
            ("course-" + course, json.dumps({"student": student, "course": course}),
             ["student:" + student, "course:" + course],
             json.dumps({"query": json.loads(query), "after": after})))
    return True


def enrol_with_retry(results, student, course):
    """Tries again if the facts have changed, which SQLSTATE SE009 says."""
    conn = psycopg2.connect("")
    refused = 0
    while True:
        try:
            # In the first attempt, both read before one of them appends.
            done = enrol(conn, student, course, both_have_read.wait if refused == 0 else lambda: None)
            break
        except psycopg2.Error as error:
            if error.pgcode != "SE009":
                raise
            refused += 1
    results.append((done, refused))
    conn.close()


def main():
    results = []
    threads = [threading.Thread(target=enrol_with_retry, args=(results, student, "sql"))
               for student in ("bob", "carl")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    show(f"Enrolled: {sum(done for done, refused in results)} of 2.")
    show(f"Refused with SE009, and read again: {sum(refused for done, refused in results)}.")


if __name__ == "__main__":
    main()
