"""What follows a record: events for whoever wants to know, and the process that works in the background.

The audit log is the outbox: an event is a view of a record, so nothing is written twice and nothing can be told that is
not in the log. Promises: each subscriber is told of each record of an event's kind at least once, under one id; a
receiver that is slow, gone or hostile stops neither the gate nor another receiver.

May be imported: `worker` (the loop and what a job is), `events` and `cdevents` (records as events), `reading` (events
by cursor), `webhooks` (who is told), `standard_webhooks` (signatures), `subscribers`, `sender` and `redelivery`.
"""
