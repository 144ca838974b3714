"""The policy file (C2SP tlog-policy): which keys sign for a log, which witnesses count, and how many must. Pure.

    log <log's key> [<url>]
    # lockgate sizes 0..4096            this key counts for checkpoints of these sizes, both ends too; `4097..` is open
    witness <name> <witness's key> [<url>]
    group <name> all|any|<k> <name>...
    quorum <name>|none

Items are separated by spaces and tabs; empty lines and lines that begin with '#' are comments. The line with the sizes
is Lockgate's own addition: other readers skip it as a comment, and then trust the key for every size. So that a slip
of the pen is not skipped here, a comment whose first word begins with `lockgate` is that line in its one spelling,
directly below its `log` line, or the file is refused.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import Final

from lockgate.audit.errors import KeyInvalidError, LogPolicyInvalidError
from lockgate.audit.formats.checkpoints import TREE_SIZE_MAX, Checkpoint, open_checkpoint, read_checkpoint
from lockgate.audit.formats.cosignatures import WitnessKey, parse_witness_key, verify_cosignatures
from lockgate.audit.formats.notes import VerifierKey, parse_verifier_key
from lockgate.clock import EpochNs

POLICY_CHARS_MAX: Final = 128 * 1024  # sixty-four lines of each kind at their usual lengths, and comments
LINES_MAX: Final = 64  # of each kind: twice what C2SP asks a reader to accept
NAME_CHARS_MAX: Final = 255  # as a key's name
URL_CHARS_MAX: Final = 2048
_NONE: Final = "none"
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
_SPACE: Final = re.compile(r"[ \t]+")
_OURS: Final = re.compile(r"#[ \t]*lockgate", re.IGNORECASE)
_SIZES: Final = re.compile(r"# lockgate sizes (0|[1-9][0-9]{0,15})\.\.([1-9][0-9]{0,15}|0|)", re.ASCII)
_COUNT: Final = re.compile(r"[1-9][0-9]{0,3}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKey:
    """A key that signs for a log, and for which of its checkpoints."""

    key: VerifierKey  # its name is the log's origin
    first_size: int = 0
    last_size: int | None = None  # counts itself; None: no end
    url: str | None = None

    def covers(self, size: int) -> bool:
        """Tell whether this key counts for a checkpoint of this size."""
        return self.first_size <= size and (self.last_size is None or size <= self.last_size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """Somebody else who watches that the log only grows."""

    name: str  # of this file alone; the key has its own
    key: WitnessKey
    url: str | None = None  # the submission prefix of C2SP tlog-witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Some witnesses and groups, of which a number must have cosigned."""

    name: str
    threshold: int  # from 1 to the number of members
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPolicy:
    """Whom an auditor believes about a log; he gets it from a place that the log cannot change."""

    logs: tuple[LogKey, ...]
    witnesses: tuple[Witness, ...] = ()
    groups: tuple[Group, ...] = ()  # each names only witnesses, and groups before it
    quorum: str | None = None  # the witness or group that must have cosigned; None: `quorum none`

    def follows(self, origin: str) -> bool:
        """Tell whether any key of this log is known."""
        return any(log.key.name == origin for log in self.logs)

    def keys_for(self, origin: str, size: int) -> tuple[VerifierKey, ...]:
        """Return the keys that count for a checkpoint of this log and size; any other key is an unknown one."""
        return tuple(log.key for log in self.logs if log.key.name == origin and log.covers(size))

    def is_quorum(self, cosigners: Collection[str]) -> bool:
        """Tell whether these witnesses, by their names here, are the quorum. With `quorum none` nobody is."""
        met = set(cosigners)
        for group in self.groups:  # in the file's order, so that a group's members are decided before it
            if sum(member in met for member in group.members) >= group.threshold:
                met.add(group.name)
        return self.quorum in met


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigned:
    """That a witness of the policy vouched for a checkpoint."""

    witness: str  # its name in the policy
    time: EpochNs  # by the witness's clock, whole seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class CosignedCheckpoint:
    """A checkpoint that its log signed, and who else vouches for it."""

    checkpoint: Checkpoint
    cosigned: tuple[Cosigned, ...]
    quorum_met: bool  # False also with `quorum none`: then nobody says that others were shown the same log


