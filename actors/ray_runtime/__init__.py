"""Actors, and everything else that imports Ray."""

from actors.process_setup.deferred_imports import defer

#: Ray needs them for cloud accelerators, its dashboard and the environments of workers.
defer("requests", "jsonschema", "yaml")
