"""Stores the events of applications in sierra_es, an event store inside PostgreSQL.

The library looks for the one class in this module that is a factory of the kind that an
application needs: SierraFactory, or SierraDCBFactory for "dynamic consistency boundaries".
"""

from .datastore import SierraDatastore
from .dcb import SierraDCBFactory, SierraDCBRecorder, SierraDCBSubscription
from .factory import SierraFactory
from .recorders import SierraApplicationRecorder, SierraProcessRecorder
from .subscription import SierraSubscription

__version__ = "0.1.0"

__all__ = [
    "SierraApplicationRecorder",
    "SierraDCBFactory",
    "SierraDCBRecorder",
    "SierraDCBSubscription",
    "SierraDatastore",
    "SierraFactory",
    "SierraProcessRecorder",
    "SierraSubscription",
]