def open_cosigned(note: bytes, policy: LogPolicy) -> CosignedCheckpoint:
    """Read a checkpoint if a key of its log signed it, and say which witnesses did.

    The steps:
      (1) A key that the policy names for this log and this size signed.
      (2) Every line that names a witness of the policy is by that witness.
      (3) Those witnesses are the quorum, or they are not: that is said, not raised.

    What is not checked: the witnesses' times against any clock.

    Raises:
        NoteMalformedError: `note` is not a checkpoint.
        NoteUnverifiedError: No such key signed it.
        SignatureInvalidError: A line names a known key or witness but is not by it.
    """
    # (1) The log signed.
    checkpoint = read_checkpoint(note)
    open_checkpoint(note, policy.keys_for(checkpoint.origin, checkpoint.size))
    # (2) Whoever is named has cosigned.
    names = {witness.key: witness.name for witness in policy.witnesses}
    cosigned = tuple(Cosigned(witness=names[one.key], time=one.time) for one in verify_cosignatures(note, names))
    # (3) Are they enough?
    quorum_met = policy.is_quorum([one.witness for one in cosigned])
    return CosignedCheckpoint(checkpoint=checkpoint, cosigned=cosigned, quorum_met=quorum_met)


def format_log_policy(policy: LogPolicy) -> str:
    """Write a policy file that `parse_log_policy` reads as this policy.

    Raises:
        LogPolicyInvalidError: No file says this; a group names something after it, say.
    """
    lines = []
    for log in policy.logs:
        lines.append(" ".join(["log", str(log.key), *_given(log.url)]))
        if (log.first_size, log.last_size) != (0, None):
            lines.append(f"# lockgate sizes {log.first_size}..{'' if log.last_size is None else log.last_size}")
    lines += [" ".join(["witness", item.name, str(item.key), *_given(item.url)]) for item in policy.witnesses]
    lines += [" ".join(["group", item.name, str(item.threshold), *item.members]) for item in policy.groups]
    lines.append(f"quorum {policy.quorum or _NONE}")
    text = "".join(f"{line}\n" for line in lines)
    if parse_log_policy(text) != policy:
        raise LogPolicyInvalidError("want a policy that a file can say")
    return text


def parse_log_policy(text: str) -> LogPolicy:
    """Read a policy file.

    Raises:
        LogPolicyInvalidError: It is none; the message names the line.

    Source: C2SP tlog-policy. Stricter in this: keys are Ed25519 only, no key serves twice, also not as log and witness.
    """
    if len(text) > POLICY_CHARS_MAX:
        raise LogPolicyInvalidError(f"want a policy of at most {POLICY_CHARS_MAX} characters, got {len(text)}")
    if not text.endswith("\n") or _CONTROL.search(text):
        raise LogPolicyInvalidError("want whole lines of text, without control characters but tab and newline")
    reading = _Reading()
    for number, line in enumerate(text[:-1].split("\n"), 1):
        try:
            reading.read(line)
        except KeyInvalidError as exc:
            raise LogPolicyInvalidError(f"line {number}: {exc}") from exc
        except _LineError as exc:
            raise LogPolicyInvalidError(f"line {number}: {exc}") from None
    return reading.policy()


class _LineError(Exception):
    """What a line should have been; the reader adds its number."""


