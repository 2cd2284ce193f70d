"""An S3 service on the loopback for tests: moto's server, in this process or in one that can be killed."""

import contextlib
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}


class Bucket:
    """A bucket of its own at a service."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.name = f"team-{uuid.uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=self.name)

    @property
    def client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=KEYS["AWS_DEFAULT_REGION"],
        )

    @property
    def url(self) -> str:
        return f"s3://{self.name}/flights"

    def keys(self, prefix: str = "") -> list[str]:
        found = self.client.list_objects_v2(Bucket=self.name, Prefix=f"flights/{prefix}").get("Contents", [])
        return [one["Key"].removeprefix("flights/") for one in found]

    def read(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=self.name, Key=f"flights/{key}")["Body"].read()
        return data

    def write(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=f"flights/{key}", Body=data)


@contextmanager
def service() -> Iterator[str]:
    """Give the address of a service that lasts as long as the block."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()


class Wire:
    """A way to a service that can be cut, or held, after some bytes from the client; told what passes."""

    def __init__(self, endpoint: str) -> None:
        host, port = endpoint.removeprefix("http://").split(":")
        self._target = (host, int(port))
        self._door = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._door.getsockname()[1]}"
        self.passed = 0
        """Bytes from the client that went through."""
        self.limit: int | None = None
        """So many bytes go through in all; then the way is shut."""
        self.holds = False
        """Shut by silence, not by hanging up."""
        self.reached = threading.Event()
        """The limit was met."""
        self._open = True
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._open = False
        for one in (self._door, *self._ends):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while self._open:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            self._ends.append(client)
            if self._shut():
                continue
            service = socket.create_connection(self._target)
            self._ends.append(service)
            for pair in ((client, service, True), (service, client, False)):
                threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _shut(self) -> bool:
        if self.limit is None or self.passed < self.limit:
            return False
        self.reached.set()
        if not self.holds:
            for one in self._ends:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        return True

    def _carry(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if counted:
                    self.passed += len(data)
                if self._shut():
                    return
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
