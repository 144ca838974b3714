"""`lockgate db copy` and `resume`: the whole gate in another database, and one log that goes on in one of them."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from lockgate.audit import LogBehindError, LogSealedError
from lockgate.audit.formats.kind_names import RESUME, SEAL
from lockgate.audit.keeping.sealing import seal_log
from lockgate.bootstrap import open_log
from lockgate.cli.audit.settings import OPERATOR
from lockgate.config import Settings, load_settings
from lockgate.policy.wasm import WasmEngine
from lockgate.storage import count_rows, open_engine, upgrade_schema, write_transaction
from lockgate.storage.tables import idempotency
from lockgate.system_clock import SystemClock
from support.audit_logs import make_event
from support.commands import Ended, Run
from support.databases import PostgreSQLServer
from support.gates import GateUnderTest, make_gate

KINDS = ("sqlite", "postgresql")
MakeURL = Callable[[str], str]
_ROW = {"subject": "rita", "key": "k", "request_sha256": "0", "promotion_id": "p", "decision_id": "d", "created_ns": 1}


@pytest.fixture
def make_url(tmp_path: Path, postgresql_server: PostgreSQLServer, _closed_connections: None) -> MakeURL:
    """Name a new, empty database of a kind."""
    numbers = itertools.count()
    return lambda kind: (
        f"sqlite:///{tmp_path / f'copy{next(numbers)}.db'}" if kind == "sqlite" else postgresql_server.new_database()
    )


class MovingGate:
    """A gate with a history, and the commands of whoever runs it."""

    def __init__(self, folder: Path, engine: WasmEngine, url: str, run: Run) -> None:
        self.folder = folder
        self.url = url
        self._run = run
        self.gate: GateUnderTest = make_gate(folder, engine, database_url=url)
        self.asked = self.gate.request()
        self.gate.approve("leo", "ml-lead", self.asked)
        self.gate.request(version="1.4.1")
        self.append()  # makes the checkpoint file

    def run(self, *arguments: str, url: str | None = None, checkpoint_file: Path | None = None) -> Ended:
        """Run a command with the database that the settings name, or another; here or elsewhere."""
        environment: dict[str, str | None] = {
            "LOCKGATE_DATA_DIR": str(self.folder),
            "LOCKGATE_DATABASE_URL": url or self.url,
            "LOCKGATE_LOG_KEY": str(self.gate.key),
            "LOCKGATE_CHECKPOINT_FILE": str(checkpoint_file) if checkpoint_file else None,
        }
        return self._run(*arguments, environment=environment)

    def settings(self, url: str | None = None, checkpoint_file: Path | None = None) -> Settings:
        """Return the settings of a service process, here or on a machine with a checkpoint file of its own."""
        environment = {"LOCKGATE_DATA_DIR": str(self.folder), "LOCKGATE_DATABASE_URL": url or self.url}
        if checkpoint_file:
            environment["LOCKGATE_CHECKPOINT_FILE"] = str(checkpoint_file)
        return load_settings(environment)

    def append(self, url: str | None = None, checkpoint_file: Path | None = None) -> int:
        """Append a record as a new service process would; return its position."""
        settings = self.settings(url, checkpoint_file)
        return open_log(settings, SystemClock(), open_engine(settings.database_url)).append(make_event()).seq

    def verify(self, url: str) -> Ended:
        """Verify the log in a database."""
        return self.run("audit", "verify", "--database", url, "--key", str(self.gate.key))


@pytest.fixture
def moving(
    request: pytest.FixtureRequest, tmp_path: Path, engine: WasmEngine, make_url: MakeURL, run: Run
) -> MovingGate:
    """A gate on SQLite, or on what the test asks for."""
    folder = tmp_path / "gate"
    folder.mkdir(mode=0o700)
    return MovingGate(folder, engine, make_url(getattr(request, "param", "sqlite")), run)


def records(engine: Engine) -> int:
    """Count the log's records."""
    return count_rows(engine)["audit_entry"]


@pytest.mark.parametrize(("moving", "target_kind"), list(itertools.product(KINDS, KINDS)), indirect=["moving"])
def test_the_log_goes_on_in_the_copy_alone(moving: MovingGate, make_url: MakeURL, target_kind: str) -> None:
    """Every row is there, sealed and resumed; the copy verifies and grows, the old database refuses."""
    target, before = make_url(target_kind), count_rows(moving.gate.database)
    size = before["audit_entry"]
    copied = moving.run("db", "copy", "--to", target)
    seq = moving.append(target)
    refused = moving.run("doctor")

    assert copied.code == 0, copied.err
    after = count_rows(open_engine(target))
    assert {name: after[name] - count for name, count in before.items() if not name.startswith("audit_")} == {
        name: 0 for name in before if not name.startswith("audit_")
    }
    assert f"audit_entry {size + 1:>20}".split() in [line.split() for line in copied.out.splitlines()]
    assert seq == size + 2  # behind the seal and what lets it go on
    assert moving.verify(target).code == 0
    assert moving.verify(moving.url).code == 0  # as far as it goes
    assert "audit.log_behind" in refused.out
    with pytest.raises(LogBehindError):
        moving.append()
    assert records(moving.gate.database) == size + 1


