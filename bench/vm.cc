/* SPDX-License-Identifier: MIT */
/*
 * vm.cc: address spaces of lib/vm, VMSAv8-64, over a TLB that does nothing; compiled for one CPU
 * and for several (whose counts are atomic). MIB: resident, all in 4 KiB pages whose frames follow
 * each other (scattered: in random order). `ns` is the time of one of what is named.
 *
 *   fork/MIB        of a parent that has written since the last fork; hot: all is in the caches
 *   fork-cold/MIB   after 96 MiB of something else were read
 *   fork-exit/MIB   that fork, and the end of the child, its tables reaped
 *   eager/MIB       a fork that copies all tables
 *   first/MIB       the first write after fork: three tables and a page are copied; hot
 *   first-scattered/MIB
 *   same/MIB        a write to another page of the same 2 MiB
 *   other/MIB       a write to a page of other 2 MiB of the same 1 GiB
 *   block           the first write to a shared page of 2 MiB, which is copied whole
 *   map, protect, translate, unmap /MIB   in one call (translate: one each); ns a page
 *   unmap-kept/MIB  of pages that somebody else has, too: none is freed
 *   reap            the end of the last space with these tables: ns a table
 *
 * Beside them, in vm_bounds.cc: what copying the tables takes, alone and with a count a page; in
 * vm_linux.cc: Linux's own calls.
 */
#include "measure.h"

#include <ashlar/check.h>
#include <ashlar/vm.h>

#include <sys/mman.h>

#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace {

constexpr uint64_t first_frame = 0x80000;
constexpr uint64_t mib_max = 8192;
constexpr uint64_t table_frames = 24576, frames = mib_max * 256 + table_frames;
constexpr uint64_t block = 2 << 20, page = 4096;
constexpr uint64_t base = 0;
constexpr uint32_t rights = ASH_VM_READ | ASH_VM_WRITE | ASH_VM_USER;

[[noreturn]] void fail(const char *what) {
    std::fprintf(stderr, "bench-vm: %s\n", what);
    std::abort();
}

void must(int result, const char *what) {
    if (result != 0)
        fail(what);
}

/* The machine: frames for tables and copies by a stack, as a CPU's own list gives them; those that
 * are mapped at first lie beyond, and come back by a store to another. */
