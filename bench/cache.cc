/* SPDX-License-Identifier: MIT */
/*
 * cache.cc: blocks by number. BLOCKS is a header that defines `Blocks`, a cache (blocks.h); one
 * executable each. Nobody does I/O: a miss costs the search, the eviction and the insertion. Block
 * numbers are 64 bits wide. `ns` is the time of one operation.
 *
 *   hit/N           one of the blocks 0..N-1 at random, all there: find it, with what the policy
 *                   does then
 *   chase/N         hit/N where the next number depends on what the last one gave: its latency
 *   pin/N           hit/N with a pin and an unpin
 *   scattered/N     hit/N of N random numbers below 2^31
 *   miss/N          a block that is not there: out with another, in with it
 *   replay/TRACE/N  a recorded trace through N blocks, empty at first; ns a request
 *                     misses  the share of requests that missed
 *
 * Two threads, on a CPU each, ask one cache of 4,096 for random blocks, of which it has all but 64,
 * and read a word of each; a third brings in one of those that they missed every 50 us, as a fast
 * disk would, and so evicts another. `ns` is one read in each of the two threads, `alone` one in
 * one of them while the other waits, `gain` how many times as many reads a second two do: the
 * median of 45 gains, each out of three turns that follow each other (one, both, the other).
 *
 * How to read it on two CPUs: the third thread is on the second reader's, which gives way to it, so
 * that as much is evicted in each turn; readers are charged for CPU time alone. What evictions cost
 * them is in `alone` too: the lines that were written for them. A gain below that of `apart` is
 * what the two readers cost each other. A turn in which another program had one of the CPUs does
 * not count. `brought` is blocks brought in a ms, of 20 that were to be.
 *
 *   shared          all blocks alike
 *   hot             seven reads of eight are of one block
 *   shared-pinned, hot-pinned   the same with a pin and an unpin around the read
 *   apart           shared without the third thread and with a cache for each: what the two CPUs
 *                   can do
 */
#include BLOCKS

#include "measure.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <memory>

namespace {

constexpr size_t ops = 51200;     /* of a sample, */
constexpr size_t ops_many = 8192; /* and where each is likely to go to memory */
constexpr uint32_t few = 4096, many = 1 << 20;
constexpr uint32_t choices = 65536; /* made before the clock runs, or as many as there are blocks */

using Numbers = std::vector<uint32_t>;

/* 1..count, as zero is none to some; or distinct ones below 2^31. In random order. */
Numbers numbers(uint32_t count, bool scattered, bench::Random &random) {
    Numbers keys(count);
    uint32_t stride = scattered ? (uint32_t{1} << 31) / count : 1;
    for (uint32_t i = 0; i < count; i++)
        keys[i] = i * stride + 1 + static_cast<uint32_t>(random.below(stride));
    bench::shuffle(keys, random);
    return keys;
}

/* A cache that holds all of the blocks that it will be asked for. */
struct Resident {
    bench::Random random;
    Blocks blocks;
    Numbers order;
    size_t at = 0; /* in it; goes on from row to row, so that none meets what the last one used */

