"""Locks of files that trackers share stand in no project's way, and are the same for all who write the file."""

from nbpipeline.trackers.locks import lock_of


def test_a_lock_stands_in_the_project_that_the_file_is_in(tmp_path):
    project, other = tmp_path / "one", tmp_path / "two"
    for folder in (project, other):
        (folder / ".nbpipeline").mkdir(parents=True)
    (project / "track").mkdir()
    own = lock_of(project / "track/mlflow.db")
    assert own.parent == project / ".nbpipeline"
    assert lock_of(other / "../one/track/mlflow.db") == own, "another project excludes this one"
    assert lock_of(project / "mlflow.db") != own
    (other / "linked.db").symlink_to(project / "track/mlflow.db")
    assert lock_of(other / "linked.db") == own


def test_of_a_file_in_no_project_it_stands_beside(tmp_path):
    assert lock_of(tmp_path / "shared/mlflow.db") == tmp_path / "shared/.mlflow.db.lock"
