"""A served gate whose production has a log of its own, from the first request to the published tiles."""

from pathlib import Path

import orjson
import requests

from support.served_gates import make_served_gate
from support.static_server import served
from support.tile_reader import TileReader

ORIGIN = "served.example/audit"


def test_production_has_its_own_log(tmp_path: Path) -> None:
    """Each decision lies in the log of its target; both logs verify, under their own keys; tiles prove every record."""
    gate = make_served_gate(tmp_path, LOCKGATE_ENVIRONMENT_LOGS="production")
    main_key, production_key = gate.log_key.split()
    with gate.serving(workers=2):
        answers = [
            requests.post(f"{gate.url}/v1/promotions", json=document, headers=gate.headers("rita"), timeout=30)
            for document in (gate.request_document("1"), gate.request_document("2", **{"from": "dev", "to": "staging"}))
        ]
        checkpoint = requests.get(
            f"{gate.url}/audit/logs/production/checkpoint", headers=gate.headers("aude"), timeout=30
        )
    records = [orjson.loads(answer.json()["receipt"]["record"]) for answer in answers]
    data = gate.stage.environment["LOCKGATE_DATA_DIR"]
    keys = ["--key", main_key, "--key", production_key]
    verified = gate.stage.run(["audit", "verify", "--data-dir", data, *keys, "--output", "json"])
    one_key = gate.stage.run(["audit", "verify", "--data-dir", data, "--key", main_key])
    published = gate.stage.run(["audit", "publish", "--log", "production", "--out", str(tmp_path / "public")])

    assert [record["log"] for record in records] == [f"{ORIGIN}/production", ORIGIN]
    assert checkpoint.text.startswith(f"{ORIGIN}/production\n2\n")
    assert [orjson.loads(line)["verdict"] for line in verified.stdout.splitlines()] == ["valid", "valid"]
    assert (verified.exit_code, one_key.exit_code, published.exit_code) == (0, 2, 0)
    with served(tmp_path / "public") as url:
        reader = TileReader(lambda path: requests.get(f"{url}/{path}", timeout=10).content)
        for number in range(reader.size):
            reader.check_record(number, reader.entries(0)[number])
    assert reader.size == 2
