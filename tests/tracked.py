"""What trackers' systems hold of a project's runs, read back with their own clients or from their own files."""

import base64
import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from receivers import Receiver, checked_event, checked_spans
from wandb_server import WandbServer

Seen = dict[str, dict[str, Any]]
"""By stage ("" is the whole run): status, params, metrics, cells, words, data, files, as far as a system has them."""


class Mlflow:
    """Looks into MLflow's database with its own client."""

    name = "mlflow"
    holds = frozenset({"whole", "data", "files", "params", "words", "cells"})

    def __init__(self, root: Path) -> None:
        self.wrong = {"url": "sqlite:///mlflow.db"}
        self.settings = {"uri": "sqlite:///mlflow.db"}
        self.broken = {"uri": "http://127.0.0.1:9"}
        self._uri = f"sqlite:///{root}/mlflow.db"

    def runs(self) -> Seen:
        from mlflow.tracking import MlflowClient

        client = MlflowClient(self._uri)
        experiments = [one.experiment_id for one in client.search_experiments() if one.name == "flights"]
        return {
            one.data.tags.get("nbpipeline.stage", ""): {
                "status": {"FINISHED": "good", "RUNNING": "running"}.get(one.info.status, "bad"),
                "params": one.data.params,
                "metrics": one.data.metrics,
                "words": json.dumps(one.data.tags),
                "cells": [
                    (found.step, found.value)
                    for found in client.get_metric_history(one.info.run_id, "nbpipeline.cell_seconds")
                ],
                "data": sorted(
                    (used.dataset.name, used.dataset.digest, used.tags[0].value)
                    for used in one.inputs.dataset_inputs
                ),
                "files": sorted(found.path for found in client.list_artifacts(one.info.run_id)),
            }
            for one in client.search_runs(experiments)
        }


class Tensorboard:
    """Reads event files, with the checksums that stand in them left unread."""

    name = "tensorboard"
    holds = frozenset({"whole", "params", "words", "cells"})

    def __init__(self, root: Path) -> None:
        self.wrong = {"foler": "tensorboard"}
        self.settings: dict[str, str] = {}
        self.broken = {"folder": "log"}  # a file of the run stands there
        self.folder = root / "tensorboard"

    def runs(self) -> Seen:
        found: Seen = {}
        for file in sorted(self.folder.glob("runs/*/**/events.out.tfevents.*")):
            stage = "" if file.parent.parent.name == "runs" else file.parent.name
            assert stage not in found, "an event file too many"
            found[stage] = self._stage([*events(file)])
        return found

    def over_runs(self, stage: str) -> list[tuple[int, str, float]]:
        return [
            (one.step, value.tag, value.simple_value)
            for file in sorted(self.folder.glob(f"stages/{stage}/*"))
            for one in events(file)
            for value in one.summary.value
        ]

    def _stage(self, found: list[Any]) -> dict[str, Any]:
        values = [(one, value) for one in found for value in one.summary.value]
        scalars = [
            (one.step, dotted(v.tag), v.simple_value)
            for one, v in values
            if v.WhichOneof("value") == "simple_value"
        ]
        texts = {
            v.tag.split("/")[1]: v.tensor.string_val[0].decode()
            for _, v in values
            if v.tag.endswith("text_summary")
        }
        params, ends = {}, []
        for _, value in values:
            if value.metadata.plugin_data.plugin_name == "hparams":
                data = _hparams(value.metadata.plugin_data.content)
                params |= {name: _text_of(given) for name, given in data.session_start_info.hparams.items()}
                ends += [data.session_end_info.status] if value.tag.endswith("end_info") else []
        good = {"succeeded", "restored"}
        assert ends in ([], [1 if texts["status"] in good else 2]), "hparams and text tell otherwise"
        return {
            "status": "good" if texts["status"] in good else "bad",
            "params": params,
            "metrics": {name: value for _, name, value in scalars if ".cell_" not in name},
            "cells": [(step, value) for step, name, value in scalars if name == "nbpipeline.cell_seconds"],
            "words": json.dumps(texts),
            "images": {
                v.tag: (v.image.width, v.image.height, v.image.encoded_image_string)
                for _, v in values
                if v.tag.startswith("plots/")
            },
        }


