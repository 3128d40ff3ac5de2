"""Runs workloads turn by turn and prints a JSON line for each turn: its pace and its step times.

It knows nothing of FCSP: the same script runs natively and under the preload library, both at once,
and whoever drives them lets them take turns of a fraction of a second on the same processors. So a
drift of the machine falls on both, and what remains is the difference.

Commands on stdin, a line each: `prepare WORKLOAD`, `turn SECONDS [LEAD [TAIL]]`. A turn may have seconds
before and after that are not measured: in the lead what is new settles, and in the tail whoever runs
beside it ends its own measured steps. Ends with its input.
"""

import argparse
import gc
import json
import os
import sys
import time

import torch

import workloads

WARMUP_STEPS = 20


def spend(step, seconds):
    """Steps for some time, unmeasured."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        step()


def turn(name, step, seconds, lead=0.0, tail=0.0):
    """Steps per second and step times of one turn."""
    torch.cuda.synchronize()
    spend(step, lead)
    times = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(times) < 3:
        step_began = time.perf_counter()
        step()
        times.append(time.perf_counter() - step_began)
    torch.cuda.synchronize()
    elapsed = time.perf_counter() - began
    spend(step, tail)
    times.sort()
    return {
        "workload": name,
        "iterations_per_s": len(times) / elapsed,
        "p50_ms": times[len(times) // 2] * 1e3,
        "p99_ms": times[min(len(times) - 1, len(times) * 99 // 100)] * 1e3,
    }


def processors(text):
    """The numbers in a list like 3,12-15."""
    numbers = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return numbers


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument("--cpus", help="processors to stay on, for example 12-15 or 3,5,7")
    args = parser.parse_args()
    if args.cpus:
        os.sched_setaffinity(0, processors(args.cpus))
    torch.cuda.set_device(args.device)
    device = torch.device("cuda", args.device)
    name, step = None, None
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "prepare":
            name, step = arguments[0], None
            gc.collect()
            torch.cuda.empty_cache()
            step = workloads.ALL[name](device)
            for _ in range(WARMUP_STEPS):
                step()
            print(json.dumps({"ready": name}), flush=True)
        elif command == "turn":
            print(json.dumps(turn(name, step, *map(float, arguments))), flush=True)


if __name__ == "__main__":
    main()
