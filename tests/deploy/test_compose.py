"""What docker-compose.yml and the image promise, for every service; no container engine is needed to see it."""

import re
import stat
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from lockgate.config.loading import load
from lockgate.policy.opa_binary import OPA_VERSION
from lockgate.policy.signing import BUNDLE_ALGORITHM
from lockgate.serving.server import GRACE_S
from support.compose_file import COMPOSE_FILE, ROOT, SITE, read_compose

DOCUMENT: Final[dict[str, Any]] = yaml.safe_load(COMPOSE_FILE.read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = DOCUMENT["services"]
ONE_SHOT: Final = {"migrate", "grants"}
OURS: Final = {"migrate", "grants", "lockgate", "tend", "deliver"}
EXACT_VERSION: Final = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+(\.\d+)?(-[a-z0-9.-]+)?")
# What each service may reach: OPA nobody outside, and nobody but the gate and the bundle.
NETWORKS: Final = {
    "migrate": {"data"},
    "grants": {"data"},
    "lockgate": {"front", "policy", "data", "monitoring"},
    "tend": {"front", "data"},
    "deliver": {"front", "data"},
    "opa": {"policy"},
    "bundles": {"policy"},
    "database": {"data"},
    "prometheus": {"monitoring"},
    "grafana": {"front", "monitoring"},
}
MADE_BY_HAND: Final = {"secrets/prometheus_token"}  # docs/howto/deploy-with-compose.md says how


@pytest.fixture(params=sorted(SERVICES))
def service(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each service."""
    return SERVICES[request.param]


def test_no_service_has_a_privilege(service: Mapping[str, Any]) -> None:
    """Not root, no capability, none to be gained, an image that cannot be written to, and nothing of the host's."""
    assert re.fullmatch(r"[1-9]\d*:\d+", service["user"])
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "network_mode", "pid", "ipc", "devices", "userns_mode"} & service.keys()


def test_every_image_has_an_exact_version(service: Mapping[str, Any]) -> None:
    """No moving tag."""
    assert EXACT_VERSION.fullmatch(service["image"]), service["image"]


def test_every_service_is_limited(service: Mapping[str, Any]) -> None:
    """Memory, processors, processes and logs have an end."""
    assert {"mem_limit", "cpus", "pids_limit"} <= service.keys()
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - ONE_SHOT))
def test_every_service_that_stays_says_whether_it_is_healthy(name: str) -> None:
    """By a program of its own image, without a shell; it is started again when it ends, and gets the time to end."""
    service = SERVICES[name]

    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["healthcheck"].keys() >= {"interval", "timeout", "retries", "start_period"}
    assert service["restart"] == "unless-stopped"
    assert re.fullmatch(r"\d+s", service["stop_grace_period"])


def test_a_gate_gets_longer_to_end_than_it_takes() -> None:
    """It is not killed while it still answers."""
    assert int(SERVICES["lockgate"]["stop_grace_period"].removesuffix("s")) > GRACE_S


@pytest.mark.parametrize("name", sorted(ONE_SHOT))
def test_what_ends_is_waited_for(name: str) -> None:
    """The gate starts only after the database is as it must be."""
    assert SERVICES[name]["restart"] == "on-failure:3"
    assert SERVICES["lockgate"]["depends_on"]["grants"] == {"condition": "service_completed_successfully"}
    assert SERVICES["grants"]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_nothing_starts_before_what_it_needs_is_well(service: Mapping[str, Any]) -> None:
    """No service merely waits for another's start."""
    conditions = {needed["condition"] for needed in service.get("depends_on", {}).values()}

    assert conditions <= {"service_healthy", "service_completed_successfully"}


def test_networks() -> None:
    """Each service is where it must be and nowhere else; only `front` leads out."""
    assert {name: set(service["networks"]) for name, service in SERVICES.items()} == NETWORKS
    assert {name for name, network in DOCUMENT["networks"].items() if not network.get("internal")} == {"front"}


def test_ports_are_of_this_machine_alone(service: Mapping[str, Any]) -> None:
    """What faces callers is a proxy's affair."""
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))


def test_secrets_are_files(service: Mapping[str, Any]) -> None:
    """No variable holds a secret; one that is about a secret names a file."""
    for name, value in service.get("environment", {}).items():
        if re.search("PASSWORD|TOKEN|SECRET|KEY", name):
            assert name.endswith("_FILE")
            assert value.startswith("/run/secrets/")


def test_who_holds_which_secret() -> None:
    """The gate has no password but the service's, OPA only the hash of the token, and nobody the policy's key."""
    held = {
        name: sorted(Path(file).name for file in service.secrets.values()) for name, service in read_compose({}).items()
    }

    assert held == {
        "migrate": ["database_owner_url"],
        "grants": ["database_owner_url"],
        "lockgate": ["database_service_url", "opa_token"],
        "tend": ["database_service_url"],
        "deliver": ["database_service_url"],
        "opa": ["opa_callers.json", "opa_tls_key"],
        "bundles": [],
        "database": [
            "database_admin_password",
            "database_owner_password",
            "database_service_password",
            "database_tls_key",
        ],
        "prometheus": ["prometheus_token"],
        "grafana": ["grafana_admin_password"],
    }
    assert "site/private" not in COMPOSE_FILE.read_text()


