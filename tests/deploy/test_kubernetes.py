"""What the Kubernetes manifests promise. They are read and built here; no test runs them on a cluster."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from lockgate.config.loading import load
from lockgate.policy.opa_binary import OPA_VERSION
from lockgate.policy.sources import CONFIG_NAMES
from lockgate.serving.server import GRACE_S
from support.compose_file import ROOT, read_compose
from support.gates import GateUnderTest

DEPLOY: Final = ROOT / "deploy"
BASE: Final = DEPLOY / "kubernetes" / "base"
OVERLAY: Final = DEPLOY / "kubernetes" / "overlays" / "example"
MADE: Final = "site/"  # by scripts/prepare-deployment
# Made by whoever applies the manifests, as docs/howto/deploy-on-kubernetes.md says.
SECRETS: Final = {"lockgate-database-owner", "lockgate-database-service", "lockgate-log-key", "lockgate-opa"}
POD_VOLUMES: Final = {"configMap", "secret", "emptyDir", "persistentVolumeClaim"}  # of those that "restricted" allows


def documents(folder: Path) -> Iterator[dict[str, Any]]:
    """Read every manifest of a folder."""
    for path in sorted(folder.glob("*.yaml")):
        if path.name != "kustomization.yaml":
            yield from yaml.safe_load_all(path.read_text())


def kustomization(folder: Path) -> dict[str, Any]:
    """Read a folder's kustomization."""
    found: dict[str, Any] = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return found


