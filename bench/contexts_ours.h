/* SPDX-License-Identifier: MIT */
/* contexts_ours.h: those of the platform, on which kernel threads stand. */
#ifndef ASHLAR_BENCH_CONTEXTS_OURS_H
#define ASHLAR_BENCH_CONTEXTS_OURS_H

#include "platform.h"

#include <cstdint>
#include <vector>

class Contexts {
  public:
    static constexpr const char *name = "ours";
    using Place = platform_context *;
    using Body = void (*)(Contexts &all, uint32_t self);

    explicit Contexts(uint32_t count) : members_(count) {
    }
    uint32_t count() const {
        return static_cast<uint32_t>(members_.size());
    }
    void make(uint32_t i, void *stack, size_t bytes, Body body) {
        members_[i].all = this;
        members_[i].body = body;
        platform_context_init(&members_[i].context, stack, bytes, enter, &members_[i]);
    }
    Place at(uint32_t i) {
        return &members_[i].context;
    }
    void change(Place from, Place to) {
        platform_context_switch(from, to);
    }

  private:
    struct Member {
        platform_context context;
        Contexts *all;
        Body body;
    };
    static void enter(void *argument) {
        auto *member = static_cast<Member *>(argument);
        member->body(*member->all, static_cast<uint32_t>(member - member->all->members_.data()));
    }
    std::vector<Member> members_;
};

#endif
