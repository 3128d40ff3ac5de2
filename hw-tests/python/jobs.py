"""A training job of two processes, each on a device of its own, that add up their gradients in every step.

It knows nothing of FCSP: whoever drives it runs one job alone, or two at once on the same two devices.

Commands on stdin, a line each, each answered by a line of JSON: `prepare`, and `steps COUNT`, which trains from
the same start each time, so that its weights are the same each time. Ends with its input. Whatever else writes
to stdout finds stderr there.
"""

import hashlib
import json
import os
import queue
import sys
import tempfile
import time
import traceback

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel

RANKS = 2
WIDTH = 2048
LAYERS = 4
BATCH = 2048
WARMUP_STEPS = 20


def seeded(seed, *shape):
    """Numbers that depend on nothing but the seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Rank:
    """One of the processes."""

    def __init__(self, rank, meeting):
        device = torch.device("cuda", rank)
        torch.cuda.set_device(device)
        torch.use_deterministic_algorithms(True, warn_only=True)
        dist.init_process_group("nccl", init_method=f"file://{meeting}", rank=rank, world_size=RANKS)
        torch.manual_seed(1)
        layers = [layer for _ in range(LAYERS) for layer in (nn.Linear(WIDTH, WIDTH), nn.GELU())]
        self.net = nn.Sequential(*layers, nn.Linear(WIDTH, 1)).to(device)
        self.start = {name: weight.clone() for name, weight in self.net.state_dict().items()}
        self.model = DistributedDataParallel(self.net, device_ids=[rank])
        self.inputs = seeded(10 + rank, BATCH, WIDTH).to(device)
        self.targets = seeded(20 + rank, BATCH, 1).to(device)
        self.train(WARMUP_STEPS)

    def train(self, count):
        """So many steps, the loss read after each; when they ended, and a checksum of the weights."""
        self.net.load_state_dict(self.start)
        optimizer = torch.optim.SGD(self.net.parameters(), lr=1e-3, momentum=0.9)
        dist.barrier()
        torch.cuda.synchronize()
        began_ns, ends_ns = time.monotonic_ns(), []
        for _ in range(count):
            optimizer.zero_grad(set_to_none=True)
            loss = nn.functional.mse_loss(self.model(self.inputs), self.targets)
            loss.backward()
            optimizer.step()
            loss.item()
            ends_ns.append(time.monotonic_ns())
        digest = hashlib.sha256()
        for weight in self.net.state_dict().values():
            digest.update(weight.cpu().numpy().tobytes())
        return {"began_ns": began_ns, "ends_ns": ends_ns, "digest": digest.hexdigest()}


def work(rank, meeting, inbox, outbox):
    """A rank's process: trains so many steps for each number it is given."""
    try:
        mine = Rank(rank, meeting)
        outbox.put("ready")
        while True:
            outbox.put(mine.train(inbox.get()))
    except Exception:
        outbox.put(RuntimeError(f"rank {rank}: {traceback.format_exc()}"))
        raise


class Job:
    """Both processes."""

    def __init__(self):
        context = mp.get_context("spawn")
        self.dir = tempfile.TemporaryDirectory()
        self.ranks = []
        for rank in range(RANKS):
            queues = context.Queue(), context.Queue()
            process = context.Process(
                target=work, args=(rank, f"{self.dir.name}/meeting", *queues), daemon=True
            )
            process.start()
            self.ranks.append((process, *queues))
        self.answers()

    def answers(self):
        """One of each rank. Whoever drives the job has a bound for all of it."""
        return [self.answer(process, outbox) for process, _, outbox in self.ranks]

    def answer(self, process, outbox):
        """Waits for an answer as long as the process lives."""
        while True:
            alive = process.is_alive()
            try:
                answer = outbox.get(timeout=1)
            except queue.Empty:
                if not alive:
                    raise RuntimeError(f"a rank ended with status {process.exitcode}") from None
                continue
            if isinstance(answer, Exception):
                raise answer
            return answer

    def steps(self, count):
        """Both train; what the first says of it."""
        for _, inbox, _ in self.ranks:
            inbox.put(count)
        first, second = self.answers()
        if first["digest"] != second["digest"]:
            raise RuntimeError("the ranks have different weights")
        return first


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = None
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "prepare":
            job = Job()
            nccl = ".".join(map(str, torch.cuda.nccl.version()))
            answer = {"ready": f"torch {torch.__version__}, NCCL {nccl}"}
        elif command == "steps":
            answer = job.steps(int(arguments[0]))
        else:
            raise ValueError(f"an unknown command: {command}")
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
