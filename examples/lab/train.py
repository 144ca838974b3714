# noqa: INP001 - a program, no package
"""Train a small fraud model in plain NumPy, and log it as teams do; the lab runs this (docs/howto/promotion-lab.md).

    python train.py --out DIR --seed N [--dataset NAME] [--mlflow MODEL]

Writes the model's files into DIR/model and, for the built-in registry, what a registry is told of the run into
DIR/run.json. With --mlflow it logs run and model to MLFLOW_TRACKING_URI, registers a version, and DIR/model are that
version's files. Without --dataset nobody says which data it learnt from. Needs NumPy, and mlflow for --mlflow. Prints
one line of JSON.
"""

import argparse
import hashlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np  # type: ignore[import-not-found] # only where models are trained

STEPS = 300
RATE = 0.5
SCORING = '''\
"""Loads the weights and scores transactions: a logistic regression."""

import mlflow
import numpy as np


class FraudModel(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.weights = np.load(context.artifacts["weights"])

    def predict(self, context, model_input, params=None):
        return 1 / (1 + np.exp(-np.asarray(model_input, dtype=float) @ self.weights))


mlflow.models.set_model(FraudModel())
'''


def make_data(seed: int) -> tuple[Any, Any]:
    """Return transactions and whether each was fraud: 512 rows of amount, hour and distance, normalized."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(512, 3))
    chance = 1 / (1 + np.exp(-features @ np.array([2.0, -1.0, 0.5])))
    return features, (rng.random(512) < chance).astype(float)


def fit(features: Any, labels: Any) -> tuple[Any, float]:  # noqa: ANN401 - NumPy's arrays, where mypy has no NumPy
    """Fit a logistic regression by gradient descent; return the weights and the accuracy."""
    weights = np.zeros(features.shape[1])
    for _ in range(STEPS):
        scores = 1 / (1 + np.exp(-features @ weights))
        weights -= RATE * features.T @ (scores - labels) / len(labels)
    return weights, float(np.mean((features @ weights > 0) == labels))


def log_to_mlflow(options: argparse.Namespace, data: tuple[Any, Any], accuracy: float, weights: Path) -> str:
    """Log the run and register the version; leave that version's files in DIR/model; return the version."""
    import mlflow  # noqa: PLC0415 - takes seconds, and the built-in registry does not need it

    source = options.out / "fraud_model.py"
    source.write_text(SCORING)
    mlflow.set_experiment("fraud")
    with mlflow.start_run():
        mlflow.log_params({"steps": STEPS, "rate": RATE})
        mlflow.log_metric("accuracy", accuracy)
        if options.dataset:
            features, labels = data
            logged = mlflow.data.from_numpy(features, targets=labels, name=options.dataset)
            mlflow.log_input(logged, context="training")
        made = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(source),
            artifacts={"weights": str(weights)},
            pip_requirements=[],
            registered_model_name=options.mlflow,
        )
    fetched = mlflow.artifacts.download_artifacts(
        artifact_uri=made.artifact_path, dst_path=str(options.out / "fetched")
    )
    shutil.copytree(fetched, options.out / "model")
    return str(made.registered_model_version)


def describe_run(options: argparse.Namespace, data: tuple[Any, Any], accuracy: float) -> dict[str, Any]:
    """Return what the built-in registry is told of the run; a dataset has a digest only where it was logged."""
    digest = "sha256:" + hashlib.sha256(b"".join(part.tobytes() for part in data)).hexdigest()
    dataset = {
        "name": options.dataset or "transactions",
        "digest": digest if options.dataset else "",
        "source": "examples/lab/train.py",
        "context": "training",
    }
    return {
        "id": f"run-{options.seed}",
        "params": [{"name": "steps", "value": str(STEPS)}],
        "metrics": [{"name": "accuracy", "value": f"{accuracy:.3f}"}],
        "datasets": [dataset],
    }


def main() -> int:
    """Train, and log."""
    parser = argparse.ArgumentParser(description="Train a small fraud model.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--dataset", default="")
    parser.add_argument("--mlflow", default="")
    options = parser.parse_args()
    options.out.mkdir(parents=True)
    data = make_data(options.seed)
    weights, accuracy = fit(*data)
    kept = options.out / "weights.npy"
    np.save(kept, weights)
    version = ""
    if options.mlflow:
        version = log_to_mlflow(options, data, accuracy, kept)
    else:
        (options.out / "model").mkdir()
        shutil.copy(kept, options.out / "model")
        (options.out / "run.json").write_text(json.dumps(describe_run(options, data, accuracy)))
    sys.stdout.write(json.dumps({"version": version, "accuracy": round(accuracy, 3)}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