def events(file: Path) -> Iterator[Any]:
    """Read an event file: records of length, checksum, bytes, checksum."""
    from tensorboardX.proto.event_pb2 import Event

    data, place = file.read_bytes(), 0
    while place < len(data):
        (length,) = struct.unpack_from("<Q", data, place)
        yield Event.FromString(data[place + 12 : place + 12 + length])
        place += 16 + length
    assert place == len(data), "an event is cut short"


def _hparams(content: bytes) -> Any:
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    return HParamsPluginData.FromString(content)


def _text_of(given: Any) -> str:
    value = getattr(given, given.WhichOneof("kind"))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


class Wandb:
    """Reads what stands in W&B's offline runs."""

    name = "wandb"
    holds = frozenset({"data", "files", "params", "words", "cells"})

    def __init__(self, root: Path) -> None:
        self.wrong = {"mode": "onlin"}
        self.settings: dict[str, str] = {}
        self.broken = {"mode": "online", "base_url": "http://127.0.0.1:9"}
        self.folder = root / "wandb"

    def runs(self) -> Seen:
        files = sorted(self.folder.glob("offline-run-*/*.wandb"))
        found = [self._run([*records(file)]) for file in files]
        assert len({stage for stage, _ in found}) == len(found), "a run too many"
        return dict(found)

    def _run(self, found: list[Any]) -> tuple[str, dict[str, Any]]:
        (run,) = (one.run for one in found if one.HasField("run"))
        config = {one.key: json.loads(one.value_json) for one in run.config.update}
        history = [_items(one.history.item) for one in found if one.HasField("history")]
        summary: dict[str, Any] = {}
        for row in history:
            summary |= row
        for one in (one for one in found if one.HasField("summary")):
            summary |= _items(one.summary.update)
        exits = [one.exit.exit_code for one in found if one.HasField("exit")]
        artifacts = {one.artifact.name: one.artifact for one in found if one.HasField("artifact")}
        paths = {
            name: sorted(entry.path for entry in artifact.manifest.contents)
            for name, artifact in artifacts.items()
        }
        return run.job_type, wandb_stage(config, history, summary, exits[-1], paths)


class WandbOnline:
    """Looks into a server that stands in for W&B's."""

    name = "wandb"
    holds = frozenset({"data", "files", "params", "words", "cells"})

    def __init__(self, root: Path, server: WandbServer) -> None:
        self.wrong = {"base_url": "example"}
        self.settings = {"mode": "online", "base_url": server.url}
        self.broken = {"mode": "online", "base_url": "http://127.0.0.1:9"}
        self.server = server

    def runs(self) -> Seen:
        return {held.job_type: self._run(name) for name, held in self.server.runs.items()}

    def _run(self, name: str) -> dict[str, Any]:
        held = self.server.runs[name]
        assert all(one.get("committed") for one in held.artifacts.values())
        paths = {one: sorted(self.server.manifest(name, one)) for one in held.artifacts}
        return wandb_stage(held.config, held.history, held.summary, held.exit_code, paths)


def wandb_stage(
    config: Any, history: Any, summary: Any, code: int | None, paths: dict[str, list[str]]
) -> dict[str, Any]:
    about = config["nbpipeline"]
    words = {key: value for key, value in summary.items() if isinstance(value, str)}
    return {
        "status": "good" if code == 0 else "bad",
        "params": {
            name: str(value) for name, value in config.items() if name not in {"nbpipeline", "_wandb"}
        },
        "metrics": {
            dotted(key): value
            for key, value in summary.items()
            if isinstance(value, int | float) and not key.startswith("_")
        },
        "cells": [
            (row["nbpipeline/cell"], row["nbpipeline/cell_seconds"])
            for row in history
            if "nbpipeline/cell" in row
        ],
        "words": json.dumps([words, about]),
        "data": sorted(
            (path, digest, side.rstrip("s"))
            for side in ("inputs", "outputs")
            for path, digest in about.get(side, {}).items()
        ),
        "files": sorted(path for name, held in paths.items() if name.endswith("-record") for path in held),
        "artifacts": paths,
        "images": {key: value for key, value in summary.items() if key.startswith("plots/")},
    }


