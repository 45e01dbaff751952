"""What holds for every test: no setting leaks in from outside, and no test is hurried."""

from __future__ import annotations

import os

from hypothesis import settings

pytest_plugins = ["tests.servers"]

# Before collection, so that not even an import sees them.
for name in list(os.environ):
    if name.startswith(("TRUEUP_", "CELERY_")) and not name.startswith("TRUEUP_TEST_"):
        del os.environ[name]

# A shared machine is sometimes slow; how long an example takes says nothing about the code.
settings.register_profile("trueup", deadline=None, print_blob=True)
# For `make fuzz`: --hypothesis-profile=fuzz.
settings.register_profile("fuzz", settings.get_profile("trueup"), max_examples=3000)
settings.load_profile("trueup")
