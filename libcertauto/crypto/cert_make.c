/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates of our own: self-signed, to have something to serve before the CA has answered, and
 * signed by a small private CA. Written by hand, so that a key outside can sign them too. */

#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "crypto/cert.h"
#include "crypto/csr.h"
#include "crypto/pem.h"

#define SERIAL_LEN 16
#define KEY_ID_LEN 20
#define CN_MAX 64
#define CHALLENGE_LIFE_S 86400 /* on either side of now: clocks differ */
#define OID_ACME_IDENTIFIER "\x2B\x06\x01\x05\x05\x07\x01\x1F"
#define NOT_AFTER_MAX 253402300799 /* 9999-12-31T23:59:59Z, the last that can be written */
#define UTC_TIME_END 2524608000    /* 2050-01-01: from then on GeneralizedTime (RFC 5280 4.1.2.5) */

struct making {
	const certauto__pkey *signer;
	const certauto__req *req;
	const struct certauto__cert *ca; /* NULL: self-signed */
	int64_t not_before, not_after;
	const unsigned char *challenge;  /* digest for acmeIdentifier; NULL: none */
};

static void add_time(certauto__buffer *b, int64_t at)
{
	char text[24], digits[16];
	size_t i, n = 0;

	/* "2026-11-21T13:00:00Z" without its punctuation is GeneralizedTime, without the century
	 * UTCTime. */
	certauto__clock_format(text, sizeof(text), at);
	for (i = 0; text[i] != '\0' && n < sizeof(digits); i++)
		if ((text[i] >= '0' && text[i] <= '9') || text[i] == 'Z')
			digits[n++] = text[i];
	if (at < UTC_TIME_END)
		certauto__der_add(b, MBEDTLS_ASN1_UTC_TIME, digits + 2, n - 2);
	else
		certauto__der_add(b, MBEDTLS_ASN1_GENERALIZED_TIME, digits, n);
}

/* A certificate must name its issuer (RFC 5280 4.1.2.4), so one that is its own issuer cannot have
 * the empty subject of its request: it gets the first name that fits into a common name. */
static int own_subject(certauto__buffer *b, const certauto__req *req, certauto_error *err)
{
	struct certauto__subject subject = { "self-signed", NULL };
	size_t i;

	for (i = req->names.n; i-- > 0;)
		if (strlen(req->names.items[i]) <= CN_MAX)
			subject.common_name = req->names.items[i];
	return certauto__dn_add(b, &subject, err);
}

static int is_empty_dn(const unsigned char *dn, size_t len)
{
	return len == 2 && dn[1] == 0;
}

/* The subject, whole; *is_empty tells whether the names alone identify. */
static int make_subject(certauto__buffer *b, const struct making *m, int *is_empty,
	certauto_error *err)
{
	*is_empty = 0;
	if (!is_empty_dn(m->req->subject, m->req->subject_len))
		return certauto__buffer_add(b, m->req->subject, m->req->subject_len);
	if (m->ca == NULL)
		return own_subject(b, m->req, err);
	*is_empty = 1;
	return certauto__buffer_add(b, m->req->subject, m->req->subject_len);
}

/* digitalSignature is bit 0, keyEncipherment (for TLS_RSA_) bit 2 of the BIT STRING. */
static void add_key_usage(certauto__buffer *b, int is_rsa)
{
	static const unsigned char ecdsa[] = { 7, 0x80 }, rsa[] = { 5, 0xA0 };
	struct certauto__ext_mark mark;

	certauto__ext_open(b, &mark, CERTAUTO__OID(MBEDTLS_OID_KEY_USAGE), 1);
	certauto__der_add(b, MBEDTLS_ASN1_BIT_STRING, is_rsa ? rsa : ecdsa, sizeof(rsa));
	certauto__ext_close(b, &mark);
}

static void add_ext_key_usage(certauto__buffer *b)
{
	struct certauto__ext_mark mark;
	size_t list;

	certauto__ext_open(b, &mark, CERTAUTO__OID(MBEDTLS_OID_EXTENDED_KEY_USAGE), 0);
	list = certauto__der_open(b, CERTAUTO__DER_SEQUENCE);
	certauto__der_add_oid(b, CERTAUTO__OID(MBEDTLS_OID_SERVER_AUTH));
	certauto__der_close(b, list);
	certauto__ext_close(b, &mark);
}

/* RFC 7093 method 1: 160 bits of the SHA-256 of the public key. */
static int add_subject_key_id(certauto__buffer *b, const certauto__buffer *spki)
{
	struct certauto__ext_mark mark;
	struct certauto__der bits;
	unsigned char id[32];
	int rc;

	if ((rc = certauto__spki_bits(&bits, spki)) < 0)
		return rc;
	certauto__sha256(id, bits.at, certauto__der_left(&bits));
	certauto__ext_open(b, &mark, CERTAUTO__OID(MBEDTLS_OID_SUBJECT_KEY_IDENTIFIER), 0);
	certauto__der_add(b, MBEDTLS_ASN1_OCTET_STRING, id, KEY_ID_LEN);
	certauto__ext_close(b, &mark);
	return 0;
}

