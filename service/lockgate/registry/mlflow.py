"""MLflow's registry, over its REST interface: read by hand, no line of MLflow in here.

What it says is never proof: whoever may edit a model there may also set any alias and any tag, and overwrite its files.

- A version names no digest. Its files are reached through MLflow (`mlflow-artifacts:`), or not by us.
- MLflow removes quotes around a filter's values but undoes no escape, and takes ` 2` and `٢` for version 2; so what is
  asked for is compared with what comes, character by character.
- There is no compare-and-set on aliases: two who move one at the same moment may both believe that they did. The gate
  moves one at a time; whoever goes around it is found by reading back, or later by the reconciler.

Source: the route table and answers of MLflow 3.17.2; `tests/registry/test_mlflow.py` runs against it.
"""

import posixpath
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

from lockgate.registry.answers import Fields, is_name
from lockgate.registry.calls import Conversation, Reply
from lockgate.registry.errors import (
    PointerMovedError,
    RegistryAnswerError,
    RegistryRefusedError,
    RegistryUnsupportedError,
)
from lockgate.registry.settings import RegistrySettings
from lockgate.registry.types import (
    ArtifactFile,
    Dataset,
    ModelPage,
    NamedValue,
    RegistryModel,
    RegistryVersion,
    Run,
    VersionPage,
)

PAGE_ITEMS_MAX: Final = 1000  # MLflow's own bound for models
COPIES_MAX: Final = 8  # dev, test, staging, production and a few regions
FILES_MAX: Final = 10_000  # of one version; a sharded model of a terabyte has some hundreds
FOLDERS_MAX: Final = 1000  # each is a request
DEPTH_MAX: Final = 16  # of folders; a saved model has three
_API: Final = "/api/2.0/mlflow/"
_ARTIFACTS: Final = "/api/2.0/mlflow-artifacts/artifacts"
_VERSION: Final = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)  # a 32-bit column
_VERSION_MAX: Final = 2**31 - 1  # asked for a larger one, it breaks
_CURSOR: Final = re.compile(r"[!-~]{1,4096}", re.ASCII)  # opaque, but of this kind; asked with others, it breaks
_ALIAS: Final = re.compile(r"[A-Za-z0-9_-]{1,255}", re.ASCII)
_LOGGED_MODEL: Final = re.compile(r"models:/(m-[0-9a-f]{1,64})", re.ASCII)
_COPY: Final = re.compile(r"models:/([^/:]+)/([1-9][0-9]{0,9})")
_RUN: Final = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)


