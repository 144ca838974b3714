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


class ModelUnknownError(RegistryError):
    """Nobody registered a model under this name."""

    code = "registry.model_unknown"


class VersionUnknownError(RegistryError):
    """Nobody registered this version of the model."""

    code = "registry.version_unknown"


class ModelTakenError(RegistryError):
    """A model of this name is registered, or this model of its registry is, under another name."""

    code = "registry.model_taken"


class VersionTakenError(RegistryError):
    """This version of the model is registered; a version never becomes another."""

    code = "registry.version_taken"


class ModelMovedError(RegistryError):
    """Somebody changed the model since it was looked at."""

    code = "registry.model_moved"


class ModelRetiredError(RegistryError):
    """The model is retired: it is not changed, and has no new versions."""

    code = "registry.model_retired"


class VersionRetiredError(RegistryError):
    """The version is retired already."""

    code = "registry.version_retired"


class RegistryUnknownError(RegistryError):
    """The settings name no such registry."""

    code = "registry.unknown"


class LineageUnknownError(RegistryError):
    """Nobody collected the lineage of this version yet."""

    code = "registry.lineage_unknown"


class DocumentUnknownError(RegistryError):
    """The model has no document with this digest now."""

    code = "registry.document_unknown"
