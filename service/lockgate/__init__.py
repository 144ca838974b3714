"""Lockgate: a policy-as-code gatekeeper for model promotion."""
