"""Access reviews: a small module that is not Lockgate's gate, and uses Lockgate's audit log.

It keeps reviews in a log of its own, sends them to the gate's log over HTTP, and believes a decision of the gate by its
receipt alone. Of Lockgate it imports `lockgate.audit` and the reading of JSON; nothing of the gate.
"""
