/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate signing requests (RFC 2986), written and read by hand: mbedTLS 2.28 neither writes a
 * subjectAltName into a request nor takes the empty subject that ACME prefers. */

#include "crypto/csr.h"

#include <string.h>

#include "core/memory.h"
#include "crypto/pem.h"

#define SAN_CRITICAL 0 /* the CA decides on criticality, not the request */

static const char *const req_labels[] = { "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST", NULL };

/* ---- reading ---- */

/* attributes [0] of the request: the extensions asked for (RFC 2985 5.4.2), *exts stays empty when
 * there are none. */
static int find_extensions(struct certauto__der *exts, struct certauto__der *info)
{
	struct certauto__der list, attribute, id, values;
	int found = 0;

	if (certauto__der_left(info) == 0) /* must be there, but OpenSSL once left it out */
		return 0;
	if (certauto__der_next(info, CERTAUTO__DER_EXPLICIT(0), &list) < 0)
		return CERTAUTO_EINVAL;
	while (certauto__der_left(&list) > 0) {
		if (certauto__der_next(&list, CERTAUTO__DER_SEQUENCE, &attribute) < 0 ||
		    certauto__der_next(&attribute, MBEDTLS_ASN1_OID, &id) < 0 ||
		    certauto__der_next(&attribute, CERTAUTO__DER_SET, &values) < 0)
			return CERTAUTO_EINVAL;
		if (!certauto__der_equals(&id, CERTAUTO__OID(MBEDTLS_OID_PKCS9_CSR_EXT_REQ)))
			continue;
		if (found++)
			return CERTAUTO_EINVAL;
		*exts = values;
	}
	return 0;
}

/* Every name must be one that can be ordered: the request goes to the CA as it is. */
static int check_names(const certauto__list *names, certauto_error *err)
{
	char name[CERTAUTO__NAME_SIZE];
	const char *why;
	size_t i;

	for (i = 0; i < names->n; i++)
		if (certauto__name_normal(name, names->items[i], &why) < 0)
			return certauto__error_set(err, CERTAUTO_EINVAL, names->items[i],
				"the request is for \"%s\", which is no name to order: %s",
				names->items[i], why);
	return 0;
}

static int read_names(certauto__req *req, struct certauto__der *info, certauto_error *err)
{
	struct certauto__der exts = certauto__der_over("", 0), value;
	char name[CERTAUTO__NAME_SIZE];
	size_t n_others = 0;
	const char *why;
	int rc;

	if ((rc = find_extensions(&exts, info)) == 0)
		rc = certauto__ext_find(&value, &exts, CERTAUTO__OID(MBEDTLS_OID_SUBJECT_ALT_NAME));
	if (rc > 0)
		rc = certauto__san_read(&req->names, &n_others, value);
	if (rc == CERTAUTO_ENOMEM)
		return certauto__error_nomem(err);
	if (rc < 0)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"the request's extensions are damaged or hold more than %d names",
			CERTAUTO__NAMES_MAX);
	if (n_others > 0)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"the request holds %zu names that are no DNS names and no IP addresses",
			n_others);
	if ((rc = check_names(&req->names, err)) < 0 || req->common_name == NULL)
		return rc;
	if (certauto__name_normal(name, req->common_name, &why) < 0)
		return req->names.n > 0 ? 0 : certauto__error_set(err, CERTAUTO_EINVAL,
			req->common_name,
			"the request has no alternative names, and its common name \"%s\" is no "
			"name to order: %s", req->common_name, why);
	/* A DNS name there counts like the others (RFC 8555 7.4); an address does not. */
	if (certauto__list_has(&req->names, name) ||
	    (req->names.n > 0 && certauto__ip_check(name)))
		return 0;
	return certauto__list_add_text(&req->names, name) < 0 ? certauto__error_nomem(err) : 0;
}

static int damaged(certauto_error *err)
{
	return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
		"this is no certificate signing request, or a damaged one");
}

/* CertificationRequestInfo: version, subject, key, attributes. */
static int read_info(certauto__req *req, mbedtls_pk_context *pk, struct certauto__der info,
	certauto_error *err)
{
	struct certauto__der version, spki;
	const unsigned char *at;
	int ret;

	if (certauto__der_next(&info, MBEDTLS_ASN1_INTEGER, &version) < 0 ||
	    !certauto__der_equals(&version, "", 1))
		return damaged(err);
	req->subject = info.at;
	if (certauto__der_next(&info, CERTAUTO__DER_SEQUENCE, NULL) < 0)
		return damaged(err);
	req->subject_len = (size_t)(info.at - req->subject);
	at = info.at;
	if (certauto__der_next(&info, CERTAUTO__DER_SEQUENCE, &spki) < 0)
		return damaged(err);
	if ((ret = mbedtls_pk_parse_public_key(pk, at, (size_t)(info.at - at))) != 0)
		return certauto__mbed_error(err, ret, CERTAUTO_EINVAL,
			"the request's public key is damaged or of an unsupported type");
	req->is_rsa = mbedtls_pk_get_type(pk) == MBEDTLS_PK_RSA;
	if ((ret = certauto__mbed_spki(&req->spki, pk)) < 0 ||
	    (ret = certauto__dn_cn(&req->common_name, req->subject, req->subject_len)) < 0)
		return ret == CERTAUTO_ENOMEM ? certauto__error_nomem(err) : damaged(err);
	return read_names(req, &info, err);
}

