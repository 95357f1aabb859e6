/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CERTAUTO_JSON_KEYS_H
#define CERTAUTO_JSON_KEYS_H

/* The keys seen so far in each object that is open, to find the duplicate. Objects nest, so all of
 * it is a stack: what belongs to an object goes when the object ends. */

#include <stddef.h>
#include <stdint.h>

#include "core/buffer.h"

struct certauto__json_key;

struct certauto__json_keys {
	certauto__buffer text;            /* the keys, each with its NUL */
	struct certauto__json_key *items;
	size_t n;
	size_t size;
};

/* Where an object began in the stack, and its tree. */
struct certauto__json_keys_mark {
	size_t text_len;
	size_t n;
	uint32_t root;
};

void certauto__json_keys_init(struct certauto__json_keys *keys);
void certauto__json_keys_free(struct certauto__json_keys *keys);

void certauto__json_keys_open(const struct certauto__json_keys *keys,
	struct certauto__json_keys_mark *mark);
void certauto__json_keys_close(struct certauto__json_keys *keys,
	const struct certauto__json_keys_mark *mark);

/* Adds a key, which has no NUL in it, to the object that was opened last; *at is where its copy
 * begins in text. CERTAUTO_EPROTO when the object has it already, or CERTAUTO_ENOMEM. */
int certauto__json_keys_add(struct certauto__json_keys *keys,
	struct certauto__json_keys_mark *mark, const char *key, size_t len, size_t *at);

#endif
