/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/list.h>. */
#include "harness/test.h"

#include <ashlar/list.h>

TEST_CASE(list, pop_of_empty_is_null) {
    struct ash_list head;
    ash_list_init(&head);
    CHECK(ash_list_is_empty(&head));
    CHECK(ash_list_pop_front(&head) == NULL);
    CHECK(ash_list_last(&head) == NULL);
}

TEST_CASE(list, keeps_the_order_of_pushes) {
    struct ash_list head, nodes[3];
    ash_list_init(&head);
    ash_list_push_back(&head, &nodes[1]);
    ash_list_push_back(&head, &nodes[2]);
    ash_list_push_front(&head, &nodes[0]);
    CHECK(ash_list_check(&head, 3) == NULL);
    for (uint32_t i = 0; i < 3; i++)
        CHECK(ash_list_pop_front(&head) == &nodes[i]);
    CHECK(ash_list_is_empty(&head));
}

TEST_CASE(list, removed_node_is_detached) {
    struct ash_list head, nodes[2];
    ash_list_init(&head);
    ash_list_push_back(&head, &nodes[0]);
    ash_list_push_back(&head, &nodes[1]);
    ash_list_remove(&nodes[0]);
    CHECK(!ash_list_is_linked(&nodes[0]));
    ash_list_remove(&nodes[0]);
    CHECK(ash_list_first(&head) == &nodes[1]);
    CHECK(ash_list_check(&head, 1) == NULL);
}

TEST_CASE(list, splice_moves_all_in_order) {
    struct ash_list to, from, nodes[4];
    ash_list_init(&to);
    ash_list_init(&from);
    ash_list_push_back(&to, &nodes[0]);
    for (uint32_t i = 1; i < 4; i++)
        ash_list_push_back(&from, &nodes[i]);
    ash_list_splice_back(&to, &from);
    CHECK(ash_list_is_empty(&from));
    CHECK(ash_list_check(&to, 4) == NULL);
    for (uint32_t i = 0; i < 4; i++)
        CHECK(ash_list_pop_front(&to) == &nodes[i]);
    ash_list_splice_back(&to, &from);
    CHECK(ash_list_is_empty(&to));
}

TEST_CASE(list, walk_may_remove_the_node_it_is_at) {
    struct ash_list head, nodes[4], *node, *ahead;
    uint32_t visited = 0;
    ash_list_init(&head);
    for (uint32_t i = 0; i < 4; i++)
        ash_list_push_back(&head, &nodes[i]);
    ash_list_for_each_safe (node, ahead, &head) {
        CHECK(node == &nodes[visited]);
        if (visited++ % 2 == 0)
            ash_list_remove(node);
    }
    CHECK_EQ(visited, 4);
    CHECK(ash_list_first(&head) == &nodes[1]);
    CHECK(ash_list_last(&head) == &nodes[3]);
    CHECK(ash_list_check(&head, 2) == NULL);
}

TEST_CASE(list, checker_finds_a_broken_link) {
    struct ash_list head, nodes[2];
    ash_list_init(&head);
    ash_list_push_back(&head, &nodes[0]);
    ash_list_push_back(&head, &nodes[1]);
    nodes[1].prev = &head;
    CHECK(ash_list_check(&head, 2) == &nodes[0]);
    nodes[1].prev = &nodes[0];
    CHECK(ash_list_check(&head, 2) == NULL);
    CHECK(ash_list_check(&head, 1) != NULL);
}
