"""Runs workloads turn by turn and prints a JSON line for each turn: its pace and its step times.

It knows nothing of FCSP: the same script runs natively and under the preload library, both at once,
and whoever drives them lets them take turns of a fraction of a second on the same processors. So a
drift of the machine falls on both, and what remains is the difference.

Commands on stdin, a line each: `prepare WORKLOAD`, `turn SECONDS`. Ends with its input.
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


def turn(name, step, seconds):
    """Steps per second and step times of one turn."""
    torch.cuda.synchronize()
    times = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(times) < 3:
        step_began = time.perf_counter()
        step()
        times.append(time.perf_counter() - step_began)
    torch.cuda.synchronize()
    elapsed = time.perf_counter() - began
    times.sort()
    return {
        "workload": name,
        "iterations_per_s": len(times) / elapsed,
        "p50_ms": times[len(times) // 2] * 1e3,
        "p99_ms": times[min(len(times) - 1, len(times) * 99 // 100)] * 1e3,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument("--cpus", help="processors to stay on, for example 12-15")
    args = parser.parse_args()
    if args.cpus:
        first, last = args.cpus.split("-")
        os.sched_setaffinity(0, range(int(first), int(last) + 1))
    torch.cuda.set_device(args.device)
    device = torch.device("cuda", args.device)
    name, step = None, None
    for line in sys.stdin:
        command, argument = line.split()
        if command == "prepare":
            name, step = argument, None
            gc.collect()
            torch.cuda.empty_cache()
            step = workloads.ALL[name](device)
            for _ in range(WARMUP_STEPS):
                step()
            print(json.dumps({"ready": name}), flush=True)
        elif command == "turn":
            print(json.dumps(turn(name, step, float(argument))), flush=True)


if __name__ == "__main__":
    main()