def test_promotions_go_on_in_the_copy(moving: MovingGate, make_url: MakeURL) -> None:
    """Tokens, promotions and approvals are those of before; the next promotion has the next number."""
    target = make_url("postgresql")
    moving.run("db", "copy", "--to", target)
    moved = open_engine(target)
    with moved.connect() as connection:
        kinds = connection.exec_driver_sql("SELECT kind FROM audit_entry ORDER BY seq DESC LIMIT 2").scalars().all()
        numbers = connection.exec_driver_sql("SELECT number FROM promotion ORDER BY number").scalars().all()
        following = connection.exec_driver_sql("SELECT nextval('promotion_number_seq')").scalar_one()

    assert kinds == [RESUME, SEAL]
    assert numbers == [1, 2]
    assert following == 3


def test_elsewhere_the_seal_stops_the_old_database(moving: MovingGate, make_url: MakeURL, tmp_path: Path) -> None:
    """An instance on another machine, with a checkpoint file of its own, cannot fork the log."""
    elsewhere = tmp_path / "elsewhere.txt"
    moving.append(checkpoint_file=elsewhere)
    moving.run("db", "copy", "--to", make_url("postgresql"))
    with pytest.raises(LogSealedError, match="copied from sqlite to postgresql") as caught:
        moving.append(checkpoint_file=elsewhere)

    assert caught.value.code == "audit.log_sealed"


def test_a_running_service_is_told(moving: MovingGate, make_url: MakeURL) -> None:
    """From the seal on it answers 503 `audit.log_sealed`, is not ready, and still shows what is there."""
    moving.run("db", "copy", "--to", make_url("sqlite"))
    response = moving.gate.call("POST", "/v1/promotions", "rita", moving.gate.request_document(version="1.5.0"))
    shown = moving.gate.call("GET", f"/v1/promotions/{moving.asked['promotion']['id']}", "rita")

    assert (response.status_code, response.json["code"]) == (503, "audit.log_sealed")
    assert moving.gate.client.get("/readyz").status_code == 503
    assert shown.status_code == 200


def test_the_url_may_be_in_a_file(moving: MovingGate, make_url: MakeURL, tmp_path: Path) -> None:
    """No password need stand on the command line; neither is one shown."""
    target = make_url("postgresql")
    file = tmp_path / "url"
    file.write_text(f"{target}\n")
    copied = moving.run("db", "copy", "--to-file", str(file))

    assert copied.code == 0, copied.err
    assert (open_engine(target).url.password or "?") not in copied.out + copied.err


@pytest.mark.parametrize("arguments", [(), ("--to", "sqlite:////x.db", "--to-file", __file__)])
def test_one_target_is_wanted(moving: MovingGate, arguments: tuple[str, ...]) -> None:
    """Neither none nor two; nothing is sealed."""
    ended = moving.run("db", "copy", *arguments)

    assert ended.code == 2
    moving.append()


def test_nothing_is_sealed_for_a_target_that_cannot_be(moving: MovingGate, make_url: MakeURL) -> None:
    """A target with rows, of no server or that is the source itself: refused by name, and the service goes on."""
    full = make_url("sqlite")
    upgrade_schema(open_engine(full))
    with write_transaction(open_engine(full)) as connection:
        connection.execute(insert(idempotency), _ROW)
    for target, code in (
        (full, "storage.not_empty"),
        (moving.url, "storage.not_empty"),
        ("postgresql://lockgate:x@127.0.0.1:1/none", "storage.unavailable"),
        ("nonsense", "storage.unavailable"),
    ):
        ended = moving.run("db", "copy", "--to", target)

        assert (ended.code, f"[{code}]" in ended.err) == (3, True), ended.err
    moving.append()


def test_a_log_that_does_not_verify_is_not_moved(moving: MovingGate, make_url: MakeURL) -> None:
    """Damage is found before the seal: what goes on in the copy was whole."""
    with write_transaction(moving.gate.database) as connection:
        connection.exec_driver_sql("DROP TRIGGER audit_entry_update")
        connection.exec_driver_sql("UPDATE audit_entry SET actor = 'mallory' WHERE seq = 2")
    target = make_url("sqlite")
    ended = moving.run("db", "copy", "--to", target)

    assert (ended.code, "[db.unverified]" in ended.err) == (3, True), ended.err
    assert not any(count_rows(open_engine(target)).values())
    moving.append()


