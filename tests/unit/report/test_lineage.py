"""Where files come from, by what is on record."""

from dataclasses import replace

import pytest

from nbpipeline.errors import UsageError
from nbpipeline.model import Fingerprint, StageRecord, StageResult, Status, StoredOutput
from nbpipeline.report import lineage
from nbpipeline.state.memory import MemoryState


class Standing:
    """Digests of what stands on disk."""

    def __init__(self, **held) -> None:
        self.held = held

    def of(self, path):
        return self.held.get(path.name.partition(".")[0])


def record(name, state, reads, writes, finished, **given) -> StageRecord:
    return StageRecord(
        instance=name,
        state=state,
        fingerprint=Fingerprint(
            code={"cell 2": "c"}, inputs=reads, parameters={"C": 0.5}, environment={"pandas": "3.1.1"}
        ),
        outputs=tuple(StoredOutput(path=path, digest=digest) for path, digest in writes.items()),
        run=f"run-{finished:.0f}",
        finished=finished,
        **given,
    )


@pytest.fixture
def state():
    """`clean` ran twice; `train` used what it wrote first, `report` is of `train`."""
    held = MemoryState()
    for one in (
        record("clean", "c1", {"raw.csv": "r1"}, {"table.csv": "t1"}, 10.0),
        record("train", "m1", {"table.csv": "t1", "gone.csv": None}, {"model.bin": "m"}, 20.0),
        record("report", "p1", {"model.bin": "m", "notes.txt": "n"}, {"page.html": "p"}, 30.0),
        record("clean", "c2", {"raw.csv": "r2"}, {"table.csv": "t2"}, 40.0),
    ):
        held.add_record(one)
    return held


def traced(state, tmp_path, path, **standing):
    return lineage.lineage(state, Standing(**standing), tmp_path, path, {"train": "notebooks/train.ipynb"})


def stages(found):
    return [(one["stage"], one["state"]) for one in found]


def test_back_to_the_very_versions_that_went_in(state, tmp_path):
    found = traced(state, tmp_path, "page.html", page="p").data
    assert (found["path"], found["digest"], found["standing"]) == ("page.html", "p", "recorded")
    assert stages(found["made_by"]) == [("report", "p1"), ("train", "m1"), ("clean", "c1")]
    assert found["raw"] == [{"path": "notes.txt", "digest": "n"}, {"path": "raw.csv", "digest": "r1"}]
    assert found["used_by"] == []
    train = found["made_by"][1]
    assert train["inputs"] == [{"path": "table.csv", "digest": "t1", "made_by": "clean"}]
    assert (train["notebook"], train["parameters"], train["packages"]) == (
        "notebooks/train.ipynb",
        {"C": 0.5},
        {"pandas": "3.1.1"},
    )


def test_forward_from_raw_data(state, tmp_path):
    found = traced(state, tmp_path, "raw.csv", raw="r1").data
    assert (found["standing"], found["made_by"]) == ("recorded", [])
    assert stages(found["used_by"]) == [("clean", "c1"), ("train", "m1"), ("report", "p1")]
    newer = traced(state, tmp_path, "raw.csv", raw="r2").data
    assert stages(newer["used_by"]) == [("clean", "c2")]


@pytest.mark.parametrize(
    ("standing", "digest", "told"),
    [
        ({"table": "t1"}, "t1", "earlier"),
        ({"table": "t2"}, "t2", "recorded"),
        ({"table": "x"}, "t2", "changed"),
        ({}, "t2", "missing"),
    ],
)
def test_the_version_that_stands_there_is_traced_if_it_is_known(state, tmp_path, standing, digest, told):
    found = traced(state, tmp_path, "table.csv", **standing).data
    assert (found["digest"], found["standing"]) == (digest, told)


def test_in_words(state, tmp_path):
    text = traced(state, tmp_path, "model.bin", model="m").text
    assert text.splitlines()[:2] == ["model.bin  m", ""]
    for line in (
        "train: run run-20,",
        "  code        notebooks/train.ipynb, 1 cells, state m1",
        "  parameters  C = 0.5",
        "  packages    pandas 3.1.1",
        "  read        table.csv  t1  made by clean",
        "  wrote       model.bin  m",
        "  raw.csv  r1",
        "  report: page.html",
    ):
        assert f"\n{line}" in text


