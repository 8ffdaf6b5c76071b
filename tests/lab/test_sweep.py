"""Sweeps: one file a recipe, nothing run twice, and a dead worker costs one recipe; on processes
and on a Dask cluster.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import Executor, Future
from functools import partial
from pathlib import Path

import pytest
import torch

from rebasin_edu.errors import FileFormatError, RebasinError, SweepError
from rebasin_edu.lab.recipe import Recipe
from rebasin_edu.lab.sweep import sweep, train_recipe

RECIPES = [
    Recipe(dataset="digits", width=8, depth=1, batch_size=200, epochs=1, seed=seed)
    for seed in range(12)
]


@pytest.fixture(autouse=True)
def place(monkeypatch, tmp_path):
    monkeypatch.setenv("REBASIN_EDU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


class Here(Executor):
    """Does the work at once, in this thread."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def note(log, line):
    with open(log, "a") as file:
        file.write(f"{line}\n")


def lines(log):
    return (
        [line.split() for line in Path(log).read_text().splitlines()] if Path(log).exists() else []
    )


def work(recipe, log, seconds=0.0):
    """Note when it begins and ends, and train in between."""
    note(log, f"begin {recipe.seed} {os.getpid()}")
    torch.set_num_threads(1)
    data = recipe.load_data()
    from rebasin_edu.lab.training import train

    history = train(recipe.build(data), data, recipe.training).history
    time.sleep(seconds)
    note(log, f"end {recipe.seed} {os.getpid()}")
    return {"seed": recipe.seed, "loss": history[-1]["test_loss"]}


def dies_once(recipe, log, victim):
    begun = sum(line[:2] == ["begin", str(victim)] for line in lines(log))
    note(log, f"begin {recipe.seed} {os.getpid()}")
    if recipe.seed == victim and not begun:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"seed": recipe.seed}


def fails(recipe):
    if recipe.seed == 1:
        raise ValueError("one is not liked")
    return {"seed": recipe.seed}


class Two(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


def goes_wrong(recipe):
    if recipe.seed == 0:
        raise Two("the disk", "is on fire")
    if recipe.seed == 1:
        os._exit(3)
    return {"seed": recipe.seed}


def gives_a_tensor(recipe):
    return {"seed": torch.zeros(1) if recipe.seed == 1 else recipe.seed}


def seed_of(recipe):
    return {"seed": recipe.seed}


def by_value(function, **arguments):
    """A function that travels to a process which cannot import this file."""
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    return partial(function, **arguments)


def test_what_exists_is_not_run_again(tmp_path):
    log, folder = tmp_path / "log", tmp_path / "runs"
    first = sweep(RECIPES[:2], Here(), work=partial(work, log=log), folder=folder, progress=False)
    both = sweep(
        [*RECIPES[:4], RECIPES[0]],
        Here(),
        work=partial(work, log=log),
        folder=folder,
        progress=False,
    )
    assert [r["seed"] for r in both] == [0, 1, 2, 3, 0]
    assert both[:2] == first
    assert Counter(line[1] for line in lines(log) if line[0] == "begin") == Counter("0123")
    assert sorted(p.name for p in folder.iterdir()) == sorted(f"{r.id}.json" for r in RECIPES[:4])


def test_the_usual_work_gives_the_provenance_of_a_trained_network(tmp_path):
    (held,) = sweep(RECIPES[:1], Here(), progress=False)
    assert Recipe.from_dict(held["recipe"]) == RECIPES[0]
    assert len(held["history"]) == 2
    assert (tmp_path / "cache" / "runs" / f"{RECIPES[0].id}.json").exists()
    assert train_recipe(RECIPES[0]) == held


def test_mappings_of_fields_are_recipes_too(tmp_path):
    given = [RECIPES[0].to_dict(), RECIPES[1]]
    results = sweep(given, Here(), work=seed_of, folder=tmp_path)
    assert results == [{"seed": 0}, {"seed": 1}]


def test_the_folder_is_tried_before_any_work(tmp_path):
    (tmp_path / "file").write_text("a file where the folder should be")
    with pytest.raises(FileFormatError, match=r"cannot be written to .*nothing was run"):
        sweep(RECIPES[:1], Here(), work=partial(work, log=tmp_path / "log"),
              folder=tmp_path / "file" / "runs")  # fmt: skip
    assert not (tmp_path / "log").exists()


def test_a_result_that_is_no_json_costs_its_own_recipe(tmp_path):
    with pytest.raises(SweepError, match=r"1 of 3 recipes.*cannot be written as JSON") as caught:
        sweep(RECIPES[:3], Here(), work=gives_a_tensor, folder=tmp_path)
    assert caught.value.results == [{"seed": 0}, None, {"seed": 2}]
    with pytest.raises(SweepError, match="not a mapping"):
        sweep(RECIPES[3:4], Here(), work=lambda recipe: [1], folder=tmp_path)


def test_numbers_that_json_lacks_come_back(tmp_path):
    for _ in range(2):  # made, and read
        (result,) = sweep(RECIPES[:1], Here(), work=lambda r: {"x": float("inf")}, folder=tmp_path)
        assert result == {"x": float("inf")}


def test_a_damaged_result_is_set_aside_and_made_again(tmp_path, capsys):
    path = tmp_path / f"{RECIPES[0].id}.json"
    path.write_text('{"seed": ')
    assert sweep(RECIPES[:1], Here(), work=seed_of, folder=tmp_path) == [{"seed": 0}]
    assert path.with_suffix(".damaged").read_text() == '{"seed": '
    assert "a damaged result was set aside" in capsys.readouterr().out
    path.write_text('{"seed": 9}')  # as version 1 wrote it
    assert sweep(RECIPES[:1], Here(), work=seed_of, folder=tmp_path) == [{"seed": 9}]


@pytest.mark.parametrize("attempts", [0, -1, 1.5, "2"])
def test_attempts_are_a_whole_number_of_at_least_one(tmp_path, attempts):
    with pytest.raises(RebasinError, match=r"attempts=.* must be a whole number, at least 1"):
        sweep(RECIPES[:1], Here(), work=seed_of, folder=tmp_path, attempts=attempts)


def test_an_error_of_one_recipe_leaves_the_others(tmp_path):
    with pytest.raises(
        SweepError, match=r"1 of 3 recipes(?s:.*)ValueError: one is not liked"
    ) as caught:
        sweep(RECIPES[:3], Here(), work=fails, folder=tmp_path, progress=False)
    assert caught.value.results == [{"seed": 0}, None, {"seed": 2}]
    assert list(caught.value.failures) == [RECIPES[1].id]
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_a_dead_local_process_costs_only_its_recipe(tmp_path):
    log, folder = tmp_path / "log", tmp_path / "runs"
    results = sweep(RECIPES[:3], work=by_value(dies_once, log=log, victim=1), folder=folder)
    assert results == [{"seed": 0}, {"seed": 1}, {"seed": 2}]
    assert Counter(line[1] for line in lines(log)) == {"0": 1, "1": 2, "2": 1}


@pytest.mark.process
def test_an_error_that_cannot_travel_keeps_its_words_and_a_killer_is_given_up(tmp_path):
    with pytest.raises(SweepError, match="2 of 3 recipes") as caught:
        sweep(RECIPES[:3], work=by_value(goes_wrong), folder=tmp_path)
    burns, dies = (caught.value.failures[RECIPES[seed].id] for seed in (0, 1))
    assert "Two: the disk is on fire" in str(burns)
    assert "unexpectedly terminated" in str(dies)
    assert caught.value.results[2] == {"seed": 2}


SCRIPT = """
import signal, sys, time
import rebasin_edu as rb
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores Ctrl-C
from rebasin_edu.lab import Recipe, sweep
recipes = [Recipe(dataset="digits", width=8, depth=1, epochs=1, seed=seed) for seed in range(2)]
def work(recipe):
    print("begun", flush=True)
    time.sleep(float(sys.argv[2]))
    return {"seed": recipe.seed}
print(sweep(recipes, work=work, folder=sys.argv[1]))
"""


@pytest.mark.process
def test_a_script_without_a_guard_sweeps_a_function_of_its_own(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "runs"), "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "[{'seed': 0}, {'seed': 1}]" in done.stdout


@pytest.mark.process
@pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")
def test_ctrl_c_ends_a_sweep_and_its_processes(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "runs"), "3600"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=300)  # its workers hold the pipes open while they run
    assert b"KeyboardInterrupt" in said


