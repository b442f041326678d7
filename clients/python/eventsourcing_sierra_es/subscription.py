"""Subscriptions: what waits until the store has something new."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol

from .compat import ListenNotifySubscription

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from threading import Event

    from .recorders import SierraApplicationRecorder

# The longest time that a subscription takes to stop.
WAIT_SECONDS = 0.2


class WaitsForHead(Protocol):
    def wait_for_head(self, head: int, seconds: float) -> int: ...


if TYPE_CHECKING:

    class Subscription(AbstractContextManager[Any]):
        """What the library's two kinds of subscription have in common."""

        _has_been_stopped: bool
        _has_been_notified: Event
        _thread_error: BaseException | None

        def stop(self) -> None: ...
else:
    Subscription = object


class HeadWatcher(Thread):
    """Lets a subscription read whenever the store can be read further than before.

    It needs neither LISTEN nor a session of its own, so it works through a pooler, and on a
    server that sends no notifications.
    """

    def __init__(self, recorder: WaitsForHead, subscription: Subscription) -> None:
        super().__init__(daemon=True)
        self.recorder = recorder
        self.subscription = subscription

    def run(self) -> None:
        subscription = self.subscription
        head = -1
        try:
            while not subscription._has_been_stopped and not subscription._thread_error:
                reached = self.recorder.wait_for_head(head, WAIT_SECONDS)
                if reached != head:
                    head = reached
                    subscription._has_been_notified.set()
        except BaseException as e:
            if subscription._thread_error is None:
                subscription._thread_error = e
            subscription.stop()


class WatchesHead(Subscription):
    """Before one of the library's kinds of subscription: it has a watcher while it is there."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._watcher = HeadWatcher(kwargs["recorder"], self)
        self._watcher.start()

    def __exit__(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().__exit__(*args, **kwargs)
        finally:
            self._watcher.join()


class SierraSubscription(WatchesHead, ListenNotifySubscription["SierraApplicationRecorder"]):
    pass
