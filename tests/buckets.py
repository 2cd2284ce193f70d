"""An S3 service on the loopback for tests: moto's server, in this process or in one that can be killed."""

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
