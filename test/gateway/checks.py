"""Checks that print a line each; test/lib/SierraGateway.pm makes tests of them."""
import sys
import traceback


class Checks:
    """Counts checks.  The last line is "done N": without it, the program has died."""

    def __init__(self):
        self.count = 0

    def ok(self, condition, name, found=""):
        self.count += 1
        text = name if condition else f"{name}, but: {found!r}"
        print(("ok " if condition else "not ok ") + text.replace("\n", "\\n"), flush=True)

    def equal(self, found, expected, name):
        self.ok(found == expected and type(found) is type(expected), name, found)

    def contains(self, text, part, name):
        self.ok(part in str(text), name, text)

    def run(self, *parts):
        """Runs functions; an exception fails one of them, and the next ones run."""
        for part in parts:
            try:
                part()
            except Exception as error:  # pylint: disable=broad-except
                traceback.print_exc()
                self.ok(False, f"{part.__name__} runs to its end", error)
        print(f"done {self.count}", flush=True)
        sys.stdout.flush()