    Resident(uint32_t count, bool scattered) : blocks(count) {
        Numbers keys = numbers(count, scattered, random);
        order.resize(std::max(choices, count));
        for (auto &key : order)
            key = keys[random.below(count)];
        if constexpr (Blocks::evicts)
            fill(blocks, keys);
    }
    template <typename B> static void fill(B &cache, const Numbers &keys) {
        for (auto key : keys) {
            if (cache.access(key))
                std::abort();
        }
    }
};

/* Filled once for all rows that ask it in the same way; the last one is kept. */
Resident &resident(uint32_t count, bool scattered) {
    static std::unique_ptr<Resident> last;
    static std::pair<uint32_t, bool> made{0, false};
    if (made != std::pair{count, scattered}) {
        last.reset();
        last = std::make_unique<Resident>(count, scattered);
        made = {count, scattered};
    }
    return *last;
}

/* One hit by `take`, which gives 0 for a miss. */
template <bool dependent, typename B, typename Take>
void hits(benchmark::State &state, bool scattered, Take take) {
    auto count = static_cast<uint32_t>(state.range(0));
    Resident &all = resident(count, scattered);
    B &blocks = all.blocks;
    uint64_t nothing = 0; /* as the compiler cannot know */
    benchmark::DoNotOptimize(nothing);
    bench::measure(state, count == many ? ops_many : ops, [&](size_t n) {
        uint64_t missed = 0, found = 0;
        if (all.at + n > all.order.size())
            all.at = 0;
        const uint32_t *const first = &all.order[all.at];
        for (size_t i = 0; i < n; i++) {
            found = take(blocks, uint64_t{first[i]} + (dependent ? found & nothing : 0));
            missed += found == 0;
        }
        all.at += n;
        if (missed != 0)
            std::abort();
    });
}

template <bool dependent, bool scattered> void hit(benchmark::State &state) {
    hits<dependent, Blocks>(state, scattered,
                            [](auto &blocks, uint64_t key) { return blocks.find(key); });
}

template <typename B> void pin(benchmark::State &state) {
    hits<false, B>(state, false, [](B &blocks, uint64_t key) { return blocks.pinned(key); });
}

template <typename B> void miss(benchmark::State &state) {
    auto blocks = std::make_unique<B>(few);
    uint64_t key = 1;
    for (; key <= few; key++)
        blocks->access(key);
    bench::measure(state, ops / 4, [&](size_t n) {
        uint64_t hits = 0;
        for (uint64_t end = key + n; key < end; key++)
            hits += blocks->access(key);
        if (hits != 0)
            std::abort();
    });
}

/* Little-endian words, as tests/oracles/cache says: the operation in bits 31..30, where 2 is a
 * flush, which is no access; the block's number below. */
[[maybe_unused]] Numbers requests_of(const std::string &path) {
    FILE *file = popen(("gzip -dc " + path).c_str(), "r");
    Numbers requests;
    uint8_t bytes[4];
    while (file != nullptr && std::fread(bytes, 1, 4, file) == 4) {
        uint32_t word = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | uint32_t{bytes[3]} << 24;
        if (word >> 30 != 2)
            requests.push_back((word & 0x3fffffff) + 1);
    }
    if (file == nullptr || pclose(file) != 0 || requests.empty()) {
        std::fprintf(stderr, "%s is no trace\n", path.c_str());
        std::exit(1);
    }
    return requests;
}

template <typename B> void replay(benchmark::State &state, const std::string &path) {
    Numbers requests = requests_of(path);
    auto count = static_cast<double>(requests.size());
    bench::Samples samples(bench::samples_few);
    uint64_t misses = 0;
    for (auto _ : state) {
        while (!samples.enough()) {
            auto blocks = std::make_unique<B>(static_cast<uint32_t>(state.range(0)));
            misses = 0;
            bench::Lap lap;
            for (auto key : requests)
                misses += !blocks->access(key);
            lap.stop();
            samples.add(static_cast<double>(lap.cpu_ns) / count, lap.lost != 0);
        }
    }
    samples.report(state, "ns");
    state.counters["misses"] = static_cast<double>(misses) / count;
}

/* Threads. */

constexpr uint32_t absent = 64;

/* A reader's order, what it did not find, and how long it took: its CPU time, so that what the
 * third thread takes of the same CPU does not count, or the time by the wall where it sleeps. */
template <typename B> struct alignas(128) Reader {
    static constexpr uint32_t wanted_max = 64;
    B *blocks = nullptr;
    std::vector<uint16_t> order; /* a power of two */
    bench::Lap lap;
    alignas(128) uint32_t wanted[wanted_max] = {}; /* 0: none */
    uint32_t misses = 0;

    template <typename Read> void run(size_t n, Read read) {
        uint64_t wrong = 0;
        const size_t mask = order.size() - 1;
        lap = {};
        for (size_t i = 0; i < n; i++) {
            uint32_t key = order[i & mask];
            uint64_t word = read(*blocks, key);
            if (word != 0)
                wrong |= word ^ key;
            else
                __atomic_store_n(&wanted[misses++ % wanted_max], key, __ATOMIC_RELAXED);
        }
        lap.stop();
        if (wrong != 0)
            std::abort();
    }
    /* By another program; the third thread, where it shares the CPU, takes little of it. */
    bool disturbed(bool shares_cpu) const {
        return shares_cpu ? lap.cpu_ns < (lap.end_ns - lap.begin_ns) * 7 / 10 : lap.lost != 0;
    }
    double ns(size_t n) const {
        int64_t time_ns = B::sleeps ? lap.end_ns - lap.begin_ns : lap.cpu_ns;
        return static_cast<double>(time_ns) / static_cast<double>(n);
    }
};

/* The third thread, on a CPU of its own where there are three. It brings in as many blocks a second
 * when one reads as when two do, also when it had to wait: each costs whoever reads some lines. */
template <typename B> class Filler {
  public:
    explicit Filler(Reader<B> *readers) {
        thread_ = std::thread([this, readers] {
            B::enter(2);
            bench::pin(std::min<size_t>(2, bench::cpus().size() - 1));
            prctl(PR_SET_TIMERSLACK, 1000);
            int64_t done_ns = bench::clock_ns(CLOCK_MONOTONIC);
            while (!stop_.load(std::memory_order_relaxed)) {
                std::this_thread::sleep_for(std::chrono::microseconds(100));
                int64_t now_ns = bench::clock_ns(CLOCK_MONOTONIC);
                bring(readers, static_cast<uint64_t>((now_ns - done_ns) / each_ns));
                done_ns += (now_ns - done_ns) / each_ns * each_ns;
            }
        });
    }
    uint64_t end() {
        stop_ = true;
        thread_.join();
        return brought_;
    }

  private:
    static constexpr int64_t each_ns = 50000; /* what a fast disk takes for one */

    /* What both missed last, by turns. */
    void bring(Reader<B> *readers, uint64_t count) {
        for (uint32_t tried = 0; count != 0 && tried < 2 * Reader<B>::wanted_max; tried++) {
            Reader<B> &reader = readers[next_ % 2];
            uint32_t key = __atomic_load_n(&reader.wanted[next_ / 2 % Reader<B>::wanted_max],
                                           __ATOMIC_RELAXED);
            next_++;
            if (key == 0 || reader.blocks->access(key))
                continue;
            brought_++;
            count--;
        }
    }

    std::thread thread_;
    std::atomic<bool> stop_{false};
    uint32_t next_ = 0;
    uint64_t brought_ = 0;
};

/* What a line of memory takes from one CPU to the other, in ns; nobody asks without threads. */
[[maybe_unused]] double passing_ns(bench::Couple &couple) {
    constexpr uint32_t passes = 4000;
    alignas(128) uint32_t ball = 0;
    auto player = [&](uint32_t turn) {
        for (; turn < passes; turn += 2) {
            while (__atomic_load_n(&ball, __ATOMIC_ACQUIRE) != turn)
                bench::relax();
            __atomic_store_n(&ball, turn + 1, __ATOMIC_RELEASE);
        }
    };
    couple.run([&] { player(0); }, [&] { player(1); });
    return static_cast<double>(couple.elapsed_ns) / passes;
}

template <typename B, typename Read>
void side_by_side(benchmark::State &state, Reader<B> *readers, Read read) {
    constexpr size_t samples = 45; /* of three turns each */
    constexpr int64_t warm_ns = 200000000;
    bench::Couple couple([](size_t n) {
        B::enter(n);
        if (n == 1) /* the third thread is to get its CPU at once */
            setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 19);
    });
    bench::Samples both(samples), alone(samples), gain(samples), passing(samples);
    auto run = [&](size_t n, bool first, bool second) {
        auto turn = [&](size_t which, bool wanted) {
            if (wanted)
                readers[which].run(n, read);
        };
        couple.run([&] { turn(0, first); }, [&] { turn(1, second); });
    };
    constexpr size_t trial = 20000;
    constexpr double sample_ns = 1.5e6;
    /* Until the policy has seen so many blocks come and go that it treats them as it goes on to. */
    for (int64_t begin_ns = bench::clock_ns(CLOCK_MONOTONIC);
         bench::clock_ns(CLOCK_MONOTONIC) - begin_ns < warm_ns;)
        run(trial, true, true);
    auto n = std::max(trial, static_cast<size_t>(sample_ns / readers[0].ns(trial)));
    for (auto _ : state) {
        while (!gain.enough()) {
            double one_ns[2], two_ns[2];
            bool disturbed = false;
            auto look = [&](double *ns, size_t which) {
                ns[which] = readers[which].ns(n);
                disturbed |= !B::sleeps && readers[which].disturbed(which == 1);
            };
            /* Both in the middle: a machine that becomes slower or faster does so to all three. */
            run(n, true, false);
            look(one_ns, 0);
            run(n, true, true);
            look(two_ns, 0);
            look(two_ns, 1);
            run(n, false, true);
            look(one_ns, 1);
            passing.add(passing_ns(couple), disturbed);
            alone.add((one_ns[0] + one_ns[1]) / 2, disturbed);
            both.add((two_ns[0] + two_ns[1]) / 2, disturbed);
            gain.add(one_ns[0] / two_ns[0] + one_ns[1] / two_ns[1], disturbed);
        }
    }
    both.report(state, "ns");
    alone.report(state, "alone");
    gain.report(state, "gain");
    passing.report(state, "passing");
}

