// What a load program needs that is of no vendor: time, options, records, and an end with a reason.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

using u64 = unsigned long long;

[[noreturn]] static void fail(const char *what, const char *why) {
    std::fprintf(stderr, "%s: %s\n", what, why);
    // Without the destructors of threads that still run.
    std::_Exit(1);
}

static u64 now_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return u64(now.tv_sec) * 1'000'000'000 + now.tv_nsec;
}

static void sleep_until(u64 due_ns) {
    timespec due = {time_t(due_ns / 1'000'000'000), long(due_ns % 1'000'000'000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, nullptr) != 0) {}
}

// `--name value`, all of them.
struct Options {
    std::map<std::string, std::string> given;

    // What is not among the names that the program knows would change what is measured.
    Options(int count, char **arguments, const std::set<std::string> &known) {
        for (int i = 2; i < count; i += 2) {
            std::string name = arguments[i];
            if (!known.count(name) || i + 1 == count) fail(arguments[i], "is no option of this program, or lacks its value");
            given[name.substr(2)] = arguments[i + 1];
        }
    }
    std::string text(const char *name, const char *otherwise) const {
        auto found = given.find(name);
        return found == given.end() ? otherwise : found->second;
    }
    double number(const char *name, double otherwise) const {
        auto found = given.find(name);
        return found == given.end() ? otherwise : std::strtod(found->second.c_str(), nullptr);
    }
    // A list with commas between.
    std::vector<std::string> list(const char *name, const char *otherwise) const {
        std::vector<std::string> parts;
        std::stringstream all(text(name, otherwise));
        for (std::string part; std::getline(all, part, ',');) parts.push_back(part);
        return parts;
    }
    std::vector<double> numbers(const char *name, const char *otherwise) const {
        std::vector<double> numbers;
        for (auto &part : list(name, otherwise)) numbers.push_back(std::strtod(part.c_str(), nullptr));
        return numbers;
    }
    // A size like 4096, 64K, 16M or 8G.
    static u64 size(const std::string &text) {
        char *unit = nullptr;
        u64 value = std::strtoull(text.c_str(), &unit, 10);
        const std::string units = "KMGT";
        auto shift = *unit ? units.find(*unit) : std::string::npos;
        if (*unit && shift == std::string::npos) fail(text.c_str(), "is no size");
        return *unit ? value << (10 * (shift + 1)) : value;
    }
    u64 bytes(const char *name, u64 otherwise) const {
        auto found = given.find(name);
        return found == given.end() ? otherwise : size(found->second);
    }
};

// Lines of records; the reader gets them whole.
static std::mutex output;
template <typename... Values> static void line(bool flush, const char *format, Values... values) {
    std::lock_guard<std::mutex> guard(output);
    std::printf(format, values...);
    std::putchar('\n');
    if (flush) std::fflush(stdout);
}

// A device in the header of every mode. The version is that of the vendor's interface as it packs it, or 0.
static std::string described(const std::string &name, int version) {
    bool simulated = name.find("simulated") != std::string::npos;
    return "{\"name\":\"" + name + "\",\"interface_version\":" + std::to_string(version) + ",\"driver_version\":null,\"simulated\":" +
           (simulated ? "true" : "false") + "}";
}