def test_as_a_graph(state, tmp_path):
    text = lineage.mermaid(traced(state, tmp_path, "model.bin", model="m").data)
    assert text.startswith("flowchart LR\n")
    assert text.count(" --> ") == 7
    assert [line for line in text.splitlines() if '"model.bin"' in line]
    assert "stroke-width" in text.splitlines()[-1]


def test_names_are_no_part_of_the_drawing_s_language(tmp_path):
    held = MemoryState()
    held.add_record(record("a", "s", {}, {'x"]; click n0 "y': "d"}, 1.0))
    found = lineage.lineage(held, Standing(), tmp_path, 'x"]; click n0 "y')
    assert '"]' not in lineage.mermaid(found.data).replace('["a"]', "")


def test_a_file_that_is_updated_in_turn_ends(tmp_path):
    held = MemoryState()
    held.add_record(record("second", "s2", {"x.db": "1"}, {"x.db": "2"}, 2.0))
    held.add_record(record("round", "s3", {"x.db": "2"}, {"x.db": "1"}, 3.0))
    found = lineage.lineage(held, Standing(x="2"), tmp_path, "x.db").data
    assert stages(found["made_by"]) == [("second", "s2"), ("round", "s3")]


def test_of_several_states_that_left_the_same_bytes_the_one_counts_that_was_read(tmp_path):
    held = MemoryState()
    one = record("clean", "p1", {}, {"x.txt": "x1", "y.txt": "y"}, 1.0)
    held.add_record(one)
    rep = record("rep", "r1", {"x.txt": "x1", "y.txt": "y"}, {"z.txt": "z1"}, 2.0)
    held.add_record(rep)
    held.add_record(record("clean", "p2", {}, {"x.txt": "x2", "y.txt": "y"}, 3.0))
    held.add_record(record("rep", "r2", {"x.txt": "x2", "y.txt": "y"}, {"z.txt": "z2"}, 4.0))
    assert stages(lineage.lineage(held, Standing(z="z2"), tmp_path, "z.txt").data["made_by"]) == [
        ("rep", "r2"),
        ("clean", "p2"),
    ]
    held.add_record(one)  # as a restore does
    held.add_record(rep)
    found = lineage.lineage(held, Standing(z="z1", x="x1", y="y"), tmp_path, "z.txt")
    assert stages(found.data["made_by"]) == [("rep", "r1"), ("clean", "p1")]
    assert (found.data["standing"], found.data["raw"]) == ("recorded", [])
    unchanging = lineage.lineage(held, Standing(y="y"), tmp_path, "y.txt")
    assert stages(unchanging.data["made_by"]) == [("clean", "p1")]
    told = sorted(line.partition(",")[0] for line in unchanging.text.splitlines()[-2:])
    assert told == ["  rep: z.txt  (run run-2", "  rep: z.txt  (run run-4"]


def test_of_states_that_are_alike_in_all_they_left_the_one_of_the_run_counts_else_the_one_before(tmp_path):
    def maker_of(run: str, told: str = "") -> str:
        held = MemoryState()
        for state, finished in (("p1", 1.0), ("p2", 3.0), ("p3", 5.0)):
            held.add_record(record("clean", state, {}, {"x.txt": "x"}, finished))
        rep = replace(record("rep", "r", {"x.txt": "x"}, {"z.txt": "z"}, 4.0), run=run)
        held.add_record(rep)
        if told:
            held.add_result(run, StageResult(instance="clean", status=Status.FRESH, state=told), finished=4.0)
        return lineage.lineage(held, Standing(z="z"), tmp_path, "z.txt").data["made_by"][1]["state"]

    assert maker_of("run-4") == "p2"
    assert maker_of("run-4", told="p1") == "p1"


def test_an_unknown_file_is_refused_with_what_may_have_been_meant(state, tmp_path):
    with pytest.raises(UsageError, match=r"did you mean 'table.csv'\?"):
        traced(state, tmp_path, "tabel.csv")
    with pytest.raises(UsageError, match="on record: nothing"):
        lineage.lineage(MemoryState(), Standing(), tmp_path, "a.csv")