/* A cache that threads may share; with some that is another thing. */
template <typename B> std::unique_ptr<B> shared_by_threads(uint32_t count) {
    if constexpr (std::is_constructible_v<B, uint32_t, bool>)
        return std::make_unique<B>(count, true);
    else
        return std::make_unique<B>(count);
}

template <typename B, bool hot, typename Read> void shared(benchmark::State &state, Read read) {
    bench::Random random;
    Numbers keys = numbers(few + absent, false, random);
    auto blocks = shared_by_threads<B>(few);
    auto readers = std::make_unique<Reader<B>[]>(2);
    for (auto key : keys)
        blocks->access(key);
    for (size_t i = 0; i < 2; i++) {
        readers[i].blocks = blocks.get();
        readers[i].order.resize(hot ? 4 * choices : choices); /* so that all are asked for */
        for (auto &key : readers[i].order)
            key = static_cast<uint16_t>(
                keys[hot && random.below(8) != 0 ? 0 : random.below(keys.size())]);
    }
    int64_t begin_ns = bench::clock_ns(CLOCK_MONOTONIC);
    Filler<B> filler(readers.get());
    side_by_side(state, readers.get(), read);
    auto took_ms = static_cast<double>(bench::clock_ns(CLOCK_MONOTONIC) - begin_ns) / 1e6;
    state.counters["brought"] = static_cast<double>(filler.end()) / took_ms;
}

