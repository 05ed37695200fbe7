from __future__ import annotations

import os

# testcontainers reads it when it is imported: its reaper is an image that would have to be pulled.
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"
