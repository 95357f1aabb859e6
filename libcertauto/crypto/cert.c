/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a chain and what is known of each certificate in it. mbedTLS does the parsing; what it
 * leaves out in 2.28 (addresses, key identifiers) is read from the extensions. */

#include "crypto/cert.h"

#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "crypto/csr.h"
#include "crypto/pem.h"
#include "crypto/pkey.h"

#define CERTS_MAX 10      /* of a chain, unless the caller says otherwise */
#define SERIAL_MAX 40     /* bytes; RFC 5280 allows 20 */
#define KEY_ID_MAX 64
#define INFO_TEXT_MAX 8192

#define LABEL "CERTIFICATE"

/* ---- one certificate ---- */

static void cert_free(struct certauto__cert *cert)
{
	if (cert == NULL)
		return;
	mbedtls_x509_crt_free(&cert->crt);
	certauto__buffer_free(&cert->spki);
	certauto__list_free(&cert->names);
	certauto__free(cert->serial);
	certauto__free(cert->issuer);
	certauto__free(cert->issuer_cn);
	certauto__free(cert->subject);
	certauto__free(cert->subject_cn);
	certauto__free(cert->aki);
	certauto__free(cert->ski);
	certauto__free(cert);
}

/* Critical extensions mbedTLS does not know (name constraints, acmeIdentifier) are for the clients
 * that rely on the certificate; we hand it on. */
static int allow_extension(void *arg, mbedtls_x509_crt const *crt, mbedtls_x509_buf const *oid,
	int critical, const unsigned char *at, const unsigned char *end)
{
	(void)arg;
	(void)crt;
	(void)oid;
	(void)critical;
	(void)at;
	(void)end;
	return 0;
}

static int hex_dup(char **out, const unsigned char *data, size_t len)
{
	certauto__buffer hex = CERTAUTO__BUFFER(INFO_TEXT_MAX);

	certauto__hex_encode(&hex, data, len);
	*out = certauto__buffer_take(&hex);
	certauto__buffer_free(&hex);
	return *out != NULL ? 0 : CERTAUTO_ENOMEM;
}

static int read_dn(char **text, char **cn, const mbedtls_x509_buf *raw)
{
	certauto__buffer b = CERTAUTO__BUFFER(INFO_TEXT_MAX);
	int rc;

	if ((rc = certauto__dn_text(&b, raw->p, raw->len)) == 0 &&
	    (*text = certauto__buffer_take(&b)) == NULL)
		rc = CERTAUTO_ENOMEM;
	certauto__buffer_free(&b);
	return rc < 0 ? rc : certauto__dn_cn(cn, raw->p, raw->len);
}

/* The INTEGER without the byte that keeps it positive. */
static int read_serial(struct certauto__cert *cert)
{
	const mbedtls_x509_buf *serial = &cert->crt.serial;
	size_t skip = serial->len > 1 && serial->p[0] == 0 ? 1 : 0;

	if (serial->len == 0 || serial->len > SERIAL_MAX)
		return CERTAUTO_EINVAL;
	return hex_dup(&cert->serial, serial->p + skip, serial->len - skip);
}

/* SubjectKeyIdentifier is an OCTET STRING, AuthorityKeyIdentifier a SEQUENCE that may have one as
 * [0] (RFC 5280 4.2.1.1, 4.2.1.2). */
static int read_key_ids(struct certauto__cert *cert, const struct certauto__der *exts)
{
	struct certauto__der value, body, id;
	int rc;

	rc = certauto__ext_find(&value, exts, CERTAUTO__OID(MBEDTLS_OID_SUBJECT_KEY_IDENTIFIER));
	if (rc > 0 && (rc = certauto__der_next(&value, MBEDTLS_ASN1_OCTET_STRING, &id)) == 0)
		rc = certauto__der_left(&id) > KEY_ID_MAX ? CERTAUTO_EINVAL :
			hex_dup(&cert->ski, id.at, certauto__der_left(&id));
	if (rc < 0)
		return rc;
	rc = certauto__ext_find(&value, exts, CERTAUTO__OID(MBEDTLS_OID_AUTHORITY_KEY_IDENTIFIER));
	if (rc <= 0)
		return rc;
	if ((rc = certauto__der_next(&value, CERTAUTO__DER_SEQUENCE, &body)) < 0)
		return rc;
	if (certauto__der_peek(&body) != CERTAUTO__DER_CONTEXT(0))
		return 0;
	if ((rc = certauto__der_next(&body, CERTAUTO__DER_CONTEXT(0), &id)) < 0 ||
	    certauto__der_left(&id) > KEY_ID_MAX)
		return CERTAUTO_EINVAL;
	return hex_dup(&cert->aki, id.at, certauto__der_left(&id));
}

