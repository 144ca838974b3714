"""Tending: what is due is done, once; what fails is said, and stops nothing else; on both databases."""

import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest
from psycopg import sql
from structlog.testing import capture_logs

from lockgate.audit import AuditLog, Event, KindCatalogue, Receipt, store
from lockgate.audit.formats.checkpoints import open_checkpoint, read_checkpoint
from lockgate.audit.formats.cosignatures import witness_key_of
from lockgate.audit.formats.kind_names import ANCHOR, HEARTBEAT
from lockgate.audit.formats.log_policy import LogKey, LogPolicy, Witness, format_log_policy, open_cosigned
from lockgate.audit.formats.notes import format_signer, make_signer
from lockgate.audit.formats.records import parse_record
from lockgate.audit.formats.timestamps import Timestamp, verify_timestamp
from lockgate.audit.keeping import tending_store
from lockgate.audit.keeping.anchors import TimestampAuthorities
from lockgate.audit.keeping.tending import Intervals, Tender
from lockgate.audit.types import RecordFilter
from lockgate.audit.verification.export_folder import ExportFolder
from lockgate.audit.verification.timestamp_anchors import timestamp_check
from lockgate.audit.verification.verifier import Trust
from lockgate.audit.verification.verifier import verify_export as verify_folder
from lockgate.canonical_json import parse_json
from lockgate.cli.audit.tend import make_tenders
from lockgate.clock import NS_PER_S, Clock
from lockgate.config import load_settings
from lockgate.errors import LockgateError
from lockgate.storage import grant_service_role, open_engine, read_transaction, write_transaction
from lockgate.system_clock import SystemClock
from support.audit_logs import ORIGIN, LogStand, make_event, make_stand
from support.databases import NewDatabase, PostgreSQLServer
from support.misbehaving_server import Behaviour, answer, misbehaving_server
from support.timestamp_authority import Authority, AuthorityServer, serve_authority
from support.witness_process import serve_witness_process
from support.witnesses import WITNESS_SIGNER, WitnessStand, make_witness_stand, serve_witness
from support.written_logs import only

INTERVALS = Intervals(heartbeat_s=600, cosign_s=60, anchor_s=3600)
WRITERS = 4
DEAD = "http://127.0.0.1:9"  # the discard port: nobody listens


@pytest.fixture
def stand(tmp_path: Path, database_url: str) -> Iterator[LogStand]:
    """A log with nothing but its genesis record; every test here runs on both databases."""
    made = make_stand(tmp_path, database_url)
    yield made
    made.engine.dispose()


@pytest.fixture(scope="module")
def authority() -> Authority:
    """An authority."""
    return Authority()


@pytest.fixture
def served_authority(authority: Authority) -> Iterator[AuthorityServer]:
    """The same on loopback."""
    with serve_authority(authority) as server:
        yield server


@pytest.fixture
def witness(stand: LogStand) -> WitnessStand:
    """A witness that follows the log."""
    folder = stand.folder / "witness"
    folder.mkdir()
    return make_witness_stand(folder, stand.signer)


def _policy(stand: LogStand, *urls: str) -> LogPolicy:
    """Name the witness at the first URL, and witnesses of other keys at the others."""
    keys = [make_signer(f"witness.example/w{n + 1}", bytes(31) + bytes([n + 7])) for n in range(len(urls))]
    assert keys[0] == WITNESS_SIGNER
    return LogPolicy(
        logs=(LogKey(key=stand.signer.verifier_key),),
        witnesses=tuple(
            Witness(name=f"w{n + 1}", key=witness_key_of(key), url=url)
            for n, (key, url) in enumerate(zip(keys, urls, strict=True))
        ),
        quorum="w1",
    )


def _by(clock: Clock, authority: Authority) -> Callable[[bytes], tuple[int, bytes]]:
    """Have the authority answer by a clock."""
    return lambda request: (200, authority.answer(request, clock.now_ns()))


def _tender(stand: LogStand, **parts: Any) -> Tender:
    log = parts.pop("log", stand.log)
    return Tender(log=log, engine=stand.engine, clock=stand.clock, intervals=INTERVALS, **parts)


