"""The `[[rollout]]` tables of the settings: which one counts, what is refused, and where."""

from pathlib import Path
from typing import Any

import pytest

from lockgate.cli.exit_codes import ExitCode
from lockgate.cli.main import main
from lockgate.delivery.rollout_settings import ROLLOUTS_MAX, RolloutInvalidError, find_rollout, parse_rollouts
from support.rollout_jobs import CHAMPION

CALL = {"name": "deployer", "type": "http", "environments": ["production"], "url": "https://deploy.example/orders"}
SERVICE = {"model": "fraud-detector", "inference_service": "fraud", "namespace": "serving"}
SERVING = {**CALL, "name": "serving", "type": "kserve", "services": [SERVICE], "sources": ["oci://models.example/"]}


def test_the_first_that_fits_counts() -> None:
    """One model by hand, one by KServe, all others by the alias; other environments by whoever asks."""
    by_hand = {"name": "by-hand", "type": "pull", "environments": ["production"], "models": ["credit-score"]}
    rollouts = parse_rollouts([by_hand, SERVING, CHAMPION])
    asked = [
        ("credit-score", "production"),
        ("fraud-detector", "production"),
        ("churn", "production"),
        ("churn", "dev"),
    ]
    found = [find_rollout(rollouts, model, environment) for model, environment in asked]

    assert [one and one.name for one in found] == [None, "serving", "champion", None]


@pytest.mark.parametrize(
    ("tables", "path"),
    [
        ([{**CHAMPION, "type": "ssh"}], "rollout[0].type"),
        ([{**CHAMPION, "alias": "champion"}], "rollout[0]"),
        ([CHAMPION, {**CHAMPION, "environments": ["staging"]}], "rollout[1].name"),
        ([CHAMPION, CALL], "rollout[1].environments"),
        ([{**CALL, "url": "http://deploy.example/orders"}], "rollout[0].url"),
        ([{**CALL, "observe_url": "https://user:s3cret@deploy.example"}], "rollout[0].observe_url"),
        ([{**SERVING, "steps": [50, 10, 100]}], "rollout[0].steps"),
        ([{**SERVING, "sources": ["oci://models.example"]}], "rollout[0].sources[0]"),
        ([{**SERVING, "steps": [10, 50]}], "rollout[0].steps"),
        ([{**SERVING, "services": [SERVICE, {**SERVICE, "namespace": "other"}]}], "rollout[0].services"),
        ([{**CHAMPION, "name": f"r{number}"} for number in range(ROLLOUTS_MAX + 1)], "rollout"),
    ],
)
def test_what_is_refused_is_named(tables: list[dict[str, Any]], path: str) -> None:
    """The part of the settings, and what is wanted there; no secret of an address."""
    with pytest.raises(RolloutInvalidError) as caught:
        parse_rollouts(tables)

    assert (caught.value.code, caught.value.path) == ("rollout.settings_invalid", path)
    assert "s3cret" not in str(caught.value)


def test_the_command_that_checks_settings_finds_it_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As every other mistake."""
    file = tmp_path / "lockgate.toml"
    file.write_text(
        f'data_dir = "{tmp_path}"\n[[rollout]]\nname = "x"\ntype = "http"\nenvironments = ["production"]\nurl = "http://far.example"\n'
    )
    code = main(["config", "check", "--config", str(file)])
    output = capsys.readouterr().out

    assert code == ExitCode.USAGE
    assert "lockgate.toml:6" in output
    assert "want https" in output
