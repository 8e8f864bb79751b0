/* SPDX-License-Identifier: MIT */
/* contexts_boost.h: Boost.Context's switch in assembly, which also keeps MXCSR and x87 modes. */
#ifndef ASHLAR_BENCH_CONTEXTS_BOOST_H
#define ASHLAR_BENCH_CONTEXTS_BOOST_H

#include <boost/context/detail/fcontext.hpp>

#include <cstdint>
#include <vector>

/* A switch hands the one who goes on where the other one stands: it is kept there. */
class Contexts {
  public:
    static constexpr const char *name = "boost";
    using Place = boost::context::detail::fcontext_t *;
    using Body = void (*)(Contexts &all, uint32_t self);

    explicit Contexts(uint32_t count) : members_(count) {
    }
    uint32_t count() const {
        return static_cast<uint32_t>(members_.size());
    }
    void make(uint32_t i, void *stack, size_t bytes, Body body) {
        members_[i].all = this;
        members_[i].body = body;
        members_[i].context =
            boost::context::detail::make_fcontext(static_cast<char *>(stack) + bytes, bytes, enter);
    }
    Place at(uint32_t i) {
        return &members_[i].context;
    }
    void change(Place from, Place to) {
        from_ = from;
        to_ = to;
        auto transfer = boost::context::detail::jump_fcontext(*to, this);
        *from_ = transfer.fctx;
    }

  private:
    struct Member {
        boost::context::detail::fcontext_t context;
        Contexts *all;
        Body body;
    };
    static void enter(boost::context::detail::transfer_t transfer) {
        auto *all = static_cast<Contexts *>(transfer.data);
        *all->from_ = transfer.fctx;
        for (uint32_t i = 0; i < all->count(); i++) {
            if (all->at(i) == all->to_)
                all->members_[i].body(*all, i);
        }
    }
    std::vector<Member> members_;
    Place from_ = nullptr, to_ = nullptr;
};

#endif