def _items(items: Any) -> dict[str, Any]:
    return {one.key or one.nested_key[0]: json.loads(one.value_json) for one in items}


def records(file: Path) -> Iterator[Any]:
    """Read a .wandb file: LevelDB's log format behind seven bytes of W&B's own."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, held = file.read_bytes(), 7, b""
    assert data[:4] == b":W&B"
    while place + 7 <= len(data):
        left = 32_768 - place % 32_768
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack_from("<HB", data, place + 4)
        held += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in {1, 4}:
            yield Record.FromString(held)
            held = b""


def dotted(name: str) -> str:
    return name.replace("nbpipeline/", "nbpipeline.")


PICTURE = base64.b64encode(
    base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )
).decode()
"""A PNG of one pixel, as a notebook holds it."""


class OpenLineage:
    """Reads the file of events, each held against the client's own classes."""

    name = "openlineage"
    holds = frozenset({"whole", "data", "params", "words"})

    def __init__(self, root: Path) -> None:
        self.wrong = {"uri": "http://127.0.0.1:5000"}
        self.settings: dict[str, str] = {}
        self.broken = {"url": "http://127.0.0.1:9"}
        self._root = root

    def events(self) -> list[dict[str, Any]]:
        text = (self._root / "openlineage.jsonl").read_text()
        return [checked_event(json.loads(line)) for line in text.splitlines()]

    def runs(self) -> Seen:
        found: Seen = {}
        keys = [(one["run"]["runId"], one["eventType"]) for one in self.events()]
        assert len(set(keys)) == len(keys), "an event twice"
        for one in self.events():
            stage = one["job"]["name"].removeprefix("flights").removeprefix(".")
            about = one["run"]["facets"]["nbpipeline"]
            given_to = one["run"]["facets"].get("executionParameters", {})
            ends = {"START": "running", "COMPLETE": "good"}
            found[stage] = {
                "status": ends.get(one["eventType"], "bad"),
                "params": {given["key"]: given["value"] for given in given_to.get("parameters", [])},
                "metrics": {
                    "nbpipeline.seconds": about.get("seconds"),
                    "nbpipeline.peak_memory_mb": (about.get("peak_memory") or 0) / 1e6,
                    **{name: value for name, value in about.get("metrics", {}).items() if _is_number(value)},
                },
                "words": json.dumps({"metrics": json.dumps(about.get("metrics")), "event": one}),
                "data": sorted(
                    (self._path(data), data["facets"]["version"]["datasetVersion"], side)
                    for side in ("input", "output")
                    for data in one[f"{side}s"]
                ),
            }
        return found

    def _path(self, data: dict[str, Any]) -> str:
        if data["namespace"] == "file":
            return str(Path(data["name"]).relative_to(self._root))
        return f"{data['namespace']}/{data['name']}"


class OpenLineageOnline(OpenLineage):
    """Asks the collector instead."""

    def __init__(self, root: Path, server: Receiver) -> None:
        super().__init__(root)
        self.settings = {"url": f"http://{server.address}"}
        self._server = server

    def events(self) -> list[dict[str, Any]]:
        assert self._server.refused == []
        return list(self._server.taken)


