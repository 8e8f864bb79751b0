// SPDX-License-Identifier: MIT
//
// gtest_runner.cc: runs the C cases under GoogleTest: each is registered by its suite and name, so
// --gtest_filter, --gtest_shuffle and --gtest_repeat work as ever.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>

#include "harness/test_case.h"

extern "C" const size_t test_case_expected; // generated from the sources

namespace {

class Case : public testing::Test {
  public:
    explicit Case(const test_case *test) : test_(test) {
    }
    void TestBody() override {
        test_result result;
        test_run_case(test_, &result);
        if (result.verdict == TEST_SKIPPED)
            GTEST_SKIP() << result.message;
        if (result.verdict == TEST_FAILED)
            GTEST_MESSAGE_AT_(result.file, result.line, result.message,
                              testing::TestPartResult::kFatalFailure);
    }

  private:
    const test_case *test_;
};

constexpr size_t arena_bytes = size_t{32} << 20;

} // namespace

int main(int argc, char **argv) {
    testing::InitGoogleTest(&argc, argv);
    if (test_case_count() != test_case_expected) {
        std::fprintf(stderr,
                     "%s: %zu cases linked in, %zu in the sources: the linker dropped some\n",
                     argv[0], test_case_count(), test_case_expected);
        return 99;
    }
    if (const char *seed = std::getenv("ASHLAR_SEED"))
        test_set_seed(std::strtoull(seed, nullptr, 0));
    void *arena = aligned_alloc(size_t{2} << 20, arena_bytes);
    if (arena == nullptr) {
        std::fprintf(stderr, "%s: no %zu MiB of memory for the cases\n", argv[0],
                     arena_bytes >> 20);
        return 99;
    }
    test_set_arena(arena, arena_bytes);
    for (size_t i = 0; i < test_case_count(); i++) {
        const test_case *test = test_case_at(i);
        if (test->suite[0] != '_') // these fail on purpose
            testing::RegisterTest(test->suite, test->name, nullptr, nullptr, test->file, test->line,
                                  [test]() -> testing::Test * { return new Case(test); });
    }
    int status = RUN_ALL_TESTS();
    std::free(arena);
    return status;
}
