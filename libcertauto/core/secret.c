/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that must not leak. Each secret has pages of its own, so that locking it and keeping it out
 * of core dumps does not touch, and is not undone by, what lies beside it. */

#include "core/secret.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <certauto/error.h>

#include "core/memory.h"

struct certauto__secret {
	unsigned char *data;
	size_t len;
	size_t size;     /* what it was made with; a NUL always fits behind */
	size_t map_len;
};

int certauto__secret_new_size(certauto__secret **out, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	certauto__secret *secret;
	void *data;

	if (size > SIZE_MAX / 2)
		return CERTAUTO_EINVAL;
	if ((secret = certauto__alloc(sizeof(*secret))) == NULL)
		return CERTAUTO_ENOMEM;
	secret->len = size;
	secret->size = size;
	secret->map_len = (size / page + 1) * page; /* more than size: room for the NUL */
	data = mmap(NULL, secret->map_len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		0);
	if (data == MAP_FAILED) {
		certauto__free(secret);
		return CERTAUTO_ENOMEM;
	}
	/* Both may be refused (RLIMIT_MEMLOCK, an old kernel); an unlocked secret still works. */
	(void)mlock(data, secret->map_len);
	(void)madvise(data, secret->map_len, MADV_DONTDUMP);
	secret->data = data;
	*out = secret;
	return 0;
}

int certauto__secret_new(certauto__secret **out, const void *data, size_t len)
{
	int rc;

	if ((rc = certauto__secret_new_size(out, len)) < 0)
		return rc;
	if (len != 0)
		memcpy((*out)->data, data, len);
	return 0;
}

unsigned char *certauto__secret_data(const certauto__secret *secret)
{
	return secret != NULL ? secret->data : NULL;
}

const char *certauto__secret_text(const certauto__secret *secret)
{
	return secret != NULL ? (const char *)secret->data : "";
}

size_t certauto__secret_len(const certauto__secret *secret)
{
	return secret != NULL ? secret->len : 0;
}

/* What lies behind the new end is wiped: it may be the rest of a longer secret. */
int certauto__secret_set_len(certauto__secret *secret, size_t len)
{
	if (secret == NULL || len > secret->size)
		return CERTAUTO_EINVAL;
	secret->len = len;
	certauto__wipe(secret->data + len, secret->map_len - len);
	return 0;
}

void certauto__secret_free(certauto__secret *secret)
{
	if (secret == NULL)
		return;
	certauto__wipe(secret->data, secret->map_len);
	(void)munmap(secret->data, secret->map_len); /* unlocks it too */
	certauto__free(secret);
}