class OpenTelemetry:
    """Reads the file of OTLP/JSON, each line held against the protocol's own message."""

    name = "opentelemetry"
    holds = frozenset({"whole", "params", "words", "cells"})

    def __init__(self, root: Path) -> None:
        self.wrong = {"endpoint": "127.0.0.1:4318"}
        self.settings: dict[str, str] = {}
        self.broken = {"endpoint": "http://127.0.0.1:9"}
        self._root = root

    def spans(self) -> list[Any]:
        from google.protobuf.json_format import ParseDict
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        lines = (self._root / "opentelemetry.jsonl").read_text().splitlines()
        requests = [ParseDict(_base64(json.loads(line)), ExportTraceServiceRequest()) for line in lines]
        return [span for one in requests for span in checked_spans(one.SerializeToString())]

    def runs(self) -> Seen:
        spans = self.spans()
        assert len({one.span_id for one in spans}) == len(spans), "a span twice"
        assert len({one.trace_id for one in spans}) <= 1
        top = {one.span_id: one for one in spans if not one.parent_span_id}
        stages = {one.span_id: one for one in spans if one.parent_span_id in top or "cell" not in one.name}
        found: Seen = {}
        for key, one in stages.items():
            about = {given.key.removeprefix("nbpipeline."): _any(given.value) for given in one.attributes}
            metrics = {key[7:]: value for key, value in about.items() if key.startswith("metric.")}
            found["" if key in top else one.name] = {
                "status": {1: "good", 2: "bad"}[one.status.code],
                "params": {key[10:]: _shown(v) for key, v in about.items() if key.startswith("parameter.")},
                "metrics": {
                    "nbpipeline.seconds": about.get("seconds"),
                    "nbpipeline.peak_memory_mb": about.get("peak_memory_bytes", 0) / 1e6,
                    **{name: value for name, value in metrics.items() if _is_number(value)},
                },
                "words": json.dumps(
                    {"metrics": json.dumps(metrics), "all": str(about), "why": str(one.status)}
                ),
                "cells": [
                    (
                        next(_any(a.value) for a in cell.attributes if a.key == "nbpipeline.cell"),
                        round((cell.end_time_unix_nano - cell.start_time_unix_nano) / 1e9, 6),
                    )
                    for cell in spans
                    if cell.parent_span_id == key and key not in top
                ],
            }
        return found


class OpenTelemetryOnline(OpenTelemetry):
    """Asks the collector instead."""

    def __init__(self, root: Path, server: Receiver) -> None:
        super().__init__(root)
        self.settings = {"endpoint": f"http://{server.address}"}
        self._server = server

    def spans(self) -> list[Any]:
        assert self._server.refused == []
        return [span for request in self._server.taken for span in request]


class Prometheus:
    """Reads the file with the client's own parser."""

    name = "prometheus"
    holds = frozenset({"whole"})

    def __init__(self, root: Path) -> None:
        self.wrong = {"file": "nbpipeline.txt"}
        self.settings: dict[str, str] = {}
        self.broken = {"file": "log/x.prom"}  # a file of the run stands there
        self.file = root / "nbpipeline.prom"

    def samples(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        from prometheus_client.parser import text_string_to_metric_families

        found = [
            ((one.name, tuple(sorted((k, v) for k, v in one.labels.items() if k != "pipeline"))), one.value)
            for family in text_string_to_metric_families(self.file.read_text())
            for one in family.samples
        ]
        assert len(dict(found)) == len(found), "a sample twice"
        return dict(found)

    def runs(self) -> Seen:
        found: Seen = {}
        for (name, labels), value in self.samples().items():
            about = dict(labels)
            one = found.setdefault(about.get("stage", ""), {"metrics": {}, "status": "bad"})
            if name.endswith("_status") and value and about["status"] in {"succeeded", "restored"}:
                one["status"] = "good"
            if name == "nbpipeline_stage_metric" and _is_number(value):
                one["metrics"][about["metric"]] = value
            if name == "nbpipeline_stage_duration_seconds":
                one["metrics"]["nbpipeline.seconds"] = value
            if name == "nbpipeline_stage_peak_memory_bytes":
                one["metrics"]["nbpipeline.peak_memory_mb"] = value / 1e6
        return found


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _any(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_any(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)


def _shown(value: Any) -> str:
    """Write a parameter as the others do: what is no plain value is JSON here."""
    return {"null": "None", '["a", "b"]': "['a', 'b']"}.get(value, str(value))


def _base64(data: Any) -> Any:
    """Undo what OTLP/JSON has of its own: ids in hexadecimal."""
    if isinstance(data, list):
        return [_base64(one) for one in data]
    if not isinstance(data, dict):
        return data
    ids = {"traceId", "spanId", "parentSpanId"}
    return {
        key: base64.b64encode(bytes.fromhex(one)).decode() if key in ids else _base64(one)
        for key, one in data.items()
    }
