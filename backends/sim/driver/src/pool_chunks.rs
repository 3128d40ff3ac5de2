//! The chunks a pool takes from its device, and which pieces of them are free for whom.
//!
//! As probed on an H100 with driver 580.159 (November 2026): a pool grows by whole multiples of 32 MiB; small
//! allocations share a chunk; a stream takes again at once what it freed before, another one only when
//! the free has run; and a chunk goes back to the device only after a synchronization that found all of it
//! free. Pure bookkeeping: no device, no locks.

/// Pieces begin at multiples of this.
const ALIGN_BYTES: u64 = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Allocated at this address.
    Used(u64),
    /// Freed in the order of `stream`; the free with this number has not run.
    Pending {
        stream: u64,
        free: u64,
    },
    /// Free, but no synchronization has seen it.
    Unseen,
    Free,
}

struct Piece {
    bytes: u64,
    state: State,
}

/// All chunks of a pool.
#[derive(Default)]
pub struct Chunks {
    chunks: Vec<Vec<Piece>>,
    frees: u64,
}

fn chunk_bytes(chunk: &[Piece]) -> u64 {
    chunk.iter().map(|piece| piece.bytes).sum()
}

/// What an allocation takes of a chunk; nothing if no device could have it.
fn piece_bytes(bytes: u64) -> Option<u64> {
    bytes.checked_next_multiple_of(ALIGN_BYTES)
}

