"""The second verifier's reading of docs/formats/witness.md: cosignatures and the policy file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from interop.verifier_from_spec import (
    SAFE_INTEGER_MAX,
    Checkpoint,
    Key,
    RefusedError,
    is_signature,
    open_checkpoint,
    parse_key,
    read_checkpoint,
    read_note,
    want,
)

TIME_MAX = 253_402_300_799
LINES_MAX = 64


@dataclass(slots=True)
class Policy:
    """Section 2."""

    logs: list[tuple[Key, int, int]] = field(
        default_factory=list
    )  # with the first and the last size that it counts for
    witnesses: dict[str, Key] = field(default_factory=dict)
    groups: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    quorum: str = ""

    def keys_for(self, checkpoint: Checkpoint) -> list[Key]:
        """The log's keys that count for a checkpoint."""
        return [
            key for key, first, last in self.logs if key.name == checkpoint.origin and first <= checkpoint.size <= last
        ]

    def is_met(self, name: str, cosigners: Sequence[str]) -> bool:
        """Whether a witness or group has cosigned."""
        if name not in self.groups:
            return name in cosigners
        threshold, members = self.groups[name]
        return sum(self.is_met(member, cosigners) for member in members) >= threshold


def parse_policy(text: str) -> Policy:
    """Read a policy file; `RefusedError` if it is none."""
    want(len(text) <= 131_072 and text.endswith("\n") and not re.search(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]", text))
    policy, members, above = Policy(), list[str](), ""
    for line in text[:-1].split("\n"):
        words = re.split(r"[ \t]+", line.strip(" \t"))
        if re.match(r"[ \t]*#[ \t]*lockgate", line, re.IGNORECASE):
            _read_sizes(line, policy, above)
        elif words[0] and not words[0].startswith("#"):
            _read_line(words, policy, members)
        above = words[0]
    want(policy.quorum)
    for lines in (policy.logs, policy.witnesses, policy.groups):
        want(len(lines) <= LINES_MAX)
    public = [key.public for key, _, _ in policy.logs] + [key.public for key in policy.witnesses.values()]
    want(len(public) == len(set(public)) and len(members) == len(set(members)))
    return policy


def _read_sizes(line: str, policy: Policy, above: str) -> None:
    sizes = re.fullmatch(r"# lockgate sizes (0|[1-9][0-9]*)\.\.(0|[1-9][0-9]*|)", line, re.ASCII)
    if sizes is None:
        raise RefusedError
    want(above == "log" and line != "# lockgate sizes 0..")
    first, last = int(sizes[1]), int(sizes[2] or SAFE_INTEGER_MAX)
    want(first <= last <= SAFE_INTEGER_MAX)
    policy.logs[-1] = (policy.logs[-1][0], first, last)


def _read_line(words: list[str], policy: Policy, members: list[str]) -> None:
    match words:
        case ["log", key, *url]:
            want(len(url) <= 1 and all(len(text) <= 2048 for text in url))
            policy.logs.append((parse_key(key), 0, SAFE_INTEGER_MAX))
        case ["witness", name, key, *url]:
            want(len(url) <= 1 and all(len(text) <= 2048 for text in url))
            _check_new(name, policy)
            policy.witnesses[name] = parse_key(key, 4)
        case ["group", name, count, *names] if names:
            _check_new(name, policy)
            want(all(member in policy.witnesses or member in policy.groups for member in names))
            members += names
            threshold = {"all": len(names), "any": 1}.get(count)
            if threshold is None:
                want(re.fullmatch("[1-9][0-9]{0,3}", count, re.ASCII))
                threshold = int(count)
            want(threshold <= len(names))
            policy.groups[name] = (threshold, names)
        case ["quorum", name]:
            want(not policy.quorum and (name == "none" or name in policy.witnesses or name in policy.groups))
            policy.quorum = name
        case _:
            raise RefusedError


def _check_new(name: str, policy: Policy) -> None:
    want(name != "none" and len(name) <= 255 and name not in policy.witnesses and name not in policy.groups)


def open_under_policy(note: bytes, policy: Policy) -> dict[str, Any]:
    """Read a checkpoint under a policy: section 2, last paragraph."""
    checkpoint = open_checkpoint(note, policy.keys_for(read_checkpoint(note)))
    text, signatures = read_note(note)
    cosigned: dict[str, int] = {}
    for name, key_id, data in signatures:
        for witness, key in policy.witnesses.items():
            if (key.name, key.key_id) == (name, key_id):
                cosigned[witness] = max(_cosigned_at(key, data, text), cosigned.get(witness, 0))
    return {
        "size": checkpoint.size,
        "cosigned": [{"witness": name, "time": cosigned[name]} for name in policy.witnesses if name in cosigned],
        "quorum_met": policy.is_met(policy.quorum, list(cosigned)),
    }


def _cosigned_at(key: Key, data: bytes, text: str) -> int:
    time = int.from_bytes(data[:8], "big")
    want(len(data) == 72 and 1 <= time <= TIME_MAX, "signature_invalid")
    want(is_signature(key, data[8:], f"cosignature/v1\ntime {time}\n{text}".encode()), "signature_invalid")
    return time
