#!/usr/bin/python3
"""A program of the training school: writes, waits for the projection, reads.

PGHOST and so on say where to connect to.
"""
import threading

import psycopg2


def show(text):
    print("[client] " + text, flush=True)


class Runner(threading.Thread):
    """Runs the projections of the database, in the background, until stop()."""

    def __init__(self):
        super().__init__()
        self.stopped = threading.Event()

    def run(self):
        conn = psycopg2.connect("")
        while not self.stopped.wait(0.1):
            with conn, conn.cursor() as cursor:
                cursor.execute("SELECT run_projections()")
        conn.close()

    def stop(self):
        self.stopped.set()
        self.join()


class TrainingSchool:
    """The application; all its data are in the database."""

    def __init__(self, conn):
        self.conn = conn

    def call(self, query, *arguments):
        with self.conn, self.conn.cursor() as cursor:
            cursor.execute(query, arguments)
            return cursor.fetchone()

    def register(self, name):
        return self.call("SELECT register_dog(%s)", name)[0]

    def add_trick(self, name, trick):
        return self.call("SELECT add_trick(%s, %s)", name, trick)[0]

    def details(self, name):
        return self.call("SELECT dog_details(%s)", name)[0]

    def counts(self, position):
        """Dogs and tricks, including the event at this position."""
        if not self.call("SELECT ewait_projection('school-counts', %s, '30 seconds')", position)[0]:
            raise TimeoutError("the projection does not catch up")
        return self.call("SELECT dogs, tricks FROM school_counts")


def train(school):
    dogs, tricks = school.counts(school.add_trick("Fido", "sit and stay"))
    show(f"after one trick: {dogs} dog, {tricks} tricks")

    after = school.counts(school.add_trick("Fido", "jump hoop"))
    show(f"after another: {after[0]} dog, {after[1]} tricks")
    assert after == (dogs, tricks + 1), after

    school.register("Rex")
    after = school.counts(school.add_trick("Rex", "sit"))
    show(f"after Rex came and learned to sit: {after[0]} dogs, {after[1]} tricks")
    assert after == (dogs + 1, tricks + 2), after

    show("Fido can " + ", ".join(school.details("Fido")["tricks"]))


def main():
    runner = Runner()
    runner.start()
    try:
        train(TrainingSchool(psycopg2.connect("")))
    finally:
        runner.stop()


main()
