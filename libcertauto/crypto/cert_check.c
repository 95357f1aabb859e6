/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold before a certificate may replace another. The CA is not trusted: it may be another
 * program's bug or somebody in the middle. The order of the checks is the order of their use to the
 * person who reads the refusal: a wrong key says more than a wrong date. */

#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "crypto/cert.h"
#include "crypto/csr.h"
#include "crypto/verifier.h"

#define CLOCK_SLACK_S 3600     /* our clock and the CA's may differ by that much */
#define LEFT_MIN_S 3600        /* a certificate that ends sooner is of no use */
#define NAMES_SHOWN_MAX 1024

static int check_key(const struct certauto__cert *leaf, const certauto__buffer *spki,
	const char *whose, certauto_error *err)
{
	char got[65], want[65];

	if (leaf->spki.len == spki->len && memcmp(leaf->spki.data, spki->data, spki->len) == 0)
		return 0;
	certauto__sha256_hex(got, leaf->spki.data, leaf->spki.len);
	certauto__sha256_hex(want, spki->data, spki->len);
	return certauto__error_set(err, CERTAUTO_ECERT, NULL,
		"the certificate is for another key: SHA-256 of its public key is %.16s..., that "
		"of %s is %.16s...", got, whose, want);
}

/* The items of a that b has not; the number of them. */
static size_t list_difference(certauto__buffer *out, const certauto__list *a,
	const certauto__list *b)
{
	size_t i, n = 0;

	for (i = 0; i < a->n; i++) {
		if (certauto__list_has(b, a->items[i]))
			continue;
		if (n++ < 5)
			certauto__buffer_printf(out, "%s\"%s\"", n > 1 ? ", " : "", a->items[i]);
	}
	if (n > 5)
		certauto__buffer_printf(out, " and %zu more", n - 5);
	return n;
}

/* Both as sets: doubled names are one name. */
static int compare_names(const struct certauto__cert *leaf, const certauto__list *wanted,
	certauto_error *err)
{
	certauto__buffer missing = CERTAUTO__BUFFER(NAMES_SHOWN_MAX);
	certauto__buffer extra = CERTAUTO__BUFFER(NAMES_SHOWN_MAX);
	size_t n_missing = list_difference(&missing, wanted, &leaf->names);
	size_t n_extra = list_difference(&extra, &leaf->names, wanted);
	int rc = 0;

	if (n_missing > 0 || n_extra > 0)
		rc = certauto__error_set(err, CERTAUTO_ECERT, NULL,
			"the certificate's names are not those that were ordered:%s%s%s%s%s",
			n_missing > 0 ? " it lacks " : "", certauto__buffer_text(&missing),
			n_missing > 0 && n_extra > 0 ? " and" : "",
			n_extra > 0 ? " it adds " : "", certauto__buffer_text(&extra));
	else if (leaf->n_others > 0)
		rc = certauto__error_set(err, CERTAUTO_ECERT, NULL,
			"the certificate adds %zu names that are no DNS names and no IP addresses",
			leaf->n_others);
	certauto__buffer_free(&missing);
	certauto__buffer_free(&extra);
	return rc;
}

static int check_names(const struct certauto__cert *leaf, const certauto__list *names,
	certauto_error *err)
{
	certauto__list wanted = { NULL, 0, 0 };
	char name[CERTAUTO__NAME_SIZE];
	const char *why;
	size_t i;
	int rc = 0;

	for (i = 0; rc == 0 && i < names->n; i++) {
		/* What cannot be ordered stays as it is and equals nothing. */
		if (certauto__name_normal(name, names->items[i], &why) == 0)
			rc = certauto__list_add_text(&wanted, name);
		else
			rc = certauto__list_add_text(&wanted, names->items[i]);
	}
	rc = rc < 0 ? certauto__error_nomem(err) : compare_names(leaf, &wanted, err);
	certauto__list_free(&wanted);
	return rc;
}

/* Without extendedKeyUsage a certificate serves for all purposes. */
static int check_purpose(const struct certauto__cert *leaf, certauto_error *err)
{
	if (leaf->info.is_ca)
		return certauto__error_set(err, CERTAUTO_ECERT, NULL,
			"the certificate is that of a CA (CA:TRUE), not that of a server");
	if (mbedtls_x509_crt_check_extended_key_usage(&leaf->crt,
		    CERTAUTO__OID(MBEDTLS_OID_SERVER_AUTH)) != 0)
		return certauto__error_set(err, CERTAUTO_ECERT, NULL,
			"the certificate is not for servers: its extended key usage lacks "
			"serverAuth");
	return 0;
}

static int check_time(const struct certauto__cert_info *leaf, int64_t now, int64_t max_life_s,
	certauto_error *err)
{
	int64_t life = leaf->not_after - leaf->not_before;
	char at[24], is[24];

	certauto__clock_format(is, sizeof(is), now);
	if (leaf->not_before > now + CLOCK_SLACK_S) {
		certauto__clock_format(at, sizeof(at), leaf->not_before);
		return certauto__error_set(err, CERTAUTO_ECERT, NULL,
			"the certificate is not valid before %s; it is %s by this machine's clock",
			at, is);
	}
	if (leaf->not_after <= now + LEFT_MIN_S) {
		certauto__clock_format(at, sizeof(at), leaf->not_after);
		return certauto__error_set(err, CERTAUTO_ECERT, NULL,
			"the certificate ends at %s; it is %s by this machine's clock", at, is);
	}
	if (max_life_s > 0 && life - max_life_s > max_life_s / 10)
		return certauto__error_set(err, CERTAUTO_ECERT, NULL,
			"the certificate lives %lld seconds, over 10 %% more than %lld promised",
			(long long)life, (long long)max_life_s);
	return 0;
}

