"""Refuses calls where no other thread can run an event loop. Each error names the case and says what to do."""

from __future__ import annotations

import sys
import threading
from typing import Any, Final

from ..errors import ConfigurationError
from .bridge import Bridge

_FALSE: Final = ("", "0", "false", "no", "off")

_PATCHED: Final = (
    "{name} has replaced Python's threads and sockets (monkey patching), so no event loop can run beside the "
    "greenlets; run the service with threads or processes, say gunicorn -k gthread or celery --pool prefork"
)


def running_loop(bridge: Bridge | None) -> ConfigurationError:
    """Returns the refusal of a call in a thread in which an event loop runs.

    Args:
        bridge: The bridge of this process; None: no call was made yet.
    """
    if bridge is not None and bridge.is_here():
        return ConfigurationError(
            "sessionstore.sync was called from the thread of its own event loop, that is from an update function or a "
            "callback, and would wait for itself; read what the function needs before the call"
        )
    return ConfigurationError(
        "sessionstore.sync was called in a thread in which an event loop runs, and would block the loop; in a "
        "coroutine, await the same call of sessionstore (without .sync), or use asyncio.to_thread()"
    )


def shut_down() -> ConfigurationError:
    """Returns the refusal of a call at the end of the interpreter."""
    return ConfigurationError(
        "the interpreter is shutting down, and sessionstore.sync has ended its thread or can start none; make the call "
        "before the program ends; an atexit handler may call if it was registered after the import of "
        "sessionstore.sync, and if the program made a call before"
    )


def check_process(*, ended: bool) -> None:
    """Checks that a thread with an event loop can be started here.

    Args:
        ended: Whether the loop of this process was ended, because the interpreter exits.

    Raises:
        ConfigurationError: No thread can be started, or no loop can run in it.
    """
    if ended or not threading.main_thread().is_alive():
        raise shut_down()
    if _uwsgi_has_no_threads():
        raise ConfigurationError(
            "uWSGI runs no Python threads beside its requests, and sessionstore.sync needs one; start uWSGI with "
            "--enable-threads (and --py-call-uwsgi-fork-hooks)"
        )
    for name, patched in (("gevent", _gevent_patched()), ("eventlet", _eventlet_patched())):
        if patched:
            raise ConfigurationError(_PATCHED.format(name=name))


def _uwsgi_has_no_threads() -> bool:
    # uWSGI loads this module itself. It cannot be imported in any other process.
    uwsgi: Any = sys.modules.get("uwsgi")
    options: dict[str, Any] = getattr(uwsgi, "opt", {})
    return uwsgi is not None and "threads" not in options and not _is_on(options.get("enable-threads", False))


def _is_on(value: object) -> bool:
    # The value of an option is True if none was given, else the text as bytes.
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return text.lower() not in _FALSE


def _gevent_patched() -> bool:
    monkey: Any = sys.modules.get("gevent.monkey")
    return monkey is not None and any(map(monkey.is_module_patched, ("thread", "threading", "socket", "select")))


def _eventlet_patched() -> bool:
    patcher: Any = sys.modules.get("eventlet.patcher")
    return patcher is not None and any(map(patcher.is_monkey_patched, ("thread", "socket", "select")))