def test_a_database_with_another_log_is_not_moved(moving: MovingGate, make_url: MakeURL) -> None:
    """Whose key is not here, cannot be sealed; so nothing is copied."""
    with write_transaction(moving.gate.database) as connection:
        connection.exec_driver_sql("INSERT INTO audit_head (log, size, leaf) VALUES ('other/log', 0, x'00')")
    ended = moving.run("db", "copy", "--to", make_url("sqlite"))

    assert (ended.code, "[audit.log_foreign]" in ended.err) == (3, True), ended.err
    moving.append()


def test_a_copy_that_failed_is_made_again(
    moving: MovingGate, make_url: MakeURL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt seals the log and breaks; the second, into another database, goes through."""
    first, second = make_url("sqlite"), make_url("sqlite")

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lockgate.cli.moving.copy_rows", broken)
        stopped = moving.run("db", "copy", "--to", first)
    with pytest.raises(LogSealedError):
        moving.append()
    asked = moving.run("db", "copy", "--to", second)
    again = moving.run("db", "copy", "--to", second, "--yes")

    assert (stopped.code, asked.code, again.code) == (3, 2, 0), again.err
    assert "sealed before" in asked.err
    assert moving.append(second) == records(open_engine(second)) - 1


def test_a_log_that_goes_on_in_a_copy_is_not_copied_again(
    moving: MovingGate, make_url: MakeURL, tmp_path: Path
) -> None:
    """Two copies that both grow would fork it: the checkpoint file knows, and elsewhere somebody must say so."""
    first, second = make_url("sqlite"), make_url("sqlite")
    moving.run("db", "copy", "--to", first)
    here = moving.run("db", "copy", "--to", second, "--yes")
    elsewhere = moving.run("db", "copy", "--to", second, checkpoint_file=tmp_path / "elsewhere.txt")

    assert (here.code, "[audit.log_behind]" in here.err) == (3, True), here.err
    assert (elsewhere.code, "or --yes" in elsewhere.err) == (2, True), elsewhere.err
    assert not any(count_rows(open_engine(second)).values())


def test_of_two_copies_at_the_same_time_one_is_made(
    moving: MovingGate, make_url: MakeURL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who finds that somebody else sealed the log meanwhile stops."""
    target = make_url("sqlite")

    def verify_slowly(*_: object) -> None:
        log = open_log(moving.settings(), SystemClock(), open_engine(moving.url))
        seal_log(log, event_id=make_event().id, reason="another copy", actor=OPERATOR)

    monkeypatch.setattr("lockgate.cli.moving._verify", verify_slowly)
    ended = moving.run("db", "copy", "--to", target, "--yes")

    assert (ended.code, "[audit.log_sealed]" in ended.err) == (3, True), ended.err
    assert not any(count_rows(open_engine(target)).values())


def test_a_copy_that_came_to_nothing_is_given_up(
    moving: MovingGate, make_url: MakeURL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the copy never went on, the old database may; where it did, or nothing was sealed, it may not."""
    early = moving.run("db", "resume", "--reason", "to see", "--yes")

    def broken(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lockgate.cli.moving.resume_log", broken)
        moving.run("db", "copy", "--to", make_url("sqlite"))
    asked = moving.run("db", "resume", "--reason", "given up")
    resumed = moving.run("db", "resume", "--reason", "given up", "--yes")
    moving.append()
    moved = moving.run("db", "copy", "--to", make_url("sqlite"))
    late = moving.run("db", "resume", "--reason", "back", "--yes")

    assert (early.code, "[audit.log_not_sealed]" in early.err) == (3, True)
    assert asked.code == 2
    assert (resumed.code, moved.code) == (0, 0), resumed.err + moved.err
    assert (late.code, "[audit.log_behind]" in late.err) == (3, True), late.err


def test_a_backup_from_before_the_seal_is_refused(moving: MovingGate, make_url: MakeURL, tmp_path: Path) -> None:
    """The old database as it was before the copy, with the same checkpoint file: `audit.log_behind`."""
    backup = tmp_path / "backup.db"
    with moving.gate.database.connect() as connection:
        connection.exec_driver_sql("VACUUM INTO ?", (str(backup),))
    moving.run("db", "copy", "--to", make_url("sqlite"))
    with pytest.raises(LogBehindError) as caught:
        moving.append(f"sqlite:///{backup}")

    assert caught.value.code == "audit.log_behind"
