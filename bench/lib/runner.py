"""Runs rows: prepares data sets, alternates between contenders, keeps the best of the rounds."""

import sys
from dataclasses import dataclass, field, replace
from statistics import median

from .cluster import BenchError
from .contenders import CONTENDERS
from .loads import Script, Setting
from .rows import LatencyRow, SizeRow, datasets


@dataclass
class Result:
    """All samples of one load in one row."""

    load: object
    samples: list = field(default_factory=list)
    times: list = field(default_factory=list)
    less_is_better: bool = False

    @property
    def best(self):
        """The best figure; the load is the same each time, the noise only takes away."""
        return min(self.samples) if self.less_is_better else max(self.samples)

    def percentile(self, percent):
        """The same load with a percentile of the times of each round as its samples."""
        ranked = [sorted(times) for times in self.times]
        samples = [times[min(len(times) - 1, len(times) * percent // 100)] for times in ranked]
        return Result(self.load, samples, less_is_better=True)


@dataclass
class Figure:
    """One line of the table: a subject beside one rival. Above 1 is always better for the subject."""

    row: object
    subject: Result
    rival: Result
    bar: float = None

    @property
    def ratio(self):
        """Rate by rate; the other way round where less is better."""
        if self.row.less_is_better:
            return self.rival.best / self.subject.best
        return self.subject.best / self.rival.best

    @property
    def by_round(self):
        """The same ratio for each round: neighbours in time, so their spread shows the noise."""
        ratios = [a / b for a, b in zip(self.subject.samples, self.rival.samples)]
        return [1 / ratio for ratio in ratios] if self.row.less_is_better else ratios

    @property
    def verdict(self):
        """pass or MISS where there is a bar."""
        if self.bar is None:
            return ""
        return "pass" if round(self.ratio, 3) >= self.bar else "MISS"


class Runner:
    """Holds the cluster, the contenders that were installed, and the options of the run."""

    def __init__(self, cluster, options):
        self.cluster = cluster
        self.options = options
        self.datasets = datasets(options.big, options.read_streams)
        self.contenders = {}
        self.left_out = {}
        self.runs = 0

    def contender(self, key):
        """The contender, installed at first use."""
        if key not in self.contenders:
            say(f"installing {CONTENDERS[key].label}")
            contender = CONTENDERS[key](self.cluster)
            contender.install()
            self.contenders[key] = contender
        return self.contenders[key]

    def is_present(self, load):
        """Whether a load takes part; one whose contender is not installed is left out, and the report says so."""
        key = load.contender
        if key in self.options.skip:
            return False
        reason = CONTENDERS[key].missing()
        if reason and key not in self.left_out:
            self.left_out[key] = f"{CONTENDERS[key].label} is left out: {reason}"
            say(self.left_out[key])
        return not reason

    def figures(self, row):
        """Measure a row; return its figures, or a lone one if the subject is left out."""
        skipped = self.options.skip
        rivals = [rival for rival in row.rivals if self.is_present(rival.load)]
        loads = [rival.load for rival in rivals]
        subject = None
        if row.subject.contender not in skipped:
            if not self.is_present(row.subject):
                return []
            subject = Result(self.named(row.subject))
        results = [Result(self.named(load)) for load in loads]
        everybody = ([subject] if subject else []) + results
        if not everybody:
            return []
        measure = self.measure_size if isinstance(row, SizeRow) else self.measure_rate
        measure(row, everybody)
        if not isinstance(row, LatencyRow):
            return self.compared(row, subject, results, rivals)
        return [figure for percent in row.percentiles
                for figure in self.compared(replace(row, name=f"{row.name}-p{percent}"),
                                            subject and subject.percentile(percent),
                                            [result.percentile(percent) for result in results], rivals)]

    def compared(self, row, subject, results, rivals):
        """The subject beside each rival."""
        if not subject:
            return [Figure(row, None, result) for result in results]
        if not results:
            return [Figure(row, subject, None)]
        usual = not self.options.clients
        return [Figure(row, subject, result, rival.bar if usual else None)
                for result, rival in zip(results, rivals)]

    def named(self, load):
        """The load with the size of the big store in its label."""
        return replace(load, label=load.label.format(big=short(self.options.big)))

    def measure_rate(self, row, results):
        """A B A B ...: every round runs every load once."""
        places = [[self.place(result.load, number) for number in range(self.options.rounds)]
                  for result in results]
        for result, (place, *_) in zip(results, places):
            if result.load.returns:
                result.load.check(*place)
        appended = {}
        for number in range(self.options.rounds):
            for result, rounds in zip(results, places):
                sample = self.run(result.load, rounds[number], row)
                result.samples.append(sample.rate)
                result.times.append(sample.times)
                say(f"{row.key}: {result.load.label} {told(row, sample)}")
                if result.load.appends:
                    self.expect_stored(appended, rounds[number], sample)
        self.check_stored(appended)

    def place(self, load, number):
        """Contender, data set and its variables for one round of a load."""
        contender = self.contender(load.contender)
        name = load.dataset.format(round=number)
        if name not in contender.datasets:
            say(f"preparing {contender.label}, {name}")
        return contender, name, contender.prepare(name, self.datasets[name.split("_")[0]])

    def clients(self, row):
        """Number of clients of a row."""
        return self.options.clients or row.clients

    def run(self, load, place, row, transactions=0):
        """One run of one load."""
        contender, name, facts = place
        self.runs += 1
        setting = Setting(self.clients(row), row.sync, self.options.seconds, self.runs, transactions)
        return load.run(contender, name, facts, setting)

    def expect_stored(self, appended, place, sample):
        """Remember how many events a data set must hold."""
        contender, name, _ = place
        contender.stored[name] += sample.units
        appended[contender.key, name] = appended.get((contender.key, name), 0) + sample.uncounted

    def check_stored(self, appended):
        """An append that was counted but is not there makes a rate look fine: that is an error."""
        for (key, name), uncounted in appended.items():
            contender = self.contenders[key]
            expected, found = contender.stored[name], contender.count(name)
            if not expected <= found <= expected + uncounted:
                raise BenchError(f"{key}, {name}: {expected} events were acknowledged, {found} are stored")
            contender.stored[name] = found

    def measure_size(self, row, results):
        """Append the same number of events everywhere, then weigh."""
        for result in results:
            place = self.place(result.load, 0)
            contender, name, _ = place
            empty = contender.bytes(name)
            appended = {}
            sample = self.run(result.load, place, row, self.options.size_events // self.clients(row))
            self.expect_stored(appended, place, sample)
            self.check_stored(appended)
            result.samples.append((contender.bytes(name) - empty) / sample.units)
            say(f"{row.key}: {result.load.label} {result.best:.0f} {row.unit}")


def told(row, sample):
    """A sample as a line of progress: a rate, or the median of times."""
    figure = f"{median(sample.times):.2f}" if isinstance(row, LatencyRow) else f"{sample.rate:.0f}"
    return f"{figure} {row.unit}"


def short(number):
    """1000000 as 1M, 50000 as 50k."""
    for size, letter in ((10**6, "M"), (10**3, "k")):
        if number % size == 0:
            return f"{number // size}{letter}"
    return str(number)


def say(text):
    """Progress goes to stderr, so that stdout holds only the table."""
    print(text, file=sys.stderr, flush=True)
