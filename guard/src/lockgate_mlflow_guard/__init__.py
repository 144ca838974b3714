"""A guard in an MLflow server: protected aliases move with a permit of Lockgate's, or not at all.

It is started in MLflow's place, `mlflow server --app-name lockgate` (or `lockgate-auth`, with MLflow's own basic-auth),
and judges every call that could move a protected alias, set a stage, take a protected version away or change its files,
whoever calls. It stands alone: nothing of Lockgate is imported, and nobody is asked. A permit is verified with the
gate's public key (docs/formats/permit.md); what is protected is read from MLflow's own database, at each call.

`permits`, `locations` and `settings` are pure. `spent` keeps which permits were used. `pointers` reads MLflow's
database. `guard` judges, `routes` says which route of MLflow's is judged how, `flask_routes` and `asgi` stand in their
way, `guarding` puts it together.
"""
