"""A model whose files were renamed has the digest of the signed one, and is told apart all the same."""

from pathlib import Path

import pytest

from lockgate.cli.main import main
from lockgate.demo.material import MODEL, make_material
from lockgate.system_clock import SystemClock


def test_a_renamed_file_is_refused_before_anything_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The names of the signed manifest are compared with the folder's; exit code 2, and no gate was asked."""
    material = make_material(tmp_path, SystemClock())
    (material.model / "weights.json").rename(material.model / "weights.py")
    (tmp_path / "token").write_text("lgt_x\n")
    arguments = ["check", MODEL, "1.0.0", "--from", "staging", "--to", "production", "--url", "http://127.0.0.1:9"]
    arguments += ["--model-dir", str(material.model), "--bundle", str(material.trusted_bundle)]
    code = main([*arguments, "--contributor", "trainer:tess", "--token-file", str(tmp_path / "token")])

    assert code == 2
    assert "'weights.json', 'weights.py'" in capsys.readouterr().err
