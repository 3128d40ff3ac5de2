"""Runs workloads one after another and prints a JSON line for each: its pace and its latencies.

It knows nothing of FCSP: the same script is run natively and under the preload library.
"""

import argparse
import gc
import json
import time

import torch

import workloads

WARMUP_STEPS = 10


def measure(name, device, seconds):
    """Steps per second and step times of one workload."""
    step = workloads.ALL[name](device)
    for _ in range(WARMUP_STEPS):
        step()
    torch.cuda.synchronize()
    times = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(times) < 10:
        step_began = time.perf_counter()
        step()
        times.append(time.perf_counter() - step_began)
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
    parser.add_argument("--workloads", default=",".join(workloads.ALL))
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--device", type=int, default=0)
    args = parser.parse_args()
    torch.cuda.set_device(args.device)
    for name in args.workloads.split(","):
        print(json.dumps(measure(name, torch.device("cuda", args.device), args.seconds)), flush=True)
        gc.collect()
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