/* The CA's own subject key identifier, as it stands in its certificate. */
static int add_authority_key_id(certauto__buffer *b, const struct certauto__cert *ca)
{
	struct certauto__der exts, value, id;
	struct certauto__ext_mark mark;
	size_t list;
	int rc;

	if (ca == NULL || ca->info.ski == NULL)
		return 0;
	exts = certauto__der_over(ca->crt.v3_ext.p, ca->crt.v3_ext.len);
	rc = certauto__ext_find(&value, &exts, CERTAUTO__OID(MBEDTLS_OID_SUBJECT_KEY_IDENTIFIER));
	if (rc <= 0 || (rc = certauto__der_next(&value, MBEDTLS_ASN1_OCTET_STRING, &id)) < 0)
		return rc;
	certauto__ext_open(b, &mark, CERTAUTO__OID(MBEDTLS_OID_AUTHORITY_KEY_IDENTIFIER), 0);
	list = certauto__der_open(b, CERTAUTO__DER_SEQUENCE);
	certauto__der_add(b, CERTAUTO__DER_CONTEXT(0), id.at, certauto__der_left(&id));
	certauto__der_close(b, list);
	certauto__ext_close(b, &mark);
	return 0;
}

static void add_acme_identifier(certauto__buffer *b, const unsigned char digest[32])
{
	struct certauto__ext_mark mark;

	certauto__ext_open(b, &mark, CERTAUTO__OID(OID_ACME_IDENTIFIER), 1);
	certauto__der_add(b, MBEDTLS_ASN1_OCTET_STRING, digest, 32);
	certauto__ext_close(b, &mark);
}

static int add_extensions(certauto__buffer *b, const struct making *m, int subject_is_empty)
{
	struct certauto__ext_mark mark;
	size_t all, list;
	int rc;

	all = certauto__der_open(b, CERTAUTO__DER_EXPLICIT(3));
	list = certauto__der_open(b, CERTAUTO__DER_SEQUENCE);
	certauto__ext_open(b, &mark, CERTAUTO__OID(MBEDTLS_OID_BASIC_CONSTRAINTS), 1);
	certauto__der_add(b, CERTAUTO__DER_SEQUENCE, NULL, 0); /* CA:FALSE is the default */
	certauto__ext_close(b, &mark);
	add_key_usage(b, m->req->is_rsa);
	add_ext_key_usage(b);
	if ((rc = add_subject_key_id(b, &m->req->spki)) < 0 ||
	    (rc = add_authority_key_id(b, m->ca)) < 0)
		return rc;
	certauto__san_add(b, &m->req->names, subject_is_empty); /* RFC 5280 4.2.1.6 */
	if (m->challenge != NULL)
		add_acme_identifier(b, m->challenge);
	certauto__der_close(b, list);
	certauto__der_close(b, all);
	return 0;
}

/* TBSCertificate. */
static int add_body(certauto__buffer *b, const struct making *m, certauto_error *err)
{
	certauto__buffer subject = CERTAUTO__BUFFER(CERTAUTO__DER_MAX);
	unsigned char serial[SERIAL_LEN];
	size_t body, mark;
	int subject_is_empty, rc;

	if ((rc = make_subject(&subject, m, &subject_is_empty, err)) < 0 || (rc = subject.rc) < 0 ||
	    (rc = certauto__random(serial, sizeof(serial), err)) < 0)
		goto out;
	serial[0] = (unsigned char)((serial[0] & 0x7F) | 0x40); /* positive, and always 16 bytes */
	body = certauto__der_open(b, CERTAUTO__DER_SEQUENCE);
	mark = certauto__der_open(b, CERTAUTO__DER_EXPLICIT(0));
	certauto__der_add(b, MBEDTLS_ASN1_INTEGER, "\x02", 1); /* version v3 */
	certauto__der_close(b, mark);
	certauto__der_add(b, MBEDTLS_ASN1_INTEGER, serial, sizeof(serial));
	certauto__pkey_x509_alg(b, m->signer);
	if (m->ca != NULL)
		certauto__buffer_add(b, m->ca->crt.subject_raw.p, m->ca->crt.subject_raw.len);
	else
		certauto__buffer_add(b, subject.data, subject.len);
	mark = certauto__der_open(b, CERTAUTO__DER_SEQUENCE);
	add_time(b, m->not_before);
	add_time(b, m->not_after);
	certauto__der_close(b, mark);
	certauto__buffer_add(b, subject.data, subject.len);
	certauto__buffer_add(b, m->req->spki.data, m->req->spki.len);
	rc = add_extensions(b, m, subject_is_empty);
	certauto__der_close(b, body);
out:
	certauto__buffer_free(&subject);
	return rc;
}

