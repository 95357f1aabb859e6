/* SPDX-License-Identifier: Apache-2.0 */
/* Distinguished names (RFC 5280 4.1.2.4), written from pairs of strings and shown as text. */

#include <string.h>

#include "core/memory.h"
#include "core/text.h"
#include "crypto/x509.h"

#define RDNS_SHOWN 16          /* parts of a name that are shown */
#define DN_TEXT_MAX 4096
#define OID_STREET "\x55\x04\x09" /* id-at-streetAddress; mbedTLS has no name for it */

static const struct attribute {
	const char *name;
	const char *oid;
	size_t oid_len;
	int tag;
	size_t max; /* the upper bounds of RFC 5280 appendix A */
} attributes[] = {
	{ "CN", CERTAUTO__OID(MBEDTLS_OID_AT_CN), MBEDTLS_ASN1_UTF8_STRING, 64 },
	{ "C", CERTAUTO__OID(MBEDTLS_OID_AT_COUNTRY), MBEDTLS_ASN1_PRINTABLE_STRING, 2 },
	{ "ST", CERTAUTO__OID(MBEDTLS_OID_AT_STATE), MBEDTLS_ASN1_UTF8_STRING, 128 },
	{ "L", CERTAUTO__OID(MBEDTLS_OID_AT_LOCALITY), MBEDTLS_ASN1_UTF8_STRING, 128 },
	{ "O", CERTAUTO__OID(MBEDTLS_OID_AT_ORGANIZATION), MBEDTLS_ASN1_UTF8_STRING, 64 },
	{ "OU", CERTAUTO__OID(MBEDTLS_OID_AT_ORG_UNIT), MBEDTLS_ASN1_UTF8_STRING, 64 },
	{ "street", CERTAUTO__OID(OID_STREET), MBEDTLS_ASN1_UTF8_STRING, 128 },
	{ "postalCode", CERTAUTO__OID(MBEDTLS_OID_AT_POSTAL_CODE), MBEDTLS_ASN1_UTF8_STRING, 16 },
	{ "serialNumber", CERTAUTO__OID(MBEDTLS_OID_AT_SERIAL_NUMBER),
	  MBEDTLS_ASN1_PRINTABLE_STRING, 64 },
	{ "emailAddress", CERTAUTO__OID(MBEDTLS_OID_PKCS9_EMAIL), MBEDTLS_ASN1_IA5_STRING, 255 },
	{ "DC", CERTAUTO__OID(MBEDTLS_OID_DOMAIN_COMPONENT), MBEDTLS_ASN1_IA5_STRING, 63 },
};

#define N_ATTRIBUTES (sizeof(attributes) / sizeof(attributes[0]))

static const struct attribute *attribute_named(const char *name)
{
	size_t i;

	for (i = 0; i < N_ATTRIBUTES; i++)
		if (strcmp(name, attributes[i].name) == 0)
			return &attributes[i];
	return NULL;
}

static const struct attribute *attribute_of(const struct certauto__der *oid)
{
	size_t i;

	for (i = 0; i < N_ATTRIBUTES; i++)
		if (certauto__der_equals(oid, attributes[i].oid, attributes[i].oid_len))
			return &attributes[i];
	return NULL;
}

/* PrintableString knows few characters, IA5String is ASCII. */
static int fits(const struct attribute *attribute, const char *value)
{
	static const char others[] = " '()+,-./:=?";
	unsigned char c;

	for (; *value != '\0'; value++) {
		c = (unsigned char)*value;
		if (c < 0x20 || c == 0x7F ||
		    (attribute->tag == MBEDTLS_ASN1_IA5_STRING && c > 0x7F))
			return 0;
		if (attribute->tag == MBEDTLS_ASN1_PRINTABLE_STRING &&
		    !(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= 'a' && c <= 'z') && strchr(others, c) == NULL)
			return 0;
	}
	return 1;
}

static int add_attribute(certauto__buffer *b, const char *name, const char *value,
	certauto_error *err)
{
	const struct attribute *attribute = attribute_named(name);
	size_t len = value != NULL ? strlen(value) : 0, set, pair;

	if (attribute == NULL)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"unknown part \"%.40s\" of a subject", name);
	if (len == 0 || len > attribute->max || !fits(attribute, value) ||
	    (attribute->max == 2 && len != 2))
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"the subject's %s must have 1 to %zu characters that its type allows", name,
			attribute->max);
	set = certauto__der_open(b, CERTAUTO__DER_SET);
	pair = certauto__der_open(b, CERTAUTO__DER_SEQUENCE);
	certauto__der_add_oid(b, attribute->oid, attribute->oid_len);
	certauto__der_add(b, attribute->tag, value, len);
	certauto__der_close(b, pair);
	certauto__der_close(b, set);
	return 0;
}

