/* SPDX-License-Identifier: Apache-2.0 */
/* A reader that goes down one element at a time and a writer that goes forward: the length of an
 * element is put in when it is closed. */

#include "crypto/der.h"

#include <string.h>

#include <certauto/error.h>

struct certauto__der certauto__der_over(const void *data, size_t len)
{
	struct certauto__der in;

	in.at = data;
	in.end = in.at + len;
	return in;
}

size_t certauto__der_left(const struct certauto__der *in)
{
	return (size_t)(in->end - in->at);
}

int certauto__der_peek(const struct certauto__der *in)
{
	return in->at < in->end ? *in->at : -1;
}

int certauto__der_next(struct certauto__der *in, int tag, struct certauto__der *body)
{
	unsigned char *at = (unsigned char *)in->at; /* mbedTLS only reads */
	size_t len;

	if (in->at >= in->end || mbedtls_asn1_get_tag(&at, in->end, &len, tag) != 0)
		return CERTAUTO_EINVAL;
	if (body != NULL)
		*body = certauto__der_over(at, len);
	in->at = at + len;
	return 0;
}

int certauto__der_equals(const struct certauto__der *in, const void *data, size_t len)
{
	return certauto__der_left(in) == len && (len == 0 || memcmp(in->at, data, len) == 0);
}

size_t certauto__der_open(certauto__buffer *b, int tag)
{
	unsigned char head[2] = { (unsigned char)tag, 0 };

	certauto__buffer_add(b, head, sizeof(head));
	return b->len;
}

void certauto__der_close(certauto__buffer *b, size_t mark)
{
	static const unsigned char room[3];
	size_t len = b->len - mark;
	size_t more = len < 0x80 ? 0 : len <= 0xFF ? 1 : len <= 0xFFFF ? 2 : 3;
	unsigned char *at;
	size_t i;

	/* Nothing written here comes near 16 MiB: the maximum of the buffers sees to it. */
	if (certauto__buffer_add(b, room, more) < 0)
		return;
	at = (unsigned char *)b->data + mark;
	memmove(at + more, at, len);
	at[-1] = (unsigned char)(more == 0 ? len : 0x80 | more);
	for (i = 0; i < more; i++)
		at[i] = (unsigned char)(len >> (8 * (more - 1 - i)));
}

void certauto__der_add(certauto__buffer *b, int tag, const void *data, size_t len)
{
	size_t mark = certauto__der_open(b, tag);

	certauto__buffer_add(b, data, len);
	certauto__der_close(b, mark);
}

void certauto__der_add_oid(certauto__buffer *b, const char *oid, size_t len)
{
	certauto__der_add(b, MBEDTLS_ASN1_OID, oid, len);
}

void certauto__der_add_true(certauto__buffer *b)
{
	certauto__der_add(b, MBEDTLS_ASN1_BOOLEAN, "\xFF", 1);
}

void certauto__der_add_uint(certauto__buffer *b, const unsigned char *data, size_t len)
{
	size_t mark = certauto__der_open(b, MBEDTLS_ASN1_INTEGER);

	while (len > 0 && *data == 0) {
		data++;
		len--;
	}
	if (len == 0 || (*data & 0x80) != 0)
		certauto__buffer_add(b, "", 1);
	certauto__buffer_add(b, data, len);
	certauto__der_close(b, mark);
}

void certauto__der_add_bits(certauto__buffer *b, const void *data, size_t len)
{
	size_t mark = certauto__der_open(b, MBEDTLS_ASN1_BIT_STRING);

	certauto__buffer_add(b, "", 1); /* no unused bits */
	certauto__buffer_add(b, data, len);
	certauto__der_close(b, mark);
}
