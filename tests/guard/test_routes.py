"""Every route of the running MLflow that changes something is known to us, and no way to what is protected.

The server holds two versions with protected aliases: the files of one lie where MLflow 3 puts a logged model's, those
of the other in a run's folder. Each test attacks and then looks whether anything of the two is another.
"""

import re
from http import HTTPStatus
from typing import Any, Final

from support.guard_attacks import Target, attacks, guarded_routes, is_upload, spell_paths
from support.mlflow_routes import RouteTable

# Every endpoint of MLflow 3.17.2 that changes something, or reads by POST, and is not about models, versions or files.
_UNRELATED: Final = frozenset(
    [
        "_add_dataset_to_experiments_handler",
        "_add_guardrail_to_endpoint",
        "_add_items_to_review_queue",
        "_attach_model_to_gateway_endpoint",
        "_batch_get_trace_infos",
        "_calculate_trace_filter_correlation",
        "_cancel_job",
        "_cancel_prompt_optimization_job",
        "_create_assessment",
        "_create_budget_policy",
        "_create_dataset_handler",
        "_create_experiment",
        "_create_gateway_endpoint",
        "_create_gateway_endpoint_binding",
        "_create_gateway_guardrail",
        "_create_gateway_model_definition",
        "_create_gateway_secret",
        "_create_issue",
        "_create_label_schema",
        "_create_presigned_download_url",
        "_create_prompt_optimization_job",
        "_create_review_queue",
        "_create_run",
        "_create_webhook",
        "_create_workspace_handler",
        "_delete_assessment",
        "_delete_budget_policy",
        "_delete_dataset_handler",
        "_delete_dataset_records_handler",
        "_delete_dataset_tag_handler",
        "_delete_demo",
        "_delete_experiment_tag",
        "_delete_gateway_endpoint",
        "_delete_gateway_endpoint_binding",
        "_delete_gateway_endpoint_tag",
        "_delete_gateway_guardrail",
        "_delete_gateway_model_definition",
        "_delete_gateway_secret",
        "_delete_label_schema",
        "_delete_prompt_optimization_job",
        "_delete_review_queue",
        "_delete_scorer",
        "_delete_tag",
        "_delete_trace_tag",
        "_delete_trace_tag_v3",
        "_delete_traces",
        "_delete_webhook",
        "_delete_workspace_handler",
        "_deprecated_end_trace_v2",
        "_deprecated_start_trace_v2",
        "_detach_model_from_gateway_endpoint",
        "_generate_demo",
        "_get_or_create_user_queue",
        "_graphql",
        "_invoke_genai_evaluate_handler",
        "_invoke_issue_detection_handler",
        "_invoke_scorer_handler",
        "_link_prompts_to_trace",
        "_link_traces_to_run",
        "_log_batch",
        "_log_inputs",
        "_log_metric",
        "_log_model",
        "_log_outputs",
        "_log_param",
        "_not_implemented",
        "_query_trace_metrics",
        "_register_scorer",
        "_remove_dataset_from_experiments_handler",
        "_remove_guardrail_from_endpoint",
        "_remove_items_from_review_queue",
        "_restore_experiment",
        "_restore_run",
        "_search_evaluation_datasets_handler",
        "_search_experiments",
        "_search_issues",
        "_search_prompt_optimization_jobs",
        "_search_runs",
        "_search_traces_v3",
        "_set_dataset_tags_handler",
        "_set_experiment_tag",
        "_set_gateway_endpoint_tag",
        "_set_review_queue_item_status",
        "_set_tag",
        "_set_trace_tag",
        "_set_trace_tag_v3",
        "_start_trace_v3",
        "_test_webhook",
        "_update_assessment",
        "_update_budget_policy",
        "_update_endpoint_guardrail_config",
        "_update_experiment",
        "_update_gateway_endpoint",
        "_update_gateway_model_definition",
        "_update_gateway_secret",
        "_update_issue",
        "_update_label_schema",
        "_update_review_queue",
        "_update_run",
        "_update_webhook",
        "_update_workspace_handler",
        "_upsert_dataset_records_handler",
        "_upsert_online_scoring_config",
        "serve_create_promptlab_run",
        "serve_gateway_proxy",
        "serve_post_ui_telemetry",
        "serve_search_datasets",
    ]
)
# The same of basic-auth: users and their rights. `<lambda>` is its page to make a user.
_UNRELATED_WITH_AUTH: Final = frozenset(
    [
        "<lambda>",
        "add_role_permission",
        "assign_role",
        "create_role",
        "create_user",
        "delete_role",
        "delete_user",
        "grant_user_permission",
        "remove_role_permission",
        "revoke_user_permission",
        "unassign_role",
        "update_role",
        "update_role_permission",
        "update_user_admin",
        "update_user_password",
    ]
)
# Native routes, by how they begin. The gateway and the assistant speak to others and are not called below.
_UNRELATED_NATIVE: Final = re.compile(
    r"/v1/traces|/gateway/|/ajax-api/3\.0/(jobs/|mlflow/assistant/)|/(ajax-)?api/3\.0/mlflow/mcp-servers"
)