def _tend(tender: Tender) -> tuple[bool, list[tuple[str, str | None]]]:
    with capture_logs() as lines:
        done = tender.tend()
    # Without those of the witness, which here runs in the same process.
    return done, [(line["event"], line.get("code")) for line in lines if "log" in line]


def _of_kind(stand: LogStand, kind: str) -> list[dict[str, Any]]:
    return [parse_record(record.body) for record in stand.log.find(RecordFilter(kind=kind), limit=1000)]


def test_heartbeat_breaks_the_silence(stand: LogStand) -> None:
    """After half the interval without a record there is one heartbeat, which names the interval; before, none."""
    tender = _tender(stand)
    assert _tend(tender) == (True, [])
    stand.clock.now += 301 * NS_PER_S

    assert _tend(tender) == (True, [("heartbeat_recorded", None)])
    assert _tend(tender) == (True, [])
    assert [record["body"] for record in _of_kind(stand, HEARTBEAT)] == [{"interval_s": 600}]


def test_log_that_vanished_leaves_its_name(stand: LogStand) -> None:
    """The main log's heartbeat names the other logs at once, though it is no time for one; so one that goes is missed.

    An environment's own heartbeats name none.
    """
    others = [
        AuditLog(
            engine=stand.engine,
            signer=make_signer(f"{ORIGIN}/{name}", bytes([number]) * 32),
            clock=stand.clock,
            catalogue=KindCatalogue({}),
            instance="test",
        )
        for number, name in enumerate(("production", "staging"), 1)
    ]
    for other in others:
        other.create()
    main, environment = _tender(stand), _tender(stand, log=others[0])
    stand.fill(1)
    first, again, of_environment = _tend(main), _tend(main), _tend(environment)
    stand.edit("DELETE FROM audit_head WHERE log = ?", f"{ORIGIN}/staging")
    gone = _tend(main)
    verification = verify_folder(ExportFolder(stand.export()), Trust(policy=only(stand.signer)))
    notes = {note.code: note.detail for note in verification.notes}

    assert first == gone == (True, [("heartbeat_recorded", None)])
    assert again == of_environment == (True, [])
    assert [record["body"] for record in _of_kind(stand, HEARTBEAT)] == [
        {"interval_s": 600, "origins": [f"{ORIGIN}/production", f"{ORIGIN}/staging"]},
        {"interval_s": 600, "origins": [f"{ORIGIN}/production"]},
    ]
    assert verification.verdict == "valid"
    assert f": {ORIGIN}/production;" in notes["other_logs"]
    assert f": {ORIGIN}/staging;" in notes["log_gone"]


def test_no_heartbeat_where_others_write(stand: LogStand) -> None:
    """Any record is a sign of life."""
    stand.clock.now += 301 * NS_PER_S
    stand.fill(1)

    assert _tend(_tender(stand)) == (True, [])


def test_heartbeats_keep_their_promise(stand: LogStand) -> None:
    """With rounds as far apart as `round_s` says, no two records are further apart than the interval."""
    tender = _tender(stand)
    for _ in range(40):
        stand.clock.now += int(INTERVALS.round_s * 2.4) * NS_PER_S  # rounds of this test are later than they should be
        tender.tend()
    times = [parse_record(record.body)["ts"] for record in stand.log.find(RecordFilter(), limit=1000)]

    assert INTERVALS.round_s == 60
    assert len(times) > 9
    assert len(_of_kind(stand, HEARTBEAT)) < 20


def test_newest_checkpoint_is_cosigned_once(stand: LogStand, witness: WitnessStand) -> None:
    """A witness is asked about a new checkpoint, its line is kept and published, and it is not asked again."""
    stand.fill(3)
    with serve_witness(witness) as url:
        policy = _policy(stand, url)
        first = _tend(_tender(stand, policy=policy))
        second = _tend(_tender(stand, policy=policy))
    cosigned = open_cosigned(stand.log.published_checkpoint(), policy)

    assert first == (True, [("checkpoint_cosigned", None)])
    assert second == (True, [])
    assert len(witness.requests) == 1
    assert (cosigned.checkpoint, cosigned.quorum_met) == (read_checkpoint(stand.log.checkpoint()), True)


def test_witnesses_are_asked_at_intervals(stand: LogStand, witness: WitnessStand) -> None:
    """One process asks no more often than it was told, however much is written."""
    with serve_witness(witness) as url:
        tender = _tender(stand, policy=_policy(stand, url))
        for _ in range(3):
            stand.fill(1)
            tender.tend()

    assert len(witness.requests) == 1