class Machine {
  public:
    explicit Machine(uint32_t flags = 0) {
        memory_ =
            static_cast<uint8_t *>(mmap(nullptr, (frames << 12) + block, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        if (memory_ == MAP_FAILED)
            fail("no address space");
        madvise(memory_, frames << 12, MADV_NOHUGEPAGE);
        uint8_t *start = memory_ + (block - reinterpret_cast<uintptr_t>(memory_) % block) % block;
        config_.format = &ash_vm_vmsa4k;
        config_.flags = flags;
        config_.direct_map = reinterpret_cast<uintptr_t>(start) - (first_frame << 12);
        config_.first_frame = first_frame;
        config_.frame_count = frames;
        config_.frames = {alloc, free, nullptr, nullptr, this};
        config_.tlb = {[](void *) {},
                       [](void *, uint32_t, ash_vaddr_t, uint64_t, uint32_t, bool) {},
                       [](void *, uint32_t) {}, [](void *) {}, nullptr};
        config_.flush_pages_max = 512;
        stack_.reserve(table_frames);
        for (uint64_t i = table_frames; i-- > 1024;)
            stack_.push_back(first_frame + i);
        blocks_ = {first_frame + 512, first_frame};
        std::memset(start, 0, table_frames << 12);
        storage_.resize(ash_vm_storage_size(&config_) / 8);
        must(ash_vm_init(&vm, &config_, storage_.data(), storage_.size() * 8), "ash_vm_init");
    }
    ~Machine() {
        munmap(memory_, (frames << 12) + block);
    }
    Machine(const Machine &) = delete;
    Machine &operator=(const Machine &) = delete;

    /* A live space with `mib` resident. */
    void fill(struct ash_vm_space &space, uint64_t mib, bool scattered = false) {
        make(space);
        uint64_t pages = mib * 256;
        if (!scattered) {
            map(space, pages);
            return;
        }
        bench::Random random;
        std::vector<uint64_t> order(pages);
        for (uint64_t i = 0; i < pages; i++)
            order[i] = i;
        bench::shuffle(order, random);
        for (uint64_t i = 0; i < pages; i++)
            must(ash_vm_map(&space, base + i * page, (data() + order[i]) << 12, page, rights, 0),
                 "ash_vm_map");
    }
    void make(struct ash_vm_space &space) {
        must(ash_vm_space_init(&space, &vm, 0, 0), "ash_vm_space_init");
        live(space);
    }
    void live(struct ash_vm_space &space) {
        space.asid = ++asid_;
        space.is_live = true;
    }
    void map(struct ash_vm_space &space, uint64_t pages) {
        must(ash_vm_map(&space, base, data() << 12, pages * page, rights, ASH_VM_SMALL),
             "ash_vm_map");
    }
    static uint64_t data() {
        return first_frame + table_frames;
    }
    static void end(struct ash_vm_space &space) {
        ash_vm_space_fini(&space);
        while (ash_vm_reap(&space, 64)) {}
    }
    struct ash_vm vm = {};

  private:
    static int alloc(void *context, uint32_t order, ash_pfn_t *first) {
        auto &from = order == 0 ? static_cast<Machine *>(context)->stack_
                                : static_cast<Machine *>(context)->blocks_;
        if (from.empty() || (order != 0 && order != 9))
            return -ASH_ENOMEM;
        *first = from.back();
        from.pop_back();
        return 0;
    }
    static void free(void *context, ash_pfn_t first, uint32_t order) {
        auto *machine = static_cast<Machine *>(context);
        if (first >= data())
            machine->back_[machine->back_count_++ % std::size(machine->back_)] = first;
        else
            (order == 0 ? machine->stack_ : machine->blocks_).push_back(first);
    }

    struct ash_vm_config config_ = {};
    uint8_t *memory_ = nullptr;
    std::vector<ash_pfn_t> stack_, blocks_;
    std::vector<uint64_t> storage_;
    uint64_t asid_ = 0;
    ash_pfn_t back_[64] = {}; /* of those that were mapped at first: map has them again */
    size_t back_count_ = 0;
};

void write(struct ash_vm_space &space, uint64_t va) {
    enum ash_vm_verdict verdict = ash_vm_fault(&space, va, ASH_VM_WRITE | ASH_VM_USER);
    if (verdict == ASH_VM_SEGV || verdict == ASH_VM_NOMEM)
        fail("a write was refused");
}

uint64_t mib_of(const benchmark::State &state) {
    return static_cast<uint64_t>(state.range(0));
}

/* Of `times` samples one by one, what a look at the clock takes taken off. */
template <typename Before, typename Work, typename After>
void each(benchmark::State &state, size_t times, Before before, Work work, After after) {
    std::vector<int64_t> taken, nothing;
    for (size_t i = 0; i < 99; i++) {
        int64_t begin = bench::clock_ns(CLOCK_MONOTONIC);
        nothing.push_back(bench::clock_ns(CLOCK_MONOTONIC) - begin);
    }
    auto median = [](std::vector<int64_t> &values) {
        std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2),
                         values.end());
        return static_cast<double>(values[values.size() / 2]);
    };
    for (auto _ : state) {
        for (size_t i = 0; i < times; i++) {
            before();
            int64_t begin = bench::clock_ns(CLOCK_MONOTONIC);
            work();
            taken.push_back(bench::clock_ns(CLOCK_MONOTONIC) - begin);
            after();
        }
    }
    state.counters["ns"] = std::max(median(taken) - median(nothing), 0.0);
}

