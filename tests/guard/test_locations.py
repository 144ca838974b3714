"""Two names of one place are found to be one place."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lockgate_mlflow_guard.locations import Location, LocationError, locate, locate_below, overlap

_BUCKET = "s3://bucket/mlflow"
_MODEL = "1/models/m-1/artifacts"


def _model(destination: str = _BUCKET) -> Location:
    return locate(f"mlflow-artifacts:/{_MODEL}", destination=destination)


@pytest.mark.parametrize(
    "uri",
    [
        f"mlflow-artifacts:/{_MODEL}",
        f"mlflow-artifacts://some.host:5000/{_MODEL}/",
        f"http://some.host/api/2.0/mlflow-artifacts/artifacts/{_MODEL}",
        f"https://some.host/prefix/ajax-api/2.0/mlflow-artifacts/artifacts/{_MODEL}",
        f"{_BUCKET}/{_MODEL}",
        f"s3://bucket//mlflow/./{_MODEL}",
        f"S3://BUCKET/mlflow/{_MODEL}".replace("models", "Models"),
        f"{_BUCKET}/1/%6dodels/m-1/artifacts",
        f"{_BUCKET}/1/%256dodels/m-1/artifacts",
    ],
)
def test_same_place(uri: str) -> None:
    """However it is written, it is where the version's files are."""
    assert locate(uri, destination=_BUCKET) == _model()


@pytest.mark.parametrize(
    "path", [f"{_MODEL}/MLmodel", _MODEL, "1/models/m-1", "1", "", f"/{_MODEL}/", f"1//models/./{_MODEL[9:]}/x"]
)
def test_within_and_above(path: str) -> None:
    """What lies in the version's folder, and every folder that it lies in, touch it."""
    assert overlap(locate_below(_BUCKET, path), _model())


@pytest.mark.parametrize(
    "path", ["1/models/m-10/artifacts", "1/models/m-2", "2", "1/models/m", "models/m-1", "11/models/m-1"]
)
def test_beside(path: str) -> None:
    """A name that only begins alike is another place."""
    assert not overlap(locate_below(_BUCKET, path), _model())


def test_other_stores() -> None:
    """The same path in another bucket or store is another place."""
    assert not overlap(locate(f"s3://other/mlflow/{_MODEL}", destination=_BUCKET), _model())
    assert not overlap(locate(f"gs://bucket/mlflow/{_MODEL}", destination=_BUCKET), _model())
    assert not overlap(locate(f"/bucket/mlflow/{_MODEL}", destination=_BUCKET), _model())


def test_links(tmp_path: Path) -> None:
    """A link to the version's folder is the folder."""
    (tmp_path / _MODEL).mkdir(parents=True)
    (tmp_path / "2").symlink_to(tmp_path / "1" / "models")

    assert overlap(locate_below(str(tmp_path), "2/m-1/artifacts/MLmodel"), _model(str(tmp_path)))
    assert overlap(locate((tmp_path / _MODEL).as_uri(), destination=_BUCKET), _model(str(tmp_path)))


@pytest.mark.parametrize(
    "uri", ["s3://bucket/1/../2", "mlflow-artifacts:/%2e%2e/1", "s3://[bucket", "%25" * 4 + "25" * 40]
)
def test_no_place(uri: str) -> None:
    """What leads outside, or cannot be read, is compared with nothing."""
    with pytest.raises(LocationError):
        locate(uri, destination=_BUCKET)


@given(st.text(max_size=60))
@settings(deadline=None, max_examples=200)
def test_whatever_is_below_is_found_below(name: str) -> None:
    """Any name within the version's folder lies within it, or names no place."""
    try:
        location = locate_below(_BUCKET, f"{_MODEL}/{name}")
    except LocationError:
        return

    assert overlap(location, _model())
