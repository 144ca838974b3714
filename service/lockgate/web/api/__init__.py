"""The HTTP API, version 1: one file for each kind of resource."""