int certauto__dn_add(certauto__buffer *b, const struct certauto__subject *subject,
	certauto_error *err)
{
	size_t mark = certauto__der_open(b, CERTAUTO__DER_SEQUENCE);
	const char *const *pair = subject != NULL ? subject->others : NULL;
	int rc = 0;

	for (; rc == 0 && pair != NULL && pair[0] != NULL; pair += 2) {
		rc = add_attribute(b, pair[0], pair[1], err);
		if (pair[1] == NULL)
			break;
	}
	if (rc == 0 && subject != NULL && subject->common_name != NULL)
		rc = add_attribute(b, "CN", subject->common_name, err);
	certauto__der_close(b, mark);
	return rc;
}

/* Commas and the like get a backslash, so that a value cannot look like a further part. */
static void show_value(certauto__buffer *out, const struct certauto__der *value)
{
	certauto__buffer text = CERTAUTO__BUFFER(DN_TEXT_MAX);
	const char *at;

	certauto__text_escape(&text, (const char *)value->at, certauto__der_left(value));
	for (at = certauto__buffer_text(&text); *at != '\0'; at++) {
		if (strchr(",+\"<>;=", *at) != NULL)
			certauto__buffer_add(out, "\\", 1);
		certauto__buffer_add(out, at, 1);
	}
	if (text.rc == CERTAUTO_ENOMEM && out->rc == 0)
		out->rc = text.rc;
	certauto__buffer_free(&text);
}

static void show_type(certauto__buffer *out, const struct certauto__der *oid)
{
	const struct attribute *attribute = attribute_of(oid);
	mbedtls_asn1_buf raw;
	char number[64];

	raw.tag = MBEDTLS_ASN1_OID;
	raw.p = (unsigned char *)oid->at;
	raw.len = certauto__der_left(oid);
	if (attribute != NULL)
		certauto__buffer_text_add(out, attribute->name);
	else if (mbedtls_oid_get_numeric_string(number, sizeof(number), &raw) > 0)
		certauto__buffer_text_add(out, number);
	else
		certauto__buffer_text_add(out, "?");
}

/* The next type and value of a SET; 0 or CERTAUTO_EINVAL. */
static int next_pair(struct certauto__der *set, struct certauto__der *oid,
	struct certauto__der *value)
{
	struct certauto__der pair;
	int rc;

	if ((rc = certauto__der_next(set, CERTAUTO__DER_SEQUENCE, &pair)) < 0 ||
	    (rc = certauto__der_next(&pair, MBEDTLS_ASN1_OID, oid)) < 0)
		return rc;
	if (certauto__der_peek(&pair) == -1)
		return CERTAUTO_EINVAL;
	return certauto__der_next(&pair, certauto__der_peek(&pair), value);
}

static int show_rdn(certauto__buffer *out, struct certauto__der set)
{
	struct certauto__der oid, value;
	int rc, n = 0;

	while (certauto__der_left(&set) > 0) {
		if ((rc = next_pair(&set, &oid, &value)) < 0)
			return rc;
		if (out->len > 0)
			certauto__buffer_text_add(out, n > 0 ? " + " : ", ");
		show_type(out, &oid);
		certauto__buffer_add(out, "=", 1);
		show_value(out, &value);
		n++;
	}
	return 0;
}

int certauto__dn_text(certauto__buffer *out, const void *dn, size_t len)
{
	struct certauto__der in = certauto__der_over(dn, len), body, sets[RDNS_SHOWN];
	size_t n = 0;
	int rc;

	if ((rc = certauto__der_next(&in, CERTAUTO__DER_SEQUENCE, &body)) < 0)
		return rc;
	while (certauto__der_left(&body) > 0 && n < RDNS_SHOWN) {
		if ((rc = certauto__der_next(&body, CERTAUTO__DER_SET, &sets[n])) < 0)
			return rc;
		n++;
	}
	while (n > 0)
		if ((rc = show_rdn(out, sets[--n])) < 0)
			return rc;
	return out->rc;
}

int certauto__dn_cn(char **out, const void *dn, size_t len)
{
	struct certauto__der in = certauto__der_over(dn, len), body, set, oid, value;
	struct certauto__der cn = { NULL, NULL };
	certauto__buffer text = CERTAUTO__BUFFER(DN_TEXT_MAX);
	int rc;

	if ((rc = certauto__der_next(&in, CERTAUTO__DER_SEQUENCE, &body)) < 0)
		return rc;
	while (certauto__der_left(&body) > 0) {
		if ((rc = certauto__der_next(&body, CERTAUTO__DER_SET, &set)) < 0)
			return rc;
		while (certauto__der_left(&set) > 0) {
			if ((rc = next_pair(&set, &oid, &value)) < 0)
				return rc;
			if (certauto__der_equals(&oid, CERTAUTO__OID(MBEDTLS_OID_AT_CN)))
				cn = value;
		}
	}
	if (cn.at == NULL)
		return 0;
	certauto__text_escape(&text, (const char *)cn.at, certauto__der_left(&cn));
	if ((*out = certauto__buffer_take(&text)) == NULL)
		rc = text.rc;
	certauto__buffer_free(&text);
	return rc;
}
