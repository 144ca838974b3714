"""`lockgate rollout`, `rollback`, `live` and `hold` against a gate: what is done, what is shown, how it ends."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lockgate.clock import NS_PER_S
from lockgate.policy.wasm import WasmEngine
from lockgate.system_clock import SystemClock
from support.commands import Ended, Run
from support.gate_server import Call, GateServer, Reply
from support.gates import DAY_NS, make_gate
from support.rollouts import MODEL, PRODUCTION, Deployer, claims_of, digest_of

As = Callable[..., Ended]


@pytest.fixture
def deployer(tmp_path: Path, engine: WasmEngine, gate: GateServer) -> Iterator[Deployer]:
    """A whole gate behind the peer, at the time of this machine: the commands look at its clock."""
    folder = tmp_path / "gate"
    folder.mkdir()
    made = make_gate(folder, engine)
    made.clock.now = SystemClock().now_ns()
    gate.roles = None

    def answer(call: Call) -> Reply:
        response = made.client.open(
            call.path,
            method=call.method,
            data=None if call.body is None else json.dumps(call.body),
            headers={name: value for name, value in call.headers.items() if name not in {"Host", "Content-Length"}},
        )
        return Reply(status=response.status_code, body=response.data, content_type=response.content_type)

    gate.answer = answer
    with capture_logs():  # else the gate's lines mix with what the commands print
        yield Deployer(gate=made)


@pytest.fixture
def lockgate(run: Run, deployer: Deployer) -> As:
    """Run `lockgate` as somebody."""

    def run_as(who: str, *arguments: str) -> Ended:
        key = str(deployer.gate.key)
        return run(*arguments, environment={"LOCKGATE_TOKEN": deployer.gate.tokens[who], "LOCKGATE_LOG_KEY": key})

    return run_as


def test_a_promotion_is_carried_out(lockgate: As, deployer: Deployer) -> None:
    """Permit, use, step, observation; the permit alone is on standard output."""
    promotion_id = deployer.allow("1")
    permitted = lockgate("dora", "rollout", "permit", promotion_id)
    claims = claims_of(permitted.out.strip())
    used = lockgate("dora", "rollout", "report", promotion_id, "--permit", claims["jti"], "--percent", "5")
    stepped = lockgate("dora", "rollout", "report", promotion_id, "--step", "--percent", "50")
    seen = lockgate("dora", "rollout", "observe", MODEL, "--env", PRODUCTION, "--digest", str(digest_of("1")))
    shown = lockgate("rita", "status", promotion_id, "--to", PRODUCTION)

    assert (permitted.code, claims["promotion"]) == (0, promotion_id)
    assert claims["jti"] in permitted.err
    assert (used.code, used.out) == (0, f"EXECUTING {promotion_id}  5 %\n")
    assert (stepped.code, stepped.out) == (0, f"EXECUTING {promotion_id}  50 %\n")
    assert (seen.code, seen.out) == (0, f"CONFIRMED {MODEL} {PRODUCTION} {promotion_id}\n")
    assert shown.code == 0


def test_what_is_not_allowed_any_more_gets_no_permit(lockgate: As, deployer: Deployer) -> None:
    """The exit code is the verdict's, and standard output stays empty."""
    promotion_id = deployer.allow("1")
    deployer.gate.clock.advance(4 * DAY_NS)
    ended = lockgate("dora", "rollout", "permit", promotion_id)

    assert (ended.code, ended.out) == (4, "")
    assert "pending" in ended.err


def test_a_failure_is_reported(lockgate: As, deployer: Deployer) -> None:
    """Afterwards no deploy may depend on the allow of before."""
    promotion_id = deployer.allow("1")
    deployer.execute(promotion_id)
    ended = lockgate("dora", "rollout", "report", promotion_id, "--failed", "kserve.unready", "--detail", "no pod")
    shown = lockgate("rita", "status", promotion_id)

    assert (ended.code, ended.out) == (0, f"FAILED {promotion_id}  100 %\n")
    assert shown.code == 3
    assert "is failed" in shown.err


