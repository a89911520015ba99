#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the packages of others make of what Trireme's trackers wrote.

usage: read_tracked.py mlflow URI EXPERIMENT        what MLflow's client reads: one line each of status, params, tags, metrics
       read_tracked.py tensorboard FOLDER           what TensorBoard's reader reads
       read_tracked.py hypertune FILE TAG TRIAL [STEP VALUE SECONDS]…   writes FILE with cloudml-hypertune
       read_tracked.py has PACKAGE                  whether it is there
Exit code 77: a package is missing.
"""

import importlib.util
import os
import sys


def mlflow(uri, experiment):
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    found = client.get_experiment_by_name(experiment)
    (run,) = client.search_runs([found.experiment_id])
    print("status", run.info.status)
    for name, value in sorted(run.data.params.items()):
        print("param", name, value)
    for name, value in sorted(run.data.tags.items()):
        print("tag", name, value)
    for name in sorted(run.data.metrics):
        for each in client.get_metric_history(run.info.run_id, name):
            print("metric", name, each.step, repr(each.value), each.timestamp)


def tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(folder)
    events.Reload()
    for name in events.Tags()["scalars"]:
        for each in events.Scalars(name):
            print("scalar", name, each.step, repr(each.value), repr(each.wall_time))


def hypertune(path, tag, trial, *reports):
    os.environ["CLOUD_ML_HP_METRIC_FILE"] = path
    os.environ["CLOUD_ML_TRIAL_ID"] = trial
    from hypertune import hypertune as package

    tuner = package.HyperTune()
    for step, value, seconds in zip(*[iter(reports)] * 3):
        package.time.time = lambda now=float(seconds): now
        tuner.report_hyperparameter_tuning_metric(tag, float(value), int(step))


def has(package):
    if importlib.util.find_spec(package) is None:
        raise ImportError(f"no package {package}")


if __name__ == "__main__":
    try:
        {"mlflow": mlflow, "tensorboard": tensorboard, "hypertune": hypertune, "has": has}[sys.argv[1]](*sys.argv[2:])
    except ImportError as missing:
        print(missing, file=sys.stderr)
        sys.exit(77)
