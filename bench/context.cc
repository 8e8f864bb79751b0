/* SPDX-License-Identifier: MIT */
/*
 * context.cc: threads of control that give each other the turn, in one process: no system call need
 * be among them. CONTEXTS is a header that defines `Contexts`; one executable each. `ns` is the
 * time of one switch.
 *
 *   turns/N    N contexts in a ring, each with a stack of its own
 *   there/1    one context, to which a loop switches and which switches back: there and back are
 *              two
 */
#include CONTEXTS

#include "measure.h"

#include <sys/mman.h>

#include <memory>

namespace {

constexpr size_t ops = 100000, stack_bytes = 16 << 10;

/* Of all contexts, so that no two of them begin in the same set of the cache. */
class Stacks {
  public:
    explicit Stacks(size_t count) : bytes_(count * (stack_bytes + skew)) {
        memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory_ == MAP_FAILED)
            std::abort();
    }
    ~Stacks() {
        munmap(memory_, bytes_);
    }
    Stacks(const Stacks &) = delete;
    Stacks &operator=(const Stacks &) = delete;
    void *operator[](size_t i) const {
        return static_cast<char *>(memory_) + i * (stack_bytes + skew);
    }

  private:
    static constexpr size_t skew = 192;
    size_t bytes_;
    void *memory_;
};

/* Whose turn comes next: known beforehand, as by a scheduler, and not by the contexts. */
const Contexts::Place *turn;

/* Context 0 is the loop; it comes where the turns end. */
void ring(benchmark::State &state) {
    auto count = static_cast<uint32_t>(state.range(0));
    Stacks stacks(count);
    Contexts contexts(count + 1);
    for (uint32_t i = 1; i <= count; i++) {
        contexts.make(i, stacks[i - 1], stack_bytes, [](Contexts &all, uint32_t self) {
            for (Contexts::Place here = all.at(self);;)
                all.change(here, *turn++);
        });
    }
    std::vector<Contexts::Place> turns;
    for (uint32_t i = 0; i < ops; i++)
        turns.push_back(contexts.at(i % count + 1));
    turns.push_back(contexts.at(0));
    bench::measure(state, ops, [&](size_t) {
        turn = &turns[1];
        contexts.change(contexts.at(0), turns[0]);
    });
}

void there_and_back(benchmark::State &state) {
    Stacks stacks(1);
    Contexts contexts(2);
    contexts.make(1, stacks[0], stack_bytes, [](Contexts &all, uint32_t self) {
        for (;;)
            all.change(all.at(self), all.at(0));
    });
    bench::measure(state, ops, [&](size_t n) {
        for (size_t i = 0; i < n; i += 2)
            contexts.change(contexts.at(0), contexts.at(1));
    });
}

} // namespace

int main(int argc, char **argv) {
    return bench::run_all(argc, argv, {{"subject", "contexts"}, {"peer", Contexts::name}}, [] {
        for (int64_t count : {2, 8, 64, 1000})
            benchmark::RegisterBenchmark("turns", ring)->Iterations(1)->Arg(count);
        benchmark::RegisterBenchmark("there", there_and_back)->Iterations(1)->Arg(1);
    });
}