class MLflowRegistry:
    """Models in an MLflow. Safe to share between threads."""

    def __init__(self, settings: RegistrySettings) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self._settings.name

    def list_models(self, *, cursor: str = "", limit: int = 100) -> ModelPage:
        """Return a page of models, by name. See `RegistryPort`."""
        query = {"order_by": "name ASC"}
        items, following = self._read_page("registered-models/search", "registered_models", query, cursor, limit)
        return ModelPage(items=tuple(_read_model(item) for item in items), next_cursor=following)

    def find_model(self, model: str) -> RegistryModel | None:
        """Return a model. See `RegistryPort`."""
        return self._find_model(Conversation(self._settings), model)

    def list_versions(self, model: str, *, cursor: str = "", limit: int = 100) -> VersionPage:
        """Return a page of a model's versions. See `RegistryPort`."""
        if not _is_model_name(model):
            return VersionPage(items=(), next_cursor="")
        query = {"filter": _name_filter(model), "order_by": "version_number DESC"}
        items, following = self._read_page("model-versions/search", "model_versions", query, cursor, limit)
        versions = (_read_version(item) for item in items)
        return VersionPage(
            # Others may be among them: by a pattern, or by a database that ignores the case of letters.
            items=tuple(version for version in versions if version.model == model),
            next_cursor=following,
        )

    def find_version(self, model: str, version: str) -> RegistryVersion | None:
        """Return a version. See `RegistryPort`."""
        return self._find_version(Conversation(self._settings), model, version)

    def find_run(self, model: str, version: str) -> Run | None:
        """Return what made a version, also where it was copied from another model. See `RegistryPort`."""
        talk = Conversation(self._settings)
        # (1) The version's own word, or that of the version that it was copied from.
        found = self._find_version(talk, model, version)
        for _ in range(COPIES_MAX):
            if found is None or found.run or not (copied := _COPY.fullmatch(found.source)):
                break
            found = self._find_version(talk, copied[1], copied[2])
        else:
            raise self._wrong(f"want a version that was copied at most {COPIES_MAX} times")
        if found is None:
            return None
        # (2) Else that of the logged model, which is what MLflow 3 registers.
        run = found.run
        if not run and (logged := _LOGGED_MODEL.fullmatch(found.source)):
            reply = talk.ask("GET", f"{_API}logged-models/{logged[1]}")
            if self._is_there(reply, "a logged model"):
                run = reply.fields.object("model").object("info").text("source_run_id")
        # (3) And then the run itself.
        if not run:
            return None
        if not _RUN.fullmatch(run):
            raise self._wrong("want the id of a run, got another text")
        reply = talk.ask("GET", f"{_API}runs/get", query={"run_id": run})
        return _read_run(reply.fields.object("run"), run) if self._is_there(reply, "a run") else None

    def move_pointer(self, model: str, alias: str, version: str | None, *, expected: str | None, permit: str) -> None:
        """Let an alias point to a version. See `RegistryPort`."""
        if not _is_model_name(model) or not _ALIAS.fullmatch(alias) or not (version is None or _is_version(version)):
            raise RegistryRefusedError(f"registry {self.name}: want a model, an alias and a version that can be")
        talk = Conversation(self._settings)
        # (1) It stands where it is expected.
        self._check_pointer(talk, model, alias, expected, "before")
        # (2) Move it, or take it away; the guard in front of MLflow wants to see the permit.
        document = {"name": model, "alias": alias}
        if version is not None:
            document["version"] = version
        method = "DELETE" if version is None else "POST"
        reply = talk.ask(method, f"{_API}registered-models/alias", document=document, permit=permit)
        if not self._is_there(reply, "an alias that is moved"):
            raise RegistryRefusedError(f"registry {self.name}: want an alias of a model and a version that are there")
        # (3) It stands where it was put.
        self._check_pointer(talk, model, alias, version, "after")

    def list_files(self, model: str, version: str) -> tuple[ArtifactFile, ...]:
        """Return the files of a version's artifact, by path. See `RegistryPort`."""
        talk = Conversation(self._settings)
        root = self._find_root(talk, model, version)
        files: list[ArtifactFile] = []
        folders = [""]
        for folder in folders:  # which grows meanwhile
            reply = talk.ask("GET", _ARTIFACTS, query={"path": posixpath.join(root, folder)})
            if not reply.is_good:
                raise talk.unexpected(reply, "a list of files")
            for item in reply.fields.objects("files"):
                path = posixpath.join(folder, _read_file_name(item))
                if path.count("/") >= DEPTH_MAX or len(files) >= FILES_MAX or len(folders) >= FOLDERS_MAX:
                    raise self._wrong(f"want at most {FILES_MAX} files in {FOLDERS_MAX} folders, {DEPTH_MAX} deep")
                if item.flag("is_dir"):
                    folders.append(path)
                else:
                    files.append(ArtifactFile(path=path, size_bytes=item.integer("file_size")))
        if len({file.path for file in files} | set(folders)) != len(files) + len(folders):
            raise self._wrong("want each file once")
        return tuple(sorted(files, key=lambda file: file.path))

    def read_file(self, model: str, version: str, path: str, *, timeout_s: float) -> Iterator[bytes]:
        """Return one file's bytes, in pieces. See `RegistryPort`."""
        if not all(_is_file_name(step) for step in path.split("/")):
            raise self._wrong("want the path of a file below the version's artifact")
        talk = Conversation(self._settings)
        root = self._find_root(talk, model, version)
        return talk.fetch(f"{_ARTIFACTS}/{quote(posixpath.join(root, path))}", timeout_s=timeout_s)

    def _read_page(
        self, route: str, key: str, query: dict[str, str], cursor: str, limit: int
    ) -> tuple[tuple[Fields, ...], str]:
        talk = Conversation(self._settings)
        if cursor:
            if not _CURSOR.fullmatch(cursor):
                raise self._wrong("want a cursor that it gave, got another text")
            query["page_token"] = cursor
        size = max(1, min(limit, PAGE_ITEMS_MAX))
        reply = talk.ask("GET", _API + route, query=query | {"max_results": size})
        if not reply.is_good:
            raise talk.unexpected(reply, "a page")
        following = reply.fields.text("next_page_token")
        if following and (following == cursor or not _CURSOR.fullmatch(following)):
            raise self._wrong("want a page token that leads on")
        return reply.fields.objects(key, items_max=size), following

    def _find_model(self, talk: Conversation, model: str) -> RegistryModel | None:
        if not _is_model_name(model):
            return None
        reply = talk.ask("GET", f"{_API}registered-models/get", query={"name": model})
        if not self._is_there(reply, "a model"):
            return None
        found = _read_model(reply.fields.object("registered_model"))
        return found if found.name == model else None

    def _find_version(self, talk: Conversation, model: str, version: str) -> RegistryVersion | None:
        if not _is_model_name(model) or not _is_version(version):
            return None
        reply = talk.ask("GET", f"{_API}model-versions/get", query={"name": model, "version": version})
        if not self._is_there(reply, "a version"):
            return None
        found = _read_version(reply.fields.object("model_version"))
        return found if (found.model, found.version) == (model, version) else None

    def _find_root(self, talk: Conversation, model: str, version: str) -> str:
        # The folder of a version's files below the server's own artifacts.
        if self._find_version(talk, model, version) is None:
            raise self._wrong("want a version that is there")
        query = {"name": model, "version": version}
        reply = talk.ask("GET", f"{_API}model-versions/get-download-uri", query=query)
        if not self._is_there(reply, "where the files are"):
            raise self._wrong("want a version that is there")
        uri = reply.fields.text("artifact_uri")
        scheme, _, root = uri.partition(":/")
        # With an authority it would be another server's.
        if scheme != "mlflow-artifacts" or root.startswith("/"):
            raise RegistryUnsupportedError(
                f"registry {self.name}: want files that MLflow serves itself (mlflow-artifacts:/), "
                "got another place; start it with --serve-artifacts"
            )
        if not all(_is_file_name(step) for step in root.split("/")):
            raise self._wrong("want a folder below its artifacts")
        return root

    def _check_pointer(self, talk: Conversation, model: str, alias: str, wanted: str | None, when: str) -> None:
        found = self._find_model(talk, model)
        pointers = {pointer.name: pointer.value for pointer in found.pointers} if found else {}
        stands = pointers.get(alias)
        if stands != wanted:
            raise PointerMovedError(
                f"registry {self.name}: want the alias {alias[:80]!r} at {wanted or 'nothing'} {when} the move, "
                f"got {'another version' if stands else 'nothing'}"
            )

    def _is_there(self, reply: Reply, wanted: str) -> bool:
        # Asked for a name that cannot be, it says INVALID_PARAMETER_VALUE. A 404 alone may be another server's.
        code = "" if reply.is_good else reply.fields.text("error_code")
        if not reply.is_good and code not in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
            raise self._wrong(f"want {wanted}, got the status {reply.status}")
        return reply.is_good

    def _wrong(self, detail: str) -> RegistryAnswerError:
        return RegistryAnswerError(f"registry {self.name}: {detail}")


