/* SPDX-License-Identifier: MIT */
/*
 * vm_linux.cc: Linux's own calls on this process, beside vm.cc. Not like for like: a fork of
 * Linux's makes a whole process, a fault is a trap, and both keep the books of all memory.
 *
 *   fork/MIB        fork() with MIB resident in 4 KiB pages (MADV_NOHUGEPAGE), as the parent sees
 *                   it
 *   first/MIB       the parent's first write after it, the child alive
 *   same/MIB        its writes to the pages behind
 *   map/64          first touches, a fault each, with the zeroing; ns a page
 *   protect/64, unmap/64   mprotect to read-only, munmap; ns a page
 */
#include "measure.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

constexpr size_t page = 4096;

uint64_t mib_of(const benchmark::State &state) {
    return static_cast<uint64_t>(state.range(0));
}

class Region {
  public:
    explicit Region(uint64_t mib) : bytes_(mib << 20) {
        void *at =
            mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (at == MAP_FAILED)
            std::abort();
        at_ = static_cast<volatile uint8_t *>(at);
        madvise(at, bytes_, MADV_NOHUGEPAGE);
    }
    ~Region() {
        if (at_ != nullptr)
            unmap();
    }
    Region(const Region &) = delete;
    Region &operator=(const Region &) = delete;
    void touch() {
        for (size_t i = 0; i < bytes_; i += page)
            at_[i] = 1;
    }
    void unmap() {
        munmap(const_cast<uint8_t *>(at_), bytes_);
        at_ = nullptr;
    }
    void protect(int prot) {
        if (mprotect(const_cast<uint8_t *>(at_), bytes_, prot) != 0)
            std::abort();
    }
    volatile uint8_t &operator[](size_t i) {
        return at_[i];
    }

  private:
    volatile uint8_t *at_ = nullptr;
    size_t bytes_;
};

/* A child that does nothing until it is told to end. */
class Child {
  public:
    explicit Child(bench::Samples *fork_time = nullptr) {
        if (pipe(pipe_) != 0)
            std::abort();
        int64_t begin = bench::clock_ns(CLOCK_MONOTONIC);
        pid_ = fork();
        if (pid_ == 0) {
            char byte;
            close(pipe_[1]);
            _exit(static_cast<int>(read(pipe_[0], &byte, 1)));
        }
        if (fork_time != nullptr)
            fork_time->add(static_cast<double>(bench::clock_ns(CLOCK_MONOTONIC) - begin), false);
    }
    ~Child() {
        close(pipe_[1]);
        close(pipe_[0]);
        waitpid(pid_, nullptr, 0);
    }
    Child(const Child &) = delete;
    Child &operator=(const Child &) = delete;

  private:
    int pipe_[2];
    pid_t pid_;
};

void fork_process(benchmark::State &state) {
    Region region(mib_of(state));
    region.touch();
    bench::Samples samples;
    for (auto _ : state) {
        while (!samples.enough())
            Child child(&samples);
    }
    samples.report(state, "ns");
}

void write_after(benchmark::State &state, bool first) {
    Region region(mib_of(state));
    region.touch();
    bench::Samples samples;
    for (auto _ : state) {
        while (!samples.enough()) {
            Child child;
            double once = bench::once(1, [&] { region[0] = 2; });
            double behind = bench::once(256, [&] {
                for (size_t i = 1; i <= 256; i++)
                    region[i * page] = 2;
            });
            samples.add(first ? once : behind, false);
        }
    }
    samples.report(state, "ns");
}

void first(benchmark::State &state) {
    write_after(state, true);
}

void same(benchmark::State &state) {
    write_after(state, false);
}

enum class Call { map, protect, unmap };

template <Call what> void call(benchmark::State &state) {
    size_t pages = mib_of(state) * 256;
    bench::Samples samples;
    for (auto _ : state) {
        while (!samples.enough()) {
            Region region(mib_of(state));
            double map = bench::once(pages, [&] { region.touch(); });
            double protect = bench::once(pages, [&] { region.protect(PROT_READ); });
            double unmap = bench::once(pages, [&] { region.unmap(); });
            samples.add(what == Call::map ? map : what == Call::protect ? protect : unmap, false);
        }
    }
    samples.report(state, "ns");
}

void add_all() {
    auto add = [](const char *name, void (*workload)(benchmark::State &)) {
        return benchmark::RegisterBenchmark(name, workload)->Iterations(1);
    };
    for (int64_t mib : {64, 1024}) {
        add("fork", fork_process)->Arg(mib);
        add("first", first)->Arg(mib);
        add("same", same)->Arg(mib);
    }
    add("map", call<Call::map>)->Arg(64);
    add("protect", call<Call::protect>)->Arg(64);
    add("unmap", call<Call::unmap>)->Arg(64);
}

} // namespace

int main(int argc, char **argv) {
    return bench::run_all(argc, argv, {{"subject", "spaces"}, {"peer", "linux"}}, add_all);
}
