"""Refuses every connection to a network: imported by conftest.py, and by each Python process that a test starts."""

import socket

_NETWORK = {socket.AF_INET, socket.AF_INET6}


class NetworkUsed(RuntimeError):
    """Something tried to reach a network."""


def _refuse(*args, **kwargs):
    raise NetworkUsed(f"autolv never uses the network, but something asked for {args[:2]}")


class _Guarded(socket.socket):
    def connect(self, address):
        if self.family in _NETWORK:
            _refuse("connect", address)
        super().connect(address)

    def connect_ex(self, address):
        if self.family in _NETWORK:
            _refuse("connect", address)
        return super().connect_ex(address)

    def sendto(self, *args):
        if self.family in _NETWORK:
            _refuse("sendto")
        return super().sendto(*args)


socket.socket = _Guarded
socket.getaddrinfo = _refuse
socket.create_connection = _refuse