@pytest.mark.parametrize("options", [[], ["--step", "--failed", "a.b"]])
def test_a_report_says_one_thing(lockgate: As, options: list[str]) -> None:
    """Which, must be clear."""
    ended = lockgate("dora", "rollout", "report", "01936e1a-0000-7000-8000-000000000000", *options)

    assert ended.code == 2
    assert "want one of --permit, --step and --failed" in ended.err


def test_out_of_band_ends_with_1(lockgate: As, deployer: Deployer) -> None:
    """A pipeline that finds what nobody promoted stops."""
    digest = str(digest_of("stranger"))
    ended = lockgate("dora", "rollout", "observe", MODEL, "--env", PRODUCTION, "--digest", digest)

    assert (ended.code, ended.out) == (1, f"OUT OF BAND {MODEL} {PRODUCTION}\n")
    assert deployer.gate.records("gate.live")


def test_a_rollback(lockgate: As, deployer: Deployer) -> None:
    """Asked for, approved, carried out; the hold is listed and lifted."""
    deployer.deploy("1")
    deployer.deploy("2")
    asked = lockgate("rita", "rollback", MODEL, "--env", PRODUCTION, "--reason", "errors", "-o", "json")
    promotion_id = json.loads(asked.out)["promotion_id"]  # noqa: TID251 - our own output
    deployer.approve(deployer.gate.call("GET", f"/v1/promotions/{promotion_id}", "rita").json)
    deployer.execute(promotion_id)
    deployer.observe("1")
    listed = lockgate("aude", "hold", "list")
    lifted = lockgate("lena", "hold", "lift", MODEL, "--env", PRODUCTION, "--reason", "fixed")
    again = lockgate("lena", "hold", "lift", MODEL, "--env", PRODUCTION)

    assert asked.code == 4
    assert listed.out.startswith(f"{PRODUCTION}  {MODEL}  since ")
    assert listed.out.endswith(f"by {promotion_id}\n")
    assert (lifted.code, lifted.out) == (0, f"LIFTED {MODEL} {PRODUCTION}\n")
    assert again.code == 3
    assert "hold.unknown" in again.err


def test_no_good_version(lockgate: As) -> None:
    """There is nothing to go back to, and it says so; the key to ask again with is shown."""
    ended = lockgate("rita", "rollback", MODEL, "--env", PRODUCTION, "--to", "1")

    assert (ended.code, ended.out) == (3, "")
    assert "rollback.no_good_version" in ended.err


def test_what_was_live(lockgate: As, deployer: Deployer) -> None:
    """Now, at an instant, before anything; who let it in, and what should be there."""
    promotion_id = deployer.deploy("1")
    deployer.gate.clock.advance(60 * NS_PER_S)
    deployer.observe("stranger")
    wanted = deployer.allow("2")
    now = lockgate("aude", "live", MODEL, PRODUCTION)
    begun = next(line.split()[1] for line in now.out.splitlines() if line.startswith("  from"))
    history = deployer.gate.call("GET", f"/v1/live/{MODEL}/{PRODUCTION}/history", "aude").json["items"]
    then = lockgate("aude", "live", MODEL, PRODUCTION, "--at", history[1]["from"])
    before = lockgate("aude", "live", MODEL, PRODUCTION, "--at", "2026-01-01T00:00:00Z")

    assert (now.code, then.code, before.code) == (0, 0, 0)
    assert "nobody: out of band" in now.out
    assert f"allowed {wanted}" in now.out
    assert begun == history[0]["from"]
    assert f"LIVE {MODEL} {PRODUCTION}  1  {digest_of('1')}" in then.out
    assert promotion_id in then.out
    assert "rita" in then.out
    assert "leo (ml-lead)" in then.out
    assert "gate.confirmation" in then.out
    assert before.out.startswith(f"NOTHING SEEN {MODEL} {PRODUCTION}")
