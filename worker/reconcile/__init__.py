"""Due listings become writes: plan (pure), send, record, settle."""
