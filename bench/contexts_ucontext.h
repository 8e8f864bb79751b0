/* SPDX-License-Identifier: MIT */
/* contexts_ucontext.h: those of POSIX.1-2001. Each switch also asks Linux for the signal mask. */
#ifndef ASHLAR_BENCH_CONTEXTS_UCONTEXT_H
#define ASHLAR_BENCH_CONTEXTS_UCONTEXT_H

#include <ucontext.h>

#include <cstdint>
#include <vector>

class Contexts {
  public:
    static constexpr const char *name = "ucontext";
    using Place = ucontext_t *;
    using Body = void (*)(Contexts &all, uint32_t self);

    explicit Contexts(uint32_t count) : members_(count) {
    }
    uint32_t count() const {
        return static_cast<uint32_t>(members_.size());
    }
    void make(uint32_t i, void *stack, size_t bytes, Body body) {
        members_[i].all = this;
        members_[i].body = body;
        getcontext(&members_[i].context);
        members_[i].context.uc_stack.ss_sp = stack;
        members_[i].context.uc_stack.ss_size = bytes;
        auto pointer = reinterpret_cast<uintptr_t>(&members_[i]);
        makecontext(&members_[i].context, reinterpret_cast<void (*)()>(enter), 2,
                    static_cast<int>(pointer >> 32), static_cast<int>(pointer));
    }
    Place at(uint32_t i) {
        return &members_[i].context;
    }
    void change(Place from, Place to) {
        swapcontext(from, to);
    }

  private:
    struct Member {
        ucontext_t context;
        Contexts *all;
        Body body;
    };
    /* Its arguments are ints. */
    static void enter(int high, int low) {
        auto pointer =
            static_cast<uintptr_t>(static_cast<uint32_t>(high)) << 32 | static_cast<uint32_t>(low);
        auto *member = reinterpret_cast<Member *>(pointer);
        member->body(*member->all, static_cast<uint32_t>(member - member->all->members_.data()));
    }
    std::vector<Member> members_;
};

#endif
