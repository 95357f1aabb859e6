/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of keys as crit-bit trees (Bernstein, https://cr.yp.to/critbit.html). A hash table would
 * need a secret seed against a peer who picks colliding keys, a sorted list costs n*n for keys that
 * come in the wrong order; here the cost is at most the bits of the text, whatever is sent. */

#include "json/keys.h"

#include <string.h>

#include <certauto/error.h>

#include "core/memory.h"

/* Each key but the first of an object comes with the inner node that parts it from the others, so
 * one struct holds both. A reference is the item's number * 2, plus 1 for its inner node. */
struct certauto__json_key {
	uint32_t key;      /* leaf: where the key begins in text */
	uint32_t byte;     /* node: the first byte in which the two sides differ, ... */
	uint32_t mask;     /* ... and the highest bit in it that does: all other bits are set */
	uint32_t child[2]; /* references */
};

#define KEYS_FIRST 16

/* References are 32 bits wide. */
#define KEYS_MAX (UINT32_MAX / 4)

void certauto__json_keys_init(struct certauto__json_keys *keys)
{
	memset(keys, 0, sizeof(*keys));
	certauto__buffer_init(&keys->text, KEYS_MAX);
}

void certauto__json_keys_free(struct certauto__json_keys *keys)
{
	certauto__buffer_free(&keys->text);
	certauto__free(keys->items);
	memset(keys, 0, sizeof(*keys));
}

void certauto__json_keys_open(const struct certauto__json_keys *keys,
	struct certauto__json_keys_mark *mark)
{
	mark->text_len = keys->text.len;
	mark->n = keys->n;
	mark->root = 0;
}

void certauto__json_keys_close(struct certauto__json_keys *keys,
	const struct certauto__json_keys_mark *mark)
{
	keys->text.len = mark->text_len;
	keys->n = mark->n;
}

static int keys_reserve(struct certauto__json_keys *keys)
{
	size_t size = keys->size != 0 ? keys->size * 2 : KEYS_FIRST;
	struct certauto__json_key *items;

	if (keys->n < keys->size)
		return 0;
	if (size > KEYS_MAX)
		return CERTAUTO_ENOMEM;
	items = certauto__realloc(keys->items, size * sizeof(*items));
	if (items == NULL)
		return CERTAUTO_ENOMEM;
	keys->items = items;
	keys->size = size;
	return 0;
}

/* Which side of a node a key belongs to. Behind its end a key has zeros. */
static int keys_side(uint32_t byte, uint32_t mask, const char *key, size_t len)
{
	uint32_t c = byte < len ? (unsigned char)key[byte] : 0;

	return (int)((1 + (mask | c)) >> 8);
}

/* The leaf a key would be found at. */
static const char *keys_nearest(const struct certauto__json_keys *keys, uint32_t at,
	const char *key, size_t len)
{
	const struct certauto__json_key *item;

	for (item = &keys->items[at >> 1]; at & 1; item = &keys->items[at >> 1])
		at = item->child[keys_side(item->byte, item->mask, key, len)];
	return keys->text.data + item->key;
}

/* Fills in where a key and its nearest differ; 0 if they do not. */
static int keys_differ(struct certauto__json_key *item, const char *key, size_t len,
	const char *nearest)
{
	uint32_t bits;
	size_t i = 0;

	while (i < len && key[i] == nearest[i])
		i++;
	bits = (unsigned char)((i < len ? key[i] : 0) ^ nearest[i]);
	bits |= bits >> 1;
	bits |= bits >> 2;
	bits |= bits >> 4;
	item->byte = (uint32_t)i;
	item->mask = (bits & ~(bits >> 1)) ^ 255;
	return bits != 0;
}

/* Nodes nearer to the root differ in an earlier bit: the new one goes where that order holds. */
static void keys_insert(struct certauto__json_keys *keys, uint32_t *root, const char *key,
	size_t len)
{
	struct certauto__json_key *item = &keys->items[keys->n], *node;
	uint32_t *where = root;
	int side;

	while (*where & 1) {
		node = &keys->items[*where >> 1];
		if (node->byte > item->byte ||
		    (node->byte == item->byte && node->mask > item->mask))
			break;
		where = &node->child[keys_side(node->byte, node->mask, key, len)];
	}
	side = keys_side(item->byte, item->mask, key, len);
	item->child[side] = (uint32_t)keys->n * 2;
	item->child[1 - side] = *where;
	*where = (uint32_t)keys->n * 2 + 1;
}

int certauto__json_keys_add(struct certauto__json_keys *keys,
	struct certauto__json_keys_mark *mark, const char *key, size_t len, size_t *at)
{
	size_t begin = keys->text.len;
	const char *nearest;

	if (keys_reserve(keys) < 0 || certauto__buffer_add(&keys->text, key, len) < 0 ||
	    certauto__buffer_add(&keys->text, "", 1) < 0)
		return CERTAUTO_ENOMEM;
	keys->items[keys->n].key = (uint32_t)begin;
	if (keys->n == mark->n) {
		mark->root = (uint32_t)keys->n * 2;
	} else {
		nearest = keys_nearest(keys, mark->root, key, len);
		if (!keys_differ(&keys->items[keys->n], key, len, nearest)) {
			keys->text.len = begin;
			return CERTAUTO_EPROTO;
		}
		keys_insert(keys, &mark->root, key, len);
	}
	keys->n++;
	*at = begin;
	return 0;
}
