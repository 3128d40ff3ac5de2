"""What PyTorch sees of a memory quota: the total, an out-of-memory error it can catch, and recovery."""

import argparse
import json

import torch

PIECE_BYTES = 256 << 20
# Far beyond any quota this script is run under; without one it stops here.
MAX_BYTES = 48 << 30


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", type=int, default=0)
    args = parser.parse_args()
    device = torch.device("cuda", args.device)
    torch.cuda.set_device(device)
    _, total_bytes = torch.cuda.mem_get_info(device)

    held, refused = [], False
    try:
        while len(held) * PIECE_BYTES < MAX_BYTES:
            held.append(torch.empty(PIECE_BYTES, dtype=torch.uint8, device=device))
    except torch.cuda.OutOfMemoryError:
        refused = True
    allocated_bytes = len(held) * PIECE_BYTES

    recovered = False
    if refused and len(held) >= 2:
        # Two, since the sum below needs a little for its result as well.
        del held[-2:]
        again = torch.ones(PIECE_BYTES // 4, dtype=torch.float32, device=device)
        recovered = again.sum().item() == PIECE_BYTES // 4
    print(
        json.dumps(
            {
                "total_bytes": total_bytes,
                "properties_total_bytes": torch.cuda.get_device_properties(device).total_memory,
                "allocated_at_refusal_bytes": allocated_bytes,
                "refused": refused,
                "recovered": recovered,
            }
        )
    )


if __name__ == "__main__":
    main()