static int make(certauto__certs **out, const struct making *m, certauto_error *err)
{
	certauto__buffer body = CERTAUTO__BUFFER(CERTAUTO__DER_MAX - 2048);
	certauto__buffer der = CERTAUTO__BUFFER(CERTAUTO__DER_MAX);
	certauto__certs *certs = NULL;
	size_t mark;
	int rc;

	if ((rc = add_body(&body, m, err)) < 0 || (rc = body.rc) < 0)
		goto out;
	mark = certauto__der_open(&der, CERTAUTO__DER_SEQUENCE);
	certauto__buffer_add(&der, body.data, body.len);
	if ((rc = certauto__pkey_x509_sign(&der, m->signer, body.data, body.len, err)) < 0)
		goto out;
	certauto__der_close(&der, mark);
	if ((rc = der.rc) < 0)
		goto out;
	if ((certs = certauto__certs_alloc()) == NULL) {
		rc = CERTAUTO_ENOMEM;
		goto out;
	}
	if ((rc = certauto__certs_add(certs, der.data, der.len, err)) < 0)
		goto out;
	/* A self-signed CA is a root: whoever trusts it has it. */
	if (m->ca != NULL && strcmp(m->ca->info.issuer, m->ca->info.subject) != 0 &&
	    (rc = certauto__certs_add(certs, m->ca->info.der, m->ca->info.der_len, err)) < 0)
		goto out;
	*out = certs;
	certs = NULL;
out:
	certauto__certs_free(certs);
	certauto__buffer_free(&body);
	certauto__buffer_free(&der);
	if (rc == CERTAUTO_EPROTO) /* a buffer is full: hundreds of long names */
		rc = CERTAUTO_EINVAL;
	return rc < 0 ? certauto__error_set(err, rc, NULL, "the certificate cannot be made") : 0;
}

static int check_validity(int64_t not_before, int64_t not_after, certauto_error *err)
{
	if (not_before >= 0 && not_before < not_after && not_after <= NOT_AFTER_MAX)
		return 0;
	return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
		"a certificate cannot be valid from %lld to %lld", (long long)not_before,
		(long long)not_after);
}

int certauto__certs_self_signed(certauto__certs **out, const certauto__pkey *key,
	const certauto__req *req, int64_t not_before, int64_t not_after, certauto_error *err)
{
	struct making m = { key, req, NULL, not_before, not_after, NULL };
	int rc;

	if ((rc = check_validity(not_before, not_after, err)) < 0)
		return rc;
	if (!certauto__req_has_key(req, key))
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"the request is not that of the key");
	return make(out, &m, err);
}

int certauto__certs_challenge(certauto__certs **certs_out, certauto__pkey **key_out,
	const char *name, const unsigned char digest[32], certauto_error *err)
{
	char *items[] = { (char *)name }; /* only read */
	const certauto__list names = { items, 1, 1 };
	int64_t now = certauto__clock_now();
	struct making m = { NULL, NULL, NULL, now - CHALLENGE_LIFE_S, now + CHALLENGE_LIFE_S,
		digest };
	certauto__pkey *key = NULL;
	certauto__req *req = NULL;
	int rc;

	if ((rc = certauto__pkey_new(&key, "ecdsa-p256", err)) == 0 &&
	    (rc = certauto__req_new(&req, key, &names, NULL, err)) == 0) {
		m.signer = key;
		m.req = req;
		rc = make(certs_out, &m, err);
	}
	certauto__req_free(req);
	if (rc == 0)
		*key_out = key;
	else
		certauto__pkey_free(key);
	return rc;
}

int certauto__certs_signed(certauto__certs **out, const certauto__certs *ca,
	const certauto__pkey *ca_key, const certauto__req *req, int64_t not_before,
	int64_t not_after, certauto_error *err)
{
	const struct certauto__cert *issuer = ca->items[0];
	struct making m = { ca_key, req, issuer, not_before, not_after, NULL };
	int rc;

	if ((rc = check_validity(not_before, not_after, err)) < 0)
		return rc;
	if (!certauto__certs_has_key(ca, ca_key))
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"the CA's certificate is not that of its key");
	if (!issuer->info.is_ca ||
	    mbedtls_x509_crt_check_key_usage(&issuer->crt, MBEDTLS_X509_KU_KEY_CERT_SIGN) != 0)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"\"%s\" is no CA: its certificate may not sign others",
			issuer->info.subject);
	return make(out, &m, err);
}