def test_anchor_is_recorded_when_due(stand: LogStand, authority: Authority, served_authority: AuthorityServer) -> None:
    """The newest checkpoint is stamped and recorded; again only after the interval, and only if the log grew."""
    served_authority.answer = _by(stand.clock, authority)
    authorities = TimestampAuthorities(urls=(served_authority.url,), trust=authority.trust)
    tender = _tender(stand, authorities=authorities)
    stand.fill(2)
    note = stand.log.checkpoint()

    assert _tend(tender) == (True, [("checkpoint_anchored", None)])
    (record,) = _of_kind(stand, ANCHOR)
    documents = [
        stand.log.attachment(record["body"][field].removeprefix("sha256:")) for field in ("checkpoint", "evidence")
    ]
    assert documents[0] == note
    assert isinstance(verify_timestamp(documents[1], note, authority.trust), Timestamp)
    assert record["actor"]["id"] == "tend"
    assert _tend(tender) == (True, [])
    stand.clock.now += 3601 * NS_PER_S
    assert _tend(tender) == (True, [("heartbeat_recorded", None), ("checkpoint_anchored", None)])


def test_clock_that_ran_ahead_stops_nothing(
    stand: LogStand, authority: Authority, served_authority: AuthorityServer
) -> None:
    """While the clock is behind the log this is said, and heartbeats and anchors come at their intervals, no faster.

    That an authority's clock contradicts the machine's is said as well.
    """
    tender = _tender(stand, authorities=TimestampAuthorities(urls=(served_authority.url,), trust=authority.trust))
    right = stand.clock.now
    stand.clock.now += 5 * 365 * 86400 * NS_PER_S
    stand.fill(1)
    assert _tend(tender) == (True, [("clock_contradicted", None), ("checkpoint_anchored", None)])
    stand.clock.now = right
    served_authority.answer = _by(stand.clock, authority)
    first, again = _tend(tender)[1], _tend(tender)[1]
    later = []
    for _ in range(6):
        stand.clock.now += 600 * NS_PER_S
        later += _tend(tender)[1] + _tend(tender)[1]
    behind, beat, anchored = [
        (name, None) for name in ("clock_behind_log", "heartbeat_recorded", "checkpoint_anchored")
    ]

    assert first == [behind, beat, anchored]
    assert again == [behind]
    assert later == [behind, beat, behind] * 5 + [behind, beat, anchored, behind]


def test_clocks_that_differ_a_little(stand: LogStand) -> None:
    """A record by another machine's clock, a little ahead, is a sign of life and no trouble."""
    stand.fill(1)
    stand.clock.now -= 5 * NS_PER_S

    assert _tend(_tender(stand)) == (True, [])


def test_failed_anchor_is_tried_again(stand: LogStand, authority: Authority, served_authority: AuthorityServer) -> None:
    """An authority that is down costs nothing but time: the next round anchors at least as much."""
    working = served_authority.answer
    served_authority.answer = lambda _body: (503, b"")
    authorities = TimestampAuthorities(urls=(DEAD, served_authority.url), trust=authority.trust)
    tender = _tender(stand, authorities=authorities)
    failed = _tend(tender)
    stand.fill(1)
    served_authority.answer = working

    assert failed == (
        False,
        [
            ("authority_failed", "audit.authority_unreachable"),
            ("authority_failed", "audit.authority_unavailable"),
        ],
    )
    assert _tend(tender)[1][-1] == ("checkpoint_anchored", None)
    assert [record["body"]["size"] for record in _of_kind(stand, ANCHOR)] == [2]


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (answer(500, bytes(10 * 1024 * 1024)), ("witness_failed", "audit.witness_unreachable")),
        (answer(503, b""), ("witness_failed", "audit.witness_unavailable")),
        (answer(200, b"nonsense\n"), ("witness_failed", "audit.witness_answer_invalid")),
        (answer(409, b"99\n", "Content-Type: text/x.tlog.size"), ("witness_contradicts", "audit.witness_ahead")),
        (answer(422, b""), ("witness_contradicts", "audit.witness_proof_refused")),
        (lambda _connection: None, ("witness_failed", "audit.witness_unreachable")),
    ],
    ids=["10 MB of error", "busy", "liar", "ahead", "contradicts", "hangs up"],
)
def test_bad_witness_stops_nothing(
    stand: LogStand,
    witness: WitnessStand,
    served_authority: AuthorityServer,
    behaviour: Behaviour,
    said: tuple[str, str],
) -> None:
    """What one witness does is named; the other's line, the heartbeat and the anchor come all the same."""
    stand.clock.now += 301 * NS_PER_S
    with serve_witness(witness) as url, misbehaving_server(behaviour) as bad:
        policy = _policy(stand, url, f"http://{bad.address.host}:{bad.address.port}")
        trust = Authority().trust  # another authority's: each token is refused
        tender = _tender(
            stand, policy=policy, authorities=TimestampAuthorities(urls=(served_authority.url,), trust=trust)
        )
        done, lines = _tend(tender)

    assert not done
    assert lines == [
        ("heartbeat_recorded", None),
        ("checkpoint_cosigned", None),
        said,
        ("authority_failed", "audit.timestamp_untrusted"),
    ]
    assert open_cosigned(stand.log.published_checkpoint(), policy).quorum_met


