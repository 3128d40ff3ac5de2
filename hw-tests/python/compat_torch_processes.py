"""PyTorch in several processes or on several devices, one case a run."""

import hashlib
import sys
import tempfile
import traceback

import compat

try:
    import torch
    import torch.distributed as dist
    import torch.multiprocessing as mp
    from torch.utils.data import DataLoader, Dataset

    import compat_torch_nets as nets
    from compat_torch_nets import DEVICE, note
except ModuleNotFoundError as absent:
    # Said as the answer to `prepare`, as everything else is.
    torch, ABSENT, Dataset = None, absent, object

# Less than the bound on an answer, so that the reason is told.
WITHIN_S = 45


def version(devices=1):
    """PyTorch's, or why the case cannot run."""
    if torch is None:
        raise compat.Missing(str(ABSENT))
    found = torch.cuda.device_count()
    if found < devices:
        raise compat.Missing(f"needs {devices} devices, here is {found}")
    torch.cuda.set_device(DEVICE)
    nets.repeatable()
    return f"torch {torch.__version__}"


class Helper:
    """A process of one's own program that answers one message after the other."""

    def __init__(self, work, *arguments):
        context = mp.get_context("spawn")
        self.inbox, self.outbox = context.Queue(), context.Queue()
        self.process = context.Process(
            target=_help, args=(work, arguments, self.inbox, self.outbox), daemon=True
        )
        self.process.start()

    def tell(self, message):
        """Sends a message and does not wait."""
        self.inbox.put(message)

    def answer(self):
        """Waits for an answer, and raises what the helper raised."""
        answer = self.outbox.get(timeout=WITHIN_S)
        if isinstance(answer, str) and answer.startswith("Traceback"):
            raise RuntimeError(f"in the helper: {answer}")
        return answer

    def ask(self, message):
        """Both."""
        self.tell(message)
        return self.answer()


def _help(work, arguments, inbox, outbox):
    try:
        helper = work(*arguments)
        outbox.put("ready")
        while True:
            outbox.put(helper.take(inbox))
    except Exception:
        outbox.put(traceback.format_exc())
        raise


class Numbers(Dataset):
    """Images that depend on nothing but their index."""

    def __len__(self):
        return 256

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return torch.rand(3, 32, 32, generator=generator)


class Loading:
    """Worker processes that load while the parent uses the device, and a thread that pins."""

    def prepare(self):
        found = version()
        self.filters = nets.seeded(1, 8, 3, 3, 3).to(DEVICE)
        return found

    def epoch(self, start, workers):
        """One pass over the data set."""
        loader = DataLoader(
            Numbers(),
            batch_size=32,
            num_workers=workers,
            pin_memory=True,
            multiprocessing_context=start,
            timeout=WITHIN_S,
        )
        sums = []
        for images in loader:
            if not images.is_pinned():
                raise RuntimeError("the loader did not pin")
            images = images.to(DEVICE, non_blocking=True)
            sums.append(torch.nn.functional.conv2d(images, self.filters).sum().item())
        return str(sums)

    def digest(self, results):
        results.exact("fork, 3 workers", self.epoch("fork", 3))
        results.exact("spawn, 2 workers", self.epoch("spawn", 2))

    def beside(self, results):
        results.exact("fork, 3 workers", self.epoch("fork", 3))


class Borrower:
    """Works in place on tensors that another process sends it."""

    def __init__(self):
        torch.cuda.set_device(DEVICE)
        self.own = torch.ones(1, device=DEVICE)
        torch.cuda.synchronize()

    def take(self, inbox):
        """A word to look at the free memory; then an event's handle; then a tensor, which is opened as
        it is received."""
        inbox.get()
        before, _ = torch.cuda.mem_get_info(DEVICE)
        event = torch.cuda.Event.from_ipc_handle(DEVICE, inbox.get())
        tensor = inbox.get()
        after, _ = torch.cuda.mem_get_info(DEVICE)
        event.wait()
        tensor.mul_(3).add_(1)
        torch.cuda.synchronize()
        charged_again = before - after > tensor.nbytes // 2
        total = tensor[:1024].sum().item()
        del tensor
        torch.cuda.ipc_collect()
        return f"sum {total}, charged again: {charged_again}"


class Sharing:
    """A tensor of one process, used by another of the same tenant."""

    COUNT = 1 << 28

    def prepare(self):
        found = version()
        self.helper = Helper(Borrower)
        self.tensor = torch.zeros(self.COUNT, device=DEVICE)
        if self.helper.answer() != "ready":
            raise RuntimeError("the helper does not help")
        return found

    def digest(self, results):
        self.tensor.fill_(2)
        event = torch.cuda.Event(interprocess=True)
        event.record()
        self.helper.tell("look")
        self.helper.tell(event.ipc_handle())
        self.helper.tell(self.tensor)
        results.exact("what the helper says", self.helper.answer())
        note(results, "what it wrote", self.tensor[:: self.COUNT // 4096])

    def quota(self):
        return nets.quota()


class Rank:
    """One of two that add up."""

    def __init__(self, rank, meeting):
        torch.cuda.set_device(rank)
        self.device = torch.device("cuda", rank)
        dist.init_process_group("nccl", init_method=f"file://{meeting}", rank=rank, world_size=2)
        self.base = nets.seeded(rank, 1 << 20).to(self.device)
        self.sum_up(2)

    def take(self, inbox):
        """A number of iterations."""
        return self.sum_up(inbox.get())

    def sum_up(self, iterations):
        """All-reduces something else each time; a checksum of all sums."""
        total = torch.zeros_like(self.base)
        for iteration in range(iterations):
            mine = self.base + iteration
            dist.all_reduce(mine)
            total.add_(mine, alpha=1 / 1024)
        return hashlib.sha256(total.cpu().numpy().tobytes()).hexdigest()


class Nccl:
    """All-reduce over two devices."""

    ITERATIONS = 1000
    BESIDE = 50

    def prepare(self):
        found = version(devices=2)
        self.dir = tempfile.TemporaryDirectory()
        self.ranks = [Helper(Rank, rank, f"{self.dir.name}/meeting") for rank in range(2)]
        for rank in self.ranks:
            rank.answer()
        return f"{found}, NCCL {'.'.join(map(str, torch.cuda.nccl.version()))}"

    def both(self, results, iterations):
        """Both ranks, at once."""
        for rank in self.ranks:
            rank.tell(iterations)
        sums = [rank.answer() for rank in self.ranks]
        if sums[0] != sums[1]:
            raise RuntimeError(f"the ranks differ: {sums}")
        results.exact(f"{iterations} all-reduces", sums[0])

    def digest(self, results):
        self.both(results, self.BESIDE)
        self.both(results, self.ITERATIONS)

    def beside(self, results):
        # A turn passes from tenant to tenant on each device by itself: a collective that needs both
        # takes a round or more.
        self.both(results, self.BESIDE)


class TwoDevices:
    """One process on two devices, which have different quotas."""

    def prepare(self):
        found = version(devices=2)
        self.parts = [nets.seeded(index, 1024, 1024).to(f"cuda:{index}") for index in range(2)]
        return found

    def digest(self, results):
        for index, part in enumerate(self.parts):
            note(results, f"device {index}", part @ part)
        note(results, "from one to the other", self.parts[0] @ self.parts[1].to("cuda:0"))

    def quota(self):
        return nets.quota(devices=(0, 1))


CASES = {"dataloader": Loading, "ipc": Sharing, "nccl": Nccl, "two-devices": TwoDevices}

if __name__ == "__main__":
    compat.serve(CASES[sys.argv[1]]())