static int read_extensions(struct certauto__cert *cert)
{
	const mbedtls_x509_buf *raw = &cert->crt.v3_ext;
	struct certauto__der exts, value;
	int rc;

	if (raw->len == 0)
		return 0;
	exts = certauto__der_over(raw->p, raw->len);
	rc = certauto__ext_find(&value, &exts, CERTAUTO__OID(MBEDTLS_OID_SUBJECT_ALT_NAME));
	if (rc > 0)
		rc = certauto__san_read(&cert->names, &cert->n_others, value);
	if (rc >= 0)
		rc = certauto__ext_find(
			&value, &exts, CERTAUTO__OID(MBEDTLS_OID_BASIC_CONSTRAINTS));
	cert->info.has_constraints = rc > 0;
	return rc < 0 ? rc : read_key_ids(cert, &exts);
}

static int64_t seconds(const mbedtls_x509_time *t)
{
	return certauto__clock_from_utc(t->year, t->mon, t->day, t->hour, t->min, t->sec);
}

static void publish(struct certauto__cert *cert)
{
	const struct certauto__key_kind *kind = certauto__key_kind_of(&cert->crt.pk);
	struct certauto__cert_info *info = &cert->info;

	certauto__sha256_hex(cert->fingerprint, cert->crt.raw.p, cert->crt.raw.len);
	info->der = cert->crt.raw.p;
	info->der_len = cert->crt.raw.len;
	info->serial = cert->serial;
	info->fingerprint = cert->fingerprint;
	info->issuer = cert->issuer;
	info->issuer_cn = cert->issuer_cn;
	info->subject = cert->subject;
	info->subject_cn = cert->subject_cn;
	info->names = &cert->names;
	info->not_before = seconds(&cert->crt.valid_from);
	info->not_after = seconds(&cert->crt.valid_to);
	info->is_ca = certauto__mbed_crt_is_ca(&cert->crt);
	info->key_type = kind != NULL ? kind->type : "other";
	info->key_algorithm = mbedtls_pk_get_name(&cert->crt.pk);
	info->key_bits = mbedtls_pk_get_bitlen(&cert->crt.pk);
	info->signature = "other";
	(void)mbedtls_oid_get_sig_alg_desc(&cert->crt.sig_oid, &info->signature);
	info->aki = cert->aki;
	info->ski = cert->ski;
}

static int cert_read(struct certauto__cert *cert, const void *der, size_t len, certauto_error *err)
{
	int ret, rc;

	ret = mbedtls_x509_crt_parse_der_with_ext_cb(&cert->crt, der, len, 1, allow_extension,
		NULL);
	if (ret != 0)
		return certauto__mbed_error(err, ret, CERTAUTO_ECERT, "damaged or unsupported");
	if (cert->crt.raw.len != len)
		return certauto__error_set(err, CERTAUTO_ECERT, NULL,
			"followed by %zu bytes that do not belong to it", len - cert->crt.raw.len);
	if ((rc = certauto__mbed_spki(&cert->spki, &cert->crt.pk)) < 0 ||
	    (rc = read_serial(cert)) < 0 ||
	    (rc = read_dn(&cert->issuer, &cert->issuer_cn, &cert->crt.issuer_raw)) < 0 ||
	    (rc = read_dn(&cert->subject, &cert->subject_cn, &cert->crt.subject_raw)) < 0 ||
	    (rc = read_extensions(cert)) < 0)
		return rc == CERTAUTO_ENOMEM ? certauto__error_nomem(err) :
			certauto__error_set(err, CERTAUTO_ECERT, NULL,
				"its serial number, names or extensions are malformed");
	publish(cert);
	return 0;
}

static int cert_new(struct certauto__cert **out, const void *der, size_t len, certauto_error *err)
{
	struct certauto__cert *cert = certauto__alloc(sizeof(*cert));
	int rc;

	if (cert == NULL)
		return certauto__error_nomem(err);
	mbedtls_x509_crt_init(&cert->crt);
	certauto__buffer_init(&cert->spki, CERTAUTO__DER_MAX);
	if ((rc = cert_read(cert, der, len, err)) < 0) {
		cert_free(cert);
		return rc;
	}
	*out = cert;
	return 0;
}

/* ---- the chain ---- */

certauto__certs *certauto__certs_alloc(void)
{
	return certauto__alloc(sizeof(certauto__certs));
}

void certauto__certs_free(certauto__certs *certs)
{
	size_t i;

	if (certs == NULL)
		return;
	for (i = 0; i < certs->n; i++)
		cert_free(certs->items[i]);
	certauto__free(certs->items);
	certauto__free(certs);
}

int certauto__certs_add(certauto__certs *certs, const void *der, size_t len, certauto_error *err)
{
	struct certauto__cert **items;
	int rc;

	items = certauto__realloc(certs->items, (certs->n + 1) * sizeof(*items));
	if (items == NULL)
		return certauto__error_nomem(err);
	certs->items = items;
	if ((rc = cert_new(&items[certs->n], der, len, err)) < 0) {
		certauto__error_prefix(err, "certificate %zu of the chain", certs->n + 1);
		return rc;
	}
	certs->n++;
	return 0;
}