def _is_model_name(model: str) -> bool:
    return is_name(model) and not set(model) & {"/", ":"}  # which MLflow lets no name have


def _is_version(version: str) -> bool:
    return bool(_VERSION.fullmatch(version)) and int(version) <= _VERSION_MAX


def _is_file_name(step: str) -> bool:
    # One step of a path. MLflow decodes percent signs twice, so that with one it would give us another file.
    return is_name(step) and step not in {".", ".."} and not set(step) & {"/", "\\", "%"}


def _name_filter(model: str) -> str:
    if "\\" not in model and "'" not in model:
        return f"name = '{model}'"
    if "\\" not in model and '"' not in model:
        return f'name = "{model}"'
    # No spelling for both quotes, and databases differ in what a backslash is: any character in their places.
    return "name LIKE '{}'".format(re.sub(r"['\"\\]", "_", model))


def _read_model(fields: Fields) -> RegistryModel:
    pointers = (
        NamedValue(name=item.name("alias"), value=str(item.integer("version"))) for item in fields.objects("aliases")
    )
    return RegistryModel(
        name=fields.name("name"),
        description=fields.text("description"),
        tags=_read_pairs(fields, "tags"),
        pointers=tuple(sorted(pointers, key=lambda pointer: pointer.name)),
        stages=tuple(sorted(_read_stages(fields), key=lambda stage: stage.name)),
    )