@pytest.mark.opa
@pytest.mark.usefixtures("opa_binary")
def test_what_is_mounted_is_there(tmp_path: Path) -> None:
    """A file is in the repository, or scripts/prepare-deployment makes it, for every user; and nobody can change it."""
    site = tmp_path / "site"
    prepare = [sys.executable, str(ROOT / "scripts" / "prepare-deployment"), str(site)]
    first = subprocess.run(prepare, check=True, capture_output=True, cwd=tmp_path, umask=0o077)
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file() and path.name != "bundle.tar.gz"}
    again = subprocess.run(prepare, check=True, capture_output=True, cwd=tmp_path)
    volumes = set(DOCUMENT["volumes"])
    sources = {source for service in read_compose({}).values() for source in service.mounts().values()} - volumes
    made = {source.removeprefix(f"{SITE}/") for source in sources if source.startswith(f"{SITE}/")}

    assert first.stdout == again.stdout
    assert {path: path.read_bytes() for path in before} == before
    assert stat.S_IMODE(site.stat().st_mode) == 0o700
    assert stat.S_IMODE((site / "private" / "policy.key").stat().st_mode) == 0o400
    for name in made - MADE_BY_HAND:
        assert (site / name).stat().st_mode & stat.S_IROTH, name
    assert all((ROOT / source).exists() for source in sources if not source.startswith(f"{SITE}/"))
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            assert volume.split(":")[0] in volumes or volume.endswith(":ro")


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_setting_is_one(name: str, tmp_path: Path) -> None:
    """What the services are told is known to Lockgate, and they differ from each other in nothing but the engine."""
    environment = dict(SERVICES[name]["environment"])
    file = tmp_path / "lockgate.toml"
    settings = (ROOT / "deploy" / "compose" / "lockgate.toml").read_text()
    for word, path in (("/run/secrets/", f"{tmp_path}/"), ("/etc/lockgate", str(tmp_path))):
        settings = settings.replace(word, path)
        environment = {variable: value.replace(word, path) for variable, value in environment.items()}
    file.write_text(settings)
    (tmp_path / "database_url").write_text("postgresql://database/lockgate")
    (tmp_path / "opa_token").write_text("x")
    loaded = load({**environment, "LOCKGATE_CONFIG": str(file)}).settings

    assert loaded.bind == "0.0.0.0:8080"
    assert loaded.policy_engine == ("opa" if name == "lockgate" else "wasm")
    assert set(tomllib.loads(settings)) <= {*loaded.__slots__, "database_url_file"}


def test_opa_loads_what_is_signed_alone() -> None:
    """The bundle must be signed, OPA asks who calls, and nothing is reloaded unverified or told to outsiders."""
    config = yaml.safe_load((ROOT / "deploy" / "opa" / "config.yaml").read_text())
    command = SERVICES["opa"]["command"]

    assert SERVICES["opa"]["image"] == f"openpolicyagent/opa:{OPA_VERSION}-static"
    assert config["bundles"]["lockgate"]["signing"] == {"keyid": "policy"}
    assert config["keys"]["policy"] == {"algorithm": BUNDLE_ALGORITHM}
    assert {"--authentication=token", "--authorization=basic", "--skip-version-check"} <= set(command)
    assert not [part for part in command if part.startswith(("--watch", "--skip-verify", "--bundle", "-b", "-w"))]
    assert not {"decision_logs", "status"} & config.keys()


def test_the_image() -> None:
    """Exact versions; what is copied is there and let through; hashes are required; it runs as nobody's account."""
    text = (ROOT / "service" / "Dockerfile").read_text().replace("\\\n", " ")
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [part for line in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE) for part in line.split()]

    assert all(EXACT_VERSION.fullmatch(image) for image in re.findall(r"^FROM (\S+)", text, re.MULTILINE))
    assert len(set(re.findall(r"^FROM (\S+)", text, re.MULTILINE))) == 1
    assert set(copied) == allowed
    assert all((ROOT / source).exists() for source in copied)
    assert "--require-hashes -r requirements.lock" in text
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["10001:10001"]
    assert all(value.startswith("[") for value in re.findall(r"^(?:CMD|ENTRYPOINT)\s+(.*)$", text, re.MULTILINE))
    assert f'image.version="{version("lockgate")}"' in text
    assert {SERVICES[name]["image"] for name in OURS} == {f"lockgate:{version('lockgate')}"}
    assert {SERVICES[name]["user"] for name in OURS} == {"10001:10001"}