def test_every_route_is_known(table: RouteTable) -> None:
    """A route that MLflow gets anew makes this fail, until somebody has said whether the guard must judge it."""
    endpoints = {route.endpoint for route in table.routes if route.endpoint}

    assert endpoints == table.judged | table.harmless | _UNRELATED | _UNRELATED_WITH_AUTH
    assert not table.judged & (table.harmless | _UNRELATED | _UNRELATED_WITH_AUTH)


def test_every_native_route_is_known(table: RouteTable) -> None:
    """Native routes, which Flask never sees, are uploads, which are guarded, or others' business."""
    for route in table.routes:
        if not route.endpoint:
            assert is_upload(route) or _UNRELATED_NATIVE.match(route.path), route


def test_graphql_changes_nothing(table: RouteTable) -> None:
    """GraphQL's mutations are searches, and one that says again what it is told."""
    assert table.mutations == ("mlflowSearchDatasets", "mlflowSearchRuns", "testMutation")


def test_every_guarded_route(table: RouteTable, target: Target) -> None:
    """Each spelling of the route table that could touch what is protected is refused in MLflow's own form."""
    before = target.look()
    wanted = attacks(target)
    routes = guarded_routes(table)
    for route in routes:
        for path in spell_paths(route, target):
            for document in wanted[route.endpoint or "_upload_artifact"]:
                answer = target.mlflow.send(route.method, path, document)

                assert answer.status == HTTPStatus.FORBIDDEN, (route, path, document, answer)
                assert "Lockgate" in answer.message or "lockgate." in answer.message

    assert wanted.keys() == table.judged
    assert len(routes) >= 2 * len(wanted) - 1
    assert target.look() == before


def test_every_other_route(table: RouteTable, target: Target) -> None:
    """No route that is let pass changes anything of what is protected, whatever it is asked."""
    before = target.look()
    live = target.live
    wanted: dict[str, Any] = {
        "name": live.model, "new_name": "another", "alias": "champion", "version": "3", "stage": "Production",
        "key": "lockgate.decision", "value": "allow", "tags": [{"key": "lockgate.decision", "value": "allow"}],
        "run_id": live.run, "run_uuid": live.run, "model_id": live.logged_model, "experiment_id": live.experiment,
        "experiment_ids": [live.experiment], "path": "model/MLmodel", "description": "d", "status": 1,
    }  # fmt: skip
    answered = 0
    for route in table.routes:
        if route.endpoint in table.judged or is_upload(route):
            continue
        if "/assistant/" in route.path or route.path.startswith("/gateway/") or route.path.endswith("/demo/generate"):
            continue  # they speak to others; the demonstration takes half a minute to make, of models of its own
        path = re.sub(r"[<{][^>}]*[>}]", live.logged_model if "logged-models" in route.path else live.model, route.path)
        target.mlflow.send(route.method, path, wanted)
        answered += 1

    assert answered > 150
    assert target.look() == before


def test_uploads_elsewhere_pass(target: Target) -> None:
    """Files of what is not protected are written and deleted as ever, beside the protected ones."""
    path = f"/api/2.0/mlflow-artifacts/artifacts/{target.live.experiment}/elsewhere/file"
    written = target.mlflow.send("PUT", path, body=b"x")
    uploaded = target.mlflow.send(
        "POST", f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={target.live.run}&path=notes.txt", body=b"x"
    )
    deleted = target.mlflow.send("DELETE", path)

    assert [answer.status for answer in (written, uploaded, deleted)] == [HTTPStatus.OK] * 3