def with_pods(found: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Return every manifest that makes pods, with its pod at `spec.template`."""
    for document in found:
        if document["kind"] in {"Deployment", "Job"}:
            yield document
        elif document["kind"] == "CronJob":
            yield {**document, "spec": document["spec"]["jobTemplate"]["spec"]}


WORKLOADS: Final = {document["metadata"]["name"]: document for document in with_pods(documents(BASE))}


@pytest.fixture(params=sorted(WORKLOADS))
def pod(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The pod of each workload."""
    spec: dict[str, Any] = WORKLOADS[request.param]["spec"]["template"]["spec"]
    return spec


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all containers of a pod."""
    return [*pod.get("initContainers", ()), *pod["containers"]]


GATE: Final = WORKLOADS["lockgate"]["spec"]["template"]["spec"]


@pytest.mark.parametrize("folder", [BASE, OVERLAY], ids=["base", "overlay"])
def test_a_kustomization_lists_what_lies_beside_it(folder: Path) -> None:
    """Every manifest is listed, and everything listed is there or made by the named script."""
    listed = kustomization(folder)["resources"]
    beside = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml"}
    files = [file.rpartition("=")[2] for maps in kustomization(folder)["configMapGenerator"] for file in maps["files"]]

    assert {name for name in listed if not name.startswith("..")} == beside
    assert all((folder / name / "kustomization.yaml").exists() for name in listed if name.startswith(".."))
    assert all(
        (folder / file).exists() or file.startswith(MADE) or file in (folder / ".gitignore").read_text()
        for file in files
    )


def test_pods_meet_the_restricted_standard(pod: dict[str, Any]) -> None:
    """Pod Security "restricted", and beyond: a root file system that nobody writes to, and no token of Kubernetes."""
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert all(len(volume) == 2 and volume.keys() & POD_VOLUMES for volume in pod["volumes"])
    for container in containers(pod):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"].keys() == {"requests", "limits"}


def test_images_have_an_exact_version(pod: dict[str, Any]) -> None:
    """The same as docker-compose.yml runs; the overlay says where ours comes from."""
    composed = {service.document["image"] for service in read_compose({}).values()}

    assert {container["image"] for container in containers(pod)} <= composed
    assert f"lockgate:{kustomization(OVERLAY)['images'][0]['newTag']}" in composed
    assert f"openpolicyagent/opa:{OPA_VERSION}-static" in {container["image"] for container in containers(GATE)}


def test_what_is_mounted_is_a_volume_and_defined(pod: dict[str, Any]) -> None:
    """Every mount names a volume of the pod; every volume's source is made here or by a documented command."""
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    folders = (BASE, OVERLAY, DEPLOY / "opa")
    maps = {maps["name"] for folder in folders for maps in kustomization(folder)["configMapGenerator"]}
    claims = {
        document["metadata"]["name"] for document in documents(BASE) if document["kind"] == "PersistentVolumeClaim"
    }
    manual = (ROOT / "docs" / "howto" / "deploy-on-kubernetes.md").read_text()
    mounted = {mount["name"] for container in containers(pod) for mount in container["volumeMounts"]}

    assert mounted == volumes.keys()
    assert {volume["configMap"]["name"] for volume in volumes.values() if "configMap" in volume} <= maps
    assert {volume["secret"]["secretName"] for volume in volumes.values() if "secret" in volume} <= SECRETS
    assert {
        volume["persistentVolumeClaim"]["claimName"] for volume in volumes.values() if "persistentVolumeClaim" in volume
    } <= claims
    assert all(f"secret generic {name}" in manual for name in SECRETS)


def test_who_holds_which_secret() -> None:
    """Only the job has the owner's password; OPA has the hash of the token, and the gate the token."""
    held = {
        (name, container["name"]): {
            volume["secret"]["secretName"] + "".join(f"/{item['key']}" for item in volume["secret"].get("items", ()))
            for mount in container["volumeMounts"]
            for volume in workload["spec"]["template"]["spec"]["volumes"]
            if volume["name"] == mount["name"] and "secret" in volume
        }
        for name, workload in WORKLOADS.items()
        for container in containers(workload["spec"]["template"]["spec"])
    }

    assert held == {
        ("lockgate", "opa"): {"lockgate-opa/opa_callers.json"},
        ("lockgate", "lockgate"): {"lockgate-database-service", "lockgate-log-key", "lockgate-opa/opa_token"},
        ("lockgate-tend", "tend"): {"lockgate-database-service", "lockgate-log-key"},
        ("lockgate-deliver", "deliver"): {"lockgate-database-service", "lockgate-log-key"},
        ("lockgate-migrate", "migrate"): {"lockgate-database-owner", "lockgate-log-key"},
        ("lockgate-migrate", "grants"): {"lockgate-database-owner", "lockgate-log-key"},
        ("lockgate-verify", "verify"): {"lockgate-database-service"},
    }


def test_the_policy_is_whole() -> None:
    """Each document of the policy is mounted singly: a configuration map's folder is made of links."""
    mounts = {
        mount["mountPath"]: mount["subPath"]
        for mount in containers(GATE)[-1]["volumeMounts"]
        if mount["name"] == "policy"
    }
    keys = {
        file.split("=")[0]: file.split("=")[1]
        for maps in kustomization(OVERLAY)["configMapGenerator"]
        if maps["name"] == "lockgate-policy"
        for file in maps["files"]
    }

    assert mounts == {f"/etc/lockgate/policy/{name}/data.json": name for name in CONFIG_NAMES}
    assert keys == {name: f"site/policy/{name}/data.json" for name in CONFIG_NAMES}


def test_selectors_match() -> None:
    """What a service, a budget, a spread or a network policy selects is what carries these labels, and nothing else."""
    labels = {name: workload["spec"]["template"]["metadata"]["labels"] for name, workload in WORKLOADS.items()}
    part_of = kustomization(BASE)["labels"][0]
    assert part_of["includeTemplates"] is True
    labels = {name: {**found, **part_of["pairs"]} for name, found in labels.items()}

    def selected(wanted: dict[str, str]) -> set[str]:
        return {name for name, found in labels.items() if wanted.items() <= found.items()}

    for name, workload in WORKLOADS.items():
        if workload["kind"] == "Deployment":
            assert selected(workload["spec"]["selector"]["matchLabels"]) == {name}
    by_kind = {
        (document["kind"], document["metadata"]["name"]): document["spec"]
        for document in documents(BASE)
        if "spec" in document
    }
    assert selected(by_kind["Service", "lockgate"]["selector"]) == {"lockgate"}
    assert selected(by_kind["PodDisruptionBudget", "lockgate"]["selector"]["matchLabels"]) == {"lockgate"}
    assert all(
        selected(spread["labelSelector"]["matchLabels"]) == {"lockgate"} for spread in GATE["topologySpreadConstraints"]
    )
    chosen = {
        name: selected(spec["podSelector"]["matchLabels"])
        for (kind, name), spec in by_kind.items()
        if kind == "NetworkPolicy"
    }
    everything = set(WORKLOADS)
    assert chosen == {
        "lockgate-default-deny": everything,
        "lockgate-callers": {"lockgate"},
        "lockgate-names-and-database": everything,
        "lockgate-outside": everything,
    }
    expression = by_kind["NetworkPolicy", "lockgate-outside"]["podSelector"]["matchExpressions"]
    assert expression == [
        {"key": "app.kubernetes.io/component", "operator": "In", "values": ["gate", "tend", "deliver"]}
    ]


def test_the_network_is_shut_by_default() -> None:
    """Both ways; and what is let out goes to no private address but the database's."""
    policies = {
        document["metadata"]["name"]: document["spec"]
        for document in documents(BASE)
        if document["kind"] == "NetworkPolicy"
    }

    assert policies["lockgate-default-deny"].keys() == {"podSelector", "policyTypes"}
    assert policies["lockgate-default-deny"]["policyTypes"] == ["Ingress", "Egress"]
    assert [name for name, spec in policies.items() if "ingress" in spec] == ["lockgate-callers"]
    assert policies["lockgate-outside"]["egress"][0]["ports"] == [{"port": 443, "protocol": "TCP"}]
    assert {"10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"} <= set(
        policies["lockgate-outside"]["egress"][0]["to"][0]["ipBlock"]["except"]
    )


def test_probes_ask_what_is_there(gate: GateUnderTest) -> None:
    """Each port of a probe is a port of its container, and each path a route that is open to all."""
    for container in containers(GATE):
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        probes = [
            container[kind]["httpGet"]
            for kind in ("startupProbe", "livenessProbe", "readinessProbe")
            if kind in container
        ]
        assert probes
        assert all(probe["port"] in ports for probe in probes)
        if container["name"] == "lockgate":
            assert [probe["path"] for probe in probes] == ["/livez", "/livez", "/readyz"]
            assert {gate.call("GET", probe["path"], None).status_code for probe in probes} == {200}
    service = next(document for document in documents(BASE) if document["kind"] == "Service")
    assert service["spec"]["ports"][0]["targetPort"] == "http"


def test_the_log_is_verified_each_night() -> None:
    """One at a time; a verdict is not asked for again, so that a job that fails stays failed."""
    (job,) = [document["spec"] for document in documents(BASE) if document["kind"] == "CronJob"]

    assert re.fullmatch(r"\d+ \d+ \* \* \*", job["schedule"])
    assert job["jobTemplate"]["spec"]["backoffLimit"] == 0
    assert job["concurrencyPolicy"] == "Forbid"


def test_a_gate_gets_longer_to_end_than_it_takes() -> None:
    """The wait before it is told, and its own time for requests under way, end before it is killed."""
    wait = containers(GATE)[-1]["lifecycle"]["preStop"]["sleep"]["seconds"]

    assert GATE["terminationGracePeriodSeconds"] > wait + GRACE_S
    assert containers(GATE)[0]["restartPolicy"] == "Always"  # OPA is a sidecar: it ends after the gate


def test_every_setting_is_one(pod: dict[str, Any], tmp_path: Path) -> None:
    """What the pods are told is known to Lockgate, and no variable of Kubernetes' own begins as ours do."""
    settings = (BASE / "lockgate.toml").read_text()
    for path in re.findall(r'"(/run/secrets/\S+)"', settings):
        settings = settings.replace(path, str(tmp_path / Path(path).name))
    (tmp_path / "database_url").write_text("postgresql://db.example.org/lockgate")
    file = tmp_path / "lockgate.toml"
    file.write_text(settings)
    for container in containers(pod):
        told = {variable["name"]: variable.get("value", "pod-1") for variable in container.get("env", ())}
        ours = {name: value for name, value in told.items() if name.startswith("LOCKGATE_")}
        if ours:
            token = tmp_path / "opa_token"
            token.write_text("x")
            ours = {name: str(token) if name.endswith("_TOKEN_FILE") else value for name, value in ours.items()}
            assert load({**ours, "LOCKGATE_CONFIG": str(file)}).settings.workers == 2
    assert pod["enableServiceLinks"] is False


@pytest.mark.opa
@pytest.mark.usefixtures("opa_binary")
def test_the_example_builds(tmp_path: Path) -> None:
    """`kubectl kustomize`, where it is at hand, makes of the example what refers to nothing that it does not make."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not on PATH")
    shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=shutil.ignore_patterns("site"))
    overlay = tmp_path / "deploy" / OVERLAY.relative_to(DEPLOY)
    prepare = [sys.executable, str(ROOT / "scripts" / "prepare-deployment"), str(overlay / "site")]
    subprocess.run(prepare, check=True, capture_output=True)
    (overlay / "database-ca.pem").write_text("a certificate")
    built = subprocess.run([kubectl, "kustomize", str(overlay)], check=False, capture_output=True, text=True)
    found = list(yaml.safe_load_all(built.stdout))
    names = {document["metadata"]["name"] for document in found if document["kind"] == "ConfigMap"}
    pods = [document["spec"]["template"]["spec"] for document in with_pods(found)]
    wanted = {volume["configMap"]["name"] for pod in pods for volume in pod["volumes"] if "configMap" in volume}
    job = next(document for document in found if document["kind"] == "Job")

    assert built.returncode == 0, built.stderr
    assert wanted == names
    assert job["spec"]["template"]["spec"]["initContainers"][0]["env"][1] == {
        "name": "ORIGIN",
        "value": "gate.example.org/audit",
    }
    assert all(document["metadata"].get("namespace", "lockgate") == "lockgate" for document in found)
    assert "set-in-the-overlay" not in built.stdout
    assert "192.0.2.5" not in built.stdout
