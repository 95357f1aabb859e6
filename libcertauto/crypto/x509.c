/* SPDX-License-Identifier: Apache-2.0 */
/* Public keys, extensions, and the extension that matters most: subjectAltName (RFC 5280 4.2.1.6).
 * mbedTLS 2.28 cannot put it into a request and does not read addresses from a certificate. */

#include <arpa/inet.h>
#include <string.h>

#include <certauto/error.h>

#include "crypto/x509.h"

#define SAN_DNS CERTAUTO__DER_CONTEXT(2)
#define SAN_IP CERTAUTO__DER_CONTEXT(7)

int certauto__spki_bits(struct certauto__der *out, const certauto__buffer *spki)
{
	struct certauto__der in = certauto__der_over(spki->data, spki->len), body;

	if (certauto__der_next(&in, CERTAUTO__DER_SEQUENCE, &body) < 0 ||
	    certauto__der_next(&body, CERTAUTO__DER_SEQUENCE, NULL) < 0 ||
	    certauto__der_next(&body, MBEDTLS_ASN1_BIT_STRING, out) < 0 ||
	    certauto__der_left(out) < 2)
		return CERTAUTO_EINVAL;
	out->at++; /* the number of unused bits */
	return 0;
}

void certauto__ext_open(certauto__buffer *b, struct certauto__ext_mark *mark, const char *oid,
	size_t oid_len, int critical)
{
	mark->ext = certauto__der_open(b, CERTAUTO__DER_SEQUENCE);
	certauto__der_add_oid(b, oid, oid_len);
	if (critical) /* DEFAULT FALSE must be left out */
		certauto__der_add_true(b);
	mark->value = certauto__der_open(b, MBEDTLS_ASN1_OCTET_STRING);
}

void certauto__ext_close(certauto__buffer *b, const struct certauto__ext_mark *mark)
{
	certauto__der_close(b, mark->value);
	certauto__der_close(b, mark->ext);
}

int certauto__ext_find(struct certauto__der *value, const struct certauto__der *exts,
	const char *oid, size_t oid_len)
{
	struct certauto__der in = *exts, list, ext, id, octets;
	int found = 0;

	if (certauto__der_left(&in) == 0)
		return 0;
	if (certauto__der_next(&in, CERTAUTO__DER_SEQUENCE, &list) < 0)
		return CERTAUTO_EINVAL;
	while (certauto__der_left(&list) > 0) {
		if (certauto__der_next(&list, CERTAUTO__DER_SEQUENCE, &ext) < 0 ||
		    certauto__der_next(&ext, MBEDTLS_ASN1_OID, &id) < 0)
			return CERTAUTO_EINVAL;
		if (certauto__der_peek(&ext) == MBEDTLS_ASN1_BOOLEAN &&
		    certauto__der_next(&ext, MBEDTLS_ASN1_BOOLEAN, NULL) < 0)
			return CERTAUTO_EINVAL;
		if (certauto__der_next(&ext, MBEDTLS_ASN1_OCTET_STRING, &octets) < 0)
			return CERTAUTO_EINVAL;
		if (!certauto__der_equals(&id, oid, oid_len))
			continue;
		if (found++)
			return CERTAUTO_EINVAL;
		*value = octets;
	}
	return found;
}

/* The bytes of an address, as many as are returned; 0 when name is none. */
static size_t address_bytes(unsigned char out[16], const char *name)
{
	if (inet_pton(AF_INET, name, out) == 1)
		return 4;
	return inet_pton(AF_INET6, name, out) == 1 ? 16 : 0;
}

static void lower(char *text)
{
	for (; *text != '\0'; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text - 'A' + 'a');
}

void certauto__san_add(certauto__buffer *b, const certauto__list *names, int critical)
{
	struct certauto__ext_mark mark;
	unsigned char address[16];
	size_t i, n, list;

	certauto__ext_open(b, &mark, CERTAUTO__OID(MBEDTLS_OID_SUBJECT_ALT_NAME), critical);
	list = certauto__der_open(b, CERTAUTO__DER_SEQUENCE);
	for (i = 0; i < names->n; i++) {
		if ((n = address_bytes(address, names->items[i])) != 0)
			certauto__der_add(b, SAN_IP, address, n);
		else
			certauto__der_add(b, SAN_DNS, names->items[i], strlen(names->items[i]));
	}
	certauto__der_close(b, list);
	certauto__ext_close(b, &mark);
}

static int list_add_once(certauto__list *names, const char *name)
{
	return certauto__list_has(names, name) ? 0 : certauto__list_add_text(names, name);
}

/* A name with bytes no DNS name has is kept in escaped form: it can be shown, and equals nothing
 * that was ordered. An address written as a DNS name must not pass for the address. */
static int add_dns(certauto__list *names, size_t *n_others, const struct certauto__der *body)
{
	certauto__buffer text = CERTAUTO__BUFFER(4096);
	unsigned char address[16];
	int rc;

	rc = certauto__text_escape(&text, (const char *)body->at, certauto__der_left(body));
	if (rc == 0 && address_bytes(address, certauto__buffer_text(&text)) != 0) {
		++*n_others;
	} else if (rc == 0) {
		if (text.data != NULL)
			lower(text.data);
		rc = list_add_once(names, certauto__buffer_text(&text));
	}
	certauto__buffer_free(&text);
	return rc;
}

static int add_address(certauto__list *names, const struct certauto__der *body)
{
	char text[INET6_ADDRSTRLEN];
	size_t len = certauto__der_left(body);

	if (len != 4 && len != 16)
		return CERTAUTO_EINVAL;
	if (inet_ntop(len == 4 ? AF_INET : AF_INET6, body->at, text, sizeof(text)) == NULL)
		return CERTAUTO_EINVAL;
	return list_add_once(names, text);
}

int certauto__san_read(certauto__list *names, size_t *n_others, struct certauto__der value)
{
	struct certauto__der list, body;
	int tag, rc;

	if ((rc = certauto__der_next(&value, CERTAUTO__DER_SEQUENCE, &list)) < 0)
		return rc;
	while ((tag = certauto__der_peek(&list)) != -1) {
		if ((rc = certauto__der_next(&list, tag, &body)) < 0)
			return rc;
		if (names->n >= CERTAUTO__NAMES_MAX)
			return CERTAUTO_EINVAL;
		if (tag == SAN_DNS)
			rc = add_dns(names, n_others, &body);
		else if (tag == SAN_IP)
			rc = add_address(names, &body);
		else
			++*n_others;
		if (rc < 0)
			return rc;
	}
	return certauto__der_left(&value) == 0 ? 0 : CERTAUTO_EINVAL;
}
