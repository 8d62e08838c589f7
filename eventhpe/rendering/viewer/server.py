"""Where the viewer answers: viser's server on the host and the port asked for, and no other."""

from __future__ import annotations

import contextlib
import errno
import io
import ipaddress
import socket
from typing import TYPE_CHECKING

from eventhpe.errors import InputError

if TYPE_CHECKING:
    import viser

LOOPBACK = "127.0.0.1"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach ``host``, as far as its name tells."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def start_server(host: str, port: int) -> viser.ViserServer:
    """A running server without content.

    Args:
        host: an address or a name of this machine.
        port: 0 takes one that is free.

    Raises:
        InputError: viser is not installed, the host is none of this machine's, or the port is
            taken, reserved or none.
    """
    try:
        import viser
    except ImportError as error:
        remedy = 'Run: pip install "eventhpe[viz]"'
        raise InputError("eventhpe view", f"no viewer ({error})", "viser", remedy) from error
    _require_free(host, port)
    with quiet():
        server = viser.ViserServer(host, port, verbose=False)
    if port and server.get_port() != port:  # somebody took it just now, and viser took the next
        stop_server(server)
        raise _taken(port)
    return server


def stop_server(server: viser.ViserServer) -> None:
    """End it, and its threads."""
    with quiet():
        server.stop()


def quiet() -> contextlib.AbstractContextManager[object]:
    """viser prints a box at its start and a line at its end, whatever ``verbose`` says."""
    return contextlib.redirect_stdout(io.StringIO())


def _require_free(host: str, port: int) -> None:
    """viser looks for the next free port without a word, and for a host that is none in vain."""
    if not 0 <= port <= 65535:
        raise InputError("--port", str(port), "1 to 65535, or 0 for any", "Choose another.")
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise _no_host(host) from error
    for family, kind, protocol, _, address in places:
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(address)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise _taken(port) from error
                if error.errno == errno.EACCES:
                    found = f"{port}, which only the administrator may open"
                    raise InputError("--port", found, "1024 or more", "Choose one.") from error
                raise _no_host(host) from error


def _taken(port: int) -> InputError:
    remedy = "Give another with --port, or 0 for any that is free."
    return InputError("--port", f"{port}, which another program uses", "a free port", remedy)


def _no_host(host: str) -> InputError:
    expected = "an address of this machine"
    return InputError("--host", repr(host), expected, f"Leave it out for {LOOPBACK}.")
