"""Changes marked as harmless."""

from pathlib import Path

import pytest
from builders import code, header
from workbench import Workbench

from nbpipeline.errors import ReadingError
from nbpipeline.model import Reason, ReasonKind
from nbpipeline.plan import accept


@pytest.fixture
def bench(root: Path) -> Workbench:
    bench = Workbench(root)
    bench.write("pipeline.yaml", "name: accepting\n")
    bench.write("raw.txt", "raw")
    one(bench)
    other(bench)
    bench.run()
    return bench


def one(bench: Workbench, *, text: str = "'x'", rate: float = 1.0, extra: tuple[dict, ...] = ()) -> None:
    bench.notebook(
        "one",
        header("inputs: {raw: ../raw.txt}\noutputs: {made: ../out/made.txt}"),
        code(f"rate = {rate}", "parameters"),
        *extra,
        code(f"with open(made, 'w') as file:\n    file.write({text})"),
    )


def other(bench: Workbench) -> None:
    bench.notebook(
        "other",
        header("inputs: {made: ../out/made.txt}\noutputs: {more: ../out/more.txt}\ndependencies: [one]"),
        code("with open(more, 'w') as file:\n    file.write(open(made).read())"),
    )


def accept_now(bench: Workbench, because: str = "a rename") -> None:
    for step in bench.plan().steps:
        if step.reasons and step.instance.id == "one":
            accept.add(bench.root, accept.acceptance("one", because, step.reasons, now=0.0))


def test_an_accepted_change_leaves_everything_fresh(bench: Workbench) -> None:
    one(bench, text="str('x')")
    assert bench.actions() == {"one": "run", "other": "run"}
    accept_now(bench)
    assert bench.reasons() == {}
    assert bench.actions() == {}


def test_it_moves_with_the_cell_and_outlives_other_changes(bench: Workbench) -> None:
    one(bench, text="str('x')")
    accept_now(bench)
    one(bench, text="str('x')", rate=2.0)
    assert bench.reasons()["one"] == ["parameter rate: 1.0 -> 2.0"]
    one(bench, text="str('x')", extra=(code("y = 1"),))
    assert bench.reasons()["one"] == ["code: cell 3 added"]


def test_a_further_change_of_the_same_cell_is_not_accepted(bench: Workbench) -> None:
    one(bench, text="str('x')")
    accept_now(bench)
    one(bench, text="str('y')")
    assert bench.reasons()["one"] == ["code: cell 3 changed"]


def test_inputs_and_parameters_can_be_accepted(bench: Workbench) -> None:
    bench.write("raw.txt", "other bytes")
    one(bench, rate=3.0)
    assert bench.reasons()["one"] == ["parameter rate: 1.0 -> 3.0", "input ../raw.txt changed"]
    accept_now(bench)
    assert bench.reasons() == {}


def test_values_that_yaml_has_no_word_for(root: Path) -> None:
    bench = Workbench(root)
    bench.write("pipeline.yaml", "name: paths\n")
    bench.write("a.txt", "1")
    bench.write("b.txt", "2")
    for name in ("a", "b"):
        bench.notebook(
            "one",
            code(f"from pathlib import Path\nraw = Path('..') / '{name}.txt'", "inputs"),
            code("made = '../out/made.txt'", "outputs"),
            code("open(made, 'w').write('x')"),
        )
        if name == "a":
            bench.run()
    told = ["code: input raw ../a.txt -> ../b.txt", "input ../b.txt added", "input ../a.txt removed"]
    assert bench.reasons() == {"one": told}
    accept_now(bench)
    assert bench.reasons() == {}


def test_going_back_to_what_was_accepted_restores_it(bench: Workbench) -> None:
    one(bench, text="str('x')")
    accept_now(bench)
    one(bench, text="str('x')", rate=2.0)
    bench.write("raw.txt", "other bytes")
    assert bench.run() == {"one": "run", "other": "run"}
    one(bench, text="str('x')")
    bench.write("raw.txt", "raw")
    (bench.root / "out/made.txt").write_text("by hand")
    assert bench.run() == {"one": "restore"}
    assert (bench.root / "out/made.txt").read_text() == "x"
    assert bench.actions() == {}
    one(bench, text="str('y')")
    assert bench.actions()["one"] == "run", "another change of the cell was not accepted"


