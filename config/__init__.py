"""What the user sets: settings, their validation, logging set-up, and the documented example file.

Settings are read at the edge (`config.loading.load`) and passed in; no other room looks at files or the environment.
"""