/* That whoever made the request holds the key: a CA would refuse it otherwise. */
static int check_signature(const mbedtls_pk_context *pk, const struct certauto__der *info,
	struct certauto__der *rest, certauto_error *err)
{
	struct certauto__der algorithm, oid, bits;
	struct certauto__mbed_signed what;
	mbedtls_asn1_buf id;
	int ret;

	if (certauto__der_next(rest, CERTAUTO__DER_SEQUENCE, &algorithm) < 0 ||
	    certauto__der_next(&algorithm, MBEDTLS_ASN1_OID, &oid) < 0 ||
	    certauto__der_next(rest, MBEDTLS_ASN1_BIT_STRING, &bits) < 0 ||
	    certauto__der_left(rest) != 0 || certauto__der_left(&bits) < 1 || *bits.at++ != 0)
		return damaged(err);
	memset(&what, 0, sizeof(what));
	id.tag = MBEDTLS_ASN1_OID;
	id.p = (unsigned char *)oid.at;
	id.len = certauto__der_left(&oid);
	if (mbedtls_oid_get_sig_alg(&id, &what.md, &what.pk) != 0 ||
	    what.pk == MBEDTLS_PK_RSASSA_PSS)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"the request is signed with an unsupported algorithm");
	what.body = info->at;
	what.body_len = certauto__der_left(info);
	what.sig = bits.at;
	what.sig_len = certauto__der_left(&bits);
	if ((ret = certauto__mbed_verify(pk, &what)) != 0)
		return certauto__mbed_error(err, ret, CERTAUTO_EINVAL,
			"the request's signature is not that of its key");
	return 0;
}

/* Fills the rest of req from req->der. What we just signed ourselves is not verified again. */
static int req_read(certauto__req *req, int verify, certauto_error *err)
{
	struct certauto__der in = certauto__der_over(req->der, req->der_len), body, info, whole;
	mbedtls_pk_context pk;
	int rc;

	if (certauto__der_next(&in, CERTAUTO__DER_SEQUENCE, &body) < 0 ||
	    certauto__der_left(&in) != 0)
		return damaged(err);
	whole.at = body.at;
	if (certauto__der_next(&body, CERTAUTO__DER_SEQUENCE, &info) < 0)
		return damaged(err);
	whole.end = body.at; /* the signature covers the tag and the length too */
	mbedtls_pk_init(&pk);
	rc = read_info(req, &pk, info, err);
	if (rc == 0 && verify)
		rc = check_signature(&pk, &whole, &body, err);
	mbedtls_pk_free(&pk);
	return rc;
}

static int req_from_der(certauto__req **out, const void *der, size_t len, int verify,
	certauto_error *err)
{
	certauto__req *req;
	int rc;

	if (len == 0 || len > CERTAUTO__DER_MAX)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"a certificate signing request of %zu bytes", len);
	if ((req = certauto__alloc(sizeof(*req))) == NULL)
		return certauto__error_nomem(err);
	certauto__buffer_init(&req->spki, CERTAUTO__DER_MAX);
	req->der_len = len;
	if ((req->der = (unsigned char *)certauto__memdup(der, len)) == NULL)
		rc = certauto__error_nomem(err);
	else
		rc = req_read(req, verify, err);
	if (rc < 0) {
		certauto__req_free(req);
		return rc;
	}
	*out = req;
	return 0;
}

static int parse(certauto__req **out, const void *data, size_t len, int verify, certauto_error *err)
{
	certauto__buffer decoded = CERTAUTO__BUFFER(CERTAUTO__DER_MAX);
	const unsigned char *der;
	size_t der_len;
	int rc;

	if (data == NULL || len > 4 * CERTAUTO__DER_MAX)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"a certificate signing request of %zu bytes", len);
	rc = certauto__pem_or_der(&der, &der_len, &decoded, data, len, req_labels,
		"a certificate signing request", err);
	if (rc == 0)
		rc = req_from_der(out, der, der_len, verify, err);
	certauto__buffer_free(&decoded);
	return rc;
}

int certauto__req_parse(certauto__req **out, const void *data, size_t len, certauto_error *err)
{
	return parse(out, data, len, 1, err);
}

int certauto__req_parse_own(certauto__req **out, const void *data, size_t len, certauto_error *err)
{
	return parse(out, data, len, 0, err);
}

