"""Floods of frames by another implementation of HTTP/2, h2 for Python, over mutual TLS (T-P3)."""

import argparse
import socket
import ssl
import time
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, PingAckReceived
from h2.settings import SettingCodes

from client import demand

HEAD = [(":method", "POST"), (":scheme", "https"), (":path", "/watchfire.v1.ExchangeService/PublishStream"),
        (":authority", "localhost"), ("content-type", "application/grpc"), ("te", "trailers")]
TOLD_SECONDS = 5
SPAN_SECONDS = 2
BURST = 100


class Peer:
    """One connection of a member."""

    def __init__(self, address: str, profile: Path) -> None:
        host, port = address.rsplit(":", 1)
        context = ssl.create_default_context(cafile=profile / "ca.pem")
        context.load_cert_chain(profile / "tls.pem", profile / "tls.key")
        context.set_alpn_protocols(["h2"])
        self.socket = context.wrap_socket(socket.create_connection((host, int(port)), timeout=TOLD_SECONDS), server_hostname=host)
        self.h2 = H2Connection(H2Configuration(client_side=True))
        self.h2.initiate_connection()
        self.events: list = []
        self.goaway: ConnectionTerminated | None = None

    def flush(self) -> bool:
        """Sends what is to be sent; whether the connection is there still."""
        self.socket.settimeout(TOLD_SECONDS)
        try:
            self.socket.sendall(self.h2.data_to_send())
            return True
        except OSError:
            return False

    def hear(self, seconds: float) -> None:
        """Takes in what comes for so long, or until the hub says goodbye."""
        deadline = time.monotonic() + seconds
        while self.goaway is None and (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(65536)
            except OSError:
                return
            if not data:
                return
            self.events += self.h2.receive_data(data)
            self.goaway = next((event for event in self.events if isinstance(event, ConnectionTerminated)), None)

    def lives(self) -> bool:
        """Whether a ping is answered."""
        mark = b"still up"
        self.h2.ping(mark)
        self.flush()
        deadline = time.monotonic() + TOLD_SECONDS
        while time.monotonic() < deadline and self.goaway is None:
            if any(isinstance(event, PingAckReceived) and event.ping_data == mark for event in self.events):
                return True
            self.hear(0.05)
        return False


def rapid_reset(peer: Peer) -> None:
    """Streams that are opened and reset at once."""
    sent = time.monotonic()
    while peer.goaway is None and time.monotonic() - sent < TOLD_SECONDS:
        for _stream in range(BURST):
            stream = peer.h2.get_next_available_stream_id()
            peer.h2.send_headers(stream, HEAD)
            peer.h2.reset_stream(stream, ErrorCodes.CANCEL)
        if not peer.flush():
            break
        peer.hear(0.001)
    peer.hear(TOLD_SECONDS)
    waited = time.monotonic() - sent
    demand(peer.goaway is not None and peer.goaway.error_code == ErrorCodes.ENHANCE_YOUR_CALM, f"no word of it: {peer.goaway}")
    print(f"  ok      rapid reset is told to calm down after {1000 * waited:.0f} ms")


def borne(peer: Peer, name: str, write) -> None:
    """What the hub answers, and reads no faster than it does."""
    begun, frames = time.monotonic(), 0
    while time.monotonic() - begun < SPAN_SECONDS:
        for _frame in range(BURST):
            write(peer.h2)
        frames += BURST
        demand(peer.flush(), f"{name}: the connection ended")
        peer.hear(0.001)
    demand(peer.lives(), f"{name}: a ping is not answered: {peer.goaway}")
    print(f"  ok      {frames} frames of {name} are borne")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--profile", required=True, type=Path)
    args = parser.parse_args()
    rapid_reset(Peer(args.address, args.profile))
    borne(Peer(args.address, args.profile), "PING", lambda h2: h2.ping(b"12345678"))
    borne(Peer(args.address, args.profile), "SETTINGS", lambda h2: h2.update_settings({SettingCodes.MAX_FRAME_SIZE: 16384}))
    borne(Peer(args.address, args.profile), "WINDOW_UPDATE", lambda h2: h2.increment_flow_control_window(1))


main()
