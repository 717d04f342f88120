"""Models x arms x seeds on one dataset: the story of `cane-train study`."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from training import baselines, parallel, provenance
from training.alone import alone
from training.classifiers.registry import CLASSIFIERS
from training.data.coverage import require_grades
from training.data.dataset import Dataset
from training.errors import BusyError, DataError, RunError, TrainingError
from training.evaluation import METRICS_NAME
from training.experiments import adjusted, enrichment, results, simple_runs
from training.experiments import external as external_tests
from training.experiments.config import ARMS, Run, StudyConfig
from training.experiments.enrichment import Start
from training.experiments.finished_runs import finished_run
from training.experiments.report import Report
from training.outputs import write_json
from training.predictions import Predictions
from training.synthesis.pipeline import guidance_digest
from training.train import (
    CHECKPOINT_NAME,
    finished,
    fit,
    train_summary,
)

STUDY_NAME: Final = "study.json"


def study(
    data: Path,
    out: Path,
    config: StudyConfig,
    report: Report,
    *,
    start: Start | None = None,
    external: Path | None = None,
    threads: int | None = None,
    max_seconds: float = math.inf,
) -> dict[str, Any]:
    """Trains what is not trained yet, one folder a run, and returns what OUT/study.json gets.

    A second call with the same arguments skips finished runs and takes up the interrupted one.
    study.json has all finished runs in OUT, also those of other models, arms and seeds.
    Where the dataset has no splits they are made, under the first seed; all runs share them.
    external: a dataset that baselines and finished runs are asked about too: `external.measure`.
    max_seconds: from now; training then stops at the next step, study.json says what is missing.
    Raises TrainingError, also when OUT holds runs of another study.
    """
    deadline = time.monotonic() + max_seconds
    if parallel.processes() > 1:
        raise RunError("a study runs in one process; start cane-train study without a launcher")
    config.check()
    parallel.use_threads(threads)
    start = start or Start()
    dataset = Dataset.open(data, agreement=config.agreement).split(config.seeds[0])
    require_grades(dataset, report)
    config = config.model_copy(update={"masks_regions_trucks": guidance_digest(dataset)})
    test = None
    if external is not None:
        known = [data] if start.rendered is None else [data, start.rendered]
        test = external_tests.open_test(external, config.agreement, learned_from=known)
        if start.rendered is None:
            _require_no_rendered(out)
    starts = {model: start.described(model) for model in config.models}
    out.mkdir(parents=True, exist_ok=True)
    left_out: dict[str, str] = {}
    asked = list(config.runs())
    _require_judges(asked, out, config, starts, dataset)
    to_do = [r for r in asked if finished_run(r, out, config, starts[r.model], dataset) is None]
    enrichment.look_ahead(to_do, data, out, dataset, start)
    simple = _baselines(out, config, dataset, report, left_out, deadline)

    def write() -> tuple[list[Run], dict[str, Any]]:
        done = _finished_runs(out, config, starts, dataset, report, left_out)
        said = {run: Predictions.read(run.folder(out)) for run in [*simple, *done]}
        found = {
            **_head(config, starts, done),
            "missing": [run.name for run in asked if run not in done],
            "left_out": left_out,
            **results.summary(out, said, dataset),
            "adjusted": adjusted.figures(out, said),
            "external_tests": list(external_tests.summaries(out, [*simple, *done])),
        }
        write_json(out / STUDY_NAME, found)
        return done, found

    try:
        for number, run in enumerate(asked, start=1):
            if run in to_do:
                report.say(f"run {number} of {len(asked)}: {run.name}")
                if not _train(run, data, out, config, report, start, threads, deadline):
                    break
            # A finished run never goes on: what it would resume from is the largest of its files.
            (run.folder(out) / CHECKPOINT_NAME).unlink(missing_ok=True)
    except TrainingError:
        write()  # the runs before the one that failed have their rows
        raise
    done, found = write()
    if test is not None and external_tests.measure(
        out, [*simple, *done], dataset, test, report, deadline=deadline
    ):
        found = write()[1]  # another command may have finished runs meanwhile
    for line in results.alarms(found):
        report.say(line)
    return found


def _train(
    run: Run,
    data: Path,
    out: Path,
    config: StudyConfig,
    report: Report,
    start: Start,
    threads: int | None,
    deadline: float,
) -> bool:
    """Trains one run. False where time was up, as has been said."""
    synthetic = None
    try:
        if ARMS[run.arm].is_enriched:
            synthetic = enrichment.synthetic_for(
                run, data, out, config, report, start=start, threads=threads, deadline=deadline
            )
            if synthetic is None:
                return False
        report.begin(run.name)
        metrics = fit(
            data,
            run.folder(out),
            config.fit(run),
            report,
            weights=start.weights.get(run.model),
            pixels=start.pixels,
            synthetic=synthetic,
            threads=threads,
            max_seconds=deadline - time.monotonic(),
        )
    except BusyError as error:  # another command is at work on it, and this one's time is up
        report.say(str(error))
        return False
    if metrics is None:
        return False
    report.say(train_summary(metrics))
    return True


def _head(
    config: StudyConfig, starts: Mapping[str, Mapping[str, str]], done: Sequence[Run]
) -> dict[str, Any]:
    """Where the figures of these finished runs come from."""
    covering = _covering(config, done)
    return {
        **provenance.of_result("scikit-learn", "scipy"),
        "config": covering.model_dump(mode="json"),
        "start": {
            model: starts[model].get("weights_sha256", "random") for model in covering.models
        },
    }


def _require_judges(
    asked: Sequence[Run],
    out: Path,
    config: StudyConfig,
    starts: Mapping[str, Mapping[str, str]],
    dataset: Dataset,
) -> None:
    """Raises RunError for a run whose judge is neither asked for nor finished."""
    for run in asked:
        judge = run.judge
        if judge is None or judge in asked:
            continue
        if finished_run(judge, out, config, starts[judge.model], dataset) is None:
            raise RunError(
                f"arm {run.arm}: is judged by {judge.name}, which is not finished; name the arm "
                f"{judge.arm} too"
            )


def _require_no_rendered(out: Path) -> None:
    """Raises RunError for runs whose further images an external test set was not held against."""
    there = (_run_of(file.parent.name) for file in out.glob(f"*/{METRICS_NAME}"))
    if any(run is not None and ARMS[run.arm].rendered for run in there):
        raise RunError(
            f"{out}: has runs of the arm rendered; name their --rendered too, so that the external "
            "test set can be held against it"
        )


def _baselines(
    out: Path,
    config: StudyConfig,
    dataset: Dataset,
    report: Report,
    left_out: dict[str, str],
    deadline: float,
) -> list[Run]:
    """Measures those that are not measured yet. Names in `left_out` those that cannot be, or for
    which there was no time."""
    done = []
    for name in simple_runs.BASELINES:
        run = Run(name, "baseline", None)
        if name == simple_runs.FROZEN and not baselines.has_frozen_features():
            left_out[name] = (
                "its packages are not installed; in a checkout: pip install '.[benchmarks]'"
            )
            report.say(f"{run.name} is left out: {left_out[name]}")
            continue
        folder, wanted = run.folder(out), simple_runs.config_of(run, config)
        if finished(folder, wanted, dataset) is None:
            if name == simple_runs.FROZEN and time.monotonic() > deadline:  # the other is quick
                left_out[name] = "time was up; the same command measures it"
                continue
            folder.mkdir(exist_ok=True)
            try:
                with alone(folder, report.say, deadline=deadline):
                    if finished(folder, wanted, dataset) is None:  # nor has another command done it
                        simple_runs.measure(run, folder, config, dataset, report)
            except BusyError as error:
                left_out[name] = str(error)
                continue
        done.append(run)
    return done


def _finished_runs(
    out: Path,
    config: StudyConfig,
    starts: dict[str, dict[str, str]],
    dataset: Dataset,
    report: Report,
    left_out: dict[str, str],
) -> list[Run]:
    """All finished runs in OUT that differ from this study's in model, arm and seed alone.

    Several commands may share the work; whichever writes study.json last must not lose the others'
    rows. starts: what each model starts from, as `Weights.described` has it, {} for random weights;
    gets those of the other commands' models. Names in `left_out` the runs that do not fit.
    """
    done = []
    for file in sorted(out.glob(f"*/{METRICS_NAME}")):
        run = _run_of(file.parent.name)
        if run is None:
            continue
        if run.model not in starts:
            starts[run.model] = _start_of(file)
        try:
            metrics = finished_run(run, out, config, starts[run.model], dataset)
        except (RunError, DataError) as error:
            left_out[run.name] = str(error)
            report.say(f"{run.name} is left out: {error}")
            continue
        if metrics is not None:
            done.append(run)
    return sorted(done, key=_order)


def _run_of(folder: str) -> Run | None:
    """The run whose folder is called so; None for other folders."""
    model, _, rest = folder.partition("-")
    arm, _, seed = rest.rpartition("-")
    if model not in CLASSIFIERS or arm not in ARMS or not seed.isdecimal():
        return None
    return Run(model, arm, int(seed))


def _start_of(file: Path) -> dict[str, str]:
    """What a run has started from, as its metrics.json says."""
    try:
        config = dict(json.loads(file.read_text("utf-8"))["config"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # `finished` tells what is wrong with it
    return {n: config[n] for n in ("weights_sha256", "weights_pixels") if config.get(n) is not None}


def _order(run: Run) -> tuple[int, int, int]:
    """Rows stand seed by seed, whatever command has made them."""
    return run.seed or 0, list(CLASSIFIERS).index(run.model), list(ARMS).index(run.arm)


def _covering(config: StudyConfig, runs: Sequence[Run]) -> StudyConfig:
    """The configuration with models, arms and seeds of these runs beside those asked for."""
    every = sorted({*config.runs(), *runs}, key=_order)
    return config.model_copy(
        update={
            "models": tuple(dict.fromkeys(run.model for run in every)),
            "arms": tuple(arm for arm in ARMS if arm in {run.arm for run in every}),
            "seeds": tuple(dict.fromkeys(run.seed for run in every)),
        }
    )
