"""The policy file: one meaning for each file, and a quorum that cannot be met by fewer than it says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lockgate.audit.errors import (
    LogPolicyInvalidError,
    NoteMalformedError,
    NoteUnverifiedError,
    SignatureInvalidError,
)
from lockgate.audit.formats.checkpoints import Checkpoint, sign_checkpoint
from lockgate.audit.formats.cosignatures import add_cosignatures, cosign, witness_key_of
from lockgate.audit.formats.log_policy import (
    Cosigned,
    Group,
    LogKey,
    LogPolicy,
    Witness,
    format_log_policy,
    open_cosigned,
    parse_log_policy,
)
from lockgate.audit.formats.notes import SeedSigner, make_signer
from lockgate.clock import EpochNs

ORIGIN = "gate.example/audit"
OLD = make_signer(ORIGIN, bytes(range(32)))
NEW = make_signer(ORIGIN, bytes(32))
WITNESSES = [make_signer(f"witness.example/{number}", bytes(31) + bytes([number])) for number in range(1, 6)]
KEYS = [witness_key_of(signer) for signer in WITNESSES]
NOW = EpochNs(1_700_000_000_000_000_000)
POLICY = f"""# Who watches the gate.
log {OLD.verifier_key} https://gate.example/audit
# lockgate sizes 0..4096
log\t{NEW.verifier_key}
# lockgate sizes 4000..

witness X1 {KEYS[0]} https://x1.example/
  witness X2 {KEYS[1]}\t