impl Chunks {
    /// Bytes the pool has of its device.
    pub fn reserved_bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk_bytes(chunk)).sum()
    }

    /// True if nothing is allocated and no free is on its way.
    pub fn is_idle(&self) -> bool {
        let mut pieces = self.chunks.iter().flatten();
        pieces.all(|piece| matches!(piece.state, State::Free | State::Unseen))
    }

    /// Enters an allocation that `stream` makes at `address`; false if the pool must grow first.
    pub fn take(&mut self, bytes: u64, stream: u64, address: u64) -> bool {
        let Some(bytes) = piece_bytes(bytes) else {
            return false;
        };
        let usable = |piece: &Piece| match piece.state {
            State::Used(_) => false,
            State::Pending { stream: of, .. } => of == stream,
            State::Unseen | State::Free => true,
        };
        for chunk in &mut self.chunks {
            let (mut first, mut sum_bytes) = (0, 0);
            for at in 0..chunk.len() {
                if !usable(&chunk[at]) {
                    (first, sum_bytes) = (at + 1, 0);
                    continue;
                }
                sum_bytes += chunk[at].bytes;
                if sum_bytes < bytes {
                    continue;
                }
                let rest = Piece {
                    bytes: sum_bytes - bytes,
                    state: chunk[at].state,
                };
                let used = Piece {
                    bytes,
                    state: State::Used(address),
                };
                let rest = Some(rest).filter(|rest| rest.bytes > 0);
                chunk.splice(first..=at, [used].into_iter().chain(rest));
                return true;
            }
        }
        false
    }

    /// Adds a chunk for an allocation of `bytes`.
    pub fn grow(&mut self, bytes: u64) {
        self.chunks.push(vec![Piece {
            bytes,
            state: State::Free,
        }]);
    }

    fn change(&mut self, from: impl Fn(State) -> bool, to: State) {
        for piece in self.chunks.iter_mut().flatten() {
            if from(piece.state) {
                piece.state = to;
            }
        }
    }

    /// `stream` frees what is at `address`, when it gets there; gives the free's number.
    pub fn free_in_order(&mut self, address: u64, stream: u64) -> u64 {
        self.frees += 1;
        let free = self.frees;
        let pending = State::Pending { stream, free };
        self.change(|state| state == State::Used(address), pending);
        free
    }

    /// The free with that number has run.
    pub fn freed(&mut self, number: u64) {
        let ran = |state| matches!(state, State::Pending { free, .. } if free == number);
        self.change(ran, State::Unseen);
    }

    /// What is at `address` is free at once.
    pub fn free_now(&mut self, address: u64) {
        self.change(|state| state == State::Used(address), State::Free);
    }

    /// A synchronization: what is free by now may go back to the device.
    pub fn synchronized(&mut self) {
        self.change(|state| state == State::Unseen, State::Free);
        for chunk in &mut self.chunks {
            // Neighbours that are free are one piece.
            chunk.dedup_by(|next, before| {
                let both = next.state == State::Free && before.state == State::Free;
                if both {
                    before.bytes += next.bytes;
                }
                both
            });
        }
    }

    /// Gives free chunks back while more than `keep_bytes` would be left; gives how many bytes.
    pub fn release_down_to(&mut self, keep_bytes: u64) -> u64 {
        let reserved_bytes = self.reserved_bytes();
        let mut left_bytes = reserved_bytes;
        self.chunks.retain(|chunk| {
            let free = chunk.iter().all(|piece| piece.state == State::Free);
            let go = free && left_bytes > keep_bytes;
            if go {
                left_bytes -= chunk_bytes(chunk);
            }
            !go
        });
        reserved_bytes - left_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// Allocates as a pool does that its device never refuses.
    fn alloc(chunks: &mut Chunks, mib: u64, stream: u64, address: u64) {
        let bytes = mib * MIB;
        if !chunks.take(bytes, stream, address) {
            chunks.grow(bytes.next_multiple_of(32 * MIB));
            assert!(chunks.take(bytes, stream, address));
        }
    }

    fn reserved_mib(chunks: &Chunks) -> u64 {
        chunks.reserved_bytes() / MIB
    }

    #[test]
    fn pools_grow_as_the_probed_driver_did() {
        for (mib, expected) in [(3, 32), (33, 64), (100, 128), (1000, 1024)] {
            let mut chunks = Chunks::default();
            alloc(&mut chunks, mib, 1, 1);
            assert_eq!(reserved_mib(&chunks), expected, "{mib} MiB");
        }
        let mut chunks = Chunks::default();
        (0..41).for_each(|address| alloc(&mut chunks, 1, 1, address));
        assert_eq!(reserved_mib(&chunks), 64, "41 times 1 MiB");
    }

    #[test]
    fn a_chunk_with_a_live_allocation_stays() {
        let mut chunks = Chunks::default();
        (0..200).for_each(|address| alloc(&mut chunks, 1, 1, address));
        assert_eq!(reserved_mib(&chunks), 224);
        for address in (0..200).step_by(2) {
            let free = chunks.free_in_order(address, 1);
            chunks.freed(free);
        }
        chunks.synchronized();
        assert_eq!(chunks.release_down_to(0), 0, "every chunk has some");
        (1..200)
            .step_by(2)
            .for_each(|address| chunks.free_now(address));
        assert_eq!(chunks.release_down_to(64 * MIB), 160 * MIB);
        assert_eq!(reserved_mib(&chunks), 64);
    }

    #[test]
    fn only_its_own_stream_takes_what_is_not_free_yet() {
        let mut chunks = Chunks::default();
        alloc(&mut chunks, 20, 1, 1);
        let first = chunks.free_in_order(1, 1);
        alloc(&mut chunks, 20, 1, 2);
        assert_eq!(reserved_mib(&chunks), 32, "the same stream");
        chunks.freed(first);
        let second = chunks.free_in_order(2, 1);
        alloc(&mut chunks, 20, 2, 3);
        assert_eq!(reserved_mib(&chunks), 64, "another stream");
        chunks.freed(second);
        alloc(&mut chunks, 20, 2, 4);
        assert_eq!(reserved_mib(&chunks), 64, "once it has run");
        assert_eq!(chunks.release_down_to(0), 0);
    }

    #[test]
    fn nothing_goes_back_before_a_synchronization() {
        let mut chunks = Chunks::default();
        alloc(&mut chunks, 20, 1, 1);
        let free = chunks.free_in_order(1, 1);
        chunks.synchronized();
        assert_eq!(chunks.release_down_to(0), 0, "it has not run");
        chunks.freed(free);
        assert_eq!(chunks.release_down_to(0), 0, "nobody has looked");
        assert!(chunks.is_idle());
        chunks.synchronized();
        assert_eq!(chunks.release_down_to(0), 32 * MIB);
    }
}
