"""The operations whose instructions are counted: ours beside the bare statement, on the same events.

A new operation is one Series in operations(), or one Difference.
"""

from dataclasses import dataclass

from .cluster import SQL
from .events import BATCH, NAME
from .rows import Dataset

# The numbers of streams are multiples of it, so that a stream has one leaf of the bare table, and of 100.
LEAVES = 32
DATASETS = {
    "short": Dataset(1_600, 10, facts=True, setup="counted"),
    "read": Dataset(800, 100, facts=True, setup="counted"),
    "long": Dataset(1, setup="long"),
    "tagged": Dataset(200, 100, setup="tagged", tagged=True),
}
EVENT = """event.global_position, event.partition_id, event.partition_sequence, event.stream_id, event.stream_version,
    event.event_id, event.event_name, event."timestamp", event.partition_key, event.transaction_id, event.metadata,
    event.payload, event.payload_bytes, event.tags"""


@dataclass(frozen=True)
class Side:
    """What one side executes for an operation: statements of bench/sql or SQL texts, one after the other."""

    contender: str
    statements: tuple

    def texts(self, page=None):
        """The statements without what is meant for pgbench; page: this number of events instead of 1000."""
        for statement in self.statements:
            text = (SQL / statement).read_text() if statement.endswith(".sql") else statement
            lines = [line for line in text.splitlines() if not line.startswith(("\\", "--"))]
            text = "\n".join(lines).strip().rstrip(";")
            yield text.replace("1000", str(page)) if page else text


@dataclass(frozen=True)
class Series:
    """An operation that is executed again and again on one data set.

    values: takes the number of the execution, a random generator with a fixed seed and the facts of the data set;
        returns the variables of the statements.
    count: executions that are counted; before them come others that are not, so that plans are made and pages read:
        the same ones if `again`, else `warm` others.
    returns: what "count" must be in the answer of each execution. appends: events that each execution adds.
    reads: columns that the first statement returns. They are turned into text, as they are for a client.
    """

    name: str
    title: str
    dataset: str
    ours: Side
    bare: Side
    values: object
    count: int
    warm: int = 0
    again: bool = False
    returns: int = None
    appends: int = 0
    reads: str = ""
    page: int = None

    def statements(self, side):
        """The texts of one side; the rows of a read are turned into text and counted there, nothing is printed."""
        texts = list(side.texts(self.page))
        if self.reads:
            texts[0] = f"SELECT count(concat({self.reads})) FROM (\n{texts[0]}\n) AS event"
        return texts


@dataclass(frozen=True)
class Difference:
    """What one more step costs: the difference of two series that differ in their number of steps."""

    name: str
    title: str
    more: str
    less: str
    steps: int


def ours(*statements):
    """The side of sierra_es."""
    return Side("sierra", statements)


def bare(*statements):
    """The side of the equal table."""
    return Side("bare", statements)


def flat(*statements):
    """The side of one unpartitioned table."""
    return Side("flat", statements)


def some_stream(number, random, facts):
    """A stream of the data set."""
    return stream(random.randrange(int(facts["streams"])))


def busy_stream(number, random, facts):
    """A stream of the data set, but not one of those of next_stream()."""
    return stream(random.randrange(1_000, int(facts["streams"])))


def next_stream(number, random, facts):
    """One stream after the other, so that each has the version that it was filled with."""
    return {**stream(number), "version": DATASETS["short"].versions - 1}


def new_stream(number, random, facts):
    """A stream that does not exist yet."""
    return stream(int(facts["streams"]) + number)


def new_tag(number, random, facts):
    """A stream of the data set, and a tag that does not exist yet."""
    return {**busy_stream(number, random, facts), "tag": number}


def new_batch(number, random, facts):
    """Streams of a batch that do not exist yet."""
    return stream(1_000_000 + number)


def stream(number):
    """The variables that name a stream and its leaf of the bare table."""
    return {"n": number, "leaf": number % LEAVES}


def some_sequence(number, random, facts):
    """A page somewhere in a partition."""
    return {"partition": facts.get("partition"),
            "from_sequence": random.randrange(int(facts["partition_events"]) - 999)}