def test_restored_backup_is_noticed(
    stand: LogStand, witness: WitnessStand, authority: Authority, served_authority: AuthorityServer
) -> None:
    """A log that is shorter than what it signed, and than what a witness saw, gets nothing, and each act says why."""
    authorities = TimestampAuthorities(urls=(served_authority.url,), trust=authority.trust)
    stand.fill(5)
    with serve_witness(witness) as url:
        policy = _policy(stand, url)
        assert _tend(_tender(stand, policy=policy))[0]
        stand.cut(3)
        stand.edit("DELETE FROM audit_cosigned")
        stand.clock.now += 301 * NS_PER_S
        done, lines = _tend(_tender(stand, log=stand.reopened(), policy=policy, authorities=authorities))

    assert not done
    assert lines == [
        ("tending_failed", "audit.log_behind"),
        ("tending_failed", "audit.log_behind"),
        ("witness_contradicts", "audit.witness_ahead"),
        ("tending_failed", "audit.log_behind"),
    ]
    assert served_authority.requests == []


def test_log_that_was_never_created(stand: LogStand, new_database: NewDatabase) -> None:
    """Tending makes no log, and says that there is none."""
    empty = replace(stand, engine=open_engine(new_database()))
    done, lines = _tend(_tender(empty, log=empty.reopened()))

    assert (done, lines) == (False, [("tending_failed", "audit.log_foreign")] * 2)
    empty.engine.dispose()


def test_defect_in_one_act_stops_no_other(
    stand: LogStand, authority: Authority, served_authority: AuthorityServer
) -> None:
    """An unforeseen error ends its act, is told with its traceback, and the others go on."""

    class Broken(AuditLog):
        def append(self, event: Event) -> Receipt:
            if event.kind == HEARTBEAT:
                raise ZeroDivisionError
            return super().append(event)

    stand.log.__class__ = Broken
    stand.clock.now += 301 * NS_PER_S
    served_authority.answer = _by(stand.clock, authority)
    authorities = TimestampAuthorities(urls=(served_authority.url,), trust=authority.trust)

    assert _tend(_tender(stand, authorities=authorities)) == (
        False,
        [("tending_failed", "internal"), ("checkpoint_anchored", None)],
    )


def test_changed_cosignatures_are_asked_for_anew(stand: LogStand, witness: WitnessStand) -> None:
    """Whoever spoils what is kept of witnesses gains nothing: they are asked again."""
    with serve_witness(witness) as url:
        policy = _policy(stand, url)
        _tender(stand, policy=policy).tend()
        stand.change("audit_cosigned", "note", "size = 1", lambda note: note[:-20] + b"AAAA" + note[-16:])

        assert _tend(_tender(stand, policy=policy)) == (True, [("checkpoint_cosigned", None)])
    assert open_cosigned(stand.log.published_checkpoint(), policy).quorum_met


