"""``xworkflow.toml``: which groups a worker carries, and what each of them may do.

``read_settings`` reads a file and says everything that is wrong with it; ``assembled`` makes a live
group of a table. For users: docs/configuration.md.
"""

from xworkflow.configuration.assembling import Assembled, ProcessParts, assembled
from xworkflow.configuration.group_settings import GroupSettings
from xworkflow.configuration.reading import parse_settings, read_settings
from xworkflow.configuration.settings import Settings

__all__ = [
    "Assembled",
    "GroupSettings",
    "ProcessParts",
    "Settings",
    "assembled",
    "parse_settings",
    "read_settings",
]
