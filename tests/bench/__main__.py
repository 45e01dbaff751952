"""`python -m tests.bench`: everything that is measured."""

from __future__ import annotations

import sys

from tests.bench.all import main

sys.exit(main())
