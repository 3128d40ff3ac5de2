"""What all compatibility scripts share: answers to the questions of whoever compares two runs.

A script runs natively and under the preload library and knows of neither. It hands a class to `serve`:

    prepare()        imports the framework and builds what the case needs; returns the framework's version
    digest(results)  a fixed computation, from its seed on, whose results it notes
    beside(results)  the same or part of it, while somebody else is using the device; default: digest
    step()           something that repeats, ended when it returns; for cases whose speed is compared
    quota()          asks for memory until it is refused; a list of `view`s

Questions come on stdin, a word and its arguments a line; each is answered by one line of JSON. Ends with
its input. Whatever else writes to stdout finds stderr there.
"""

import hashlib
import json
import os
import sys
import time

# Far beyond any quota these scripts are run under; without one they stop here.
ASK_MAX_BYTES = 48 << 30
PIECE_BYTES = 256 << 20
SAMPLED = 64
WARMUP_STEPS = 3


class Missing(Exception):
    """The case cannot run here; the message says why."""


class Results:
    """Results of a computation, each under a name."""

    def __init__(self):
        self.digests = []

    def exact(self, name, data):
        """`data` must be the same to the bit: bytes, or something that has them (NumPy, text)."""
        if isinstance(data, str):
            text = data if len(data) <= 200 else hashlib.sha256(data.encode()).hexdigest()
        else:
            data = data if isinstance(data, bytes) else data.tobytes()
            text = hashlib.sha256(data).hexdigest()
        self.digests.append({"name": name, "exact": text})

    def close(self, name, numbers, rtol):
        """Flat `numbers` must be the same within `rtol` of the largest; a sample and the sum are kept."""
        numbers = [float(number) for number in numbers]
        stride = max(1, len(numbers) // SAMPLED)
        values = numbers[::stride][:SAMPLED]
        values.append(sum(numbers) / max(1, len(numbers)))
        self.digests.append({"name": name, "values": values, "rtol": rtol})


def view(device, totals, take, give_back, again, oom, pool_bytes=None):
    """Asks for pieces until refused, gives them back, and computes again.

    `take(bytes)` allocates and returns what holds it; `give_back(list)` empties the list and returns
    the memory to the driver; `again()` is true if a computation works; `oom` is the class of the
    framework's error, or a function that says of an exception whether it is that error.
    """
    is_oom = (lambda error: isinstance(error, oom)) if isinstance(oom, type) else oom
    held, refused = [], None
    try:
        while len(held) * PIECE_BYTES < ASK_MAX_BYTES:
            held.append(take(PIECE_BYTES))
    except Exception as error:
        if not is_oom(error):
            raise
        refused = type(error).__name__
    held_bytes = len(held) * PIECE_BYTES
    # What is over the quota shows from outside only if it lasts.
    time.sleep(0.05)
    give_back(held)
    return {
        "device": device,
        "totals": totals,
        "pool_bytes": pool_bytes,
        "held_bytes": held_bytes,
        "refused": refused,
        "recovered": refused is not None and bool(again()),
    }


def _turn(case, seconds, cpus):
    first, last = cpus.split("-")
    os.sched_setaffinity(0, range(int(first), int(last) + 1))
    iterations, began = 0, time.perf_counter()
    while True:
        case.step()
        iterations += 1
        elapsed = time.perf_counter() - began
        if elapsed >= seconds and iterations >= 3:
            return {"iterations": iterations, "seconds": elapsed}


def _answer(case, question, arguments):
    if question == "prepare":
        version = case.prepare()
        if hasattr(case, "step"):
            for _ in range(WARMUP_STEPS):
                case.step()
        return {"ready": version}
    if question == "turn":
        return _turn(case, float(arguments[0]), arguments[1])
    if question == "quota":
        return {"views": case.quota()}
    results = Results()
    if question == "digest":
        case.digest(results)
    elif question == "beside":
        getattr(case, "beside", case.digest)(results)
    else:
        raise ValueError(f"an unknown question: {question}")
    return {"digests": results.digests}


def serve(case):
    """Answers questions until there are no more."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        question, *arguments = line.split()
        try:
            answer = _answer(case, question, arguments)
        except (Missing, ModuleNotFoundError) as reason:
            if question != "prepare":
                raise
            answer = {"missing": str(reason)}
        print(json.dumps(answer), file=answers, flush=True)
