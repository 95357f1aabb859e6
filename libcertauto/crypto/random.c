/* SPDX-License-Identifier: Apache-2.0 */
/* Random bytes straight from the kernel. A generator of our own would be state: one per process is
 * not allowed to a library, one per object must be guarded against fork(). A key or a signature
 * needs a few hundred bytes, which getrandom(2) gives in less time than seeding a DRBG takes. */

#include <errno.h>
#include <sys/random.h>

#include "core/memory.h"
#include "crypto/crypto.h"

int certauto__random(void *out, size_t len, certauto_error *err)
{
	unsigned char *at = out;

	while (len > 0) {
		/* More than 256 bytes may come in parts or be cut short by a signal. */
		ssize_t n = getrandom(at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			certauto__wipe(out, (size_t)(at - (unsigned char *)out));
			return certauto__error_set(err, CERTAUTO_EIO, NULL,
				"the system gives no random numbers (getrandom, errno %d)", errno);
		}
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int certauto__random_hex(char *out, size_t n_bytes, certauto_error *err)
{
	static const char digits[] = "0123456789abcdef";
	unsigned char *bytes = (unsigned char *)out + n_bytes;
	size_t i;
	int rc;

	/* The bytes lie in the second half: byte i is read before digit 2i + 1 reaches it. */
	if ((rc = certauto__random(bytes, n_bytes, err)) < 0)
		return rc;
	for (i = 0; i < n_bytes; i++) {
		unsigned char byte = bytes[i];

		out[2 * i] = digits[byte >> 4];
		out[2 * i + 1] = digits[byte & 15];
	}
	out[2 * n_bytes] = '\0';
	return 0;
}
