/* SPDX-License-Identifier: MIT */
/*
 * list.h: a circular doubly linked list whose nodes lie inside the caller's objects.
 *
 * Rules
 *  - A head and a detached node point to themselves: no NULL, no special case for the ends.
 *  - Every operation is O(1) and allocates nothing; the list does not own what it links.
 *  - Removing a node leaves it detached, so ash_list_is_linked tells the truth.
 *  - No locking: one caller at a time, or the owner's lock.
 *
 *      head <-> first <-> ... <-> last <-> head
 */
#ifndef ASHLAR_LIST_H
#define ASHLAR_LIST_H

#include <ashlar/base.h>

struct ash_list {
    struct ash_list *next;
    struct ash_list *prev;
};

#define ASH_LIST_INIT(name) \
    { &(name), &(name) }

/* The object that holds `node` as its field `member`. */
#define ASH_LIST_ENTRY(node, type, member) ASH_CONTAINER_OF(node, type, member)

static inline void ash_list_init(struct ash_list *node) {
    node->next = node;
    node->prev = node;
}

static inline bool ash_list_is_empty(const struct ash_list *head) {
    return head->next == head;
}

/* For a node: is it on a list? */
static inline bool ash_list_is_linked(const struct ash_list *node) {
    return node->next != node;
}

/* Inserts a detached node just after `where`. */
static inline void ash_list_insert_after(struct ash_list *where, struct ash_list *node) {
    node->prev = where;
    node->next = where->next;
    where->next->prev = node;
    where->next = node;
}

static inline void ash_list_push_front(struct ash_list *head, struct ash_list *node) {
    ash_list_insert_after(head, node);
}

static inline void ash_list_push_back(struct ash_list *head, struct ash_list *node) {
    ash_list_insert_after(head->prev, node);
}

/* Detaches a node; harmless on one that is detached already. */
static inline void ash_list_remove(struct ash_list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    ash_list_init(node);
}

static inline struct ash_list *ash_list_first(const struct ash_list *head) {
    return ash_list_is_empty(head) ? NULL : head->next;
}

static inline struct ash_list *ash_list_last(const struct ash_list *head) {
    return ash_list_is_empty(head) ? NULL : head->prev;
}

/* Detaches and returns the first node, or NULL. */
static inline struct ash_list *ash_list_pop_front(struct ash_list *head) {
    struct ash_list *node = ash_list_first(head);
    if (node != NULL)
        ash_list_remove(node);
    return node;
}

/* Moves all nodes of `from`, in order, to the end of `to`; `from` is left empty. */
static inline void ash_list_splice_back(struct ash_list *to, struct ash_list *from) {
    if (ash_list_is_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    ash_list_init(from);
}

/* The body must not remove `node`; see the _safe form. */
#define ash_list_for_each(node, head) \
    for ((node) = (head)->next; (node) != (head); (node) = (node)->next)

/* The body may remove `node` (not `ahead`). */
#define ash_list_for_each_safe(node, ahead, head)                         \
    for ((node) = (head)->next, (ahead) = (node)->next; (node) != (head); \
         (node) = (ahead), (ahead) = (node)->next)

/* The first node whose links are inconsistent, or NULL; stops with `head` after `limit` nodes. */
static inline const struct ash_list *ash_list_check(const struct ash_list *head, size_t limit) {
    const struct ash_list *node = head;
    do {
        if (node->next == NULL || node->next->prev != node)
            return node;
        node = node->next;
    } while (node != head && limit-- != 0);
    return node == head ? NULL : head;
}

#endif
