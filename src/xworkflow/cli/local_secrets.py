"""Where the secret variables of this user's workflow files are: beside the embedded server.

``xworkflow run`` writes there, and each ``xworkflow worker`` of the same user reads.
"""

from __future__ import annotations

from xworkflow.embedded.data_dir import default_data_dir
from xworkflow.runtime_group.secret_stores import FileSecretStore


def local_secrets() -> FileSecretStore:
    return FileSecretStore(default_data_dir() / "secrets")
