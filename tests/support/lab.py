"""The lab: one model's life, from a training without data's digest to a rollback, told as it goes.

Every step is a real command or call against real processes: `lockgate serve`, `lockgate deliver`, an MLflow behind the
guard. Nothing is imported from the gate to take a shortcut.
"""

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import orjson
from rich.console import Console
from rich.text import Text

from lockgate.demo.material import MODEL, Person
from support.lab_material import ALERT_TOKEN, LEO, MAYA, OLGA, RITA
from support.lab_stage import (
    ALIAS,
    ENVIRONMENT,
    LabFailedError,
    LabStage,
    Trained,
    lab_stage,
    lockgate_verify,
    timestamp_now,
)
from support.mlflow_server import MLflowServer

Registry: TypeAlias = Literal["mlflow", "builtin"]

_DELIVERIES_MAX: Final = 3  # permit and move, then see and confirm; one more for a machine that is slow
_MOVE_BY_CLIENT: Final = """
import json, sys
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
wanted = json.load(sys.stdin)
try:
    MlflowClient().set_registered_model_alias(wanted["model"], wanted["alias"], wanted["version"])
    print("moved")
except MlflowException as refused:
    print(refused)
"""


@dataclass(slots=True, kw_only=True)
class Walk:
    """The walk through the lab.

    Attributes:
        instants: When something had become so, to ask for later.
    """

    stage: LabStage
    registry: Registry
    instants: dict[str, str] = field(default_factory=dict)

    def walk(self) -> None:
        """Go through all steps that need the gate.

        Raises:
            LabFailedError: One did not prove what it should.
        """
        self._refuse_without_dataset()
        good = self._promote_with_dataset()
        self._deliver(good)
        self.instants["good"] = timestamp_now()
        bad = self._promote_the_next(good)
        self.instants["bad"] = timestamp_now()
        if self.registry == "mlflow":
            self._move_past_the_gate(good, bad)
            self._tamper(bad)
            self._find_drift(bad)
        else:
            self.stage.skip(7, "Somebody moves the alias directly")
            self.stage.skip(8, "Somebody changes the bytes in the artifact store")
            self.stage.skip(9, "The reconciler hashes what is live")
        rollback = self._roll_back_on_an_alert()
        self._carry_back(rollback, good, bad)
        self._ask_what_was_live(good, bad)

    def _refuse_without_dataset(self) -> None:
        stage = self.stage
        stage.say(1, "A model is trained, registered and signed", "Nobody logged which data it learnt from.")
        registry = ["--registry", self.registry, "--registry-model", MODEL]
        stage.run(["model", "create", MODEL, "--owner", "fraud-ml", "--tier", "high", *registry], person=RITA)
        trained = stage.train("1", dataset="")
        self._register(trained)
        stage.say(2, "It is requested for production", "The policy's data asks for datasets with digests: LG-050.")
        done = stage.run(self._request(trained), expected=1, person=RITA)
        stage.prove(
            "signed well and yet denied, for its lineage alone",
            holds="lineage.dataset_digests" in done.stdout and "signature." not in done.stdout,
        )

    def _promote_with_dataset(self) -> Trained:
        stage = self.stage
        stage.say(3, "The fix: the dataset is logged", "A new version, for a version never becomes another.")
        trained = stage.train("2", dataset="transactions")
        self._register(trained)
        promotion = self._asked(trained)
        stage.say(4, "Two people approve", "Each in one role; the second makes it an allow.")
        self._approve(promotion, LEO, "ml-lead", expected=4)
        self._approve(promotion, MAYA, "risk", expected=0)
        shown = stage.ask(["live", MODEL, ENVIRONMENT], RITA)
        stage.prove(
            f"an allow is no deployment: nothing is live, and there is no {ALIAS} yet",
            holds=shown["live"] is None and stage.champion() == "",
        )
        return trained

    def _deliver(self, trained: Trained) -> None:
        stage = self.stage
        stage.say(5, "lockgate deliver carries it out", "It is decided once more; then a permit, the move, and a look.")
        self._deliver_until(trained)
        stage.prove(
            f"decided, moved, seen: three facts. {ALIAS} leads to version {trained.version}",
            holds=stage.champion() == trained.version,
        )
        stage.run(["live", MODEL, ENVIRONMENT], person=RITA)

    def _promote_the_next(self, good: Trained) -> Trained:
        stage = self.stage
        stage.say(6, "The next version takes the same way", "So that there is something to go back to.")
        trained = stage.train("3", dataset="transactions")
        self._register(trained)
        promotion = self._asked(trained)
        self._approve(promotion, LEO, "ml-lead", expected=4)
        self._approve(promotion, MAYA, "risk", expected=0)
        self._deliver_until(trained)
        stage.prove(
            f"{ALIAS} leads to version {trained.version}, and version {good.version} is live no more",
            holds=stage.champion() == trained.version,
        )
        return trained

    def _move_past_the_gate(self, good: Trained, bad: Trained) -> None:
        stage = self.stage
        stage.say(7, "Somebody moves the alias directly", "MLflow alone lets everybody who may edit a model do that.")
        said = self._move_by_client(good.version)
        stage.prove(
            "the guard in the MLflow server refuses it, and nothing moved",
            holds="permit.missing" in said and stage.champion() == bad.version,
        )

    def _move_by_client(self, version: str) -> str:
        wanted = {"model": MODEL, "alias": ALIAS, "version": version}
        call = f"MlflowClient().set_registered_model_alias({MODEL!r}, {ALIAS!r}, {version!r})"
        self.stage.tell(f"mallory $ python -c '{call}'", style="cyan")
        said = _running(self.stage).run_client(_MOVE_BY_CLIENT, wanted).strip()
        self.stage.tell(f"| {said}")
        return said

    def _tamper(self, bad: Trained) -> None:
        stage = self.stage
        stage.say(8, "Somebody changes the bytes in the artifact store", "With rights on the bucket, past all servers.")
        weights = self._stored_weights(bad)
        changed = bytearray(weights.read_bytes())
        changed[-1] ^= 1
        weights.write_bytes(changed)
        stage.tell(f"mallory $ flips one bit of .../{weights.relative_to(weights.parents[2])}", style="cyan")
        shown = _running(stage).call("GET", "model-versions/get", {"name": MODEL, "version": bad.version})
        stage.prove(
            "MLflow notices nothing: the version is as READY as before",
            holds=shown["model_version"]["status"] == "READY",
        )

    def _stored_weights(self, trained: Trained) -> Path:
        # The one file of these bytes in the store.
        wanted = next(trained.folder.rglob("weights.npy")).read_bytes()
        stored = [path for path in (self.stage.folder / "mlflow").rglob("weights.npy") if path.read_bytes() == wanted]
        if len(stored) != 1:
            raise LabFailedError(f"want the weights once in the artifact store, got them {len(stored)} times")
        return stored[0]

    def _find_drift(self, bad: Trained) -> None:
        stage = self.stage
        stage.say(9, "The reconciler hashes what is live", "It compares the bytes with the digest that was approved.")
        stage.run(["deliver", "--once"])
        found = stage.run(["finding", "list"], person=OLGA)
        stage.prove("the drift is an open finding", holds="artifact_drifted" in found.stdout)
        held = stage.run(["hold", "list"], person=RITA)
        stage.prove("and by the settings' response it froze the model", holds=MODEL in held.stdout)
        done = stage.run(self._request(bad, "check"), expected=1, person=RITA)
        stage.prove("nothing is promoted meanwhile", holds="hold.in_force" in done.stdout)

    def _roll_back_on_an_alert(self) -> str:
        stage = self.stage
        stage.say(10, "An alert asks for a rollback", "It only asks: the policy's matrix wants one person.")
        labels = {"alertname": "FraudScoresDrift", "severity": "critical", "model": MODEL, "environment": ENVIRONMENT}
        stage.tell("alertmanager $ POST /v1/hooks/alertmanager/main  (FraudScoresDrift, critical)", style="cyan")
        answer = stage.post("/v1/hooks/alertmanager/main", ALERT_TOKEN, _notification(labels))
        (result,) = answer["results"]
        stage.tell(f"| {result['outcome']} {result.get('promotion_id', '')} {result.get('verdict', '')}")
        if result["outcome"] != "requested":
            raise LabFailedError(f"want a rollback that is requested, got {result}")
        promotion: str = result["promotion_id"]
        again = stage.post("/v1/hooks/alertmanager/main", ALERT_TOKEN, _notification(labels))["results"][0]
        stage.prove("a storm of alerts is one rollback", holds=again["outcome"] == "collapsed")
        self._approve(promotion, LEO, "ml-lead", expected=0)
        return promotion

    def _carry_back(self, rollback: str, good: Trained, bad: Trained) -> None:
        stage = self.stage
        stage.say(11, "lockgate deliver carries the rollback out", "To the last version that was confirmed there.")
        self._deliver_until(good)
        stage.run(["status", rollback], person=RITA)
        stage.prove(f"{ALIAS} leads to version {good.version} again", holds=stage.champion() == good.version)
        held = stage.ask(["hold", "list"], RITA)["items"]
        done = stage.run(self._request(bad), expected=1, person=RITA)
        stage.prove(
            f"a hold keeps automation from bringing version {bad.version} back, until a person lifts it",
            holds=len(held) == 1 and "hold.in_force" in done.stdout,
        )

    def _ask_what_was_live(self, good: Trained, bad: Trained) -> None:
        stage = self.stage
        stage.say(12, "What was live when, and who let it in", "After the incident this is what everybody asks.")
        versions = []
        for instant in (self.instants["good"], self.instants["bad"], ""):
            when = ["--at", instant] if instant else []
            stage.run(["live", MODEL, ENVIRONMENT, *when], person=OLGA)
            versions.append(stage.ask(["live", MODEL, ENVIRONMENT, *when], OLGA)["live"]["version"])
        wanted = [good.version, bad.version, good.version]
        stage.prove(f"version {', then '.join(wanted)}, each with its records", holds=versions == wanted)

    def audit(self) -> None:
        """Verify the log after the gate was switched off.

        Raises:
            LabFailedError: It does not verify.
        """
        stage = self.stage
        stage.say(13, "The gate is switched off; the auditor verifies", "One export and one key; no server, no trust.")
        stage.run(["audit", "export", "--out", "export"])
        stage.run(["audit", "verify", "--export", "export", "--key", stage.log_key])
        stage.tell("auditor $ python lockgate-verify.pyz --export export --key ...", style="cyan")
        verified = lockgate_verify(stage.folder, "export", stage.log_key)
        for line in (verified.stdout + verified.stderr).splitlines():
            stage.tell(f"| {line}")
        stage.prove("the log is whole, by the verifier that needs no Lockgate", holds=verified.exit_code == 0)

    def _register(self, trained: Trained) -> None:
        arguments = ["model", "add-version", MODEL, trained.version, "--model-dir", self._name(trained.folder)]
        arguments += ["--run", self._name(trained.run_file)] if trained.run_file else []
        self.stage.run(arguments, person=RITA)
        self.stage.run(["lineage", "collect", MODEL, trained.version], person=RITA)

    def _request(self, trained: Trained, verb: str = "request") -> list[str]:
        arguments = [verb, MODEL, trained.version, "--from", "staging", "--to", ENVIRONMENT]
        arguments += ["--model-dir", self._name(trained.folder), "--bundle", self._name(trained.bundle)]
        return [*arguments, "--contributor", "trainer:tess"]

    def _asked(self, trained: Trained) -> str:
        receipt = self.stage.folder / f"receipt-{trained.version}.json"
        self.stage.run([*self._request(trained), "--receipt", receipt.name], expected=4, person=RITA)
        record: Any = orjson.loads(orjson.loads(receipt.read_bytes())["record"])
        promotion: str = record["body"]["promotion_id"]
        return promotion

    def _approve(self, promotion: str, person: Person, role: str, *, expected: int) -> None:
        self.stage.run(["approve", promotion, "--role", role, "--yes"], expected=expected, person=person)

    def _deliver_until(self, trained: Trained) -> None:
        for _ in range(_DELIVERIES_MAX):
            self.stage.run(["deliver", "--once"])
            live = self.stage.ask(["live", MODEL, ENVIRONMENT], RITA)["live"]
            if live is not None and live["version"] == trained.version:
                self.stage.prove(
                    "it is confirmed, by the digest that was approved", holds=live["digest"] == trained.digest
                )
                return
        raise LabFailedError(f"want version {trained.version} live after {_DELIVERIES_MAX} deliveries, got {live}")

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.stage.folder))


