"""The other side of ``sardonyx.conversion.isolated.worker``: jobs come in and answers go out, a line each.

These scripts run in the isolated environment: Python 3.8, and nothing of sardonyx.
"""

import json
import os
import sys
import traceback

import numpy as np


class Refused(Exception):
    """Something that the user can change: the message is shown as it is."""


def serve(commands):
    """Answers jobs until the input ends. Whatever else is printed goes to the log."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            answer = {"result": commands[job.pop("do")](**job)}
        except Refused as error:
            answer = {"refused": str(error)}
        except BaseException as error:  # of the user's code too, which may even exit
            traceback.print_exc()
            answer = {"failed": f"{type(error).__name__}: {error}"}
        sys.stdout.flush()
        sys.stderr.flush()
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def load(path, names):
    """Arrays by name."""
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[f"a{index}"] for index, name in enumerate(names)}


def save(path, arrays):
    """Writes arrays; gives their names."""
    np.savez(path, **{f"a{index}": array for index, array in enumerate(arrays.values())})
    return list(arrays)