def _read_stages(fields: Fields) -> Iterator[NamedValue]:
    # Of each stage MLflow shows the newest version; those in none count as the stage "None".
    for item in fields.objects("latest_versions"):
        stage = item.text("current_stage")
        if stage and stage != "None":
            yield NamedValue(name=stage, value=str(item.integer("version")))


def _read_version(fields: Fields) -> RegistryVersion:
    stage = fields.text("current_stage")
    return RegistryVersion(
        model=fields.name("name"),
        version=str(fields.integer("version")),
        digest="",
        source=fields.text("source"),
        run=fields.text("run_id"),
        stage="" if stage == "None" else stage,
        tags=_read_pairs(fields, "tags"),
        created=fields.time_ms("creation_timestamp"),
    )


def _read_run(fields: Fields, run: str) -> Run:
    if fields.object("info").text("run_id") != run:
        raise RegistryAnswerError(f"{fields.where}: want the run that was asked for")
    data = fields.object("data")
    tags = _read_pairs(data, "tags")
    known = {tag.name: tag.value for tag in tags}
    return Run(
        id=run,
        code_commit=known.get("mlflow.source.git.commit", ""),
        source_name=known.get("mlflow.source.name", ""),
        user=known.get("mlflow.user", "") or fields.object("info").text("user_id"),
        params=_read_pairs(data, "params"),
        metrics=_read_pairs(data, "metrics"),
        tags=tags,
        datasets=tuple(_read_dataset(item) for item in fields.object("inputs").objects("dataset_inputs")),
    )


def _read_dataset(fields: Fields) -> Dataset:
    dataset = fields.object("dataset")
    tags = {tag.name: tag.value for tag in _read_pairs(fields, "tags")}
    return Dataset(
        name=dataset.name("name"),
        digest=dataset.text("digest"),
        source=dataset.text("source"),
        context=tags.get("mlflow.data.context", ""),
    )


def _read_pairs(fields: Fields, key: str) -> tuple[NamedValue, ...]:
    pairs = (NamedValue(name=item.name("key"), value=item.scalar("value")) for item in fields.objects(key))
    return tuple(sorted(pairs, key=lambda pair: pair.name))


def _read_file_name(fields: Fields) -> str:
    name = fields.name("path")
    if not _is_file_name(name):
        raise RegistryAnswerError(f"{fields.where}: want a file's name, without '%', '\\' and '/'")
    return name
