/* SPDX-License-Identifier: MIT */
/*
 * vm_bounds.cc: what a fork that copies tables cannot be faster than, beside vm.cc.
 *
 *   fork/MIB of `memcpy`    a copy of the tables of pages, no more
 *   fork/MIB of `counting`  a copy of them that write-protects both and counts each page, one
 *                           uint32_t each
 *   block                   of `memcpy`: 2 MiB copied
 *   map, unmap, protect /MIB of `counting`: a loop that goes down to a table of pages
 *                           once for all of them, and checks nothing
 */
#include "measure.h"

#include <cstring>

namespace {

constexpr size_t entries = 512;

struct alignas(4096) Table {
    uint64_t entry[entries];
};

struct Tables {
    std::vector<Table> own, copy;
    std::vector<uint32_t> counts;

    explicit Tables(uint64_t mib) : own(mib / 2), copy(mib / 2), counts(mib * 256, 1) {
        uint64_t frame = 0;
        for (auto &table : own) {
            for (auto &entry : table.entry)
                entry = frame++ << 12 | 0x43;
        }
        std::memset(copy.data(), 1, copy.size() * sizeof(Table));
    }
};

uint64_t mib_of(const benchmark::State &state) {
    return static_cast<uint64_t>(state.range(0));
}

template <typename Work> void sample(benchmark::State &state, size_t ops, Work work) {
    bench::Samples samples;
    work();
    for (auto _ : state) {
        while (!samples.enough())
            samples.add(bench::once(ops, work), false);
    }
    samples.report(state, "ns");
}

#ifdef VM_COUNTS

constexpr uint64_t read_only = 1 << 7;

void fork_tables(benchmark::State &state) {
    Tables tables(mib_of(state));
    sample(state, 1, [&] {
        for (size_t i = 0; i < tables.own.size(); i++) {
            for (size_t j = 0; j < entries; j++) {
                uint64_t entry = tables.own[i].entry[j] | read_only;
                tables.own[i].entry[j] = tables.copy[i].entry[j] = entry;
                tables.counts[entry >> 12]++;
            }
        }
        benchmark::ClobberMemory();
    });
}

template <typename Work> void pages(benchmark::State &state, Work work) {
    Tables tables(mib_of(state));
    sample(state, mib_of(state) * 256, [&] {
        for (size_t i = 0; i < tables.own.size(); i++) {
            for (size_t j = 0; j < entries; j++)
                work(tables, i, j);
        }
        benchmark::ClobberMemory();
    });
}

void map(benchmark::State &state) {
    pages(state, [](Tables &tables, size_t i, size_t j) {
        uint64_t frame = i * entries + j;
        tables.own[i].entry[j] = frame << 12 | 0x43;
        tables.counts[frame] = 1;
    });
}

void protect(benchmark::State &state) {
    pages(state, [](Tables &tables, size_t i, size_t j) { tables.own[i].entry[j] ^= read_only; });
}

void unmap(benchmark::State &state) {
    pages(state, [](Tables &tables, size_t i, size_t j) {
        tables.counts[i * entries + j]--;
        tables.own[i].entry[j] = 0;
    });
}

void add_all() {
    for (int64_t mib : {64, 1024, 8192})
        benchmark::RegisterBenchmark("fork", fork_tables)->Iterations(1)->Arg(mib);
    for (int64_t mib : {64, 1024}) {
        benchmark::RegisterBenchmark("map", map)->Iterations(1)->Arg(mib);
        benchmark::RegisterBenchmark("protect", protect)->Iterations(1)->Arg(mib);
        benchmark::RegisterBenchmark("unmap", unmap)->Iterations(1)->Arg(mib);
    }
}

constexpr const char *peer = "counting";

#else

void fork_tables(benchmark::State &state) {
    Tables tables(mib_of(state));
    sample(state, 1, [&] {
        std::memcpy(tables.copy.data(), tables.own.data(), tables.own.size() * sizeof(Table));
        benchmark::ClobberMemory();
    });
}

void block(benchmark::State &state) {
    std::vector<Table> from(entries), to(entries);
    std::memset(from.data(), 1, entries * sizeof(Table));
    sample(state, 1, [&] {
        std::memcpy(to.data(), from.data(), entries * sizeof(Table));
        benchmark::ClobberMemory();
    });
}

void add_all() {
    for (int64_t mib : {64, 1024, 8192})
        benchmark::RegisterBenchmark("fork", fork_tables)->Iterations(1)->Arg(mib);
    benchmark::RegisterBenchmark("block", block)->Iterations(1);
}

constexpr const char *peer = "memcpy";

#endif

} // namespace

int main(int argc, char **argv) {
    return bench::run_all(argc, argv, {{"subject", "spaces"}, {"peer", peer}}, add_all);
}
