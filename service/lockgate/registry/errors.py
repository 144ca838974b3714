"""What goes wrong with a registry, by name."""

from lockgate.errors import LockgateError


class RegistryError(LockgateError):
    """Something about a registry."""

    code = "registry.failed"


class RegistryUnavailableError(RegistryError):
    """It gave no whole answer within the limits, or said that it cannot now. Worth another try."""

    code = "registry.unavailable"


class RegistryAnswerError(RegistryError):
    """It answered something that its interface does not know, or more than we take."""

    code = "registry.answer"


class RegistryRefusedError(RegistryError):
    """It does not let us: wrong credentials, missing rights, or a guard in front of it."""

    code = "registry.refused"


class RegistryUnsupportedError(RegistryError):
    """This kind of registry has no such thing."""

    code = "registry.unsupported"


class PointerMovedError(RegistryError):
    """A pointer did not stand where it was expected to; nothing was moved, or somebody moved it at the same moment."""

    code = "registry.pointer_moved"