def run_lab(console: Console, registry: Registry) -> None:
    """Walk through the lab in a folder that is thrown away.

    Raises:
        StageError: A part did not start, or a step did not prove what it should.
    """
    console.print(Text("Lockgate's lab: one model's life, from training to rollback", style="bold"), soft_wrap=True)
    if registry == "builtin":
        console.print(Text("THE BUILT-IN REGISTRY STANDS IN FOR MLFLOW: the steps that need one are not shown."))
    console.print("Setting up a throw-away gate, its people, and the registry ...", soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="lockgate-lab-") as folder:
        with lab_stage(console, Path(folder), registry) as stage:
            walk = Walk(stage=stage, registry=registry)
            walk.walk()
        walk.audit()
    console.print()
    console.print(Text("Done: every step proved what it should.", style="bold"))


def _running(stage: LabStage) -> MLflowServer:
    if stage.mlflow is None:
        raise LabFailedError("want an MLflow")
    return stage.mlflow


def _notification(labels: dict[str, str]) -> dict[str, Any]:
    alert = {
        "status": "firing",
        "labels": labels,
        "annotations": {"summary": "Scores of the live version drift."},
        "startsAt": timestamp_now(),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "https://prometheus.example/graph",
        "fingerprint": "c0ffee0123456789",
    }
    return {
        "version": "4",
        "groupKey": "{}:{model}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "lockgate",
        "groupLabels": {"model": MODEL},
        "commonLabels": labels,
        "commonAnnotations": {},
        "externalURL": "https://alertmanager.example",
        "alerts": [alert],
    }
