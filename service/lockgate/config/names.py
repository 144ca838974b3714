"""Names beside the settings' own: arrays of tables in the file, and variables that others read."""

from typing import Final

CONFIG_VARIABLE: Final = "LOCKGATE_CONFIG"
"""Names the file."""

# Arrays of tables in the file, each read by the room that it is for.
TABLE_KEYS: Final = (
    "issuer",  # whose tokens say who somebody is
    "registry",  # model registries beside the built-in one
    "feature_store",  # where feature views of models are defined
    "rollout",  # what carries a promotion out, for each environment
    "webhook",  # who is told of events
    "alert_source",  # whose alerts ask for a rollback
    "usage_source",  # where loads and predictions are counted
)

CLIENT_VARIABLES: Final = frozenset(
    {
        "LOCKGATE_URL",
        "LOCKGATE_TOKEN",
        "LOCKGATE_TOKEN_FILE",
        "LOCKGATE_LOG_KEY",
        "LOCKGATE_CA_FILE",
        "LOCKGATE_ISSUER_CA_FILE",
    }
)
"""Of the commands that ask a gate: known here, and read in `lockgate.cli.connection`."""

TEST_PREFIX: Final = "LOCKGATE_TEST_"
"""How the names begin that the project's own tests read."""
