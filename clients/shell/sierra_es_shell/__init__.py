"""sierra: a tool at the shell for the event store sierra_es."""

__version__ = "1.0.0"