@dataclass(slots=True)
class _Reading:
    """What the lines so far have said."""

    logs: list[LogKey] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)
    quorums: list[str] = field(default_factory=list)
    below_log: bool = False  # whether the line before was a `log` line
    members: set[str] = field(default_factory=set)  # of any group
    public_keys: set[bytes] = field(default_factory=set)

    def read(self, line: str) -> None:
        below_log, self.below_log = self.below_log, False
        words = _SPACE.split(line.strip(" \t"))
        if _OURS.match(line.lstrip(" \t")):
            self._read_sizes(line, below_log=below_log)
        elif words[0] and not words[0].startswith("#"):
            readers: dict[str, Callable[[list[str]], None]] = {
                "log": self._read_log,
                "witness": self._read_witness,
                "group": self._read_group,
                "quorum": self._read_quorum,
            }
            if words[0] not in readers:
                raise _LineError("want log, witness, group, quorum or a comment")
            readers[words[0]](words[1:])

    def policy(self) -> LogPolicy:
        if len(self.quorums) != 1:
            raise LogPolicyInvalidError(f"want one quorum line, got {len(self.quorums)}")
        quorum = None if self.quorums[0] == _NONE else self.quorums[0]
        return LogPolicy(
            logs=tuple(self.logs), witnesses=tuple(self.witnesses), groups=tuple(self.groups), quorum=quorum
        )

    def _read_log(self, words: list[str]) -> None:
        key, *url = self._want(words, at_least=1, at_most=2, form="log <key> [<url>]")
        self._check_room(self.logs)
        log_key = parse_verifier_key(key)
        self._check_new_key(log_key.public_key)
        self.logs.append(LogKey(key=log_key, url=_url(url)))
        self.below_log = True

    def _read_sizes(self, line: str, *, below_log: bool) -> None:
        match = _SIZES.fullmatch(line)
        if not match or not below_log:
            raise _LineError("want '# lockgate sizes <first>..[<last>]' directly below a log line")
        first, last = int(match[1]), int(match[2]) if match[2] else None
        if not first <= (TREE_SIZE_MAX if last is None else last) <= TREE_SIZE_MAX:
            raise _LineError(f"want sizes with first <= last <= {TREE_SIZE_MAX}")
        if (first, last) == (0, None):
            raise _LineError("want no sizes line for a key that counts for every size")
        self.logs[-1] = replace(self.logs[-1], first_size=first, last_size=last)

    def _read_witness(self, words: list[str]) -> None:
        name, key, *url = self._want(words, at_least=2, at_most=3, form="witness <name> <key> [<url>]")
        self._check_room(self.witnesses)
        self._check_new_name(name)
        witness_key = parse_witness_key(key)
        self._check_new_key(witness_key.public_key)
        self.witnesses.append(Witness(name=name, key=witness_key, url=_url(url)))

    def _read_group(self, words: list[str]) -> None:
        form = "group <name> all|any|<k> <name>..."
        name, count, *members = self._want(words, at_least=3, at_most=2 + 2 * LINES_MAX, form=form)
        self._check_room(self.groups)
        self._check_new_name(name)
        for member in members:
            self._check_defined(member)
            if member in self.members:
                raise _LineError("want each name as a member only once in the file")
            self.members.add(member)
        threshold = {"all": len(members), "any": 1}.get(count) or (int(count) if _COUNT.fullmatch(count) else 0)
        if not 1 <= threshold <= len(members):
            raise _LineError(f"want all, any or a number from 1 to {len(members)}")
        self.groups.append(Group(name=name, threshold=threshold, members=tuple(members)))

    def _read_quorum(self, words: list[str]) -> None:
        (name,) = self._want(words, at_least=1, at_most=1, form="quorum <name>|none")
        if name != _NONE:
            self._check_defined(name)
        self.quorums.append(name)

    def _want(self, words: list[str], *, at_least: int, at_most: int, form: str) -> list[str]:
        if not at_least <= len(words) <= at_most:
            raise _LineError(f"want '{form}'")
        return words

    def _check_room(self, items: Collection[object]) -> None:
        if len(items) >= LINES_MAX:
            raise _LineError(f"want at most {LINES_MAX} lines of this kind")

    def _check_new_name(self, name: str) -> None:
        if name == _NONE or len(name) > NAME_CHARS_MAX or self._is_defined(name):
            raise _LineError(f"want a new name of at most {NAME_CHARS_MAX} characters that is not '{_NONE}'")

    def _check_defined(self, name: str) -> None:
        if not self._is_defined(name):
            raise _LineError("want names of witnesses and groups from the lines above")

    def _is_defined(self, name: str) -> bool:
        return name in {witness.name for witness in self.witnesses} | {group.name for group in self.groups}

    def _check_new_key(self, public_key: bytes) -> None:
        if public_key in self.public_keys:
            raise _LineError("want each key once in the file, for one log or one witness")
        self.public_keys.add(public_key)


def _url(words: list[str]) -> str | None:
    if words and len(words[0]) > URL_CHARS_MAX:
        raise _LineError(f"want a URL of at most {URL_CHARS_MAX} characters")
    return words[0] if words else None


def _given(url: str | None) -> list[str]:
    return [] if url is None else [url]
