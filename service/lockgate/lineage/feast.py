"""Feast's feature services and views, over the REST interface of its registry server: read by hand, no Feast in here.

Tags say whether a view is deprecated or holds personal data, `deprecated` and `pii`, of the view or of one of its
features; any value but `false`, `no`, `0` and nothing means that it is so.

Source: `feast serve_registry --rest-api` of Feast 0.67, routes `feature_services/{name}` and `feature_views/{name}`, as
documented and as its source answers; `tests/support/feast_server.py` is made from that, no Feast runs in the tests.
"""

from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import orjson

from lockgate.digests import sha256_hex
from lockgate.lineage.feature_stores import FeatureStoreSettings
from lockgate.lineage.snapshots import VIEWS_MAX, FeatureView
from lockgate.registry.answers import Fields, is_name
from lockgate.registry.calls import Conversation
from lockgate.registry.errors import RegistryAnswerError

FEATURES_MAX: Final = 10_000  # of one view
_API: Final = "/api/v1/"
_NO: Final = frozenset({"", "false", "no", "0"})


class FeastStore:
    """A Feast registry server. Safe to share between threads."""

    def __init__(self, settings: FeatureStoreSettings) -> None:
        self._settings = settings

    @property
    def settings(self) -> FeatureStoreSettings:
        """Its settings."""
        return self._settings

    def find_views(self, project: str, service: str) -> tuple[FeatureView, ...] | None:
        """Return the views of a feature service. See `FeatureStorePort`.

        At most one more than a snapshot holds is asked for; that there are more is all that is told of the others.
        """
        conversation = Conversation(self._settings)
        found = self._get(conversation, "feature_services", project, service)
        if found is None:
            return None
        named = sorted({item.name("featureViewName") for item in found.object("spec").objects("features")})
        return tuple(self._view(conversation, project, name) for name in named[: VIEWS_MAX + 1])

    def _view(self, conversation: Conversation, project: str, name: str) -> FeatureView:
        found = self._get(conversation, "feature_views", project, name) if is_name(name) else None
        if found is None:
            return FeatureView(project=project, name=name, found=False)
        spec = found.object("spec")
        tags = [spec.object("tags"), *(feature.object("tags") for feature in _features(spec))]
        return FeatureView(
            project=project,
            name=name,
            found=True,
            owner=spec.text("owner").strip(),
            deprecated=any(_says(each, "deprecated") for each in tags),
            pii=any(_says(each, "pii") for each in tags),
            definition_sha256=sha256_hex(orjson.dumps(dict(spec.values), option=orjson.OPT_SORT_KEYS)),
        )

    def _get(self, conversation: Conversation, kind: str, project: str, name: str) -> Fields | None:
        path = f"{_API}{kind}/{quote(name, safe='')}"
        reply = conversation.ask("GET", path, query={"project": project, "allow_cache": "false"})
        if reply.status == HTTPStatus.NOT_FOUND:
            return None
        if not reply.is_good:
            raise conversation.unexpected(reply, "what was asked for")
        # Older servers answer a view one level deeper.
        found = reply.fields if "spec" in reply.fields.values else reply.fields.object("featureView")
        if found.object("spec").text("name") != name:
            raise RegistryAnswerError(f"feature store {self._settings.name}: want {kind} of the name asked for")
        return found


def _features(spec: Fields) -> tuple[Fields, ...]:
    return spec.objects("features", items_max=FEATURES_MAX)


def _says(tags: Fields, tag: str) -> bool:
    return tags.scalar(tag).strip().lower() not in _NO