void fork_hot(benchmark::State &state) {
    Machine machine;
    struct ash_vm_space parent, child;
    machine.fill(parent, mib_of(state));
    each(
        state, 2001, [&] { write(parent, base); },
        [&] { must(ash_vm_fork(&child, &parent, 0), "ash_vm_fork"); },
        [&] { Machine::end(child); });
    Machine::end(parent);
}

void fork_cold(benchmark::State &state) {
    Machine machine;
    struct ash_vm_space parent, child;
    std::vector<uint64_t> other(12 << 20, 1);
    machine.fill(parent, mib_of(state));
    each(
        state, 21,
        [&] {
            write(parent, base);
            for (size_t i = 0; i < other.size(); i += 8)
                other[i]++;
        },
        [&] { must(ash_vm_fork(&child, &parent, 0), "ash_vm_fork"); },
        [&] { Machine::end(child); });
    Machine::end(parent);
}

void fork_exit(benchmark::State &state) {
    Machine machine;
    struct ash_vm_space parent, child;
    machine.fill(parent, mib_of(state));
    bench::measure(state, 2000, [&](size_t n) {
        for (size_t i = 0; i < n; i++) {
            must(ash_vm_fork(&child, &parent, 0), "ash_vm_fork");
            Machine::end(child);
            write(parent, base); /* one store: all of it is its own again */
        }
    });
    Machine::end(parent);
}

void eager(benchmark::State &state) {
    Machine machine;
    struct ash_vm_space parent, child;
    machine.fill(parent, mib_of(state));
    each(
        state, mib_of(state) > 1024 ? 5 : 31, [] {},
        [&] { must(ash_vm_fork(&child, &parent, ASH_VM_EAGER), "ash_vm_fork"); },
        [&] { Machine::end(child); });
    Machine::end(parent);
}

template <bool scattered> void first(benchmark::State &state) {
    Machine machine;
    struct ash_vm_space parent, child;
    machine.fill(parent, mib_of(state), scattered);
    each(
        state, 501, [&] { must(ash_vm_fork(&child, &parent, 0), "ash_vm_fork"); },
        [&] { write(child, base + 3 * page); }, [&] { Machine::end(child); });
    Machine::end(parent);
}

/* One of many writes, after a first to the same tables: `stride` from page to page. */
void later(benchmark::State &state, uint64_t stride, uint64_t count) {
    Machine machine;
    struct ash_vm_space parent, child;
    machine.fill(parent, mib_of(state));
    bench::Samples samples;
    for (auto _ : state) {
        while (!samples.enough()) {
            must(ash_vm_fork(&child, &parent, 0), "ash_vm_fork");
            write(child, base);
            double ns = bench::once(count, [&] {
                for (uint64_t i = 1; i <= count; i++)
                    write(child, base + i * stride);
            });
            samples.add(ns, false);
            Machine::end(child);
        }
    }
    samples.report(state, "ns");
    Machine::end(parent);
}

void same(benchmark::State &state) {
    later(state, page, 511);
}

void other(benchmark::State &state) {
    later(state, block, std::min<uint64_t>(mib_of(state) / 2, 512) - 1);
}

void whole_block(benchmark::State &state) {
    Machine machine;
    struct ash_vm_space parent, child;
    machine.make(parent);
    uint64_t frame = (machine.data() + 511) & ~uint64_t{511};
    must(ash_vm_map(&parent, base, frame << 12, block, rights, 0), "ash_vm_map");
    std::memset(reinterpret_cast<void *>(machine.vm.config.direct_map + (frame << 12)), 1, block);
    each(
        state, 51, [&] { must(ash_vm_fork(&child, &parent, 0), "ash_vm_fork"); },
        [&] { write(child, base); }, [&] { Machine::end(child); });
    Machine::end(parent);
}

/* Each in a run of all pages, over and over. */
enum class Run { map, protect, translate, unmap };

