"""Exit codes of `serve`, beyond 0, 1 and 2. The front end ends with `HITS_LOST` too."""

from __future__ import annotations

from typing import Final

#: Stopped, and the data directory was no longer there.
DATA_DIR_LOST: Final = 4
#: Stopped, and answered hits could be saved nowhere.
HITS_LOST: Final = 5
#: EX_CONFIG of sysexits(3): the data directory or its journal cannot be opened, which no restart repairs.
DATA_NOT_OPEN: Final = 78
