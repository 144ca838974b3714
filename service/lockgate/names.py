"""The names of models, versions and environments, as every interface spells them. Pure.

The JSON schemas hold the same patterns; a test compares them.
"""

import re
from typing import Final

NAME_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"  # of a model, and of a version
ENVIRONMENT_PATTERN: Final = r"[a-z][a-z0-9-]{0,63}"

NAME: Final = re.compile(NAME_PATTERN, re.ASCII)
ENVIRONMENT: Final = re.compile(ENVIRONMENT_PATTERN, re.ASCII)
