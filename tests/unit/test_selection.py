import pytest
from hypothesis import given
from hypothesis import strategies as st
from spec_builders import project, stage

from nbpipeline.errors import ExitCode, UsageError
from nbpipeline.pipeline import build
from nbpipeline.selection import before, select


@pytest.fixture(scope="module")
def pipeline():
    made, complaints = build(
        project(
            stage("clean", outputs={"c": "../data/c.csv"}, tags=("weekly",)),
            stage(
                "train",
                inputs={"c": "@clean.c"},
                outputs={"model": "../models/{region}-{year}"},
                matrix={"region": ["eu", "us"], "year": [2013, 2014]},
            ),
            stage("evaluate", inputs={"model": "@train.model"}, outputs={"s": "../s/{region}-{year}"}),
            stage("report", inputs={"s": "@evaluate[*].s"}),
            stage("loose"),
        )
    )
    assert complaints == ()
    return made


def names(pipeline, *selectors, **more):
    return sorted(select(pipeline, selectors, **more))


TRAIN = [f"train[region={region},year={year}]" for region in ("eu", "us") for year in (2013, 2014)]
EVALUATE = [one.replace("train", "evaluate") for one in TRAIN]


@pytest.mark.parametrize(
    ("selector", "chosen"),
    [
        ("train", TRAIN),
        ("+train", ["clean", *TRAIN]),
        ("train+", [*EVALUATE, "report", *TRAIN]),
        ("+train+", ["clean", *EVALUATE, "report", *TRAIN]),
        ("train[*]", TRAIN),
        ("train[region=eu]", TRAIN[:2]),
        ("train@year=2014", [TRAIN[1], TRAIN[3]]),
        ("train[region=us,year=2014]", [TRAIN[3]]),
        ("train@year=2014,region=us", [TRAIN[3]]),
        ("+evaluate[region=us,year=2014]", ["clean", EVALUATE[3], TRAIN[3]]),
        ("train@region=eu,year=2013+", [EVALUATE[0], "report", TRAIN[0]]),
        ("notebooks/clean.ipynb", ["clean"]),
        ("./notebooks/clean.ipynb", ["clean"]),
        ("/nowhere/project/notebooks/clean.ipynb", ["clean"]),
        ("clean.ipynb", ["clean"]),
        ("+notebooks/evaluate.ipynb", ["clean", *EVALUATE, *TRAIN]),
        ("tag:weekly", ["clean"]),
        ("loose+", ["loose"]),
    ],
)
def test_what_a_selector_chooses(pipeline, selector, chosen):
    assert names(pipeline, selector) == chosen


def test_without_selectors_all_are_chosen(pipeline):
    assert select(pipeline, []) == frozenset(pipeline.instances)


def test_selectors_add_up_and_exclude_takes_away(pipeline):
    assert names(pipeline, "clean", "report") == ["clean", "report"]
    assert names(pipeline, "+evaluate", exclude=["train"]) == ["clean", *EVALUATE]
    assert names(pipeline, exclude=["clean+"]) == ["loose"]


def test_only_leaves_out_what_is_upstream(pipeline):
    assert names(pipeline, "+train+", only=True) == [*EVALUATE, "report", *TRAIN]


def test_before_names_what_may_be_stale_unseen(pipeline):
    assert before(pipeline, select(pipeline, ["evaluate[region=eu,year=2013]"])) == ("clean", TRAIN[0])
    assert before(pipeline, select(pipeline, ["+report"])) == ()


