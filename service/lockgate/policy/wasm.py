"""The embedded engine: the policy compiled by OPA to Wasm, run by `opa-py-wasm`.

Make an engine after a fork, not before: the thread that stops a runaway module does not cross one.
"""

from typing import Any, Final

from opapywasm import (
    UNDEFINED,
    OpaPolicyClosedError,
    OpaPoolTimeoutError,
    OpaWasmError,
    OpaWasmPolicy,
    PolicyConfig,
    runtime,
)

from lockgate.canonical_json import INT64_MAX, CanonicalJSONError, canonicalize
from lockgate.policy.authorization import authz_bytes, parse_authz_result
from lockgate.policy.deadlines import DeadlineGuard
from lockgate.policy.documents import INPUT_BYTES_MAX, input_bytes, parse_result
from lockgate.policy.errors import (
    PolicyBuildError,
    PolicyEvaluationError,
    PolicyUnavailableError,
    PolicyUndefinedError,
)
from lockgate.policy.types import (
    AUTHZ_DECISION,
    PROMOTION_DECISION,
    AuthzInput,
    AuthzResult,
    CompiledPolicy,
    PolicyCatalogue,
    PolicyInput,
    PolicyResult,
)

POOL_SIZE: Final = 4  # instances; an evaluation takes about two milliseconds and Python runs one at a time anyway
MEMORY_PAGES_MIN: Final = 16  # of 64 KiB: one MiB, five times what the shipped module needs to start
MEMORY_PAGES_MAX: Final = 1024  # of 64 KiB: 64 MiB, thirty times what the largest input takes
EVALUATION_TIMEOUT_S: Final = 10.0  # ends a runaway module; callers give up long before
RESULT_BYTES_MAX: Final = 512 * 1024  # 64 violations of 16 details at their limits
DATA_BYTES_MAX: Final = 8 * 1024 * 1024  # five documents at their limit of one MiB, with room
DATA_DEPTH_MAX: Final = 10  # lockgate, config, document, and six levels within it

# The library gives a module two pages and more only where its data overflow them; one that says at once that it needs
# more, as OPA's do from some twenty rules on, it refuses ("memory types incompatible", 1.2.1).
runtime._DEFAULT_MEMORY_PAGES = MEMORY_PAGES_MIN  # noqa: SLF001 - it has no setting for it


class WasmModule:
    """A compiled policy, loaded and ready; answers raw.

    Raises:
        PolicyBuildError: The module is broken, lacks an entrypoint, or needs a built-in of its host. Such a built-in
            could be impure, and is Python's imitation of OPA's.
    """

    def __init__(self, compiled: CompiledPolicy) -> None:
        try:
            data = canonicalize(
                dict(compiled.data), integer_max=INT64_MAX, bytes_max=DATA_BYTES_MAX, depth_max=DATA_DEPTH_MAX
            )
            self._policy = OpaWasmPolicy.from_wasm_bytes(
                compiled.wasm,
                PolicyConfig(
                    pool_size=POOL_SIZE,
                    borrow_timeout_seconds=EVALUATION_TIMEOUT_S,
                    max_input_bytes=INPUT_BYTES_MAX,
                    max_data_bytes=DATA_BYTES_MAX,
                    max_result_bytes=RESULT_BYTES_MAX,
                    max_cstring_scan_bytes=RESULT_BYTES_MAX,
                    max_memory_pages=MEMORY_PAGES_MAX,
                    eval_timeout_seconds=EVALUATION_TIMEOUT_S,
                ),
            )
            self._policy.set_data(data)
        except (OpaWasmError, CanonicalJSONError) as exc:
            raise PolicyBuildError(f"the compiled policy cannot be loaded: {type(exc).__name__}") from exc
        if self._policy.builtins:
            self.close()
            raise PolicyBuildError(
                f"want no built-in of the host in the module, got {sorted(self._policy.builtins)[:8]}"
            )
        for entrypoint in compiled.entrypoints:
            if entrypoint not in self._policy.entrypoints:
                self.close()
                raise PolicyBuildError(f"want the entrypoint {entrypoint} in the module")

    def evaluate(self, input_json: bytes, entrypoint: str) -> Any:  # noqa: ANN401 - JSON, checked by the caller
        """Evaluate an entrypoint and return its value, unchecked.

        Raises:
            PolicyUnavailableError: The module is closed or every instance stays busy.
            PolicyUndefinedError: The entrypoint is undefined.
            PolicyEvaluationError: The module gave up: conflicting rules, memory, time.
        """
        try:
            value = self._policy.evaluate(input_json, entrypoint)
        except (OpaPoolTimeoutError, OpaPolicyClosedError) as exc:
            raise PolicyUnavailableError(f"the compiled policy is not available: {type(exc).__name__}") from exc
        except OpaWasmError as exc:
            raise PolicyEvaluationError(f"the compiled policy failed: {type(exc).__name__}: {str(exc)[:200]}") from exc
        if value is UNDEFINED:
            raise PolicyUndefinedError(f"{entrypoint} is undefined")
        return value

    def close(self) -> None:
        """Free the module."""
        self._policy.close()


class WasmEngine:
    """`PolicyEngine` by a compiled module in this process."""

    name: Final = "opa-wasm"

    def __init__(self, compiled: CompiledPolicy) -> None:
        self._compiled = compiled
        self._module = WasmModule(compiled)
        self._guard = DeadlineGuard()

    def catalogue(self) -> PolicyCatalogue:
        """Return the revision of the compiled policy, and its rules."""
        return self._compiled.catalogue

    def evaluate(self, document: PolicyInput, *, timeout_s: float) -> PolicyResult:
        """Evaluate what is decided on a promotion; see `PolicyEngine.evaluate`."""
        text = input_bytes(document)
        raw = self._guard.run(lambda: self._module.evaluate(text, PROMOTION_DECISION), timeout_s)
        return parse_result(
            raw,
            document=document,
            catalogue=self._compiled.catalogue,
            engine=self.name,
            engine_version=self._compiled.opa_version,
        )

    def authorize(self, document: AuthzInput, *, timeout_s: float) -> AuthzResult:
        """Evaluate whether a call is permitted; see `PolicyEngine.authorize`."""
        text = authz_bytes(document)
        raw = self._guard.run(lambda: self._module.evaluate(text, AUTHZ_DECISION), timeout_s)
        return parse_authz_result(raw, document=document, revision=self._compiled.catalogue.revision)

    def close(self) -> None:
        """Free the module; later evaluations are unavailable."""
        self._module.close()