def test_an_output_that_goes_elsewhere_is_not_accepted(bench: Workbench) -> None:
    bench.notebook(
        "one",
        header("inputs: {raw: ../raw.txt}\noutputs: {made: ../out/elsewhere.txt}"),
        code("rate = 1.0", "parameters"),
        code("with open(made, 'w') as file:\n    file.write('x')"),
    )
    told = ["code: output made ../out/made.txt -> ../out/elsewhere.txt"]
    assert bench.reasons()["one"] == told
    accept_now(bench)
    assert bench.reasons()["one"] == told
    step = bench.plan().steps[0]
    by_hand = accept.Acceptance(stage="one", because="-", day="-", changes=step.reasons)
    assert not accept.Accepted([by_hand]).speaks_of("one")


def test_altered_outputs_cannot_be_argued_away(bench: Workbench) -> None:
    bench.write("out/made.txt", "by hand")
    accept_now(bench)
    assert bench.reasons()["one"] == ["output ../out/made.txt changed"]


def test_accepting_is_for_one_instance_alone(bench: Workbench) -> None:
    one(bench, text="str('x')")
    reasons = bench.plan().steps[0].reasons
    accept.add(bench.root, accept.acceptance("other", "no", reasons, now=0.0))
    assert "one" in bench.reasons()


def test_the_file_reads_well_and_comes_back(bench: Workbench) -> None:
    one(bench, rate=2.5)
    accept_now(bench, because="only: how it's written — ä")
    text = (bench.root / accept.FILE).read_text()
    assert text.splitlines() == [
        "# Changes that were marked as harmless with `nbpipeline accept`. Commit this file.",
        "# Deleting an entry makes its stage stale again.",
        "accepted:",
        "- stage: one",
        "  because: 'only: how it''s written — ä'",
        "  date: '1970-01-01'",
        "  changes:",
        "  - kind: parameter",
        "    subject: rate",
        "    before: 1.0",
        "    after: 2.5",
    ]
    (entry,) = accept.read(bench.root)
    assert (entry.stage, entry.because, entry.day) == ("one", "only: how it's written — ä", "1970-01-01")
    accept.add(bench.root, entry)
    assert accept.read(bench.root) == (entry, entry)


def test_no_file_is_nothing_accepted(root: Path) -> None:
    assert accept.read(root) == ()


@pytest.mark.parametrize("odd", ["null", "5", "2024-01-01", "[a]", "{a: 1}", "!!binary aGVsbG8=", "&a [*a]"])
@pytest.mark.parametrize("where", ["stage", "subject", "before", "after"])
def test_an_entry_edited_to_no_text_is_told(root: Path, where: str, odd: str) -> None:
    parts = {"stage": "a", "subject": "cell 2", "before": "x", "after": "y", where: odd}
    change = (
        f"{{kind: code, subject: {parts['subject']}, before: {parts['before']}, after: {parts['after']}}}"
    )
    text = f"accepted: [{{stage: {parts['stage']}, because: b, date: c, changes: [{change}]}}]"
    (root / accept.FILE).write_text(text)
    if (where, odd) in {("before", "null"), ("after", "null")}:  # a cell that is new, or gone
        assert accept.Accepted(accept.read(root)).speaks_of("a")
        return
    with pytest.raises(
        ReadingError, match=r"entry 1 is not as `accept` writes it|!!binary is not known|deeper than 60"
    ):
        accept.read(root)