@pytest.mark.process
def test_twelve_recipes_on_a_dask_cluster_with_a_worker_killed(tmp_path):
    distributed = pytest.importorskip("distributed", reason="needs the extra 'cluster'")
    import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    log, folder = tmp_path / "log", tmp_path / "runs"
    killed: list[int] = []

    def kill_one_in_mid_run():
        while len([line for line in lines(log) if line[0] == "end"]) < 3:
            time.sleep(0.02)
        while not killed:
            seen = lines(log)
            ended = {line[1] for line in seen if line[0] == "end"}
            if at_work := [
                int(line[2]) for line in seen if line[0] == "begin" and line[1] not in ended
            ]:
                killed.append(at_work[0])
                os.kill(at_work[0], signal.SIGKILL)

    options = {
        "n_workers": 2,
        "threads_per_worker": 1,
        "processes": True,
        "dashboard_address": ":0",  # any free port: another cluster may run here
    }
    with (
        distributed.LocalCluster(**options, silence_logs=50) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert len(client.scheduler_info()["workers"]) == 2
        killer = threading.Thread(target=kill_one_in_mid_run, daemon=True)
        killer.start()
        results = sweep(
            RECIPES, client.get_executor(), work=partial(work, log=log, seconds=0.2), folder=folder
        )
        killer.join()
    assert [r["seed"] for r in results] == list(range(12))
    assert sorted(p.name for p in folder.iterdir()) == sorted(f"{r.id}.json" for r in RECIPES)
    begun = [(line[1], int(line[2])) for line in lines(log) if line[0] == "begin"]
    times = Counter(seed for seed, _ in begun)
    on_the_dead = {seed for seed, worker in begun if worker == killed[0]}
    again = {seed for seed, count in times.items() if count > 1}
    assert max(times.values()) == 2
    assert again  # the one in mid-run, and those whose results lay with the worker that died
    assert again <= on_the_dead
    (alone,) = sweep(
        RECIPES[-1:], Here(), work=partial(work, log=tmp_path / "other"), folder=tmp_path / "alone"
    )
    assert alone == results[-1]
    before = len(lines(log))
    assert (
        sweep(RECIPES, Here(), work=partial(work, log=log), folder=folder, progress=False)
        == results
    )
    assert len(lines(log)) == before