/* ---- writing ---- */

/* The names as they go into the request: checked, lower case, none twice. */
static int collect_names(certauto__list *out, const certauto__list *names, certauto_error *err)
{
	char name[CERTAUTO__NAME_SIZE];
	const char *why;
	size_t i;

	if (names == NULL || names->n == 0 || names->n > CERTAUTO__NAMES_MAX)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"a request needs 1 to %d names", CERTAUTO__NAMES_MAX);
	for (i = 0; i < names->n; i++) {
		if (certauto__name_normal(name, names->items[i], &why) < 0)
			return certauto__error_set(err, CERTAUTO_EINVAL, names->items[i],
				"\"%.300s\" is neither a DNS name nor an IP address: %s",
				names->items[i], why);
		if (certauto__list_has(out, name))
			return certauto__error_set(err, CERTAUTO_EINVAL, names->items[i],
				"the name \"%s\" is given twice", name);
		if (certauto__list_add_text(out, name) < 0)
			return certauto__error_nomem(err);
	}
	return 0;
}

static int write_info(certauto__buffer *b, const certauto__pkey *key, const certauto__list *names,
	const struct certauto__subject *subject, certauto_error *err)
{
	size_t info, attributes, attribute, values, exts;
	int rc;

	info = certauto__der_open(b, CERTAUTO__DER_SEQUENCE);
	certauto__der_add_uint(b, NULL, 0); /* version v1 */
	if ((rc = certauto__dn_add(b, subject, err)) < 0)
		return rc;
	certauto__buffer_add(b, key->spki.data, key->spki.len);
	attributes = certauto__der_open(b, CERTAUTO__DER_EXPLICIT(0));
	attribute = certauto__der_open(b, CERTAUTO__DER_SEQUENCE);
	certauto__der_add_oid(b, CERTAUTO__OID(MBEDTLS_OID_PKCS9_CSR_EXT_REQ));
	values = certauto__der_open(b, CERTAUTO__DER_SET);
	exts = certauto__der_open(b, CERTAUTO__DER_SEQUENCE);
	certauto__san_add(b, names, SAN_CRITICAL);
	certauto__der_close(b, exts);
	certauto__der_close(b, values);
	certauto__der_close(b, attribute);
	certauto__der_close(b, attributes);
	certauto__der_close(b, info);
	if (b->rc == CERTAUTO_EPROTO)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"the request would be longer than %zu KiB", CERTAUTO__DER_MAX >> 10);
	return b->rc < 0 ? certauto__error_nomem(err) : 0;
}

int certauto__req_new(certauto__req **out, const certauto__pkey *key, const certauto__list *names,
	const struct certauto__subject *subject, certauto_error *err)
{
	certauto__buffer info = CERTAUTO__BUFFER(CERTAUTO__DER_MAX - 1024);
	certauto__buffer der = CERTAUTO__BUFFER(CERTAUTO__DER_MAX);
	certauto__list wanted = { NULL, 0, 0 };
	size_t mark;
	int rc;

	if ((rc = collect_names(&wanted, names, err)) < 0 ||
	    (rc = write_info(&info, key, &wanted, subject, err)) < 0)
		goto out;
	mark = certauto__der_open(&der, CERTAUTO__DER_SEQUENCE);
	certauto__buffer_add(&der, info.data, info.len);
	if ((rc = certauto__pkey_x509_sign(&der, key, info.data, info.len, err)) < 0)
		goto out;
	certauto__der_close(&der, mark);
	rc = der.rc < 0 ? certauto__error_nomem(err) : req_from_der(out, der.data, der.len, 0, err);
out:
	certauto__list_free(&wanted);
	certauto__buffer_free(&info);
	certauto__buffer_free(&der);
	return rc;
}

/* ---- the object ---- */

void certauto__req_free(certauto__req *req)
{
	if (req == NULL)
		return;
	certauto__free(req->der);
	certauto__free(req->common_name);
	certauto__list_free(&req->names);
	certauto__buffer_free(&req->spki);
	certauto__free(req);
}

int certauto__req_copy(certauto__req **out, const certauto__req *req)
{
	return req_from_der(out, req->der, req->der_len, 0, NULL);
}

int certauto__req_format(certauto__buffer *out, const certauto__req *req)
{
	return certauto__pem_add(out, req_labels[0], req->der, req->der_len);
}

const unsigned char *certauto__req_der(const certauto__req *req, size_t *len)
{
	*len = req->der_len;
	return req->der;
}

const certauto__list *certauto__req_names(const certauto__req *req)
{
	return &req->names;
}

const char *certauto__req_common_name(const certauto__req *req)
{
	return req->common_name;
}

int certauto__req_has_key(const certauto__req *req, const certauto__pkey *key)
{
	return req->spki.len == key->spki.len &&
	       memcmp(req->spki.data, key->spki.data, key->spki.len) == 0;
}