def test_a_value_of_no_calendar_and_one_without_end_are_told(root: Path) -> None:
    for text in ("accepted: 2024-99-99", "[" * 100_000):
        (root / accept.FILE).write_text(text)
        with pytest.raises(ReadingError, match="this is no YAML"):
            accept.read(root)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "accepted: [\n- : [ ^",
            ", line 2: the accepted changes cannot be read: this is no YAML: did not find expected node content, while parsing a flow node.",
        ),
        ("accepted: [{stage: one}]", ": the accepted changes cannot be read: entry 1 lacks 'because'."),
        ("accepted: 3", ": the accepted changes cannot be read: there is no list under `accepted`."),
        ("- a", ": the accepted changes cannot be read: there is no list under `accepted`."),
        ("accepted: [a]", ": the accepted changes cannot be read: entry 1 is not as `accept` writes it."),
        (
            "accepted: [{stage: a, because: b, date: c, changes: [{kind: nonsense}]}]",
            ": the accepted changes cannot be read: entry 1 is not as `accept` writes it.",
        ),
    ],
)
def test_a_file_that_cannot_be_read_is_told(root: Path, text: str, words: str) -> None:
    (root / accept.FILE).write_text(text)
    with pytest.raises(ReadingError) as caught:
        accept.read(root)
    assert str(caught.value) == (
        f"nbpipeline.accept.yaml{words}\n  mend: mend the entry or delete it; its stage is then stale again."
    )


def test_a_file_whose_entries_were_all_deleted_accepts_nothing(root: Path) -> None:
    (root / accept.FILE).write_text("# accepted\naccepted:\n")
    assert accept.read(root) == ()


def test_a_list_that_was_accepted_is_no_cell(bench: Workbench) -> None:
    def grid(values: str) -> None:
        one(bench, extra=(code(f"grid = {values}", "parameters"),))

    grid("[1, 2]")
    bench.run()
    grid("[1, 3]")
    assert bench.reasons()["one"] == ["parameter grid: [1,2] -> [1,3]"]
    accept_now(bench)
    assert bench.reasons() == {}
    one(bench, text="str('x')", extra=(code("grid = [1, 3]", "parameters"),))
    assert [reason for reason in bench.reasons()["one"] if not reason.startswith("code: ")] == []


def test_the_file_reads_as_a_person_would_write_it(bench: Workbench) -> None:
    why = (
        "die Größe heißt jetzt anders, die Werte sind dieselben, das ist nachgerechnet worden (Änderung 4711)"
    )
    one(bench, rate=2.0)
    accept_now(bench, because=why)
    entry = accept.read(bench.root)[0]
    assert entry.because == why
    assert (bench.root / accept.FILE).read_text(encoding="utf-8") == (
        "# Changes that were marked as harmless with `nbpipeline accept`. Commit this file.\n"
        "# Deleting an entry makes its stage stale again.\n"
        "accepted:\n"
        "- stage: one\n"
        "  because: die Größe heißt jetzt anders, die Werte sind dieselben, das ist nachgerechnet worden (Änderung\n"
        "    4711)\n"
        f"  date: '{entry.day}'\n"
        "  changes:\n"
        "  - kind: parameter\n"
        "    subject: rate\n"
        "    before: 1.0\n"
        "    after: 2.0\n"
    )


def test_a_change_without_a_subject_is_the_whole_kind(bench: Workbench) -> None:
    bench.write(
        accept.FILE,
        "accepted:\n- {stage: one, because: x, date: 2026-11-23, changes: [{kind: kernel, before: a, after: b}]}\n",
    )
    ((change,),) = (entry.changes for entry in accept.read(bench.root))
    assert (change.kind.value, change.subject, change.before, change.after) == ("kernel", "", "a", "b")


ALIASES = "".join(f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
MERGES = "".join(f"  a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 10)}]}}\n" for n in range(1, 9))


@pytest.mark.parametrize("bomb", [ALIASES, MERGES])
def test_aliases_blow_nothing_up(root: Path, bomb: str) -> None:
    text = f"accepted:\n- a0: &a0 {{a: 1}}\n{bomb}  stage: s\n  because: x\n  date: d\n  changes: []\n"
    (root / accept.FILE).write_text(text)
    with pytest.raises(ReadingError, match="there are more than 200,000 values, aliases counted at each use"):
        accept.read(root)


def test_what_a_value_needs_is_written_without_aliases(root: Path) -> None:
    """Values of a change may be one object; the file says each of them."""
    value = [1, {"a": [2]}]
    change = Reason(kind=ReasonKind.PARAMETER, subject="C", before=value, after=value)
    for stage in ("a", "b"):
        accept.add(root, accept.acceptance(stage, "1e3", [change], 0.0))
    assert [one.changes for one in accept.read(root)] == [(change,), (change,)]
