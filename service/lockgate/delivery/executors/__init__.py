"""Executors: each brings a version to where it runs, and says what runs there.

`port` says what the rollouts' job asks of every one; the other files are the adapters. None of them decides anything:
what it may do is in the order, and the permit goes with it.
"""
