"""The vendors' own schemas, which lie beside the checkout: what a connector sends has to fit them."""

import os
from pathlib import Path
from typing import Final

from django.conf import settings

SHARED: Final = Path(os.environ.get("ONECOUNT_SHARED", Path(settings.BASE_DIR).parent / "shared"))
SCHEMAS: Final = SHARED / "platforms" / "schemas"
