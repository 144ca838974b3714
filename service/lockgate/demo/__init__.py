"""Throw-away material for the demonstration and the tests: never trusted in production.

`virtual_sigstore` is a whole Sigstore instance in memory: a certificate authority that certifies whatever identity it
is asked to, a certificate-transparency log, and a transparency log. Its keys are made when it is, and die with it.
Nothing in the service itself imports this package; only the demonstration and the tests do.
"""
