"""Real HTTP servers on loopback that stand where a collector of events, of spans, a chat would, and refuse what is wrong."""

import gzip
import json
import threading
import types
import typing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attr


class Receiver:
    """What one server has received, and how it answers."""

    def __init__(self, path: str, take: Callable[[bytes], Any]) -> None:
        self.path = path
        self.taken: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.refused: list[str] = []
        self.status: int | None = None
        """Answered to everything, where it is set."""
        self.key = ""
        """Wanted as a bearer, where it is set."""
        self.address = ""
        self._take = take

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Take a request, or refuse it."""
        if self.status is not None:
            return self.status
        if self.key and headers.get("authorization") != f"Bearer {self.key}":
            return 401
        if path.partition("?")[0] != self.path:
            return 404
        try:
            found = self._take(gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body)
        except (ValueError, TypeError, KeyError) as error:
            self.refused.append(f"{type(error).__name__}: {error}")
            return 422
        self.headers.append(headers)
        self.taken.append(found)
        return 201 if "lineage" in path else 200


@contextmanager
def served(path: str, take: Callable[[bytes], Any]) -> Iterator[Receiver]:
    """Serve on a free port of loopback while the block lasts."""
    receiver = Receiver(path, take)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            status = receiver.answer(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    receiver.address = f"127.0.0.1:{server.server_port}"
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# --- OpenLineage -------------------------------------------------------------------------------


def lineage_collector():
    """Answer as Marquez does, and refuse what the official client's classes do not hold."""
    return served("/api/v1/lineage", lambda body: checked_event(json.loads(body)))


def checked_event(event: dict[str, Any]) -> dict[str, Any]:
    """Give the event if the client's own classes hold all of it. Raises ValueError, TypeError, KeyError."""
    from openlineage.client import event_v2

    data = {key: value for key, value in event.items() if key != "schemaURL"}
    if event["schemaURL"] != event_v2.RunEvent._get_schema():
        raise ValueError(event["schemaURL"])
    structured(event_v2.RunEvent, {**data, "eventType": event_v2.RunState(data["eventType"])})
    for facets in _facets_in(event):
        for facet in facets.values():
            _checked_facet(facet)
    return event


def _facets_in(data: Any) -> Iterator[dict[str, Any]]:
    if isinstance(data, list):
        for one in data:
            yield from _facets_in(one)
    elif isinstance(data, dict):
        for key, one in data.items():
            if key in {"facets", "inputFacets", "outputFacets"}:
                yield one
            elif key != "nbpipeline":
                yield from _facets_in(one)


def _checked_facet(facet: dict[str, Any]) -> None:
    from openlineage.client import facet_v2

    if not facet["_producer"].startswith("urn:nbpipeline:"):
        raise ValueError(facet["_producer"])
    name = facet["_schemaURL"].rpartition("/")[2]
    if name == "RunFacet":  # the own one: any keys
        return
    modules = [one for one in vars(facet_v2).values() if isinstance(one, types.ModuleType)]
    found = {key: kind for one in modules for key, kind in vars(one).items()}[name]
    if found._get_schema() != facet["_schemaURL"]:
        raise ValueError(facet["_schemaURL"])
    structured(found, {key: value for key, value in facet.items() if key not in {"_producer", "_schemaURL"}})


def structured(kind: Any, data: Any) -> Any:
    """Make a value of a type from JSON, strictly: no unknown key, none missing, each of its type."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if kind is typing.Any:
        return data
    if origin in {types.UnionType, typing.Union}:
        return _of_union(inner, data)
    if origin is list:
        if not isinstance(data, list):
            raise TypeError(f"{data!r} is no list")
        return [structured(inner[0], one) for one in data]
    if origin is dict:
        if not isinstance(data, dict):
            raise TypeError(f"{data!r} is no mapping")
        return data
    if attr.has(kind):
        return _of_class(kind, data)
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        raise TypeError(f"{data!r} is no {kind}")
    return data


def _of_union(kinds: tuple[Any, ...], data: Any) -> Any:
    if data is None and type(None) in kinds:
        return None
    (kind,) = [one for one in kinds if one is not type(None)]
    return structured(kind, data)


def _of_class(kind: Any, data: Any) -> Any:
    if not isinstance(data, dict):
        raise TypeError(f"{data!r} is no {kind.__name__}")
    hints = typing.get_type_hints(kind)
    return kind(**{key: structured(hints[key], value) for key, value in data.items()})


# --- OpenTelemetry -----------------------------------------------------------------------------


def span_collector():
    """Answer as an OTLP/HTTP receiver does: it takes protobuf, and refuses spans that are none."""
    return served("/v1/traces", checked_spans)


def checked_spans(body: bytes) -> list[Any]:
    """Decode a request. Raises ValueError."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise ValueError("no protobuf") from error
    found = spans_in(request)
    if not found:
        raise ValueError("no spans")
    for one in found:
        if (len(one.trace_id), len(one.span_id)) != (16, 8) or not one.name:
            raise ValueError(one.name)
        if not 0 < one.start_time_unix_nano <= one.end_time_unix_nano:
            raise ValueError(one.name)
    return found


def spans_in(request: Any) -> list[Any]:
    """List the spans of a request."""
    return [span for top in request.resource_spans for scope in top.scope_spans for span in scope.spans]


# --- alerts ------------------------------------------------------------------------------------


def alert_hook():
    """Take what apprise posts to a `json://` URL."""
    return served("/hook", _checked_alert)


def _checked_alert(body: bytes) -> dict[str, Any]:
    data = json.loads(body)
    if not (data["title"] and data["message"]):
        raise ValueError("an empty alert")
    found: dict[str, Any] = data
    return found