class TendProcess:
    """`lockgate audit tend` on a stand's log, in a process of its own."""

    def __init__(self, stand: LogStand, *arguments: str, **settings: str) -> None:
        key = stand.folder / "log.key"
        key.write_text(format_signer(stand.signer) + "\n")
        key.chmod(0o600)
        environment = {
            "PATH": os.environ["PATH"],  # noqa: TID251 - of the test run
            "LOCKGATE_DATA_DIR": str(stand.folder),
            "LOCKGATE_DATABASE_URL": stand.url,
            **{f"LOCKGATE_{name}": value for name, value in settings.items()},
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lockgate", "audit", "tend", *arguments],
            env=environment,
            stderr=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            print(self._process.communicate()[1].decode())  # noqa: T201 - what it said before the test gave it up

    def end(self, number: int | None = None) -> tuple[int, list[dict[str, Any]]]:
        """Wait for its end, after a signal if one is given; return its exit code and its lines."""
        if number is not None:
            self._process.send_signal(number)
        _, said = self._process.communicate(timeout=60)
        return self._process.returncode, [parse_json(line, bytes_max=100_000) for line in said.splitlines()]


def test_beside_a_busy_service(stand: LogStand, authority: Authority, served_authority: AuthorityServer) -> None:
    """Three processes, writers, witness and tender: checkpoints get cosigned and anchored, and the log verifies."""
    (stand.folder / "roots.pem").write_bytes(authority.pem)
    served_authority.answer = _by(SystemClock(), authority)
    stop = threading.Event()

    def write() -> int:
        count = 0
        while not stop.is_set():
            stand.log.append(make_event())
            count += 1
            time.sleep(0.01)
        return count

    def cosigned() -> int:
        with read_transaction(stand.engine) as connection:
            return len(tending_store.read_cosigned(connection, ORIGIN, 10))

    with (
        serve_witness_process(stand.folder / "witness", stand.signer.verifier_key) as witness,
        ThreadPoolExecutor(WRITERS) as pool,
    ):
        policy = LogPolicy(
            logs=(LogKey(key=stand.signer.verifier_key),),
            witnesses=(Witness(name="w1", key=witness.key, url=witness.url),),
            quorum="w1",
        )
        (stand.folder / "log.policy").write_text(format_log_policy(policy))
        with TendProcess(
            stand,
            AUDIT_POLICY=str(stand.folder / "log.policy"),
            TSA_URLS=f"{DEAD} {served_authority.url}",
            TSA_ROOTS=str(stand.folder / "roots.pem"),
            HEARTBEAT_INTERVAL_S="2",
            COSIGN_INTERVAL_S="0.2",
            ANCHOR_INTERVAL_S="0.5",
        ) as tending:
            writers = [pool.submit(write) for _ in range(WRITERS)]
            try:
                _wait_until(lambda: len(_of_kind(stand, ANCHOR)) >= 2 and cosigned() >= 3)
            finally:
                stop.set()
            written = sum(writer.result() for writer in writers)
            _wait_until(lambda: bool(_of_kind(stand, HEARTBEAT)))
            code, lines = tending.end(signal.SIGTERM)
    anchors, beats = _of_kind(stand, ANCHOR), _of_kind(stand, HEARTBEAT)
    size = open_checkpoint(stand.log.checkpoint(), [stand.signer.verifier_key]).size

    assert code == 0
    assert size == 1 + written + len(anchors) + len(beats)
    assert {"tending", "checkpoint_cosigned", "checkpoint_anchored", "heartbeat_recorded"} <= {
        line["event"] for line in lines
    }
    assert {line.get("code") for line in lines} == {None, "audit.authority_unreachable"}  # the dead authority's
    verification = verify_folder(
        ExportFolder(stand.export()), Trust(policy=policy, check_anchor=timestamp_check(authority.trust))
    )
    assert (verification.verdict, verification.integrity, verification.completeness) == ("valid", "valid", "valid")
    assert verification.outside_size is not None
    assert verification.outside_size >= anchors[-1]["body"]["size"]


def test_the_service_role_may_tend(
    postgresql_url: str,
    postgresql_server: PostgreSQLServer,
    tmp_path: Path,
    authority: Authority,
    served_authority: AuthorityServer,
) -> None:
    """On PostgreSQL tending needs no more rights than serving, also when a witness's line is added to another's."""
    stand = make_stand(tmp_path, postgresql_url)
    role = f"service_{secrets.token_hex(4)}"
    for statement in ("CREATE ROLE {role} LOGIN PASSWORD {password}", "GRANT USAGE ON SCHEMA public TO {role}"):
        postgresql_server.execute(
            sql.SQL(statement).format(role=sql.Identifier(role), password=sql.Literal(postgresql_server.password)),
            database=stand.engine.url.database or "",
        )
    grant_service_role(stand.engine, role)
    url = stand.engine.url.set(username=role).render_as_string(hide_password=False)
    served = replace(stand, engine=open_engine(url))
    served = replace(served, log=served.reopened())
    (tmp_path / "witness").mkdir()
    witness = make_witness_stand(tmp_path / "witness", stand.signer)
    served.clock.now += 301 * NS_PER_S
    served_authority.answer = _by(served.clock, authority)
    with serve_witness(witness) as witness_url:
        policy = _policy(stand, witness_url)
        authorities = TimestampAuthorities(urls=(served_authority.url,), trust=authority.trust)
        done, lines = _tend(_tender(served, policy=policy, authorities=authorities))
        with write_transaction(served.engine) as connection:
            store.add_cosigned(connection, ORIGIN, 2, b"spoilt")
        again = _tend(_tender(served, policy=policy))

    assert done, lines
    assert [event for event, _ in lines] == ["heartbeat_recorded", "checkpoint_cosigned", "checkpoint_anchored"]
    assert again[0]
    for each in (stand, served):
        each.engine.dispose()


def test_looking_at_a_log_that_grows(stand: LogStand) -> None:
    """A look at a log while others write to it never takes what they write for something that is missing."""
    stop = threading.Event()

    def look() -> int:
        looks = 0
        while not stop.is_set():
            stand.reopened().check_head()  # as a process that never wrote: it goes by the file
            looks += 1
        return looks

    with ThreadPoolExecutor(2) as pool:
        looking = [pool.submit(look) for _ in range(2)]
        for _ in range(150):
            stand.log.append(make_event())
        stop.set()
        assert sum(each.result() for each in looking) > 10


def test_once(stand: LogStand) -> None:
    """`--once` ends with 0 when all was done, and with 3 when something of it was not."""
    stand.fill(1)
    good = TendProcess(stand, "--once").end()
    (stand.folder / "log.policy").write_text(format_log_policy(_policy(stand, DEAD)))
    bad = TendProcess(stand, "--once", AUDIT_POLICY=str(stand.folder / "log.policy")).end()

    assert good[0] == 0
    assert (bad[0], [line["event"] for line in bad[1]]) == (3, ["witness_failed"])


def test_settings_that_cannot_be(stand: LogStand, authority: Authority, tmp_path: Path) -> None:
    """Authorities without roots, files that are none, and a policy of other logs stop the start by name."""
    (stand.folder / "log.key").write_text(format_signer(stand.signer) + "\n")
    (stand.folder / "log.key").chmod(0o600)
    (tmp_path / "roots.pem").write_bytes(authority.pem)
    (tmp_path / "other.policy").write_text("quorum none\n")
    for code, settings in (
        ("config.invalid", {"TSA_URLS": DEAD}),
        ("config.invalid", {"TSA_ROOTS": str(tmp_path / "roots.pem")}),
        ("config.invalid", {"TSA_URLS": DEAD, "TSA_ROOTS": str(tmp_path / "missing")}),
        ("audit.timestamp_trust_invalid", {"TSA_URLS": DEAD, "TSA_ROOTS": str(tmp_path / "other.policy")}),
        ("config.invalid", {"AUDIT_POLICY": str(tmp_path / "missing")}),
        ("config.invalid", {"AUDIT_POLICY": str(tmp_path / "other.policy")}),
        ("audit.log_policy_invalid", {"AUDIT_POLICY": str(tmp_path / "roots.pem")}),
    ):
        environ = {"LOCKGATE_DATA_DIR": str(stand.folder), "LOCKGATE_DATABASE_URL": stand.url}
        with pytest.raises(LockgateError) as caught:
            make_tenders(load_settings(environ | {f"LOCKGATE_{name}": value for name, value in settings.items()}))
        assert caught.value.code == code


def _wait_until(holds: Any) -> None:
    deadline = time.monotonic() + 120  # of a busy machine: it takes a few seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