template <bool hot> void unpinned(benchmark::State &state) {
    shared<Blocks, hot>(state, [](auto &blocks, uint64_t key) { return blocks.read(key); });
}

template <bool hot> void pinned(benchmark::State &state) {
    shared<Blocks, hot>(state, [](auto &blocks, uint64_t key) { return blocks.read_pinned(key); });
}

template <typename B> void apart(benchmark::State &state) {
    auto one = std::make_unique<Resident>(few, false), two = std::make_unique<Resident>(few, false);
    auto readers = std::make_unique<Reader<B>[]>(2);
    readers[0].blocks = &one->blocks;
    readers[1].blocks = &two->blocks;
    for (size_t i = 0; i < 2; i++)
        readers[i].order.assign(one->order.begin(), one->order.end());
    side_by_side(state, readers.get(), [](B &blocks, uint64_t key) { return blocks.read(key); });
}

template <typename B> void add_all() {
    auto add = [](const char *name, void (*workload)(benchmark::State &)) {
        return benchmark::RegisterBenchmark(name, workload)->Iterations(1);
    };
    for (auto count : {few, many}) {
        add("hit", hit<false, false>)->Arg(count);
        add("chase", hit<true, false>)->Arg(count);
        if constexpr (B::pins)
            add("pin", pin<B>)->Arg(count);
    }
    add("scattered", hit<false, true>)->Arg(few);
    if constexpr (B::policy) {
        add("miss", miss<B>)->Arg(few);
        for (const auto &[name, path, size] :
             {std::tuple{"replay/sqlite_rw", OWN_TRACES "/sqlite_rw.u32.gz", 1024},
              std::tuple{"replay/w106_a", OTHER_TRACES "/w106_a.u32.gz", 3000}}) {
            if (::access(path, R_OK) != 0)
                std::fprintf(stderr, "%s is not there: %s is left out\n", path, name);
            else
                benchmark::RegisterBenchmark(name, replay<B>, std::string(path))
                    ->Iterations(1)
                    ->Arg(size);
        }
    }
    if (!B::threads || bench::cpus().size() < 2)
        return;
    if constexpr (B::threads && B::evicts) {
        add("shared", unpinned<false>);
        add("hot", unpinned<true>);
        if constexpr (B::pins) {
            add("shared-pinned", pinned<false>);
            add("hot-pinned", pinned<true>);
        }
    }
    if constexpr (B::threads)
        add("apart", apart<B>);
}

} // namespace

/* Huge pages, where the machine has any, for all that a cache of a million blocks gets from malloc,
 * whoever's it is: glibc asks for them if told so before it starts. */
int main(int argc, char **argv) {
    constexpr const char *name = "GLIBC_TUNABLES";
    if (getenv(name) == nullptr && setenv(name, "glibc.malloc.hugetlb=1", 1) == 0)
        execv("/proc/self/exe", argv);
    return bench::run_all(argc, argv, {{"subject", "blocks"}, {"peer", Blocks::name}},
                          add_all<Blocks>);
}
