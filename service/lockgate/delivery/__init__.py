"""What follows a record: events for whoever wants to know, and carrying out what was allowed.

The audit log is the outbox: an event is a view of a record, so nothing is written twice and nothing can be told that is
not in the log. Promises: each subscriber is told of each record of an event's kind at least once, under one id; a
receiver that is slow, gone or hostile stops neither the gate nor another receiver.

May be imported, of events: `reading` (by cursor), `webhooks` (who is told, by the settings), `sender` (the jobs that
tell them), `deliveries` (what became of each; sending again), `standard_webhooks` (signatures). Of rollouts: `rollouts`
(the job), `rollout_settings`, and in `executors` the port and what stands behind it. Of both: `types`, `errors`. Not
for others: `events` and `cdevents` (records as events), `subscribers`, `rollout_queue`, `store`.
"""