template <Run what> void run(benchmark::State &state) {
    Machine machine;
    struct ash_vm_space space;
    uint64_t pages = mib_of(state) * 256;
    machine.fill(space, mib_of(state));
    bench::Samples samples;
    uint32_t turn = 0;
    auto time = [&](Run which, auto work) {
        double ns = bench::once(pages, work);
        if (which == what)
            samples.add(ns, false);
    };
    for (auto _ : state) {
        while (!samples.enough()) {
            if constexpr (what == Run::protect) {
                uint32_t now = turn++ % 2 == 0 ? rights & ~ASH_VM_WRITE : rights;
                time(Run::protect,
                     [&] { must(ash_vm_protect(&space, base, pages * page, now), "protect"); });
            } else if constexpr (what == Run::translate) {
                time(Run::translate, [&] {
                    ash_paddr_t address, sum = 0;
                    for (uint64_t i = 0; i < pages; i++) {
                        must(ash_vm_translate(&space, base + i * page, ASH_VM_READ, &address),
                             "translate");
                        sum += address;
                    }
                    benchmark::DoNotOptimize(sum);
                });
            } else {
                time(Run::unmap, [&] { must(ash_vm_unmap(&space, base, pages * page), "unmap"); });
                time(Run::map, [&] { machine.map(space, pages); });
            }
        }
    }
    samples.report(state, "ns");
    Machine::end(space);
}

void unmap_kept(benchmark::State &state) {
    Machine machine;
    struct ash_vm_space parent, child;
    uint64_t pages = mib_of(state) * 256;
    machine.fill(parent, mib_of(state));
    bench::Samples samples;
    for (auto _ : state) {
        while (!samples.enough()) {
            must(ash_vm_fork(&child, &parent, ASH_VM_EAGER), "ash_vm_fork");
            samples.add(
                bench::once(pages,
                            [&] { must(ash_vm_unmap(&child, base, pages * page), "unmap"); }),
                false);
            Machine::end(child);
        }
    }
    samples.report(state, "ns");
    Machine::end(parent);
}

void reap(benchmark::State &state) {
    Machine machine;
    struct ash_vm_space space;
    uint64_t mib = mib_of(state), tables = mib / 2;
    bench::Samples samples;
    for (auto _ : state) {
        while (!samples.enough()) {
            machine.fill(space, mib);
            samples.add(bench::once(tables, [&] { Machine::end(space); }), false);
        }
    }
    samples.report(state, "ns");
}

void add_all() {
    auto add = [](const char *name, void (*workload)(benchmark::State &)) {
        return benchmark::RegisterBenchmark(name, workload)->Iterations(1);
    };
    for (int64_t mib : {64, 1024, 8192}) {
        add("fork", fork_hot)->Arg(mib);
        add("fork-cold", fork_cold)->Arg(mib);
        add("fork-exit", fork_exit)->Arg(mib);
        add("eager", eager)->Arg(mib);
        add("first", first<false>)->Arg(mib);
        add("same", same)->Arg(mib);
        add("other", other)->Arg(mib);
    }
    add("first-scattered", first<true>)->Arg(1024);
    add("block", whole_block);
    for (int64_t mib : {64, 1024}) {
        add("map", run<Run::map>)->Arg(mib);
        add("protect", run<Run::protect>)->Arg(mib);
        add("translate", run<Run::translate>)->Arg(mib);
        add("unmap", run<Run::unmap>)->Arg(mib);
        add("unmap-kept", unmap_kept)->Arg(mib);
    }
    add("reap", reap)->Arg(64)->Arg(1024);
}

} // namespace

/* Nobody listens: no event is ever enabled. */
extern "C" void ash_event_emit(const struct ash_event *, uint64_t, uint64_t) {
}

#ifdef VM_PANICS
/* The platform of several CPUs has one. */
extern "C" void ash_panic(const char *file, uint32_t line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    std::fprintf(stderr, "panic at %s:%u: ", file, line);
    std::vfprintf(stderr, format, args);
    va_end(args);
    std::abort();
}
#endif

int main(int argc, char **argv) {
    return bench::run_all(argc, argv, {{"subject", "spaces"}, {"peer", VM_PEER}}, add_all);
}
