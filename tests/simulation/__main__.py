"""`python -m tests.simulation`: play seeded histories."""

from __future__ import annotations

import sys

from tests.simulation.command import main

sys.exit(main())