def test_values_with_points_and_commas_are_no_paths():
    made, _ = build(
        project(
            stage("fit", matrix={"rate": [0.5, 1.5], "kind": ["a,b", "c"]}, outputs={"o": "{rate}{kind}"})
        )
    )
    assert names(made, "fit[rate=0.5]") == ["fit[rate=0.5,kind=a,b]", "fit[rate=0.5,kind=c]"]
    assert names(made, "fit[rate=0.5,kind=a,b]") == ["fit[rate=0.5,kind=a,b]"]


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        (
            "tarin",
            (
                "'tarin' selects nothing: there is no stage 'tarin'.\n"
                "  known stages: clean, train, evaluate, report, loose\n"
                "  mend: did you mean 'train'?"
            ),
        ),
        (
            "+nope+",
            (
                "'+nope+' selects nothing: there is no stage 'nope'.\n"
                "  known stages: clean, train, evaluate, report, loose\n"
                "  mend: choose among the stages above"
            ),
        ),
        (
            "tag:dayly",
            (
                "'tag:dayly' selects nothing: no stage has the tag 'dayly'.\n"
                "  known tags: weekly\n"
                "  mend: choose among the tags above"
            ),
        ),
        (
            "train[regon=eu]",
            (
                "'train[regon=eu]' selects nothing: stage 'train' has no axis 'regon'.\n"
                "  known axes: region, year\n"
                "  mend: did you mean 'region'?"
            ),
        ),
        (
            "train@region=apac",
            (
                "'train@region=apac' selects nothing: axis 'region' of stage 'train' has no value 'apac'.\n"
                "  known values: eu, us\n"
                "  mend: choose among the values above"
            ),
        ),
        (
            "clean[region=eu]",
            (
                "'clean[region=eu]' selects nothing: stage 'clean' has no axis 'region'.\n"
                "  known axes: none\n"
                "  mend: choose among the axes above"
            ),
        ),
        (
            "notebooks/claen.ipynb",
            (
                "'notebooks/claen.ipynb' selects nothing: no stage is in notebooks/claen.ipynb.\n"
                "  known notebooks: notebooks/clean.ipynb, notebooks/train.ipynb, notebooks/evaluate.ipynb, "
                "notebooks/report.ipynb, notebooks/loose.ipynb\n"
                "  mend: did you mean 'notebooks/clean.ipynb'?"
            ),
        ),
        (
            "",
            (
                "'' selects nothing: there is no stage ''.\n"
                "  known stages: clean, train, evaluate, report, loose\n"
                "  mend: choose among the stages above"
            ),
        ),
    ],
)
def test_a_selector_that_names_nothing_is_refused(pipeline, selector, message):
    with pytest.raises(UsageError) as error:
        select(pipeline, [selector])
    assert str(error.value) == message
    assert error.value.exit_code == ExitCode.USAGE
    with pytest.raises(UsageError):
        select(pipeline, [], exclude=[selector])


def test_a_file_name_that_two_notebooks_have_is_refused():
    twins = [stage("a"), stage("b")]
    made, _ = build(project(*twins))
    with pytest.raises(UsageError, match=r"selects nothing: no stage is in c\.ipynb"):
        select(made, ["c.ipynb"])


@given(st.data())
def test_signs_are_exactly_ancestors_and_descendants(data):
    size = data.draw(st.integers(1, 7))
    feeds = [data.draw(st.sets(st.integers(0, number - 1))) if number else set() for number in range(size)]
    stages = [
        stage(
            f"s{number}",
            inputs={f"i{one}": f"@s{one}.o" for one in sorted(feed)},
            outputs={"o": f"../d/{number}"},
        )
        for number, feed in enumerate(feeds)
    ]
    made, _ = build(project(*stages))
    chosen = data.draw(st.integers(0, size - 1))
    above = set()
    for number in range(chosen, -1, -1):
        if number == chosen or number in above:
            above |= feeds[number]
    below = {chosen}
    for number in range(chosen + 1, size):
        if feeds[number] & below:
            below.add(number)
    assert select(made, [f"+s{chosen}"]) == {f"s{one}" for one in above | {chosen}}
    assert select(made, [f"s{chosen}+"]) == {f"s{one}" for one in below}
    assert select(made, [f"+s{chosen}+"]) == {f"s{one}" for one in above | below}
    assert set(before(made, select(made, [f"s{chosen}"]))) == {f"s{one}" for one in above}