static int parse_pem(certauto__certs *certs, const char *data, size_t len, size_t max,
	certauto_error *err)
{
	struct certauto__pem_reader reader = { data, data + len, 1, CERTAUTO_ECERT };
	certauto__buffer der = CERTAUTO__BUFFER(CERTAUTO__DER_MAX);
	struct certauto__pem block;
	int rc;

	while ((rc = certauto__pem_next(&reader, &block, err)) > 0) {
		if (strcmp(block.label, LABEL) != 0) {
			rc = certauto__error_set(err, CERTAUTO_ECERT, NULL,
				"a PEM block \"%s\" where only certificates may be", block.label);
			break;
		}
		if (certs->n >= max) {
			rc = certauto__error_set(err, CERTAUTO_ECERT, NULL,
				"the chain has more than %zu certificates", max);
			break;
		}
		certauto__buffer_clear(&der);
		if ((rc = certauto__pem_decode(&der, &block, CERTAUTO_ECERT, err)) < 0 ||
		    (rc = certauto__certs_add(certs, der.data, der.len, err)) < 0)
			break;
	}
	certauto__buffer_free(&der);
	if (rc == 0 && certs->n == 0)
		rc = certauto__error_set(err, CERTAUTO_ECERT, NULL, "there is no certificate");
	return rc;
}

static int parse_der(certauto__certs *certs, const void *data, size_t len, certauto_error *err)
{
	if (len > CERTAUTO__DER_MAX)
		return certauto__error_set(err, CERTAUTO_ECERT, NULL,
			"the certificate is longer than %zu KiB", CERTAUTO__DER_MAX >> 10);
	return certauto__certs_add(certs, data, len, err);
}

/* Text too short to hold a block is text all the same: what says so is the PEM reader. */
int certauto__certs_parse(certauto__certs **out, const void *data, size_t len, size_t max_certs,
	certauto_error *err)
{
	certauto__certs *certs;
	int rc;

	if (data == NULL || len == 0)
		return certauto__error_set(err, CERTAUTO_ECERT, NULL, "there is no certificate");
	if ((certs = certauto__certs_alloc()) == NULL)
		return certauto__error_nomem(err);
	if (*(const unsigned char *)data == CERTAUTO__DER_SEQUENCE && !certauto__pem_is(data, len))
		rc = parse_der(certs, data, len, err);
	else
		rc = parse_pem(certs, data, len, max_certs != 0 ? max_certs : CERTS_MAX, err);
	if (rc < 0) {
		certauto__certs_free(certs);
		return rc;
	}
	*out = certs;
	return 0;
}

size_t certauto__certs_n(const certauto__certs *certs)
{
	return certs->n;
}

const struct certauto__cert_info *certauto__certs_info(const certauto__certs *certs, size_t i)
{
	return i < certs->n ? &certs->items[i]->info : NULL;
}

int certauto__certs_format(certauto__buffer *out, const certauto__certs *certs, int part)
{
	size_t i = (part & CERTAUTO__PART_LEAF) != 0 ? 0 : 1;
	size_t n = (part & CERTAUTO__PART_INTERMEDIATES) != 0 ? certs->n : 1;
	const struct certauto__cert_info *info;

	for (; i < n; i++) {
		info = &certs->items[i]->info;
		certauto__pem_add(out, LABEL, info->der, info->der_len);
	}
	return out->rc;
}

static int has_spki(const certauto__certs *certs, const certauto__buffer *spki)
{
	const certauto__buffer *own = &certs->items[0]->spki;

	return own->len == spki->len && memcmp(own->data, spki->data, spki->len) == 0;
}

int certauto__certs_has_key(const certauto__certs *certs, const certauto__pkey *key)
{
	return has_spki(certs, &key->spki);
}

int certauto__certs_has_req(const certauto__certs *certs, const certauto__req *req)
{
	return has_spki(certs, &req->spki);
}

int certauto__certs_pin(certauto__buffer *out, const certauto__certs *certs)
{
	return certauto__certs_pin_of(out, certs, 0);
}

int certauto__certs_pin_of(certauto__buffer *out, const certauto__certs *certs, size_t i)
{
	const certauto__buffer *spki = &certs->items[i]->spki;
	unsigned char digest[32];

	certauto__sha256(digest, spki->data, spki->len);
	certauto__buffer_text_add(out, "sha256//");
	return certauto__base64_encode(out, digest, sizeof(digest));
}

/* Through mbedTLS and back, as the certificate's own key went. */
int certauto__certs_has_spki(const certauto__certs *certs, const void *spki, size_t len)
{
	certauto__buffer own = CERTAUTO__BUFFER(CERTAUTO__DER_MAX);
	mbedtls_pk_context pk;
	int same;

	mbedtls_pk_init(&pk);
	same = len != 0 && mbedtls_pk_parse_public_key(&pk, spki, len) == 0 &&
	       certauto__mbed_spki(&own, &pk) == 0 && has_spki(certs, &own);
	mbedtls_pk_free(&pk);
	certauto__buffer_free(&own);
	return same;
}
