"""OpenTelemetry: how spans hang together, and what a collector refuses."""

import pytest
import told
from receivers import checked_spans, span_collector

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
from nbpipeline.model.told import CellLog
from nbpipeline.trackers import opentelemetry
from nbpipeline.trackers.opentelemetry_spans import nanoseconds, span_id, trace_id


@pytest.fixture
def collector():
    with span_collector() as receiver:
        yield receiver


def sent(root, collector, *runs, **settings):
    with opentelemetry.open_tracker(
        {"endpoint": f"http://{collector.address}", **settings}, root, "flights", root / "spool"
    ) as tracker:
        for one in runs:
            tracker.send(one)
    return {span.name: span for request in collector.taken for span in request}


def about(span):
    return {one.key: one.value for one in span.attributes}


def test_cells_hang_under_their_stage_and_stages_under_the_run(root, collector):
    run = told.run(told.stage())
    found = sent(root, collector, run)
    whole, stage, cell = found["flights"], found["train"], found["train cell 2"]
    assert {one.trace_id for one in found.values()} == {trace_id(run).to_bytes(16, "big")}
    assert (whole.parent_span_id, stage.parent_span_id, cell.parent_span_id) == (
        b"",
        whole.span_id,
        stage.span_id,
    )
    assert (stage.start_time_unix_nano, stage.end_time_unix_nano) == (1_001_000_000_000, 1_010_000_000_000)
    assert (cell.start_time_unix_nano, cell.end_time_unix_nano) == (1_001_500_000_000, 1_002_000_000_000)
    assert about(cell)["nbpipeline.peak_memory_bytes"].int_value == 10**8
    assert about(stage)["nbpipeline.attempts"].int_value == 1
    assert len(about(stage)["nbpipeline.state"].string_value) == 40
    assert about(stage)["vcs.ref.head.revision"].string_value == "c0ffee"


def test_a_failure_is_an_error_with_its_message(root, collector):
    found = sent(root, collector, told.run(told.failed(), told.stage("late", status="blocked", cells=())))
    assert (found["train"].status.code, found["train"].status.message) == (2, told.ERROR["what"])
    (event,) = found["train"].events
    assert (event.name, event.time_unix_nano) == ("exception", 1_010_000_000_000)
    assert {one.key: one.value.string_value for one in event.attributes} == {
        "exception.type": "cell",
        "exception.message": told.ERROR["what"],
        "nbpipeline.where": told.ERROR["where"],
        "nbpipeline.mend": told.ERROR["mend"],
    }
    assert (found["late"].status.code, found["late"].status.message) == (2, "blocked")
    assert (found["flights"].status.code, found["flights"].status.message) == (
        2,
        f"train: {told.ERROR['what']}",
    )


def test_odd_values_are_attributes_all_the_same(root, collector):
    given = {
        "none": None,
        "list": [1, "a"],
        "big": 1 << 70,
        "flag": True,
        "text": "x" * 10_000,
        "n": float("nan"),
    }
    found = about(sent(root, collector, told.run(told.stage(parameters=given)))["train"])
    held = {key: found[f"nbpipeline.parameter.{key}"] for key in given}
    assert held["none"].string_value == "null"
    assert held["list"].string_value == '[1, "a"]'
    assert held["big"].string_value == str(1 << 70)
    assert held["flag"].bool_value
    assert len(held["text"].string_value) == 6_000
    assert held["n"].double_value != held["n"].double_value


def test_many_stages_go_in_several_requests_and_each_once(root, collector):
    cells = tuple(CellLog(cell=number, finished=1002.0, seconds=0.1) for number in range(99))
    run = told.run(*(told.stage(f"s{number}", cells=cells) for number in range(12)))
    sent(root, collector, run)
    sent(root, collector, run)
    assert [len(one) for one in collector.taken] == [500, 500, 201]


def test_what_was_taken_before_the_collector_went_down_is_not_sent_again(root, collector):
    run = told.run(told.stage("a"), told.stage("b"))
    sent(root, collector, told.run(told.stage("a"), finished=None, status=""))
    collector.status = 503
    with pytest.raises(
        RuntimeError, match=rf"^http://{collector.address}/v1/traces did not take the spans: .+"
    ):
        sent(root, collector, run)
    collector.status = None
    sent(root, collector, run)
    assert [[span.name for span in one] for one in collector.taken] == [
        ["a", "a cell 2"],
        ["b", "b cell 2", "flights"],
    ]


def test_an_endpoint_may_have_its_path(root, collector):
    sent(root, collector, told.run(told.stage()), endpoint=f"http://{collector.address}/v1/traces/")
    assert len(collector.taken) == 1


def test_a_notebook_is_told_its_span(root):
    run = told.run(told.stage())
    with opentelemetry.open_tracker({}, root, "flights", root / "spool") as tracker:
        given = tracker.environment(run, "train")["TRACEPARENT"]
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    context = trace.get_current_span(TraceContextTextMapPropagator().extract({"traceparent": given}))
    found = context.get_span_context()
    assert (found.trace_id, found.span_id) == (trace_id(run), span_id(run, "train"))
    assert found.trace_flags.sampled


def test_times_are_exact_to_the_microsecond():
    assert nanoseconds(1_795_723_660.372053) == 1_795_723_660_372_053_000


def test_control_the_collector_refuses_what_are_no_spans(root, collector):
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans

    from nbpipeline.trackers.opentelemetry_spans import spans_of_run

    good = encode_spans(spans_of_run(told.run(told.stage()), "flights"))
    assert collector.answer("/v1/traces", {}, good.SerializeToString()) == 200
    (span,) = good.resource_spans[0].scope_spans[0].spans
    for field, value in (("trace_id", b"short"), ("span_id", b""), ("name", ""), ("end_time_unix_nano", 1)):
        before = getattr(span, field)
        setattr(span, field, value)
        assert collector.answer("/v1/traces", {}, good.SerializeToString()) == 422, field
        setattr(span, field, before)
    assert collector.answer("/v1/traces", {}, b"{}") == 422
    assert collector.answer("/v1/traces", {}, b"") == 422
    assert len(checked_spans(good.SerializeToString())) == 1