witness X3 {KEYS[2]}
group X-witnesses 2 X1 X2 X3
witness Ÿ1 {KEYS[3]}
witness Y2 {KEYS[4]}
group Y-witnesses any Ÿ1 Y2
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
"""


def _note(size: int, *signers: SeedSigner) -> bytes:
    return sign_checkpoint(Checkpoint(origin=ORIGIN, size=size, root=bytes(range(32))), *signers)


def _cosigned(note: bytes, *numbers: int) -> bytes:
    return add_cosignatures(note, [cosign(note, WITNESSES[number], NOW) for number in numbers])


def test_file_says_what_it_says() -> None:
    """Every kind of line is read."""
    assert parse_log_policy(POLICY) == LogPolicy(
        logs=(
            LogKey(key=OLD.verifier_key, first_size=0, last_size=4096, url="https://gate.example/audit"),
            LogKey(key=NEW.verifier_key, first_size=4000),
        ),
        witnesses=(
            Witness(name="X1", key=KEYS[0], url="https://x1.example/"),
            Witness(name="X2", key=KEYS[1]),
            Witness(name="X3", key=KEYS[2]),
            Witness(name="Ÿ1", key=KEYS[3]),
            Witness(name="Y2", key=KEYS[4]),
        ),
        groups=(
            Group(name="X-witnesses", threshold=2, members=("X1", "X2", "X3")),
            Group(name="Y-witnesses", threshold=1, members=("Ÿ1", "Y2")),
            Group(name="X-and-Y", threshold=2, members=("X-witnesses", "Y-witnesses")),
        ),
        quorum="X-and-Y",
    )


def test_written_policy_is_read_back() -> None:
    """What is written is read as the same policy."""
    policy = parse_log_policy(POLICY)

    assert parse_log_policy(format_log_policy(policy)) == policy


def test_policy_that_no_file_can_say_is_not_written() -> None:
    """A group before its members, or a name of two words, is refused rather than written."""
    policy = parse_log_policy(POLICY)
    late = LogPolicy(logs=(), witnesses=policy.witnesses, groups=policy.groups[::-1])
    spaced = LogPolicy(logs=(), witnesses=(Witness(name="X 1", key=KEYS[0]),))
    for unsaid in (late, spaced, LogPolicy(logs=(), quorum="nobody")):
        with pytest.raises(LogPolicyInvalidError):
            format_log_policy(unsaid)


def test_keys_count_within_their_sizes() -> None:
    """A key counts from its first size to its last, both too, and for no other log."""
    policy = parse_log_policy(POLICY)

    assert policy.keys_for(ORIGIN, 0) == (OLD.verifier_key,)
    assert policy.keys_for(ORIGIN, 3999) == (OLD.verifier_key,)
    assert policy.keys_for(ORIGIN, 4000) == (OLD.verifier_key, NEW.verifier_key)
    assert policy.keys_for(ORIGIN, 4096) == (OLD.verifier_key, NEW.verifier_key)
    assert policy.keys_for(ORIGIN, 4097) == (NEW.verifier_key,)
    assert policy.keys_for("other.example", 4000) == ()
    assert policy.follows(ORIGIN)
    assert not policy.follows("other.example")


def test_checkpoint_outside_its_keys_sizes_is_unverified() -> None:
    """A key whose time is over signs as an unknown key does."""
    policy = parse_log_policy(POLICY)

    assert open_cosigned(_note(4096, OLD), policy).checkpoint.size == 4096
    for size, signer in ((4097, OLD), (3999, NEW)):
        with pytest.raises(NoteUnverifiedError):
            open_cosigned(_note(size, signer), policy)
    assert open_cosigned(_note(4097, OLD, NEW), policy).checkpoint.size == 4097


@pytest.mark.parametrize(
    ("cosigners", "met"),
    [
        ((), False),
        ((0, 1), False),
        ((3, 4), False),
        ((0, 3), False),
        ((0, 1, 2), False),
        ((0, 1, 3), True),
        ((1, 2, 4), True),
        ((0, 1, 2, 3, 4), True),
    ],
)
def test_quorum_is_what_the_groups_say(cosigners: tuple[int, ...], met: bool) -> None:  # noqa: FBT001 - a test's data
    """Two of three and one of two, and nothing less."""
    opened = open_cosigned(_cosigned(_note(5, OLD), *cosigners), parse_log_policy(POLICY))

    assert opened.quorum_met is met
    names = [("X1", "X2", "X3", "Ÿ1", "Y2")[number] for number in cosigners]
    assert opened.cosigned == tuple(Cosigned(witness=name, time=NOW) for name in names)


def test_one_witness_counts_once() -> None:
    """A witness that cosigns again and again is still one witness."""
    opened = open_cosigned(_cosigned(_note(5, OLD), 0, 0, 0, 3), parse_log_policy(POLICY))

    assert [one.witness for one in opened.cosigned] == ["X1", "Ÿ1"]
    assert not opened.quorum_met


def test_single_witness_can_be_the_quorum() -> None:
    """A quorum line may name a witness."""
    policy = parse_log_policy(f"log {OLD.verifier_key}\nwitness w {KEYS[0]}\nquorum w\n")

    assert open_cosigned(_cosigned(_note(5, OLD), 0), policy).quorum_met
    assert not open_cosigned(_note(5, OLD), policy).quorum_met


def test_quorum_none_is_never_met() -> None:
    """With `quorum none` a checkpoint is believed and nobody is said to vouch for it."""
    policy = parse_log_policy(f"log {OLD.verifier_key}\nwitness w {KEYS[0]}\nquorum none\n")
    opened = open_cosigned(_cosigned(_note(5, OLD), 0), policy)

    assert policy.quorum is None
    assert opened.cosigned == (Cosigned(witness="w", time=NOW),)
    assert not opened.quorum_met


def test_false_witness_line_makes_the_checkpoint_worthless() -> None:
    """A line that names a witness of the policy falsely is refused, whatever else vouches."""
    note = _note(5, OLD)
    false = _cosigned(_note(6, OLD), 4).removeprefix(_note(6, OLD))
    with pytest.raises(SignatureInvalidError):
        open_cosigned(_cosigned(note, 0, 1, 3) + false, parse_log_policy(POLICY))


@pytest.mark.parametrize("note", [b"", b"text\n\nx\n", _note(5, OLD).replace(b"\n5\n", b"\n05\n")])
def test_what_is_no_checkpoint_is_refused(note: bytes) -> None:
    """Reading a cosigned checkpoint names what is none."""
    with pytest.raises(NoteMalformedError):
        open_cosigned(note, parse_log_policy(POLICY))


W = f"witness w {KEYS[0]}\n"
V = f"witness v {KEYS[1]}\n"
L = f"log {OLD.verifier_key}\n"
Q = "quorum none\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "whole lines"),
        (Q.rstrip("\n"), "whole lines"),
        ("quorum none\r\n", "whole lines"),
        (Q + "# \x7f\n", "whole lines"),
        (Q + "# \ud800\n", "whole lines"),
        (Q + "#" * 140_000 + "\n", "at most"),
        (L, "one quorum line, got 0"),
        (Q + Q, "one quorum line, got 2"),
        ("quorum\n", "line 1: want 'quorum"),
        ("quorum a b\n", "line 1: want 'quorum"),
        ("quorum w\n" + W, "line 1: want names"),
        ("Quorum none\n", "line 1: want log, witness"),
        ("quorum\u00a0none\n", "line 1: want log, witness"),
        ("log\n" + Q, "line 1: want 'log"),
        (f"log {OLD.verifier_key} a b\n" + Q, "line 1: want 'log"),
        (f"log {KEYS[0]}\n" + Q, "line 1: want <name>"),
        (f"log {'x' * 20}\n" + Q, "line 1: want <name>"),
        (L + L + Q, "line 2: want each key once"),
        (L + f"log {make_signer('other.example', OLD.seed).verifier_key}\n" + Q, "line 2: want each key once"),
        (f"log {OLD.verifier_key} {'u' * 2049}\n" + Q, "line 1: want a URL"),
        (f"witness w {OLD.verifier_key}\n" + Q, "line 1: want <name>"),
        (f"witness {KEYS[0]}\n" + Q, "line 1: want 'witness"),
        (f"witness none {KEYS[0]}\n" + Q, "line 1: want a new name"),
        (f"witness {'w' * 256} {KEYS[0]}\n" + Q, "line 1: want a new name"),
        (W + f"witness w {KEYS[1]}\n" + Q, "line 2: want a new name"),
        (W + f"witness v {KEYS[0]}\n" + Q, "line 2: want each key once"),
        (L + f"witness w {witness_key_of(OLD)}\n" + Q, "line 2: want each key once"),
        (W + "group g all\n" + Q, "line 2: want 'group"),
        (W + "group g 2 w\n" + Q, "line 2: want all, any"),
        (W + "group g 0 w\n" + Q, "line 2: want all, any"),
        (W + "group g 01 w\n" + Q, "line 2: want all, any"),
        (W + "group g -1 w\n" + Q, "line 2: want all, any"),
        (W + "group g ١ w\n" + Q, "line 2: want all, any"),
        (W + "group g ALL w\n" + Q, "line 2: want all, any"),
        (W + "group w any w\n" + Q, "line 2: want a new name"),
        (W + "group g any g\n" + Q, "line 2: want names"),
        (W + "group g any none\n" + Q, "line 2: want names"),
        ("group g any w\n" + W + Q, "line 1: want names"),
        (W + "group g any w w\n" + Q, "line 2: want each name"),
        (W + V + "group g any w\ngroup h any w v\n" + Q, "line 4: want each name"),
        (W + "".join(f"group g{number} any w\n" for number in range(65)) + Q, "line 3: want each name"),
        (Q + "# lockgate sizes 0..9\n", "line 2: want '# lockgate sizes"),
        (L + "\n# lockgate sizes 0..9\n" + Q, "line 3: want '# lockgate sizes"),
        (L + "# lockgate sizes 0..9\n# lockgate sizes 0..8\n" + Q, "line 3: want '# lockgate sizes"),
        (L + "# lockgate size 0..9\n" + Q, "line 2: want '# lockgate sizes"),
        (L + "#lockgate sizes 0..9\n" + Q, "line 2: want '# lockgate sizes"),
        (L + " # lockgate sizes 0..9\n" + Q, "line 2: want '# lockgate sizes"),
        (L + "# Lockgate sizes 0..9\n" + Q, "line 2: want '# lockgate sizes"),
        (L + "# lockgate sizes 0..09\n" + Q, "line 2: want '# lockgate sizes"),
        (L + "# lockgate sizes 0-9\n" + Q, "line 2: want '# lockgate sizes"),
        (L + "# lockgate sizes 9..8\n" + Q, "line 2: want sizes with"),
        (L + "# lockgate sizes 0..9007199254740992\n" + Q, "line 2: want sizes with"),
        (L + "# lockgate sizes 0..\n" + Q, "line 2: want no sizes line"),
    ],
)
def test_file_with_another_meaning_is_refused(text: str, message: str) -> None:
    """What a reader could take for something else is refused, by the line."""
    with pytest.raises(LogPolicyInvalidError) as caught:
        parse_log_policy(text)

    assert message in str(caught.value)


@pytest.mark.parametrize("kind", ["log", "witness"])
def test_lines_of_each_kind_are_limited(kind: str) -> None:
    """Sixty-four lines of a kind are read, one more is not."""
    signers = [make_signer("x.example", bytes(30) + number.to_bytes(2, "big")) for number in range(65)]
    if kind == "log":
        lines = [f"log {signer.verifier_key}\n" for signer in signers]
    else:
        lines = [f"witness w{number} {witness_key_of(signer)}\n" for number, signer in enumerate(signers)]

    parse_log_policy("".join(lines[:64]) + Q)
    with pytest.raises(LogPolicyInvalidError, match="line 65: want at most 64"):
        parse_log_policy("".join(lines) + Q)


def test_empty_policy_is_a_policy() -> None:
    """A quorum line is all that a file needs."""
    assert parse_log_policy(Q) == LogPolicy(logs=())


_LINES = [*POLICY.splitlines(), "quorum none", "#", "group z 1 X1", "witness X1", "log", "group z all X1 X2"]


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.sampled_from(_LINES) | st.text(max_size=30), max_size=20).map(lambda lines: "\n".join([*lines, ""]))
    | st.builds(
        lambda place, new, old: POLICY[:place] + new + POLICY[place + old :],
        st.integers(0, len(POLICY)),
        st.text(max_size=3),
        st.integers(0, 40),
    )
)
def test_hostile_text_is_a_policy_or_our_error(text: str) -> None:
    """Whatever the text, it is refused by name, or it is a policy that is written and read back the same."""
    try:
        policy = parse_log_policy(text)
    except LogPolicyInvalidError:
        return
    assert parse_log_policy(format_log_policy(policy)) == policy