def some_position(page):
    """A page somewhere in the store."""
    def values(number, random, facts):
        first, last = int(facts["first_position"]), int(facts["last_position"])
        return {"after": random.randrange(first - 1, last - page)}

    return values


def next_page(page):
    """One page after the other, and what is acknowledged of it."""
    def values(number, random, facts):
        after = int(facts["first_position"]) - 1 + number * page
        return {"after": after, "last": after + page}

    return values


def append_series():
    """One event in a transaction; the bare INSERT is the same for all, and checks no version."""
    insert = bare("bare-append.sql")
    append = f"SELECT (eappend('order-' || :n, '{NAME}', :payload, :metadata, %s)).stream_version"
    yield Series("append", "eappend, any version", "short", ours("sierra-append.sql"), insert, busy_stream,
                 600, warm=200, appends=1)
    yield Series("append-expected", "eappend, expected version", "short", ours(append % ":version::bigint"),
                 insert, next_stream, 600, warm=200, appends=1)
    yield Series("append-new", "eappend, new stream", "short", ours(append % "'empty'"), insert, new_stream,
                 600, warm=200, appends=1)
    yield Series("append-condition", "eappend, a tag and a condition", "short", ours("sierra-append-condition.sql"),
                 insert, new_tag, 600, warm=200, appends=1)


def batch_series():
    """A hundred events in a call, or in a statement with a call for each."""
    for what, title in (("stream", "one new stream"), ("streams", "100 new streams")):
        for name, function in (("batch", "emappend"), ("each", "eappend_each")):
            yield Series(f"{name}-{what}", f"{function} of {BATCH}, {title}", "short", ours(f"sierra-{name}-{what}.sql"),
                         bare(f"bare-batch-{what}.sql"), new_batch, 30, warm=10, appends=BATCH)


def read_series():
    """Streams, partitions and everything, in pages."""
    for dataset, events in (("short", 10), ("read", 100)):
        yield Series(f"scan-{events}", f"escan of {events}", dataset, ours("sierra-scan.sql"), bare("bare-scan.sql"),
                     some_stream, 50, again=True, returns=events, reads=EVENT)
    yield Series("partition-1000", "epscan of 1000", "read", ours("sierra-partition-scan.sql"),
                 bare("bare-partition-scan.sql"), some_sequence, 6, again=True, returns=1000, reads=EVENT)
    for page, count in ((100, 30), (1000, 6)):
        yield Series(f"all-{page}", f"eall of {page}", "read", ours("sierra-all-random.sql"),
                     flat("flat-all-random.sql"), some_position(page), count, again=True, returns=page, reads=EVENT,
                     page=page)


def query_series():
    """A hundred events with the same tag, which are far from each other."""
    yield Series("query-100", "equery of 100", "tagged", ours("sierra-query-tag.sql"), flat("flat-query-tag.sql"),
                 some_stream, 50, again=True, returns=100, reads=EVENT)


def follow_series():
    """A subscription that reads a page, then acknowledges it."""
    for page, count in ((100, 30), (1000, 8)):
        yield Series(f"next-{page}", f"enext of {page}, eack", "read",
                     ours(f"SELECT * FROM enext('bench-{page}', {page})", f"SELECT eack('bench-{page}', :last)"),
                     flat("flat-all-random.sql", f"UPDATE cursors SET position = :last WHERE name = 'bench-{page}'"),
                     next_page(page), count, warm=5, returns=page, reads=EVENT, page=page)


def state_series():
    """States of aggregates."""
    for dataset, events in (("short", 10), ("read", 100)):
        yield Series(f"load-{events}", f"eload, {events} events", dataset,
                     ours("SELECT * FROM eload('none', 'order-' || :n)"), bare("bare-load.sql"),
                     some_stream, 40, again=True, returns=1, reads="state, version")
    yield Series("load-snapshot", "eload, snapshot", "long", ours("sierra-load.sql"), bare("bare-load-snapshot.sql"),
                 lambda number, random, facts: stream(0), 400, again=True, returns=1, reads="state, version")


def operations():
    """All of them in the order of the table. Those of one data set are counted in this order, appends last."""
    return [*append_series(), *batch_series(), *read_series(), *query_series(), *follow_series(), *state_series(),
            Difference("fold-step", "eload, one more event", "load-100", "load-10", 90)]