/* Clients find the issuer by its name, so a signature that fits is not enough. Names are compared
 * as text because CAs change the string type between certificates. */
static int is_issuer(const struct certauto__cert *cert, const struct certauto__cert *issuer)
{
	return certauto__text_equal_nocase(cert->info.issuer, issuer->info.subject);
}

int certauto__certs_is_signed(const certauto__certs *certs, size_t i, size_t j)
{
	const struct certauto__cert *cert = certs->items[i], *issuer = certs->items[j];
	struct certauto__mbed_signed what;
	int ret;

	if (!is_issuer(cert, issuer))
		return 0;
	certauto__mbed_crt_signed(&what, &cert->crt);
	ret = certauto__verifier_check(NULL, issuer, &what);
	if (ret == 0)
		return 1;
	return certauto__mbed_error(NULL, ret, CERTAUTO_ECERT, "") == CERTAUTO_ENOMEM
		? CERTAUTO_ENOMEM : 0;
}

static int check_link(const struct certauto__certs *certs, size_t i,
	struct certauto__verifier *verifier, certauto_error *err)
{
	const struct certauto__cert *cert = certs->items[i], *issuer = certs->items[i + 1];
	struct certauto__mbed_signed what;
	int ret;

	if (!is_issuer(cert, issuer))
		return certauto__error_set(err, CERTAUTO_ECERT, NULL,
			"the chain is broken: certificate %zu was issued by \"%s\", and "
			"certificate %zu is that of \"%s\"", i + 1, cert->info.issuer, i + 2,
			issuer->info.subject);
	certauto__mbed_crt_signed(&what, &cert->crt);
	ret = certauto__verifier_check(verifier, issuer, &what);
	if (ret == 0)
		return 0;
	if (certauto__mbed_error(NULL, ret, CERTAUTO_ECERT, "") == CERTAUTO_ENOMEM)
		return certauto__error_nomem(err);
	return certauto__error_set(err, CERTAUTO_ECERT, NULL,
		"the chain is broken: certificate %zu (\"%s\") did not sign certificate %zu "
		"(\"%s\")", i + 2, issuer->info.subject, i + 1, cert->info.subject);
}

/* SHA-1 and MD5 can be forged, and clients refuse them. Nobody looks at the signature of a root. */
static int check_digest(const struct certauto__cert *cert, size_t i, certauto_error *err)
{
	struct certauto__mbed_signed what;
	const mbedtls_md_info_t *md;

	if (i > 0 && strcmp(cert->info.issuer, cert->info.subject) == 0)
		return 0;
	certauto__mbed_crt_signed(&what, &cert->crt);
	switch (what.md) {
	case MBEDTLS_MD_SHA256:
	case MBEDTLS_MD_SHA384:
	case MBEDTLS_MD_SHA512:
		return 0;
	default:
		md = mbedtls_md_info_from_type(what.md);
		return certauto__error_set(err, CERTAUTO_ECERT, NULL,
			"certificate %zu (\"%s\") is signed with %s", i + 1, cert->info.subject,
			md != NULL ? mbedtls_md_get_name(md) : "an unknown digest");
	}
}

/* The verifier is for the leaf's issuer: the links above are the same from certificate to
 * certificate, and are known then. */
static int check_chain(const certauto__certs *certs, struct certauto__verifier *verifier,
	certauto_error *err)
{
	size_t i;
	int rc;

	if (certs->n > 1 && (rc = check_link(certs, 0, verifier, err)) < 0)
		return rc;
	if (!certauto__verifier_knows(verifier, certs)) {
		for (i = 1; i + 1 < certs->n; i++)
			if ((rc = check_link(certs, i, NULL, err)) < 0)
				return rc;
		certauto__verifier_learn(verifier, certs);
	}
	for (i = 0; i < certs->n; i++)
		if ((rc = check_digest(certs->items[i], i, err)) < 0)
			return rc;
	return 0;
}

int certauto__certs_check(const certauto__certs *certs, const certauto__pkey *key,
	const certauto__req *req, const certauto__list *names, int64_t now, int64_t max_life_s,
	struct certauto__verifier *verifier, certauto_error *err)
{
	const struct certauto__cert *leaf = certs->items[0];
	int rc;

	if (key == NULL && req == NULL)
		return certauto__error_set(err, CERTAUTO_EINVAL, NULL,
			"a certificate is checked against a key or a request");
	if ((req != NULL && (rc = check_key(leaf, &req->spki, "the request", err)) < 0) ||
	    (key != NULL && (rc = check_key(leaf, &key->spki, "our key", err)) < 0) ||
	    (rc = check_names(leaf, names, err)) < 0 ||
	    (rc = check_purpose(leaf, err)) < 0 ||
	    (rc = check_time(&leaf->info, now, max_life_s, err)) < 0)
		return rc;
	return check_chain(certs, verifier, err);
}
