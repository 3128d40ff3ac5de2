// What programs that meet their quota report, and count together.
#pragma once

#include "program.hpp"
#include <atomic>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

// The two words of hw-tests/src/ledger.rs: added to after an allocation, subtracted from before a free.
struct Ledger {
    std::atomic<u64> held, peak;

    static Ledger *open(const std::string &path) {
        int file = ::open(path.c_str(), O_RDWR | O_CREAT, 0666);
        if (file < 0 || ftruncate(file, sizeof(Ledger)) != 0) fail(path.c_str(), "cannot be opened");
        void *place = mmap(nullptr, sizeof(Ledger), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (place == MAP_FAILED) fail(path.c_str(), "cannot be mapped");
        return static_cast<Ledger *>(place);
    }
    void add(u64 bytes) {
        u64 now = held.fetch_add(bytes) + bytes, before = peak.load();
        while (now > before && !peak.compare_exchange_weak(before, now)) {}
    }
};

// Memory that is left, of all there is.
struct Room {
    u64 free, total;
};

// Allocates until refused, frees one piece, and tries that piece again. `ask(bytes)` gives whether it got that much and holds
// it, `release()` gives up what came last, `left()` tells what is left.
template <typename Ask, typename Release, typename Left>
static std::string overeat(const Options &options, Ask ask, Release release, Left left) {
    u64 asked = options.bytes("bytes", 0), piece = options.bytes("piece", 256 << 20), got = 0;
    bool refused = false, recovered = false;
    while (got < asked && !refused) {
        u64 bytes = std::min(piece, asked - got);
        if (ask(bytes)) got += bytes;
        else refused = true;
    }
    Room room = left();
    if (refused && got > 0) {
        release();
        recovered = ask(piece);
    }
    char text[512];
    std::snprintf(text, sizeof text,
                  "{\"mode\":\"hog\",\"asked_bytes\":%llu,\"granted_bytes\":%llu,\"refused\":%s,\"total_bytes\":%llu,"
                  "\"free_at_refusal_bytes\":%llu,\"recovered\":%s}",
                  asked, got, refused ? "true" : "false", room.total, room.free, recovered ? "true" : "false");
    return text;
}

// Tells what everybody has of the device's memory, as `used()` sees it; `first` is what that was before anybody began.
template <typename Session, typename Used>
static std::string watch(const Options &options, const Session &session, u64 first, Used used) {
    u64 start = used(), peak = start, reads = 0, period = u64(options.number("sample-ms", 10) * 1e6);
    for (u64 due = session.start_ns; !session.over(); ++reads) {
        u64 bytes = used(), now = now_ns();
        peak = std::max(peak, bytes);
        line(reads % 16 == 0, "{\"record\":\"device_memory\",\"t_ns\":%llu,\"used_bytes\":%llu}", now, bytes);
        due += period * ((now - std::min(now, due)) / period + 1);
        sleep_until(due);
    }
    char text[256];
    std::snprintf(text, sizeof text,
                  "{\"mode\":\"watch\",\"first_bytes\":%llu,\"start_bytes\":%llu,\"peak_bytes\":%llu,\"reads\":%llu}",
                  first, start, peak, reads);
    return text;
}
